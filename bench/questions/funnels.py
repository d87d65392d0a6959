"""Funnels within seven days of any first step: three and five steps, and three steps with a filter
each and a breakdown.

Peers give the same levels: ClickHouse by ``windowFunnel``; DuckDB by ASOF joins from
every first step; Polars by one running maximum a step, ``L[k]`` = the latest start of a chain that
has reached step k. Instants are ordered by step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, envelope, listed, within
from bench.shape import DAY_MS, event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

STEPS = (event_name(3), event_name(4), event_name(5), event_name(6), event_name(7))
WINDOW_MS = 7 * DAY_MS
WINDOW = {"n": 7, "unit": "day"}
GROUPS = 10
FILTERS = (
    ("channel IN ('app', 'mini')", {"p": "event.channel", "op": "in", "v": ["app", "mini"]}),
    ("amount >= 100", {"p": "event.amount", "op": "gte", "v": 100}),
    ("duration_ms < 5000", {"p": "event.duration_ms", "op": "lt", "v": 5000}),
)
_USER = 1 << 34
"""A user's place in a key of user and time: more than the asked days and a window together."""


def plain(shape: Shape, count: int) -> Question:
    """Users at each of ``count`` steps: 3 or 5."""
    steps = STEPS if count == 5 else STEPS[0::2]

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {f"step {r['step']}": int(r["count"]) for r in answers[0]}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        at = {int(level): int(users) for level, users in answers[0]}
        return {
            f"step {k}": sum(users for level, users in at.items() if level >= k)
            for k in range(1, count + 1)
        }

    conditions = [f"event = '{s}'" for s in steps]
    chosen = f"event IN ({listed(steps)}) AND {within(shape)}"
    counted = "SELECT level, count(*) FROM ({levels}) GROUP BY level"
    return Question(
        name=f"funnel_{count}",
        title=f"{count}-step funnel, 7 days",
        goal_ms=60.0 if count == 3 else 75.0,
        goal_ratio=20.0,
        queries=(
            envelope(shape, "funnel", {"steps": [{"e": s} for s in steps], "window": WINDOW}),
        ),
        clickhouse=_in_both_orders(counted.format(levels=_window_funnel(conditions, chosen, ""))),
        duckdb=((counted.format(levels=_duck_levels(conditions, within(shape), "")),),),
        polars=(partial(_polars_plain, shape, steps),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def filtered(shape: Shape) -> Question:
    """Three steps, a filter on each, by the first event's city."""
    steps = STEPS[0::2]
    group = "event.city"

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {f"{r[group]} {r['step']}": int(r["count"]) for r in answers[0]}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        return {
            f"{city} {k}": int(users)
            for city, *counts in answers[0]
            for k, users in enumerate(counts, 1)
        }

    conditions = [f"(event = '{s}' AND {sql})" for s, (sql, _) in zip(steps, FILTERS, strict=True)]
    chosen = f"({' OR '.join(conditions)}) AND {within(shape)}"
    # The city belongs to the user here, so that of any event is that of the first.
    counted = (
        "SELECT city, {counts} FROM ({levels}) WHERE level > 0 "
        f"GROUP BY city ORDER BY 2 DESC, city LIMIT {GROUPS}"
    )
    asked = [{"e": s, "where": where} for s, (_, where) in zip(steps, FILTERS, strict=True)]
    return Question(
        name="funnel_filter",
        title="3-step funnel, a filter on each step, by the first event's city",
        goal_ms=None,
        goal_ratio=5.0,
        queries=(
            envelope(
                shape,
                "funnel",
                {"steps": asked, "window": WINDOW},
                by=[{"p": group, "attr": "first"}],
                top={"n": GROUPS, "other": False},
            ),
        ),
        clickhouse=_in_both_orders(
            counted.format(
                counts=", ".join(f"countIf(level >= {k})" for k in (1, 2, 3)),
                levels=_window_funnel(conditions, chosen, ", any(city) AS city"),
            )
        ),
        duckdb=(
            (
                counted.format(
                    counts=", ".join(f"count(*) FILTER (level >= {k})" for k in (1, 2, 3)),
                    levels=_duck_levels(
                        conditions, within(shape), ", any_value(city)::VARCHAR AS city"
                    ),
                ),
            ),
        ),
        polars=(partial(_polars_filtered, shape, steps),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _in_both_orders(sql: str) -> tuple[tuple[str, ...], ...]:
    return ((sql,), (sql + " SETTINGS optimize_aggregation_in_order = 1",))


def _window_funnel(conditions: Sequence[str], chosen: str, more: str) -> str:
    return (
        f"SELECT user, windowFunnel({WINDOW_MS})(ts, {', '.join(conditions)}) AS level{more} "
        f"FROM {{events}} WHERE {chosen} GROUP BY user"
    )


def _duck_levels(conditions: Sequence[str], asked: str, more: str) -> str:
    """From each first step the earliest next one, and so on: an ASOF join a step. A user's level is
    that of the best start. (A window function a step gives the same in twice the time and more.)
    """
    column = ", city" if more else ""
    found = [f"SELECT user, ts{column} FROM {{events}} WHERE {c} AND {asked}" for c in conditions]
    joined = f"SELECT user, ts AS t1{column} FROM ({found[0]})"
    for k in range(2, len(conditions) + 1):
        kept = ", ".join(f"a.t{j}" for j in range(1, k)) + (", a.city" if more else "")
        joined = (
            f"SELECT a.user, {kept}, b.ts AS t{k} FROM ({joined}) a ASOF LEFT JOIN "
            f"({found[k - 1]}) b ON a.user = b.user AND a.t{k - 1} <= b.ts"
        )
    reached = "".join(
        f" + coalesce(t{k} - t1 <= {WINDOW_MS}, false)::INTEGER"
        for k in range(2, len(conditions) + 1)
    )
    return f"SELECT user, max(1{reached}) AS level{more} FROM ({joined}) GROUP BY user"


def _polars_levels(shape: Shape, steps: Sequence[Any]) -> Any:
    """Frame of user, level and the columns that the steps carry.

    Time and user stand in one key, so that one running maximum serves all users: a start of an
    earlier user has other high bits and fails the window.
    """
    import polars as pl

    rows = pl.concat(
        [s.with_columns(pl.lit(k, pl.Int8).alias("step")) for k, s in enumerate(steps, 1)]
    )
    time = pl.col("ts") - shape.asked_ms
    rows = rows.with_columns((pl.col("user").cast(pl.Int64) * _USER + time).alias("key")).sort(
        "key", "step"
    )
    never = pl.lit(-(1 << 62), pl.Int64)
    rows = rows.with_columns(
        pl.when(pl.col("step") == 1).then(pl.col("key")).otherwise(never).cum_max().alias("l1")
    )
    for k in range(2, len(steps) + 1):
        before = pl.col(f"l{k - 1}")
        reached = (pl.col("step") == k) & (pl.col("key") - before <= WINDOW_MS)
        rows = rows.with_columns(
            pl.when(reached).then(before).otherwise(never).cum_max().alias(f"l{k}")
        )
    # ``L[k]`` is this user's own where it is not less than the user's first instant.
    level = pl.sum_horizontal(
        pl.col(f"l{k}") >= pl.col("user").cast(pl.Int64) * _USER for k in range(1, len(steps) + 1)
    )
    return rows.with_columns(level.alias("level"))


def _polars_plain(shape: Shape, steps: Sequence[str], frames: Frames) -> list[Rows]:
    import polars as pl

    found = [frames.asked(frames.events(s), shape).select("user", "ts") for s in steps]
    levels = _polars_levels(shape, found).group_by("user").agg(pl.col("level").max())
    return [frames.rows(levels.group_by("level").agg(pl.len()))]


def _polars_filtered(shape: Shape, steps: Sequence[str], frames: Frames) -> list[Rows]:
    import polars as pl

    filters = (
        pl.col("channel").is_in(["app", "mini"]),
        pl.col("amount") >= 100,
        pl.col("duration_ms") < 5000,
    )
    found = [
        frames.asked(frames.events(s), shape).filter(f).select("user", "ts", "city")
        for s, f in zip(steps, filters, strict=True)
    ]
    levels = (
        _polars_levels(shape, found)
        .group_by("user")
        .agg(pl.col("level").max(), pl.col("city").first())
    )
    counts = [(pl.col("level") >= k).sum().alias(f"n{k}") for k in (1, 2, 3)]
    grouped = levels.filter(pl.col("level") > 0).group_by("city").agg(counts)
    named = grouped.with_columns(pl.col("city").cast(pl.String))
    return [frames.rows(named.sort("n1", "city", descending=[True, False]).head(GROUPS))]
