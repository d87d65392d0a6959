"""Retention: of the users who did the start event in a period, how many did the return event later.

Semantics: docs/query.md, "Retention". Three scans: starts (all history for ``first_ever``),
returns, and the extra metric. Per shard one pass of the retention kernel; or, without breakdown and
filter in calendar mode, the day index: cohorts and returns are bitmaps of users, and every cell is
an intersection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.analyses import retention_index, retention_rows
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.analyses.retention_index import rules_of
from zuji.engine.query.analyses.retention_query import Bracket, RetentionPick, RetentionQuery
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, once_a_row, one_line
from zuji.engine.query.crowd import allowed
from zuji.engine.query.kernels._retention import MAX_CELLS, retention_cells
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import Selected, ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.sums import added, rounded

if TYPE_CHECKING:
    from zuji.engine.query.analyses.retention_query import RetentionBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import Lane, RetentionCells
    from zuji.engine.query.ranges import Buckets
    from zuji.engine.types import F64, I64, U8, U32

DAY_MS = 86_400_000
ROLLING_MS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}
EARLIEST_MS = -(1 << 60)


@dataclass(frozen=True, slots=True)
class Setting:
    """The periods of a query. ``edges``: cohort periods cut to the range; ``periods``: whole
    calendar periods, going on after the range; ``last_ms``: where the last needed return lies at
    the latest.
    """

    body: RetentionBody
    buckets: Buckets
    periods: I64
    rolling_ms: int
    last_ms: int

    @property
    def cohorts(self) -> int:
        """Number of cohort periods."""
        return len(self.buckets.edges) - 1

    @property
    def columns(self) -> int:
        """Cells of a cohort: periods 0…n, or the brackets."""
        criterion = self.body.criterion
        return len(criterion.bracket) if isinstance(criterion, Bracket) else self.body.periods + 1

    def last_period(self, k: int) -> int:
        """The last period that decides column k."""
        criterion = self.body.criterion
        if isinstance(criterion, Bracket):
            return criterion.bracket[k][1]
        return self.body.periods if criterion == "on_or_after" else k

    def complete(self, mark: int | None) -> U8:
        """Which cells are decided for all users of their cohort, uint8[cohorts, columns]."""
        if mark is None:
            return np.zeros((self.cohorts, self.columns), dtype=np.uint8)
        last = np.array([self.last_period(k) for k in range(self.columns)], dtype=np.int64)
        cohort = np.arange(self.cohorts)[:, None]
        if self.body.mode == "calendar":
            ends = self.periods[cohort + last + 1]
        else:
            ends = self.buckets.edges[cohort + 1] + (last + 1) * self.rolling_ms
        done: U8 = (ends <= mark).astype(np.uint8)
        return done


def setting(bound: Bound) -> Setting:
    """The periods of the bound query."""
    body: RetentionBody = bound.query.body
    r = bound.range
    buckets = ranges.buckets(r)
    periods = calendars.extend(buckets.whole, r.tz, r.grain, body.periods + 1, r.week_start)
    rolling = ROLLING_MS[r.grain]
    last = int(periods[-1]) if body.mode == "calendar" else r.to_ms + (body.periods + 1) * rolling
    return Setting(body, buckets, periods, rolling, last)


def scans(bound: Bound) -> list[Scan]:
    """Starts, returns and, if asked, the metric."""
    query = bound.query
    assert isinstance(query, RetentionQuery)
    body, by, s = query.body, Breakdown(bound), setting(bound)
    from_ms = bound.range.from_ms
    whole = min(from_ms, int(s.buckets.whole[0]))
    start_where, return_where = bound.where(body.start.where), bound.where(body.return_.where)
    wanted = retention_index.fits(bound)
    first = EARLIEST_MS if body.cohort == "first_ever" else from_ms
    found = [
        Scan(
            "start",
            body.start.names,
            first,
            bound.range.to_ms,
            start_where,
            columns_of(start_where, *by.columns),
            index_wanted=wanted,
        ),
        Scan(
            "return",
            body.return_.names,
            whole,
            s.last_ms,
            return_where,
            columns_of(return_where),
            index_wanted=wanted,
        ),
    ]
    if body.measure is not None:
        where = bound.where(body.measure.events.where)
        found.append(
            Scan(
                "metric",
                body.measure.events.names,
                whole,
                s.last_ms,
                where,
                columns_of(where, body.measure.p),
            )
        )
    return [planned(scan, bound.view) for scan in found]


def answer(bound: Bound) -> Answer:
    """Rows: by…, cohort, size, period, returned, rate, complete and the metric."""
    s, by = setting(bound), Breakdown(bound)
    plans = scans(bound)
    if plans[0].index and plans[1].index and retention_index.aligned(plans[0], plans[1], s):
        bound.context.used_index = True
        return _answer(
            bound, s, by, one_line(), retention_index.cells(bound, plans[0], plans[1], s)
        )
    if retention_rows.fits(bound, plans, s):
        return _answer(bound, s, by, one_line(), retention_rows.cells(bound, plans, s))
    work = _Work(bound, s, plans, by)
    chosen = work.choose()
    return _answer(bound, s, by, chosen, work.cells(chosen))


def users(bound: Bound, pick: RetentionPick) -> list[U32]:
    """Ordinals of a cohort, or those of it who returned (or not) in a column."""
    s, by = setting(bound), Breakdown(bound)
    cohort = label_number(s.buckets.labels, pick.cohort)
    work = _Work(bound, s, scans(bound), by)
    chosen = work.choose()
    line = -1 if not bound.query.by else picked_line(bound, by.groups, chosen, pick)
    if pick.period is None:
        return work.picked(chosen, (line, cohort, 0, None))
    return work.picked(chosen, (line, cohort, pick.period, not pick.churned))


@dataclass(slots=True)
class _Prepared:
    """One shard, read."""

    allowed: U8 | None
    start_lanes: list[Lane]
    start_rows: list[U32 | None]
    start_groups: list[U32 | None]
    return_lanes: list[Lane]
    is_start: list[U8 | int]
    metric_lanes: list[Lane] | None
    metric_values: list[F64 | None] | None


@dataclass(slots=True)
class _Sums:
    """Cells added over shards."""

    size: I64
    returned: I64
    metric_sum: F64 | None
    metric_lost: F64 | None
    metric_count: I64 | None


class _Work:
    """Rows of the three scans, read once."""

    def __init__(self, bound: Bound, s: Setting, plans: list[Scan], by: Breakdown) -> None:
        self.bound, self.s, self.plans, self.by = bound, s, plans, by
        self.context = bound.context
        self.prepared = self.context.map(self._prepare, list(range(bound.view.shards)))

    def _prepare(self, shard: int) -> _Prepared:
        reader = ShardReader(self.bound.view, shard, self.context)
        starts = reader.select(self.plans[0])
        returns = reader.select(self.plans[1])
        done = _Prepared(allowed(self.bound, reader), [], [], [], [], [], None, None)
        for chosen in starts:
            columns = self.by.codes(reader, chosen.ref) if self.by.by else []
            lane, rows, groups = self.by.groups.of_rows(chosen.lane, columns)
            done.start_lanes.append(lane)
            done.start_rows.append(rows)
            done.start_groups.append(groups)
        by_run = {id(chosen.ref.run): chosen for chosen in starts}
        for chosen in returns:
            done.return_lanes.append(chosen.lane)
            done.is_start.append(self._is_start(reader, chosen, by_run))
        if len(self.plans) > 2:
            self._metric(reader, done)
        return done

    def _is_start(
        self, reader: ShardReader, chosen: Selected, starts: dict[int, Selected]
    ) -> U8 | int:
        """Whether the return rows of a run are start rows too."""
        names = self.plans[0].events
        if names is not None and chosen.event not in names:
            return 0
        start = starts.get(id(chosen.ref.run))
        if start is not None:
            return 1 if start.lane.mask is None else start.lane.mask
        where = self.plans[0].where
        if where is None:
            return 1
        mask = reader.mask(chosen.ref, where)
        return int(mask) if isinstance(mask, bool) else mask

    def _metric(self, reader: ShardReader, done: _Prepared) -> None:
        measure = self.s.body.measure
        assert measure is not None
        done.metric_lanes, done.metric_values = [], []
        for chosen in reader.select(self.plans[2]):
            lane = chosen.lane
            values: F64 | None = None
            if measure.p is not None:
                column = reader.column(chosen.ref, measure.p)
                if column is None:
                    continue
                values = column.values.astype(np.float64)
                if column.present is not None:
                    mask = column.present if lane.mask is None else column.present & lane.mask
                    lane = type(lane)(
                        lane.users,
                        lane.offsets,
                        lane.times,
                        lane.base_ms,
                        lane.rank,
                        lane.ties,
                        mask,
                    )
            done.metric_lanes.append(lane)
            done.metric_values.append(values)

    def choose(self) -> Chosen:
        """The groups with the largest cohorts."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        every = Chosen(list(range(size)), False, size)
        totals = self.cells(every, sizes_only=True).size.sum(axis=1)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(totals).tolist())

    def cells(self, chosen: Chosen, *, sizes_only: bool = False) -> _Sums:
        """Sizes and returns of each line; ``sizes_only``: with one column, of period 0."""
        s = self.s
        columns = 1 if sizes_only else s.columns
        cohorts = max(chosen.lines, 1) * s.cohorts
        if cohorts * columns > MAX_CELLS:
            raise QueryBudgetExceeded(
                f"{cohorts:,} cohorts of {columns} cells are too many; narrow the time range, show "
                "fewer groups, or group by a property with fewer values"
            )
        self.context.charge(8 * cohorts * (columns + 1) * len(self.prepared))
        parts = self.context.map(
            lambda done: self._kernel(done, chosen, None, sizes_only=sizes_only), self.prepared
        )
        first = parts[0]
        total = _Sums(
            first.size, first.returned, first.metric_sum, first.metric_lost, first.metric_count
        )
        for part in parts[1:]:
            total.size = total.size + part.size
            total.returned = total.returned + part.returned
            if total.metric_sum is not None and part.metric_sum is not None:
                assert total.metric_lost is not None
                assert part.metric_lost is not None
                total.metric_sum, total.metric_lost = added(
                    (total.metric_sum, total.metric_lost), (part.metric_sum, part.metric_lost)
                )
                total.metric_count = total.metric_count + part.metric_count  # type: ignore[operator]
        if total.metric_sum is not None and total.metric_lost is not None:
            total.metric_sum = rounded((total.metric_sum, total.metric_lost))
        return total

    def picked(self, chosen: Chosen, pick: tuple[int, int, int, bool | None]) -> list[U32]:
        """Ordinals of a cell in each shard."""
        return [
            cells.picked
            for cells in self.context.map(
                lambda done: self._kernel(done, chosen, pick, sizes_only=False), self.prepared
            )
        ]

    def _kernel(
        self,
        done: _Prepared,
        chosen: Chosen,
        pick: tuple[int, int, int, bool | None] | None,
        *,
        sizes_only: bool,
    ) -> RetentionCells:
        s = self.s
        criterion = Bracket(((0, 0),)) if sizes_only else s.body.criterion
        metric = not sizes_only and pick is None
        groups: list[U32 | None] = []
        for rows, group in zip(done.start_rows, done.start_groups, strict=True):
            lines = None if group is None else chosen.table[group]
            if lines is not None and chosen.other:
                lines = once_a_row(rows, lines, len(chosen.shown))
            groups.append(lines)
        return retention_cells(
            done.start_lanes,
            groups,
            max(chosen.lines, 1),
            done.return_lanes,
            done.is_start,
            start_edges=s.buckets.edges,
            period_edges=s.periods,
            mode=s.body.mode,
            period_ms=s.rolling_ms,
            n=s.body.periods,
            **rules_of(s.body, criterion),
            metric_lanes=done.metric_lanes if metric else None,
            metric_values=done.metric_values if metric else None,
            pick=pick,
            cancel=self.context.flag,
            allowed=done.allowed,
        )


def _answer(bound: Bound, s: Setting, by: Breakdown, chosen: Chosen, cells: Any) -> Answer:
    body, mark = s.body, bound.view.watermark_ms
    measure = body.measure
    columns = [
        *by_columns(bound),
        ColumnInfo("cohort", bucket_type(bound), None),
        ColumnInfo("size", "int64", "users"),
        ColumnInfo("period", "int64", bound.range.grain),
        ColumnInfo("returned", "int64", "users"),
        ColumnInfo("rate", "float64", "ratio"),
        ColumnInfo("complete", "bool", None),
    ]
    if measure is not None:
        columns.append(
            ColumnInfo(measure.column, "int64" if measure.p is None else "float64", None)
        )
    complete = s.complete(mark).astype(bool)
    bound.context.charge(150 * chosen.lines * s.cohorts * s.columns)
    rows: list[list[Any]] = []
    known = complete.tolist()
    for g in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, by.groups, chosen, g)
        sizes, returned = cells.size[g].tolist(), cells.returned[g].tolist()
        for p, (label, size) in enumerate(zip(s.buckets.labels, sizes, strict=True)):
            lead = [*head, label, size]
            backs = [size - back for back in returned[p]] if body.churn else returned[p]
            line = [
                [*lead, k, back, back / size if size else None, True]
                if done
                else [*lead, k, None, None, False]
                for k, (back, done) in enumerate(zip(backs, known[p], strict=True))
            ]
            if measure is not None:
                for k, row in enumerate(line):
                    row.append(_metric_value(measure.op, cells, (g, p, k)) if row[-1] else None)
            rows += line
    return Answer(columns, rows, _totals(s, cells, complete, chosen, bound, by))


def _metric_value(op: str, cells: Any, at: tuple[int, int, int]) -> Any:
    count = int(cells.metric_count[at])
    if op == "count":
        return count
    total = float(cells.metric_sum[at])
    return total if op == "sum" else (total / count if count else None)


def _totals(
    s: Setting, cells: Any, complete: Any, chosen: Chosen, bound: Bound, by: Breakdown
) -> dict[str, Any]:
    """Pooled mean over cohorts: Σ returned / Σ size over complete cells."""
    rows: list[list[Any]] = []
    for g in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, by.groups, chosen, g)
        for k in range(s.columns):
            size = int(cells.size[g][complete[:, k]].sum())
            back = int(cells.returned[g, :, k][complete[:, k]].sum())
            if s.body.churn:
                back = size - back
            rows.append([*head, k, size, back, back / size if size else None])
    names = [c.name for c in by_columns(bound)]
    return {
        "kind": "pooled",
        "columns": [*names, "period", "size", "returned", "rate"],
        "rows": rows,
    }


MODEL = Model(RetentionQuery, RetentionPick, scans, answer, users)
