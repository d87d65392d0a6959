"""Event analysis: measures of events per local bucket and group. Semantics: docs/query.md, "Event".

Plan: one scan a series. Without breakdown and filter the day index answers count and users. Else
rows: per shard the lanes of each series with the group of each row; groups are ranked on the whole
range and cut to the top n by number; then one pass of the cell kernel (count, users, sums) or a
gather (percentiles, distinct values, sessions). Shards hold disjoint users, so cells add up over
shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query import ranges
from zuji.engine.query.analyses import event_index, event_values
from zuji.engine.query.analyses.event_values import Line
from zuji.engine.query.answer import Answer, bucket_type, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, once_a_row, one_line
from zuji.engine.query.checks import formulas
from zuji.engine.query.crowd import allowed
from zuji.engine.query.formula import evaluate as evaluate_formula
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._events import event_cells, pick_users
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.model import EventPick, EventQuery, Series
    from zuji.engine.query.plan import RunRef
    from zuji.engine.types import F64, I64, U8, U32

NO_GROUP = 0xFFFFFFFF


@dataclass(slots=True)
class Part:
    """Rows of one series in one run: lane, row of the run that each row is (None = itself), group,
    value.
    """

    ref: RunRef
    lane: Lane
    rows: U32 | None
    groups: U32 | None
    values: F64 | None = None
    value_mask: U8 | None = None
    codes: U32 | None = None
    sessions: I64 | None = None


@dataclass(slots=True)
class Prepared:
    """One shard: its audience and the parts of each series."""

    reader: ShardReader
    allowed: U8 | None
    series: list[list[Part]] = field(default_factory=list)


def scans(bound: Bound) -> list[Scan]:
    """One scan a series."""
    query: EventQuery = bound.query  # type: ignore[assignment]
    return _scans(bound, query.body.series)


def _scans(bound: Bound, wanted: Sequence[Series]) -> list[Scan]:
    by = Breakdown(bound)
    found = []
    for series in wanted:
        where = bound.where(series.where)
        found.append(
            planned(
                Scan(
                    series.as_ or "",
                    series.names,
                    bound.range.from_ms,
                    bound.range.to_ms,
                    where,
                    columns_of(where, series.measure.p, *by.columns),
                    index_wanted=event_index.fits(bound, series),
                ),
                bound.view,
            )
        )
    return found


def answer(bound: Bound) -> Answer:
    """Rows: series, bucket, by…, value."""
    query: EventQuery = bound.query  # type: ignore[assignment]
    buckets = ranges.buckets(bound.range)
    lines = event_index.lines(bound, query.body.series, buckets.edges)
    bound.context.used_index |= any(line is not None for line in lines)
    rest = [i for i, line in enumerate(lines) if line is None]
    breakdown, chosen = Breakdown(bound), one_line()
    if rest:
        wanted = [query.body.series[i] for i in rest]
        work = _Work(bound, _scans(bound, wanted), wanted, breakdown)
        chosen = work.choose()
        for i, line in zip(rest, work.lines(chosen, buckets.edges), strict=True):
            lines[i] = line
    done = [line for line in lines if line is not None]
    return _answer(bound, query, done, breakdown, chosen, buckets.labels)


def users(bound: Bound, pick: EventPick) -> list[U32]:
    """Ordinals with a row of the picked series, bucket and group."""
    query: EventQuery = bound.query  # type: ignore[assignment]
    buckets = ranges.buckets(bound.range)
    names = [s.as_ for s in query.body.series]
    number = names.index(pick.series) if pick.series in names else 0
    bucket = -1 if pick.bucket is None else event_values.label_number(buckets.labels, pick.bucket)
    breakdown = Breakdown(bound)
    plans = scans(bound)
    work = _Work(bound, plans, list(query.body.series), breakdown)
    if not query.by:
        line, chosen = -1, one_line()
    else:
        chosen = work.choose()
        line = event_values.picked_line(bound, breakdown.groups, chosen, pick)
    return work.pick(number, chosen, line, buckets.edges, bucket)


class _Work:
    """Rows of some series, read once and measured in as many passes as needed."""

    def __init__(
        self, bound: Bound, plans: list[Scan], series: list[Series], by: Breakdown
    ) -> None:
        self.bound = bound
        self.plans = plans
        self.series = series
        self.by = by
        self.context = bound.context
        self.distinct = [
            Dimension(s.measure.p, bound.range.tz)
            if s.measure.op == "distinct" and s.measure.p
            else None
            for s in series
        ]
        self.prepared = self.context.map(self._prepare, list(range(bound.view.shards)))

    def _prepare(self, shard: int) -> Prepared:
        reader = ShardReader(self.bound.view, shard, self.context)
        done = Prepared(reader, allowed(self.bound, reader))
        numbers = None
        for i, scan in enumerate(self.plans):
            parts = []
            selected = reader.select(scan)
            if self.series[i].measure.op == "sessions" and numbers is None:
                numbers = event_values.sessions_of(self.bound, reader)
            for chosen in selected:
                columns = self.by.codes(reader, chosen.ref) if self.by.by else []
                lane, rows, groups = self.by.groups.of_rows(chosen.lane, columns)
                part = Part(chosen.ref, lane, rows, groups)
                self._measure(reader, part, i, numbers)
                parts.append(part)
            done.series.append(parts)
        return done

    def _measure(
        self, reader: ShardReader, part: Part, number: int, sessions: dict[int, I64] | None
    ) -> None:
        """Adds to a part the value of each row that the measure needs."""
        measure = self.series[number].measure
        dimension = self.distinct[number]
        if measure.op == "sessions" and sessions is not None:
            ids = sessions[id(part.ref.run)]
            part.sessions = ids if part.rows is None else ids[part.rows]
        if measure.p is None:
            return
        column = reader.column(part.ref, measure.p)
        if dimension is not None:
            codes, offsets = dimension.codes(column, part.ref.run.rows)
            part.codes = event_values.distinct_codes(part, codes, offsets)
            return
        if column is None:
            part.values = np.zeros(part.lane.rows, dtype=np.float64)
            part.value_mask = np.zeros(part.lane.rows, dtype=np.uint8)
            return
        values = column.values.astype(np.float64)
        part.values = values if part.rows is None else values[part.rows]
        if column.present is not None:
            part.value_mask = column.present if part.rows is None else column.present[part.rows]

    # -- groups --------------------------------------------------------------------------------

    def choose(self) -> Chosen:
        """Ranks the groups on the whole range by the first series."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        every = Chosen(list(range(size)), False, size)
        whole = np.array([self.bound.range.from_ms, self.bound.range.to_ms], dtype=np.int64)
        seen = np.zeros(size, dtype=bool)
        measure = self.series[0].measure
        first = np.zeros(size)
        for number in range(len(self.series)):
            ranks = number == 0 and not event_values.gathers(measure)
            cells = self._cells(number, every, whole, values=ranks and measure.p is not None)
            seen |= cells.rows[:, 0] > 0
            if ranks:
                first = event_values.of_cells(measure.op, cells, cumulative=False)[1]
        if event_values.gathers(measure):
            first = self.measured(0, every, whole).totals
        totals = np.where(np.isnan(first), -np.inf, first)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(seen).tolist())

    # -- cells ---------------------------------------------------------------------------------

    def lines(self, chosen: Chosen, edges: I64) -> list[Line]:
        """Values of every series."""
        return [self.measured(number, chosen, edges) for number in range(len(self.series))]

    def measured(self, number: int, chosen: Chosen, edges: I64) -> Line:
        """Values of one series, with running totals and moving averages applied."""
        series = self.series[number]
        self.context.charge(40 * max(chosen.lines, 1) * len(edges))
        if event_values.gathers(series.measure):
            line = self._gathered(number, chosen, edges)
        else:
            line = self._summed(number, chosen, edges)
        if series.moving_average is not None:
            line.values = event_values.moving_average(line.values, series.moving_average)
        return line

    def _summed(self, number: int, chosen: Chosen, edges: I64) -> Line:
        series = self.series[number]
        op = series.measure.op
        cells = self._cells(number, chosen, edges, values=series.measure.p is not None)
        values, totals = event_values.of_cells(op, cells, cumulative=series.cumulative)
        if len(chosen.shown) == 1 and not self.by.by:
            return Line(values, totals, float(totals[0]))
        merged = self._cells(
            number, _merged(self.by.groups.size), _ends(edges), values=series.measure.p is not None
        )
        overall = event_values.of_cells(op, merged, cumulative=False)[1]
        return Line(values, totals, float(overall[0]))

    def _cells(self, number: int, chosen: Chosen, edges: I64, *, values: bool) -> event_values.Sums:
        def work(done: Prepared) -> event_values.Sums:
            parts = done.series[number]
            groups = [_line_groups(part, chosen) for part in parts]
            cells = event_cells(
                [part.lane for part in parts],
                edges,
                groups,
                chosen.lines,
                [part.values for part in parts] if values else None,
                [part.value_mask for part in parts] if values else None,
                cancel=self.context.flag,
                allowed=done.allowed,
            )
            return event_values.Sums.of(cells)

        return event_values.added(self.context.map(work, self.prepared))

    def _gathered(self, number: int, chosen: Chosen, edges: I64) -> Line:
        measure, series = self.series[number].measure, self.series[number]

        def work(done: Prepared) -> event_values.Gathered:
            found = event_values.Gathered()
            for part in done.series[number]:
                found.take(part, _line_groups(part, chosen), edges, done, chosen.lines)
            return found

        parts = self.context.map(work, self.prepared)
        buckets = len(edges) - 1
        values = event_values.of_gathered(
            measure, parts, chosen.lines, buckets, cumulative=series.cumulative
        )
        totals = event_values.of_gathered(measure, parts, chosen.lines, buckets, whole=True)[:, 0]
        overall = event_values.of_gathered(measure, parts, 1, buckets, whole=True, one_line=True)[
            0, 0
        ]
        if self.by.by:
            merged = _merged(self.by.groups.size)

            def all_rows(done: Prepared) -> event_values.Gathered:
                found = event_values.Gathered()
                for part in done.series[number]:
                    found.take(part, _line_groups(part, merged), edges, done, 1)
                return found

            everything = self.context.map(all_rows, self.prepared)
            overall = event_values.of_gathered(measure, everything, 1, buckets, whole=True)[0, 0]
        return Line(values, totals, float(overall))

    def pick(self, number: int, chosen: Chosen, line: int, edges: I64, bucket: int) -> list[U32]:
        """Ordinals of a cell in each shard; ``line`` -1: any group."""

        def work(done: Prepared) -> U32:
            parts = done.series[number]
            groups = (
                None
                if not self.by.by or line < 0
                else [_line_groups(part, chosen) for part in parts]
            )
            return pick_users(
                [part.lane for part in parts],
                edges,
                groups,
                bucket,
                line if groups is not None else -1,
                cancel=self.context.flag,
                allowed=done.allowed,
            )

        return self.context.map(work, self.prepared)


def _merged(size: int) -> Chosen:
    """All groups as one line, each row once."""
    return Chosen([], True, size)


def _ends(edges: I64) -> I64:
    return np.array([edges[0], edges[-1]], dtype=np.int64)


def _line_groups(part: Part, chosen: Chosen) -> U32 | None:
    """Line of each row: its group through the table of the chosen."""
    if part.groups is None:
        return None
    lines = chosen.table[part.groups]
    if chosen.other:
        lines = once_a_row(part.rows, lines, len(chosen.shown))
    return lines


def _answer(
    bound: Bound,
    query: EventQuery,
    lines: list[Line],
    by: Breakdown,
    chosen: Chosen,
    labels: list[str],
) -> Answer:
    """Rows of series and formulas, and their totals."""
    body = query.body
    names = [s.as_ or "" for s in body.series]
    whole = [_is_whole(bound, s) for s in body.series]
    table = list(lines)
    for tree, formula in zip(formulas(body), body.formula, strict=True):
        table.append(
            Line(
                evaluate_formula(tree, [line.values for line in lines]),
                evaluate_formula(tree, [line.totals for line in lines]),
                float(evaluate_formula(tree, [np.array([line.overall]) for line in lines])[0]),
            )
        )
        names.append(formula.as_ or formula.expr)
        whole.append(False)
    columns = [
        ColumnInfo("series", "string", None),
        ColumnInfo("bucket", bucket_type(bound), None),
        *by_columns(bound),
        ColumnInfo("value", "float64", None),
    ]
    bound.context.charge(120 * len(table) * chosen.lines * len(labels))
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for name, line, is_whole in zip(names, table, whole, strict=True):
        for g in range(chosen.lines):
            head = line_values(bound, by.groups, chosen, g)
            cells = event_values.plain(line.values[g], is_whole)
            rows += [[name, label, *head, cell] for label, cell in zip(labels, cells, strict=True)]
            totals.append([name, *head, event_values.plain(line.totals[g : g + 1], is_whole)[0]])
    overall = [
        [name, event_values.plain(np.array([line.overall]), is_whole)[0]]
        for name, line, is_whole in zip(names, table, whole, strict=True)
    ]
    return Answer(
        columns,
        rows,
        {
            "kind": "deduplicated",
            "columns": ["series", *[c.name for c in by_columns(bound)], "value"],
            "rows": totals,
            "overall": overall,
        },
    )


def _is_whole(bound: Bound, series: Series) -> bool:
    """Whether values are whole numbers."""
    if series.moving_average is not None:
        return False
    op, p = series.measure.op, series.measure.p
    if op in ("count", "users", "sessions", "distinct"):
        return True
    from zuji.engine.query.bind import kind_of

    kind = None if p is None else kind_of(bound.view.catalog, p)
    return op in ("sum", "min", "max") and kind in (Kind.INT, Kind.BOOL, Kind.DATETIME)
