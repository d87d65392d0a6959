"""Retention from the day index: users of a period are bitmaps, a cell is the size of an
intersection.

A return in period 0 needs a row after the start, or one of another event. With the start's own
event among the returns that is "two rows or more in the period", which the index keeps a bitmap
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.crowd import allowed
from zuji.engine.query.edges import unions_of_days
from zuji.engine.query.kernels._bits import count_and, set_bits
from zuji.engine.query.model import Bracket
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.analyses.retention import Setting
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.model import RetentionBody
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import F64, I64, U32, U64


@dataclass(slots=True)
class IndexCells:
    """As the kernel's answer, one line."""

    size: I64
    returned: I64
    metric_sum: F64 | None = None
    metric_count: I64 | None = None


def fits(bound: Bound) -> bool:
    """Calendar periods, no breakdown, no metric; starts and returns of the same events or of wholly
    different ones.
    """
    body: RetentionBody = bound.query.body  # type: ignore[assignment]
    if bound.query.by or body.mode != "calendar" or body.measure is not None:
        return False
    starts, returns = body.start.names, body.return_.names
    if starts is None or returns is None:
        return starts is None and returns is None
    return set(starts) == set(returns) or not set(starts) & set(returns)


def aligned(start: Scan, back: Scan, s: Setting) -> bool:
    """Whether all periods are unions of the days of every run."""
    return unions_of_days(start, s.buckets.edges) and unions_of_days(back, s.periods)


def cells(bound: Bound, start: Scan, back: Scan, s: Setting) -> IndexCells:
    """Sizes [1, P] and returns [1, P, K], shards in parallel."""
    parts = bound.context.map(
        lambda shard: _shard(bound, start, back, s, shard), list(range(bound.view.shards))
    )
    total = parts[0]
    for part in parts[1:]:
        total.size = total.size + part.size
        total.returned = total.returned + part.returned
    return total


def _shard(bound: Bound, start: Scan, back: Scan, s: Setting, shard: int) -> IndexCells:
    body = s.body
    same = start.events is None or set(start.events) == set(back.events or ())
    width = (bound.view.users[shard] + 63) // 64
    bound.context.charge(8 * width * (len(s.periods) + 3 * s.cohorts))
    starts, _, before = _periods(start, shard, s.buckets.edges, width, multi=False)
    returns, again, _ = _periods(back, shard, s.periods, width, multi=same)
    if same and not np.array_equal(s.buckets.edges, s.buckets.whole):
        # Period 0 of a first cohort that the range cuts: two rows from the cut on.
        edges = s.periods.copy()
        edges[0] = s.buckets.edges[0]
        _, first, _ = _periods(back, shard, edges[: s.cohorts + 1], width, multi=True)
        again[: s.cohorts] = first
    audience = allowed(bound, ShardReader(bound.view, shard, bound.context))
    if audience is not None:
        starts &= _packed(np.flatnonzero(audience).astype(np.uint32), width)
    cohorts = _cohorts(body.cohort, starts, before)
    size = np.zeros((1, s.cohorts), dtype=np.int64)
    returned = np.zeros((1, s.cohorts, s.columns), dtype=np.int64)
    for p in range(s.cohorts):
        bound.context.check()
        size[0, p] = _count(cohorts[p])
        if not size[0, p]:
            continue
        zero = again[p] if same else returns[p]
        if body.criterion == "on":
            returned[0, p] = count_and(returns[p : p + body.periods + 1], cohorts[p])
            if same:
                returned[0, p, 0] = count_and(zero[np.newaxis], cohorts[p])[0]
            continue
        row = returns[p : p + body.periods + 1] & cohorts[p]
        row[0] = zero & cohorts[p]
        returned[0, p] = _columns(body, row)
    return IndexCells(size, returned)


def _cohorts(kind: str, starts: U64, before: U64) -> U64:
    """Members of each cohort."""
    if kind == "recurring":
        return starts
    seen = before.copy() if kind == "first_ever" else np.zeros_like(before)
    found = np.empty_like(starts)
    for p, members in enumerate(starts):
        found[p] = members & ~seen
        seen |= members
    return found


def _columns(body: RetentionBody, row: U64) -> I64:
    """Users of a cohort by column. ``row`` uint64[n+1, words]: members there in each period."""
    criterion = body.criterion
    if isinstance(criterion, Bracket):
        there = [np.bitwise_or.reduce(row[low : high + 1]) for low, high in criterion.bracket]
        return np.array([_count(bits) for bits in there], dtype=np.int64)
    if criterion == "on_or_after":
        return _counts(np.bitwise_or.accumulate(row[::-1])[::-1])
    if criterion == "on_or_before":
        rest = np.bitwise_or.accumulate(row[1:])
    else:
        rest = np.bitwise_and.accumulate(row[1:])
    return np.concatenate([_counts(row[:1]), _counts(rest)])


def _periods(
    scan: Scan, shard: int, edges: I64, width: int, *, multi: bool
) -> tuple[U64, U64, U64]:
    """Bits uint64[periods, width]: users of each period, those with two rows or more in it; and
    users before the first.
    """
    count = len(edges) - 1
    users = np.zeros((count, width), dtype=np.uint64)
    again = np.zeros((count if multi else 0, width), dtype=np.uint64)
    before = np.zeros(width, dtype=np.uint64)
    for ref in scan.of_shard(shard):
        index = ref.run.index
        assert index is not None
        at = np.searchsorted(edges, index.edges[:-1], side="right") - 1
        for day in np.flatnonzero(index.rows > 0).tolist():
            period = int(at[day])
            if period >= count:
                continue
            if period < 0:
                set_bits(index.user_list(day), before)
            elif multi:
                bits = _packed(index.user_list(day), width)
                again[period] |= users[period] & bits
                set_bits(index.multi_list(day), again[period])
                users[period] |= bits
            else:
                set_bits(index.user_list(day), users[period])
    return users, again, before


def _packed(users: U32, width: int) -> U64:
    """Ordinals as bits."""
    row = np.zeros(width, dtype=np.uint64)
    set_bits(users, row)
    return row


def _count(bits: U64) -> int:
    return int(np.bitwise_count(bits).sum())


def _counts(rows: U64) -> I64:
    """Set bits of each row."""
    counts: I64 = np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
    return counts
