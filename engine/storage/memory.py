"""MemorySource: a sorted frame with the reading interface of a segment; what queries see of a
memtable.

Sorted at construction; properties are gathered when first asked for and kept, since the same view
serves many queries. Nothing points into the memtable's growing tables. Thread-safe: caches are
filled idempotently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Protocol

import numpy as np

from zuji.engine.storage._rows import user_keys
from zuji.engine.storage._sort import csr
from zuji.engine.storage.build import SortedProp, SortedRows
from zuji.engine.storage.days import days_from_rows
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.source import DayViews
from zuji.engine.types import PROFILE_EVENTS

if TYPE_CHECKING:
    from zuji.engine.storage.build import Packed
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.storage.partition import Partition
    from zuji.engine.storage.source import Zone
    from zuji.engine.types import I64, U16, U32, Column, Kind


class MemoryProp(SortedProp, Protocol):
    """A property that also counts its values, and is read run by run."""

    def count(self, run: int) -> int:
        """Rows of the run that have a value."""

    def alone(self, run: int) -> tuple[Packed, Dictionary | None]:
        """Values of one run and the strings of their codes, without reading other runs."""


class MemoryRows(SortedRows, Protocol):
    """Sorted rows whose properties count their values."""

    def kinds_of(self, run: int) -> Mapping[str, Kind]:
        """Properties that a row of the run has, sorted by name."""

    def prop(self, name: str) -> MemoryProp:
        """A property."""


class MemorySlice(Protocol):
    """What a memory source is made of: a slice of a frame or of a memtable."""

    @property
    def shard(self) -> int: ...
    @property
    def partition(self) -> Partition: ...
    def sorted(self) -> MemoryRows:
        """The rows in final order."""


class _Rows:
    """Sorted rows and what was prepared of them: what a source and its runs share. It knows of
    neither, so that they go with their last reader and need no garbage collector.
    """

    __slots__ = ("base_ms", "day_edges", "props", "sorted")

    def __init__(self, piece: MemorySlice, day_edges: I64) -> None:
        self.sorted = piece.sorted()
        self.base_ms = piece.partition.start_ms
        self.day_edges = day_edges
        self.props: dict[str, MemoryProp] = {}

    def prop(self, name: str) -> MemoryProp:
        """A property, prepared once."""
        found = self.props.get(name)
        if found is None:
            found = self.props[name] = self.sorted.prop(name)
        return found


class MemorySource:
    """Rows of one shard and partition in memory. See :class:`zuji.engine.storage.source.Source`."""

    def __init__(self, piece: MemorySlice, rank: int, day_edges: I64) -> None:
        self.shard = piece.shard
        self.partition = piece.partition.id
        self.base_ms = piece.partition.start_ms
        self.end_ms = piece.partition.end_ms
        self.rank = rank
        self.serial: int | None = None
        """Number of rows that stay as they are for many queries; None: not worth keeping things."""
        self.day_edges = day_edges
        self._rows = _Rows(piece, day_edges)
        self.sorted = self._rows.sorted
        self.rows = self.sorted.rows
        self._index: Days | None = None
        self._users: U32 | None = None
        spans = _spans(self.sorted)
        self.runs: Mapping[str, MemoryRun] = _Runs(self._rows, spans)
        shown = zip(self.sorted.names, spans[-1], strict=True)
        self._newest = max((last for name, last in shown if name not in PROFILE_EVENTS), default=-1)

    def with_rank(self, rank: int) -> MemorySource:
        """The same rows (and caches) at another rank."""
        if rank == self.rank:
            return self
        other = copy(self)
        other.rank = rank
        return other

    def prop(self, name: str) -> MemoryProp:
        """A property, prepared once."""
        return self._rows.prop(name)

    def interleave(self) -> tuple[U16, list[str]]:
        """See :class:`Source`."""
        return self.sorted.interleave, list(self.sorted.names)

    def dictionary(self, prop: str) -> Dictionary | None:
        """See :class:`Source`."""
        return self.prop(prop).dictionary if prop in self.sorted.kinds else None

    @property
    def index(self) -> Days | None:
        """See :class:`Source`."""
        if self._index is None and len(self.day_edges) > 1:
            ordinal, time = self._behaviour()
            self._index = days_from_rows(ordinal, time, self.base_ms, self.day_edges)
        return self._index

    @property
    def user_count(self) -> int:
        """See :class:`Source`."""
        return len(self.user_list())

    @property
    def newest_ms(self) -> int | None:
        """See :class:`Source`."""
        return None if self._newest < 0 else self.base_ms + self._newest

    def user_list(self) -> U32:
        """See :class:`Source`. Made once."""
        if self._users is None:
            self._users = csr(self._behaviour()[0])[0]
        return self._users

    def _behaviour(self) -> tuple[U32, U32]:
        """(ordinal, time) of every row but profile records, in user order. O(rows)."""
        rows = self.sorted
        keys = np.empty(self.rows, np.uint64)
        user_keys(rows.interleave, rows.ordinal, rows.time, rows.starts, keys)
        hidden = [i for i, name in enumerate(rows.names) if name in PROFILE_EVENTS]
        if hidden:
            keys = keys[~np.isin(rows.interleave, hidden)]
        return (keys >> np.uint64(32)).astype(np.uint32), keys.astype(np.uint32)

    def close(self) -> None:
        """Nothing to do: memory goes with the last reader."""


class _Runs(Mapping[str, "MemoryRun"]):
    """Runs by event, made when asked for: most queries read few of them. Thread-safe."""

    __slots__ = ("_made", "_owner", "_places", "_spans")

    def __init__(self, owner: _Rows, spans: tuple[list[int], ...]) -> None:
        self._owner = owner
        self._places = {name: place for place, name in enumerate(owner.sorted.names)}
        self._spans = spans
        self._made: dict[str, MemoryRun] = {}

    def __getitem__(self, name: str) -> MemoryRun:
        found = self._made.get(name)
        if found is None:
            place = self._places[name]
            made = MemoryRun(self._owner, place, name, *(column[place] for column in self._spans))
            found = self._made.setdefault(name, made)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _spans(rows: SortedRows) -> tuple[list[int], list[int], list[int], list[int]]:
    """First row, end, earliest and latest time of each run."""
    starts = rows.starts.tolist()
    if len(starts) < 2:
        return [], [], [], []
    first = np.minimum.reduceat(rows.time, rows.starts[:-1])
    last = np.maximum.reduceat(rows.time, rows.starts[:-1])
    return starts[:-1], starts[1:], first.tolist(), last.tolist()


class MemoryRun(DayViews):
    """One event of a memory source. See :class:`zuji.engine.storage.source.Run`."""

    __slots__ = (
        "_columns",
        "_csr",
        "_index",
        "_number",
        "_owner",
        "_packed",
        "_props",
        "base_ms",
        "event",
        "max_ms",
        "min_ms",
        "rows",
    )

    def __init__(
        self,
        owner: _Rows,
        number: int,
        event: str,
        start: int,
        end: int,
        first: int,
        last: int,
    ) -> None:
        self._owner = owner
        self._number = number
        self._csr: tuple[U32, U32] | None = None
        self._index: Days | None = None
        self._packed: dict[str, Packed] = {}
        self._columns: dict[str, Column] = {}
        self.event = event
        self.rows = end - start
        self.base_ms = owner.base_ms
        self.min_ms = owner.base_ms + first
        self.max_ms = owner.base_ms + last
        self._props: Mapping[str, Kind] | None = None

    def _span(self) -> slice:
        starts = self._owner.sorted.starts
        return slice(int(starts[self._number]), int(starts[self._number + 1]))

    @property
    def props(self) -> Mapping[str, Kind]:
        """See :class:`Run`."""
        if self._props is None:
            self._props = self._owner.sorted.kinds_of(self._number)
        return self._props

    @property
    def user_count(self) -> int:
        """See :class:`Run`."""
        return len(self.users()[0])

    @property
    def received_at(self) -> int | None:
        """See :class:`Run`."""
        received = self._owner.sorted.received(self._number)
        return received if isinstance(received, int) else None

    @property
    def index(self) -> Days | None:
        """See :class:`Run`."""
        if self._index is None and len(self._owner.day_edges) > 1:
            rows, span = self._owner.sorted, self._span()
            self._index = days_from_rows(
                rows.ordinal[span], rows.time[span], self.base_ms, self._owner.day_edges
            )
        return self._index

    def users(self) -> tuple[U32, U32]:
        """See :class:`Run`."""
        if self._csr is None:
            self._csr = csr(self._owner.sorted.ordinal[self._span()])
        return self._csr

    def times(self) -> U32:
        """See :class:`Run`."""
        times: U32 = self._owner.sorted.time[self._span()]
        return times

    def ties(self) -> U16 | None:
        """See :class:`Run`."""
        tie = self._owner.sorted.tie
        if tie is None:
            return None
        mine = tie[self._span()]
        return mine if mine.any() else None

    def received(self) -> I64:
        """See :class:`Run`."""
        received = self._owner.sorted.received(self._number)
        return np.full(self.rows, received, np.int64) if isinstance(received, int) else received

    def packed(self, name: str) -> Packed | None:
        """See :class:`Run`."""
        if name not in self.props:
            return None
        found = self._packed.get(name)
        if found is None:
            found = self._packed[name] = self._owner.prop(name).run(self._number)
        return found

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        if name not in self.props:
            return None
        found = self._columns.get(name)
        if found is None:
            packed, strings = self._owner.prop(name).alone(self._number)
            found = packed.column(self.props[name], strings)
            # The first to end is kept: all who ask get one dictionary.
            found = self._columns.setdefault(name, found)
        return found

    def presence_count(self, name: str) -> int:
        """See :class:`Run`."""
        return self._owner.prop(name).count(self._number) if name in self.props else 0

    def zone(self, name: str) -> Zone | None:
        """None: rows in memory are read faster than their zone would be found."""
        return None

    def nbytes(self, name: str | None) -> int:
        """See :class:`Run`; bytes in memory."""
        if name is None:
            return 8 * self.rows
        if name not in self.props:
            return 0
        return self.presence_count(name) * np.dtype(DTYPES[self.props[name]]).itemsize
