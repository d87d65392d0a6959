"""Memtable: rows acknowledged but not yet in a segment.

Adding copies a bound chunk to the end of a log of rows. Rows are sorted only when someone looks
(:meth:`Memtable.views`) or when the memtable is flushed (:meth:`Memtable.frame`). Views are kept
in levels, as in a log-structured merge tree in memory: new chunks form a new level, and
:data:`LEVELS_ALIKE` levels of similar size become one. So a look after every batch costs O(log
rows) sorts of each row in all, there are O(log rows) sources, and what was sorted stays as it is.
Levels of many rows become one in :meth:`Memtable.tidy`, on a thread that nobody waits for.

Thread-safety: own locks. One thing is left to the caller: strings are interned into the table by
whoever makes chunks, so :meth:`pin` and :meth:`frame` must not run while the table grows (the
writer's lock sees to that). Sorting needs only what :meth:`pin` gave, so rows are added meanwhile.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.storage.cells import EventOrder
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import day_edges
from zuji.engine.storage.row_log import BoundChunk, CatalogNames, Names, RowLog, room

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.storage.cells import CellRows
    from zuji.engine.types import I64, U8

RANKS_A_VIEW = 64
"""Ranks given to the levels of one call of views: the rank asked for times this, plus the level."""
LEVELS_ALIKE = 3
"""Levels whose sizes are within this factor of each other are merged when there are this many."""
SMALL_ROWS = 4_096
"""Levels are merged at once while their rows are fewer: a source costs more than the sort."""
BIG_ROWS = 32_768
"""Who looks sorts no more rows than this beside those that are new (some 3 ms), where the rest is
tidied; nor are there ever more than MOST_LEVELS.
"""
MOST_LEVELS = 16


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
    """Consecutive rows and their views, which have the memtable's rank and ``number``."""

    start: int
    end: int
    number: int
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
        self._pinned: PinnedRows | None = None  # the newest rows in levels
        self._rank = 0
        self._snapshot = _Snapshot()
        self._edges: dict[int, I64] = {}
        self._events = EventOrder.of(())

    @property
    def strings(self) -> Any:
        """The table that string codes of rows belong to."""
        return self._strings

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

    def extend(
        self,
        received: int,
        room_for: tuple[int, int, int, int],
        fill: Callable[[RowLog], tuple[int, int, int, int]],
    ) -> int:
        """Adds rows that ``fill`` writes behind the last one: given the log, with room for so many
        rows, cells, lists and items, it returns the log's new ends. The number of rows.
        """
        with self._lock:
            log, before = self._log, self._log.rows
            log.reserve(*room_for)
            log.added(received, fill(log))
            return log.rows - before

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

    def views(
        self, rank: int = 0, pinned: PinnedRows | None = None, *, tidied: bool = False
    ) -> list[MemorySource]:
        """Rows as sources, ordered by rank: those of ``pinned``, or later ones when another thread
        has looked since. Rows that no call has seen yet are sorted now. ``tidied``: somebody calls
        :meth:`tidy` when :attr:`crowded`.

        Sources get ranks ``rank * 64 + level``, so memtables asked with ascending ranks stay in
        order.
        """
        pinned = pinned or self.pin()
        with self._looking:
            if self._rank != rank:
                self._rank = rank
                for level in self._levels:
                    self._rerank(level, level.number)
            start = viewed = 0 if self._pinned is None else self._pinned.rows
            if viewed < pinned.rows:
                kept = list(self._levels)
                most = BIG_ROWS if tidied and len(kept) < MOST_LEVELS else None
                while (alike := _alike(kept, pinned.rows - start, most)) or len(
                    kept
                ) >= RANKS_A_VIEW:
                    start = kept[-max(alike, 1)].start
                    del kept[-max(alike, 1) :]
                if kept and kept[-1].number == RANKS_A_VIEW - 1:
                    for number, level in enumerate(kept):
                        self._rerank(level, number)
                number = kept[-1].number + 1 if kept else 0
                views = self._sources(start, pinned, rank * RANKS_A_VIEW + number)
                self._levels = [*kept, _Level(start, pinned.rows, number, views)]
                self._pinned = pinned
            return [view for level in self._levels for view in level.views]

    @property
    def unseen(self) -> int:
        """Rows that no look has sorted yet."""
        pinned = self._pinned
        return self._log.rows - (0 if pinned is None else pinned.rows)

    @property
    def crowded(self) -> bool:
        """Whether :meth:`tidy` has something to do."""
        return bool(_crowd(self._levels))

    def tidy(self) -> bool:
        """Makes similar levels one, while others look and add. False when there was nothing to
        do, or others did it.
        """
        with self._looking:
            crowd, pinned, rank = _crowd(self._levels), self._pinned, self._rank
        if not crowd or pinned is None:
            return False
        start, end, number = crowd[0].start, crowd[-1].end, crowd[0].number
        rows = PinnedRows(end, pinned.strings, pinned.names)
        merged = _Level(start, end, number, self._sources(start, rows, rank * RANKS_A_VIEW))
        with self._looking:
            levels = self._levels
            at = next((i for i, level in enumerate(levels) if level is crowd[0]), len(levels))
            there = levels[at : at + len(crowd)]
            if len(there) < len(crowd) or any(
                a is not b for a, b in zip(there, crowd, strict=True)
            ):
                return False
            self._rerank(merged, crowd[0].number)
            self._levels = [*levels[:at], merged, *levels[at + len(crowd) :]]
        return True

    def _rerank(self, level: _Level, number: int) -> None:
        """Queries may hold the old views: they keep their rank, so copies are made."""
        level.number = number
        rank = self._rank * RANKS_A_VIEW + number
        level.views = [view.with_rank(rank) for view in level.views]

    def _sources(self, start: int, pinned: PinnedRows, rank: int) -> list[MemorySource]:
        rows = self._log.span(start, pinned.rows, pinned.names, pinned.strings)
        sources = []
        events = self._events
        if len(events.rank) != len(pinned.names.events):  # names only grow
            events = self._events = EventOrder.of(pinned.names.events)
        for piece in rows.placed(self._tz, self._shards, events):
            edges = self._edges.get(piece.partition.id)
            if edges is None:
                edges = day_edges(self._tz, piece.partition.start_ms, piece.partition.end_ms)
                self._edges[piece.partition.id] = edges
            sources.append(MemorySource(piece, rank, edges))
        return sources


def _alike(levels: list[_Level], rows: int, most: int | None = None) -> int:
    """How many of the newest levels are to become one with ``rows`` new rows, of ``most`` rows at
    most; 0 = none.
    """
    count, total = 0, rows
    for level in reversed(levels):
        if level.rows > LEVELS_ALIKE * total or (most is not None and total + level.rows > most):
            break
        count += 1
        total += level.rows
    return count if count >= LEVELS_ALIKE - 1 or total < SMALL_ROWS else 0


def _crowd(levels: list[_Level]) -> list[_Level]:
    """Consecutive levels that are to become one, the newest such; none when few are alike."""
    for last in range(len(levels) - 1, 0, -1):
        alike = _alike(levels[:last], levels[last].rows)
        if alike:
            return levels[last - alike : last + 1]
    return []


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
