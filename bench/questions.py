"""The timed questions: one Zuji query and the ClickHouse forms of it, with one common shape of
answer.

An answer is a dict of named integer cells, so two engines agree when their dicts are equal. Events
are chosen by their share: the trend asks for the ≈ 5 % event, funnels walk events of 3–8 %, none of
them overlaps. ClickHouse gets several forms of a question; the fastest form on the faster of two
ORDER BYs is what is timed against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.shape import DAY_MS, event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.shape import Shape

Cells = dict[str, int]
TREND_EVENT = event_name(5)
FUNNEL_STEPS = (event_name(3), event_name(4), event_name(5), event_name(6), event_name(7))
RETENTION_START = event_name(4)
RETENTION_RETURN = event_name(5)
WINDOW_MS = 7 * DAY_MS
PERIODS = 30


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the report."""

    name: str
    title: str
    goal: float
    """How many times faster than ClickHouse the issue asks for."""
    query: dict[str, Any]
    forms: tuple[str, ...]
    """ClickHouse SQL with ``{table}``; all forms give the same rows."""
    zuji_cells: Callable[[Sequence[dict[str, Any]]], Cells] = field(repr=False)
    sql_cells: Callable[[Sequence[Sequence[Any]]], Cells] = field(repr=False)


def questions(shape: Shape) -> list[Question]:
    """The questions for one data set."""
    short, long = FUNNEL_STEPS[0::2], FUNNEL_STEPS
    return [
        _trend(shape),
        _funnel(shape, "funnel_3", "3-step funnel, 7 days", short),
        _funnel(shape, "funnel_5", "5-step funnel, 7 days", long),
        _retention(shape),
    ]


def _envelope(shape: Shape, model: str, body: dict[str, Any], grain: str = "day") -> dict[str, Any]:
    time = {"from": shape.first_day, "to": shape.last_day, "tz": shape.tz, "grain": grain}
    return {"v": 1, "model": model, "time": time, "body": body}


def _trend(shape: Shape) -> Question:
    def zuji_cells(rows: Sequence[dict[str, Any]]) -> Cells:
        return {f"{r['series']} {r['bucket'][:10]}": int(r["value"]) for r in rows}

    def sql_cells(rows: Sequence[Sequence[Any]]) -> Cells:
        cells: Cells = {}
        prefix = shape.first_day[:8]
        for day, count, users in rows:
            cells[f"count {prefix}{int(day) + 1:02d}"] = int(count)
            cells[f"users {prefix}{int(day) + 1:02d}"] = int(users)
        return cells

    series = [{"e": TREND_EVENT, "measure": m, "as": m} for m in ("count", "users")]
    day = f"intDiv(ts - {shape.start_ms}, {DAY_MS}) AS day"
    return Question(
        name="trend",
        title="daily count + exact users of one event (5 %)",
        goal=5.0,
        query=_envelope(shape, "event", {"series": series}),
        forms=(
            f"SELECT {day}, count(), uniqExact(user) FROM {{table}} "
            f"WHERE event = '{TREND_EVENT}' GROUP BY day ORDER BY day",
            # A bitmap is exact too, and user numbers are dense: often faster than a hash set.
            f"SELECT {day}, count(), groupBitmap(user) FROM {{table}} "
            f"WHERE event = '{TREND_EVENT}' GROUP BY day ORDER BY day",
        ),
        zuji_cells=zuji_cells,
        sql_cells=sql_cells,
    )


def _funnel(shape: Shape, name: str, title: str, steps: Sequence[str]) -> Question:
    def zuji_cells(rows: Sequence[dict[str, Any]]) -> Cells:
        return {f"step {r['step']}": int(r["count"]) for r in rows}

    def sql_cells(rows: Sequence[Sequence[Any]]) -> Cells:
        at = {int(level): int(users) for level, users in rows}
        return {
            f"step {k}": sum(users for level, users in at.items() if level >= k)
            for k in range(1, len(steps) + 1)
        }

    conditions = ", ".join(f"event = '{s}'" for s in steps)
    wanted = ", ".join(f"'{s}'" for s in steps)
    sql = (
        f"SELECT level, count() FROM "
        f"(SELECT user, windowFunnel({WINDOW_MS})(ts, {conditions}) AS level "
        f"FROM {{table}} WHERE event IN ({wanted}) GROUP BY user) GROUP BY level ORDER BY level"
    )
    return Question(
        name=name,
        title=title,
        goal=10.0,
        query=_envelope(
            shape,
            "funnel",
            {"steps": [{"e": s} for s in steps], "window": {"n": 7, "unit": "day"}},
        ),
        forms=(sql, sql + " SETTINGS optimize_aggregation_in_order = 1"),
        zuji_cells=zuji_cells,
        sql_cells=sql_cells,
    )


def _retention(shape: Shape) -> Question:
    def zuji_cells(rows: Sequence[dict[str, Any]]) -> Cells:
        cells: Cells = {}
        for r in rows:
            day = int(str(r["cohort"])[8:10]) - 1
            cells[f"size {day}"] = int(r["size"])
            if r["returned"] is not None and day + int(r["period"]) < shape.days:
                cells[f"cell {day} {r['period']}"] = int(r["returned"])
        return cells

    def sql_cells(rows: Sequence[Sequence[Any]]) -> Cells:
        cells = {
            f"cell {s} {k}": 0
            for s in range(shape.days)
            for k in range(PERIODS + 1)
            if s + k < shape.days
        }
        for start, period, users in rows:
            name = f"size {start}" if int(period) < 0 else f"cell {start} {period}"
            cells[name] = int(users)
        return cells

    day = f"intDiv(ts - {shape.start_ms}, {DAY_MS})"
    where = f"event IN ('{RETENTION_START}', '{RETENTION_RETURN}')"
    start, back = f"event = '{RETENTION_START}'", f"event = '{RETENTION_RETURN}'"
    # Period -1 carries the size of the cohort. 30 days fit one 64-bit mask a user.
    masks = (
        f"SELECT user, groupBitOr(if({start}, bitShiftLeft(toUInt64(1), {day}), 0)) AS s, "
        f"groupBitOr(if({back}, bitShiftLeft(toUInt64(1), {day}), 0)) AS r "
        f"FROM {{table}} WHERE {where} GROUP BY user"
    )
    arrays = (
        f"SELECT user, groupUniqArrayIf(toInt32({day}), {start}) AS s, "
        f"arrayPushBack(groupUniqArrayIf(toInt32({day}), {back}), -1) AS r "
        f"FROM {{table}} WHERE {where} GROUP BY user"
    )
    by_mask = (
        f"SELECT a, p - 2 AS k, c FROM (SELECT a, sumForEach(hits) AS cells FROM (SELECT a, "
        f"arrayConcat([toUInt32(1)], arrayMap(k -> toUInt32(bitTest(bitShiftRight(r, a), k)), "
        f"range({PERIODS + 1}))) AS hits FROM (SELECT r, arrayJoin(bitPositionsToArray(s)) AS a "
        f"FROM ({masks}))) GROUP BY a) ARRAY JOIN cells AS c, arrayEnumerate(cells) AS p "
        f"WHERE k < 0 OR a + k < {shape.days}"
    )
    by_array = (
        f"SELECT a, if(b < 0, -1, b - a) AS k, count() FROM "
        f"(SELECT arrayJoin(s) AS a, r FROM ({arrays})) "
        f"ARRAY JOIN r AS b WHERE b < 0 OR b >= a GROUP BY a, k"
    )
    return Question(
        name="retention",
        title="30×30 retention",
        goal=10.0,
        query=_envelope(
            shape,
            "retention",
            {
                "start": {"e": RETENTION_START},
                "return": {"e": RETENTION_RETURN},
                "periods": PERIODS,
                "cohort": "recurring",
                "mode": "calendar",
                "criterion": "on",
            },
        ),
        forms=(by_array, by_mask),
        zuji_cells=zuji_cells,
        sql_cells=sql_cells,
    )
