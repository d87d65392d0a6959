"""Rows of a memtable: cells kept by row, put in final order without a detour through columns.

:class:`CellRows` is a set of chunks laid end to end; a :class:`CellSlice` the rows of one shard and
partition in it, as row numbers. :class:`SortedCells` sorts the keys at once and reads the cells of
a run, in final order, when the first of its properties is asked for: one random read a row,
sequential writes a property. A query on one event reads the cells of its rows alone. Immutable but
for that; thread-safe.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.storage._fresh import order_places
from zuji.engine.storage._pivot import emit_cells, gather_lists, group_rows, mark_codes, recode
from zuji.engine.storage.build import Ordered, OrderedRows, Packed, order, taken
from zuji.engine.storage.dictionary import Dictionary, sort_used
from zuji.engine.storage.frame import slice_keys
from zuji.engine.storage.partition import Partition, months_of
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zuji.engine.types import I64, U8, U16, U32

ALONE = 4
"""Runs of which a property is read with strings of their own; a query that reads more of them reads
all of them, mostly, and then one dictionary costs less.
"""


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

    def placed(self, tz: str, shards: int, events: EventOrder) -> list[PlacedCells]:
        """The same, each slice sorted: in one call, which for few rows is most of the time."""
        if self.n == 0:
            return []
        month, edges = months_of(int(self.time.min()), int(self.time.max()), tz)
        (perm, ordinal, time, interleave, tie, rows, runs, tied, run_rank, run_start) = (
            order_places(
                self.shard, self.ordinal, self.event, self.time, edges, shards, events.rank
            )
        )
        nothing = np.empty(0, np.uint16)
        found = []
        bounds = rows.tolist()
        for place in np.flatnonzero(rows[1:] > rows[:-1]).tolist():
            a, b = bounds[place], bounds[place + 1]
            mine = slice(*runs[place : place + 2].tolist())
            keys = Ordered(
                rows=b - a,
                names=[events.names[code] for code in run_rank[mine].tolist()],
                starts=np.append(run_start[mine], b - a),
                interleave=interleave[a:b],
                ordinal=ordinal[a:b],
                time=time[a:b],
                tie=tie[a:b] if tied[place] else None,
                perm=perm[a:b],
                event=nothing,
            )
            at, shard = divmod(place, shards)
            partition = Partition(month + at, *edges[at : at + 2].tolist())
            found.append(PlacedCells(shard, partition, SortedCells(keys, self)))
        return found


@dataclass(frozen=True, slots=True)
class EventOrder:
    """Names of events in order, each once, and uint16[codes] the place of each code's name."""

    names: list[str]
    rank: U16

    @classmethod
    def of(cls, event_names: Sequence[str]) -> EventOrder:
        """Of the names by code. O(names · log names)."""
        names = sorted(set(event_names))
        places = {name: place for place, name in enumerate(names)}
        return cls(names, np.array([places[name] for name in event_names], np.uint16))


@dataclass(frozen=True, slots=True)
class CellSlice:
    """The rows of one shard and partition: ``rows`` of ``table``, all when None."""

    shard: int
    partition: Partition
    rows: U32 | None
    table: CellRows

    def sorted(self) -> SortedCells:
        """The rows in final order."""
        table, rows = self.table, self.rows
        columns = (table.ordinal, table.time, table.event)
        if rows is not None:
            columns = tuple(taken(column, rows) for column in columns)
        keys = order(*columns, table.event_names, self.partition)
        if rows is not None:
            keys = replace(keys, perm=taken(rows, keys.perm))
        return SortedCells(keys, table)


@dataclass(frozen=True, slots=True)
class PlacedCells:
    """Sorted rows of one shard and partition."""

    shard: int
    partition: Partition
    rows: SortedCells

    def sorted(self) -> SortedCells:
        """The rows in final order."""
        return self.rows


class SortedCells(OrderedRows):
    """Rows of a memtable's slice, sorted. ``keys.perm``: rows of ``table``."""

    def __init__(self, keys: Ordered, table: CellRows) -> None:
        super().__init__(keys, table.received)
        self._table = table
        self._lock = threading.Lock()
        self._runs: list[_Emitted | None] = [None] * len(self.names)
        self._places: dict[str, int] | None = None
        self._having: dict[int, list[int]] | None = None

    @property
    def kinds(self) -> dict[str, Kind]:
        """See :class:`~zuji.engine.storage.build.SortedRows`. Reads all cells."""
        return self._named(self._runs_by_code())

    def kinds_of(self, run: int) -> dict[str, Kind]:
        """Properties that a row of the run has, sorted by name. Reads the run's cells alone."""
        return self._named(self._codes(run))

    def prop(self, name: str) -> CellProp:
        """See :class:`~zuji.engine.storage.build.SortedRows`."""
        places = self._places
        if places is None:
            places = {known: code for code, known in enumerate(self._table.prop_names)}
            self._places = places
        return CellProp(self, self._table, places[name])

    def having(self, code: int) -> list[int]:
        """Runs of which a row has a value of a property. Reads all cells."""
        return self._runs_by_code().get(code, [])

    def _runs_by_code(self) -> dict[int, list[int]]:
        having = self._having
        if having is None:
            having = {}
            for run in range(len(self.names)):
                for code in self._codes(run):
                    having.setdefault(code, []).append(run)
            self._having = having
        return having

    def emitted(self, run: int) -> _Emitted:
        """Cells of a run in final order; read once."""
        found = self._runs[run]
        if found is None:
            with self._lock:
                found = self._runs[run]
                if found is None:
                    found = self._runs[run] = self._emit(run)
        return found

    def _codes(self, run: int) -> Iterable[int]:
        return self.emitted(run).places

    def _named(self, codes: Iterable[int]) -> dict[str, Kind]:
        names, kinds = self._table.prop_names, self._table.prop_kinds
        return {names[code]: kinds[code] for code in sorted(codes, key=names.__getitem__)}

    def _emit(self, run: int) -> _Emitted:
        table = self._table
        rows = self.rows_of(run)
        props = len(table.prop_names)
        starts, values, presence, present = emit_cells(
            rows, table.cell_start, table.cell_prop, table.cell_value, props
        )
        codes = np.flatnonzero(starts[1:] > starts[:-1])
        places = {code: place for place, code in enumerate(codes.tolist())}
        cuts = np.append(starts[codes], starts[-1])
        return _Emitted(places, cuts, values, presence[codes], present)


@dataclass(frozen=True, slots=True)
class _Emitted:
    """Cells of one run: see :func:`~zuji.engine.storage._pivot.emit_cells`. Of the properties that
    it has only: a project has many more, and many runs. ``places``: codes, ascending, and where
    they are in ``starts`` and ``presence``.
    """

    places: dict[int, int]
    starts: I64
    values: I64
    presence: I64
    present: U8

    def count(self, code: int) -> int:
        place = self.places.get(code)
        return 0 if place is None else int(self.starts[place + 1] - self.starts[place])

    def values_of(self, code: int) -> I64:
        place = self.places.get(code)
        if place is None:
            return self.values[:0]
        return self.values[self.starts[place] : self.starts[place + 1]]

    def presence_of(self, code: int) -> int:
        place = self.places.get(code)
        return -1 if place is None else int(self.presence[place])


class CellProp:
    """One property of sorted cells. Idempotent caches; thread-safe."""

    def __init__(self, owner: SortedCells, table: CellRows, code: int) -> None:
        self._owner = owner
        self._table = table
        self._code = code
        self.kind = table.prop_kinds[code]
        self._sorted: tuple[Dictionary, U32] | None = None
        self._alone = 0  # runs read with strings of their own

    @property
    def dictionary(self) -> Dictionary | None:
        """The strings that are used, sorted when first asked for."""
        return self._strings()[0] if self._coded else None

    def _strings(self) -> tuple[Dictionary, U32]:
        """The dictionary, and uint32 code in the table -> code in it."""
        if self._sorted is None:
            self._sorted = self._strings_of(self.runs())
        return self._sorted

    def _strings_of(self, runs: Iterable[int]) -> tuple[Dictionary, U32]:
        used = np.zeros(len(self._table.strings), np.uint8)
        for run in runs:
            values = self._owner.emitted(run).values_of(self._code)
            if self.kind == Kind.LIST and len(values):
                values = self._lists(values)[1].astype(np.int64)
            mark_codes(values, used)
        return sort_used(self._table.strings, used)

    def runs(self) -> list[int]:
        """See :class:`~zuji.engine.storage.build.SortedProp`."""
        return self._owner.having(self._code)

    def count(self, run: int) -> int:
        """Rows of the run that have a value."""
        return self._owner.emitted(run).count(self._code)

    def run(self, run: int) -> Packed:
        """See :class:`~zuji.engine.storage.build.SortedProp`."""
        return self._packed(run, self._strings()[1] if self._coded else None)

    def alone(self, run: int) -> tuple[Packed, Dictionary | None]:
        """Values of one run and the strings of their codes, which may be those of this run alone:
        then the cells of other runs are not read. A run asked for twice may get both.
        """
        if not self._coded:
            return self._packed(run, None), None
        if self._sorted is None and self._alone < ALONE:
            self._alone += 1
            strings, lut = self._strings_of([run])
        else:
            strings, lut = self._strings()
        return self._packed(run, lut), strings

    @property
    def _coded(self) -> bool:
        return self.kind in (Kind.STRING, Kind.LIST)

    def _packed(self, run: int, lut: U32 | None) -> Packed:
        emitted = self._owner.emitted(run)
        values: Any = emitted.values_of(self._code)
        present: U8 | None = None
        at = emitted.presence_of(self._code)
        if at >= 0:
            rows = int(self._owner.starts[run + 1] - self._owner.starts[run])
            present = emitted.present[at : at + rows]
        if self.kind == Kind.LIST:
            offsets, items = self._lists(values)
            return Packed(taken(lut, items), present, offsets)
        if lut is not None:
            return Packed(recode(values, lut), present)
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
