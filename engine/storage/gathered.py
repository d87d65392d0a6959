"""Gathered rows: some rows of some runs, given to other users, as sorted rows that a memory source
is made of.

For users whose rows lie with somebody else: what is gathered stands beside :class:`Without` s of
the same sources. Users and times are read when it is made, properties when somebody asks. Each row
may be given the id that it came with, as the text property :data:`ORIGIN` and as its device. Of
rows at one instant, those of an older source come first, those of one source as they were sent.
Immutable; thread-safe: caches are filled idempotently.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import renumbered
from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage.build import OrderedRows, Packed, order
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.segment import shared
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zuji.engine.storage.partition import Partition
    from zuji.engine.storage.source import Run
    from zuji.engine.types import I64, U8, U32, Flags

ORIGIN = "$origin"
"""Property of a row that belongs to somebody else than its id says: that id. Nobody is shown it."""
DEVICE_ID = "$device_id"
"""Property that such a row gets with it: of rows of customers, the device that they came with."""
STORED = 0xFFFF_FFFF
"""Origin of a row that is as it was stored."""
HOME = 0xFFFF_FFFE
"""Origin of a row that is its own id's again."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Rows of one run: their numbers int64, ascending, their times uint32 as the run has them, the
    user of each uint32, and its origin uint32: a code of ``origins``, :data:`STORED` or
    :data:`HOME`. ``age``: runs of an older source have a lower one.
    """

    run: Run
    rows: I64
    time: U32
    ordinal: U32
    origin: U32
    origins: Dictionary
    age: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """Picked rows of one partition, for one shard.

    ``exact``: properties that no row has are left out, which reads them; else they may be named.
    """

    shard: int
    partition: Partition
    picked: Sequence[Picked]
    exact: bool = False

    def sorted(self) -> GatheredRows:
        """The rows in final order."""
        return GatheredRows(self)


class GatheredRows(OrderedRows):
    """The rows, sorted. An input row is its place among the parts, which are put by event."""

    def __init__(self, of: Gathered) -> None:
        parts = sorted(of.picked, key=lambda part: (part.run.event, part.age))
        names = sorted({part.run.event for part in parts})
        counts = [len(part.rows) for part in parts]
        event = np.repeat([names.index(part.run.event) for part in parts], counts)
        times = [part.time.astype(np.int64) + part.run.base_ms for part in parts]
        ages = np.repeat([part.age for part in parts], counts)
        sent = np.lexsort((_all([_ties(part) for part in parts], np.uint16), ages))
        keys = order(
            _all([part.ordinal for part in parts], np.uint32)[sent],
            _all(times, np.int64)[sent],
            event.astype(np.uint16)[sent],
            names,
            of.partition,
        )
        super().__init__(replace(keys, perm=sent[keys.perm].astype(np.uint32)), 0)
        self._parts = parts
        self._exact = of.exact
        cuts = np.cumsum([0, *counts])
        self._of_run = [
            [i for i, part in enumerate(parts) if part.run.event == name] for name in self.names
        ]
        self._first = [int(cuts[mine[0]]) for mine in self._of_run]
        self._kinds: list[dict[str, Kind] | None] = [None] * len(self.names)

    def received(self, run: int) -> I64:
        """See :class:`~zuji.engine.storage.build.SortedRows`."""
        parts = [self._parts[i] for i in self._of_run[run]]
        received: I64 = _all([p.run.received()[p.rows] for p in parts], np.int64)
        return received[self.places(run)]

    @property
    def kinds(self) -> dict[str, Kind]:
        """See :class:`~zuji.engine.storage.build.SortedRows`."""
        found: dict[str, Kind] = {}
        for run in range(len(self.names)):
            found |= self.kinds_of(run)
        return dict(sorted(found.items()))

    def kinds_of(self, run: int) -> Mapping[str, Kind]:
        """Properties that a row of the run has, sorted by name."""
        known = self._kinds[run]
        if known is None:
            found: dict[str, Kind] = {}
            for i in self._of_run[run]:
                found |= self._parts[i].run.props
            if any(_moved(self._parts[i]).any() for i in self._of_run[run]):
                found |= {ORIGIN: Kind.STRING, DEVICE_ID: Kind.STRING}
            if self._exact:
                found = {name: kind for name, kind in found.items() if self.prop(name).count(run)}
            known = self._kinds[run] = dict(sorted(found.items()))
        return known

    def prop(self, name: str) -> GatheredProp:
        """See :class:`~zuji.engine.storage.build.SortedRows`."""
        return GatheredProp(self, name)

    def places(self, run: int) -> I64:
        """Rows of a run, in order, as places among the rows that its parts give end to end."""
        return self.rows_of(run).astype(np.int64) - self._first[run]

    def cells(self, run: int, name: str) -> list[Cells]:
        """Values of a property, part by part."""
        found = []
        for i in self._of_run[run]:
            part = self._parts[i]
            column = shared(part.run).column(name) if name in part.run.props else None
            cells = _taken(column, part.rows, self.kind(name))
            found.append(_with_origin(cells, part) if name in (ORIGIN, DEVICE_ID) else cells)
        return found

    def presence(self, run: int, name: str) -> list[U8]:
        """Which rows have a property, part by part."""
        return [self._present(self._parts[i], name) for i in self._of_run[run]]

    def _present(self, part: Picked, name: str) -> U8:
        present = np.zeros(len(part.rows), np.uint8)
        if name in part.run.props:
            column = shared(part.run).column(name)
            assert column is not None
            present = np.ones_like(present) if column.present is None else column.present[part.rows]
        if name in (ORIGIN, DEVICE_ID):
            present = np.where(part.origin < STORED, part.origin < HOME, present).astype(np.uint8)
        return present

    def kind(self, name: str) -> Kind:
        """Kind of a property of any part."""
        if name in (ORIGIN, DEVICE_ID):
            return Kind.STRING
        return next(part.run.props[name] for part in self._parts if name in part.run.props)


@dataclass(frozen=True, slots=True)
class Cells:
    """Values of some rows, those without one included. ``offsets``: of lists."""

    values: Any
    present: U8
    strings: Dictionary | None = None
    offsets: U32 | None = None


class GatheredProp:
    """One property of gathered rows."""

    def __init__(self, owner: GatheredRows, name: str) -> None:
        self._owner = owner
        self._name = name
        self.kind = owner.kind(name)
        self._texts: tuple[Dictionary, dict[int, list[Cells]]] | None = None

    @property
    def _coded(self) -> bool:
        return self.kind in (Kind.STRING, Kind.LIST)

    @property
    def dictionary(self) -> Dictionary | None:
        """The strings that are used, sorted; None when it has none."""
        return self._all_texts()[0] if self._coded else None

    def runs(self) -> list[int]:
        """See :class:`~zuji.engine.storage.build.SortedProp`."""
        return [run for run in range(len(self._owner.names)) if self.count(run)]

    def count(self, run: int) -> int:
        """Rows of the run that have a value."""
        present = self._owner.presence(run, self._name)
        return sum(int(np.count_nonzero(some)) for some in present)

    def run(self, run: int) -> Packed:
        """See :class:`~zuji.engine.storage.build.SortedProp`."""
        return self._packed(run, self._all_texts()[1] if self._coded else None)

    def alone(self, run: int) -> tuple[Packed, Dictionary | None]:
        """Values of one run and the strings of their codes, those of this run alone."""
        if not self._coded:
            return self._packed(run, None), None
        if self._texts is not None:
            return self._packed(run, self._texts[1]), self._texts[0]
        strings, recoded = self._recoded([run])
        return self._packed(run, recoded), strings

    def _all_texts(self) -> tuple[Dictionary, dict[int, list[Cells]]]:
        if self._texts is None:
            self._texts = self._recoded(range(len(self._owner.names)))
        return self._texts

    def _recoded(self, runs: Iterable[int]) -> tuple[Dictionary, dict[int, list[Cells]]]:
        """The strings used by runs, sorted, and each of their parts with codes of these."""
        parts: list[Dictionary] = []
        recoded: list[tuple[int, Cells]] = []
        for run in runs:
            for cells in self._owner.cells(run, self._name):
                there = None if cells.offsets is not None else cells.present.view(np.bool_)
                strings = as_dictionary(cells.strings)
                used, codes = renumbered(cells.values, len(strings), there)
                parts.append(strings.pick(used))
                recoded.append((run, replace(cells, values=codes, strings=None)))
        merged, luts = merge_sorted(parts)
        found: dict[int, list[Cells]] = {run: [] for run in runs}
        for (run, cells), lut in zip(recoded, luts, strict=True):
            found[run].append(replace(cells, values=lut[cells.values]) if len(lut) else cells)
        return merged, found

    def _packed(self, run: int, recoded: dict[int, list[Cells]] | None) -> Packed:
        cells = self._owner.cells(run, self._name) if recoded is None else recoded[run]
        values = [some.values for some in cells]
        present = _all([some.present for some in cells], np.uint8)
        places = self._owner.places(run)
        there = present[places]
        shown = None if there.all() else there
        wanted = places[there.view(np.bool_)]
        if self.kind != Kind.LIST:
            joined = np.concatenate(values)
            return Packed(np.ascontiguousarray(joined[wanted]), shown)
        ends_of = [some.offsets for some in cells if some.offsets is not None]
        lengths = np.concatenate([np.diff(ends) for ends in ends_of])
        offsets = np.zeros(len(lengths) + 1, np.uint32)
        np.cumsum(lengths, out=offsets[1:])
        ends, items = gather_lists(
            offsets,
            np.ascontiguousarray(np.concatenate(values), np.uint32),
            wanted.astype(np.uint32),
        )
        return Packed(items, shown, ends)


def _cells(column: Column) -> Cells:
    present = column.present
    if present is None:
        present = np.ones(column.rows, np.uint8)
    strings = None if column.dictionary is None else as_dictionary(column.dictionary)
    return Cells(column.values, present, strings, column.offsets)


def _taken(column: Column | None, rows: I64, kind: Kind) -> Cells:
    """Some rows of a column; of none, nothing."""
    if column is None:
        absent = np.zeros(len(rows), np.uint8)
        if kind == Kind.LIST:
            return Cells(np.empty(0, np.uint32), absent, None, np.zeros(len(rows) + 1, np.uint32))
        return Cells(np.zeros(len(rows), DTYPES[kind]), absent)
    whole = _cells(column)
    present = np.ascontiguousarray(whole.present[rows])
    if whole.offsets is None:
        return Cells(whole.values[rows], present, whole.strings)
    offsets, items = gather_lists(
        whole.offsets, np.asarray(whole.values, np.uint32), rows.astype(np.uint32)
    )
    return Cells(items, present, whole.strings, offsets)


def _moved(part: Picked) -> Flags:
    return part.origin < HOME


def _with_origin(cells: Cells, part: Picked) -> Cells:
    """The ids that the rows came with, where that is not what is stored."""
    moved, home = _moved(part), part.origin == HOME
    if not (moved.any() or home.any()):
        return cells
    there = cells.present.view(np.bool_) & ~moved & ~home
    had = as_dictionary(cells.strings)
    kept, as_kept = renumbered(cells.values[there], len(had))
    given, as_given = renumbered(part.origin[moved], len(part.origins))
    strings, (of_kept, of_given) = merge_sorted([had.pick(kept), part.origins.pick(given)])
    values = np.zeros(len(part.rows), np.uint32)
    values[there], values[moved] = of_kept[as_kept], of_given[as_given]
    return Cells(values, (there | moved).view(np.uint8), strings)


def _ties(part: Picked) -> Any:
    ties = shared(part.run).ties()
    return np.zeros(len(part.rows), np.uint16) if ties is None else ties[part.rows]


def _all(parts: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
