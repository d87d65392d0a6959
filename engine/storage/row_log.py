"""RowLog: bound chunks end to end, in columns that only grow.

Adding copies to the end, so a span of rows is handed out without copying; what was handed out stays
good, since columns are extended, never rewritten (one that is full is replaced by a larger copy).
Thread-safety: one thread adds; spans of rows added before may be read meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.storage.cells import CellRows
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.types import I64, U16, U32

ROW_BYTES = 2 + 4 + 2 + 8
CELL_BYTES = 2 + 8
FEW_VALUES, MANY_VALUES = 1 << 15, 1 << 21
FULL_ROWS = 9 << 17
"""Rows of a full memtable (by default a million) and the batch that fills it. A log that passes
FEW_VALUES rows gets room for all of them at once, for memory that is not written to takes no place:
copying half a million rows took 40 ms, for which everybody waits who appends.
"""
LARGEST_GUESS = 1 << 26
"""Values that a column is given room for at first, at most."""


class Names(Protocol):
    """What codes of events and properties mean: the project's catalog."""

    @property
    def events(self) -> list[str]: ...
    @property
    def props(self) -> list[str]: ...
    @property
    def kinds(self) -> list[Kind]: ...


@dataclass(frozen=True, slots=True)
class CatalogNames:
    """The catalog's names at one moment."""

    events: list[str]
    props: list[str]
    kinds: list[Kind]


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


class RowLog:
    """Rows in the order they came. ``like``: a log whose size this one is expected to get."""

    __slots__ = (
        "_cell_start",
        "_cells",
        "_event",
        "_item_count",
        "_items",
        "_list_end",
        "_lists",
        "_ordinal",
        "_prop",
        "_received",
        "_shard",
        "_time",
        "_value",
        "rows",
    )

    def __init__(self, like: RowLog | None = None) -> None:
        self.rows: int = 0
        self._cells: int = 0
        rows = _guess(1 << 10, 0 if like is None else like.rows)
        cells = _guess(1 << 12, 0 if like is None else like._cells)
        self._lists = 0
        self._item_count = 0
        self._shard: U16 = np.empty(rows, np.uint16)
        self._ordinal: U32 = np.empty(rows, np.uint32)
        self._event: U16 = np.empty(rows, np.uint16)
        self._time: I64 = np.empty(rows, np.int64)
        self._cell_start: I64 = np.empty(rows + 1, np.int64)
        self._cell_start[0] = 0
        self._prop: U16 = np.empty(cells, np.uint16)
        self._value: I64 = np.empty(cells, np.int64)
        self._list_end: U32 = np.zeros(1, np.uint32)  # with a 0 in front: offsets
        self._items: U32 = np.empty(0, np.uint32)
        self._received: list[tuple[int, int]] = []  # (row after the last, ms) of each chunk

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, without room for more."""
        lists = 4 * self._lists + 4 * self._item_count
        return self.rows * (ROW_BYTES + 8) + self._cells * CELL_BYTES + lists

    @property
    def ends(self) -> tuple[int, int, int, int]:
        """Rows, cells, lists and items of lists that are there."""
        return self.rows, self._cells, self._lists, self._item_count

    @property
    def columns(self) -> tuple[Any, ...]:
        """Shard, ordinal, event, time, cell_start, prop, value, end of lists, items: to be written
        to behind :attr:`ends`, where :meth:`reserve` has made room.
        """
        return (
            self._shard,
            self._ordinal,
            self._event,
            self._time,
            self._cell_start,
            self._prop,
            self._value,
            self._list_end,
            self._items,
        )

    def reserve(self, rows: int, cells: int, lists: int, items: int) -> None:
        """Makes room for so many more."""
        at, end = self.rows, self.rows + rows
        if end > len(self._shard) or end >= len(self._cell_start):
            most = _foreseen(end, end)
            self._shard = room(self._shard, at, most)
            self._ordinal = room(self._ordinal, at, most)
            self._event = room(self._event, at, most)
            self._time = room(self._time, at, most)
            self._cell_start = room(self._cell_start, at + 1, most + 1)
        rows += self.rows
        at, end = self._cells, self._cells + cells
        if end > len(self._prop):
            most = _foreseen(end, rows)
            self._prop = room(self._prop, at, most)
            self._value = room(self._value, at, most)
        if lists:
            if self._item_count + items > np.iinfo(np.uint32).max:
                raise OverflowError("more than 2^32 list items in one memtable")
            at, end = self._lists, self._lists + lists
            if end >= len(self._list_end):
                self._list_end = room(self._list_end, at + 1, _foreseen(end, rows) + 1)
            at, end = self._item_count, self._item_count + items
            if end > len(self._items):
                self._items = room(self._items, at, _foreseen(end, rows))

    def added(self, received: int, ends: tuple[int, int, int, int]) -> None:
        """Everything up to ``ends`` was written, and belongs to rows received at one time."""
        rows, self._cells, self._lists, self._item_count = ends
        if self._received and self._received[-1][1] == received:
            self._received[-1] = (rows, received)
        else:
            self._received.append((rows, received))
        self.rows = rows  # last: what is read meanwhile ends before it

    def add(self, chunk: BoundChunk, kinds: Sequence[Kind]) -> None:
        """Adds rows. ``kinds``: of properties, by code. O(rows + cells)."""
        n, cells = chunk.n, len(chunk.cell_prop)
        lists, items = len(chunk.list_start) - 1, len(chunk.list_item)
        at, at_cell, at_list, at_item = self.ends
        self.reserve(n, cells, lists, items)
        self._shard[at : at + n] = chunk.shard
        self._ordinal[at : at + n] = chunk.ordinal
        self._event[at : at + n] = chunk.event
        self._time[at : at + n] = chunk.time
        self._cell_start[at + 1 : at + n + 1] = chunk.cell_start[1:] + (
            at_cell - int(chunk.cell_start[0])
        )
        value = chunk.cell_value
        if lists:
            ends = chunk.list_start[1:] + at_item
            self._list_end[at_list + 1 : at_list + lists + 1] = ends
            self._items[at_item : at_item + items] = chunk.list_item
            is_list = np.array([kind == Kind.LIST for kind in kinds], np.bool_)
            value = value + np.where(is_list[chunk.cell_prop], at_list, 0)
        self._prop[at_cell : at_cell + cells] = chunk.cell_prop
        self._value[at_cell : at_cell + cells] = value
        self.added(chunk.received, (at + n, at_cell + cells, at_list + lists, at_item + items))

    def span(self, start: int, end: int, names: CatalogNames, strings: Dictionary) -> CellRows:
        """Rows ``start:end``, not copied. ``names``, ``strings``: what their codes mean."""
        cells, lists, items = self._cells, self._lists, self._item_count  # before the columns
        return CellRows(
            n=end - start,
            shard=self._shard[start:end],
            ordinal=self._ordinal[start:end],
            event=self._event[start:end],
            time=self._time[start:end],
            received=self._received_of(start, end),
            cell_start=self._cell_start[start : end + 1],
            cell_prop=self._prop[:cells],
            cell_value=self._value[:cells],
            list_offsets=self._list_end[: lists + 1],
            list_items=self._items[:items],
            event_names=names.events,
            prop_names=names.props,
            prop_kinds=names.kinds,
            strings=strings,
        )

    def _received_of(self, start: int, end: int) -> I64 | int:
        """When rows were received: one time, or one a row."""
        times, counts = [], []
        at = start
        first = bisect_right(self._received, start, key=itemgetter(0))
        for stop, received in self._received[first:]:
            if stop > at:
                times.append(received)
                counts.append(min(stop, end) - at)
                at = min(stop, end)
            if at >= end:
                break
        if len(set(times)) <= 1:
            return times[0] if times else 0
        return np.repeat(np.array(times, np.int64), counts)


def _guess(least: int, before: int) -> int:
    return min(max(least, before + before // 8), LARGEST_GUESS)


def _foreseen(values: int, rows: int) -> int:
    """Values of a column when the log is full, by how many it has in so many rows."""
    if values < FEW_VALUES:
        return values
    return max(values, min(values * FULL_ROWS // max(rows, 1), LARGEST_GUESS))


def room(values: Any, used: int, wanted: int) -> Any:
    """``values``, or a copy of the ``used`` ones with room for ``wanted`` and more: much more for
    middle sizes, as memory that is not written to yet takes no place.
    """
    if wanted <= len(values):
        return values
    factor = 16 if FEW_VALUES <= len(values) < MANY_VALUES else 2
    grown = np.empty(max(wanted, factor * len(values)), values.dtype)
    grown[:used] = values[:used]
    return grown
