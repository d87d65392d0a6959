"""Calendar retention from rows by way of sets: users of a period as bits, then as from the index.

Setting a bit a row and counting intersections is faster than walking both events user by user. It
needs what sets can tell: no breakdown, no metric, and starts and returns of the same rows or of
wholly different events; with other filters on one event, whether a return comes after its start is
a question of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.analyses.retention_index import (
    IndexCells,
    counted,
    same_events,
    summed,
)
from zuji.engine.query.analyses.retention_index import fits as events_fit
from zuji.engine.query.crowd import allowed
from zuji.engine.query.kernels._retention_bits import rows_bits
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.analyses.retention import Setting
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import BitRows
    from zuji.engine.query.plan import Scan

BYTES_A_ROW = 32
"""Bits may take so many bytes for each row read: beyond it there is more to clear than to set."""
FREE_BYTES = 1 << 20


def fits(bound: Bound, plans: list[Scan], s: Setting) -> bool:
    """Whether sets of users are enough, and not larger than what they are made of."""
    if not events_fit(bound):
        return False
    if same_events(plans[0], plans[1]) and plans[0].where != plans[1].where:
        return False
    rows = sum(ref.run.rows for plan in plans[:2] for ref in plan.runs or ())
    periods = 2 * s.cohorts + s.body.periods
    return periods * sum(bound.view.users) // 8 <= BYTES_A_ROW * rows + FREE_BYTES


def cells(bound: Bound, plans: list[Scan], s: Setting) -> IndexCells:
    """Sizes [1, P] and returns [1, P, K], shards in parallel."""
    return summed(
        bound.context.map(
            lambda shard: _shard(bound, plans, s, shard), list(range(bound.view.shards))
        )
    )


def _shard(bound: Bound, plans: list[Scan], s: Setting, shard: int) -> IndexCells:
    context, body = bound.context, s.body
    reader = ShardReader(bound.view, shard, context)
    same = same_events(plans[0], plans[1])
    words = (reader.users + 63) // 64
    if words % 512 < 64:
        words += 72  # rows a multiple of a page apart would fall into the same lines of the cache
    periods = s.cohorts + body.periods
    context.charge(8 * words * (s.cohorts + (2 if same else 1) * periods + 8))
    starts = [chosen.lane for chosen in reader.select(plans[0])]
    backs = [chosen.lane for chosen in reader.select(plans[1])]
    edges = s.periods[: periods + 1]
    days = [
        rows_bits(starts, s.buckets.edges, words, cancel=context.flag),
        rows_bits(backs, edges, words, multi=same, cancel=context.flag),
    ]
    zeros = None
    if same:
        zeros = _periods(1, s.cohorts)
        if s.buckets.edges[0] != edges[0]:
            # A first cohort that the range cuts: two rows from the cut on.
            first = np.array([s.buckets.edges[0], edges[1]], dtype=np.int64)
            days.append(rows_bits(backs, first, words, multi=True, cancel=context.flag))
            zeros[1][0] = 2
    audience = allowed(bound, reader)
    return counted(
        bound,
        s,
        days,
        _periods(0, s.cohorts),
        _periods(1, periods),
        zeros,
        (np.array([0, 1], np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32)),
        audience,
        words,
    )


def _periods(run: int, count: int) -> BitRows:
    """Rows that are one period each."""
    at = np.arange(count + 1, dtype=np.int32)
    return at, np.full(count, run, dtype=np.int32), at[1:].copy()
