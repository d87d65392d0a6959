"""The lifecycle model: users and the whole periods in which they were active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.asking import by_columns
from tests.oracle.parts import ref
from tests.oracle.periods import hours_now_and_then, lines_of, mark_of, rows_by_user
from tests.oracle.walltime import bucket_of, buckets

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject

GRAINS = ("day", "day", "day", "week", "month", "quarter", "year")
COORDINATES = ("state",)
STATES = ("new", "returning", "resurrected", "dormant")


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    hours_now_and_then(rng, document)
    return {"event": ref(rng)}


def wanted(_body: dict[str, Any]) -> list[tuple[str, str]]:
    """No properties but in filters."""
    return []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(_query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A state, and all who were active."""
    place = {"bucket": row["bucket"]}
    return [({**place, "state": row["state"]}, row["users"]), (place, row["active"])]


def _lines(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> tuple[list[Any], dict[Any, set[int]], list[Any]]:
    """Lines with their users, the periods in which each was active (0: the one before the first;
    -1: earlier), and the periods.
    """
    found = span.buckets()
    first = found[0][0]
    found = [buckets(span.tz, first - 1, first, span.grain, span.week_start)[-1], *found]
    rows = rows_by_user(project, query, users, -(1 << 60), found[-1][1], now)
    there = {}
    for user, own in rows.items():
        at = [bucket_of(r.time, found) for r in own]
        there[user] = {-1 if b is None else b for b in at}
    ranked = {user for user, at in there.items() if max(at) >= 0}
    entry = {user: own[0] for user, own in rows.items()}
    return lines_of(project, query, span, entry, ranked), there, found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    lines, there, found = _lines(project, query, span, users, now)
    rows = []
    for key, own in lines:
        for p in range(1, len(found)):
            told = [_state(there[user], p) for user in own]
            rows += [
                {
                    **by_columns(query, key),
                    "bucket": found[p][2],
                    "state": state,
                    "users": told.count(state),
                    "active": sum(p in there[user] for user in own),
                    "complete": found[p][1] <= mark_of(project, now),
                }
                for state in STATES
            ]
    return rows


def _state(there: set[int], p: int) -> str | None:
    if p in there:
        if p == min(there):
            return "new"
        return "returning" if p - 1 in there else "resurrected"
    return "dormant" if p - 1 in there else None


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Users of any period of the range."""
    lines, there, _ = _lines(project, query, span, users, now)
    return [
        {**by_columns(query, key), "users": sum(max(there[user]) > 0 for user in own)}
        for key, own in lines
    ]
