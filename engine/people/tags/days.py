"""Which days of a tag are to be made: by its schedule, or as asked for. Pure functions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.people.tags.rules import Schedule

MAX_DAYS = 3_660
"""Days of one refresh."""


def day_of(text: str | date | None, now_ms: int, tz: str) -> date:
    """A day as it is given: a date, ``today``, ``yesterday``, ``-30d``; None: yesterday.

    Raises:
        InvalidInput: no day, or one that has not begun.
    """
    today = calendars.local_date(now_ms, tz)
    if text is None:
        return today - timedelta(days=1)
    if isinstance(text, date):
        day = text
    elif text in ("today", "yesterday"):
        day = today - timedelta(days=int(text == "yesterday"))
    elif text.startswith("-") and text.endswith("d") and text[1:-1].isdigit():
        day = today - timedelta(days=min(int(text[1:-1]), 36_600))
    else:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise InvalidInput(
                f"expected a day such as '2026-10-01', 'yesterday' or '-7d', got {text!r}"
            ) from None
    if day > today:
        raise InvalidInput(f"{day} has not begun; the last day that there can be is {today}")
    if day.year < calendars.FIRST_YEAR:
        raise InvalidInput(f"expected a day from {calendars.FIRST_YEAR} on, got {day}")
    return day


def span(first: date, last: date) -> list[date]:
    """All days from ``first`` to ``last``.

    Raises:
        InvalidInput: none, or more than 3,660.
    """
    count = (last - first).days + 1
    if not 0 < count <= MAX_DAYS:
        raise InvalidInput(f"expected 1 to {MAX_DAYS:,} days, got {first} to {last}")
    return [first + timedelta(days=i) for i in range(count)]


def scheduled(schedule: Schedule, day: date) -> bool:
    """Whether a schedule wants values for a day: the last one of its week or month."""
    if schedule.every == "week":
        return day.isoweekday() == 7
    if schedule.every == "month":
        return (day + timedelta(days=1)).day == 1
    return True


def due_days(schedule: Schedule, whole: Mapping[date, bool], now_ms: int, tz: str) -> list[date]:
    """Days that should have values by now and have none, ascending. ``whole``: the days that there
    are, and whether they were made after their end. Without any: the newest day that is due.
    """
    hours, minutes = map(int, schedule.at.split(":"))
    wait_ms = (hours * 60 + minutes) * calendars.MINUTE_MS
    day = calendars.local_date(now_ms, tz) - timedelta(days=1)
    if now_ms < calendars.day_start(day + timedelta(days=1), tz) + wait_ms:
        day -= timedelta(days=1)
    made = [d for d, done in whole.items() if done]
    first = max(made) + timedelta(days=1) if made else day - timedelta(days=31)
    first = max(first, day - timedelta(days=MAX_DAYS - 1))
    wanted = [d for d in (span(first, day) if first <= day else []) if scheduled(schedule, d)]
    return wanted if made else wanted[-1:]
