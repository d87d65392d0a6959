"""Interval: how long from a start to an end. Semantics: docs/models/interval.md.

One scan over the events of both. Each run becomes a lane with the role of each row; the kernel
gives the pairs of a shard, each with the bucket of its start, and for a breakdown with the rows of
both ends. Numbers are made of all pairs together (``interval_cells``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.analyses import interval_cells
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.analyses.interval_cells import Pairing
from zuji.engine.query.analyses.interval_query import IntervalPick, IntervalQuery
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import Breakdown, choose, line_values, one_line
from zuji.engine.query.combinations import Groups
from zuji.engine.query.crowd import allowed
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._interval import END, NO_KEY, START, interval_pairs
from zuji.engine.query.model import StepRef
from zuji.engine.query.placed import groups_at, lines_of
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.analyses.interval_cells import Cells
    from zuji.engine.query.analyses.interval_query import IntervalBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Chosen
    from zuji.engine.query.kernels.lane import Lane, Pairs
    from zuji.engine.query.model import By, Events
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.reader import Selected
    from zuji.engine.types import I32, I64, U8, U32

EARLIEST_MS, LATEST_MS = -(1 << 60), 1 << 60
MAX_CELLS = 1 << 20
PAIR_BYTES, PLACE_BYTES = 16, 16
OPEN_BYTES = 160
"""Of a row of the user with the most of them, for the starts that wait by held value."""
HELD_BYTES = 48
"""Of a pair while its cell is counted."""
ROW_BYTES = 700


def first_ms(bound: Bound) -> int:
    """The first instant that is looked at."""
    body: IntervalBody = bound.query.body
    ever = body.since == "ever" and body.nearest == "start"
    return EARLIEST_MS if ever else bound.range.from_ms


def scans(bound: Bound) -> list[Scan]:
    """One scan over starts and ends: from the range on, and a cap beyond it."""
    body: IntervalBody = bound.query.body
    last = LATEST_MS if body.cap is None else bound.range.to_ms + body.cap.ms
    names: tuple[str, ...] | None = None
    if body.start.names is not None and body.ending.names is not None:
        names = tuple(dict.fromkeys((*body.start.names, *body.ending.names)))
    held = [p for item in body.held for p in (item.start, item.end)]
    columns = columns_of(bound.where(body.start.where), *Breakdown(bound).columns, *held)
    columns |= columns_of(bound.where(body.ending.where))
    return [planned(Scan("pairs", names, first_ms(bound), last, None, columns), bound.view)]


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket, complete, pairs, users, the box, percentiles, histogram."""
    work = _Work(bound)
    chosen = work.choose()
    return _answer(work, chosen)


def users(bound: Bound, pick: IntervalPick) -> list[U32]:
    """Ordinals with a pair in a bucket, or in a bar of its histogram."""
    work = _Work(bound)
    chosen = work.choose()
    line = -1 if not bound.query.by else picked_line(bound, work.by.groups, chosen, pick)
    bucket = -1 if pick.bucket is None else label_number(work.buckets.labels, pick.bucket)
    return work.picked(chosen, line, bucket, pick.bar)


@dataclass(slots=True)
class _Shard:
    """Pairs of one shard; ``record``, ``group``: (pair, group) pairs, None without breakdown."""

    pairs: Pairs
    record: U32 | None = None
    group: U32 | None = None


class _Held:
    """Codes of held values, the same in all shards and at both ends."""

    def __init__(self, bound: Bound, body: IntervalBody) -> None:
        self.held = body.held
        self._dimensions = [Dimension("hold", bound.range.tz) for _ in self.held]
        self._groups = Groups(self._dimensions, bound.context.check)
        for i, item in enumerate(self.held):
            kinds = [kind_of(bound.view.catalog, p) for p in (item.start, item.end)]
            path = f"$.body.hold[{i}]"
            if Kind.LIST in kinds:
                p = item.start if kinds[0] == Kind.LIST else item.end
                raise InvalidQuery(f"{p} is a list; a held property has one value", path)
            if None not in kinds and not _comparable(*kinds):
                raise InvalidQuery(
                    f"{item.start} is a {kinds[0].label} and {item.end} a {kinds[1].label}: "  # type: ignore[union-attr]
                    "they are never equal",
                    path,
                )

    def keys(self, reader: ShardReader, ref: RunRef, end: str) -> U32:
        """Code of the held values of each row at one end; NO_KEY where one is missing."""
        parts = []
        missing = np.zeros(ref.run.rows, np.bool_)
        for item, dimension in zip(self.held, self._dimensions, strict=True):
            codes, _ = dimension.codes(reader.column(ref, getattr(item, end)), ref.run.rows)
            missing |= codes == 0
            parts.append(codes)
        found = self._groups.of_values(parts).astype(np.uint32)
        found[missing] = NO_KEY
        return found


def _comparable(a: Kind | None, b: Kind | None) -> bool:
    numbers = (Kind.INT, Kind.FLOAT)
    return a == b or (a in numbers and b in numbers)


class _Work:
    """Pairs of all users, found once."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.context = bound, bound.context
        self.body: IntervalBody = bound.query.body
        self.buckets = ranges.buckets(bound.range)
        self.by = Breakdown(bound)
        self.held = _Held(bound, self.body)
        self.plan = scans(bound)[0]
        self.shards = self.context.map(self._shard, list(range(bound.view.shards)))

    # -- pairs ---------------------------------------------------------------------------------

    def _shard(self, shard: int) -> _Shard:
        body, context = self.body, self.context
        reader = ShardReader(self.bound.view, shard, context)
        refs: list[RunRef] = []
        lanes: list[Lane] = []
        roles: list[int | U8] = []
        for chosen in reader.select(self.plan):
            lane, role = self._roles(reader, chosen)
            if not isinstance(role, int) or role:
                refs.append(chosen.ref)
                lanes.append(lane)
                roles.append(role)
        keys: dict[str, Any] = {}
        if self.held.held:
            keys = {
                f"{end}_keys": [self.held.keys(reader, ref, end) for ref in refs]
                for end in ("start", "end")
            }
            most = sum(int(np.diff(lane.offsets).max(initial=0)) for lane in lanes)
            context.charge(8 * sum(lane.rows for lane in lanes) + OPEN_BYTES * most)
        size = HELD_BYTES + PAIR_BYTES + (PLACE_BYTES if self.by.by else 0)
        left = max(context.memory_bytes - context.charged, 0)
        pairs = interval_pairs(
            lanes,
            roles,
            self.buckets.edges,
            nearest=body.nearest,
            strict=body.ties == "strict",
            cap_ms=None if body.cap is None else body.cap.ms,
            first_ms=first_ms(self.bound),
            places=bool(self.by.by),
            most=left // (size * self.bound.view.shards),
            cancel=context.flag,
            allowed=allowed(self.bound, reader),
            **keys,
        )
        context.charge(size * len(pairs.user))
        if not self.by.by:
            return _Shard(pairs)
        places = [_place(item, pairs) for item in self.by.by]
        record, group = groups_at(self.by, reader, refs, places)
        context.charge(HELD_BYTES * len(record))
        return _Shard(pairs, record, group)

    def _roles(self, reader: ShardReader, chosen: Selected) -> tuple[Lane, int | U8]:
        """What the rows of a run are: one number, or one a row."""
        start = self._matches(reader, chosen, self.body.start)
        end = self._matches(reader, chosen, self.body.ending)
        if isinstance(start, bool) and isinstance(end, bool):
            return chosen.lane, START * start + END * end
        if end is False and not isinstance(start, bool):
            return replace(chosen.lane, mask=start), START
        if start is False and not isinstance(end, bool):
            return replace(chosen.lane, mask=end), END
        if start is end and not isinstance(start, bool):
            return replace(chosen.lane, mask=start), START | END
        role = np.zeros(chosen.lane.rows, np.uint8)
        role |= np.multiply(start, START, dtype=np.uint8)
        role |= np.multiply(end, END, dtype=np.uint8)
        return chosen.lane, role

    def _matches(self, reader: ShardReader, chosen: Selected, events: Events) -> U8 | bool:
        if events.names is not None and chosen.event not in events.names:
            return False
        where = self.bound.where(events.where)
        return True if where is None else reader.mask(chosen.ref, where)

    # -- cells ---------------------------------------------------------------------------------

    def choose(self) -> Chosen:
        """The groups with the most pairs."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        totals = np.zeros(size, np.int64)
        for shard in self.shards:
            assert shard.group is not None
            totals += np.bincount(shard.group, minlength=size)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(totals).tolist())

    def cells(self, chosen: Chosen) -> tuple[Cells, Cells]:
        """Cells of each line and bucket, and of each line over the whole range."""
        buckets = len(self.buckets.labels)
        count = chosen.lines * buckets
        if count > MAX_CELLS:
            raise QueryBudgetExceeded(
                f"{count:,} groups and buckets are too many; take a coarser 'time.grain' or show "
                "fewer groups"
            )
        over = self.body.over == "users"
        parts = [self._lines(shard, chosen) for shard in self.shards]
        by_cell = [
            Pairing(line * np.uint32(buckets) + bucket.view(np.uint32), user, gap)
            for line, bucket, user, gap in parts
        ]
        cells = interval_cells.cells_of(self.context, by_cell, count, over_users=over)
        if buckets == 1:
            return cells, cells
        if not over:
            return cells, interval_cells.merged(
                self.context, cells, by_cell, buckets, drawn=self.body.histogram is not None
            )
        by_line = [Pairing(line, user, gap) for line, _, user, gap in parts]
        return cells, interval_cells.cells_of(self.context, by_line, chosen.lines, over_users=True)

    def _lines(self, shard: _Shard, chosen: Chosen) -> tuple[U32, I32, U32, I64]:
        """Line, bucket, user and length of each (pair, line)."""
        pairs = shard.pairs
        if shard.record is None or shard.group is None:
            return np.zeros(len(pairs.user), np.uint32), pairs.bucket, pairs.user, pairs.gap
        record, line = lines_of(chosen, shard.record, shard.group)
        return line, pairs.bucket[record], pairs.user[record], pairs.gap[record]

    def picked(self, chosen: Chosen, line: int, bucket: int, bar: int | None) -> list[U32]:
        """Ordinals of a cell in each shard; -1 = any."""
        bars = None
        if bar is not None:
            cells, whole = self.cells(chosen)
            bars = interval_cells.bars(self.body.histogram, [cells, whole])
            if bars is None or bar >= bars.count:
                raise InvalidQuery(f"the histogram has no bar {bar}", "$.pick.bar")
        found = []
        for shard in self.shards:
            pairs = shard.pairs
            keep = np.ones(len(pairs.user), np.bool_)
            if bucket >= 0:
                keep &= pairs.bucket == bucket
            if line >= 0 and shard.record is not None and shard.group is not None:
                inside = np.zeros(len(keep), np.bool_)
                inside[shard.record[chosen.table[shard.group] == line]] = True
                keep &= inside
            user, gap = pairs.user[keep], pairs.gap[keep]
            if bars is not None and bar is not None and len(user):
                value: Any = gap
                if self.body.over == "users":
                    user, first, counts = np.unique(user, return_index=True, return_counts=True)
                    value = np.add.reduceat(gap, first) / counts
                user = user[bars.inside(value, bar)]
            found.append(unique(user))
        return found


def _place(item: By, pairs: Pairs) -> tuple[Any, Any]:
    """Where a breakdown is read: at the start, or at the end."""
    if item.attr == "last" or (isinstance(item.attr, StepRef) and item.attr.step == 2):
        return pairs.end_lane, pairs.end_row
    return pairs.start_lane, pairs.start_row


def _answer(work: _Work, chosen: Chosen) -> Answer:
    bound, body = work.bound, work.body
    cells, whole = work.cells(chosen)
    labels = work.buckets.labels
    bars = None
    if body.histogram is not None:
        bars = interval_cells.bars(body.histogram, [cells, whole])
    measured = _columns(body)
    columns = [
        *by_columns(bound),
        ColumnInfo("bucket", bucket_type(bound), None),
        ColumnInfo("complete", "bool", None),
        *measured,
    ]
    bound.context.charge((ROW_BYTES + 100 * (bars.count if bars else 0)) * len(cells.pairs))

    def numbers(of: Cells) -> list[list[Any]]:
        found = interval_cells.numbers(of, body.percentiles)
        if body.histogram is not None:
            drawn = [None] * len(found) if bars is None else bars.of(bound.context, of)
            found = [[*row, bar] for row, bar in zip(found, drawn, strict=True)]
        return found

    totals = numbers(whole)
    own = totals if cells is whole else numbers(cells)
    complete = _complete(work)
    heads = [line_values(bound, work.by.groups, chosen, line) for line in range(chosen.lines)]
    leads = [
        [*head, label, done] for head in heads for label, done in zip(labels, complete, strict=True)
    ]
    names = [c.name for c in (*by_columns(bound), *measured)]
    return Answer(
        columns,
        [lead + row for lead, row in zip(leads, own, strict=True)],
        {
            "kind": "deduplicated",
            "columns": names,
            "rows": [head + row for head, row in zip(heads, totals, strict=True)],
        },
    )


def _columns(body: IntervalBody) -> list[ColumnInfo]:
    """Columns of the numbers of a cell."""
    whole = "int64" if body.over == "pairs" else "float64"
    found = [
        ColumnInfo("pairs", "int64", "pairs"),
        ColumnInfo("users", "int64", "users"),
        ColumnInfo("avg", "float64", "ms"),
        ColumnInfo("min", whole, "ms"),
        ColumnInfo("p25", "float64", "ms"),
        ColumnInfo("median", "float64", "ms"),
        ColumnInfo("p75", "float64", "ms"),
        ColumnInfo("max", whole, "ms"),
        ColumnInfo("whisker_low", whole, "ms"),
        ColumnInfo("whisker_high", whole, "ms"),
        ColumnInfo("outliers", "int64", None),
    ]
    found += [ColumnInfo(f"p{percent}", "float64", "ms") for percent in body.percentiles]
    if body.histogram is not None:
        found.append(ColumnInfo("histogram", "object", None))
    return found


def _complete(work: _Work) -> list[bool]:
    """Whether no start of a bucket can still find its end."""
    mark, cap = work.bound.view.watermark_ms, work.body.cap
    if mark is None or cap is None:
        return [False] * len(work.buckets.labels)
    return [end - 1 + cap.ms <= mark for end in work.buckets.edges[1:].tolist()]


MODEL = Model(IntervalQuery, IntervalPick, scans, answer, users)
