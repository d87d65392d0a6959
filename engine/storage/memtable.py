"""Memtable: rows acknowledged but not yet in a segment.

Adding copies a bound chunk to the end of a log of rows. Rows are sorted only when someone looks
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
from typing import TYPE_CHECKING, Protocol

import numpy as np

from zuji.engine.storage.cells import EventOrder
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import day_edges
from zuji.engine.storage.row_log import BoundChunk, CatalogNames, Names, RowLog, room

if TYPE_CHECKING:
    from zuji.engine.storage.cells import CellRows
    from zuji.engine.types import I64, U8

RANKS_A_VIEW = 64
"""Ranks given to the levels of one call of views: the rank asked for times this, plus the level."""
LEVELS_ALIKE = 3
"""Levels whose sizes are within this factor of each other are merged when there are this many."""
SMALL_ROWS = 4_096
"""Levels are merged at once while their rows are fewer: a source costs more than the sort."""


class Table(Protocol):
    """Strings by code; only grows. :class:`zuji.engine.index._strings.StringTable`."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def dump(self, start: int = 0, stop: int | None = None) -> tuple[U8, I64]: ...


@dataclass(frozen=True, slots=True)
class PinnedRows:
    """The first rows of a memtable, as they were at one moment."""

    rows: int
    strings: Dictionary
    names: CatalogNames


@dataclass(slots=True)
class _Level:
    """Consecutive rows and their views."""

    start: int
    end: int
    views: list[MemorySource]

    @property
    def rows(self) -> int:
        return self.end - self.start


class Memtable:
    """Rows in the order they came. ``like``: a memtable whose size this one is expected to get."""

    def __init__(
        self, catalog: Names, strings: Table, tz: str, shards: int, like: Memtable | None = None
    ) -> None:
        self._catalog = catalog
        self._strings = strings
        self._tz = tz
        self._shards = shards
        self._lock = threading.Lock()
        self._looking = threading.Lock()  # held while rows are sorted; taken before _lock
        self._log: RowLog = RowLog(None if like is None else like._log)
        self._levels: list[_Level] = []
        self._viewed = 0
        self._rank: int | None = None
        self._snapshot = _Snapshot()
        self._edges: dict[int, I64] = {}
        self._events = EventOrder.of(())

    @property
    def rows(self) -> int:
        """Rows added."""
        return self._log.rows

    @property
    def nbytes(self) -> int:
        """Bytes of rows and strings; views come on top, at about 40 bytes a row."""
        return self._log.nbytes + self._strings.nbytes

    def add(self, chunk: BoundChunk) -> None:
        """Adds rows. O(rows + cells)."""
        with self._lock:
            self._log.add(chunk, self._catalog.kinds)

    def frame(self) -> CellRows:
        """All rows, in the order they came: what a flush writes. No row is copied."""
        pinned = self.pin()
        return self._log.span(0, pinned.rows, pinned.names, pinned.strings)

    def pin(self) -> PinnedRows:
        """The rows there are now, for :meth:`views`. O(strings added since the last call)."""
        with self._lock:
            names = self._catalog
            return PinnedRows(
                self._log.rows,
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
            if self._viewed < pinned.rows:
                start = self._viewed
                kept = list(self._levels)
                while (alike := _alike(kept, pinned.rows - start)) or len(kept) >= RANKS_A_VIEW:
                    start = kept[-max(alike, 1)].start
                    del kept[-max(alike, 1) :]
                views = self._sources(start, pinned, rank * RANKS_A_VIEW + len(kept))
                self._levels = [*kept, _Level(start, pinned.rows, views)]
                self._viewed = pinned.rows
            return [view for level in self._levels for view in level.views]

    def _sources(self, start: int, pinned: PinnedRows, rank: int) -> list[MemorySource]:
        rows = self._log.span(start, pinned.rows, pinned.names, pinned.strings)
        sources = []
        if len(self._events.rank) != len(pinned.names.events):  # names only grow
            self._events = EventOrder.of(pinned.names.events)
        for piece in rows.placed(self._tz, self._shards, self._events):
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
            self._data = room(self._data, used, used + len(data))
            self._offsets = room(self._offsets, self._count + 1, size + 1)
            self._data[used : used + len(data)] = data
            self._offsets[self._count + 1 : size + 1] = offsets[1:] + used
            self._count = size
        end = int(self._offsets[self._count])
        return Dictionary(self._data[:end], self._offsets[: self._count + 1])
