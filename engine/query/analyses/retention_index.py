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
from pyroaring import BitMap

from zuji.engine.query.crowd import allowed
from zuji.engine.query.model import Bracket
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.analyses.retention import Setting
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.model import RetentionBody
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import F64, I64


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


def aligned(plans: list[Scan], s: Setting) -> bool:
    """Whether all periods are unions of the days of every run."""
    for scan, edges in ((plans[0], s.buckets.edges), (plans[1], s.periods)):
        for ref in scan.runs or ():
            days = ref.run.days
            assert days is not None
            inner = edges[(edges > days[0]) & (edges < days[-1])]
            if not np.isin(inner, days).all():
                return False
    return True


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
    same = body.start.names == body.return_.names or (
        body.start.names is not None
        and body.return_.names is not None
        and set(body.start.names) == set(body.return_.names)
    )
    starts, _, before = _periods(start, shard, s.buckets.edges, multi=False)
    returns, again, _ = _periods(back, shard, s.periods, multi=same)
    if same and not np.array_equal(s.buckets.edges, s.buckets.whole):
        again = _cut_again(back, shard, s, again)
    audience = allowed(bound, ShardReader(bound.view, shard, bound.context))
    if audience is not None:
        only = BitMap(np.flatnonzero(audience).astype(np.uint32))
        starts = [members & only for members in starts]
    cohorts = _cohorts(body.cohort, starts, before)
    size = np.zeros((1, s.cohorts), dtype=np.int64)
    returned = np.zeros((1, s.cohorts, s.columns), dtype=np.int64)
    for p, members in enumerate(cohorts):
        bound.context.check()
        size[0, p] = len(members)
        if not members:
            continue
        zero = again[p] if same else returns[p]
        row = [zero, *returns[p + 1 : p + body.periods + 1]]
        returned[0, p] = _columns(body, members, row)
    return IndexCells(size, returned)


def _cohorts(kind: str, starts: list[BitMap], before: BitMap) -> list[BitMap]:
    if kind == "recurring":
        return starts
    seen = before.copy() if kind == "first_ever" else BitMap()
    found = []
    for members in starts:
        found.append(members - seen)
        seen |= members
    return found


def _columns(body: RetentionBody, members: BitMap, row: list[BitMap]) -> list[int]:
    """Users of a cohort in each column, from the users who were there in each period 0…n."""
    criterion = body.criterion
    if isinstance(criterion, Bracket):
        return [
            members.intersection_cardinality(BitMap.union(*row[low : high + 1]))
            for low, high in criterion.bracket
        ]
    if criterion == "on":
        return [members.intersection_cardinality(there) for there in row]
    found = []
    if criterion == "on_or_after":
        seen = BitMap()
        for there in reversed(row):
            seen |= there & members
            found.append(len(seen))
        return found[::-1]
    if criterion == "on_or_before":
        seen = BitMap()
        for there in row[1:]:
            seen |= there & members
            found.append(len(seen))
        return [members.intersection_cardinality(row[0]), *found]
    still = members
    for there in row[1:]:
        still = still & there
        found.append(len(still))
    return [members.intersection_cardinality(row[0]), *found]


def _periods(
    scan: Scan, shard: int, edges: I64, *, multi: bool
) -> tuple[list[BitMap], list[BitMap], BitMap]:
    """Users of each period, those with two or more rows in it, and users before the first one."""
    count = len(edges) - 1
    once: list[list[BitMap]] = [[] for _ in range(count)]
    twice: list[list[BitMap]] = [[] for _ in range(count)]
    before: list[BitMap] = []
    for ref in scan.of_shard(shard):
        index = ref.run.index
        assert index is not None
        at = np.searchsorted(edges, index.edges[:-1], side="right") - 1
        for day in np.flatnonzero(index.rows > 0).tolist():
            period = int(at[day])
            if period < 0:
                before.append(index.users(day))
            elif period < count:
                once[period].append(index.users(day))
                if multi:
                    twice[period].append(index.multi(day))
    users = [BitMap.union(*maps) if maps else BitMap() for maps in once]
    again = [_two(maps, more) for maps, more in zip(once, twice, strict=True)] if multi else []
    return users, again, BitMap.union(*before) if before else BitMap()


def _two(maps: list[BitMap], more: list[BitMap]) -> BitMap:
    """Users with two rows or more: in one bitmap of ``more``, or in two of ``maps``. O(users ·
    maps).
    """
    twice = BitMap.union(*more) if more else BitMap()
    seen = BitMap()
    for members in maps:
        twice |= seen & members
        seen |= members
    return twice


def _cut_again(back: Scan, shard: int, s: Setting, again: list[BitMap]) -> list[BitMap]:
    """Period 0 of a cohort that the range cuts: only rows inside the range can be its start.

    A row after the start may lie in the period's part after the range. So: two rows from the cut
    on.
    """
    edges = s.periods.copy()
    edges[0] = s.buckets.edges[0]
    _, first, _ = _periods(back, shard, edges[: s.cohorts + 1], multi=True)
    return [*first, *again[s.cohorts :]]
