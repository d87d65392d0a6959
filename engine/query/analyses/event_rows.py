"""Event series from rows: read once for equal events and filter, measured in few passes.

Series over the same events and filter share their rows, and those that sum the same property their
cells. One pass counts all groups in all buckets; lines of an answer are picked out of it. Only the
users of the "other" line, which no sum of cells gives, take a second pass; with too many cells for
one pass groups are ranked first and then the chosen ones counted. Of very many strings those that
can be shown are found first (:mod:`event_top`). Shards hold disjoint users, so cells add up over
shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.analyses import event_top, event_values
from zuji.engine.query.analyses.event_values import Line, Sums
from zuji.engine.query.breakdown import (
    Breakdown,
    Chosen,
    choose,
    once_a_row,
    one_line,
    read_by,
)
from zuji.engine.query.crowd import allowed
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._events import event_cells, pick_users
from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.virtual.items import Coded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.analyses.event_query import Series
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.reader import Selected
    from zuji.engine.types import F64, I64, U8, U32, Column

FULL_CELLS = 1 << 22
"""Up to so many cells in all shards, all groups are counted in all buckets at once."""
CELL_BYTES = 24
"""Of rows, users and new users of a cell in one shard."""


@dataclass(slots=True)
class Part:
    """Rows of one scan in one run: lane, row of the run that each row is (None = itself), group.

    ``values``: numbers and their mask by property; ``codes``: what a distinct count counts.
    ``column``: the strings that the groups are to be made of, while they are not made.
    """

    ref: RunRef
    lane: Lane
    rows: U32 | None
    groups: RowGroups | None
    values: dict[str, tuple[F64, U8 | None]] = field(default_factory=dict)
    codes: dict[str, U32] = field(default_factory=dict)
    sessions: I64 | None = None
    column: Column | None = None


@dataclass(slots=True)
class Prepared:
    """One shard: its audience and the parts of each scan."""

    reader: ShardReader
    allowed: U8 | None
    scans: list[list[Part]] = field(default_factory=list)


def unique_scans(
    bound: Bound, series: Sequence[Series], by: Breakdown
) -> tuple[list[Scan], list[int]]:
    """A planned scan for each different (events, filter), and the number of each series' scan."""
    heads: list[Series] = []
    props: list[list[str | None]] = []
    numbers: list[int] = []
    for one in series:
        same = (i for i, h in enumerate(heads) if h.names == one.names and h.where == one.where)
        number = next(same, len(heads))
        if number == len(heads):
            heads.append(one)
            props.append([])
        props[number].append(one.measure.p)
        numbers.append(number)
    scans = []
    for head, names in zip(heads, props, strict=True):
        where = bound.where(head.where)
        columns = columns_of(where, *names, *by.columns)
        span = bound.range
        scan = Scan(head.as_ or "", head.names, span.from_ms, span.to_ms, where, columns)
        scans.append(planned(scan, bound.view))
    return scans, numbers


class RowWork:
    """Rows of some series."""

    def __init__(self, bound: Bound, series: list[Series], by: Breakdown, edges: I64) -> None:
        self.bound = bound
        self.series = series
        self.by = by
        self.edges = edges
        self.context = bound.context
        self.scans, self.scan_of = unique_scans(bound, series, by)
        self.distinct = {
            s.measure.p: Dimension(s.measure.p, bound.range.tz)
            for s in series
            if s.measure.op == "distinct" and s.measure.p
        }
        self._late = bool(by.by) and event_top.fits(bound, series)
        self._narrow: event_top.Narrow | None = None
        self.prepared = self.context.map(self._prepare, list(range(bound.view.shards)))
        self._cells: dict[tuple[str, int, str | None], Sums] = {}
        if self._late:
            self._group()

    # -- reading -------------------------------------------------------------------------------

    def _prepare(self, shard: int) -> Prepared:
        reader = ShardReader(self.bound.view, shard, self.context)
        done = Prepared(reader, allowed(self.bound, reader))
        numbers = None
        for number, scan in enumerate(self.scans):
            mine = [
                s.measure for s, n in zip(self.series, self.scan_of, strict=True) if n == number
            ]
            if numbers is None and any(measure.op == "sessions" for measure in mine):
                numbers = event_values.sessions_of(self.bound, reader)
            parts = []
            for chosen in reader.select(scan):
                part = self._part(reader, chosen)
                for measure in mine:
                    if measure.op == "sessions" and numbers is not None:
                        ids = numbers[id(part.ref.run)]
                        part.sessions = ids if part.rows is None else ids[part.rows]
                    elif measure.op == "distinct" and measure.p:
                        self._take_codes(reader, part, measure.p)
                    elif measure.p:
                        self._take_values(reader, part, measure.p)
                parts.append(part)
            done.scans.append(parts)
        return done

    def _part(self, reader: ShardReader, chosen: Selected) -> Part:
        if self._late:
            column = read_by(reader, chosen.ref, self.by.by[0])
            assert not isinstance(column, Coded)  # event_top.fits
            return Part(chosen.ref, chosen.lane, None, None, column=column)
        columns = self.by.coded(reader, chosen.ref)
        return Part(chosen.ref, *self.by.groups.grouped(chosen.lane, columns))

    def _group(self, floor: int | None = None) -> None:
        """Makes the groups of the rows; of very many strings only those that can be shown, or that
        have ``floor`` rows.
        """
        dimension, self._narrow = self.by.dimensions[0], None
        self._cells.clear()
        if event_top.many(self.prepared):
            n = self.bound.query.top.n
            if self.series[0].measure.op == "users":
                n = max(4 * n, event_top.MEASURED)
            self._narrow = event_top.narrowed(
                self.context, self.prepared, self.scan_of[0], _ends(self.edges), n, floor
            )
        dimension.narrow(None if self._narrow is None else self._narrow.kept)
        for part in (part for done in self.prepared for scan in done.scans for part in scan):
            if self._narrow is not None:
                part.groups = self._narrow.groups(part.column, part.ref.run.rows)
            else:
                part.groups = dimension.coded(part.column, part.ref.run.rows)[0]

    def _take_codes(self, reader: ShardReader, part: Part, p: str) -> None:
        if p not in part.codes:
            column = reader.column(part.ref, p)
            codes, offsets = self.distinct[p].codes(column, part.ref.run.rows)
            part.codes[p] = event_values.distinct_codes(part.rows, codes, offsets)

    def _take_values(self, reader: ShardReader, part: Part, p: str) -> None:
        if p in part.values:
            return
        column = reader.column(part.ref, p)
        if column is None:
            rows = part.lane.rows
            part.values[p] = np.zeros(rows, np.float64), np.zeros(rows, np.uint8)
            return
        values, mask = np.asarray(column.values, np.float64), column.present
        if part.rows is not None:
            values, mask = values[part.rows], None if mask is None else mask[part.rows]
        part.values[p] = values, mask

    # -- groups --------------------------------------------------------------------------------

    @property
    def lists(self) -> bool:
        """Whether a row may be in several groups."""
        return any(
            part.rows is not None
            for done in self.prepared
            for parts in done.scans
            for part in parts
        )

    @property
    def full(self) -> bool:
        """Whether one pass counts all groups in all buckets: always, where none are chosen."""
        if not self.by.by:
            return True
        cells = self.by.groups.size * (len(self.edges) - 1)
        return cells * len(self.prepared) <= FULL_CELLS

    def choose(self) -> Chosen:
        """Ranks the groups on the whole range by the first series."""
        if not self.by.by:
            return one_line()
        totals, seen = self._ranks()
        if self._narrow is not None and self.series[0].measure.op == "users":
            known = np.delete(totals, self._narrow.rest)
            n = self.bound.query.top.n
            least = 0 if len(known) < n else int(np.partition(known, len(known) - n)[-n])
            if least < self._narrow.least and seen[self._narrow.rest]:
                self._group(max(least, 1))  # a group left out may have as many users
                totals, seen = self._ranks()
        rest = None if self._narrow is None else self._narrow.rest
        return choose(self.bound, self.by.groups, totals, np.flatnonzero(seen), rest)

    def _ranks(self) -> tuple[F64, Any]:
        """What each group is ranked by, and whether any series has rows of it."""
        size = self.by.groups.size
        seen = np.zeros(size, dtype=bool)
        measure = self.series[0].measure
        for number, one in enumerate(self.series):
            gathered = event_values.gathers(one.measure)
            cells = self._every(number)
            seen |= cells.rows.any(axis=1)
            if number == 0 and not gathered:
                first = event_values.of_cells(measure.op, cells, cumulative=False)[1]
        if event_values.gathers(measure):
            every = Chosen(list(range(size)), False, size)
            first = self._gathered(0, every, _ends(self.edges)).totals
        return np.where(np.isnan(first), -np.inf, first), seen

    # -- cells ---------------------------------------------------------------------------------

    def lines(self, chosen: Chosen) -> list[Line]:
        """Values of every series, with running totals and moving averages applied."""
        found = []
        for number, series in enumerate(self.series):
            self.context.charge(40 * max(chosen.lines, 1) * len(self.edges))
            if event_values.gathers(series.measure):
                line = self._gathered(number, chosen, self.edges)
            else:
                line = self._summed(number, chosen)
            if series.moving_average is not None:
                line.values = event_values.moving_average(line.values, series.moving_average)
            found.append(line)
        return found

    def _summed(self, number: int, chosen: Chosen) -> Line:
        series = self.series[number]
        op = series.measure.op
        every = self._every(number)
        if not self.by.by:
            values, totals = event_values.of_cells(op, every, cumulative=series.cumulative)
            return Line(values, totals, float(totals[0]))
        people = op in ("users", "per_user")
        if not self.full:
            cells = self._counted(number, "lines", chosen.table, chosen.lines, self.edges)
        else:
            cells = every.of_lines(chosen.shown)
            if chosen.other:
                rest = every.of_rest(chosen.shown)
                if people or self.lists:
                    left = np.zeros(self.by.groups.size, np.uint32)
                    left[chosen.shown] = event_values.NO_GROUP
                    rest = self._counted(number, "rest", left, 1, self.edges)
                cells = cells.with_line(rest)
        values, totals = event_values.of_cells(op, cells, cumulative=series.cumulative)
        whole = every.of_rest([])  # without users, which do not add up
        if self.lists and op != "users":
            merged = np.zeros(self.by.groups.size, np.uint32)
            whole = self._counted(number, "whole", merged, 1, _ends(self.edges))
        else:
            whole.new_users[0, 0] = every.anybody
        overall = event_values.of_cells(op, whole, cumulative=False)[1]
        return Line(values, totals, float(overall[0]))

    def _property(self, number: int) -> str | None:
        """What is summed in the cells of a series: its property, or that of a series beside it."""
        mine = self.series[number].measure
        if mine.p is not None and not event_values.gathers(mine):
            return mine.p
        for other, scan in zip(self.series, self.scan_of, strict=True):
            p = other.measure.p
            if scan == self.scan_of[number] and p and not event_values.gathers(other.measure):
                return p
        return None

    def _every(self, number: int) -> Sums:
        """Cells of all groups: in all buckets where that is one pass, else in one."""
        edges = self.edges if self.full else _ends(self.edges)
        return self._counted(number, "every", None, self.by.groups.size if self.by.by else 1, edges)

    def _counted(self, number: int, what: str, table: U32 | None, lines: int, edges: I64) -> Sums:
        """Cells of each line, line ``table[g]`` having the rows of group g; None: line g. Counted
        once for the series that share them; ``what`` names them.
        """
        key = (what, self.scan_of[number], self._property(number))
        found = self._cells.get(key)
        if found is None:
            found = self._cells[key] = self._count(number, table, lines, edges)
        return found

    def _count(self, number: int, table: U32 | None, lines: int, edges: I64) -> Sums:
        scan, p = self.scan_of[number], self._property(number)
        merging = table is not None
        rest = -1 if merging or self._narrow is None else self._narrow.rest
        self.context.charge(CELL_BYTES * lines * (len(edges) - 1) * len(self.prepared))

        def work(done: Prepared) -> Sums:
            parts = done.scans[scan]
            inside = len(edges) == 2 and all(part.ref.inside for part in parts)
            cells = event_cells(
                [part.lane for part in parts],
                event_top.EVER if inside else edges,
                [_line_groups(part, table, lines - 1 if merging else None) for part in parts],
                lines,
                None if p is None else [part.values[p][0] for part in parts],
                None if p is None else [part.values[p][1] for part in parts],
                cancel=self.context.flag,
                allowed=done.allowed,
                rest=rest,
            )
            return Sums.of(cells)

        return event_values.added(self.context.map(work, self.prepared))

    def _gathered(self, number: int, chosen: Chosen, edges: I64) -> Line:
        series, scan = self.series[number], self.scan_of[number]
        measure = series.measure
        buckets = len(edges) - 1

        def taken(table: U32 | None, lines: int) -> list[event_values.Gathered]:
            def work(done: Prepared) -> event_values.Gathered:
                found = event_values.Gathered()
                for part in done.scans[scan]:
                    groups = _line_groups(part, table, lines - 1)
                    rows = groups.rows() if isinstance(groups, RowGroups) else groups
                    found.take(part, measure, rows, edges, done, lines)
                return found

            return self.context.map(work, self.prepared)

        shards = taken(chosen.table, chosen.lines)
        values = event_values.of_gathered(
            measure, shards, chosen.lines, buckets, cumulative=series.cumulative
        )
        totals = event_values.of_gathered(measure, shards, chosen.lines, buckets, whole=True)[:, 0]
        if self.by.by:
            shards = taken(np.zeros(self.by.groups.size, np.uint32), 1)
        overall = event_values.of_gathered(measure, shards, 1, buckets, whole=True, one_line=True)
        return Line(values, totals, float(overall[0, 0]))

    def pick(self, number: int, chosen: Chosen, line: int, bucket: int) -> list[U32]:
        """Ordinals of a cell in each shard; ``line`` -1: any group."""

        def work(done: Prepared) -> U32:
            parts = done.scans[self.scan_of[number]]
            groups = None
            if self.by.by and line >= 0:
                last = len(chosen.shown) if chosen.other else None
                groups = [_line_groups(part, chosen.table, last) for part in parts]
            return pick_users(
                [part.lane for part in parts],
                self.edges,
                groups,
                bucket,
                line if groups is not None else -1,
                cancel=self.context.flag,
                allowed=done.allowed,
            )

        return self.context.map(work, self.prepared)


def _ends(edges: I64) -> I64:
    return np.array([edges[0], edges[-1]], dtype=np.int64)


def _line_groups(part: Part, table: U32 | None, merged: int | None) -> Any:
    """Line of each row: its group through the table. A row that a list puts into the line
    ``merged`` twice is there once.
    """
    if part.groups is None or table is None:
        return part.groups
    lines = part.groups.through(table)
    if part.rows is None or merged is None:
        return lines
    return once_a_row(part.rows, lines.rows(), merged)
