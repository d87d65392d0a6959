"""Funnel: how far users come through a sequence of steps. Semantics: docs/query.md, "Funnel".

Plan: one scan over the events of all steps and exclusions (all events when the order is strict or
sessions matter). Each run becomes a lane with the steps that each row matches. A plain funnel needs
only counts, by bucket and group of its start, and takes the fast kernel (``funnel_counts``);
anything else (times, hold, exclusions, attempts, other attributions) takes the chain kernel, which
gives a record an attempt, and numbers are made from the records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.query import ranges
from zuji.engine.query.analyses import funnel_counts, funnel_records
from zuji.engine.query.analyses.event_values import all_runs, label_number, picked_line
from zuji.engine.query.analyses.funnel_query import FunnelPick, FunnelQuery
from zuji.engine.query.analyses.funnel_records import Records, ShardRows
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, one_line
from zuji.engine.query.crowd import allowed
from zuji.engine.query.kernels._funnel import funnel_fast
from zuji.engine.query.plan import RunRef, Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.step_bits import step_bits

if TYPE_CHECKING:
    from zuji.engine.query.analyses.funnel_query import FunnelBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.ranges import Buckets
    from zuji.engine.types import I64, U8, U32

EARLIEST_MS, LATEST_MS = -(1 << 60), 1 << 60
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Span:
    """Where rows are read, and the buckets of a trend."""

    from_ms: int
    to_ms: int
    buckets: Buckets | None


def span_of(bound: Bound) -> Span:
    """Starts lie in the range; later steps may lie a window beyond it."""
    body: FunnelBody = bound.query.body
    r = bound.range
    buckets = ranges.buckets(r) if body.trend else None
    if needs_all(body):
        return Span(EARLIEST_MS, LATEST_MS, buckets)
    window = body.window.ms
    return Span(r.from_ms, r.to_ms + (window if window is not None else 2 * DAY_MS) + 1, buckets)


def needs_all(body: FunnelBody) -> bool:
    """Whether every event of a user matters, matching or not."""
    return body.order == "strict" or needs_sessions(body)


def needs_sessions(body: FunnelBody) -> bool:
    """Whether sessions must be cut."""
    return body.window.unit == "session" or body.count == "sessions"


def scans(bound: Bound) -> list[Scan]:
    """One scan over everything that the funnel looks at."""
    body: FunnelBody = bound.query.body
    span = span_of(bound)
    places = [*body.steps, *body.exclude]
    names: tuple[str, ...] | None = None
    if not needs_all(body) and all(place.names is not None for place in places):
        names = tuple(dict.fromkeys(n for place in places for n in place.names or ()))
    columns: set[str] = set()
    for place in places:
        columns |= columns_of(bound.where(place.where))
    columns |= {by.p for by in bound.query.by if by.p.startswith("event.")}
    columns |= {m.p for m in body.measure if m.p is not None}
    columns |= {p for held in body.held for p in held if p is not None}
    return [
        planned(
            Scan("steps", names, span.from_ms, span.to_ms, None, frozenset(columns)), bound.view
        )
    ]


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket and complete (trend), step, label, count, rate, step_rate, dropped,
    measures.
    """
    work = _Work(bound)
    if work.is_plain:
        counts = work.plain_counts()
        return _answer(bound, work, one_line(), [[funnel_records.Cells.of_counts(counts)]])
    if funnel_counts.is_counted(bound, work.body):
        return _answer(bound, work, *work.counted())
    records = work.records()
    chosen = work.choose(records)
    cells = work.cells(records, chosen)
    return _answer(bound, work, chosen, cells)


def users(bound: Bound, pick: FunnelPick) -> list[U32]:
    """Ordinals that reached a step, or (``dropped``) the step before it but not this one."""
    work = _Work(bound)
    records = work.records()
    chosen = work.choose(records)
    line = -1 if not bound.query.by else picked_line(bound, work.by.groups, chosen, pick)
    bucket = None
    if pick.bucket is not None:
        labels = work.span.buckets.labels if work.span.buckets is not None else []
        bucket = label_number(labels, pick.bucket) if labels else None
    return work.picked(records, chosen, line, bucket, pick.step - 1, pick.dropped)


class _Work:
    """Rows of the funnel and the records made of them."""

    def __init__(self, bound: Bound) -> None:
        query = bound.query
        assert isinstance(query, FunnelQuery)
        self.bound, self.query, self.body = bound, query, query.body
        self.context = bound.context
        self.span = span_of(bound)
        self.scan = scans(bound)[0]
        self.by = Breakdown(bound)
        self.shards = list(range(bound.view.shards))
        self.hold = funnel_records.Hold(bound, self.body)

    @property
    def is_plain(self) -> bool:
        """Whether counts per step are all that is asked, of an ordered funnel over users."""
        alone = not self.query.by and not self.body.trend
        return alone and funnel_counts.is_counted(self.bound, self.body)

    # -- rows ----------------------------------------------------------------------------------

    def rows(self, shard: int) -> ShardRows:
        """Lanes of a shard with the steps and exclusions that each row matches."""
        reader = ShardReader(self.bound.view, shard, self.context)
        rows = ShardRows(reader, allowed(self.bound, reader))
        places = [*self.body.steps, *self.body.exclude]
        steps = len(self.body.steps)
        keep_all = needs_all(self.body)
        for chosen in reader.select(self.scan):
            masks = [
                self._matches(reader, chosen.ref, place.names, self.bound.where(place.where))
                for place in places
            ]
            if not keep_all and all(mask is False for mask in masks):
                continue
            lane = chosen.lane
            matching = [(i, mask) for i, mask in enumerate(masks) if mask is not False]
            place, mask = matching[0] if len(matching) == 1 else (0, True)
            if not isinstance(mask, bool):  # one filter: the lane's own, and one bit for all rows
                lane = replace(lane, mask=mask)
                masks[place] = True
            rows.refs.append(chosen.ref)
            rows.lanes.append(lane)
            rows.steps.append(step_bits(masks[:steps], lane.rows))
            rows.exclusions.append(step_bits(masks[steps:], lane.rows))
        return rows

    def _matches(
        self, reader: ShardReader, ref: RunRef, names: tuple[str, ...] | None, where: Filter | None
    ) -> U8 | bool:
        if names is not None and ref.run.event not in names:
            return False
        return True if where is None else reader.mask(ref, where)

    # -- counts --------------------------------------------------------------------------------

    def plain_counts(self) -> I64:
        """Users by step reached, int64[steps]."""
        k = len(self.body.steps)
        window = self.body.window.ms or 0

        def work(shard: int) -> I64:
            rows = self.rows(shard)
            return funnel_fast(
                rows.lanes,
                rows.steps,
                k,
                window,
                self.body.ties,
                self.bound.range.from_ms,
                self.bound.range.to_ms,
                cancel=self.context.flag,
                allowed=rows.allowed,
            )

        total: I64 = np.sum(self.context.map(work, self.shards), axis=0)
        return total[1:]

    def counted(self) -> tuple[Chosen, list[list[funnel_records.Cells]]]:
        """Lines and their numbers, without records."""

        def work(shard: int) -> funnel_counts.Counted:
            return funnel_counts.of_shard(
                self.bound, self.body, self.span.buckets, self.by, self.rows(shard)
            )

        parts = self.context.map(work, self.shards)
        buckets = len(self.span.buckets.labels) if self.span.buckets is not None else 1
        return funnel_counts.lines(self.bound, self.by, parts, buckets, len(self.body.steps))

    def records(self) -> list[Records]:
        """Attempts of each shard with their groups."""

        def work(shard: int) -> Records:
            rows = self.rows(shard)
            chains = funnel_records.chains(
                self.bound, self.body, self.span.buckets, rows, self.hold, self._sessions(rows)
            )
            self.context.charge(chains.step_row.nbytes * 3)
            return funnel_records.with_groups(self.bound, self.by, rows, chains)

        return self.context.map(work, self.shards)

    def _sessions(self, rows: ShardRows) -> list[I64] | None:
        if not needs_sessions(self.body):
            return None
        from zuji.engine.query.kernels._streams import sessions

        refs = all_runs(self.bound, rows.reader)
        numbers = sessions(
            [rows.reader.lane(ref) for ref in refs], self.body.session.gap.ms, self.context.flag
        )
        by_run = {id(ref.run): ids for ref, ids in zip(refs, numbers, strict=True)}
        return [by_run[id(ref.run)] for ref in rows.refs]

    def choose(self, records: list[Records]) -> Chosen:
        """Groups with the most entries."""
        if not self.query.by:
            return one_line()
        size = self.by.groups.size
        totals = np.zeros(size, dtype=np.int64)
        for part in records:
            totals += np.bincount(part.group, minlength=size)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(totals).tolist())

    def cells(self, records: list[Records], chosen: Chosen) -> list[list[funnel_records.Cells]]:
        """Numbers of each line and bucket."""
        merged = funnel_records.merged(self.body, records, chosen)
        buckets = len(self.span.buckets.labels) if self.span.buckets is not None else 1
        check = self.context.check
        return funnel_records.cells(self.body, merged, chosen.lines, buckets, check)

    def picked(
        self,
        records: list[Records],
        chosen: Chosen,
        line: int,
        bucket: int | None,
        step: int,
        dropped: bool,
    ) -> list[U32]:
        """Distinct ordinals of the attempts behind a cell."""
        found = []
        before = funnel_records.required_before(self.body, step)
        for part in records:
            keep = np.ones(len(part.group), dtype=bool)
            if line >= 0:
                keep &= chosen.table[part.group] == line
            reached = part.reached[part.record]
            here = (reached >> np.uint32(step)) & 1 == 1
            if dropped:
                earlier = (
                    np.ones(len(here), dtype=bool)
                    if before is None
                    else (reached >> np.uint32(before)) & 1 == 1
                )
                keep &= earlier & ~here
            else:
                keep &= here
            if bucket is not None:
                keep &= part.bucket[part.record] == bucket
            found.append(unique(part.user[part.record[keep]]))
        return found


def _answer(
    bound: Bound, work: _Work, chosen: Chosen, cells: list[list[funnel_records.Cells]]
) -> Answer:
    body, buckets = work.body, work.span.buckets
    count_unit = body.count if body.count != "entries" else "attempts"
    columns = by_columns(bound)
    if buckets is not None:
        columns += [
            ColumnInfo("bucket", bucket_type(bound), None),
            ColumnInfo("complete", "bool", None),
        ]
    columns += [
        ColumnInfo("step", "int64", None),
        ColumnInfo("label", "string", None),
        ColumnInfo("count", "int64", count_unit),
        ColumnInfo("rate", "float64", "ratio"),
        ColumnInfo("step_rate", "float64", "ratio"),
        ColumnInfo("dropped", "int64", count_unit),
    ]
    measures = funnel_records.extra_measures(body)
    for m in measures:
        histogram = m.op == "ttc_histogram"
        unit = "ms" if m.op.startswith("ttc") else None
        columns.append(ColumnInfo(m.column, "object" if histogram else "float64", unit))
    complete = funnel_records.complete(bound, body, buckets)
    names = funnel_records.StepNames.of(body)
    last = body.required[-1]
    bound.context.charge(150 * sum(map(len, cells)) * len(body.steps))
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for line in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, work.by.groups, chosen, line)
        for b, cell in enumerate(cells[line]):
            bucket = [] if buckets is None else [buckets.labels[b], complete[b]]
            steps = funnel_records.step_rows(names, cell, measures)
            lead = [*head, *bucket]
            rows += [lead + row for row in steps] if lead else steps
        entered = sum(int(cell.counts[0]) for cell in cells[line])
        converted = sum(int(cell.counts[last]) for cell in cells[line])
        totals.append([*head, entered, converted, converted / entered if entered else None])
    by_names = [c.name for c in by_columns(bound)]
    return Answer(
        columns,
        rows,
        {
            "kind": "deduplicated" if buckets is None else "sum of buckets",
            "columns": [*by_names, "entered", "converted", "rate"],
            "rows": totals,
        },
    )


MODEL = Model(FunnelQuery, FunnelPick, scans, answer, users)
