"""The concurrency model: for each instant at which somebody comes, everybody is counted."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.oracle.asking import by_columns
from tests.oracle.filters import UNIT_MS
from tests.oracle.parts import ref
from tests.oracle.sessions import Session, definition, lines_of, sessions_of
from tests.oracle.walltime import EPOCH, buckets

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject

GRAINS = None
COORDINATES = ()
DAY = 86_400_000


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    made: dict[str, Any] = {}
    if rng.random() < 0.7:
        made["session"] = definition(rng)
    if rng.random() < 0.4:
        made["events"] = ref(rng)
    if rng.random() < 0.4:
        made["tail"] = rng.choice(
            [{"n": 1, "unit": "second"}, {"n": 30, "unit": "minute"}, {"n": 3, "unit": "day"}]
        )
    if rng.random() < 0.2:
        first = document["time"]["from"][:10]
        document["time"] |= {"from": first, "to": first}
        made["minutes"] = rng.choice([1, 5, 15, 30])
    return made


def wanted(_body: dict[str, Any]) -> list[tuple[str, str]]:
    """No properties but in filters."""
    return []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(_query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """The peak of every bucket, and what it is at its instant."""
    found: list[tuple[dict[str, Any], int]] = [({"bucket": row["bucket"]}, row["peak"])]
    if row["peak"]:
        found.append(({"at": row["peak_at"]}, row["peak"]))
    return found


def _online(own: list[Session], tail: int, at: int) -> int:
    return len({s.user for s in own if s.start <= at <= s.end + tail})


def _measured(own: list[Session], tail: int, low: int, high: int, tz: str) -> dict[str, Any]:
    """Peak, when first, and mean of [low, high)."""
    instants = sorted({low, *(s.start for s in own if low <= s.start < high)})
    counts = [(_online(own, tail, at), at) for at in instants]
    peak = max(n for n, _ in counts)
    when = next(at for n, at in counts if n == peak)
    marks = {low, high}
    for s in own:
        marks |= {t for t in (s.start, s.end + tail + 1) if low < t < high}
    steps = sorted(marks)
    total = sum(_online(own, tail, a) * (b - a) for a, b in pairwise(steps))
    shown = (EPOCH + timedelta(milliseconds=when)).astimezone(ZoneInfo(tz))
    text = shown.isoformat(timespec="milliseconds" if when % 1000 else "seconds")
    return {
        "peak": peak,
        "peak_at": text if peak else None,
        "average": total / (high - low),
    }


def _buckets(query: dict[str, Any], span: Span) -> list[tuple[int, int, str]]:
    minutes = query["body"].get("minutes")
    if minutes is None:
        found: list[tuple[int, int, str]] = buckets(
            span.tz, span.low, span.high, span.grain, span.week_start
        )
        return found
    made = []
    for low, high, _ in buckets(span.tz, span.low, span.high, "hour", 1):
        for at in range(low, high, minutes * 60_000):
            end = min(at + minutes * 60_000, high)
            if end > span.low and at < span.high:
                shown = (EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(span.tz))
                made.append((at, end, shown.isoformat(timespec="minutes")))
    return made


def _lines(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> tuple[Any, int]:
    tail = query["body"].get("tail")
    tail_ms = tail["n"] * UNIT_MS[tail["unit"]] if tail else 0
    alive = [
        s
        for s in sessions_of(project, query, span, users, now)
        if s.start < span.high and s.end + tail_ms >= span.low
    ]
    return lines_of(project, query, alive), tail_ms


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    rule = query["body"].get("session") or {}
    gap = rule.get("gap") or {"n": 30, "unit": "minute"}
    mark = -math.inf
    if project.watermark is not None:
        mark = min(project.watermark, now) - gap["n"] * UNIT_MS[gap["unit"]]
    lines, tail = _lines(project, query, span, users, now)
    rows = []
    for key, own in lines:
        for low, high, label in _buckets(query, span):
            low, high = max(low, span.low), min(high, span.high)
            row = {**by_columns(query, key), "bucket": label}
            row |= _measured(own, tail, low, high, span.tz)
            rows.append({**row, "complete": high <= mark})
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The same over the whole range."""
    lines, tail = _lines(project, query, span, users, now)
    return [
        {**by_columns(query, key), **_measured(own, tail, span.low, span.high, span.tz)}
        for key, own in lines
    ]
