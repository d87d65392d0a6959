"""Lifecycle, stickiness, RFM and lifetime value beside DuckDB, one statement each, on random
projects: states are told by ``lag`` and ``lead`` over the active periods of a user.
"""

from __future__ import annotations

import pytest

from tests.differential.random_rows import DAY, PERIODS, RandomRows, period_of
from tests.differential.sql_peers import needs

needs("duckdb")

SEEDS = range(10)
CHOSEN = ("event = 'open'", "event IN ('open', 'pay')", "event = 'view' AND city = 'Berlin'")
EVENTS = (
    {"e": "open"},
    {"e": ["open", "pay"]},
    {"e": "view", "where": {"p": "event.city", "op": "eq", "v": "Berlin"}},
)


@pytest.fixture
def both(tmp_path, request):
    made = RandomRows(request.param, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("grain", list(PERIODS))
def test_states_of_users(both, grain):
    number = both.rng.randrange(3)
    ours = {}
    for row in both.ask("lifecycle", {"event": EVENTS[number]}, grain=grain):
        ours[period_of(row["bucket"], grain), row["state"]] = row["users"]
    active = (
        f'SELECT DISTINCT "user" AS u, {PERIODS[grain]} AS p FROM events WHERE {CHOSEN[number]}'
    )
    told = (
        "SELECT *, lag(p) OVER w AS before, lead(p) OVER w AS after "
        f"FROM ({active}) WINDOW w AS (PARTITION BY u ORDER BY p)"
    )
    theirs = both.sql(
        f"SELECT p, CASE WHEN before IS NULL THEN 'new' WHEN before = p - 1 THEN 'returning' "
        f"ELSE 'resurrected' END AS state, count(*) FROM ({told}) GROUP BY p, state "
        f"UNION ALL SELECT p + 1, 'dormant', count(*) FROM ({told}) "
        "WHERE after IS NULL OR after > p + 1 GROUP BY p"
    )
    told = {(p, state): users for p, state, users in theirs}
    assert ours == {key: told.get(key, 0) for key in ours}
    assert len(ours) == 4 * len({p for p, _ in ours}) > 0


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize(("grain", "within"), [("day", None), ("week", None), ("day", "week")])
def test_users_by_active_periods(both, grain, within):
    number = both.rng.randrange(3)
    body = {"event": EVENTS[number], "within": within}
    ours = {}
    for row in both.ask("stickiness", body, grain=grain):
        at = period_of(row["bucket"], within) if within else 0
        ours[at, row["periods"]] = row["users"]
    larger = PERIODS[within] if within else "0"
    each = (
        f'SELECT "user", {larger} AS w, count(DISTINCT {PERIODS[grain]}) AS n FROM events '
        f'WHERE {CHOSEN[number]} AND {both.within} GROUP BY "user", w'
    )
    theirs = {
        (w, n): c for w, n, c in both.sql(f"SELECT w, n, count(*) FROM ({each}) GROUP BY w, n")
    }
    assert {key: users for key, users in ours.items() if users} == theirs


LAYERS = {
    (True, True, True): "important_value",
    (False, True, True): "important_keep",
    (True, False, True): "important_develop",
    (False, False, True): "important_win_back",
    (True, True, False): "general_value",
    (False, True, False): "general_keep",
    (True, False, False): "general_develop",
    (False, False, False): "general_win_back",
}
# The edge of a quantile: the value of rank ⌈q · n⌉ from the bad end, and the next better one.
EDGE = "SELECT {best}({v}) FROM p WHERE {v} {better} (SELECT {order}(list({v}))[{rank}] FROM p)"


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("q", [0.25, 0.5, 0.75])
def test_layers_of_quantiles(both, q):
    body = {"event": EVENTS[1], "monetary": "event.amount", "quantiles": [q]}
    rows = both.ask("rfm", body)
    last = period_of(both.time["to"], "day")
    rank = f"CAST(ceil({q} * count(*)) AS BIGINT)"
    people = (
        f'SELECT "user" AS u, {last} - max(day) AS r, count(*) AS f, '
        f"coalesce(sum(amount), 0) AS m FROM events WHERE {CHOSEN[1]} AND {both.within} "
        'GROUP BY "user"'
    )
    edges = {
        v: EDGE.format(v=v, best=best, better=better, order=order, rank=rank)
        for v, best, better, order in (
            ("r", "max", "<", "list_reverse_sort"),
            ("f", "min", ">", "list_sort"),
            ("m", "min", ">", "list_sort"),
        )
    }
    theirs = both.sql(
        f"WITH p AS ({people}) SELECT coalesce(r <= ({edges['r']}), false) AS a, "
        f"coalesce(f >= ({edges['f']}), false) AS b, coalesce(m >= ({edges['m']}), false) AS c, "
        "count(*), avg(r), avg(f), avg(m) FROM p GROUP BY a, b, c"
    )
    names = ("users", "recency", "frequency", "monetary")
    ours = {row["layer"]: [row[n] for n in names] for row in rows if row["users"]}
    assert ours.keys() == {LAYERS[a, b, c] for a, b, c, *_ in theirs}
    for a, b, c, *numbers in theirs:
        assert ours[LAYERS[a, b, c]] == pytest.approx(numbers)


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("cohort", ["first_in_range", "first_ever"])
@pytest.mark.parametrize("mode", ["calendar", "rolling"])
def test_value_of_cohorts(both, cohort, mode):
    body = {
        "start": {"e": "open"},
        "cohort": cohort,
        "mode": mode,
        "periods": 3,
        "values": [
            {"e": "pay", "p": "event.amount"},
            {"e": "refund", "p": "event.amount", "sign": -1},
        ],
    }
    # A newest event far away, so that every period is over.
    both.engine.append_batch(_late(both.high + 30 * DAY))
    rows = both.ask("ltv", body)
    inside = f"AND {both.within}" if cohort == "first_in_range" else ""
    entered = (
        f'SELECT * FROM (SELECT "user" AS u, min(t) AS t, min(day) AS d FROM events '
        f"WHERE event = 'open' {inside} GROUP BY \"user\") WHERE {both.within}"
    )
    k = "e.day - s.d" if mode == "calendar" else f"(e.t - s.t) // {DAY}"
    since = "e.day >= s.d" if mode == "calendar" else "e.t >= s.t"
    worth = "CASE WHEN e.event = 'pay' THEN amount ELSE -amount END"
    theirs = both.sql(
        f"SELECT s.d, {k} AS k, sum({worth}), count(DISTINCT CASE WHEN {worth} > 0 THEN u END) "
        f'FROM ({entered}) AS s JOIN events AS e ON u = "user" '
        f"WHERE e.event IN ('pay', 'refund') AND {since} AND {k} <= 3 GROUP BY s.d, k"
    )
    told = {(d, k): (value or 0, payers) for d, k, value, payers in theirs}
    sizes = dict(both.sql(f"SELECT d, count(*) FROM ({entered}) GROUP BY d"))
    so_far = 0.0
    for row in rows:
        d, k = period_of(row["cohort"], "day"), row["period"]
        value, payers = told.get((d, k), (0, 0))
        so_far = value if k == 0 else so_far + value
        assert row["complete"]
        assert (row["size"], row["value"], row["payers"]) == (sizes.get(d, 0), value, payers), row
        per_user = so_far / row["size"] if row["size"] else None
        assert (row["value_so_far"], row["per_user"]) == (so_far, pytest.approx(per_user))


def _late(t):
    import msgpack

    event = {"user_id": "nobody", "event": "late", "time": t, "properties": {}}
    return msgpack.packb({"events": [event]})
