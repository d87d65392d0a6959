"""What the models over the periods of a user share: chosen rows, groups by one row, lines."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import OTHER, Key, chosen, keys_of, where_of, with_other
from tests.oracle.filters import is_event

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row

User = tuple[str, str]


def rows_by_user(
    project: OracleProject, query: dict[str, Any], users: list[User], low: int, high: int, now: int
) -> dict[User, list[Row]]:
    """The chosen rows of each user in [low, high), in order; users without any are left out."""
    where, event = where_of(project, query, now), query["body"]["event"]
    found = {}
    for user in users:
        rows = [
            r
            for r in project.rows_of(user)
            if low <= r.time < high and where(r) and is_event(project, r, event, now)
        ]
        if rows:
            found[user] = rows
    return found


def lines_of(
    project: OracleProject,
    query: dict[str, Any],
    span: Span,
    entry: dict[User, Row],
    ranked: set[User],
) -> list[tuple[Key, set[User]]]:
    """The lines of the answer with their users. ``entry``: the row at which each user's group is
    read; groups are ranked by their users in ``ranked``.
    """
    if not query.get("by"):
        return [((), set(entry))]
    groups: dict[Key, set[User]] = {}
    for user, row in entry.items():
        for key in set(keys_of(project, row, query, span.tz)):
            groups.setdefault(key, set()).add(user)
    totals = {key: float(len(own & ranked)) for key, own in groups.items() if own & ranked}
    top, rest = chosen(query, totals)
    lines = [(key, groups[key]) for key in top]
    if with_other(query, rest):
        lines.append((OTHER, set().union(*(groups[key] for key in rest))))
    return lines


def hours_now_and_then(rng: random.Random, document: dict[str, Any]) -> None:
    """Makes some queries of few days count hours."""
    time = document["time"]
    if "T" in time["from"] or rng.random() > 0.15:
        return
    if (date.fromisoformat(time["to"]) - date.fromisoformat(time["from"])).days <= 3:
        time["grain"] = "hour"


def mark_of(project: OracleProject, now: int) -> int:
    """The watermark; 0 without events."""
    return min(project.watermark or 0, now)
