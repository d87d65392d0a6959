"""Rows of a memtable: cells kept by row, put in final order without a detour through columns.

:class:`CellRows` is a set of chunks laid end to end; a :class:`CellSlice` the rows of one shard and
partition in it, as row numbers. :class:`SortedCells` sorts the keys at once and reads the cells,
run by run in final order, when the first property is asked for: one random read a row, sequential
writes a property. Immutable but for that; thread-safe.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.storage._pivot import emit_cells, gather_lists, group_rows, mark_codes, recode
from zuji.engine.storage.build import OrderedRows, Packed, order, taken
from zuji.engine.storage.dictionary import Dictionary, sort_used
from zuji.engine.storage.frame import slice_keys
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.storage.partition import Partition
    from zuji.engine.types import I64, U8, U16, U32


@dataclass(frozen=True, slots=True)
class CellRows:
    """Rows in the order they came, with their cells.

    Row i owns ``cell_start[i]:cell_start[i+1]`` of ``cell_prop`` uint16 and ``cell_value`` int64:
    BOOL 0/1; INT, DATETIME; FLOAT its bits; STRING a code of ``strings``; LIST an index of the
    lists ``list_offsets`` uint32[lists+1] over ``list_items`` uint32 (codes of ``strings``).
    """

    n: int
    shard: U16
    ordinal: U32
    event: U16
    time: I64
    received: I64 | int
    cell_start: I64
    cell_prop: U16
    cell_value: I64
    list_offsets: U32
    list_items: U32
    event_names: list[str]
    prop_names: list[str]
    prop_kinds: list[Kind]
    strings: Dictionary

    def slices(self, tz: str) -> list[CellSlice]:
        """The rows by shard x partition, ordered by (partition, shard). O(rows)."""
        if self.n == 0:
            return []
        places, key = slice_keys(self.shard, self.time, tz)
        if len(places) == 1:
            return [CellSlice(*places[0], None, self)]
        by_place, _, starts = group_rows(key, len(places))
        return [
            CellSlice(shard, partition, by_place[starts[i] : starts[i + 1]], self)
            for i, (shard, partition) in enumerate(places)
        ]


@dataclass(frozen=True, slots=True)
class CellSlice:
    """The rows of one shard and partition: ``rows`` of ``table``, all when None."""

    shard: int
    partition: Partition
    rows: U32 | None
    table: CellRows

    def sorted(self) -> SortedCells:
        """The rows in final order."""
        return SortedCells(self)


class SortedCells(OrderedRows):
    """Rows of a memtable's slice, sorted."""

    def __init__(self, piece: CellSlice) -> None:
        table, rows = piece.table, piece.rows
        received = table.received
        if rows is None:
            keys = order(table.ordinal, table.time, table.event, table.event_names, piece.partition)
        else:
            keys = order(
                taken(table.ordinal, rows),
                taken(table.time, rows),
                taken(table.event, rows),
                table.event_names,
                piece.partition,
            )
            if not isinstance(received, int):
                received = taken(received, rows)
        super().__init__(keys, received)
        self._rows = rows
        self._table = table
        self._lock = threading.Lock()
        self._runs: list[_Emitted] | None = None
        self._codes: dict[str, int] = {}

    @property
    def kinds(self) -> dict[str, Kind]:
        """See :class:`~zuji.engine.storage.build.SortedRows`."""
        self.emitted()
        return {name: self._table.prop_kinds[code] for name, code in self._codes.items()}

    def prop(self, name: str) -> CellProp:
        """See :class:`~zuji.engine.storage.build.SortedRows`."""
        runs = self.emitted()
        code = self._codes[name]
        return CellProp(self, self._table, runs, code)

    def emitted(self) -> list[_Emitted]:
        """Cells of every run in final order; read once."""
        with self._lock:
            if self._runs is None:
                runs = [self._emit(run) for run in range(len(self.names))]
                names = self._table.prop_names
                used = {int(code) for run in runs for code in np.flatnonzero(np.diff(run.starts))}
                self._codes = {names[code]: code for code in sorted(used, key=names.__getitem__)}
                self._runs = runs
            return self._runs

    def _emit(self, run: int) -> _Emitted:
        table = self._table
        rows = self.rows_of(run)
        if self._rows is not None:
            rows = taken(self._rows, rows)
        props = len(table.prop_names)
        return _Emitted(
            *emit_cells(rows, table.cell_start, table.cell_prop, table.cell_value, props)
        )


@dataclass(frozen=True, slots=True)
class _Emitted:
    """Cells of one run: see :func:`~zuji.engine.storage._pivot.emit_cells`."""

    starts: I64
    values: I64
    presence: I64
    present: U8

    def values_of(self, code: int) -> I64:
        return self.values[self.starts[code] : self.starts[code + 1]]


class CellProp:
    """One property of sorted cells."""

    def __init__(
        self, owner: SortedCells, table: CellRows, runs: list[_Emitted], code: int
    ) -> None:
        self._owner = owner
        self._table = table
        self._runs = runs
        self._code = code
        self.kind = table.prop_kinds[code]
        self._sorted: tuple[Dictionary, U32] | None = None

    @property
    def dictionary(self) -> Dictionary | None:
        """The strings that are used, sorted when first asked for."""
        return self._strings()[0] if self.kind in (Kind.STRING, Kind.LIST) else None

    def _strings(self) -> tuple[Dictionary, U32]:
        """The dictionary, and uint32 code in the table -> code in it."""
        if self._sorted is None:
            used = np.zeros(len(self._table.strings), np.uint8)
            for run in self._runs:
                values = run.values_of(self._code)
                if self.kind == Kind.LIST and len(values):
                    values = self._lists(values)[1].astype(np.int64)
                mark_codes(values, used)
            self._sorted = sort_used(self._table.strings, used)
        return self._sorted

    def has(self, run: int) -> bool:
        """See :class:`~zuji.engine.storage.build.SortedProp`."""
        return self.count(run) > 0

    def count(self, run: int) -> int:
        """Rows of the run that have a value."""
        starts = self._runs[run].starts
        return int(starts[self._code + 1] - starts[self._code])

    def run(self, run: int) -> Packed:
        """See :class:`~zuji.engine.storage.build.SortedProp`."""
        emitted = self._runs[run]
        values: Any = emitted.values_of(self._code)
        present: U8 | None = None
        at = int(emitted.presence[self._code])
        if at >= 0:
            rows = int(self._owner.starts[run + 1] - self._owner.starts[run])
            present = emitted.present[at : at + rows]
        if self.kind == Kind.LIST:
            offsets, items = self._lists(values)
            return Packed(taken(self._strings()[1], items), present, offsets)
        if self.kind == Kind.STRING:
            return Packed(recode(values, self._strings()[1]), present)
        if self.kind == Kind.FLOAT:
            values = values.view(np.float64)
        elif self.kind == Kind.BOOL:
            values = values.astype(np.uint8)
        return Packed(values, present)

    def _lists(self, values: I64) -> tuple[U32, U32]:
        """Lists ``values`` as (offsets, items)."""
        return gather_lists(
            self._table.list_offsets, self._table.list_items, values.astype(np.uint32)
        )
