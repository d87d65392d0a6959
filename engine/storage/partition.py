"""Time partitions: calendar months of the project's time zone, and the local days inside them.

A partition's id is ``year * 12 + month - 1`` of the local date; its bounds are UTC milliseconds. A
segment holds one shard of one partition, so times inside it fit an unsigned 32-bit offset from the
partition's start. Bounds come from :mod:`zuji.engine.calendars`, the one place that knows clock
changes. Pure functions, with caches.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zuji.engine import calendars

if TYPE_CHECKING:
    from zuji.engine.types import I32, I64


class Partition(NamedTuple):
    """One month: ``[start_ms, end_ms)`` UTC."""

    id: int
    start_ms: int
    end_ms: int


def partition_of(times: I64, tz: str) -> tuple[I32, dict[int, tuple[int, int]]]:
    """Partition of every row. O(rows · log months), O(rows) when one month holds them all.

    Args:
        times: int64[n] ms UTC.
        tz: IANA name of the project's time zone.

    Returns:
        ids int32[n], and the bounds ``{id: (start_ms, end_ms)}`` of the months between the first
        and the last row.
    """
    if not len(times):
        return np.empty(0, np.int32), {}
    first, last = int(times.min()), int(times.max())
    years = [calendars.local_date(ms, tz).year for ms in (first, last)]
    edges = _months(tz, years[0], years[1])
    low = int(np.searchsorted(edges, first, side="right")) - 1
    high = int(np.searchsorted(edges, last, side="right")) - 1
    origin = years[0] * 12
    bounds = {origin + i: (int(edges[i]), int(edges[i + 1])) for i in range(low, high + 1)}
    if low == high:
        return np.full(len(times), origin + low, np.int32), bounds
    index = np.searchsorted(edges, times, side="right") + (origin - 1)
    return index.astype(np.int32), bounds


@lru_cache(maxsize=256)
def _months(tz: str, first_year: int, last_year: int) -> I64:
    """Edges of the months of whole local years."""
    start = calendars.day_start(date(first_year, 1, 1), tz)
    end = calendars.day_start(date(last_year + 1, 1, 1), tz)
    return calendars.edges(tz, start, end, "month")


@lru_cache(maxsize=1024)
def day_edges(tz: str, start_ms: int, end_ms: int) -> I64:
    """Edges of the local days of ``[start_ms, end_ms)``: int64[days + 1] ms UTC."""
    return calendars.edges(tz, start_ms, end_ms, "day")
