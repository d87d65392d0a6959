"""Trends: daily count and users of one event; daily counts of twenty events with a formula."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import (
    Cells,
    Question,
    Rows,
    day,
    day_number,
    duck_day,
    envelope,
    listed,
    within,
)
from bench.shape import event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

TREND_EVENT = event_name(5)
TWENTY = tuple(event_name(k) for k in range(3, 23))
# A quotient is compared in millionths.
SCALE = 1e6


def trend(shape: Shape) -> Question:
    """Daily count and exact users of one event."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {
            f"{r['series']} {day_number(shape, r['bucket'])}": int(r["value"]) for r in answers[0]
        }

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells: Cells = {}
        for number, count, users in answers[0]:
            cells[f"count {int(number)}"] = int(count)
            cells[f"users {int(number)}"] = int(users)
        return cells

    series = [{"e": TREND_EVENT, "measure": m, "as": m} for m in ("count", "users")]
    where = f"WHERE event = '{TREND_EVENT}' AND {within(shape)} GROUP BY day ORDER BY day"

    def sql(number: str, users: str) -> str:
        return f"SELECT {number} AS day, count(*), {users} FROM {{events}} {where}"

    return Question(
        name="trend",
        title="daily count + exact users of one event (5 %)",
        goal_ms=10.0,
        goal_ratio=20.0,
        queries=(envelope(shape, "event", {"series": series}),),
        # A bitmap is exact too, and user numbers are dense: often faster than a hash set.
        clickhouse=(
            (sql(day(shape), "uniqExact(user)"),),
            (sql(day(shape), "groupBitmap(user)"),),
        ),
        duckdb=(
            (sql(duck_day(shape), "count(DISTINCT user)"),),
            (
                f"SELECT day, sum(n)::BIGINT, count(*) FROM (SELECT {duck_day(shape)} AS day, "
                f"user, count(*) AS n FROM {{events}} WHERE event = '{TREND_EVENT}' "
                f"AND {within(shape)} GROUP BY day, user) GROUP BY day ORDER BY day",
            ),
        ),
        polars=(partial(_trend, shape), partial(_trend_twice, shape)),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _trend(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    rows = frames.days(frames.events(TREND_EVENT), shape)
    return [frames.rows(rows.group_by("day").agg(pl.len().alias("n"), pl.col("user").n_unique()))]


def _trend_twice(shape: Shape, frames: Frames) -> list[Rows]:
    """By day and user first: fewer values to make distinct."""
    import polars as pl

    rows = frames.days(frames.events(TREND_EVENT), shape)
    pairs = rows.group_by("day", "user").agg(pl.len().alias("n"))
    return [frames.rows(pairs.group_by("day").agg(pl.col("n").sum(), pl.len().alias("users")))]


def twenty(shape: Shape) -> Question:
    """Daily counts of twenty events and one formula over two of them."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        cells: Cells = {}
        for r in answers[0]:
            value = r["value"] or 0
            scaled = round(value * SCALE) if r["series"] == "share" else int(value)
            cells[f"{r['series']} {day_number(shape, r['bucket'])}"] = scaled
        return cells

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells: Cells = {}
        for number, *counts, share in answers[0]:
            for name, count in zip(TWENTY, counts, strict=True):
                cells[f"{name} {int(number)}"] = int(count)
            cells[f"share {int(number)}"] = round(float(share) * SCALE)
        return cells

    series = [{"e": name, "measure": "count", "as": name} for name in TWENTY]
    formula = [{"expr": "A/B*100", "as": "share"}]
    chosen = f"WHERE event IN ({listed(TWENTY)}) AND {within(shape)}"
    one, other = TWENTY[0], TWENTY[1]

    def pivoted(number: str, inner: str, total: str) -> str:
        sums = ", ".join(total.format(name=name) for name in TWENTY)
        quotient = f"{total.format(name=one)} / {total.format(name=other)} * 100"
        return f"SELECT {number} AS day, {sums}, {quotient} FROM {inner} GROUP BY day ORDER BY day"

    def twice(number: str, total: str) -> str:
        inner = (
            f"(SELECT {number} AS d, event, count(*) AS n FROM {{events}} {chosen} "
            "GROUP BY d, event)"
        )
        return pivoted("d", inner, total)

    return Question(
        name="trend_20",
        title="daily counts of 20 events (43 %) with a formula",
        goal_ms=None,
        goal_ratio=5.0,
        queries=(envelope(shape, "event", {"series": series, "formula": formula}),),
        clickhouse=(
            (pivoted(day(shape), f"{{events}} {chosen}", "countIf(event = '{name}')"),),
            (twice(day(shape), "sumIf(n, event = '{name}')"),),
        ),
        duckdb=(
            (
                pivoted(
                    duck_day(shape), f"{{events}} {chosen}", "count(*) FILTER (event = '{name}')"
                ),
            ),
            (twice(duck_day(shape), "(sum(n) FILTER (event = '{name}'))::BIGINT"),),
        ),
        polars=(partial(_twenty, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _twenty(shape: Shape, frames: Frames) -> list[Rows]:
    """A count a day for each event's slice, joined by day."""
    import polars as pl

    counted = [
        frames.days(frames.events(name), shape).group_by("day").agg(pl.len().alias(name))
        for name in TWENTY
    ]
    wide = pl.DataFrame({"day": range(shape.asked_days)}).cast(pl.Int64)
    for table in pl.collect_all(counted):
        wide = wide.join(table, on="day", how="left")
    wide = wide.fill_null(0).with_columns(
        (pl.col(TWENTY[0]) / pl.col(TWENTY[1]) * 100).alias("share")
    )
    return [[list(row) for row in wide.rows()]]
