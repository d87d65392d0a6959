"""Retention from the day index: users of a period are bitmaps, a cell is the size of an
intersection.

A return in period 0 needs a row after the start, or one of another event. With the start's own
event among the returns that is "two rows or more in the period", which the index keeps a bitmap
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.analyses.retention_query import Bracket
from zuji.engine.query.crowd import allowed
from zuji.engine.query.day_rows import DayRows, packed
from zuji.engine.query.edges import unions_of_days
from zuji.engine.query.kernels._retention_bits import retention_bits
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.analyses.retention import Setting
    from zuji.engine.query.analyses.retention_query import RetentionBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import BitRows
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import F64, I64, U8, U64

COHORTS = {"first_in_range": 0, "first_ever": 1, "recurring": 2}
LIGHT_USERS = 100_000
"""With fewer users the cells are counted on one thread: there is a word for 64 of them."""
CRITERIA = {"on": 0, "on_or_after": 1, "on_or_before": 2, "consecutive": 3}


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
    body: RetentionBody = bound.query.body
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
    light = sum(bound.view.users) < LIGHT_USERS and bound.query.audience is None
    parts = bound.context.map(
        lambda shard: _shard(bound, start, back, s, shard),
        list(range(bound.view.shards)),
        light=light,
    )
    return summed(parts)


def summed(parts: list[IndexCells]) -> IndexCells:
    """Cells of all shards, which have different users."""
    total = parts[0]
    for part in parts[1:]:
        total.size = total.size + part.size
        total.returned = total.returned + part.returned
    return total


def _shard(bound: Bound, start: Scan, back: Scan, s: Setting, shard: int) -> IndexCells:
    body, context = s.body, bound.context
    same = same_events(start, back)
    words = (bound.view.users[shard] + 63) // 64
    runs = DayRows(bound, multi=same)
    starts, before = runs.rows(start.of_shard(shard), s.buckets.edges)
    returns, _ = runs.rows(back.of_shard(shard), s.periods[: s.cohorts + body.periods + 1])
    zeros = None
    if same:
        # A first cohort that the range cuts: two rows from the cut on.
        edges = s.periods[: s.cohorts + 1].copy()
        edges[0] = s.buckets.edges[0]
        zeros, _ = runs.rows(back.of_shard(shard), edges)
    audience = allowed(bound, ShardReader(bound.view, shard, context))
    return counted(bound, s, runs.days, starts, returns, zeros, before, audience, words)


def rules_of(body: RetentionBody, criterion: Any) -> dict[str, Any]:
    """Cohort and criterion as the kernels number them."""
    bracket = criterion.bracket if isinstance(criterion, Bracket) else None
    return {
        "cohort": COHORTS[body.cohort],
        "criterion": CRITERIA[criterion] if bracket is None else 4,
        "brackets": bracket,
    }


def same_events(start: Scan, back: Scan) -> bool:
    """Whether users start and return by the same events: then a return is another row."""
    return start.events is None or set(start.events) == set(back.events or ())


def counted(
    bound: Bound,
    s: Setting,
    days: list[tuple[U64, U64 | None]],
    starts: BitRows,
    returns: BitRows,
    zeros: BitRows | None,
    before: BitRows,
    audience: U8 | None,
    words: int,
) -> IndexCells:
    """Cells of one shard from sets of users, under the rules of the query's body."""
    size, returned = retention_bits(
        days,
        starts,
        returns,
        zeros,
        before,
        None if audience is None else packed(audience, words),
        words=words,
        periods=s.cohorts,
        n=s.body.periods,
        **rules_of(s.body, s.body.criterion),
        cancel=bound.context.flag,
    )
    return IndexCells(size[np.newaxis], returned[np.newaxis])
