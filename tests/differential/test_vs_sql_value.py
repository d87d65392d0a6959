"""Attribution and lifetime value beside DuckDB and ClickHouse, on a hundred thousand seeded events.

The peers get the order sent, too, so that rows of one instant stand in one order in all three.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from bench.generate import blocks
from bench.shape import DAY_MS, Shape
from tests.differential.test_vs_sql import Trio

SHAPE = Shape(100_000, seed=11)
FIRST_DAY = (SHAPE.start_ms + 8 * 3_600_000) // DAY_MS
RANGE = {"from": "2026-10-05", "to": "2026-10-24", "tz": SHAPE.tz}
LOW, HIGH = SHAPE.start_ms + 4 * DAY_MS, SHAPE.start_ms + 24 * DAY_MS
TOUCHES = ("event_03", "event_04", "event_06")
TARGET, REFUND = "event_05", "event_08"


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    table = pa.Table.from_batches(list(blocks(SHAPE)))
    times = table["time"].cast(pa.int64())
    table = table.drop_columns(["time"]).rename_columns(
        ["user" if name == "user_id" else name for name in table.column_names if name != "time"]
    )
    # Two instants a minute: many events of one user at the same one.
    times = pa.array([t - t % 30_000 for t in times.to_pylist()], pa.int64())
    table = table.append_column("t", times)
    table = table.append_column("seq", pa.array(range(len(table)), pa.int64()))
    made = Trio(table, SHAPE.tz, tmp_path_factory.mktemp("value"))
    yield made
    made.close()


def attribution_sql(days: int) -> str:
    """Running counts at each conversion less those at a mark that stands a look-back before it."""
    code = " ".join(f"WHEN event = '{name}' THEN {i}" for i, name in enumerate(TOUCHES))
    names = ", ".join(f"'{name}'" for name in TOUCHES)
    t = "CAST(t AS BIGINT)"
    asked = f"FROM events WHERE event = '{TARGET}' AND t >= {LOW} AND t < {HIGH}"
    rows = (
        f'SELECT "user" AS u, {t} AS place, CAST(seq AS BIGINT) AS tie, '
        f"CAST(CASE {code} ELSE 9 END AS BIGINT) AS code, CAST(-1 AS BIGINT) AS id, "
        f"CAST(0 AS DOUBLE) AS v FROM events WHERE event IN ({names}) "
        f'UNION ALL SELECT "user", {t} - {days * DAY_MS}, CAST(-1 AS BIGINT), CAST(3 AS BIGINT), '
        f"CAST(seq AS BIGINT), CAST(0 AS DOUBLE) {asked} "
        f'UNION ALL SELECT "user", {t}, CAST(seq AS BIGINT), CAST(4 AS BIGINT), '
        f"CAST(seq AS BIGINT), CAST(coalesce(amount, 0) AS DOUBLE) {asked}"
    )
    counts = ", ".join(
        f"sum(CASE WHEN code = {i} THEN 1 ELSE 0 END) OVER w AS s{i}" for i in range(len(TOUCHES))
    )
    newest = "max(CASE WHEN code < 3 THEN (place * 1000000 + tie) * 4 + code ELSE 0 END) OVER w"
    run = (
        f"SELECT code, id, v, {counts}, {newest} AS newest FROM ({rows}) AS placed "
        f"WINDOW w AS (PARTITION BY u ORDER BY place, tie ROWS UNBOUNDED PRECEDING)"
    )
    at = "max(CASE WHEN code = {} THEN s{} ELSE 0 END)"
    each = ", ".join(f"{at.format(4, i)} - {at.format(3, i)} AS c{i}" for i in range(len(TOUCHES)))
    paired = (
        f"SELECT {each}, max(CASE WHEN code = 4 THEN newest ELSE 0 END) % 4 AS newest, "
        f"sum(v) AS v FROM ({run}) AS ran WHERE code >= 3 GROUP BY id"
    )
    n = " + ".join(f"c{i}" for i in range(len(TOUCHES)))
    sums = []
    for i in range(len(TOUCHES)):
        sums += [
            f"sum(c{i})",
            f"sum(CASE WHEN c{i} > 0 THEN 1 ELSE 0 END)",
            f"sum(CASE WHEN n > 0 AND newest = {i} THEN 1 ELSE 0 END)",
            f"sum(CASE WHEN n > 0 THEN c{i} * 1.0 / n ELSE 0 END)",
            f"sum(CASE WHEN n > 0 THEN v * c{i} / n ELSE 0 END)",
        ]
    sums.append("sum(CASE WHEN n = 0 THEN 1 ELSE 0 END)")
    return f"SELECT {', '.join(sums)} FROM (SELECT *, {n} AS n FROM ({paired}) AS p) AS q"


@pytest.mark.parametrize("days", [1, 7])
def test_credit(trio, days):
    rows = trio.ask(
        {
            "model": "attribution",
            "time": {**RANGE, "grain": "all"},
            "body": {
                "target": {"e": TARGET, "value": "event.amount"},
                "touches": [{"e": name} for name in TOUCHES],
                "lookback": {"n": days, "unit": "day"},
                "models": ["last", "linear"],
            },
        }
    )
    ours: list[Any] = []
    for row in rows[:-1]:
        ours += [row["in_paths"], row["conversions"], row["credit(last)"]]
        ours += [row["credit(linear)"], row["value(linear)"]]
    ours.append(rows[-1]["conversions"])
    assert min(ours) > 0
    for peer in trio.peers:
        (theirs,) = peer.rows(attribution_sql(days))
        for a, b in zip(ours, theirs, strict=True):
            assert math.isclose(a, float(b), rel_tol=1e-9), (peer.name, ours, theirs)


def test_value_of_cohorts(trio):
    rows = trio.ask(
        {
            "model": "ltv",
            "time": RANGE,
            "body": {
                "start": {"e": "event_04"},
                "periods": 4,
                "values": [
                    {"e": TARGET, "p": "event.amount"},
                    {"e": REFUND, "p": "event.amount", "sign": -1},
                ],
            },
        }
    )
    ours = {}
    for row in rows:
        at = (rows.index(row) // 5, row["period"])
        ours[at] = (row["size"], row["value"], row["payers"])
    first = (
        f'SELECT "user" AS u, min(day) - {FIRST_DAY + 4} AS a FROM events '
        f"WHERE event = 'event_04' AND t >= {LOW} AND t < {HIGH} GROUP BY \"user\""
    )
    sign = f"CASE WHEN event = '{TARGET}' THEN amount ELSE -amount END"
    values = (
        f'SELECT "user" AS u, day - {FIRST_DAY + 4} AS d, {sign} AS v FROM events '
        f"WHERE event IN ('{TARGET}', '{REFUND}')"
    )
    sql = (
        f"SELECT a, d - a AS k, sum(v), count(DISTINCT CASE WHEN v > 0 THEN r.u END) "
        f"FROM ({values}) AS r JOIN ({first}) AS f ON r.u = f.u WHERE d >= a AND d - a <= 4 "
        f"GROUP BY a, d - a"
    )
    for peer in trio.peers:
        sizes = {
            int(a): int(n)
            for a, n in peer.rows(f"SELECT a, count(*) FROM ({first}) AS f GROUP BY a")
        }
        theirs = {(int(a), int(k)): (v, int(n)) for a, k, v, n in peer.rows(sql)}
        for (a, k), (size, value, payers) in ours.items():
            assert size == sizes.get(a, 0)
            expected, paid = theirs.get((a, k), (0, 0))
            assert math.isclose(value, float(expected or 0), rel_tol=1e-9, abs_tol=1e-6), peer.name
            assert payers == paid, peer.name
