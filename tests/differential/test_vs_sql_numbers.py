"""Distribution and interval beside DuckDB and ClickHouse, on a million seeded events.

A user's number is a ``GROUP BY`` inside a ``GROUP BY``. Pairs nearest to the end are neighbours
among the rows of both events; nearest to the start, of the rows that differ from the one before.
"""

from __future__ import annotations

import pytest

from tests.differential.test_vs_sql import HIGH, LOW, RANGE, close, day_of, million

__all__ = ["million"]

WITHIN = f"t >= {LOW} AND t < {HIGH}"
EDGES = [1, 2, 5, 20.5]


def band_of(number):
    """SQL: number of the band of a value, 0 below the first edge."""
    return " + ".join(f"CASE WHEN {number} >= {edge} THEN 1 ELSE 0 END" for edge in EDGES)


def bands_of(rows):
    """Our cells as {(day, band): users}, without those of no users."""
    found = {}
    numbers = {}
    for row in rows:
        day = day_of(row["bucket"])
        if row["is_zero"]:
            found[day, -1] = row["users"]
        else:
            numbers[day] = numbers.get(day, -1) + 1
            found[day, numbers[day]] = row["users"]
    return {key: users for key, users in found.items() if users}


@pytest.mark.parametrize(
    ("measure", "sql"),
    [
        ("times", "count(*)"),
        ({"sum": "event.amount"}, "sum(amount)"),
        ({"avg": "event.amount"}, "avg(amount)"),
        ({"min": "event.duration_ms"}, "min(duration_ms)"),
        ({"max": "event.amount"}, "max(amount)"),
        ({"distinct": "event.page"}, "count(DISTINCT page)"),
    ],
)
def test_users_by_their_number_of_a_day(million, measure, sql):
    query = {
        "model": "distribution",
        "time": RANGE,
        "body": {"e": "event_05", "measure": measure, "buckets": EDGES, "zero": "active"},
    }
    ours = bands_of(million.ask(query))
    for peer in million.peers:
        rows = peer.rows(
            f'SELECT day, {band_of("number")} AS band, count(*) FROM (SELECT day, "user", {sql} '
            f"AS number FROM events WHERE event = 'event_05' AND {WITHIN} "
            'GROUP BY day, "user") AS x '
            "WHERE number IS NOT NULL GROUP BY day, band"
        )
        theirs = {(day, band): users for day, band, users in rows}
        active = peer.rows(
            f'SELECT day, count(DISTINCT "user") FROM events WHERE {WITHIN} GROUP BY day'
        )
        for day, users in active:
            left = users - sum(n for (d, _), n in theirs.items() if d == day)
            if left:
                theirs[day, -1] = left
        assert ours == theirs, peer.name


def test_users_by_their_days_against_all_users(million):
    query = {
        "model": "distribution",
        "time": {**RANGE, "grain": "all"},
        "body": {"e": "event_07", "measure": "active_days", "buckets": EDGES, "zero": "all"},
    }
    rows = million.ask(query)
    for peer in million.peers:
        theirs = dict(
            peer.rows(
                f'SELECT {band_of("number")} AS band, count(*) FROM (SELECT "user", '
                f"count(DISTINCT day) AS number FROM events WHERE event = 'event_07' AND {WITHIN} "
                'GROUP BY "user") AS x GROUP BY band'
            )
        )
        [[people]] = peer.rows('SELECT count(DISTINCT "user") FROM events')
        assert rows[0]["users"] == people - sum(theirs.values()), peer.name
        assert [row["users"] for row in rows[1:]] == [theirs.get(k, 0) for k in range(5)], peer.name


# ----------------------------------------------------------------------------------- intervals

DAY_MS = 86_400_000
BEFORE = "ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING"


def neighbours(who, source):
    """SQL: rows of ``source`` with the time, role and day of the row before."""
    over = f"OVER (PARTITION BY {who} ORDER BY t, seq {BEFORE})"
    before = ", ".join(f"max({c}) {over} AS {c}0" for c in ("t", "role", "day"))
    return f"SELECT *, {before} FROM ({source}) AS z"


ROLES = (
    "SELECT *, CASE WHEN event = 'event_03' THEN 1 ELSE 2 END AS role FROM events "
    f"WHERE event IN ('event_03', 'event_05') AND t >= {LOW}"
)


def cells_of(peer, pairs):
    """{day of the start: counts and numbers of the lengths}."""
    quantile = (
        "quantile_cont({}, {})" if peer.name == "duckdb" else "quantileExactInclusive({1})({0})"
    )
    asked = ", ".join(quantile.format("t - t0", q) for q in (0.25, 0.5, 0.75, 0.9))
    rows = peer.rows(
        f'SELECT day0, count(*), count(DISTINCT "user"), avg(t - t0), min(t - t0), max(t - t0), '
        f"{asked} FROM ({pairs}) AS p WHERE t0 < {HIGH} GROUP BY day0"
    )
    return {day: numbers for day, *numbers in rows}


def compared(million, body, pairs):
    query = {"model": "interval", "time": RANGE, "body": {**body, "percentiles": [90]}}
    names = ["pairs", "users", "avg", "min", "max", "p25", "median", "p75", "p90"]
    ours = {day_of(row["bucket"]): [row[name] for name in names] for row in million.ask(query)}
    assert sum(numbers[0] for numbers in ours.values()) > 100
    for peer in million.peers:
        theirs = cells_of(peer, pairs)
        for day, numbers in ours.items():
            mine = theirs.get(day, [0, 0] + [None] * 7)
            assert all(map(close, numbers, mine)), (peer.name, day, numbers, mine)


def test_intervals_nearest_to_the_end(million):
    body = {"start": {"e": "event_03"}, "end": {"e": "event_05"}, "nearest": "end"}
    pairs = (
        f"SELECT * FROM ({neighbours(chr(34) + 'user' + chr(34), ROLES)}) AS y "
        f"WHERE role = 2 AND role0 = 1 AND t - t0 <= {7 * DAY_MS}"
    )
    compared(million, body, pairs)


def test_intervals_of_one_product(million):
    body = {
        "start": {"e": "event_03"},
        "end": {"e": "event_05"},
        "nearest": "end",
        "hold": ["event.channel"],
    }
    pairs = (
        f"SELECT * FROM ({neighbours(chr(34) + 'user' + chr(34) + ', channel', ROLES)}) AS y "
        f"WHERE role = 2 AND role0 = 1 AND t - t0 <= {7 * DAY_MS}"
    )
    compared(million, body, pairs)


def test_intervals_nearest_to_the_start(million):
    """Without a cap: the first start of a run of starts, and the first end of the run after it."""
    body = {"start": {"e": "event_03"}, "end": {"e": "event_05"}, "cap": None}
    user = '"user"'
    columns = 'SELECT "user", t, seq, role, day FROM'
    changes = "role0 IS NULL OR role0 = 0 OR role <> role0"
    firsts = f"{columns} ({neighbours(user, ROLES)}) AS y WHERE {changes}"
    pairs = f"SELECT * FROM ({neighbours(user, firsts)}) AS w WHERE role = 2 AND role0 = 1"
    compared(million, body, pairs)


def test_intervals_from_one_event_to_the_next(million):
    body = {"start": {"e": "event_03"}, "cap": {"n": 2, "unit": "day"}}
    source = f"SELECT *, 1 AS role FROM events WHERE event = 'event_03' AND t >= {LOW}"
    pairs = (
        f"SELECT * FROM ({neighbours(chr(34) + 'user' + chr(34), source)}) AS y "
        f"WHERE role0 = 1 AND t - t0 <= {2 * DAY_MS}"
    )
    compared(million, body, pairs)
