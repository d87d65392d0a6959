"""Rows in final order, ready to be written or queried: :class:`SortedFrame` (a flush) and
:class:`MergedRows`.

Both give the same things: the interleave, the rows clustered by event and sorted by (ordinal,
time, rank, tie), and each property run by run. A frame is sorted by radix (three arrays of
scratch); sources, which are sorted already, are merged. Values are fetched one property at a time
and released before the next, so memory is bounded by the keys (about 30 bytes a row for a merge)
plus the widest column. Row counts are below 2^32. Objects are used by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.storage._pivot import expand, gather_lists, gather_present, positions
from zuji.engine.storage._rows import expand_users, merge, merge_index, user_keys
from zuji.engine.storage._sort import order_rows, take, ties
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted, sort_used
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.storage.frame import FrameColumn, FrameSlice
    from zuji.engine.storage.source import Source
    from zuji.engine.types import I64, U8, U16, U32, U64, Values


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
    dictionary: Dictionary | None

    def has(self, run: int) -> bool:
        """Whether any row of the run has a value."""

    def run(self, run: int) -> Packed:
        """Its values in one run, codes being those of :attr:`dictionary`.

        REQUIRES: ``has(run)``.
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
    kinds: dict[str, Kind]

    def received(self, run: int) -> I64 | int:
        """When the run's rows were received: one time, or one a row."""

    def prop(self, name: str) -> SortedProp:
        """A property; the caller drops it before it asks for the next."""


class SortedFrame:
    """A frame's rows, sorted. The order in which rows came breaks ties."""

    def __init__(self, piece: FrameSlice) -> None:
        frame = piece.frame
        start, end = piece.partition.start_ms, piece.partition.end_ms
        if frame.n and not (start <= int(frame.time.min()) and int(frame.time.max()) < end):
            raise ValueError("a row lies outside the partition of its slice")
        self._frame = frame
        self.rows = frame.n
        used = np.flatnonzero(np.bincount(frame.event, minlength=1)).tolist()
        self.names = sorted({frame.event_names[code] for code in used})
        place = {name: i for i, name in enumerate(self.names)}
        lut = np.zeros(len(frame.event_names) + 1, np.uint16)
        for code in used:
            lut[code] = place[frame.event_names[code]]
        event = lut[frame.event]
        time = (frame.time - start).astype(np.uint32)
        ordinal = np.ascontiguousarray(frame.ordinal)
        perm_time, self._perm = order_rows(ordinal, time, event, None)
        self.interleave = taken(event, perm_time)
        self.starts = np.zeros(len(self.names) + 1, np.int64)
        np.cumsum(np.bincount(event, minlength=len(self.names)), out=self.starts[1:])
        self.ordinal = taken(ordinal, self._perm)
        self.time = taken(time, self._perm)
        tie = ties(ordinal, time, perm_time)
        self.tie = taken(tie, self._perm) if tie.any() else None
        self.event = event
        self.kinds = {name: frame.columns[name].kind for name in sorted(frame.columns)}

    def received(self, run: int) -> I64 | int:
        """See :class:`SortedRows`."""
        received = self._frame.received
        return received if isinstance(received, int) else taken(received, self.rows_of(run))

    def value_counts(self, name: str) -> I64 | None:
        """Rows of each run that have a value of the property; None when all rows have."""
        rows = self._frame.columns[name].rows
        return None if rows is None else np.bincount(self.event[rows], minlength=len(self.names))

    def rows_of(self, run: int) -> U32:
        """Frame rows of a run, in order."""
        return self._perm[self.starts[run] : self.starts[run + 1]]

    def prop(self, name: str) -> FrameProp:
        """See :class:`SortedRows`."""
        return FrameProp(self, self._frame.columns[name], self.value_counts(name))


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

    def has(self, run: int) -> bool:
        """See :class:`SortedProp`."""
        return self._counts is None or bool(self._counts[run])

    def count(self, run: int) -> int:
        """Rows of the run that have a value."""
        if self._counts is None:
            return int(self._owner.starts[run + 1] - self._owner.starts[run])
        return int(self._counts[run])

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


class MergedRows:
    """Rows of several sources of one shard and partition, oldest source first."""

    def __init__(self, sources: Sequence[Source]) -> None:
        bases = {(s.shard, s.partition, s.base_ms) for s in sources}
        if len(bases) != 1:
            raise ValueError(
                f"sources of different shards or partitions cannot be merged: {sorted(bases)}"
            )
        self._sources = list(sources)
        self.rows = sum(s.rows for s in sources)
        self.names = sorted({name for s in sources for name in s.runs})
        place = {name: i for i, name in enumerate(self.names)}
        keys = np.empty(self.rows, np.uint64)
        codes = np.empty(self.rows, np.uint16)
        cuts = np.zeros(len(sources) + 1, np.int64)
        np.cumsum([s.rows for s in sources], out=cuts[1:])
        for source, a, b in zip(sources, cuts[:-1], cuts[1:], strict=True):
            codes[a:b] = _keys_of(source, place, keys[a:b])
        merged = merge(keys, codes, cuts, len(self.names))
        self.interleave, self.starts, self.ordinal, self.time, self._source, self.tie = merged
        self.kinds: dict[str, Kind] = {}
        for source in sources:
            for run in source.runs.values():
                for name, kind in run.props.items():
                    if self.kinds.setdefault(name, kind) != kind:
                        raise ValueError(
                            f"property {name!r} has two kinds in the sources of one merge"
                        )
        self.kinds = dict(sorted(self.kinds.items()))
        self._index: tuple[int, U32 | None] = (-1, None)

    def index(self, run: int) -> U32 | None:
        """Merged row -> row in the concatenation of the sources' rows of this run.

        None = the same.
        """
        if self._index[0] != run:
            parts = [s.runs.get(self.names[run]) for s in self._sources]
            counts = [0 if part is None else part.rows for part in parts]
            found: U32 | None = None
            if sum(1 for count in counts if count) > 1:
                cuts = np.zeros(len(counts) + 1, np.int64)
                np.cumsum(counts, out=cuts[1:])
                found = merge_index(self._source[self.starts[run] : self.starts[run + 1]], cuts)
            self._index = (run, found)
        return self._index[1]

    def received(self, run: int) -> I64 | int:
        """See :class:`SortedRows`."""
        parts = [s.runs[self.names[run]] for s in self._sources if self.names[run] in s.runs]
        fixed = {part.received_at for part in parts}
        if len(fixed) == 1 and None not in fixed:
            return next(iter(fixed))  # type: ignore[return-value]
        values = np.concatenate([part.received() for part in parts])
        index = self.index(run)
        return values if index is None else taken(values, index)

    def prop(self, name: str) -> MergedProp:
        """See :class:`SortedRows`."""
        return MergedProp(self, self._sources, name)


class MergedProp:
    """One property of merged rows."""

    def __init__(self, owner: MergedRows, sources: Sequence[Source], name: str) -> None:
        self._owner = owner
        self._sources = sources
        self._name = name
        self.kind = owner.kinds[name]
        self.dictionary: Dictionary | None = None
        self._luts: dict[int, U32] = {}
        if self.kind in (Kind.STRING, Kind.LIST):
            having = [i for i, s in enumerate(sources) if s.dictionary(name) is not None]
            parts = [as_dictionary(sources[i].dictionary(name)) for i in having]
            self.dictionary, luts = merge_sorted(parts)
            self._luts = dict(zip(having, luts, strict=True))

    def has(self, run: int) -> bool:
        """See :class:`SortedProp`."""
        event = self._owner.names[run]
        return any(event in s.runs and self._name in s.runs[event].props for s in self._sources)

    def run(self, run: int) -> Packed:
        """See :class:`SortedProp`."""
        event = self._owner.names[run]
        parts: list[tuple[int, Packed | None]] = []
        for i, source in enumerate(self._sources):
            part = source.runs.get(event)
            if part is None:
                continue
            packed = part.packed(self._name)
            if packed is not None and self._luts:
                packed = Packed(taken(self._luts[i], packed.values), packed.present, packed.offsets)
            parts.append((part.rows, packed))
        index = self._owner.index(run)
        if index is None and len(parts) == 1 and parts[0][1] is not None:
            return parts[0][1]
        return _merged(parts, index, self.kind)


def _merged(parts: list[tuple[int, Packed | None]], index: U32 | None, kind: Kind) -> Packed:
    """Concatenates the parts of a run and brings them into merged order."""
    present: U8 | None = None
    if any(packed is None or packed.present is not None for _, packed in parts):
        present = np.concatenate([_presence(rows, packed) for rows, packed in parts])
    held = [packed for _, packed in parts if packed is not None]
    values = np.concatenate([packed.values for packed in held])
    assert index is not None, "a run of one source is not merged"
    chosen: U32 = index
    if present is not None:
        # number of each row among those that have a value, then the merged order restricted to
        # such rows
        numbers = (np.cumsum(present, dtype=np.uint32) - np.uint32(1)).astype(np.uint32)
        ordered = taken(present, index)
        chosen = taken(numbers, np.ascontiguousarray(index[ordered.view(np.bool_)]))
        present = ordered
    if kind == Kind.LIST:
        offsets, items = gather_lists(_joined(held), values, chosen)
        return Packed(items, present, offsets)
    return Packed(taken(values, chosen), present)


def _presence(rows: int, packed: Packed | None) -> U8:
    if packed is None:
        return np.zeros(rows, np.uint8)
    return np.ones(rows, np.uint8) if packed.present is None else packed.present


def _joined(parts: list[Packed]) -> U32:
    """Offsets of concatenated lists."""
    lengths = [np.diff(p.offsets) for p in parts if p.offsets is not None]
    offsets = np.zeros(sum(len(part) for part in lengths) + 1, np.uint32)
    np.cumsum(np.concatenate(lengths), out=offsets[1:])
    return offsets


def _keys_of(source: Source, place: dict[str, int], keys: U64) -> U16:
    """Fills the keys of a source in user order; returns its event codes in the merged numbering."""
    codes, names = source.interleave()
    starts = np.zeros(len(names) + 1, np.int64)
    np.cumsum([source.runs[name].rows for name in names], out=starts[1:])
    ordinal, time = np.empty(source.rows, np.uint32), np.empty(source.rows, np.uint32)
    for name, a, b in zip(names, starts[:-1], starts[1:], strict=True):
        run = source.runs[name]
        expand_users(*run.users(), ordinal[a:b])
        time[a:b] = run.times()
    user_keys(codes, ordinal, time, starts, keys)
    return np.array([place[name] for name in names] or [0], np.uint16)[codes]


def taken(values: Any, rows: Any) -> Any:
    """``values[rows]``, contiguous, without the GIL."""
    out = np.empty(len(rows), values.dtype)
    take(np.ascontiguousarray(values), rows, out)
    return out


def keys_in_order(source: Source) -> tuple[U32, U32]:
    """(ordinal, time) of every row of a source in user order, uint32[rows] each. O(rows)."""
    keys = np.empty(source.rows, np.uint64)
    _keys_of(source, {name: i for i, name in enumerate(source.runs)}, keys)
    return (keys >> np.uint64(32)).astype(np.uint32), keys.astype(np.uint32)
