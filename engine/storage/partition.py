"""Time partitions: calendar months of the project's time zone, and the local days inside them.

A partition's id is ``year * 12 + month - 1`` of the local date; its bounds are UTC milliseconds. A
segment holds one shard of one partition, so times inside it fit an unsigned 32-bit offset from the
partition's start. Bounds come from :mod:`zuji.engine.calendars`, the one place that knows clock
changes. Pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zuji.engine import calendars

if TYPE_CHECKING:
    from datetime import date

    from zuji.engine.types import I32, I64


class Partition(NamedTuple):
    """One month: ``[start_ms, end_ms)`` UTC."""

    id: int
    start_ms: int
    end_ms: int


def month_id(day: date) -> int:
    """Partition id of a local date."""
    return day.year * 12 + day.month - 1


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
    edges = calendars.edges(tz, first, last + 1, "month")
    ids = [month_id(calendars.local_date(int(edge), tz)) for edge in edges[:-1]]
    bounds = {ident: (int(edges[i]), int(edges[i + 1])) for i, ident in enumerate(ids)}
    if len(ids) == 1:
        return np.full(len(times), ids[0], np.int32), bounds
    index = np.searchsorted(edges, times, side="right") - 1
    return np.array(ids, np.int32)[index], bounds


def day_edges(tz: str, start_ms: int, end_ms: int) -> I64:
    """Edges of the local days of ``[start_ms, end_ms)``: int64[days + 1] ms UTC."""
    return calendars.edges(tz, start_ms, end_ms, "day")
