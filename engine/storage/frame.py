"""Frame: rows of one flush or bulk chunk before they are sorted, dense a property.

A frame may hold every shard and partition; :meth:`Frame.slices` splits it into one
:class:`FrameSlice` for each shard x partition that has rows, keeping the order in which rows came:
that order is the tie-break of the row order, so it is never lost. Frames are built once and not
changed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from zuji.engine.storage._pivot import gather_lists, group_rows
from zuji.engine.storage._sort import take
from zuji.engine.storage.build import SortedFrame
from zuji.engine.storage.partition import Partition, partition_of
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.storage.build import SortedRows
    from zuji.engine.types import I64, U16, U32, Values

A = TypeVar("A", bound="np.ndarray[Any, Any]")

DTYPES = {
    Kind.BOOL: np.uint8,
    Kind.INT: np.int64,
    Kind.FLOAT: np.float64,
    Kind.DATETIME: np.int64,
    Kind.STRING: np.uint32,
    Kind.LIST: np.uint32,
}
"""numpy type of the values of a kind, in frames, segments and columns alike."""


@dataclass(slots=True)
class FrameColumn:
    """Values of one property.

    ``values``: one a row listed in ``rows`` (all rows when None), typed by :data:`DTYPES`; LIST
    holds the items of all lists, list i owning ``offsets[i]:offsets[i+1]``. STRING and LIST values
    are codes of ``dictionary``. ``rows``: uint32, ascending row numbers that have a value.
    """

    kind: Kind
    values: Values
    rows: U32 | None = None
    dictionary: Sequence[str] | None = None
    offsets: U32 | None = None

    @property
    def count(self) -> int:
        """Number of rows that have a value."""
        return len(self.values) if self.offsets is None else len(self.offsets) - 1


@dataclass(slots=True)
class Frame:
    """Rows in the order they came. ``event`` indexes ``event_names``.

    ``received`` is one time or one a row.
    """

    n: int
    shard: U16
    ordinal: U32
    event: U16
    event_names: list[str]
    time: I64
    received: I64 | int
    columns: dict[str, FrameColumn] = field(default_factory=dict)

    def slices(self, tz: str) -> list[FrameSlice]:
        """The frame by shard x partition, ordered by (partition, shard). O(rows + cells)."""
        if self.n == 0:
            return []
        places, key = slice_keys(self.shard, self.time, tz)
        if len(places) == 1:
            return [FrameSlice(*places[0], self)]
        order, local, starts = group_rows(key, len(places))
        columns = [
            _split(column, key, local, order, starts, len(places))
            for column in self.columns.values()
        ]
        result = []
        for i, (shard, partition) in enumerate(places):
            rows = order[starts[i] : starts[i + 1]]
            frame = Frame(
                n=len(rows),
                shard=_taken(self.shard, rows),
                ordinal=_taken(self.ordinal, rows),
                event=_taken(self.event, rows),
                event_names=self.event_names,
                time=_taken(self.time, rows),
                received=self.received
                if isinstance(self.received, int)
                else _taken(self.received, rows),
                columns={
                    name: c[i] for name, c in zip(self.columns, columns, strict=True) if c[i].count
                },
            )
            for column in frame.columns.values():
                if column.rows is not None and len(column.rows) == frame.n:
                    column.rows = None
            result.append(FrameSlice(shard, partition, frame))
        return result


@dataclass(slots=True)
class FrameSlice:
    """A frame all of whose rows are of one shard and one partition."""

    shard: int
    partition: Partition
    frame: Frame

    def sorted(self) -> SortedFrame:
        """The rows in final order."""
        return SortedFrame(self.frame, self.partition)


class Slice(Protocol):
    """Unsorted rows of one shard and one partition."""

    @property
    def shard(self) -> int: ...
    @property
    def partition(self) -> Partition: ...
    def sorted(self) -> SortedRows:
        """The rows in final order."""


class Sliced(Protocol):
    """Rows of any shards and partitions that can be written: a frame, or a memtable's rows."""

    @property
    def n(self) -> int: ...
    def slices(self, tz: str) -> Sequence[Slice]:
        """The rows by shard x partition, ordered by (partition, shard)."""


def slice_keys(shard: U16, time: I64, tz: str) -> tuple[list[tuple[int, Partition]], U16 | U32]:
    """The (shard, partition) pairs that have rows, ordered by (partition, shard), and the pair of
    each row: uint16[n], uint32[n] when there are more than 65,536 pairs.
    """
    ids, bounds = partition_of(time, tz)
    shards = int(shard.max()) + 1
    first = int(min(bounds))
    wide = (ids - first).astype(np.int64) * shards + shard
    used = np.flatnonzero(np.bincount(wide))
    lut = np.zeros(int(used[-1]) + 1, np.uint16 if len(used) <= 1 << 16 else np.uint32)
    lut[used] = np.arange(len(used))
    places = []
    for place in used.tolist():
        month = first + place // shards
        places.append((place % shards, Partition(month, *bounds[month])))
    return places, lut[wide]


def _taken(values: A, rows: U32) -> A:
    out = np.empty(len(rows), values.dtype)
    take(np.ascontiguousarray(values), rows, out)
    return out  # type: ignore[return-value]


def _split(
    column: FrameColumn, key: U16 | U32, local: U32, order: U32, starts: I64, slices: int
) -> list[FrameColumn]:
    """One column by slice; row numbers become those of the slice. ``order``, ``starts``: of all
    rows.
    """
    rows = column.rows
    numbers = local
    if rows is not None:
        order, _, starts = group_rows(_taken(key, rows), slices)
        numbers = _taken(local, _taken(rows, order))
    parts = []
    for i in range(slices):
        mine = order[starts[i] : starts[i + 1]]
        mine_rows = None if rows is None else numbers[starts[i] : starts[i + 1]]
        if column.offsets is None:
            values, offsets = _taken(column.values, mine), None
        else:
            offsets, values = gather_lists(
                column.offsets, np.asarray(column.values, np.uint32), mine
            )
        parts.append(FrameColumn(column.kind, values, mine_rows, column.dictionary, offsets))
    return parts
