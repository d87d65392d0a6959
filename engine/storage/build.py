"""Rows in final order, ready to be written or queried: :class:`SortedRows`, and those of a frame.

Sorted rows give the interleave, the rows clustered by event and sorted by (ordinal, time, rank,
tie), and each property run by run. There are three kinds: :class:`SortedFrame` (bulk loads),
:class:`~zuji.engine.storage.cells.SortedCells` (memtables) and
:class:`~zuji.engine.storage.merge.MergedRows` (compaction).
Unsorted rows are sorted by radix, with 24 bytes a row of scratch. Properties are fetched one at a
time. Row counts are below 2^32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.storage._pivot import expand, gather_lists, gather_present, positions
from zuji.engine.storage._sort import order_rows, take, ties
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, sort_used
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zuji.engine.storage.frame import Frame, FrameColumn
    from zuji.engine.storage.partition import Partition
    from zuji.engine.types import I64, U8, U16, U32, Values


@dataclass(frozen=True, slots=True)
class Packed:
    """Values of one property of one run: only those of rows that have one.

    ``present`` uint8[rows], None when every row has a value. LIST: ``offsets`` uint32[count+1]
    over ``values``.
    """

    values: Values
    present: U8 | None = None
    offsets: U32 | None = None

    @property
    def count(self) -> int:
        """Number of rows that have a value."""
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    def column(self, kind: Kind, dictionary: Dictionary | None) -> Column:
        """The same values spread over all rows."""
        if self.present is None:
            return Column(kind, self.values, None, dictionary, self.offsets)
        if self.offsets is None:
            return Column(kind, expand(self.values, self.present), self.present, dictionary)
        lengths = expand(np.diff(self.offsets), self.present)
        offsets = np.zeros(len(lengths) + 1, np.uint32)
        np.cumsum(lengths, out=offsets[1:])
        return Column(kind, self.values, self.present, dictionary, offsets)


class SortedProp(Protocol):
    """One property of sorted rows."""

    kind: Kind

    @property
    def dictionary(self) -> Dictionary | None:
        """Strings that codes stand for; None when it has none."""

    def runs(self) -> Sequence[int]:
        """Runs of which any row has a value, ascending."""

    def run(self, run: int) -> Packed:
        """Its values in one run, codes being those of :attr:`dictionary`.

        REQUIRES: any row of it has a value.
        """


class SortedRows(Protocol):
    """Rows of one shard and partition in final order.

    ``names``: event names, sorted, each with rows; ``interleave`` uint16[rows]: index into names,
    in user order. Clustered by event, run i owning ``starts[i]:starts[i+1]``: ``ordinal``,
    ``time`` (ms after the partition's start) uint32 and ``tie`` uint16 (None = all 0). ``kinds``:
    properties, sorted by name.
    """

    rows: int
    names: list[str]
    starts: I64
    interleave: U16
    ordinal: U32
    time: U32
    tie: U16 | None

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Properties that a row has, sorted by name."""

    def received(self, run: int) -> I64 | int:
        """When the run's rows were received: one time, or one a row."""

    def prop(self, name: str) -> SortedProp:
        """A property; the caller drops it before it asks for the next."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Keys of rows in final order: what every :class:`SortedRows` made of unsorted rows starts
    from.

    ``perm`` uint32[rows]: the input row at each place, clustered by event. ``event`` uint16[rows]:
    index into ``names`` of each input row. The rest as in :class:`SortedRows`.
    """

    rows: int
    names: list[str]
    starts: I64
    interleave: U16
    ordinal: U32
    time: U32
    tie: U16 | None
    perm: U32
    event: U16

    def span(self, run: int) -> slice:
        """Places of a run."""
        return slice(int(self.starts[run]), int(self.starts[run + 1]))


def order(
    ordinal: U32, time_ms: I64, codes: U16, event_names: Sequence[str], partition: Partition
) -> Ordered:
    """Sorts rows of one shard and partition. The order in which they came breaks ties.

    Raises:
        ValueError: a time lies outside the partition.
        OverflowError: more than 65,536 rows of one user at one instant.
    """
    start, end = partition.start_ms, partition.end_ms
    n = len(ordinal)
    if n and not (start <= int(time_ms.min()) and int(time_ms.max()) < end):
        raise ValueError("a row lies outside the partition of its slice")
    used = np.flatnonzero(np.bincount(codes, minlength=1)).tolist()
    names = sorted({event_names[code] for code in used})
    place = {name: i for i, name in enumerate(names)}
    lut = np.zeros(len(event_names) + 1, np.uint16)
    for code in used:
        lut[code] = place[event_names[code]]
    event = taken(lut, codes.astype(np.uint32))
    time = (time_ms - start).astype(np.uint32)
    ordinal = np.ascontiguousarray(ordinal)
    perm_time, perm = order_rows(ordinal, time, event, None)
    starts = np.zeros(len(names) + 1, np.int64)
    np.cumsum(np.bincount(event, minlength=len(names)), out=starts[1:])
    tie = ties(ordinal, time, perm_time)
    return Ordered(
        rows=n,
        names=names,
        starts=starts,
        interleave=taken(event, perm_time),
        ordinal=taken(ordinal, perm),
        time=taken(time, perm),
        tie=taken(tie, perm) if tie.any() else None,
        perm=perm,
        event=event,
    )


class OrderedRows:
    """The part of :class:`SortedRows` that keys alone answer."""

    def __init__(self, keys: Ordered, received: I64 | int) -> None:
        self.keys = keys
        self.rows = keys.rows
        self.names = keys.names
        self.starts = keys.starts
        self.interleave = keys.interleave
        self.ordinal = keys.ordinal
        self.time = keys.time
        self.tie = keys.tie
        self._received = received

    def received(self, run: int) -> I64 | int:
        """See :class:`SortedRows`."""
        if isinstance(self._received, int):
            return self._received
        received: I64 = taken(self._received, self.rows_of(run))
        return received

    def rows_of(self, run: int) -> U32:
        """Input rows of a run, in order."""
        return self.keys.perm[self.keys.span(run)]


class SortedFrame(OrderedRows):
    """A frame's rows, sorted."""

    def __init__(self, frame: Frame, partition: Partition) -> None:
        keys = order(frame.ordinal, frame.time, frame.event, frame.event_names, partition)
        super().__init__(keys, frame.received)
        self._frame = frame
        self.kinds = {name: frame.columns[name].kind for name in sorted(frame.columns)}

    def kinds_of(self, run: int) -> dict[str, Kind]:
        """Properties that a row of the run has, sorted by name."""
        return {name: kind for name, kind in self.kinds.items() if self.prop(name).count(run)}

    def prop(self, name: str) -> FrameProp:
        """See :class:`SortedRows`."""
        column = self._frame.columns[name]
        counts = None
        if column.rows is not None:
            counts = np.bincount(self.keys.event[column.rows], minlength=len(self.names))
        return FrameProp(self, column, counts)


class FrameProp:
    """One property of a sorted frame."""

    def __init__(self, owner: SortedFrame, column: FrameColumn, counts: I64 | None) -> None:
        self.kind = column.kind
        self._owner = owner
        self._column = column
        self.dictionary: Dictionary | None = None
        self._lut: U32 | None = None
        if column.kind in (Kind.STRING, Kind.LIST):
            strings = as_dictionary(column.dictionary)
            used = np.zeros(len(strings), np.uint8)
            used[column.values] = 1
            self.dictionary, self._lut = sort_used(strings, used)
        self._position: U32 | None = None
        self._counts = counts
        if column.rows is not None:
            self._position = positions(np.ascontiguousarray(column.rows), owner.rows)

    def runs(self) -> Sequence[int]:
        """See :class:`SortedProp`."""
        if self._counts is None:
            return range(len(self._owner.names))
        having: list[int] = np.flatnonzero(self._counts).tolist()
        return having

    def count(self, run: int) -> int:
        """Rows of the run that have a value."""
        if self._counts is None:
            return int(self._owner.starts[run + 1] - self._owner.starts[run])
        return int(self._counts[run])

    def alone(self, run: int) -> tuple[Packed, Dictionary | None]:
        """Values of one run and the strings of their codes."""
        return self.run(run), self.dictionary

    def run(self, run: int) -> Packed:
        """See :class:`SortedProp`."""
        column, rows = self._column, self._owner.rows_of(run)
        present: U8 | None = None
        offsets: U32 | None = None
        values: Any
        if column.offsets is not None:
            index = rows
            if self._position is not None:
                numbers = np.arange(column.count, dtype=np.uint32)
                index, present = gather_present(self._position, rows, numbers)
            offsets, values = gather_lists(
                column.offsets, np.asarray(column.values, np.uint32), index
            )
        elif self._position is None:
            values = taken(column.values, rows)
        else:
            values, present = gather_present(
                self._position, rows, np.ascontiguousarray(column.values)
            )
        if present is not None and self._counts is not None and self._counts[run] == len(rows):
            present = None
        if self._lut is not None:
            values = taken(self._lut, values)
        return Packed(values, present, offsets)


def taken(values: Any, rows: Any) -> Any:
    """``values[rows]``, contiguous, without the GIL."""
    out = np.empty(len(rows), values.dtype)
    take(np.ascontiguousarray(values), rows, out)
    return out
