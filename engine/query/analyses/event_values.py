"""Values of event cells: from kernel sums, or gathered row by row for percentiles, distinct values
and sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.kernels._events import bucketize, expand_users
from zuji.engine.query.kernels._streams import sessions
from zuji.engine.query.plan import RunRef, Scan
from zuji.engine.query.rules import choose_runs
from zuji.engine.query.sums import added as kept_sum
from zuji.engine.query.sums import along, rounded, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.analyses.event_rows import Part, Prepared
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Chosen
    from zuji.engine.query.combinations import Groups
    from zuji.engine.query.kernels.lane import EventCells
    from zuji.engine.query.measures import Measure
    from zuji.engine.query.model import Pick
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.types import F64, I64, U32

NO_GROUP = 0xFFFFFFFF


@dataclass(slots=True)
class Line:
    """Values of one series: [lines, buckets] and their totals over the whole range."""

    values: F64
    totals: F64
    overall: float


@dataclass(slots=True)
class Sums:
    """Cells that add up over shards. All arrays [lines, buckets]."""

    rows: I64
    users: I64
    new_users: I64
    total: F64 | None = None
    lost: F64 | None = None
    low: F64 | None = None
    high: F64 | None = None
    count: I64 | None = None
    anybody: int = 0

    @classmethod
    def of(cls, cells: EventCells) -> Sums:
        """From the kernel's answer."""
        return cls(
            cells.rows,
            cells.users,
            cells.new_users,
            cells.sum,
            cells.lost,
            cells.vmin,
            cells.vmax,
            cells.nvals,
            cells.anybody,
        )

    def of_lines(self, lines: list[int]) -> Sums:
        """Some lines, in that order."""
        return Sums(*(None if a is None else a[lines] for a in self._arrays()))  # type: ignore[arg-type]

    def of_rest(self, lines: list[int]) -> Sums:
        """All other lines as one, users left out: they do not add up."""
        rest = np.ones(len(self.rows), np.bool_)
        rest[lines] = False
        zero = np.zeros((1, self.rows.shape[1]), np.int64)
        sums = Sums(self.rows[rest].sum(axis=0, keepdims=True), zero, zero.copy())
        if self.total is not None and self.low is not None:
            assert self.lost is not None
            assert self.high is not None
            assert self.count is not None
            total, lost = along((self.total[rest], self.lost[rest]), 0)
            sums.total, sums.lost = total[None], lost[None]
            sums.low = self.low[rest].min(axis=0, keepdims=True, initial=np.inf)
            sums.high = self.high[rest].max(axis=0, keepdims=True, initial=-np.inf)
            sums.count = self.count[rest].sum(axis=0, keepdims=True)
        return sums

    def with_line(self, more: Sums) -> Sums:
        """These lines and those of ``more``."""
        pairs = zip(self._arrays(), more._arrays(), strict=True)
        return Sums(*(None if a is None or b is None else np.concatenate([a, b]) for a, b in pairs))  # type: ignore[arg-type]

    def _arrays(self) -> tuple[Any, ...]:
        return (
            self.rows,
            self.users,
            self.new_users,
            self.total,
            self.lost,
            self.low,
            self.high,
            self.count,
        )


def added(parts: Sequence[Sums]) -> Sums:
    """Sum over shards, in shard order."""
    first = parts[0]
    for part in parts[1:]:
        first.rows = first.rows + part.rows
        first.users = first.users + part.users
        first.new_users = first.new_users + part.new_users
        first.anybody += part.anybody
        if first.total is not None and part.total is not None:
            assert first.lost is not None
            assert part.lost is not None
            kept = kept_sum((first.total, first.lost), (part.total, part.lost))
            first.total, first.lost = kept
            first.low = np.minimum(first.low, part.low)  # type: ignore[arg-type]
            first.high = np.maximum(first.high, part.high)  # type: ignore[arg-type]
            first.count = first.count + part.count  # type: ignore[operator]
    return first


def gathers(measure: Measure) -> bool:
    """Whether single rows must be looked at."""
    return measure.quantile is not None or measure.op in ("distinct", "sessions")


def of_cells(op: str, cells: Sums, *, cumulative: bool) -> tuple[F64, F64]:
    """Values [lines, buckets] and totals [lines] of a measure; NaN = null."""
    rows, total_rows = cells.rows.astype(np.float64), cells.rows.sum(axis=1).astype(np.float64)
    people, total_people = (
        cells.users.astype(np.float64),
        cells.new_users.sum(axis=1).astype(np.float64),
    )
    if op == "count":
        return (np.cumsum(rows, axis=1) if cumulative else rows), total_rows
    if op == "users":
        seen = np.cumsum(cells.new_users, axis=1).astype(np.float64)
        return (seen if cumulative else people), total_people
    if op == "per_user":
        return _ratio(rows, people), _ratio(total_rows, total_people)
    assert cells.total is not None
    assert cells.lost is not None
    assert cells.count is not None
    assert cells.low is not None
    assert cells.high is not None
    sums, counts = (cells.total, cells.lost), cells.count.astype(np.float64)
    if op == "sum":
        return rounded(running(sums) if cumulative else sums), rounded(along(sums, 1))
    if op == "avg":
        means = _ratio(rounded(sums), counts)
        return means, _ratio(rounded(along(sums, 1)), counts.sum(axis=1))
    chosen = cells.low if op == "min" else cells.high
    values = np.where(counts > 0, chosen, np.nan)
    whole = chosen.min(axis=1) if op == "min" else chosen.max(axis=1)
    return values, np.where(counts.sum(axis=1) > 0, whole, np.nan)


def _ratio(above: F64, below: F64) -> F64:
    with np.errstate(divide="ignore", invalid="ignore"):
        out: F64 = np.where(below > 0, above / below, np.nan)
    return out


def moving_average(values: F64, width: int) -> F64:
    """Mean of the last ``width`` buckets as far as there are any; nulls are left out."""
    out = np.full(values.shape, np.nan)
    for b in range(values.shape[1]):
        near = values[:, max(0, b - width + 1) : b + 1]
        known = ~np.isnan(near)
        counts = known.sum(axis=1)
        sums = np.where(known, near, 0.0).sum(axis=1)
        out[:, b] = _ratio(sums, counts.astype(np.float64))
    return out


@dataclass(slots=True)
class Gathered:
    """Rows of one shard: line, bucket, and a value (float), a code, or a session."""

    lines: list[U32] = field(default_factory=list)
    buckets: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def take(
        self,
        part: Part,
        measure: Measure,
        groups: U32 | None,
        edges: I64,
        done: Prepared,
        lines: int,
    ) -> None:
        """Adds the counted rows of a part."""
        lane = part.lane
        bucket = bucketize(lane.times, lane.base_ms, edges)
        keep = bucket >= 0
        if lane.mask is not None:
            keep &= lane.mask == 1
        if groups is not None:
            keep &= groups < lines
        if done.allowed is not None:
            keep &= expand_users(lane.users, lane.offsets, done.allowed) == 1
        source: Any = part.sessions
        if measure.op == "distinct":
            source = part.codes[measure.p or ""]
            if source.ndim == 2:
                self._take_lists(source, keep, bucket, groups)
                return
            keep &= source != 0
        elif measure.op != "sessions":
            source, mask = part.values[measure.p or ""]
            if mask is not None:
                keep &= mask == 1
        rows = np.flatnonzero(keep)
        self.lines.append(np.zeros(len(rows), np.uint32) if groups is None else groups[rows])
        self.buckets.append(bucket[rows])
        self.values.append(source[rows])
        done.reader.context.charge(24 * len(rows))

    def _take_lists(self, pairs: U32, keep: Any, bucket: Any, groups: U32 | None) -> None:
        """Distinct items of lists: pairs (row, code)."""
        rows, codes = pairs[0], pairs[1]
        hit = keep[rows]
        rows, codes = rows[hit], codes[hit]
        self.lines.append(np.zeros(len(rows), np.uint32) if groups is None else groups[rows])
        self.buckets.append(bucket[rows])
        self.values.append(codes)


def of_gathered(
    measure: Measure,
    shards: Sequence[Gathered],
    lines: int,
    buckets: int,
    *,
    cumulative: bool = False,
    whole: bool = False,
    one_line: bool = False,
) -> F64:
    """Values [lines, buckets], or [lines, 1] over the whole range."""
    line = _flat([a for s in shards for a in s.lines], np.uint32).astype(np.int64)
    bucket = _flat([a for s in shards for a in s.buckets], np.int32).astype(np.int64)
    if one_line:
        line = np.zeros_like(line)
    if whole:
        bucket, buckets = np.zeros_like(bucket), 1
    if measure.quantile is not None:
        values = _flat([a for s in shards for a in s.values], np.float64).astype(np.float64)
        return _quantiles(
            line * buckets + bucket, values, measure.quantile, lines * buckets
        ).reshape(lines, buckets)
    keys = [
        (a.astype(np.int64) << 10) | number if measure.op == "sessions" else a.astype(np.int64)
        for number, s in enumerate(shards)
        for a in s.values
    ]
    return _distinct(line, bucket, _flat(keys, np.int64), lines, buckets, cumulative)


def _flat(arrays: list[Any], dtype: Any) -> Any:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)


def _quantiles(cell: I64, values: F64, q: float, cells: int) -> F64:
    """Percentile of each cell, linear between neighbours (rank q·(n−1)); NaN for an empty one."""
    out = np.full(cells, np.nan)
    order = np.lexsort((values, cell))
    cell, values = cell[order], values[order]
    found, first, count = np.unique(cell, return_index=True, return_counts=True)
    at = q * (count - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    below, above = values[first + low], values[first + high]
    out[found] = below + (above - below) * (at - low)
    return out


def _distinct(line: I64, bucket: I64, key: I64, lines: int, buckets: int, cumulative: bool) -> F64:
    """Distinct keys per cell; running: each key of a line counts from its first bucket on."""
    out = np.zeros((lines, buckets))
    if not len(line):
        return out
    order = np.lexsort((bucket, key, line))
    line, bucket, key = line[order], bucket[order], key[order]
    new = np.ones(len(line), dtype=bool)
    new[1:] = (line[1:] != line[:-1]) | (key[1:] != key[:-1])
    if not cumulative:
        new[1:] |= bucket[1:] != bucket[:-1]
    counts = np.bincount(line[new] * buckets + bucket[new], minlength=lines * buckets)
    out[:] = counts.reshape(lines, buckets)
    return np.cumsum(out, axis=1) if cumulative else out


def distinct_codes(of_rows: U32 | None, codes: U32, offsets: U32 | None) -> U32:
    """Code of each row (0 = no value), or uint32[2, m] pairs (row, code) for a list property.

    ``of_rows``: which row of the run each row is, None = itself.
    """
    if offsets is None:
        return codes if of_rows is None else codes[of_rows]
    own = np.arange(len(offsets) - 1) if of_rows is None else of_rows.astype(np.int64)
    starts = offsets[own].astype(np.int64)
    lengths = offsets[own + 1].astype(np.int64) - starts
    rows = np.repeat(np.arange(len(own)), lengths)
    ends = np.cumsum(lengths)
    index = (
        np.arange(int(ends[-1]) if len(ends) else 0)
        - np.repeat(ends - lengths, lengths)
        + np.repeat(starts, lengths)
    )
    return np.stack([rows.astype(np.uint32), codes[index]])


def sessions_of(bound: Bound, reader: ShardReader) -> dict[int, I64]:
    """Session number of every row of the shard, by run: cut over all events, whatever the query
    filters.
    """
    refs = all_runs(bound, reader)
    gap_ms = bound.query.body.session.gap.ms
    lanes = [reader.lane(ref) for ref in refs]
    numbers = sessions(lanes, gap_ms, reader.context.flag)
    return {id(ref.run): ids for ref, ids in zip(refs, numbers, strict=True)}


def all_runs(bound: Bound, reader: ShardReader) -> list[RunRef]:
    """Every run of the shard: any event, any time."""
    scan = choose_runs(Scan("all events", None, -(1 << 62), 1 << 62), bound.view)
    return scan.of_shard(reader.shard)


def label_number(labels: list[str], label: str) -> int:
    """Number of a bucket.

    Raises:
        InvalidQuery: no bucket of the range has that label.
    """
    if label not in labels:
        raise InvalidQuery(
            f"there is no bucket {label!r}; the range has {labels[0]!r} to {labels[-1]!r}",
            "$.pick.bucket",
        )
    return labels.index(label)


def picked_line(bound: Bound, groups: Groups, chosen: Chosen, pick: Pick) -> int:
    """Line of the picked group; -1 = any; a group without rows gives a line that is empty."""
    if pick.is_other:
        return len(chosen.shown)
    if pick.by is None:
        return -1
    wanted = [pick.by.get(by.p) for by in bound.query.by]
    for line, group in enumerate(chosen.shown):
        if groups.values(group) == wanted and [type(v) for v in groups.values(group)] == [
            type(v) for v in wanted
        ]:
            return line
    for line, group in enumerate(chosen.shown):
        if groups.values(group) == wanted:
            return line
    raise InvalidQuery(f"the answer has no group {wanted!r}", "$.pick.by")


def plain(values: F64, whole: bool) -> list[Any]:
    """JSON values: null for NaN, whole numbers where they are."""
    return [None if v != v else (int(v) if whole else v) for v in values.tolist()]
