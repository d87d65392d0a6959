"""Event series from the day index: rows and users of an event by local day, without reading rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

from zuji.engine.query.crowd import allowed
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.analyses.event import Line
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.model import Series
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import I64


def fits(bound: Bound, series: Series) -> bool:
    """Whether the series asks only for rows or users per bucket."""
    return (
        not bound.query.by
        and series.measure.op in ("count", "users", "per_user")
        and bound.range.grain != "hour"
        and not (bound.query.audience is not None and series.measure.op != "users")
    )


def aligned(scan: Scan, edges: I64) -> bool:
    """Whether the buckets are unions of the days of every run."""
    for ref in scan.runs or ():
        days = ref.run.days
        assert days is not None
        inner = edges[(edges > days[0]) & (edges < days[-1])]
        if not np.isin(inner, days).all():
            return False
    return True


def line(bound: Bound, scan: Scan, series: Series, edges: I64) -> Line:
    """Values of the series, shards in parallel."""
    from zuji.engine.query.analyses.event import Line
    from zuji.engine.query.analyses.event_values import Sums, added, moving_average, of_cells

    def work(shard: int) -> Sums:
        return _shard(bound, scan, shard, edges, wants_users=series.measure.op != "count")

    cells = added(bound.context.map(work, list(range(bound.view.shards))))
    values, totals = of_cells(series.measure.op, cells, cumulative=series.cumulative)
    if series.moving_average is not None:
        values = moving_average(values, series.moving_average)
    return Line(values, totals, float(totals[0]))


def _shard(bound: Bound, scan: Scan, shard: int, edges: I64, *, wants_users: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from zuji.engine.query.analyses.event_values import Sums

    buckets = len(edges) - 1
    rows = np.zeros((1, buckets), dtype=np.int64)
    days_of: list[list[tuple[object, int]]] = [[] for _ in range(buckets)]
    for ref in scan.of_shard(shard):
        index = ref.run.index
        assert index is not None
        at = np.searchsorted(edges, index.edges[:-1], side="right") - 1
        used = np.flatnonzero((at >= 0) & (at < buckets) & (index.rows > 0))
        np.add.at(rows[0], at[used], index.rows[used])
        for day in used.tolist():
            days_of[int(at[day])].append((index, day))
    users = np.zeros((1, buckets), dtype=np.int64)
    new = np.zeros((1, buckets), dtype=np.int64)
    if wants_users:
        audience = allowed(bound, ShardReader(bound.view, shard, bound.context))
        only = None if audience is None else BitMap(np.flatnonzero(audience).astype(np.uint32))
        seen = BitMap()
        before = 0
        for b, days in enumerate(days_of):
            bound.context.check()
            if not days:
                continue
            here = BitMap.union(*[index.users(day) for index, day in days])  # type: ignore[attr-defined]
            if only is not None:
                here &= only
            users[0, b] = len(here)
            seen |= here
            new[0, b] = len(seen) - before
            before = len(seen)
    return Sums(rows, users, new)
