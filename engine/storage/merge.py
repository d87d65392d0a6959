"""Merging sorted sources: :class:`MergedRows`, the rows of several segments in final order.

Sources are merged by their keys, read along their interleave; the merge says which source each row
comes from, and then every column of a run is one sequential read of each source. Memory: about 45
bytes a row for the keys, and the widest property of one run. Used by one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage._rows import expand_users, merge, merge_index, user_keys
from zuji.engine.storage.build import Packed, taken
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted
from zuji.engine.types import PROFILE_EVENTS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.storage.source import Source
    from zuji.engine.types import I64, U8, U16, U32, U64


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


def keys_in_order(source: Source) -> tuple[U32, U32]:
    """(ordinal, time) of every row of a source in user order, uint32[rows] each. O(rows)."""
    keys = np.empty(source.rows, np.uint64)
    _keys_of(source, {name: i for i, name in enumerate(source.runs)}, keys)
    return (keys >> np.uint64(32)).astype(np.uint32), keys.astype(np.uint32)


def behaviour_in_order(source: Source) -> tuple[U32, U32]:
    """:func:`keys_in_order` without profile records. O(rows)."""
    ordinal, time = keys_in_order(source)
    codes, names = source.interleave()
    hidden = [i for i, name in enumerate(names) if name in PROFILE_EVENTS]
    if not hidden:
        return ordinal, time
    shown = ~np.isin(codes, hidden)
    return ordinal[shown], time[shown]


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
