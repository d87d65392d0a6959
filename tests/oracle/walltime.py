"""Local calendars by asking the wall clock: what date and hour it is, quarter of an hour by quarter
of an hour.

Zone offsets since 1972 are multiples of 15 minutes and change at such instants, so a scan in steps
of 15 minutes misses nothing. No arithmetic on days or hours: only ``datetime.astimezone``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER_MS = 900_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall(ms: int, tz: str) -> datetime:
    """What a clock in the zone shows."""
    return (EPOCH + timedelta(milliseconds=ms)).astimezone(ZoneInfo(tz))


def local_date(ms: int, tz: str) -> date:
    """The date on the wall calendar."""
    return wall(ms, tz).date()


@lru_cache(maxsize=100_000)
def start_of(day: date, tz: str) -> int:
    """First instant whose local date is ``day`` or later."""
    noon = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ms = round((noon - EPOCH).total_seconds() * 1000) - 36 * 3_600_000
    while local_date(ms, tz) < day:
        ms += QUARTER_MS
    return ms


def first_date(day: date, grain: str, week_start: int) -> date:
    """The first date of the day, week, month, quarter or year that holds ``day``."""
    if grain == "day":
        return day
    if grain == "week":
        while day.isoweekday() != week_start:
            day -= timedelta(days=1)
        return day
    if grain == "month":
        return day.replace(day=1)
    if grain == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    assert grain == "year"
    return day.replace(month=1, day=1)


def next_date(day: date, grain: str) -> date:
    """The first date of the following period; ``day`` is the first date of one."""
    if grain == "day":
        return day + timedelta(days=1)
    if grain == "week":
        return day + timedelta(days=7)
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    index = day.year * 12 + day.month - 1 + months
    return day.replace(year=index // 12, month=index % 12 + 1)


def buckets(
    tz: str, from_ms: int, to_ms: int, grain: str, week_start: int = 1, more: int = 0
) -> list[tuple[int, int, str]]:
    """(start, end, label) of the whole local buckets that cover [from, to), then ``more`` of
    them.
    """
    return list(_buckets(tz, from_ms, to_ms, grain, week_start, more))


@lru_cache(maxsize=10_000)
def _buckets(
    tz: str, from_ms: int, to_ms: int, grain: str, week_start: int, more: int
) -> list[tuple[int, int, str]]:
    if grain == "all":
        return [(from_ms, to_ms, local_date(from_ms, tz).isoformat())]
    if grain == "hour":
        assert more == 0
        return _hours(tz, from_ms, to_ms)
    found: list[tuple[int, int, str]] = []
    day = first_date(local_date(from_ms, tz), grain, week_start)
    after = 0
    while True:
        start, following = start_of(day, tz), next_date(day, grain)
        end = start_of(following, tz)
        if start >= to_ms:
            after += 1
            if after > more:
                return found
        # A date that the zone skipped has no instant and makes no bucket.
        if end > start:
            found.append((start, end, day.isoformat()))
        elif start >= to_ms:
            after -= 1
        day = following


def _hours(tz: str, from_ms: int, to_ms: int) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    ms = from_ms // QUARTER_MS * QUARTER_MS - 8 * QUARTER_MS
    current: object = None
    start = ms
    while True:
        clock = wall(ms, tz)
        hour = (clock.utcoffset(), clock.replace(minute=0, second=0, microsecond=0, tzinfo=None))
        if hour != current:
            if current is not None and start < to_ms and ms > from_ms:
                label = wall(start, tz).isoformat(timespec="minutes")
                found.append((start, ms, label))
            if start >= to_ms:
                return found
            current, start = hour, ms
        ms += QUARTER_MS


def bucket_of(ms: int, found: list[tuple[int, int, str]]) -> int | None:
    """Index of the bucket that holds the instant."""
    for i, (start, end, _) in enumerate(found):
        if start <= ms < end:
            return i
    return None


def instant(text: str) -> int:
    """Milliseconds of an RFC 3339 instant."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert moment.tzinfo is not None, text
    return (moment - EPOCH) // timedelta(milliseconds=1)


def shift_date(day: date, text: str) -> date:
    """``day`` moved by ``-1M``, ``-7d``, ``-2w``, ``-1y``; a day past the end of a month is its
    last day.
    """
    count, unit = int(text[:-1]), text[-1]
    if unit in "dw":
        return day + timedelta(days=count * (7 if unit == "w" else 1))
    index = day.year * 12 + day.month - 1 + count * {"M": 1, "q": 3, "y": 12}[unit]
    for last in (day.day, 30, 29, 28):
        if last <= day.day:
            try:
                return date(index // 12, index % 12 + 1, last)
            except ValueError:
                continue
    raise AssertionError(text)
