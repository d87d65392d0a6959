"""Users: active ones by day and by month, and the size of a behavioural cohort."""

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
from bench.shape import DAY_MS, city_name, event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

DID = event_name(5)
NEVER = event_name(8)
TIMES = 3
PAID = event_name(6)
CAME = event_name(2)
ENOUGH = 100
RICH = ("silver", "gold")
CITY = city_name(0)


def actives(shape: Shape) -> Question:
    """Users of any event by day, and of the whole range."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        days, months = answers
        cells = {f"day {day_number(shape, r['bucket'])}": int(r["value"]) for r in days}
        return cells | {"month": sum(int(r["value"]) for r in months)}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        days, months = answers
        cells = {f"day {int(number)}": int(users) for number, users in days}
        return cells | {"month": int(months[0][0])}

    def query(grain: str) -> dict[str, Any]:
        return envelope(shape, "event", {"series": [{"e": "*", "measure": "users"}]}, grain)

    def two(number: str, users: str) -> tuple[str, str]:
        where = f"FROM {{events}} WHERE {within(shape)}"
        return f"SELECT {number} AS day, {users} {where} GROUP BY day", f"SELECT {users} {where}"

    return Question(
        name="dau_mau",
        title="active users of every day and of the month (any event)",
        goal_ms=2.0,
        goal_ratio=10.0,
        queries=(query("day"), query("month")),
        clickhouse=(
            two(day(shape), "uniqExact(user)"),
            two(day(shape), "groupBitmap(user)"),
        ),
        duckdb=(
            two(duck_day(shape), "count(DISTINCT user)"),
            (
                f"SELECT day, count(*) FROM (SELECT DISTINCT {duck_day(shape)} AS day, user "
                f"FROM {{events}} WHERE {within(shape)}) GROUP BY day",
                f"SELECT count(DISTINCT user) FROM {{events}} WHERE {within(shape)}",
            ),
        ),
        polars=(partial(_actives, shape), partial(_actives_by_key, shape)),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _actives(shape: Shape, frames: Frames) -> list[Rows]:
    """Distinct (user, day) once; both answers come from it."""
    import polars as pl

    pairs = frames.days(frames.all(), shape).select("user", pl.col("day").cast(pl.Int16)).unique()
    found = pairs.collect()
    days = found.lazy().group_by("day").agg(pl.len())
    return [frames.rows(days), [[found["user"].n_unique()]]]


def _actives_by_key(shape: Shape, frames: Frames) -> list[Rows]:
    """The same with user and day in one number: one column to make distinct, not two."""
    import polars as pl

    days = shape.asked_days
    key = pl.col("user").cast(pl.UInt64) * days + pl.col("day").cast(pl.UInt64)
    keys = frames.days(frames.all(), shape).select(key.alias("key")).unique().collect()
    by_day = keys.lazy().group_by((pl.col("key") % days).alias("day")).agg(pl.len())
    users = keys.select((pl.col("key") // days).n_unique())
    return [frames.rows(by_day), [[users.item()]]]


def cohort(shape: Shape) -> Question:
    """Users of one city who did one event three times or more and another never."""
    series = [{"e": DID, "measure": "users"}]
    audience = {
        "all": [
            {"did": {"e": DID, "count": {"op": "gte", "v": TIMES}}},
            {"did_not": {"e": NEVER}},
            {"user": {"p": "user.city", "op": "eq", "v": CITY}},
        ]
    }
    citizens = f"SELECT user FROM {{users}} WHERE city = '{CITY}'"
    chosen = f"event IN ('{DID}', '{NEVER}') AND {within(shape)}"

    def sql(count_if: str) -> tuple[str, ...]:
        having = f"{count_if.format(DID)} >= {TIMES} AND {count_if.format(NEVER)} = 0"
        grouped = f"SELECT user FROM {{events}} WHERE {chosen}"
        return (
            f"SELECT count(*) FROM ({grouped} AND user IN ({citizens}) "
            f"GROUP BY user HAVING {having})",
            f"SELECT count(*) FROM ({grouped} GROUP BY user HAVING {having}) "
            f"WHERE user IN ({citizens})",
        )

    return Question(
        name="cohort",
        title="users of one city who did A ≥ 3 times and never B",
        goal_ms=20.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "event", {"series": series}, "all", audience=audience),),
        clickhouse=tuple((form,) for form in sql("countIf(event = '{0}')")),
        duckdb=tuple((form,) for form in sql("count(*) FILTER (event = '{0}')")),
        polars=(partial(_cohort, shape),),
        zuji_cells=lambda answers: {"users": int(answers[0][0]["value"])},
        peer_cells=lambda answers: {"users": int(answers[0][0][0])},
    )


def five_rules(shape: Shape) -> Question:
    """Users of two levels who did one event often, paid enough, came lately, never did another."""
    audience = {
        "all": [
            {"user": {"p": "user.level", "op": "in", "v": list(RICH)}},
            {"did": {"e": DID, "count": {"op": "gte", "v": TIMES}}},
            {
                "did": {
                    "e": PAID,
                    "measure": {"sum": "event.amount"},
                    "value": {"op": "gte", "v": ENOUGH},
                }
            },
            {"did": {"e": CAME, "within": {"n": 7, "unit": "day"}}},
            {"did_not": {"e": NEVER}},
        ]
    }
    series = [{"e": DID, "measure": "users"}]
    lately = shape.end_ms - 7 * DAY_MS
    rich = f"SELECT user FROM {{users}} WHERE level IN ({listed(RICH)})"
    chosen = f"event IN ({listed((DID, PAID, CAME, NEVER))}) AND {within(shape)}"

    def sql(count_if: str, sum_if: str) -> tuple[str, ...]:
        did, paid, never = (f"event = '{name}'" for name in (DID, PAID, NEVER))
        came = f"event = '{CAME}' AND ts >= {lately}"
        having = (
            f"{count_if.format(did)} >= {TIMES} AND {sum_if.format(paid)} >= {ENOUGH} "
            f"AND {count_if.format(came)} > 0 AND {count_if.format(never)} = 0"
        )
        grouped = f"SELECT user FROM {{events}} WHERE {chosen}"
        return (
            f"SELECT count(*) FROM ({grouped} AND user IN ({rich}) GROUP BY user HAVING {having})",
            f"SELECT count(*) FROM ({grouped} GROUP BY user HAVING {having}) "
            f"WHERE user IN ({rich})",
        )

    clickhouse = sql("countIf({0})", "sumIf(amount, {0})")
    duckdb = sql("count(*) FILTER ({0})", "sum(amount) FILTER ({0})")
    return Question(
        name="cohort_five",
        title="cohort of five rules: level, A ≥ 3 times, Σ amount of B, C in 7 days, never D",
        goal_ms=300.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "event", {"series": series}, "all", audience=audience),),
        clickhouse=tuple((form,) for form in clickhouse),
        duckdb=tuple((form,) for form in duckdb),
        polars=(partial(_five_rules, shape),),
        zuji_cells=lambda answers: {"users": int(answers[0][0]["value"])},
        peer_cells=lambda answers: {"users": int(answers[0][0][0])},
    )


def _five_rules(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    rich = frames.users.lazy().filter(pl.col("level").is_in(RICH)).select("user")
    asked = {name: frames.asked(frames.events(name), shape) for name in (DID, PAID, CAME, NEVER)}
    did = asked[DID].join(rich, on="user", how="semi").group_by("user").agg(pl.len().alias("n"))
    often = did.filter(pl.col("n") >= TIMES).select("user")
    sums = asked[PAID].group_by("user").agg(pl.col("amount").sum())
    paid = sums.filter(pl.col("amount") >= ENOUGH).select("user")
    came = asked[CAME].filter(pl.col("ts") >= shape.end_ms - 7 * DAY_MS).select("user")
    found = often.join(paid, on="user", how="semi").join(came, on="user", how="semi")
    found = found.join(asked[NEVER].select("user"), on="user", how="anti")
    return [frames.rows(found.select(pl.len()))]


def _cohort(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    citizens = frames.users.lazy().filter(pl.col("city") == CITY).select("user")
    did = frames.asked(frames.events(DID), shape).join(citizens, on="user", how="semi")
    often = did.group_by("user").agg(pl.len().alias("n")).filter(pl.col("n") >= TIMES)
    never = frames.asked(frames.events(NEVER), shape).select("user")
    return [frames.rows(often.join(never, on="user", how="anti").select(pl.len()))]
