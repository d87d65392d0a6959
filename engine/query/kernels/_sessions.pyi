"""Sessions of users as records, and what they come to."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, final

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
    into: SessionTally | Online | None = None,
) -> SessionRecords:
    """The sessions of a shard, by user and time. ``into``: takes them, and none are given back.

    sources: sorted by (partition, rank). groups: codes of rows are flags, and groups of rows lie
    below it; None: the rows of a run with code 0 count, those of HIDDEN ones and those that a mask
    leaves out only hold sessions together, and there are no groups, starts or ends.
    O(rows). GIL released. Raises ValueError when arrays do not belong together, MemoryError beyond
    the bound, QueryCancelled.
    """

@final
class SessionTally:
    """What the records of a shard come to."""

    def __new__(
        cls,
        *,
        edges: I64,
        lines: tuple[U32, U32],
        n_lines: int,
        slots: I64 | None = None,
        by_depth: bool = False,
        open_ms: int = 1 << 62,
    ) -> Self:
        """edges int64[B + 1] of buckets of the start; every record starts in one. lines: (offsets
        uint32[numbers + 1], lines): number i stands in lines[offsets[i]:offsets[i + 1]]. slots:
        lower edges of intervals of the duration, or (by_depth) of the depth; one more slot is for
        sessions without a duration; what lies below the first edge is in none. open_ms: sessions
        with a row at this time or later may go on. Raises ValueError.
        """

    @property
    def nbytes(self) -> int:
        """Memory held."""

    def add(self, records: np.ndarray[Any, np.dtype[Any]], cancel: U8 | None = None) -> None:
        """Adds records; those of a user stand together. O(records · lines of a number). GIL
        released. Raises ValueError, QueryCancelled.
        """

    def found(self, n_lines: int) -> SessionCells:
        """Cells of the first ``n_lines`` lines; good as long as nothing is added."""

def session_cells(
    records: np.ndarray[Any, np.dtype[Any]],
    *,
    n_lines: int,
    cancel: U8 | None = None,
    **asked: Any,
) -> SessionCells:
    """The cells of records; the rest as :class:`SessionTally` has it."""

@final
class Online:
    """When the users of a shard were online: intervals, and counts of them by slot of time."""

    def __new__(cls, edges: I64, *, tail_ms: int = 0, memory_bytes: int = ...) -> Self:
        """edges int64[B + 1], ascending. tail_ms: how long users stay after the end of a session;
        until the next one of theirs at most. Raises ValueError.
        """

    @property
    def nbytes(self) -> int:
        """Memory held."""

    def add(self, records: np.ndarray[Any, np.dtype[Any]], cancel: U8 | None = None) -> None:
        """Adds records, by user and time; all of a shard are added before peaks are asked for.
        O(records). GIL released. Raises ValueError, MemoryError beyond the bound, QueryCancelled.
        """

def online_peaks(
    given: Sequence[Online],
    cancel: U8 | None = None,
    each: Callable[[Callable[[Any], Any], list[Any]], Iterable[Any]] | None = None,
) -> tuple[I64, I64, I64]:
    """The most intervals that hold one instant of each bucket; the first such instant (-1: none
    holds any); ms that all intervals have in it, each [start, end] being end + 1 - start.

    given: shards, of the same edges. each: maps a function over them, on threads for one.
    O(intervals + slots + B), and sorting what lies where a peak can be. GIL released. Raises
    QueryCancelled.
    """
