"""A number a user, and lengths between two events: distribution and interval.

Ties of the interval are strict: the ends of an instant come before its starts, which is an order
that the peers can keep, too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import (
    Cells,
    Question,
    Rows,
    day_number,
    envelope,
    listed,
    within,
)
from bench.shape import DAY_MS, event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

EVENT = event_name(5)
EDGES = (2, 3, 5, 10, 20, 50)
START, END = event_name(3), event_name(5)
CAP = {"n": 7, "unit": "day"}
CAP_MS = 7 * DAY_MS
QUARTILES = (0.25, 0.5, 0.75)


def distribution(shape: Shape) -> Question:
    """Users by how often they did one event, and those who did not."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {f"band {i}": int(row["users"]) for i, row in enumerate(answers[0], -1)}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        bands, population = answers
        cells = {f"band {i}": 0 for i in range(len(EDGES) + 1)}
        cells |= {f"band {int(band)}": int(users) for band, users in bands}
        return cells | {"band -1": int(population[0][0]) - sum(cells.values())}

    def forms(sums: str, *more: str) -> tuple[tuple[str, ...], ...]:
        inner = f"SELECT count(*) AS n FROM {{events}} WHERE event = '{EVENT}' AND {within(shape)}"
        banded = f"SELECT {sums} AS band, count(*) FROM ({inner} GROUP BY user) GROUP BY band"
        # Few users have many rows: their numbers are counted first, and banded then.
        counted = f"SELECT n, count(*) AS users FROM ({inner} GROUP BY user) GROUP BY n"
        twice = f"SELECT {sums} AS band, sum(users) FROM ({counted}) GROUP BY band"
        population = "SELECT count(*) FROM {users}"
        return tuple((sql + end, population) for sql in (banded, twice) for end in ("", *more))

    body = {"e": EVENT, "measure": "times", "buckets": list(EDGES), "zero": "all"}
    return Question(
        name="distribution",
        title="users by times of one event (5 %), with those who did not",
        goal_ms=80.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "distribution", body, "all"),),
        clickhouse=forms(
            " + ".join(f"(n >= {edge})" for edge in EDGES),
            " SETTINGS optimize_aggregation_in_order = 1",
        ),
        duckdb=forms(" + ".join(f"(n >= {edge})::INTEGER" for edge in EDGES)),
        polars=(partial(_distribution, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _distribution(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    counts = frames.asked(frames.events(EVENT), shape).group_by("user").agg(pl.len().alias("n"))
    band = pl.sum_horizontal((pl.col("n") >= edge).cast(pl.Int64) for edge in EDGES)
    bands = counts.group_by("n").agg(pl.len().alias("users")).with_columns(band.alias("band"))
    people = frames.users.lazy().select(pl.len())
    return [frames.rows(bands.group_by("band").agg(pl.col("users").sum())), frames.rows(people)]


def interval(shape: Shape) -> Question:
    """Quartiles of the time from one event to another, by the day of the first."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        cells: Cells = {}
        for row in answers[0]:
            numbers = [row[n] for n in ("pairs", "users", "min", "max", "p25", "median", "p75")]
            cells |= _cells(day_number(shape, row["bucket"]), numbers)
        return cells

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells: Cells = {}
        for number, *numbers, quartiles in answers[0]:
            cells |= _cells(int(number), [*numbers, *quartiles])
        return cells

    body = {
        "start": {"e": START},
        "end": {"e": END},
        "nearest": "end",
        "cap": CAP,
        "ties": "strict",
    }
    return Question(
        name="interval",
        title="quartiles of the time from A to B (≤ 7 days, the nearest A), by day",
        goal_ms=80.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "interval", body),),
        clickhouse=_clickhouse(shape),
        duckdb=((_duckdb(shape),),),
        polars=(partial(_interval, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _cells(number: int, numbers: Sequence[Any]) -> Cells:
    names = ("pairs", "users", "min", "max", "p25", "p50", "p75")
    pairs = zip(names, numbers, strict=True)
    return {f"day {number} {name}": int(value) for name, value in pairs if value is not None}


KEY = f"ts * 2 + (event = '{START}')"
"""Time, and within an instant ends before starts, as one number."""


def _clickhouse(shape: Shape) -> tuple[tuple[str, ...], ...]:
    """Each row beside the one before it: by a window, or in an array a user."""
    chosen = f"event IN ({listed((START, END))}) AND {within(shape)}"
    quartiles = ", ".join(map(str, QUARTILES))
    asked = (
        f"SELECT intDiv(t0 - {shape.asked_ms}, {DAY_MS}) AS day, count(), uniqExact(user), "
        f"min(gap), max(gap), quantilesExactInclusive({quartiles})(gap) FROM "
        "(SELECT user, intDiv(before, 2) AS t0, intDiv(key, 2) - t0 AS gap FROM ({rows}) "
        f"WHERE key % 2 = 0 AND before % 2 = 1 AND gap <= {CAP_MS}) GROUP BY day"
    )
    window = (
        "SELECT user, key, lagInFrame(key, 1, 0) OVER (PARTITION BY user ORDER BY key "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before "
        f"FROM (SELECT user, {KEY} AS key FROM {{events}} WHERE {chosen})"
    )
    arrays = (
        "SELECT user, pair.1 AS key, pair.2 AS before FROM (SELECT user, arrayJoin(arrayFilter("
        "p -> p.1 % 2 = 0 AND p.2 % 2 = 1, arrayZip(keys, arrayPushFront(arrayPopBack(keys), 0)))) "
        f"AS pair FROM (SELECT user, arraySort(groupArray({KEY})) AS keys FROM {{events}} "
        f"WHERE {chosen} GROUP BY user))"
    )
    in_order = " SETTINGS optimize_aggregation_in_order = 1"
    by_arrays = asked.replace("{rows}", arrays)
    return (asked.replace("{rows}", window),), (by_arrays,), (by_arrays + in_order,)


def _duckdb(shape: Shape) -> str:
    chosen = f"event IN ({listed((START, END))}) AND {within(shape)}"
    key = KEY.replace(f"(event = '{START}')", f"(event = '{START}')::BIGINT")
    rows = (
        f"SELECT user, key, lag(key) OVER (PARTITION BY user ORDER BY key) AS before "
        f"FROM (SELECT user, {key} AS key FROM {{events}} WHERE {chosen})"
    )
    pairs = (
        f"SELECT user, before // 2 AS t0, key // 2 - before // 2 AS gap FROM ({rows}) "
        f"WHERE key % 2 = 0 AND before % 2 = 1 AND key // 2 - before // 2 <= {CAP_MS}"
    )
    quartiles = ", ".join(map(str, QUARTILES))
    return (
        f"SELECT (t0 - {shape.asked_ms}) // {DAY_MS} AS day, count(*), count(DISTINCT user), "
        f"min(gap), max(gap), quantile_cont(gap, [{quartiles}]) FROM ({pairs}) GROUP BY day"
    )


def _interval(shape: Shape, frames: Frames) -> list[Rows]:
    """One sort by user, time and role in one number; then neighbours."""
    import polars as pl

    span = 1 << 35
    found = []
    for name, role in ((START, 1), (END, 0)):
        rows = frames.asked(frames.events(name), shape)
        user = pl.col("user").cast(pl.Int64) * span
        key = user + (pl.col("ts") - shape.asked_ms) * 2 + role
        found.append(rows.select(key.alias("key")))
    rows = pl.concat(found).sort("key").with_columns(pl.col("key").shift(1).alias("before"))
    same = pl.col("key") // span == pl.col("before") // span
    start, end = pl.col("before") % span // 2, pl.col("key") % span // 2
    pairs = rows.filter(same & (pl.col("key") % 2 == 0) & (pl.col("before") % 2 == 1)).select(
        (pl.col("key") // span).alias("user"),
        (start // DAY_MS).alias("day"),
        (end - start).alias("gap"),
    )
    numbers = [
        pl.col("gap").quantile(q, interpolation="linear").alias(f"q{i}")
        for i, q in enumerate(QUARTILES)
    ]
    cells = (
        pairs.filter(pl.col("gap") <= CAP_MS)
        .group_by("day")
        .agg(
            pl.len(),
            pl.col("user").n_unique(),
            pl.col("gap").min().alias("least"),
            pl.col("gap").max().alias("most"),
            *numbers,
        )
    )
    gathered = frames.rows(cells)
    return [[[*row[:5], row[5:]] for row in gathered]]
