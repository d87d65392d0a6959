"""Retention: 30 × 30 calendar days, recurring cohorts; from stored bitmaps, and from rows with a
property filter.
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
from bench.shape import event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

START = event_name(4)
RETURN = event_name(5)
PERIODS = 30
CHANNEL = "app"


def plain(shape: Shape) -> Question:
    """Without a filter."""
    return _retention(shape, "retention", "30×30 retention", (10.0, 20.0), None)


def filtered(shape: Shape) -> Question:
    """Start and return in one channel."""
    return _retention(
        shape,
        "retention_filter",
        "30×30 retention with a property filter",
        (80.0, 5.0),
        CHANNEL,
    )


def _retention(
    shape: Shape,
    name: str,
    title: str,
    goals: tuple[float, float],
    channel: str | None,
) -> Question:
    days = shape.asked_days

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        cells: Cells = {}
        for r in answers[0]:
            start = day_number(shape, r["cohort"])
            cells[f"size {start}"] = int(r["size"])
            if r["returned"] is not None and start + int(r["period"]) < days:
                cells[f"cell {start} {r['period']}"] = int(r["returned"])
        return cells

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells = {
            f"cell {s} {k}": 0 for s in range(days) for k in range(PERIODS + 1) if s + k < days
        }
        for start, period, users in answers[0]:
            label = f"size {start}" if int(period) < 0 else f"cell {start} {period}"
            cells[label] = int(users)
        return cells

    where = {} if channel is None else {"where": {"p": "event.channel", "op": "eq", "v": channel}}
    body = {
        "start": {"e": START, **where},
        "return": {"e": RETURN, **where},
        "periods": PERIODS,
        "cohort": "recurring",
        "mode": "calendar",
        "criterion": "on",
    }
    return Question(
        name=name,
        title=title,
        goal_ms=goals[0],
        goal_ratio=goals[1],
        queries=(envelope(shape, "retention", body),),
        clickhouse=tuple((sql,) for sql in _clickhouse(shape, _chosen(shape, channel))),
        duckdb=tuple((sql,) for sql in _duckdb(shape, _chosen(shape, channel))),
        polars=(partial(_polars, shape, channel),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _chosen(shape: Shape, channel: str | None) -> str:
    more = "" if channel is None else f" AND channel = '{channel}'"
    return f"event IN ('{START}', '{RETURN}') AND {within(shape)}{more}"


def _clickhouse(shape: Shape, where: str) -> tuple[str, ...]:
    """Period -1 carries the size of the cohort. 30 days fit one 64-bit mask a user."""
    start, back = f"event = '{START}'", f"event = '{RETURN}'"
    number = day(shape)
    masks = (
        f"SELECT user, groupBitOr(if({start}, bitShiftLeft(toUInt64(1), {number}), 0)) AS s, "
        f"groupBitOr(if({back}, bitShiftLeft(toUInt64(1), {number}), 0)) AS r "
        f"FROM {{events}} WHERE {where} GROUP BY user"
    )
    arrays = (
        f"SELECT user, groupUniqArrayIf(toInt32({number}), {start}) AS s, "
        f"arrayPushBack(groupUniqArrayIf(toInt32({number}), {back}), -1) AS r "
        f"FROM {{events}} WHERE {where} GROUP BY user"
    )
    by_mask = (
        f"SELECT a, p - 2 AS k, c FROM (SELECT a, sumForEach(hits) AS cells FROM (SELECT a, "
        f"arrayConcat([toUInt32(1)], arrayMap(k -> toUInt32(bitTest(bitShiftRight(r, a), k)), "
        f"range({PERIODS + 1}))) AS hits FROM (SELECT r, arrayJoin(bitPositionsToArray(s)) AS a "
        f"FROM ({masks}))) GROUP BY a) ARRAY JOIN cells AS c, arrayEnumerate(cells) AS p "
        f"WHERE k < 0 OR a + k < {shape.asked_days}"
    )
    by_array = (
        f"SELECT a, if(b < 0, -1, b - a) AS k, count() FROM "
        f"(SELECT arrayJoin(s) AS a, r FROM ({arrays})) "
        f"ARRAY JOIN r AS b WHERE b < 0 OR b >= a GROUP BY a, k"
    )
    in_order = by_mask + " SETTINGS optimize_aggregation_in_order = 1"
    return by_array, by_mask, in_order


def _duckdb(shape: Shape, where: str) -> tuple[str, ...]:
    number = duck_day(shape)
    days = shape.asked_days
    masks = (
        f"SELECT user, coalesce(bit_or(1::BIGINT << {number}) FILTER (event = '{START}'), 0) AS s, "
        f"coalesce(bit_or(1::BIGINT << {number}) FILTER (event = '{RETURN}'), 0) AS r "
        f"FROM {{events}} WHERE {where} GROUP BY user"
    )
    by_mask = (
        f"WITH m AS MATERIALIZED ({masks}), d AS (SELECT range AS a FROM range({days})), "
        f"o AS (SELECT m.r, d.a FROM m, d WHERE (m.s >> d.a) & 1 = 1) "
        f"SELECT a, k.range - 1, CASE WHEN k.range = 0 THEN count(*) "
        f"ELSE count(*) FILTER ((r >> (a + k.range - 1)) & 1 = 1) END "
        f"FROM o, range({PERIODS + 2}) AS k WHERE a + k.range - 1 < {days} GROUP BY a, k.range"
    )
    pairs = (
        f"WITH p AS MATERIALIZED (SELECT DISTINCT event, user, {number} AS day FROM {{events}} "
        f"WHERE {where}) "
        f"SELECT s.day, r.day - s.day, count(*) FROM p s JOIN p r USING (user) "
        f"WHERE s.event = '{START}' AND r.event = '{RETURN}' AND r.day >= s.day "
        f"GROUP BY ALL UNION ALL "
        f"SELECT day, -1, count(*) FROM p WHERE event = '{START}' GROUP BY day"
    )
    return by_mask, pairs


def _polars(shape: Shape, channel: str | None, frames: Frames) -> list[Rows]:
    """Distinct (user, day) of each event, joined by user."""
    import polars as pl

    def pairs(event: str) -> Any:
        rows = frames.events(event)
        if channel is not None:
            rows = rows.filter(pl.col("channel") == channel)
        return frames.days(rows, shape).select("user", pl.col("day").cast(pl.Int8)).unique()

    starts, returns = pl.collect_all([pairs(START), pairs(RETURN)])
    sizes = starts.group_by("day").len().select("day", pl.lit(-1, pl.Int8), "len")
    joined = starts.lazy().join(returns.lazy(), on="user", suffix="_back")
    cells = (
        joined.filter(pl.col("day_back") >= pl.col("day"))
        .group_by("day", (pl.col("day_back") - pl.col("day")).alias("k"))
        .agg(pl.len())
    )
    return [frames.rows(cells) + [list(row) for row in sizes.rows()]]
