"""Lifetime value: what the users of a cohort are worth, period by period after they came.

Semantics: docs/models/ltv.md. Per shard every user gets a cohort and an instant of entry (the first
start row, or a date property), then one pass of the kernel over the rows of value adds them to the
cells of their users' cohorts. Sizes are counted from the cohorts alone: a user who never paid is in
the divisor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.analyses.ltv_dates import instants
from zuji.engine.query.analyses.ltv_query import LtvPick, LtvQuery
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, one_line
from zuji.engine.query.crowd import allowed
from zuji.engine.query.entries import Entries, entries
from zuji.engine.query.kernels._events import count_by_user
from zuji.engine.query.kernels._ltv import MAX_CELLS, LtvCells, cohorts_of, ltv_cells
from zuji.engine.query.kernels._user_rows import user_rows
from zuji.engine.query.placed import groups_of_users
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.sums import added, rounded, running
from zuji.engine.query.users import user_column
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.analyses.ltv_query import LtvBody, ValueEvents
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.ranges import Buckets
    from zuji.engine.types import F64, I32, I64, U8, U32

DAY_MS = 86_400_000
ROLLING_MS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}
EARLIEST_MS, LATEST_MS = -(1 << 60), 1 << 60
CELL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Setting:
    """The periods of a query. ``buckets``: cohorts; ``periods``: whole calendar periods, going on
    after the range; values lie in [from_ms, to_ms).
    """

    body: LtvBody
    buckets: Buckets
    periods: I64
    rolling_ms: int
    from_ms: int
    to_ms: int

    @property
    def cohorts(self) -> int:
        """Number of cohorts."""
        return len(self.buckets.edges) - 1

    @property
    def columns(self) -> int:
        """Periods 0 … n."""
        return self.body.periods + 1

    def complete(self, mark: int | None) -> U8:
        """Which periods are over for all users of their cohort, uint8[cohorts, columns]."""
        if mark is None:
            return np.zeros((self.cohorts, self.columns), np.uint8)
        cohort, k = np.arange(self.cohorts)[:, None], np.arange(self.columns)
        ends = self.periods[cohort + k + 1]
        if self.body.mode == "rolling":
            ends = self.buckets.edges[cohort + 1] + (k + 1) * self.rolling_ms
        done: U8 = (ends <= mark).astype(np.uint8)
        return done


def setting(bound: Bound) -> Setting:
    """The periods of the bound query."""
    body, r = _body(bound), bound.range
    buckets = ranges.buckets(r)
    periods = calendars.extend(buckets.whole, r.tz, r.grain, body.periods + 1, r.week_start)
    rolling = ROLLING_MS[r.grain]
    if body.mode == "rolling":
        to_ms = r.to_ms + (body.periods + 1) * rolling
        return Setting(body, buckets, periods, rolling, r.from_ms, to_ms)
    return Setting(body, buckets, periods, rolling, int(periods[0]), int(periods[-1]))


def scans(bound: Bound) -> list[Scan]:
    """The start, if users enter by one, then each kind of value."""
    body, by, s = _body(bound), Breakdown(bound), setting(bound)
    found = []
    if body.start is not None:
        where = bound.where(body.start.where)
        first = EARLIEST_MS if body.cohort == "first_ever" else bound.range.from_ms
        columns = columns_of(where, *by.columns)
        found.append(Scan("start", body.start.names, first, bound.range.to_ms, where, columns))
    for i, value in enumerate(body.values, start=1):
        where = bound.where(value.where)
        columns = columns_of(where, value.p)
        found.append(Scan(f"value {i}", value.names, s.from_ms, s.to_ms, where, columns))
    return [planned(scan, bound.view) for scan in found]


def answer(bound: Bound) -> Answer:
    """Rows: by…, cohort, size, period, complete, value, value_so_far, per_user, payers,
    payers_so_far, per_payer.
    """
    work = _Work(bound)
    chosen = work.choose()
    return _answer(bound, work, chosen, work.sizes(chosen), work.cells(chosen)[0])


def users(bound: Bound, pick: LtvPick) -> list[U32]:
    """Ordinals of a cohort, or those of it who paid."""
    work = _Work(bound)
    chosen = work.choose()
    cohort = label_number(work.s.buckets.labels, pick.cohort)
    line = -1 if not bound.query.by else picked_line(bound, work.by.groups, chosen, pick)
    if pick.period is None:
        return [_members(done, chosen, line, cohort) for done in work.prepared]
    return work.cells(chosen, (line, cohort, pick.period, pick.so_far))[1]


def _body(bound: Bound) -> LtvBody:
    assert isinstance(bound.query, LtvQuery)
    return bound.query.body


@dataclass(slots=True)
class _Prepared:
    """One shard, read. By ordinal: ``cohort`` (-1 = in none) and ``entry``, ms; groups of the
    members, None without a breakdown; rows that are worth something.
    """

    cohort: I32
    entry: I64
    groups: Entries | None
    lanes: list[Lane]
    values: list[F64]


class _Work:
    """Cohorts, and the rows of their value, read once."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.body, self.context = bound, _body(bound), bound.context
        self.s = setting(bound)
        self.by = Breakdown(bound)
        self.plans = scans(bound)
        date = self.body.date
        kind = None if date is None else kind_of(bound.view.catalog, date)
        if kind not in (None, Kind.DATETIME, Kind.STRING):
            raise InvalidQuery(f"{date} is a {kind.label}; a date is needed here", "$.body.date")
        self.prepared = self.context.map(self._prepare, list(range(bound.view.shards)))

    # -- reading -------------------------------------------------------------------------------

    def _prepare(self, shard: int) -> _Prepared:
        reader = ShardReader(self.bound.view, shard, self.context)
        self.context.charge(12 * reader.users)
        values = list(zip(self.body.values, self.plans[-len(self.body.values) :], strict=True))
        entered = self._by_date(reader) if self.body.start is None else self._by_start(reader)
        done = _Prepared(*entered, [], [])
        for value, plan in values:
            for chosen in reader.select(plan):
                own = self._values(reader, chosen.ref, value)
                if own is not None:
                    done.lanes.append(chosen.lane)
                    done.values.append(own)
        return done

    def _by_start(self, reader: ShardReader) -> tuple[I32, I64, Entries | None]:
        selected, r = reader.select(self.plans[0]), self.bound.range
        first = EARLIEST_MS if self.body.cohort == "first_ever" else r.from_ms
        self.context.charge(24 * reader.users)
        rows = user_rows(
            [chosen.lane for chosen in selected],
            first,
            r.to_ms,
            reader.users,
            cancel=self.context.flag,
            allowed=allowed(self.bound, reader),
        )
        cohort = self._cohorts(rows.time, rows.lane >= 0)
        if not self.by.by:
            return cohort, rows.time, None
        return cohort, rows.time, _of_members(entries(self.by, reader, selected, rows), cohort)

    def _by_date(self, reader: ShardReader) -> tuple[I32, I64, Entries | None]:
        date = self.body.date or ""
        column = user_column(reader.view, reader.shard, date.partition(".")[2])
        entry, known = np.zeros(reader.users, np.int64), np.zeros(reader.users, np.uint8)
        if column is not None:
            entry, known = instants(column, self.bound.range.tz, date, self.context)
        crowd = allowed(self.bound, reader)
        if crowd is not None:
            known = known & crowd
        cohort = self._cohorts(entry, (known == 1) & self._visible(reader))
        if not self.by.by:
            return cohort, entry, None
        return cohort, entry, _of_members(Entries(*groups_of_users(self.by, reader)), cohort)

    def _visible(self, reader: ShardReader) -> Any:
        """Users of whom the caller may see some row. A row policy is about rows, and those who
        enter by a date need none.
        """
        where = self.bound.where_in_scope(None)
        if where is None:
            return np.True_
        scan = Scan("visible", None, EARLIEST_MS, LATEST_MS, where, columns_of(where))
        lanes = [chosen.lane for chosen in reader.select(planned(scan, self.bound.view))]
        flag = self.context.flag
        return count_by_user(lanes, EARLIEST_MS, LATEST_MS, reader.users, cancel=flag) > 0

    def _cohorts(self, at: I64, known: Any) -> I32:
        edges = np.ascontiguousarray(self.s.buckets.edges[: self.s.cohorts + 1])
        return cohorts_of(at, np.ascontiguousarray(known, np.bool_).view(np.uint8), edges)

    def _values(self, reader: ShardReader, ref: RunRef, value: ValueEvents) -> F64 | None:
        """float64[rows], NaN = no value; None: no row has any."""
        self.context.charge(8 * ref.run.rows)
        if value.p is None:
            return np.full(ref.run.rows, float(value.sign))
        column = reader.column(ref, value.p)
        if column is None:
            return None
        values = np.asarray(column.values, np.float64)
        if value.sign < 0:
            values = -values
        return values if column.present is None else np.where(column.present == 1, values, np.nan)

    # -- numbers -------------------------------------------------------------------------------

    def choose(self) -> Chosen:
        """The groups with the largest cohorts."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        totals = np.zeros(size, np.int64)
        for done in self.prepared:
            if done.groups is not None:
                totals += done.groups.counts(size)
        return choose(self.bound, self.by.groups, totals.astype(np.float64), np.flatnonzero(totals))

    def sizes(self, chosen: Chosen) -> I64:
        """Users of each cohort, int64[lines, cohorts]."""
        cohorts, lines = self.s.cohorts, chosen.lines
        total = np.zeros(lines * cohorts, np.int64)
        for done in self.prepared:
            if done.groups is None:
                total += np.bincount(done.cohort + 1, minlength=cohorts + 1)[1:]
            else:
                _, line, _ = done.groups.lines(chosen, len(done.cohort))
                keep = line < lines
                at = line[keep] * np.int64(cohorts) + done.cohort[done.groups.users[keep]]
                total += np.bincount(at, minlength=lines * cohorts)
        return total.reshape(lines, cohorts)

    def cells(
        self, chosen: Chosen, pick: tuple[int, int, int, bool] | None = None
    ) -> tuple[LtvCells, list[U32]]:
        """Cells of all lines, and the ordinals of the picked one in each shard."""
        cells = max(chosen.lines, 1) * self.s.cohorts * self.s.columns
        if cells > MAX_CELLS:
            raise QueryBudgetExceeded(
                f"{chosen.lines:,} groups x {self.s.cohorts:,} cohorts x {self.s.columns} periods "
                "are too many cells; narrow the time range, take fewer 'periods' or a coarser "
                "grain, or show fewer groups"
            )
        self.context.charge(CELL_BYTES * cells * (1 + len(self.prepared)))
        parts = self.context.map(lambda done: self._kernel(done, chosen, pick), self.prepared)
        total = parts[0]
        for part in parts[1:]:
            total = LtvCells(
                *added((total.value, total.lost), (part.value, part.lost)),
                total.payers + part.payers,
                total.first + part.first,
                total.picked,
            )
        return total, [part.picked for part in parts]

    def _kernel(
        self, done: _Prepared, chosen: Chosen, pick: tuple[int, int, int, bool] | None
    ) -> LtvCells:
        lines = None
        if done.groups is not None:
            lines = done.groups.lines(chosen, len(done.cohort))[:2]
        rolling = self.body.mode == "rolling"
        return ltv_cells(
            done.lanes,
            done.values,
            cohort=done.cohort,
            entry=done.entry if rolling else None,
            lines=lines,
            n_lines=max(chosen.lines, 1),
            cohorts=self.s.cohorts,
            periods=self.s.columns,
            edges=self.s.periods[: self.s.cohorts + self.s.columns],
            period_ms=self.s.rolling_ms if rolling else 0,
            pick=pick,
            cancel=self.context.flag,
        )


def _of_members(found: Entries, cohort: I32) -> Entries:
    """Those who are in a cohort."""
    keep = cohort[found.users] >= 0
    return found if keep.all() else Entries(found.users[keep], found.groups[keep])


def _members(done: _Prepared, chosen: Chosen, line: int, cohort: int) -> U32:
    mask = done.cohort == cohort
    if line >= 0 and done.groups is not None:
        mask &= done.groups.of_line(chosen, line, len(done.cohort)) == 1
    return np.flatnonzero(mask).astype(np.uint32)


def _answer(bound: Bound, work: _Work, chosen: Chosen, sizes: I64, cells: LtvCells) -> Answer:
    s = work.s
    columns = [
        *by_columns(bound),
        ColumnInfo("cohort", bucket_type(bound)),
        ColumnInfo("size", "int64", "users"),
        ColumnInfo("period", "int64", bound.range.grain),
        ColumnInfo("complete", "bool"),
        ColumnInfo("value", "float64"),
        ColumnInfo("value_so_far", "float64"),
        ColumnInfo("per_user", "float64"),
        ColumnInfo("payers", "int64", "users"),
        ColumnInfo("payers_so_far", "int64", "users"),
        ColumnInfo("per_payer", "float64"),
    ]
    bound.context.charge(200 * chosen.lines * s.cohorts * s.columns)
    complete = s.complete(bound.view.watermark_ms).astype(np.bool_)
    worth = (cells.value, cells.lost)
    value, so_far, paid = rounded(worth), running(worth), np.cumsum(cells.first, axis=2)
    done = complete.tolist()
    rows: list[list[Any]] = []
    for line in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, work.by.groups, chosen, line)
        parts = [a[line].tolist() for a in (value, rounded(so_far), cells.payers, paid)]
        for c, label in enumerate(s.buckets.labels):
            size = int(sizes[line, c])
            for k, (own, total, payers, once) in enumerate(
                zip(*(p[c] for p in parts), strict=True)
            ):
                lead = [*head, label, size, k, done[c][k]]
                if not done[c][k]:
                    rows.append([*lead, *[None] * 6])
                    continue
                each = [_share(total, size), payers, once, _share(total, once)]
                rows.append([*lead, own, total, *each])
    return Answer(
        columns, rows, _totals(bound, work, chosen, sizes, _Pooled(worth, so_far, paid, complete))
    )


class _Pooled(NamedTuple):
    """[lines, cohorts, periods]; ``complete`` [cohorts, periods]."""

    worth: tuple[F64, F64]
    so_far: tuple[F64, F64]
    paid: I64
    complete: Any

    def of(self, line: int, k: int) -> tuple[float, float, int]:
        """Value of a period, value so far and users who paid, over cohorts whose period is over."""
        over = self.complete[:, k]
        sums = [
            math.fsum(part for one in kept for part in one[line, over, k].tolist())
            for kept in (self.worth, self.so_far)
        ]
        return sums[0], sums[1], int(self.paid[line, over, k].sum())


def _share(above: float, below: int) -> float | None:
    return above / below if below else None


def _totals(
    bound: Bound, work: _Work, chosen: Chosen, sizes: I64, pooled: _Pooled
) -> dict[str, Any]:
    """All cohorts pooled, those whose period is over: Σ value ÷ Σ size."""
    rows: list[list[Any]] = []
    for line in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, work.by.groups, chosen, line)
        for k in range(work.s.columns):
            size = int(sizes[line][pooled.complete[:, k]].sum())
            value, total, payers = pooled.of(line, k)
            each = [_share(total, size), payers, _share(total, payers)]
            rows.append([*head, k, size, value, total, *each])
    names = [c.name for c in by_columns(bound)]
    names += ["period", "size", "value", "value_so_far", "per_user", "payers_so_far", "per_payer"]
    return {"kind": "pooled", "columns": names, "rows": rows}


MODEL = Model(LtvQuery, LtvPick, scans, answer, users)
