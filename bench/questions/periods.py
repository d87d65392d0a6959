"""Users by what they were active in: lifecycle and stickiness by day, and layers of RFM.

A peer keeps the days of each user as the bits of one number: day d of the asked range is bit d + 2,
the day before it bit 1, and bit 0 says that there was an earlier one.
"""

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
    within,
)
from bench.shape import DAY_MS, event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

EVENT = event_name(5)
STATES = ("new", "returning", "resurrected", "dormant")
LAYERS = (
    "general_win_back",
    "general_develop",
    "general_keep",
    "general_value",
    "important_win_back",
    "important_develop",
    "important_keep",
    "important_value",
)
"""Recency high is 1, frequency 2, monetary value 4."""


def lifecycle(shape: Shape) -> Question:
    """New, returning, resurrected and dormant users of one event by day."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {
            f"{r['state']} {day_number(shape, r['bucket'])}": int(r["users"]) for r in answers[0]
        }

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells = {f"{state} {d}": 0 for state in STATES for d in range(shape.asked_days)}
        for d, *users in answers[0]:
            cells |= {f"{s} {int(d)}": int(n) for s, n in zip(STATES, users, strict=True)}
        return cells

    return Question(
        name="lifecycle",
        title="lifecycle of one event's users by day",
        goal_ms=20.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "lifecycle", {"event": {"e": EVENT}}),),
        clickhouse=tuple((sql,) for sql in _clickhouse_states(shape)),
        duckdb=tuple((sql,) for sql in _duckdb_states(shape)),
        polars=(partial(_polars_states, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _states(bit: str) -> list[str]:
    """Conditions on the bits ``b`` of a user and the number ``d`` of a day."""
    now, was = bit.format("d + 2"), bit.format("d + 1")
    lower = "bitAnd(b, bitShiftLeft(toUInt64(1), d + 2) - 1)"
    known = f"{'b & ((1::BIGINT << (d + 2)) - 1)' if '::' in bit else lower} > 0"
    return [
        f"{now} AND NOT {known}",
        f"{now} AND {was}",
        f"{now} AND {known} AND NOT {was}",
        f"{was} AND NOT {now}",
    ]


def _clickhouse_states(shape: Shape) -> tuple[str, ...]:
    number = f"greatest(0, intDiv(ts - {shape.asked_ms - 2 * DAY_MS}, {DAY_MS}))"
    users = (
        f"SELECT user, groupBitOr(bitShiftLeft(toUInt64(1), {number})) AS b FROM {{events}} "
        f"WHERE event = '{EVENT}' GROUP BY user"
    )
    grouped = f"SELECT b, count() AS n FROM ({users}) GROUP BY b"
    sums = ", ".join(f"sumIf(n, {state})" for state in _states("bitTest(b, {})"))
    counts = ", ".join(f"countIf({state})" for state in _states("bitTest(b, {})"))
    days = f"ARRAY JOIN range({shape.asked_days}) AS d GROUP BY d"
    by_user = f"SELECT d, {counts} FROM ({users}) {days}"
    return (
        by_user,
        f"SELECT d, {sums} FROM ({grouped}) {days}",
        by_user + " SETTINGS optimize_aggregation_in_order = 1",
    )


def _duckdb_states(shape: Shape) -> tuple[str, ...]:
    number = f"greatest(0, (ts - {shape.asked_ms - 2 * DAY_MS}) // {DAY_MS})"
    users = (
        f"SELECT user, bit_or(1::BIGINT << {number}) AS b FROM {{events}} "
        f"WHERE event = '{EVENT}' GROUP BY user"
    )
    states = _states("((b >> ({})) & 1::BIGINT) = 1")
    days = f"range({shape.asked_days}) AS t(d) GROUP BY d"
    counts = ", ".join(f"count(*) FILTER ({state})" for state in states)
    sums = ", ".join(f"coalesce(sum(n) FILTER ({state}), 0)" for state in states)
    grouped = f"SELECT b, count(*) AS n FROM ({users}) GROUP BY b"
    return (
        f"SELECT d, {counts} FROM ({users}), {days}",
        f"SELECT d, {sums} FROM ({grouped}), {days}",
    )


def _polars_states(shape: Shape, frames: Frames) -> list[Rows]:
    """Distinct (user, day) in order, each beside the user's day before."""
    import polars as pl

    number = ((pl.col("ts") - shape.asked_ms) // DAY_MS).alias("d").cast(pl.Int16)
    pairs = frames.events(EVENT).select("user", number).unique().sort("user", "d")
    before, after = pl.col("d").shift(1).over("user"), pl.col("d").shift(-1).over("user")
    found = pairs.with_columns(before.alias("before"), after.alias("after")).collect().lazy()
    last = shape.asked_days
    mine = found.filter(pl.col("d") >= 0).group_by("d")
    gap = pl.col("d") - pl.col("before")
    own = mine.agg(
        pl.col("before").is_null().sum().alias("new"),
        (gap == 1).sum().alias("returning"),
        (gap > 1).sum().alias("resurrected"),
    )
    gone = found.filter((pl.col("after") - pl.col("d") != 1).fill_null(value=True))
    gone = gone.with_columns(pl.col("d") + 1).filter(pl.col("d").is_between(0, last - 1))
    left = {row[0]: row[1] for row in frames.rows(gone.group_by("d").len())}
    active = {row[0]: row[1:] for row in frames.rows(own)}
    return [[[d, *active.get(d, (0, 0, 0)), left.get(d, 0)] for d in range(last)]]


def stickiness(shape: Shape) -> Question:
    """Users of any event by number of active days."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {f"days {r['periods']}": int(r["users"]) for r in answers[0]}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells = {f"days {n}": 0 for n in range(1, shape.asked_days + 1)}
        return cells | {f"days {int(n)}": int(users) for n, users in answers[0]}

    def counted(days: str) -> str:
        inner = f"SELECT user, {days} AS n FROM {{events}} WHERE {within(shape)} GROUP BY user"
        return f"SELECT n, count(*) FROM ({inner}) GROUP BY n"

    bits = f"bitCount(groupBitOr(bitShiftLeft(toUInt64(1), {day(shape)})))"
    distinct = (
        f"SELECT DISTINCT user, {duck_day(shape)} AS day FROM {{events}} WHERE {within(shape)}"
    )
    return Question(
        name="stickiness",
        title="users of any event by number of active days",
        goal_ms=20.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "stickiness", {"event": {"e": "*"}}),),
        clickhouse=(
            (counted(bits),),
            (counted(f"uniqExact({day(shape)})"),),
            (counted(bits) + " SETTINGS optimize_aggregation_in_order = 1",),
        ),
        duckdb=(
            (counted(f"bit_count(bit_or(1::BIGINT << {duck_day(shape)}))"),),
            (
                f"SELECT n, count(*) FROM (SELECT user, count(*) AS n FROM ({distinct}) "
                "GROUP BY user) GROUP BY n",
            ),
        ),
        polars=(partial(_polars_days, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _polars_days(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    days = shape.asked_days
    key = pl.col("user").cast(pl.UInt64) * days + pl.col("day").cast(pl.UInt64)
    keys = frames.days(frames.all(), shape).select(key.alias("key")).unique().collect()
    users = keys.lazy().group_by((pl.col("key") // days).alias("user")).agg(pl.len().alias("n"))
    return [frames.rows(users.group_by("n").agg(pl.len()))]


def rfm(shape: Shape) -> Question:
    """Users of one event in eight layers by the medians."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {r["layer"]: int(r["users"]) for r in answers[0]}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        found = dict.fromkeys(LAYERS, 0)
        return found | {LAYERS[int(layer)]: int(users) for layer, users in answers[0]}

    def layered(number: str, low: str) -> str:
        users = (
            f"SELECT user, {shape.asked_days - 1} - max({number}) AS r, count(*) AS f, "
            f"sum(amount) AS m FROM {{events}} "
            f"WHERE event = '{EVENT}' AND {within(shape)} GROUP BY user"
        )
        edges = f"SELECT {low.format('-r')} AS er, {low.format('f')} AS ef, {low.format('m')} AS em"
        return (
            f"WITH u AS {'MATERIALIZED ' if 'disc' in low else ''}({users}), "
            f"e AS ({edges} FROM u) SELECT CASE WHEN -r > er THEN 1 ELSE 0 END + "
            f"CASE WHEN f > ef THEN 2 ELSE 0 END + CASE WHEN m > em THEN 4 ELSE 0 END AS layer, "
            f"count(*) FROM u, e GROUP BY layer"
        )

    clickhouse = layered(day(shape), "quantileExactLow(0.5)({})")
    once = (  # users are grouped once and held as an array
        "SELECT (x.1 > er) + 2 * (x.2 > ef) + 4 * (x.3 > em) AS layer, count() FROM (SELECT "
        "groupArray((r, f, m)) AS people, quantileExactLow(0.5)(r) AS er, "
        "quantileExactLow(0.5)(f) AS ef, quantileExactLow(0.5)(m) AS em FROM (SELECT user, "
        f"max({day(shape)}) AS r, count() AS f, sum(amount) AS m FROM {{events}} "
        f"WHERE event = '{EVENT}' AND {within(shape)} GROUP BY user)) "
        "ARRAY JOIN people AS x GROUP BY layer"
    )
    return Question(
        name="rfm",
        title="RFM layers of one event's users by the medians",
        goal_ms=None,
        goal_ratio=10.0,
        queries=(envelope(shape, "rfm", {"event": {"e": EVENT}, "monetary": "event.amount"}),),
        clickhouse=(
            (clickhouse,),
            (once,),
            (once + " SETTINGS optimize_aggregation_in_order = 1",),
        ),
        duckdb=((layered(duck_day(shape), "quantile_disc({}, 0.5)"),),),
        polars=(partial(_polars_layers, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
        # Peers add up amounts in another order: users at the median may part.
        tolerance=2,
    )


def _polars_layers(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    users = (
        frames.days(frames.events(EVENT), shape)
        .group_by("user")
        .agg(
            pl.col("day").max().alias("r"),
            pl.len().cast(pl.Int64).alias("f"),
            pl.col("amount").sum().alias("m"),
        )
        .collect()
    )
    at = (len(users) + 1) // 2 - 1
    high = [pl.col(c) > users[c].sort()[at] for c in "rfm"]
    layer = sum((h.cast(pl.Int64) * 2**k for k, h in enumerate(high)), pl.lit(0))
    return [frames.rows(users.lazy().group_by(layer.alias("layer")).agg(pl.len()))]
