"""The stickiness model: for each user the periods with a row, counted."""

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
COORDINATES = ("periods",)
LENGTHS = ("hour", "day", "week", "month", "quarter", "year")


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    hours_now_and_then(rng, document)
    made: dict[str, Any] = {"event": ref(rng)}
    longer = LENGTHS[LENGTHS.index(document["time"]["grain"]) + 1 :]
    if longer and rng.random() < 0.5:
        made["within"] = rng.choice(longer)
    return made


def wanted(_body: dict[str, Any]) -> list[tuple[str, str]]:
    """No properties but in filters."""
    return []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(_query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A number of periods, that or more, and all."""
    place = {"bucket": row["bucket"]} if "bucket" in row else {}
    number = {**place, "periods": row["periods"]}
    found = [(number, row["users"]), ({**number, "at_least": True}, row["at_least"])]
    return [*found, (place, row["at_least"])] if row["periods"] == 1 else found


def _cells(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Per line and larger period: head, number of periods of each user, number of periods, end."""
    rows = rows_by_user(project, query, users, span.low, span.high, now)
    within = query["body"].get("within")
    outer = [(span.low, span.high, "")]
    if within:
        outer = buckets(span.tz, span.low, span.high, within, span.week_start)
    entry = {user: own[0] for user, own in rows.items()}
    found = []
    for key, own in lines_of(project, query, span, entry, set(rows)):
        for low, high, label in outer:
            low, high = max(low, span.low), min(high, span.high)
            periods = buckets(span.tz, low, high, span.grain, span.week_start)
            counts = {}
            for user in own:
                times = [r.time for r in rows[user] if low <= r.time < high]
                if times:
                    counts[user] = len({bucket_of(t, periods) for t in times})
            head = {**by_columns(query, key), **({"bucket": label} if within else {})}
            found.append({"head": head, "counts": counts, "size": len(periods), "end": high})
    return found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    rows = []
    for cell in _cells(project, query, span, users, now):
        counts = list(cell["counts"].values())
        for k in range(1, cell["size"] + 1):
            exactly, more = counts.count(k), sum(n >= k for n in counts)
            rows.append(
                {
                    **cell["head"],
                    "periods": k,
                    "users": exactly,
                    "share": exactly / len(counts) if counts else None,
                    "at_least": more,
                    "at_least_share": more / len(counts) if counts else None,
                    "complete": cell["end"] <= mark_of(project, now),
                }
            )
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Active users and their mean number of periods."""
    found = []
    for cell in _cells(project, query, span, users, now):
        counts = list(cell["counts"].values())
        mean = sum(counts) / len(counts) if counts else None
        found.append({**cell["head"], "users": len(counts), "mean": mean})
    return found
