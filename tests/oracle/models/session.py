"""The session model: every session, then numbers of those that start in each bucket."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import by_columns
from tests.oracle.parts import ref
from tests.oracle.sessions import Session, definition, lines_of, sessions_of
from tests.oracle.walltime import buckets

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject

GRAINS = None
COORDINATES = ("interval",)
USUAL = ["sessions", "users", "duration_avg", "depth_avg", "bounce_rate"]
WORDS = [
    *USUAL,
    "per_user",
    "bounces",
    "duration_sum",
    "duration_median",
    "duration_p90",
    "depth_sum",
    "depth_median",
    "depth_p1",
]
EDGES = {
    "duration": [0, 1_000, 10_000, 30_000, 60_000, 180_000, 600_000, 1_800_000],
    "depth": [1, 2, 3, 5, 10, 20, 50],
}


def body(rng: random.Random, _document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    made: dict[str, Any] = {}
    if rng.random() < 0.7:
        made["session"] = definition(rng)
    if rng.random() < 0.4:
        made["events"] = ref(rng)
    if rng.random() < 0.6:
        made["measure"] = rng.sample(WORDS, rng.choice([1, 3, 6, 13]))
    if rng.random() < 0.3:
        made["attr"] = "last"
    if rng.random() < 0.3:
        of = rng.choice(["duration", "depth"])
        made["distribution"] = {"of": of}
        if rng.random() < 0.6:
            lengths = [-1, 0, 1, 60_000, 1_800_000, 1_800_001] if of == "duration" else [0, 1, 2, 4]
            made["distribution"]["edges"] = sorted(rng.sample(lengths, rng.choice([1, 2, 3])))
    return made


def wanted(_body: dict[str, Any]) -> list[tuple[str, str]]:
    """No properties but in filters."""
    return []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Cells of users."""
    if "users" not in query["body"].get("measure", USUAL):
        return []
    pick = {"bucket": row["bucket"]}
    if "interval" in row:
        pick |= {"interval": row["interval"], "any_interval": False}
    return [(pick, row["users"])]


def _intervals(query: dict[str, Any]) -> list[tuple[str | None, float, float]]:
    """Label, lower and upper edge; the last may be that of sessions without a duration."""
    bands = query["body"].get("distribution")
    if bands is None:
        return [("", -math.inf, math.inf)]
    edges = bands.get("edges") or EDGES[bands["of"]]
    found: list[tuple[str | None, float, float]] = []
    if edges[0] > EDGES[bands["of"]][0]:
        found.append((f"(-∞, {edges[0]})", -math.inf, edges[0]))
    for a, b in zip(edges, [*edges[1:], None], strict=True):
        found.append((f"[{a}, {'∞' if b is None else b})", a, math.inf if b is None else b))
    if bands["of"] == "duration":
        found.append((None, math.nan, math.nan))
    return found


def _duration(session: Session) -> int | None:
    return None if len(session.rows) == 1 else session.end - session.start


def _inside(session: Session, query: dict[str, Any], label: str | None, a: float, b: float) -> bool:
    bands = query["body"].get("distribution")
    if bands is None:
        return True
    value = _duration(session) if bands["of"] == "duration" else len(session.counted)
    return label is None if value is None else a <= value < b


def _measured(name: str, own: list[Session]) -> float | None:
    users = len({s.user for s in own})
    durations = sorted(d for d in map(_duration, own) if d is not None)
    depths = sorted(len(s.counted) for s in own)
    bounces = depths.count(1)
    values = durations if name.startswith("duration") else depths
    if name in ("sessions", "users", "bounces"):
        return {"sessions": len(own), "users": users, "bounces": bounces}[name]
    if name == "per_user":
        return len(own) / users if users else None
    if name == "bounce_rate":
        return bounces / len(own) if own else None
    what = name.split("_")[1]
    if what == "sum":
        return sum(values)
    if not values:
        return None
    if what == "avg":
        return sum(values) / len(values)
    q = 0.5 if what == "median" else int(what[1:]) / 100
    rank = q * (len(values) - 1)
    low = math.floor(rank)
    above = values[min(low + 1, len(values) - 1)]
    return values[low] + (above - values[low]) * (rank - low)


def _lines(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> Any:
    inside = [
        s for s in sessions_of(project, query, span, users, now) if span.low <= s.start < span.high
    ]
    at = -1 if query["body"].get("attr") == "last" else 0
    return lines_of(project, query, inside, at)


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    rows = []
    mark = min(project.watermark, now) if project.watermark is not None else -math.inf
    measures = query["body"].get("measure", USUAL)
    for key, own in _lines(project, query, span, users, now):
        for low, high, label in buckets(span.tz, span.low, span.high, span.grain, span.week_start):
            low, high = max(low, span.low), min(high, span.high)
            here = [s for s in own if low <= s.start < high]
            complete = high <= mark and not any(s.is_open for s in here)
            for interval in _intervals(query):
                cell = [s for s in here if _inside(s, query, *interval)]
                row = {**by_columns(query, key), "bucket": label}
                if "distribution" in query["body"]:
                    row["interval"] = interval[0]
                row |= {name: _measured(name, cell) for name in measures}
                rows.append({**row, "complete": complete})
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The measures over the whole range."""
    measures = query["body"].get("measure", USUAL)
    return [
        {**by_columns(query, key), **{name: _measured(name, own) for name in measures}}
        for key, own in _lines(project, query, span, users, now)
    ]
