"""Time partitions: calendar months of the project's time zone, and the local days inside them.

A partition's id is ``year * 12 + month - 1`` of the local date; its bounds are UTC milliseconds. A
segment holds one shard of one partition, so times inside it fit an unsigned 32-bit offset from the
partition's start. Bounds come from :mod:`zuji.engine.calendars`, the one place that knows clock
changes. Pure functions, with caches.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from itertools import pairwise
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
    first, edges = months_of(int(times.min()), int(times.max()), tz)
    bounds = {first + i: (a, b) for i, (a, b) in enumerate(pairwise(edges.tolist()))}
    if len(bounds) == 1:
        return np.full(len(times), first, np.int32), bounds
    index = np.searchsorted(edges, times, side="right") + (first - 1)
    return index.astype(np.int32), bounds


def months_of(first_ms: int, last_ms: int, tz: str) -> tuple[int, I64]:
    """Partitions from that of one instant to that of a later one: id of the first, and edges
    int64[months + 1] ms UTC.
    """
    years = [calendars.local_date(ms, tz).year for ms in (first_ms, last_ms)]
    edges = _months(tz, years[0], years[1])
    low = int(np.searchsorted(edges, first_ms, side="right")) - 1
    high = int(np.searchsorted(edges, last_ms, side="right")) - 1
    return years[0] * 12 + low, edges[low : high + 2]


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
