"""Merging sorted sources: :class:`MergedRows`, the rows of several sources in final order.

Sources are merged by their keys, read along their interleave, a block at a time; the merge says
which source each row comes from, and then every stream of a run is gathered by that from one cursor
a source. Memory: 3 bytes a row (source and tie), dictionaries, and what :mod:`cursors` holds. Used
by one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.storage._merging import (
    MAX_SOURCES,
    KeyMerge,
    count_sources,
    relabel,
    take_present,
    take_rows,
)
from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage._rows import expand_users, user_keys
from zuji.engine.storage.build import Packed
from zuji.engine.storage.cursors import Cells, cuts_of, presence_of
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted
from zuji.engine.storage.fewer import (
    Fewer,
    FewerRun,
    cells_of,
    keys_of,
    receipts_of,
    times_of,
    users_of,
)
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import PROFILE_EVENTS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U8, U16, U32, U64

BLOCK_ROWS = 1 << 17
"""Rows of a block: its columns fit the second-level cache of a core."""
SHARE_ROWS = 1 << 14
"""Rows of a block for each source, at least, so that reading many sources costs little."""
FEED_ROWS = 1 << 22
"""Keys of all sources that are held at once, about."""
FEED_LEAST, FEED_MOST = 1 << 16, 1 << 20


class _Cursor(Protocol):
    def read(self, out: Any) -> None: ...


class MergedRows:
    """Rows of several sources of one shard and partition, oldest source first; see
    :class:`~zuji.engine.storage.blocks.RowBlocks`.
    """

    def __init__(self, sources: Sequence[Source | Fewer]) -> None:
        bases = {(s.shard, s.partition, s.base_ms) for s in sources}
        if len(bases) != 1:
            raise ValueError(
                f"sources of different shards or partitions cannot be merged: {sorted(bases)}"
            )
        if len(sources) > MAX_SOURCES:
            raise ValueError(f"at most {MAX_SOURCES} sources, not {len(sources)}")
        self._sources = list(sources)
        self._block = max(BLOCK_ROWS, SHARE_ROWS * len(sources))
        self.rows = sum(s.rows for s in sources)
        self.names = sorted({name for s in sources for name in s.runs})
        counts = [sum(s.runs[name].rows for s in sources if name in s.runs) for name in self.names]
        self.starts = cuts_of(counts)
        self._source: U8 = np.empty(0, np.uint8)
        self._tie: U16 | None = None
        self._cuts: dict[int, list[I64]] = {}  # of the blocks of each run
        self.kinds: dict[str, Kind] = {}
        self.having: dict[str, list[int]] = {}  # runs by property
        for place, event in enumerate(self.names):
            mine: set[str] = set()
            for props in [s.runs[event].props for s in sources if event in s.runs]:
                mine.update(props)
                for name, kind in props.items():
                    if self.kinds.setdefault(name, kind) != kind:
                        raise ValueError(
                            f"property {name!r} has two kinds in the sources of one merge"
                        )
            for name in mine:
                self.having.setdefault(name, []).append(place)
        self.kinds = dict(sorted(self.kinds.items()))

    def walk(self, *, keys: bool = True) -> Iterator[tuple[U16, U64 | None]]:
        """See :class:`RowBlocks`; finds the source and the tie of every row."""
        if not self.rows:
            return
        place = {name: i for i, name in enumerate(self.names)}
        self._source = np.empty(self.rows, np.uint8)
        tie = np.zeros(self.rows, np.uint16)
        merge = KeyMerge(len(self._sources), self.starts, self._source, tie)
        feeds = [keys_of(source, place) for source in self._sources]
        each = min(max(FEED_ROWS // len(feeds), FEED_LEAST), FEED_MOST)
        for number, feed in enumerate(feeds):
            merge.feed(number, *feed.read(each), feed.left == 0)
        interleave, merged = np.empty(self._block, np.uint16), np.empty(self._block, np.uint64)
        done = needed = 0
        while done < self.rows:
            filled = 0
            while filled < self._block:
                some, needed = merge.run(interleave[filled:], merged[filled:])
                filled += some
                if needed < 0:
                    break
                feed = feeds[needed]
                merge.feed(needed, *feed.read(each), feed.left == 0)
            if not filled:
                raise ValueError("merge: the sources have fewer rows than their runs")
            done += filled
            yield interleave[:filled], merged[:filled]
        self._tie = tie if merge.any_tie else None

    def keys(self, run: int) -> Iterator[tuple[U32, U32]]:
        """See :class:`RowBlocks`."""
        users = self._gather(run, [(i, users_of(part)) for i, part in self._parts(run)], np.uint32)
        return zip(users, self.times(run), strict=True)

    def times(self, run: int) -> Iterator[U32]:
        """See :class:`RowBlocks`."""
        return self._gather(run, [(i, times_of(part)) for i, part in self._parts(run)], np.uint32)

    def ties(self, run: int) -> U16 | None:
        """See :class:`RowBlocks`."""
        return None if self._tie is None else self._tie[self.starts[run] : self.starts[run + 1]]

    def received_at(self, run: int) -> int | None:
        """See :class:`RowBlocks`."""
        fixed = {part.received_at for _, part in self._parts(run)}
        return next(iter(fixed)) if len(fixed) == 1 else None

    def received(self, run: int) -> Iterator[I64]:
        """See :class:`RowBlocks`."""
        return self._gather(run, [(i, receipts_of(part)) for i, part in self._parts(run)], np.int64)

    def prop(self, name: str) -> MergedProp:
        """See :class:`RowBlocks`."""
        return MergedProp(self, self._sources, name)

    def picks(self, run: int) -> Iterator[tuple[U8, I64]]:
        """Source of each row of a run, in blocks, and where the rows of each source begin when
        those of a block are sorted by source.
        """
        known = self._cuts.setdefault(run, [])
        end = int(self.starts[run + 1])
        for number, a in enumerate(range(int(self.starts[run]), end, self._block)):
            pick = self._source[a : min(a + self._block, end)]
            if number == len(known):
                known.append(cuts_of(count_sources(pick, len(self._sources))))
            yield pick, known[number]

    def _parts(self, run: int) -> list[tuple[int, Run | FewerRun]]:
        name = self.names[run]
        return [(i, s.runs[name]) for i, s in enumerate(self._sources) if name in s.runs]

    def _gather(
        self, run: int, cursors: Sequence[tuple[int, _Cursor]], dtype: Any
    ) -> Iterator[Any]:
        """Values of cursors that have one for each row, in merged order."""
        size = min(self._block, int(self.starts[run + 1] - self.starts[run]))
        values, out = np.empty(size, dtype), np.empty(size, dtype)
        for pick, cuts in self.picks(run):
            rows = len(pick)
            if len(cursors) == 1:
                cursors[0][1].read(out[:rows])
            else:
                for i, cursor in cursors:
                    cursor.read(values[cuts[i] : cuts[i + 1]])
                take_rows(pick, values[:rows], cuts, out[:rows])
            yield out[:rows]


class MergedProp:
    """One property of merged rows; see :class:`~zuji.engine.storage.blocks.PropBlocks`."""

    def __init__(self, owner: MergedRows, sources: Sequence[Source | Fewer], name: str) -> None:
        self._owner = owner
        self._sources = sources
        self._name = name
        self.kind = owner.kinds[name]
        self.dictionary: Dictionary | None = None
        self._luts: dict[int, U32] = {}  # of sources whose codes change
        self._unread: tuple[int, dict[int, Cells | None]] = (-1, {})  # cells that nobody has read
        if self.kind in (Kind.STRING, Kind.LIST):
            having = [i for i, s in enumerate(sources) if s.dictionary(name) is not None]
            parts = [as_dictionary(sources[i].dictionary(name)) for i in having]
            self.dictionary, luts = merge_sorted(parts)
            for i, lut in zip(having, luts, strict=True):
                if not _is_identity(lut):
                    self._luts[i] = lut

    def runs(self) -> list[int]:
        """See :class:`PropBlocks`."""
        return self._owner.having[self._name]

    def presence(self, run: int) -> Iterator[U8] | None:
        """See :class:`PropBlocks`."""
        cells = self._cells(run)
        if _full(cells):
            self._unread = (run, cells)
            return None
        return self._presence(run, cells)

    def blocks(self, run: int) -> Iterator[Packed]:
        """See :class:`PropBlocks`."""
        held, cells = self._unread
        self._unread = (-1, {})
        if held != run:
            cells = self._cells(run)
        if self.kind == Kind.LIST:
            return self._lists(run, cells)
        return self._all(run, cells) if _full(cells) else self._some(run, cells)

    def _cells(self, run: int) -> dict[int, Cells | None]:
        event = self._owner.names[run]
        found = [(i, s.runs[event]) for i, s in enumerate(self._sources) if event in s.runs]
        return {i: cells_of(r, self._name) if self._name in r.props else None for i, r in found}

    def _presence(self, run: int, cells: dict[int, Cells | None]) -> Iterator[U8]:
        for pick, rows in self._owner.picks(run):
            yield self._present(pick, rows, cells)[1]

    def _present(self, pick: U8, rows: I64, cells: dict[int, Cells | None]) -> tuple[I64, U8]:
        """(where the values of each source begin, presence as merged)."""
        present, out = np.empty(len(pick), np.uint8), np.empty(len(pick), np.uint8)
        counts = [0] * len(self._sources)
        for i, of in cells.items():
            mine = present[rows[i] : rows[i + 1]]
            presence_of(of, mine)
            counts[i] = int(np.count_nonzero(mine))
        take_rows(pick, present, rows, out)
        return cuts_of(counts), out

    def _read(self, cells: dict[int, Cells | None], cuts: I64, spare: int = 0) -> Any:
        """The next values of every source end to end, codes being those of the dictionary."""
        values = np.zeros(int(cuts[-1]) + spare, DTYPES[self.kind])
        for i, of in cells.items():
            if of is not None:
                mine = values[cuts[i] : cuts[i + 1]]
                of.values.read(mine)
                if (lut := self._luts.get(i)) is not None:
                    relabel(mine, lut)
        return values

    def _all(self, run: int, cells: dict[int, Cells | None]) -> Iterator[Packed]:
        """Every row has a value."""
        for pick, cuts in self._owner.picks(run):
            values = self._read(cells, cuts)
            if len(cells) > 1:
                out = np.empty(len(pick), values.dtype)
                take_rows(pick, values, cuts, out)
                values = out
            yield Packed(values)

    def _some(self, run: int, cells: dict[int, Cells | None]) -> Iterator[Packed]:
        """Some rows have a value."""
        for pick, rows in self._owner.picks(run):
            cuts, present = self._present(pick, rows, cells)
            values = self._read(cells, cuts, 1)
            out = np.empty(len(pick) + 1, values.dtype)
            count = take_present(pick, present, values, cuts, out)
            yield Packed(out[:count], present)

    def _lists(self, run: int, cells: dict[int, Cells | None]) -> Iterator[Packed]:
        full = _full(cells)
        for pick, rows in self._owner.picks(run):
            cuts, present = self._present(pick, rows, cells)
            lengths = np.zeros(int(cuts[-1]), np.uint32)
            items = [0] * len(self._sources)
            for i, of in cells.items():
                if of is not None:
                    mine = lengths[cuts[i] : cuts[i + 1]]
                    of.lengths(mine)
                    items[i] = int(mine.sum(dtype=np.int64))
            offsets = np.zeros(len(lengths) + 1, np.uint32)
            np.cumsum(lengths, out=offsets[1:])
            numbers, index = np.arange(len(lengths) + 1), np.empty(len(pick) + 1, np.uint32)
            count = take_present(pick, present, numbers.astype(np.uint32), cuts, index)
            values = self._read(cells, cuts_of(items))
            ends, chosen = gather_lists(offsets, values, index[:count])
            yield Packed(chosen, None if full else present, ends)


def _full(cells: dict[int, Cells | None]) -> bool:
    """Whether every row has a value."""
    return all(of is not None and of.presence is None for of in cells.values())


def _is_identity(lut: U32) -> bool:
    return bool((lut == np.arange(len(lut), dtype=np.uint32)).all())


def keys_in_order(source: Source) -> tuple[U32, U32]:
    """(ordinal, time) of every row of a source in user order, uint32[rows] each. O(rows)."""
    codes, names = source.interleave()
    starts = cuts_of([source.runs[name].rows for name in names])
    ordinal, time = np.empty(source.rows, np.uint32), np.empty(source.rows, np.uint32)
    for name, a, b in zip(names, starts[:-1], starts[1:], strict=True):
        run = source.runs[name]
        expand_users(*run.users(), ordinal[a:b])
        time[a:b] = run.times()
    keys = np.empty(source.rows, np.uint64)
    user_keys(codes, ordinal, time, starts, keys)
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
