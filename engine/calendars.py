"""Local calendars: time zones, bucket edges, local days, instants. All buckets come from here.

A bucket is a span of the *local* calendar (an hour, day, week, month … as a clock on the wall
shows it), never a multiple of 24 h: a day of a clock change is 23 or 25 hours long, and a day that
a zone skipped does not exist. Rules where a clock change makes the wall clock ambiguous:

- a local day (week, month …) starts at the first instant whose local date is that day or later;
- every clock change starts a new hour bucket, so the repeated 01:00 is two buckets, told apart by
  the offset in their labels.

Times are int64 milliseconds UTC, years 1900 to 2200. Clock changes of a zone are found once a
(zone, year) by looking at noon-to-noon offsets and bisecting, then cached; everything else is
numpy over that table. Thread-safe: functions only, caches hold immutable values.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

if TYPE_CHECKING:
    from datetime import date

    from zuji.engine.types import I32, I64

Grain = Literal["hour", "day", "week", "month", "quarter", "year", "all"]

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199
MIN_MS: Final = -2_208_988_800_000
"""1900-01-01T00:00Z, the earliest instant."""
MAX_MS: Final = 7_258_118_400_000
"""2200-01-01T00:00Z, one past the latest instant."""
_BEYOND_MS = 732 * DAY_MS
"""Buckets may begin and end outside of what events may: an instant of the first local hours of 2200
lies in a month and a year that end after it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?([Zz]|[+-]\d\d:?\d\d)"
)


# ------------------------------------------------------------------------------------ zones


def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError naming the nearest known zone."""
    try:
        return _zone(name)
    except (KeyError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown time zone {name!r}, expected an IANA name{hint}") from None


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _offset_ms(tz: ZoneInfo, utc_ms: int) -> int:
    delta = (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(tz).utcoffset()
    return 0 if delta is None else round(delta.total_seconds() * 1000)


@lru_cache(maxsize=4096)
def _changes(name: str, year: int) -> tuple[tuple[int, int], ...]:
    """Clock changes of one UTC year as (first instant of the new offset, new offset), both ms.

    Looks once a day: no zone has ever changed twice within a day and come back.
    """
    tz = zone(name)
    first = round((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds() * 1000)
    last = round((datetime(year + 1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds() * 1000)
    found = []
    before = _offset_ms(tz, first - 1)
    low = first - 1
    while low < last - 1:
        high = min(low + DAY_MS, last - 1)
        after = _offset_ms(tz, high)
        if after != before:
            left, right = low, high
            while right - left > 1:
                middle = (left + right) // 2
                if _offset_ms(tz, middle) == before:
                    left = middle
                else:
                    right = middle
            found.append((right, after))
            before = after
        low = high
    return tuple(found)


def offsets(tz: str, from_ms: int, to_ms: int) -> tuple[I64, I64]:
    """The zone's offsets over [from_ms, to_ms], widened by two days on both sides.

    Returns ``starts`` (UTC ms, ascending; the first is the widened beginning) and ``offset_ms``
    (local minus UTC) that holds from each start to the next.
    """
    low, high = from_ms - 2 * DAY_MS, to_ms + 2 * DAY_MS
    first_year, last_year = _utc(low).year, _utc(high).year
    starts, values = [low], [_offset_ms(zone(tz), low)]
    for year in range(first_year, last_year + 1):
        for at, value in _changes(tz, year):
            if low < at <= high:
                starts.append(at)
                values.append(value)
    return np.array(starts, np.int64), np.array(values, np.int64)


def _utc(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def check_ms(ms: int) -> int:
    """Returns ``ms`` when it lies in the years 1900 to 2200, else raises ValueError."""
    if not MIN_MS <= ms < MAX_MS:
        raise ValueError("the time lies outside the years 1900 to 2200")
    return ms


# ----------------------------------------------------------------------- local and UTC times


def to_local(times: I64, tz: str) -> I64:
    """Local wall-clock ms (as if UTC) of UTC instants; any shape, any order. O(n log changes)."""
    if times.size == 0:
        return times.astype(np.int64)
    starts, values = offsets(tz, int(times.min()), int(times.max()))
    if len(starts) == 1:
        return np.asarray(times + values[0], np.int64)
    local: I64 = times + values[np.searchsorted(starts, times, side="right") - 1]
    return local


def from_local(local: I64, tz: str) -> I64:
    """First instants whose wall clock shows ``local`` ms or later. ``local`` must be ascending."""
    if local.size == 0:
        return local.astype(np.int64)
    starts, values = offsets(tz, int(local[0]), int(local[-1]))
    out = np.empty(len(local), np.int64)
    done = 0
    for i, (start, offset) in enumerate(zip(starts.tolist(), values.tolist(), strict=True)):
        last = i + 1 == len(starts)
        stop = len(local) if last else int(np.searchsorted(local, int(starts[i + 1]) + offset))
        if stop > done:
            np.maximum(local[done:stop] - offset, start, out=out[done:stop])
            done = stop
    return out


def local_days(times: I64, tz: str) -> I32:
    """Local dates of UTC instants as days since 1970-01-01, int32, same shape. O(n)."""
    return np.floor_divide(to_local(times, tz), DAY_MS).astype(np.int32)


def day_start(day: date, tz: str) -> int:
    """First instant (UTC ms) of a local date."""
    return int(from_local(np.array([day.toordinal() - 719_163], np.int64) * DAY_MS, tz)[0])


def local_date(ms: int, tz: str) -> date:
    """The local date of an instant."""
    return local_datetime(ms, tz).date()


def local_datetime(ms: int, tz: str) -> datetime:
    """The instant as an aware datetime of the zone."""
    return _utc(ms).astimezone(zone(tz))


# ------------------------------------------------------------------------------------ buckets


def edges(tz: str, from_ms: int, to_ms: int, grain: Grain, week_start: int = 1) -> I64:
    """Edges of the whole local buckets that cover [from_ms, to_ms).

    ``week_start`` 1 = Monday … 7 = Sunday. Returns int64[B + 1], strictly ascending, the first
    ``<= from_ms`` and the last ``>= to_ms``; bucket i is ``[edges[i], edges[i + 1])``. Buckets are
    not cut at the ends (see :func:`clip`). Grain ``all`` is one bucket ``[from_ms, to_ms)``. An
    empty range gives the one bucket that holds ``from_ms``. O(B).
    """
    if not MIN_MS - _BEYOND_MS <= from_ms < MAX_MS + _BEYOND_MS:
        raise ValueError("the time lies outside the years 1900 to 2200")
    to_ms = max(to_ms, from_ms + 1)
    if grain == "all":
        return np.array([from_ms, to_ms], np.int64)
    if grain == "hour":
        return _hour_edges(tz, from_ms, to_ms)
    first, last = to_local(np.array([from_ms, to_ms - 1], np.int64), tz).tolist()
    if last < first:  # the clock went back within a very short range
        first, last = last, first
    # One bucket more on both sides, then the unneeded ones are dropped: a clock change at
    # midnight can put an instant on either side of a local date's start.
    local = _period_starts(grain, week_start, first // DAY_MS, last // DAY_MS)
    found = np.unique(from_local(local * DAY_MS, tz))
    begin = int(np.searchsorted(found, from_ms, side="right")) - 1
    end = int(np.searchsorted(found, to_ms, side="left"))
    return found[begin : end + 1]


def extend(bounds: I64, tz: str, grain: Grain, count: int, week_start: int = 1) -> I64:
    """``bounds`` (of :func:`edges`) and ``count`` more buckets after the last; not for ``all``."""
    if count <= 0:
        return bounds
    span = {"hour": 1, "day": 24, "week": 168, "month": 745, "quarter": 2209, "year": 8785}[grain]
    last = int(bounds[-1])
    more = edges(tz, last, last + (count + 2) * span * HOUR_MS, grain, week_start)
    more = more[more > last][:count]
    return np.concatenate([bounds, more])


def clip(bounds: I64, from_ms: int, to_ms: int) -> I64:
    """Bucket edges cut to the range: rows outside [from_ms, to_ms) fall in no bucket."""
    return np.clip(bounds, from_ms, to_ms)


def labels(bounds: I64, tz: str, grain: Grain) -> list[str]:
    """Names of the B buckets between B + 1 edges (uncut ones, as :func:`edges` gives them).

    The local ISO date on which the bucket starts; for ``hour`` the local time with its offset
    (``2026-10-01T13:00+08:00``). O(B).
    """
    if len(bounds) < 2:
        return []
    starts = np.asarray(bounds[:-1], np.int64)
    if grain != "hour":
        days = local_days(starts, tz).astype("datetime64[D]")
        return [str(text) for text in np.datetime_as_string(days)]
    zoned = zone(tz)
    return [_utc(ms).astimezone(zoned).isoformat(timespec="minutes") for ms in starts.tolist()]


def _period_starts(grain: Grain, week_start: int, first_day: int, last_day: int) -> I64:
    """Local days (since 1970) on which buckets start: from one before to two after the range."""
    if grain == "day":
        return np.arange(first_day - 1, last_day + 3, dtype=np.int64)
    if grain == "week":
        # 1970-01-01 was a Thursday, ISO weekday 4.
        into_week = (first_day + 4 - week_start) % 7
        return np.arange(first_day - into_week - 7, last_day + 15, 7, dtype=np.int64)
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    ends = np.array([first_day, last_day], np.int64).astype("datetime64[D]").astype("datetime64[M]")
    low, high = (ends.astype(np.int64) // months * months).tolist()
    starts = np.arange(low - months, high + 3 * months, months, dtype=np.int64)
    return starts.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _hour_edges(tz: str, from_ms: int, to_ms: int) -> I64:
    starts, values = offsets(tz, from_ms, to_ms)
    ends = np.append(starts[1:], to_ms + 2 * DAY_MS)
    parts = []
    for start, end, offset in zip(starts.tolist(), ends.tolist(), values.tolist(), strict=True):
        first = -((-(start + offset)) // HOUR_MS) * HOUR_MS - offset
        parts.append(np.array([start], np.int64))
        parts.append(np.arange(first, end, HOUR_MS, dtype=np.int64))
    found = np.unique(np.concatenate(parts))
    begin = int(np.searchsorted(found, from_ms, side="right")) - 1
    end = int(np.searchsorted(found, to_ms, side="left"))
    return found[begin : end + 1]


# ----------------------------------------------------------------------------------- instants


def parse_instant(text: str) -> int:
    """Milliseconds UTC of an RFC 3339 instant (``2026-10-01T08:00:00.5+08:00``, ``…Z``).

    The offset is required: without it the text does not name an instant. Digits past the
    millisecond are cut. Raises ValueError.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:64]!r} is not an RFC 3339 instant with an offset, "
            "such as '2026-10-01T08:00:00+08:00'"
        )
    year, month, day, hour, minute = (int(part) for part in match.group(1, 2, 3, 4, 5))
    second = int(match[6] or 0)
    millis = int(((match[7] or "") + "000")[:3])
    tz = UTC if match[8] in "Zz" else _fixed(match[8])
    try:
        # A leap second is counted as the second before it.
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=tz)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    if second > 60:
        raise ValueError(f"{text!r} is not a time: second must be in 0..60")
    return check_ms(round((at - _EPOCH).total_seconds()) * 1000 + millis)


def format_instant(ms: int, tz: str = "UTC") -> str:
    """RFC 3339 text of an instant with the zone's offset, to the millisecond when it has any."""
    return local_datetime(ms, tz).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")


def _fixed(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    if int(text[-2:]) > 59 or minutes >= 24 * 60:
        raise ValueError(f"{text!r} is not a UTC offset")
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
