"""Attribution: what the touches before a conversion are owed of it.

Semantics: docs/models/attribution.md. One scan of the target, and one a touch; a run that several
touches match becomes one lane whose rows are named by the first that they match. The kernel walks
each user's conversions with cursors over the touches (``attribution.h``); its credit is a whole
number of shares, so cells of shards add up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.analyses import attribution_touches
from zuji.engine.query.analyses.attribution_query import AttributionPick, AttributionQuery
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, once_a_row, one_line
from zuji.engine.query.combinations import Groups, sort_key
from zuji.engine.query.crowd import allowed
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._attribution import MAX_CELLS, attribution_cells
from zuji.engine.query.kernels._events import event_cells
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.sums import along, rounded
from zuji.engine.query.texts import texts_of
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.analyses.attribution_query import AttributionBody
    from zuji.engine.query.analyses.attribution_touches import Touches
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.credits import CreditCells
    from zuji.engine.query.kernels.groups import RowGroups
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.ranges import Buckets
    from zuji.engine.types import F64, I64, U8, U32

CELL_BYTES = 80
"""Of a cell in a kernel and as arrays, and then of each model and its value."""
MODEL_BYTES = 64


def scans(bound: Bound) -> list[Scan]:
    """The target, then each touch."""
    body = _body(bound)
    by, r = Breakdown(bound), bound.range
    before = r.from_ms - body.lookback.ms
    where = bound.where(body.target.where)
    columns = columns_of(
        where, body.target.value, *by.columns, *(pair.target for pair in body.pairs)
    )
    # A touch that serves once may have served a conversion before the range.
    first = r.from_ms if body.reuse else before
    found = [Scan("target", body.target.names, first, r.to_ms, where, columns)]
    for i, touch in enumerate(body.touches, start=1):
        where = bound.where(touch.where)
        columns = columns_of(where, touch.name, *(pair.touch for pair in body.pairs))
        found.append(Scan(f"touch {i}", touch.names, before, r.to_ms, where, columns))
    return [planned(scan, bound.view) for scan in found]


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket (trend), touch, name, is_direct, touches, in_paths, conversions, assisted,
    users, credit and value of each model.
    """
    work = _Work(bound)
    chosen = work.choose()
    return _answer(bound, work, chosen, work.cells(chosen)[0])


def users(bound: Bound, pick: AttributionPick) -> list[U32]:
    """Ordinals with a conversion in the cell."""
    work = _Work(bound)
    chosen = work.choose()
    line = -1 if not bound.query.by else picked_line(bound, work.by.groups, chosen, pick)
    bucket = -1 if pick.bucket is None else label_number(work.buckets.labels, pick.bucket)
    name = -1
    if pick.is_direct:
        name = work.names.size
    elif pick.touch is not None:
        name = work.names.number(pick.touch, pick.name)
    return work.cells(chosen, (line, bucket, name))[1]


def _body(bound: Bound) -> AttributionBody:
    assert isinstance(bound.query, AttributionQuery)
    return bound.query.body


@dataclass(slots=True)
class _Target:
    """Conversions of one run: the lane, the same with a row for each group (and which row that
    is), values and keys of the lane's rows.
    """

    lane: Lane
    wide: Lane
    rows: U32 | None
    groups: RowGroups | None
    values: F64 | None
    keys: U32 | None


@dataclass(slots=True)
class _Prepared:
    """One shard, read."""

    allowed: U8 | None
    targets: list[_Target] = field(default_factory=list)
    touches: list[Touches] = field(default_factory=list)


class _Keys:
    """Codes of matched properties, the same for touches and target, in all shards; 0 = one of them
    is missing.
    """

    def __init__(self, bound: Bound, body: AttributionBody) -> None:
        self.pairs = body.pairs
        dimensions = []
        for i, pair in enumerate(self.pairs):
            kinds = [kind_of(bound.view.catalog, p) for p in (pair.touch, pair.target)]
            for p, side, kind in zip(
                (pair.touch, pair.target), ("touch", "target"), kinds, strict=True
            ):
                if kind == Kind.LIST:
                    raise InvalidQuery(
                        f"{p} is a list; a matched property has one value",
                        f"$.body.match[{i}].{side}",
                    )
            same = pair.touch == pair.target and kinds[0] == Kind.STRING
            texts = texts_of(bound.view, pair.touch) if same else None
            dimensions.append(Dimension(pair.touch, bound.range.tz, None, texts))
        self._dimensions = dimensions
        self._groups = Groups(dimensions, bound.context.check)

    def of(self, reader: ShardReader, ref: RunRef, names: list[str]) -> U32 | None:
        """uint32[rows]; None without a match."""
        if not self.pairs:
            return None
        parts = [
            dimension.codes(reader.column(ref, p), ref.run.rows)[0]
            for dimension, p in zip(self._dimensions, names, strict=True)
        ]
        missing = np.zeros(ref.run.rows, np.bool_)
        for part in parts:
            missing |= part == 0
        found = self._groups.of_values(parts)
        reader.context.charge(found.nbytes)
        return np.where(missing, np.uint32(0), found + np.uint32(1)).astype(np.uint32)


class _Work:
    """Rows of target and touches, read once."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.body, self.context = bound, _body(bound), bound.context
        self.by = Breakdown(bound)
        self.plans = scans(bound)
        r = bound.range
        self.buckets: Buckets = ranges.buckets(
            r if self.body.trend else ranges.Range(r.from_ms, r.to_ms, r.tz, "all", r.week_start)
        )
        self.keys = _Keys(bound, self.body)
        self.names = attribution_touches.Names(bound, self.body)
        self.prepared = self.context.map(self._prepare, list(range(bound.view.shards)))
        self.names.close([touches for done in self.prepared for touches in done.touches])

    def _prepare(self, shard: int) -> _Prepared:
        reader = ShardReader(self.bound.view, shard, self.context)
        done = _Prepared(allowed(self.bound, reader))
        targets = [pair.target for pair in self.body.pairs]
        for chosen in reader.select(self.plans[0]):
            ref, lane = chosen.ref, chosen.lane
            wide, rows, groups = lane, None, None
            if self.by.by:
                wide, rows, groups = self.by.groups.grouped(lane, self.by.coded(reader, ref))
            keys = self.keys.of(reader, ref, targets)
            values = self._values(reader, ref)
            done.targets.append(_Target(lane, wide, rows, groups, values, keys))
        done.touches = attribution_touches.read(reader, self.plans[1:], self.names, self._key)
        return done

    def _key(self, reader: ShardReader, ref: RunRef) -> U32 | None:
        return self.keys.of(reader, ref, [pair.touch for pair in self.body.pairs])

    def _values(self, reader: ShardReader, ref: RunRef) -> F64 | None:
        p = self.body.target.value
        column = None if p is None else reader.column(ref, p)
        if column is None:
            return None
        values = column.values.astype(np.float64)
        self.context.charge(values.nbytes)
        return values if column.present is None else np.where(column.present == 1, values, np.nan)

    def choose(self) -> Chosen:
        """The groups with the most conversions."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        edges = np.array([self.bound.range.from_ms, self.bound.range.to_ms], np.int64)
        self.context.charge(24 * size * len(self.prepared))

        def work(done: _Prepared) -> I64:
            lanes = [target.wide for target in done.targets]
            groups = [target.groups for target in done.targets]
            flag = self.context.flag
            cells = event_cells(lanes, edges, groups, size, cancel=flag, allowed=done.allowed)
            return cells.rows[:, 0]

        totals: I64 = np.sum(self.context.map(work, self.prepared), axis=0)
        return choose(self.bound, self.by.groups, totals.astype(np.float64), np.flatnonzero(totals))

    def cells(
        self, chosen: Chosen, pick: tuple[int, int, int] | None = None
    ) -> tuple[CreditCells, list[U32]]:
        """All cells, and the ordinals of the picked one in each shard."""
        lines, buckets = max(chosen.lines, 1), len(self.buckets.labels)
        cells = lines * buckets * (self.names.size + 1)
        if cells > MAX_CELLS:
            raise QueryBudgetExceeded(
                f"{cells:,} cells ({lines:,} groups, {buckets:,} buckets, {self.names.size:,} "
                "names of touches) are too many; narrow the touches, name them by a property with "
                "fewer values, show fewer groups or leave out 'trend'"
            )
        held = CELL_BYTES + MODEL_BYTES * len(self.body.models)
        self.context.charge(cells * held * (1 + len(self.prepared)))
        parts = self.context.map(lambda done: self._kernel(done, chosen, pick), self.prepared)
        total = parts[0]
        for part in parts[1:]:
            total = total.plus(part)
        return total, [part.picked for part in parts]

    def _kernel(
        self, done: _Prepared, chosen: Chosen, pick: tuple[int, int, int] | None
    ) -> CreditCells:
        body, matched = self.body, bool(self.body.match)
        targets = done.targets
        return attribution_cells(
            [target.lane for target in targets],
            [_lines(target, chosen) for target in targets],
            max(chosen.lines, 1),
            None if body.target.value is None else [target.values for target in targets],
            [touches.lane for touches in done.touches],
            [self.names.of(touches) for touches in done.touches],
            self.names.size,
            edges=self.buckets.edges,
            lookback_ms=body.lookback.ms,
            models=[model.for_kernel for model in body.models],
            direct=self.names.direct,
            once=not body.reuse,
            target_keys=[target.keys for target in targets] if matched else None,
            touch_keys=[touches.keys for touches in done.touches] if matched else None,
            pick=pick,
            cancel=self.context.flag,
            allowed=done.allowed,
        )

    def touches(self) -> I64 | None:
        """Touches in the range by [bucket, name]; None with a breakdown, whose groups they are not
        in.
        """
        if self.by.by:
            return None
        edges, flag = self.buckets.edges, self.context.flag

        def work(done: _Prepared) -> I64:
            return attribution_touches.counted(done.touches, self.names, edges, done.allowed, flag)

        found: I64 = np.sum(self.context.map(work, self.prepared), axis=0)
        return found


def _lines(target: _Target, chosen: Chosen) -> U32 | tuple[U32, U32] | None:
    """Lines of the rows of a run: one a row, or lists of them; None: line 0."""
    if target.groups is None:
        return None
    lines = target.groups.through(chosen.table).rows()
    if target.rows is None:
        return lines
    if chosen.other:
        lines = once_a_row(target.rows, lines, len(chosen.shown))
    offsets = np.zeros(target.lane.rows + 1, np.uint32)
    np.cumsum(np.bincount(target.rows, minlength=target.lane.rows), out=offsets[1:])
    return offsets, lines


def _answer(bound: Bound, work: _Work, chosen: Chosen, cells: CreditCells) -> Answer:
    body, names = work.body, work.names
    touches = work.touches()
    labels: list[str | None] = list(work.buckets.labels) if body.trend else [None]
    columns = by_columns(bound)
    if body.trend:
        columns.append(ColumnInfo("bucket", bucket_type(bound)))
    columns += [
        ColumnInfo("touch", "string"),
        ColumnInfo("name", names.kind),
        ColumnInfo("is_direct", "bool"),
        ColumnInfo("touches", "int64", "events"),
        ColumnInfo("in_paths", "int64", "events"),
        ColumnInfo("conversions", "int64", "events"),
        ColumnInfo("assisted", "int64", "events"),
        ColumnInfo("users", "int64", "users"),
    ]
    for model in body.models:
        columns.append(ColumnInfo(f"credit({model.label})", "float64", "events"))
        if body.target.value is not None:
            columns.append(ColumnInfo(f"value({model.label})", "float64"))
    numbers = _numbers(cells, touches)
    rows: list[list[Any]] = []
    for line in range(chosen.lines):
        head = line_values(bound, work.by.groups, chosen, line)
        shown = _shown(work, cells, touches, line)
        bound.context.charge(200 * len(shown) * len(labels))
        for b, label in enumerate(labels):
            bound.context.check()
            lead = [*head, label] if body.trend else head
            rows += [[*lead, *names.columns(n), *numbers(line, b, n)] for n in shown]
    return Answer(columns, rows, _totals(bound, work, chosen, cells))


def _numbers(cells: CreditCells, touches: I64 | None) -> Any:
    """The numbers of a row."""
    credit, value = cells.credit, cells.value

    def of(line: int, b: int, name: int) -> list[Any]:
        at = (line, b, name)
        own = None
        if touches is not None and name < touches.shape[1]:
            own = int(touches[b, name])
        found: list[Any] = [
            own,
            int(cells.touches[at]),
            int(cells.conversions[at]),
            int(cells.assisted[at]),
            int(cells.users[at]),
        ]
        if value is None:
            return [*found, *credit[at].tolist()]
        for pair in zip(credit[at].tolist(), value[at].tolist(), strict=True):
            found += pair
        return found

    return of


def _shown(work: _Work, cells: CreditCells, touches: I64 | None, line: int) -> list[int]:
    """Names in the order of their rows: touches as asked, their names by conversions; last the
    conversions without a touch. A name without anything in the line is left out.
    """
    names = work.names
    totals = cells.conversions[line].sum(axis=0)
    seen = totals[:-1] > 0
    if touches is not None:
        seen = seen | (touches.sum(axis=0) > 0)
    shown: list[int] = []
    for i in range(len(work.body.touches)):
        if names.is_plain(i):
            shown.append(names.first(i))
            continue
        work.context.check()
        own = np.flatnonzero(seen & (names.touches == i)).tolist()
        own.sort(key=lambda n: (-int(totals[n]), sort_key([names.value(n)])))
        shown += own
    return [*shown, names.size]


def _totals(bound: Bound, work: _Work, chosen: Chosen, cells: CreditCells) -> dict[str, Any]:
    """Conversions of each group over the whole range, and those with a touch."""
    kept = cells.kept_worth
    everybody = None if kept is None else rounded(along(kept, 1))
    rows: list[list[Any]] = []
    for line in range(chosen.lines):
        head = line_values(bound, work.by.groups, chosen, line)
        everything = int(cells.all_conversions[line].sum())
        touched = int(cells.touched[line].sum())
        worth = [] if everybody is None else [float(everybody[line])]
        rows.append([*head, everything, touched, int(cells.line_users[line]), *worth])
    names = [c.name for c in by_columns(bound)]
    return {
        "kind": "deduplicated",
        "columns": [
            *names,
            "conversions",
            "touched",
            "users",
            *([] if kept is None else ["value"]),
        ],
        "rows": rows,
    }


MODEL = Model(AttributionQuery, AttributionPick, scans, answer, users)
