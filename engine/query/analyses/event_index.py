"""Event series from the day index: rows and users of an event by local day; no row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

from zuji.engine.query.analyses.event_values import Sums, added, moving_average, of_cells
from zuji.engine.query.crowd import allowed
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.analyses.event import Line
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.model import Series
    from zuji.engine.query.plan import Scan
    from zuji.engine.storage.days import Days
    from zuji.engine.types import I64

    DayOf = tuple[Days, int]

UNION_DAYS = 16
"""With more days than this, the users of whole runs are joined instead of the users of days."""
LIGHT_USERS = 200_000
"""With fewer users in its runs, one thread is faster than several."""


def fits(bound: Bound, series: Series) -> bool:
    """Whether the series asks only for rows or users per bucket."""
    return (
        not bound.query.by
        and series.measure.op in ("count", "users", "per_user")
        and bound.range.grain != "hour"
        and not (bound.query.audience is not None and series.measure.op != "users")
    )


def line(bound: Bound, scan: Scan, series: Series, edges: I64) -> Line:
    """Values of the series, shards in parallel."""
    from zuji.engine.query.analyses.event import Line

    light = sum(ref.run.user_count for ref in scan.runs or ()) < LIGHT_USERS

    def work(shard: int) -> Sums:
        if series.measure.op == "count":
            return _rows(scan, shard, edges)[0]
        if bound.query.audience is None and not series.cumulative:
            return _counted(bound, scan, shard, edges)
        return _united(bound, scan, shard, edges)

    cells = added(bound.context.map(work, list(range(bound.view.shards)), light=light))
    values, totals = of_cells(series.measure.op, cells, cumulative=series.cumulative)
    if series.moving_average is not None:
        values = moving_average(values, series.moving_average)
    return Line(values, totals, float(totals[0]))


def _rows(scan: Scan, shard: int, edges: I64) -> tuple[Sums, list[list[DayOf]]]:
    """Rows of each bucket, and the days that make it up."""
    buckets = len(edges) - 1
    rows = np.zeros((1, buckets), dtype=np.int64)
    days_of: list[list[DayOf]] = [[] for _ in range(buckets)]
    for ref in scan.of_shard(shard):
        index = ref.run.index
        assert index is not None
        at = np.searchsorted(edges, index.edges[:-1], side="right") - 1
        used = np.flatnonzero((at >= 0) & (at < buckets) & (index.rows > 0))
        np.add.at(rows[0], at[used], index.rows[used])
        for day in used.tolist():
            days_of[int(at[day])].append((index, day))
    zero = np.zeros_like(rows)
    return Sums(rows, zero, zero.copy()), days_of


def _counted(bound: Bound, scan: Scan, shard: int, edges: I64) -> Sums:
    """Stored cardinalities where a bucket is one day of one run; unions elsewhere. Only totals of
    ``new_users``.
    """
    sums, days_of = _rows(scan, shard, edges)
    users = np.zeros_like(sums.rows)
    for b, days in enumerate(days_of):
        if len(days) == 1:
            users[0, b] = int(days[0][0].cards[days[0][1]])
        elif days:
            bound.context.check()
            users[0, b] = len(BitMap.union(*[index.users(day) for index, day in days]))
    new = np.zeros_like(users)
    new[0, 0] = _everybody(bound, scan, shard, days_of)
    return Sums(sums.rows, users, new)


def _everybody(bound: Bound, scan: Scan, shard: int, days_of: list[list[DayOf]]) -> int:
    """Distinct users of the whole range."""
    refs = scan.of_shard(shard)
    used = sum(len(days) for days in days_of)
    if (
        len(refs) == 1
        and refs[0].run.index is not None
        and used == int((refs[0].run.index.rows > 0).sum())
    ):
        return refs[0].run.user_count
    if used > UNION_DAYS or not used:
        lists = (
            [ref.run.users()[0] for ref in refs if ref.inside]
            if all(r.inside for r in refs)
            else None
        )
        if lists is not None:
            return len(np.unique(np.concatenate(lists))) if lists else 0
    seen = BitMap()
    for days in days_of:
        bound.context.check()
        for index, day in days:
            seen |= index.users(day)
    return len(seen)


def _united(bound: Bound, scan: Scan, shard: int, edges: I64) -> Sums:
    """Users by unions, each counted in its first bucket; the audience cut out."""
    sums, days_of = _rows(scan, shard, edges)
    users, new = np.zeros_like(sums.rows), np.zeros_like(sums.rows)
    audience = allowed(bound, ShardReader(bound.view, shard, bound.context))
    only = None if audience is None else BitMap(np.flatnonzero(audience).astype(np.uint32))
    seen = BitMap()
    before = 0
    for b, days in enumerate(days_of):
        bound.context.check()
        if not days:
            continue
        here = BitMap.union(*[index.users(day) for index, day in days])
        if only is not None:
            here &= only
        users[0, b] = len(here)
        seen |= here
        new[0, b] = len(seen) - before
        before = len(seen)
    return Sums(sums.rows, users, new)
