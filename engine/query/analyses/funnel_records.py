"""Records of a funnel: attempts from the chain kernel, their groups, and numbers of each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.distinct import unique
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import read_by
from zuji.engine.query.combinations import Groups
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._funnel import funnel_chains
from zuji.engine.query.model import StepRef
from zuji.engine.query.sums import whole
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.analyses.funnel_measures import FunnelMeasure
    from zuji.engine.query.analyses.funnel_query import FunnelBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Breakdown, Chosen
    from zuji.engine.query.kernels.lane import Chains, Lane
    from zuji.engine.query.model import By
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.ranges import Buckets
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.types import F64, I32, I64, U8, U32

HISTOGRAM_BARS = 20


_STEP_SHIFT = 57
"""Numbers of sources in order of rank, and ties, take the bits below."""


@dataclass(slots=True)
class ShardRows:
    """Lanes of one shard; ``steps`` and ``exclusions``: bits of each row, or one number for the
    lane.
    """

    reader: ShardReader
    allowed: U8 | None
    refs: list[RunRef] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    steps: list[int | U32] = field(default_factory=list)
    exclusions: list[int | U32] = field(default_factory=list)


@dataclass(slots=True)
class Records:
    """Attempts of one shard. ``record``, ``group``: (attempt, group) pairs; an attempt may be in
    several groups.
    """

    shard: int
    user: U32
    bucket: I32
    reached: U32
    times: I64
    sums: dict[str, F64]
    record: I64
    group: U32


class Hold:
    """Codes of held values, the same in all shards. A step that no held item names (an optional
    one) is free.
    """

    def __init__(self, bound: Bound, body: FunnelBody) -> None:
        self.held = body.held
        self._dimensions = [Dimension("hold", bound.range.tz) for _ in body.held]
        self._groups = Groups(self._dimensions)
        for i, held in enumerate(body.held):
            for p in held:
                if p is not None and kind_of(bound.view.catalog, p) == Kind.LIST:
                    raise InvalidQuery(
                        f"{p} is a list; a held property has one value", f"$.body.hold[{i}]"
                    )
        for step in range(len(body.steps)):
            named = [held[step] is not None for held in body.held]
            if any(named) and not all(named):
                raise InvalidQuery(
                    f"name step {step + 1} in every held item or in none", "$.body.hold"
                )

    def codes(self, rows: ShardRows, steps: int) -> list[list[I64] | None] | None:
        """Per step a list per lane int64[n]: code of the held values, -1 = missing; None = the step
        is free.
        """
        if not self.held:
            return None
        return [
            None
            if self.held[0][step] is None
            else [self._step(rows, lane, step) for lane in range(len(rows.lanes))]
            for step in range(steps)
        ]

    def _step(self, rows: ShardRows, lane: int, step: int) -> I64:
        n = rows.lanes[lane].rows
        parts = []
        missing = np.zeros(n, dtype=bool)
        for held, dimension in zip(self.held, self._dimensions, strict=True):
            codes, _ = dimension.codes(rows.reader.column(rows.refs[lane], held[step] or ""), n)
            missing |= codes == 0
            parts.append(codes)
        total = self._groups.of_values(parts).astype(np.int64)
        return np.where(missing, -1, total)


def chains(
    bound: Bound,
    body: FunnelBody,
    buckets: Buckets | None,
    rows: ShardRows,
    hold: Hold,
    sessions: list[I64] | None,
) -> Chains:
    """Attempts of one shard."""
    window = body.window
    day_edges = None
    if window.unit == "same_day":
        r = bound.range
        day_edges = calendars.edges(r.tz, r.from_ms, r.to_ms + 3 * 86_400_000, "day")
    return funnel_chains(
        rows.lanes,
        rows.steps,
        rows.exclusions if body.exclude else None,
        [(*e.between, e.on) for e in body.exclude if e.between is not None] or None,
        hold.codes(rows, len(body.steps)),
        sum(1 << i for i, step in enumerate(body.steps) if step.optional),
        len(body.steps),
        body.order,
        body.entry,
        body.count,
        body.ties,
        (window.unit, None) if window.ms is None else ("ms", window.ms),
        day_edges,
        sessions,
        bound.range.from_ms,
        bound.range.to_ms,
        None if buckets is None else buckets.edges,
        cancel=bound.context.flag,
        allowed=rows.allowed,
    )


def with_groups(bound: Bound, by: Breakdown, rows: ShardRows, found: Chains) -> Records:
    """Records with their groups and the summed properties of each step."""
    body: FunnelBody = bound.query.body
    sums = {}
    for measure in body.measure:
        if measure.p is not None and measure.p not in sums:
            sums[measure.p] = _values(rows, found, measure.p)
    count = len(found.user)
    record, group = np.arange(count, dtype=np.int64), np.zeros(count, dtype=np.uint32)
    if by.by:
        record, group = _groups(by, rows, found, body.ties)
    return Records(
        rows.reader.shard,
        found.user,
        found.bucket,
        found.reached,
        found.step_time,
        sums,
        record,
        group,
    )


def _values(rows: ShardRows, found: Chains, p: str) -> F64:
    """float64[attempts, steps]: value of the row of each step, NaN without one."""
    out = np.full(found.step_row.shape, np.nan)
    for number, ref in enumerate(rows.refs):
        hits = found.step_lane == number
        if not hits.any():
            continue
        column = rows.reader.column(ref, p)
        if column is None or column.kind not in (Kind.BOOL, Kind.INT, Kind.FLOAT):
            continue
        at = found.step_row[hits]
        values = column.values[at].astype(np.float64)
        if column.present is not None:
            values = np.where(column.present[at] == 1, values, np.nan)
        out[hits] = values
    return out


def _groups(by: Breakdown, rows: ShardRows, found: Chains, ties: str) -> tuple[I64, U32]:
    """(attempt, group) pairs: each attempt once per combination of its values."""
    record = np.arange(len(found.user), dtype=np.int64)
    parts: list[U32] = []
    for item, dimension in zip(by.by, by.dimensions, strict=True):
        codes, offsets = _codes_at(item, dimension, rows, found, ties)
        starts = offsets[record]
        lengths = offsets[record + 1] - starts
        repeat = np.repeat(np.arange(len(record)), lengths)
        ends = np.cumsum(lengths)
        index = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        index += np.repeat(starts, lengths)
        parts = [part[repeat] for part in parts]
        parts.append(codes[index])
        record = record[repeat]
    group = by.groups.of_values(parts) if len(record) else np.empty(0, dtype=np.uint32)
    return record, group


def _codes_at(
    item: By, dimension: Dimension, rows: ShardRows, found: Chains, ties: str
) -> tuple[U32, I64]:
    """Codes of a breakdown at the row where the attempt reads it, as lists: flat codes, offsets."""
    lane, row = _row_of(item, rows, found, ties)
    count = len(found.user)
    lists: list[tuple[I64, U32]] = []
    have = lane >= 0
    none = np.flatnonzero(~have)
    lists.append((none, np.zeros(len(none), dtype=np.uint32)))
    for number, ref in enumerate(rows.refs):
        hits = np.flatnonzero(have & (lane == number))
        if not len(hits):
            continue
        codes, offsets = dimension.codes(read_by(rows.reader, ref, item), ref.run.rows)
        if offsets is None:
            lists.append((hits, codes[row[hits]]))
            continue
        for attempt in hits.tolist():
            own = unique(codes[offsets[row[attempt]] : offsets[row[attempt] + 1]])
            own = own if len(own) else np.zeros(1, dtype=np.uint32)
            lists.append((np.full(len(own), attempt, dtype=np.int64), own.astype(np.uint32)))
    owner = np.concatenate([part[0] for part in lists])
    flat = np.concatenate([part[1] for part in lists])
    order = np.argsort(owner, kind="stable")
    offsets_out = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(owner, minlength=count), out=offsets_out[1:])
    return flat[order], offsets_out


def _row_of(item: By, rows: ShardRows, found: Chains, ties: str) -> tuple[I64, I64]:
    """Lane and row at which an attempt is read; lane -1 where it has none."""
    lanes = found.step_lane.astype(np.int64)
    if isinstance(item.attr, StepRef):
        step = item.attr.step - 1
        return lanes[:, step], found.step_row[:, step]
    there = lanes >= 0
    count, steps = lanes.shape
    if item.attr == "last":
        # Optional steps may take rows in another order than their own, even at one instant.
        times = np.where(there, found.step_time, np.iinfo(np.int64).min)
        latest = there & (times == times.max(axis=1, keepdims=True))
        at = (
            steps
            - 1
            - np.argmax(np.where(latest, _order_of(rows, found, ties), -1)[:, ::-1], axis=1)
        )
    else:
        at = np.argmax(there, axis=1)
    every = np.arange(count)
    return lanes[every, at], found.step_row[every, at]


def _order_of(rows: ShardRows, found: Chains, ties: str) -> I64:
    """int64[attempts, steps]: what puts the rows of one instant in order: with ties "any" the
    lowest step that the row matches, then rank and tie.
    """
    order = np.zeros(found.step_row.shape, dtype=np.int64)
    ranks = {rank: i for i, rank in enumerate(sorted({lane.rank for lane in rows.lanes}))}
    for number, (lane, steps) in enumerate(zip(rows.lanes, rows.steps, strict=True)):
        hits = found.step_lane == number
        at = found.step_row[hits]
        order[hits] = ranks[lane.rank] << 16
        if lane.ties is not None:
            order[hits] += lane.ties[at]
        if ties == "any":
            bits = np.full(len(at), steps) if isinstance(steps, int) else steps[at]
            lowest = np.bitwise_count((bits & -bits.astype(np.int64)) - 1)
            order[hits] += lowest.astype(np.int64) << _STEP_SHIFT
    return order


# ------------------------------------------------------------------------------------- numbers


@dataclass(slots=True)
class Cells:
    """One line and bucket: attempts by step, times to convert and sums of each step."""

    counts: I64
    times: list[F64] = field(default_factory=list)
    sums: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of_counts(cls, counts: I64) -> Cells:
        """Counts alone."""
        return cls(counts)


@dataclass(slots=True)
class Merged:
    """Attempts of all shards with their lines."""

    line: I64
    bucket: I64
    reached: U32
    times: I64
    sums: dict[str, F64]


def merged(body: FunnelBody, records: Sequence[Records], chosen: Chosen) -> Merged:
    """(attempt, line) pairs of all shards; an attempt counts once in the other line."""
    lines, buckets, reached, times = [], [], [], []
    sums: dict[str, list[F64]] = {m.p: [] for m in body.measure if m.p is not None}
    for part in records:
        line = (
            chosen.table[part.group].astype(np.int64)
            if len(part.group)
            else part.group.astype(np.int64)
        )
        keep = line < chosen.lines
        record, line = part.record[keep], line[keep]
        _, first = np.unique(record * (chosen.lines + 1) + line, return_index=True)
        record, line = record[first], line[first]
        lines.append(line)
        buckets.append(part.bucket[record].astype(np.int64))
        reached.append(part.reached[record])
        times.append(part.times[record])
        for p in sums:
            sums[p].append(part.sums[p][record])
    return Merged(
        np.concatenate(lines),
        np.concatenate(buckets),
        np.concatenate(reached),
        np.concatenate(times),
        {p: np.concatenate(parts) for p, parts in sums.items()},
    )


def cells(
    body: FunnelBody,
    all_records: Merged,
    lines: int,
    buckets: int,
    check: Callable[[], None] = lambda: None,
) -> list[list[Cells]]:
    """Numbers of each line and bucket. ``check`` is called now and then."""
    steps = len(body.steps)
    key = all_records.line * buckets + all_records.bucket
    order = np.argsort(key, kind="stable")
    bounds = np.searchsorted(key[order], np.arange(lines * buckets + 1))
    out = []
    for line in range(lines):
        row = []
        for b in range(buckets):
            check()
            mine = order[bounds[line * buckets + b] : bounds[line * buckets + b + 1]]
            row.append(_cell(body, all_records, mine, steps))
        out.append(row)
    return out


def _cell(body: FunnelBody, records: Merged, mine: I64, steps: int) -> Cells:
    reached = records.reached[mine]
    there = [((reached >> np.uint32(step)) & 1) == 1 for step in range(steps)]
    cell = Cells(np.array([int(flags.sum()) for flags in there], dtype=np.int64))
    times = records.times[mine]
    for step in range(steps):
        before = required_before(body, step)
        if before is None:
            cell.times.append(np.empty(0))
            continue
        rows = there[step]
        cell.times.append((times[rows, step] - times[rows, before]).astype(np.float64))
    for p, values in records.sums.items():
        own = values[mine]
        known = [there[step] & ~np.isnan(own[:, step]) for step in range(steps)]
        cell.sums[p] = [whole(own[known[step], step]) for step in range(steps)]
    return cell


def required_before(body: FunnelBody, step: int) -> int | None:
    """The required step before a step; None for the first."""
    earlier = [i for i in body.required if i < step]
    return earlier[-1] if earlier else None


def extra_measures(body: FunnelBody) -> list[FunnelMeasure]:
    """Measures beyond the columns that every answer has."""
    return [m for m in body.measure if m.p is not None or m.op.startswith("ttc")]


@dataclass(frozen=True, slots=True)
class StepNames:
    """What the rows of all cells share: labels, and the step that each one is compared with."""

    labels: list[str]
    before: list[int | None]

    @classmethod
    def of(cls, body: FunnelBody) -> StepNames:
        """Of a funnel."""
        before = [required_before(body, step) for step in range(len(body.steps))]
        return cls([step.label for step in body.steps], before)


def step_rows(names: StepNames, cell: Cells, measures: Sequence[FunnelMeasure]) -> list[list[Any]]:
    """step, label, count, rate, step_rate, dropped, measures."""
    rows: list[list[Any]] = []
    counts: list[int] = cell.counts.tolist()
    first = counts[0]
    for step, (label, before) in enumerate(zip(names.labels, names.before, strict=True)):
        count = counts[step]
        base = count if before is None else counts[before]
        row: list[Any] = [
            step + 1,
            label,
            count,
            count / first if first else None,
            count / base if base else None,
            base - count,
        ]
        if measures:
            row += [_measure(measure, cell, step) for measure in measures]
        rows.append(row)
    return rows


def _measure(measure: FunnelMeasure, cell: Cells, step: int) -> Any:
    if measure.p is not None:
        if measure.step is not None and measure.step != step + 1:
            return None
        return cell.sums[measure.p][step]
    times = cell.times[step]
    if not len(times):
        return None
    if measure.op == "ttc_mean":
        return float(times.mean())
    if measure.op == "ttc_histogram":
        counts, edges = np.histogram(times, bins=HISTOGRAM_BARS)
        return {"edges_ms": [float(e) for e in edges], "counts": [int(c) for c in counts]}
    q = measure.quantile
    assert q is not None
    ordered = np.sort(times)
    at = q * (len(ordered) - 1)
    low = int(np.floor(at))
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


def complete(bound: Bound, body: FunnelBody, buckets: Buckets | None) -> list[bool]:
    """Whether the window of every start of each bucket has elapsed."""
    if buckets is None:
        return [True]
    mark = bound.view.watermark_ms
    found = []
    for end in buckets.edges[1:].tolist():
        if body.window.unit == "same_day":
            last = int(calendars.edges(bound.range.tz, end - 1, end, "day")[-1])
        elif body.window.ms is None:
            last = end + body.session.gap.ms
        else:
            last = end + body.window.ms
        found.append(mark is not None and last <= mark)
    return found
