"""The time range of a query: texts of ``from`` and ``to``, comparisons, buckets of the range.

``from``/``to`` are inclusive local dates, RFC 3339 instants (then half-open), or relative texts.
Inside the engine a range is always half-open UTC milliseconds. Relative texts:

- ``today``, ``yesterday``, ``-30d``, ``-2w``, ``-1M``, ``-1q``, ``-1y``: a local date, counted
  back from today; as ``to`` the whole day is included;
- ``-24h``: a local hour; as ``from`` its beginning, as ``to`` its end;
- ``now``: this very millisecond, included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.problems import Problem

if TYPE_CHECKING:
    from zuji.engine.calendars import Grain
    from zuji.engine.query.audience import Within
    from zuji.engine.types import I64

MAX_BUCKETS: Final = 10_000
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_RELATIVE = re.compile(r"-(\d{1,5})([hdwMqy])")
_SHIFT = re.compile(r"-([1-9]\d{0,4})([hdwMqy])")
_MONTHS = {"M": 1, "q": 3, "y": 12}
_EXPECTED = (
    "expected a date '2026-10-01', an instant '2026-10-01T08:00:00+08:00', "
    "'today', 'yesterday', 'now', or a relative date such as '-30d' (units h d w M q y)"
)


class TimeSpec(Protocol):
    """What :func:`resolve_range` reads of a query's ``time``."""

    @property
    def from_(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def tz(self) -> str | None: ...
    @property
    def grain(self) -> Grain: ...
    @property
    def week_start(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open range of time, ``[from_ms, to_ms)`` UTC, and the calendar that cuts it."""

    from_ms: int
    to_ms: int
    tz: str
    grain: Grain
    week_start: int = 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """The B buckets of a range.

    ``edges`` int64[B + 1]: cut to the range, what kernels use. ``whole`` int64[B + 1]: the uncut
    calendar edges (a week that began before the range). ``labels``: names of the whole buckets.
    """

    edges: I64
    whole: I64
    labels: list[str]


def check_range_text(text: str) -> None:
    """Raises Problem unless the text is well-formed, whatever the zone and the time now."""
    if text in ("today", "yesterday", "now") or _RELATIVE.fullmatch(text):
        return
    try:
        if _DATE.fullmatch(text):
            _check_year(date.fromisoformat(text))
        else:
            calendars.parse_instant(text)
    except ValueError as error:
        looks_like_time = text[:4].isdigit()
        raise Problem(f"{error}" if looks_like_time else f"{_EXPECTED}, got {text!r}") from None


def check_shift(text: str) -> None:
    """Raises Problem unless the text is a shift back in time, such as ``-1M``."""
    if not _SHIFT.fullmatch(text):
        raise Problem(
            "expected a shift back in time such as '-7d' or '-1M' (units h d w M q y), "
            f"got {text!r}"
        )


def resolve_range(time: TimeSpec, now_ms: int, tz: str, path: str = "$.time") -> Range:
    """The range of a query's ``time``; ``tz`` is the project's zone, used when the query has none.

    Raises InvalidQuery at ``path`` for an unknown zone, an impossible date or an empty range.
    """
    zone = time.tz or tz
    try:
        calendars.zone(zone)
    except ValueError as error:
        raise InvalidQuery(str(error), f"{path}.tz") from None
    from_ms = _resolve(time.from_, now_ms, zone, False, f"{path}.from")
    to_ms = _resolve(time.to, now_ms, zone, True, f"{path}.to")
    if to_ms <= from_ms:
        raise InvalidQuery(
            f"the range is empty: {time.to!r} is not after {time.from_!r}", f"{path}.to"
        )
    return Range(from_ms, to_ms, zone, time.grain, time.week_start)


def resolve_moment(text: str, now_ms: int, tz: str, path: str) -> int:
    """The last millisecond UTC of what a text names: of a date or an hour, or the instant itself.

    Raises InvalidQuery at ``path``.
    """
    end = _resolve(text, now_ms, tz, True, path)
    spans = text in ("today", "yesterday", "now") or _RELATIVE.fullmatch(text)
    return end - 1 if spans or _DATE.fullmatch(text) else end


def resolve_within(within: Within | None, base: Range, now_ms: int, path: str = "$") -> Range:
    """Where an audience looks: the query's own range, the last n units before its end, or a range.

    A length of n days is n × 24 h before the end of the query's range.
    """
    if within is None:
        return base
    if within.length is not None:
        return replace(base, from_ms=max(base.to_ms - within.length.ms, calendars.MIN_MS))
    from_ms = _resolve(within.from_ or "", now_ms, base.tz, False, f"{path}.from")
    to_ms = _resolve(within.to or "", now_ms, base.tz, True, f"{path}.to")
    if to_ms <= from_ms:
        raise InvalidQuery("the range is empty", f"{path}.to")
    return replace(base, from_ms=from_ms, to_ms=to_ms)


def shift_range(base: Range, shift: str) -> Range:
    """The range moved back by calendar units (``"-1M"``), for comparisons.

    Ends at local midnight move by whole dates, so that all of March moves to all of February. A
    date that the target month does not have becomes its last day (as an exclusive end: the first
    day of the next month).
    """
    match = _SHIFT.fullmatch(shift)
    if match is None:
        raise InvalidQuery(f"not a shift back in time: {shift!r}", "$.compare.shift")
    n, unit = int(match[1]), match[2]
    try:
        from_ms = _shift_end(base.from_ms, base.tz, n, unit, False)
        to_ms = _shift_end(base.to_ms, base.tz, n, unit, True)
    except (ValueError, OverflowError):
        raise InvalidQuery("the shift leaves the years 1900 to 2200", "$.compare.shift") from None
    if from_ms < calendars.MIN_MS:
        raise InvalidQuery("the shift leaves the years 1900 to 2200", "$.compare.shift")
    return replace(base, from_ms=from_ms, to_ms=max(to_ms, from_ms + 1))


def buckets(base: Range, path: str = "$.time.grain") -> Buckets:
    """The buckets of a range; its arrays are read-only. Raises InvalidQuery when there are more
    than 10,000. O(B), once for the ranges asked for last.
    """
    return _buckets(base, path)


@lru_cache(maxsize=64)
def _buckets(base: Range, path: str) -> Buckets:
    hours = (base.to_ms - base.from_ms) / calendars.HOUR_MS
    shortest = {"hour": 1, "day": 23, "week": 167}.get(base.grain, 600)
    if base.grain != "all" and hours / shortest > 2 * MAX_BUCKETS:
        _too_many(base.grain, path)
    whole = calendars.edges(base.tz, base.from_ms, base.to_ms, base.grain, base.week_start)
    if len(whole) - 1 > MAX_BUCKETS:
        _too_many(base.grain, path)
    names = calendars.labels(whole, base.tz, base.grain)
    edges = calendars.clip(whole, base.from_ms, base.to_ms)
    edges.flags.writeable = whole.flags.writeable = False
    return Buckets(edges, whole, names)


def _too_many(grain: str, path: str) -> None:
    raise InvalidQuery(
        f"the range has more than {MAX_BUCKETS:,} buckets of grain {grain!r}; take a coarser grain "
        "or a shorter range",
        path,
    )


def _resolve(text: str, now_ms: int, tz: str, is_end: bool, path: str) -> int:
    try:
        check_range_text(text)
        at = _resolve_text(text, now_ms, tz, is_end)
    except Problem as problem:
        raise InvalidQuery(problem.text, path) from None
    except (ValueError, OverflowError) as error:
        raise InvalidQuery(str(error), path) from None
    return min(max(at, calendars.MIN_MS), calendars.MAX_MS)


def _resolve_text(text: str, now_ms: int, tz: str, is_end: bool) -> int:
    if text == "now":
        return now_ms + is_end
    match = _RELATIVE.fullmatch(text)
    if match is not None and match[2] == "h":
        at = now_ms - int(match[1]) * calendars.HOUR_MS
        hour = calendars.edges(tz, at, at + 1, "hour")
        return int(hour[1 if is_end else 0])
    if match is not None or text in ("today", "yesterday"):
        today = calendars.local_date(now_ms, tz)
        n, unit = (int(match[1]), match[2]) if match else (int(text == "yesterday"), "d")
        day = _back(today, n, unit, False)
    elif _DATE.fullmatch(text):
        day = date.fromisoformat(text)
    else:
        return calendars.parse_instant(text)
    return calendars.day_start(day + timedelta(days=int(is_end)), tz)


def _check_year(day: date) -> None:
    if not calendars.FIRST_YEAR <= day.year <= calendars.LAST_YEAR:
        raise ValueError("the date lies outside the years 1900 to 2200")


def _back(day: date, n: int, unit: str, is_end: bool) -> date:
    """The date n units before; ``is_end``: the date is exclusive."""
    if unit in ("d", "w"):
        return day - timedelta(days=n * (7 if unit == "w" else 1))
    month = day.year * 12 + day.month - 1 - n * _MONTHS[unit]
    first = date(month // 12, month % 12 + 1, 1)
    following = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    if day.day <= (following - first).days:
        return first.replace(day=day.day)
    return following if is_end else following - timedelta(days=1)


def _shift_end(at: int, tz: str, n: int, unit: str, is_end: bool) -> int:
    if unit == "h":
        return at - n * calendars.HOUR_MS
    day = calendars.local_date(at, tz)
    if calendars.day_start(day, tz) == at:
        return calendars.day_start(_back(day, n, unit, is_end), tz)
    wall = calendars.to_local(np.array([at], np.int64), tz)
    moved = np.datetime64(_back(day, n, unit, False), "ms").astype(np.int64)
    return int(calendars.from_local(wall % calendars.DAY_MS + moved, tz)[0])
