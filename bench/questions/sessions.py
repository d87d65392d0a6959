"""Sessions by day (how many, whose, how long, how deep), and the most users online at once.

A peer cuts a user's sorted times at gaps of more than half an hour; a session is [start, fin], with
n events.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, day_number, envelope, within
from bench.shape import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

GAP_MS = 30 * 60_000
MEASURES = ("sessions", "users", "duration_sum", "depth_sum")
SPAN = 1 << 34
"""A user's times as one number: user · SPAN + ms since the first asked day."""


def by_day(shape: Shape) -> Question:
    """Sessions, users, duration and depth by day."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {
            f"{name} {day_number(shape, r['bucket'])}": int(r[name])
            for r in answers[0]
            for name in MEASURES
        }

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells = {f"{name} {d}": 0 for name in MEASURES for d in range(shape.asked_days)}
        for d, *numbers in answers[0]:
            cells |= {f"{m} {int(d)}": int(n) for m, n in zip(MEASURES, numbers, strict=True)}
        return cells

    summed = "sum(fin - start), sum(n) FROM"
    clickhouse = (
        f"SELECT intDiv(start - {shape.asked_ms}, {DAY_MS}) AS d, count(), uniqExact(user), "
        f"{summed} ({_clickhouse(shape)}) GROUP BY d"
    )
    duckdb = (
        f"SELECT (start - {shape.asked_ms}) // {DAY_MS} AS d, count(*), count(DISTINCT user), "
        f"{summed} ({_duckdb(shape)}) GROUP BY d"
    )
    return Question(
        name="sessions",
        title="sessions by day: count, users, duration, depth",
        goal_ms=200.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "session", {"measure": list(MEASURES)}),),
        clickhouse=((clickhouse,), (clickhouse + " SETTINGS optimize_aggregation_in_order = 1",)),
        duckdb=((duckdb,),),
        polars=(partial(_polars_by_day, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def online(shape: Shape) -> Question:
    """The most users online at once on each day."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {f"peak {day_number(shape, r['bucket'])}": int(r["peak"]) for r in answers[0]}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        return {f"peak {int(d)}": int(n) for d, n in answers[0]}

    last = shape.asked_ms + shape.asked_days * DAY_MS

    def sweep(sessions: str, midnights: str, d: str) -> str:
        steps = (
            "SELECT start AS t, 1 AS x FROM s UNION ALL SELECT fin + 1, -1 FROM s "
            f"UNION ALL SELECT {midnights}"
        )
        counts = f"SELECT t, sum(x) AS x FROM ({steps}) AS steps GROUP BY t"
        running = f"SELECT t, sum(x) OVER (ORDER BY t) AS n FROM ({counts}) AS counts"
        return (
            f"WITH s AS ({sessions}) SELECT {d} AS d, max(n) FROM ({running}) AS running "
            f"WHERE t < {last} GROUP BY d"
        )

    clickhouse = sweep(
        _clickhouse(shape),
        f"toInt64({shape.asked_ms} + number * {DAY_MS}), 0 FROM numbers({shape.asked_days})",
        f"intDiv(t - {shape.asked_ms}, {DAY_MS})",
    )
    duckdb = sweep(
        _duckdb(shape),
        f"{shape.asked_ms} + range * {DAY_MS}, 0 FROM range({shape.asked_days})",
        f"(t - {shape.asked_ms}) // {DAY_MS}",
    )
    return Question(
        name="concurrency",
        title="most users online at once, by day",
        goal_ms=250.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "concurrency", {}),),
        clickhouse=((clickhouse,),),
        duckdb=((duckdb,),),
        polars=(partial(_polars_online, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _clickhouse(shape: Shape) -> str:
    """A session a row: sorted times of a user as one array, split at the gaps."""
    times = (
        f"SELECT user, arraySort(groupArray(toInt64(ts))) AS ts FROM {{events}} "
        f"WHERE {within(shape)} GROUP BY user"
    )
    split = f"arraySplit((t, gap) -> gap > {GAP_MS}, ts, arrayDifference(ts))"
    return (
        "SELECT user, s[1] AS start, s[-1] AS fin, length(s) AS n FROM "
        f"(SELECT user, arrayJoin({split}) AS s FROM ({times}))"
    )


def _duckdb(shape: Shape) -> str:
    """A session a row: first rows, whose ends are the rows before the next first ones."""
    window = "OVER (PARTITION BY user ORDER BY ts)"
    rows = (
        f"SELECT user, ts, lag(ts) {window} AS before, row_number() {window} AS place, "
        "max(ts) OVER (PARTITION BY user) AS newest, count(*) OVER (PARTITION BY user) AS total "
        f"FROM {{events}} WHERE {within(shape)}"
    )
    return (
        f"SELECT user, ts AS start, coalesce(lead(before) {window}, newest) AS fin, "
        f"coalesce(lead(place) {window}, total + 1) - place AS n FROM ({rows}) "
        f"WHERE before IS NULL OR ts - before > {GAP_MS}"
    )


def _polars_sessions(shape: Shape, frames: Frames) -> Any:
    """A session a row: start, fin (keys), n."""
    import polars as pl

    user = pl.col("user").cast(pl.Int64) * SPAN
    rows = frames.asked(frames.all(), shape).select(
        (user + pl.col("ts") - shape.asked_ms).alias("key")
    )
    rows = rows.sort("key")
    begins = (pl.col("key") - pl.col("key").shift(1) > GAP_MS).fill_null(True)
    numbered = rows.with_columns(begins.cum_sum().alias("session"))
    return numbered.group_by("session").agg(
        pl.col("key").first().alias("start"), pl.col("key").last().alias("fin"), pl.len().alias("n")
    )


def _polars_by_day(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    start, fin = pl.col("start"), pl.col("fin")
    by = (start % SPAN // DAY_MS).alias("d")
    found = (
        _polars_sessions(shape, frames)
        .group_by(by)
        .agg(
            pl.len().alias("sessions"),
            (start // SPAN).n_unique().alias("users"),
            (fin - start).sum().alias("duration"),
            pl.col("n").sum().alias("depth"),
        )
    )
    return [frames.rows(found)]


def _polars_online(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    sessions = _polars_sessions(shape, frames)
    one, t = pl.lit(1, pl.Int64), pl.Int64
    come = sessions.select((pl.col("start") % SPAN).alias("t"), one.alias("x"))
    go = sessions.select((pl.col("fin") % SPAN + 1).alias("t"), (-one).alias("x"))
    days = [d * DAY_MS for d in range(shape.asked_days)]
    midnights = pl.LazyFrame({"t": days, "x": [0] * len(days)}, schema={"t": t, "x": t})
    steps = pl.concat([come, go, midnights]).group_by("t").agg(pl.col("x").sum()).sort("t")
    running = steps.with_columns(pl.col("x").cum_sum().alias("n"))
    inside = running.filter(pl.col("t") < shape.asked_days * DAY_MS)
    return [frames.rows(inside.group_by((pl.col("t") // DAY_MS).alias("d")).agg(pl.col("n").max()))]
