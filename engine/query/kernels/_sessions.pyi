"""Sessions of users as records, and what they come to."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zuji.engine.query.kernels.session import NO_MS as NO_MS
from zuji.engine.query.kernels.session import SessionCells, SessionCut, SessionRecords
from zuji.engine.query.kernels.walk import Walk
from zuji.engine.types import I64, U8, U32

COUNTS: int
STARTS: int
ENDS: int
"""Flags of a row: the code that a walk gives it is their sum."""
MAX_GROUPS: int
CELL: int
RECORD: np.dtype[Any]

def session_records(
    sources: Sequence[Walk],
    *,
    users: int,
    rule: SessionCut,
    groups: int | None = None,
    memory_bytes: int = ...,
    allowed: U8 | None = None,
    cancel: U8 | None = None,
) -> SessionRecords:
    """The sessions of a shard, by user and time.

    sources: sorted by (partition, rank). groups: codes of rows are flags, and groups of rows lie
    below it; None: the rows of a run with code 0 count, those of HIDDEN ones and those that a mask
    leaves out only hold sessions together, and there are no groups, starts or ends.
    O(rows). GIL released. Raises ValueError when arrays do not belong together, MemoryError beyond
    the bound, QueryCancelled.
    """

def session_cells(
    records: np.ndarray[Any, np.dtype[Any]],
    *,
    edges: I64,
    lines: tuple[U32, U32],
    n_lines: int,
    slots: I64 | None = None,
    by_depth: bool = False,
    open_ms: int = 1 << 62,
    cancel: U8 | None = None,
) -> SessionCells:
    """What records come to. REQUIRES: those of a user stand together.

    edges int64[B + 1] of buckets of the start; every record starts in one. lines: (offsets
    uint32[numbers + 1], lines): number i stands in lines[offsets[i]:offsets[i + 1]]. slots: lower
    edges of intervals of the duration, or (by_depth) of the depth; one more slot is for sessions
    without a duration; what lies below the first edge is in none. open_ms: sessions with a row at
    this time or later may go on. GIL released. Raises ValueError, QueryCancelled.
    """

def online_peaks(starts: I64, ends: I64, edges: I64, cancel: U8 | None = None) -> tuple[I64, I64]:
    """The most intervals [start, end] (closed, ms) that hold one instant of each bucket, and the
    first such instant (-1: none holds any). REQUIRES: both lists ascend, each by itself.

    edges int64[B + 1], ascending. O(intervals + buckets). GIL released. Raises ValueError,
    QueryCancelled.
    """
