"""What a tag sees on its day: the project as it was at the end of that day in the project's zone.

Events after the day are left out, properties of users and other tags are those in force at its end,
and so is what is relative in a rule (``-30d``, ``within_last``). So a day that is made again later
gives the same values, but for what came in late. One moment serves one tag; thread-safe.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine import calendars
from zuji.engine.query.bind import Bound
from zuji.engine.query.model import Envelope
from zuji.engine.query.ranges import Range
from zuji.engine.query.reader import ShardReader
from zuji.engine.storage.segment import shared

if TYPE_CHECKING:
    from datetime import date

    from zuji.engine.query.context import Context
    from zuji.engine.query.view import View
    from zuji.engine.types import U8


class Moment:
    """The end of ``day``. ``end_ms``: the first instant after it."""

    def __init__(self, view: View, context: Context, day: date) -> None:
        self.day = day
        self.end_ms = calendars.day_start(day + timedelta(days=1), view.tz)
        self.view = view.at(self.end_ms - 1)
        self.context = context

    def begin_ms(self, days: int | None) -> int:
        """First instant of the last ``days``, the day itself among them; None: of all time."""
        if days is None:
            return calendars.MIN_MS
        first = self.day - timedelta(days=days - 1)
        return calendars.day_start(first, self.view.tz)

    def bound(self, days: int | None) -> Bound:
        """A question about the last ``days``, for audiences."""
        span = Range(self.begin_ms(days), self.end_ms, self.view.tz, "all")
        return Bound(Envelope(body=None), self.view, self.context, span, None, self.end_ms)

    def reader(self, shard: int) -> ShardReader:
        """Reads a shard, properties of users as of the moment."""
        return ShardReader(self.view, shard, self.context, at_ms=self.end_ms - 1)

    def known(self, shard: int) -> U8:
        """Who had an event or a profile by then, uint8[users]. O(users of all runs)."""
        return known_by(self.view, self.context, shard, self.end_ms)


def known_by(view: View, context: Context, shard: int, end_ms: int) -> U8:
    """Who had an event or a profile before an instant, uint8[users]. O(users of all runs)."""
    known = np.zeros(view.users[shard], np.uint8)
    for source in view.sources[shard]:
        for run in source.runs.values():
            context.check()
            if run.min_ms >= end_ms:
                continue
            users, offsets = shared(run).users()
            if run.max_ms >= end_ms:
                # Rows of a user ascend in time.
                rows = np.flatnonzero(np.diff(offsets))
                first = shared(run).times()[offsets[rows]].astype(np.int64) + run.base_ms
                users = users[rows[first < end_ms]]
            known[users] = 1
    return known
