"""User properties and clicks beside DuckDB, one statement each, on random projects: the last record
that says something about a property is its value.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.differential.random_rows import RandomRows
from tests.differential.sql_peers import needs
from tests.oracle.walltime import start_of

needs("duckdb")

SEEDS = range(10)
MEASURES = {
    "sum": "coalesce(sum(age), 0)",
    "avg": "avg(age)",
    "min": "min(age)",
    "max": "max(age)",
    "median": "quantile_cont(age, 0.5)",
    "p90": "quantile_cont(age, 0.9)",
    "distinct": "count(DISTINCT age)",
}


@pytest.fixture
def both(tmp_path, request):
    made = RandomRows(request.param, tmp_path)
    yield made
    made.close()


def people(until: str = "true", which: str = "true") -> str:
    """SQL: a row a known user, with the values of ``plan`` and ``age`` that records make."""
    last = "arg_max({0}, (t, seq)) FILTER ({0} IS NOT NULL AND {1}) AS {0}"
    values = ", ".join(last.format(p, until) for p in ("plan", "age"))
    return (
        'SELECT "user", plan, age FROM (SELECT "user" FROM events UNION '
        'SELECT "user" FROM profiles) LEFT JOIN '
        f'(SELECT "user", {values} FROM profiles GROUP BY "user") USING ("user") WHERE {which}'
    )


def close(a, b):
    return a == b if a is None or b is None else a == pytest.approx(b)


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("as_of", [None, "end", "date"])
@pytest.mark.parametrize("active", [False, True])
def test_users_by_a_property(both, as_of, active):
    body = {"measures": [{op: "user.age"} for op in MEASURES]}
    until = "true"
    if as_of == "end":
        body["as_of"], until = "end", f"t < {both.high}"
    elif as_of == "date":
        day = both.first + timedelta(days=both.rng.randrange(both.days))
        body["as_of"] = day.isoformat()
        until = f"t < {start_of(date.fromordinal(day.toordinal() + 1), both.tz)}"
    which = "true"
    if active:
        body["active"] = {"e": "open", "where": {"p": "event.city", "op": "is_set"}}
        opened = f"event = 'open' AND city IS NOT NULL AND {both.within}"
        which = f'"user" IN (SELECT "user" FROM events WHERE {opened})'
    rows = both.ask("user_property", body, by=[{"p": "user.plan"}], top={"n": 100})
    columns = ["users", *(f"{op}(user.age)" for op in MEASURES)]
    ours = {row["user.plan"]: [row[name] for name in columns] for row in rows}
    theirs = both.sql(
        f"SELECT plan, count(*), {', '.join(MEASURES.values())} "
        f"FROM ({people(until, which)}) GROUP BY plan"
    )
    assert ours.keys() == {plan for plan, *_ in theirs}
    for plan, *numbers in theirs:
        assert all(map(close, ours[plan], numbers)), (plan, ours[plan], numbers)


@pytest.mark.parametrize("both", SEEDS, indirect=True)
def test_the_persona_of_those_who_paid(both):
    body = {"persona": {"group": {"did": {"e": "pay"}}, "properties": [{"p": "user.plan"}]}}
    rows = both.ask("user_property", body, top={"n": 100})
    names = ("group_users", "group_share", "base_users", "base_share", "tgi")
    ours = {row["value"]: [row[name] for name in names] for row in rows}
    paid = f"SELECT DISTINCT \"user\" FROM events WHERE event = 'pay' AND {both.within}"
    theirs = both.sql(
        f"WITH p AS ({people()}), g AS (SELECT plan, "
        f'count(*) FILTER ("user" IN ({paid})) AS c, count(*) AS n FROM p GROUP BY plan), '
        "s AS (SELECT sum(c) AS cs, sum(n) AS ns FROM g) "
        "SELECT plan, c, c / nullif(cs, 0), n, n / ns, (c / nullif(cs, 0)) / (n / ns) * 100 "
        "FROM g, s"
    )
    assert ours.keys() == {plan for plan, *_ in theirs}
    for plan, *numbers in theirs:
        assert all(map(close, ours[plan], numbers)), (plan, ours[plan], numbers)


@pytest.mark.parametrize("both", SEEDS, indirect=True)
def test_clicks_by_page(both):
    body = {"e": ["view", "open"], "page": "event.city"}
    rows = both.ask("clicks", body, grain="all", top={"n": 1000})
    ours = {row["page"]: (row["clicks"], row["users"], row["element"]) for row in rows}
    theirs = both.sql(
        'SELECT city, count(*), count(DISTINCT "user") FROM events '
        f"WHERE event IN ('view', 'open') AND {both.within} GROUP BY city"
    )
    assert ours == {city: (n, users, None) for city, n, users in theirs}
