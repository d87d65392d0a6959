"""Memtable: rows acknowledged but not yet in a segment.

Adding is O(1): a bound chunk goes on a list. Rows are sorted only when someone looks
(:meth:`Memtable.views`) or when the memtable is flushed (:meth:`Memtable.frame`). Views are kept
in levels, as in a log-structured merge tree in memory: new chunks form a new level, and
:data:`LEVELS_ALIKE` levels of similar size become one. So a look after every batch costs O(log
rows) sorts of each row in all, there are O(log rows) sources, and what was sorted stays as it is.

Thread-safety: own locks. One thing is left to the caller: strings are interned into the table by
whoever makes chunks, so :meth:`pin` and :meth:`frame` must not run while the table grows (the
writer's lock sees to that). Sorting needs only what :meth:`pin` gave, so rows are added meanwhile.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.storage.cells import CellRows
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import day_edges
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.types import I64, U8, U16, U32

RANKS_A_VIEW = 64
"""Ranks given to the levels of one call of views: the rank asked for times this, plus the level."""
LEVELS_ALIKE = 3
"""Levels whose sizes are within this factor of each other are merged when there are this many."""
SMALL_ROWS = 4_096
"""Levels are merged at once while their rows are fewer: a source costs more than the sort."""
ROW_BYTES = 2 + 4 + 2 + 8
CELL_BYTES = 2 + 8


class Names(Protocol):
    """What codes of events and properties mean: the project's catalog."""

    @property
    def events(self) -> list[str]: ...
    @property
    def props(self) -> list[str]: ...
    @property
    def kinds(self) -> list[Kind]: ...


class Table(Protocol):
    """Strings by code; only grows. :class:`zuji.engine.index._strings.StringTable`."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def dump(self, start: int = 0, stop: int | None = None) -> tuple[U8, I64]: ...


@dataclass(frozen=True, slots=True)
class BoundChunk:
    """Rows of one batch, bound to the project's codes.

    ``shard`` uint16[n], ``ordinal`` uint32[n], ``event`` uint16[n] event codes, ``time`` int64[n]
    ms UTC, ``received`` ms UTC. Cells by row: row i owns ``cell_start[i]:cell_start[i+1]`` of
    ``cell_prop`` uint16 (property codes, each at most once a row) and ``cell_value`` int64 (BOOL
    0/1; INT, DATETIME; FLOAT its bits; STRING a code of the memtable's table; LIST an index into
    ``list_start`` int64, whose items are codes in ``list_item`` uint32).
    """

    n: int
    shard: U16
    ordinal: U32
    event: U16
    time: I64
    received: int
    cell_start: I64
    cell_prop: U16
    cell_value: I64
    list_start: I64
    list_item: U32

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        lists = 8 * len(self.list_start) + 4 * len(self.list_item)
        return self.n * (ROW_BYTES + 8) + len(self.cell_prop) * CELL_BYTES + lists


@dataclass(frozen=True, slots=True)
class CatalogNames:
    """The catalog's names at one moment."""

    events: list[str]
    props: list[str]
    kinds: list[Kind]


@dataclass(frozen=True, slots=True)
class PinnedRows:
    """The rows that a memtable had at one moment: its first ``chunks`` chunks."""

    chunks: int
    strings: Dictionary
    names: CatalogNames


@dataclass(slots=True)
class _Level:
    """Consecutive chunks and their views."""

    chunks: list[BoundChunk]
    rows: int
    views: list[MemorySource]


class Memtable:
    """Chunks in the order they came."""

    def __init__(self, catalog: Names, strings: Table, tz: str, shards: int) -> None:
        self._catalog = catalog
        self._strings = strings
        self._tz = tz
        self._shards = shards
        self._lock = threading.Lock()
        self._looking = threading.Lock()  # held while rows are sorted; taken before _lock
        self._chunks: list[BoundChunk] = []
        self._rows = 0
        self._chunk_bytes = 0
        self._levels: list[_Level] = []
        self._viewed = 0
        self._rank: int | None = None
        self._snapshot = _Snapshot()
        self._edges: dict[int, I64] = {}

    @property
    def rows(self) -> int:
        """Rows added."""
        return self._rows

    @property
    def nbytes(self) -> int:
        """Bytes of chunks and strings; views come on top, at about 40 bytes a row."""
        return self._chunk_bytes + self._strings.nbytes

    def add(self, chunk: BoundChunk) -> None:
        """Adds rows. O(1)."""
        with self._lock:
            self._chunks.append(chunk)
            self._rows += chunk.n
            self._chunk_bytes += chunk.nbytes

    def frame(self) -> CellRows:
        """All rows, in the order they came: what a flush writes. O(rows + cells)."""
        with self._lock:
            chunks = list(self._chunks)
            strings = self._snapshot.take(self._strings)
        return laid_out(chunks, self._catalog, strings)

    def pin(self) -> PinnedRows:
        """The rows there are now, for :meth:`views`. O(strings added since the last call)."""
        with self._lock:
            names = self._catalog
            return PinnedRows(
                len(self._chunks),
                self._snapshot.take(self._strings),
                CatalogNames(list(names.events), list(names.props), list(names.kinds)),
            )

    def views(self, rank: int = 0, pinned: PinnedRows | None = None) -> list[MemorySource]:
        """Rows as sources, ordered by rank: those of ``pinned``, or later ones when another thread
        has looked since. Rows that no call has seen yet are sorted now.

        Sources get ranks ``rank * 64 + level``, so memtables asked with ascending ranks stay in
        order.
        """
        pinned = pinned or self.pin()
        with self._looking:
            if self._rank != rank:
                for number, level in enumerate(self._levels):
                    _rerank(level, rank * RANKS_A_VIEW + number)
                self._rank = rank
            if self._viewed < pinned.chunks:
                fresh = self._chunks[self._viewed : pinned.chunks]
                rows = sum(chunk.n for chunk in fresh)
                kept = list(self._levels)
                while (alike := _alike(kept, rows)) or len(kept) >= RANKS_A_VIEW:
                    last = kept[-max(alike, 1) :]
                    del kept[-len(last) :]
                    fresh = [*(chunk for level in last for chunk in level.chunks), *fresh]
                    rows += sum(level.rows for level in last)
                views = self._sources(fresh, pinned, rank * RANKS_A_VIEW + len(kept))
                self._levels = [*kept, _Level(fresh, rows, views)]
                self._viewed = pinned.chunks
            return [view for level in self._levels for view in level.views]

    def _sources(
        self, chunks: list[BoundChunk], pinned: PinnedRows, rank: int
    ) -> list[MemorySource]:
        sources = []
        for piece in laid_out(chunks, pinned.names, pinned.strings).slices(self._tz):
            edges = self._edges.get(piece.partition.id)
            if edges is None:
                edges = day_edges(self._tz, piece.partition.start_ms, piece.partition.end_ms)
                self._edges[piece.partition.id] = edges
            sources.append(MemorySource(piece, rank, edges))
        return sources


def _alike(levels: list[_Level], rows: int) -> int:
    """How many of the newest levels are to become one with ``rows`` new rows; 0 = none."""
    count, total = 0, rows
    for level in reversed(levels):
        if level.rows > LEVELS_ALIKE * total:
            break
        count += 1
        total += level.rows
    return count if count >= LEVELS_ALIKE - 1 or total < SMALL_ROWS else 0


def _rerank(level: _Level, rank: int) -> None:
    """Queries may hold the old views: they keep their rank, so copies are made."""
    level.views = [view.with_rank(rank) for view in level.views]


class _Snapshot:
    """A copy of a growing string table that is extended, never rewritten, so that old views stay
    good.
    """

    def __init__(self) -> None:
        self._data: U8 = np.empty(1 << 12, np.uint8)
        self._offsets: I64 = np.zeros(1 << 8, np.int64)
        self._count = 0

    def take(self, table: Table) -> Dictionary:
        """The table as it is now. O(strings added since the last call), amortised."""
        size = len(table)
        if size > self._count:
            data, offsets = table.dump(self._count)
            used = int(self._offsets[self._count])
            self._data = _room(self._data, used, used + len(data))
            self._offsets = _room(self._offsets, self._count + 1, size + 1)
            self._data[used : used + len(data)] = data
            self._offsets[self._count + 1 : size + 1] = offsets[1:] + used
            self._count = size
        end = int(self._offsets[self._count])
        return Dictionary(self._data[:end], self._offsets[: self._count + 1])


def _room(values: Any, used: int, wanted: int) -> Any:
    if wanted <= len(values):
        return values
    grown = np.empty(max(wanted, 2 * len(values)), values.dtype)
    grown[:used] = values[:used]
    return grown


def laid_out(chunks: Sequence[BoundChunk], names: Names, strings: Dictionary) -> CellRows:
    """Chunks end to end. O(rows + cells)."""
    starts, values, cells, lists = [np.zeros(1, np.int64)], [], 0, 0
    is_list = np.array([kind == Kind.LIST for kind in names.kinds], np.bool_)
    for chunk in chunks:
        starts.append(chunk.cell_start[1:] + (cells - int(chunk.cell_start[0])))
        value = chunk.cell_value
        if len(chunk.list_start) > 1:
            if lists:
                value = value + np.where(is_list[chunk.cell_prop], lists, 0)
            lists += len(chunk.list_start) - 1
        values.append(value)
        cells += len(value)
    offsets, items = _lists(chunks)
    received: I64 | int = chunks[0].received if chunks else 0
    if any(chunk.received != received for chunk in chunks):
        received = np.repeat(
            np.array([chunk.received for chunk in chunks], np.int64),
            [chunk.n for chunk in chunks],
        )
    return CellRows(
        n=sum(chunk.n for chunk in chunks),
        shard=_joined([chunk.shard for chunk in chunks], np.uint16),
        ordinal=_joined([chunk.ordinal for chunk in chunks], np.uint32),
        event=_joined([chunk.event for chunk in chunks], np.uint16),
        time=_joined([chunk.time for chunk in chunks], np.int64),
        received=received,
        cell_start=np.concatenate(starts),
        cell_prop=_joined([chunk.cell_prop for chunk in chunks], np.uint16),
        cell_value=_joined(values, np.int64),
        list_offsets=offsets,
        list_items=items,
        event_names=list(names.events),
        prop_names=list(names.props),
        prop_kinds=list(names.kinds),
        strings=strings,
    )


def _lists(chunks: Sequence[BoundChunk]) -> tuple[U32, U32]:
    """All lists of the chunks as one CSR."""
    parts, base = [np.zeros(1, np.int64)], 0
    for chunk in chunks:
        if len(chunk.list_start) > 1:
            parts.append(chunk.list_start[1:] + base)
        base += len(chunk.list_item)
    offsets = np.concatenate(parts)
    if base > np.iinfo(np.uint32).max:
        raise OverflowError("more than 2^32 list items in one memtable")
    return offsets.astype(np.uint32), _joined([chunk.list_item for chunk in chunks], np.uint32)


def _joined(parts: Sequence[Any], dtype: type) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
