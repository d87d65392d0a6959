"""Lifetime value: 30 daily cohorts by the first event, payments less refunds on each later day."""

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

START = event_name(4)
PAID = event_name(5)
REFUND = event_name(8)
PERIODS = 30


def cohorts(shape: Shape) -> Question:
    """Size of each cohort; value in cents and payers of each of its days."""
    days = shape.asked_days

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        cells: Cells = {}
        for r in answers[0]:
            start, k = day_number(shape, r["cohort"]), int(r["period"])
            cells[f"size {start}"] = int(r["size"])
            if r["complete"] and start + k < days:
                cells[f"cell value {start} {k}"] = round(100 * r["value"])
                cells[f"cell payers {start} {k}"] = int(r["payers"])
        return cells

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells: Cells = {}
        for start, k, number, payers in answers[0]:
            if int(k) < 0:
                cells[f"size {start}"] = int(payers)
            else:
                cells[f"cell value {start} {k}"] = round(100 * float(number))
                cells[f"cell payers {start} {k}"] = int(payers)
        return cells

    body = {
        "start": {"e": START},
        "values": [
            {"e": PAID, "p": "event.amount"},
            {"e": REFUND, "p": "event.amount", "sign": -1},
        ],
        "periods": PERIODS,
    }
    return Question(
        name="ltv",
        title="lifetime value of 30 daily cohorts, payments less refunds",
        goal_ms=100.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "ltv", body),),
        clickhouse=((_joined(shape, day(shape), "uniqExactIf(user, v > 0)"),), (_arrays(shape),)),
        duckdb=(
            (_joined(shape, duck_day(shape), "count(DISTINCT user) FILTER (v > 0)"),),
            (_daily(shape),),
        ),
        polars=(partial(_polars, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _chosen(shape: Shape, *events: str) -> str:
    return f"{{events}} WHERE event IN ({listed(events)}) AND {within(shape)}"


def _signed() -> str:
    return f"CASE WHEN event = '{PAID}' THEN amount ELSE -amount END"


def _joined(shape: Shape, number: str, payers: str) -> str:
    """Each user's first day, joined with the rows of value. Period -1 carries the size."""
    first = f"SELECT user, min({number}) AS a FROM {_chosen(shape, START)} GROUP BY user"
    values = f"SELECT user, {number} AS d, {_signed()} AS v FROM {_chosen(shape, PAID, REFUND)}"
    return (
        f"WITH f AS ({first}) SELECT a, d - a AS k, sum(v), {payers} FROM ({values}) AS r "
        f"JOIN f USING (user) WHERE d >= a GROUP BY a, k UNION ALL "
        f"SELECT a, -1, 0.0, count(*) FROM f GROUP BY a"
    )


def _daily(shape: Shape) -> str:
    """The same, values of a user and day added up first, so that nobody counts twice."""
    number = duck_day(shape)
    first = f"SELECT user, min({number}) AS a FROM {_chosen(shape, START)} GROUP BY user"
    values = (
        f"SELECT user, {number} AS d, sum({_signed()}) AS v, "
        f"max(CASE WHEN {_signed()} > 0 THEN 1 ELSE 0 END) AS paid "
        f"FROM {_chosen(shape, PAID, REFUND)} GROUP BY ALL"
    )
    return (
        f"WITH f AS MATERIALIZED ({first}) SELECT a, d - a AS k, sum(v), sum(paid) "
        f"FROM ({values}) AS r JOIN f USING (user) WHERE d >= a GROUP BY a, k UNION ALL "
        f"SELECT a, -1, 0.0, count(*) FROM f GROUP BY a"
    )


def _arrays(shape: Shape) -> str:
    """One pass: first day and values by day of each user, then a row a user and day."""
    number = day(shape)
    users = (
        f"SELECT minIf({number}, event = '{START}') AS a, countIf(event = '{START}') AS n, "
        f"sumMapIf([{number}], [{_signed()}], event <> '{START}') AS m, "
        f"groupUniqArrayIf({number}, event = '{PAID}' AND amount > 0 OR event = '{REFUND}' "
        f"AND amount < 0) AS p FROM {_chosen(shape, START, PAID, REFUND)} "
        f"GROUP BY user HAVING n > 0"
    )
    return (
        f"SELECT a, d - a AS k, sum(v), countIf(has(p, d)) FROM "
        f"(SELECT a, p, d, v FROM ({users}) ARRAY JOIN m.1 AS d, m.2 AS v) WHERE d >= a "
        f"GROUP BY a, k UNION ALL SELECT a, -1, 0.0, count() FROM ({users}) GROUP BY a"
    )


def _polars(shape: Shape, frames: Frames) -> list[Rows]:
    """First days joined with the values of each user and day."""
    import polars as pl

    day_of = pl.col("day").cast(pl.Int16)
    starts = frames.days(frames.events(START), shape).group_by("user").agg(day_of.min().alias("a"))
    signed = [
        frames.days(frames.events(name), shape).select("user", day_of, pl.col("amount") * sign)
        for name, sign in ((PAID, 1.0), (REFUND, -1.0))
    ]
    daily = (
        pl.concat(signed)
        .group_by("user", "day")
        .agg(pl.col("amount").sum(), (pl.col("amount") > 0).any().alias("paid"))
    )
    cells = (
        daily.join(starts, on="user")
        .filter(pl.col("day") >= pl.col("a"))
        .group_by("a", (pl.col("day") - pl.col("a")).alias("k"))
        .agg(pl.col("amount").sum(), pl.col("paid").sum())
    )
    sizes = starts.group_by("a").agg(pl.len())
    return [
        frames.rows(cells) + [[a, -1, 0.0, size] for a, size in frames.rows(sizes)],
    ]
