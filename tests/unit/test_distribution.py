"""Bands of a distribution, and what it refuses."""

import numpy as np
import pytest

import zuji
from zuji.engine.engine import create_project
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.analyses import distribution_bands
from zuji.engine.query.analyses.distribution_bands import fitted, given, of_width
from zuji.engine.query.filter_ast import filter_from
from zuji.engine.query.parse import parse, parse_pick
from zuji.engine.query.scope import Scope

TIME = {"from": "2026-10-01", "to": "2026-10-03", "grain": "all"}


@pytest.fixture
def engine(tmp_path):
    create_project(tmp_path / "p", tz="UTC")
    opened = zuji.open(tmp_path / "p")
    opened.append(
        [
            {
                "user_id": f"u{i % 50}",
                "event": "pay",
                "time": f"2026-10-0{1 + i % 3}T00:00:00Z",
                "properties": {"amount": i, "city": f"c{i % 7}"},
            }
            for i in range(600)
        ]
    )
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("low", "high", "whole", "labels"),
    [
        (1, 3, True, ["[1, 2)", "[2, 3)", "[3, 4)"]),
        (7.5, 7.5, False, ["[7, 8)"]),
        (0.1, 0.3, False, ["[0.1, 0.12)", "…", "[0.3, 0.32)"]),
        (-0.5, 1000, False, ["[-100, 0)", "…", "[1000, 1100)"]),
        (1, 20, True, ["[1, 2)", "…", "[20, 21)"]),
        (1, 21, True, ["[0, 2)", "…", "[20, 22)"]),
        (0, 1e301, False, ["(-∞, 0)", "[0, ∞)"]),
    ],
)
def test_bands_fit_the_numbers(low, high, whole, labels):
    bands = fitted(low, high, whole=whole)
    assert bands.count <= 20
    found = bands.labels()
    assert [found[0], found[-1]] == [labels[0], labels[-1]]
    if "…" not in labels:
        assert found == labels


def test_numbers_beyond_whole_doubles_are_all_in_bands():
    """Near 2⁵³ doubles are two apart: many multiples of a small width are one of them."""
    low, high = 9007199254740996.0, 9007199254741004.0
    made = fitted(low, high, whole=False)
    found = made.of(np.array([low, low + 2, high]))
    assert found.min() == 0
    assert found.max() == made.count - 1
    assert made.edges[-1] > high


def test_edges_of_a_width_are_the_nearest_doubles():
    bands = of_width(0.1, 0.3, 0.75, "$")
    assert bands.edges.tolist() == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert bands.of(bands.edges[:1]).tolist() == [0]


def test_bands_with_edges_are_left_closed_and_open_at_both_ends():
    bands = given([2, 5])
    assert bands.labels() == ["(-∞, 2)", "[2, 5)", "[5, ∞)"]
    assert bands.bounds(0) == (None, 2)
    assert bands.bounds(2) == (5, None)


def test_the_zero_band_and_the_bands_add_up_to_the_population(engine):
    engine.append([{"user_id": "x", "type": "profile_set", "time": 0, "properties": {"a": 1}}])
    for grain in ("day", "all"):
        query = {
            "model": "distribution",
            "time": {**TIME, "grain": grain},
            "by": [{"p": "event.city"}],
            "body": {
                "e": "pay",
                "where": {"p": "event.amount", "op": "lt", "v": 77},
                "zero": "all",
            },
        }
        sums = {}
        for row in engine.query(query).to_dicts():
            sums[row["bucket"]] = sums.get(row["bucket"], 0) + row["users"]
        assert set(sums.values()) == {51}


def test_a_scope_takes_rows_out_of_numbers_and_of_active_users(engine):
    scope = Scope(where=filter_from({"p": "event.city", "op": "eq", "v": "c1"}))
    query = {"model": "distribution", "time": TIME, "body": {"e": "pay", "zero": "active"}}
    rows = engine.query(query, scope=scope).to_dicts()
    assert sum(row["users"] for row in rows) == 50
    masked = Scope(masked=frozenset({"event.amount"}))
    query["body"]["measure"] = {"sum": "event.amount"}
    with pytest.raises(InvalidQuery, match=r"you may not use event\.amount"):
        engine.query(query, scope=masked)


def test_more_numbers_than_the_budget_holds_are_an_error_that_says_what_to_narrow(tmp_path):
    create_project(tmp_path / "p", tz="UTC")
    with zuji.open(tmp_path / "p") as engine:
        engine.append(
            [
                {"user_id": f"u{i}", "event": "pay", "time": f"2026-10-01T{i % 24:02d}:00:00Z"}
                for i in range(20_000)
            ]
        )
        query = {
            "model": "distribution",
            "time": {**TIME, "grain": "hour"},
            "by": [{"p": "event.$name"}],
            "body": {"e": "pay", "zero": "active"},
        }
        assert engine.query(query).rows
        for memory in (100_000, 400_000, 600_000):
            with pytest.raises(QueryBudgetExceeded, match="narrow the time range"):
                engine.query(query, memory_bytes=memory)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"body": {"e": "pay", "buckets": [2, 2]}}, "$.body.buckets"),
        ({"body": {"e": "pay", "buckets": {"width": 0}}}, "$.body.buckets.width"),
        ({"body": {"e": "pay", "measure": "often"}}, "$.body.measure"),
        ({"body": {"e": "pay", "measure": "sum"}}, "$.body.measure"),
        ({"body": {"e": "pay", "measure": {"mode": "event.n"}}}, "$.body.measure"),
        ({"body": {"e": "pay", "measure": {"sum": "user.age"}}}, "$.body.measure.sum"),
        ({"body": {"e": "pay"}, "by": [{"p": "event.c", "attr": {"step": 1}}]}, "$.by[0].attr"),
        ({"body": {"e": []}}, "$.body.e"),
    ],
)
def test_what_is_wrong_is_named(change, path):
    with pytest.raises(InvalidQuery) as caught:
        parse({"model": "distribution", "time": TIME, **change})
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "pick", "path"),
    [
        ({"e": "pay"}, {"is_zero": True}, "$.pick.is_zero"),
        ({"e": "pay", "zero": "all"}, {"is_zero": True, "band": "[1, 2)"}, "$.pick.band"),
    ],
)
def test_a_pick_fits_its_query(body, pick, path):
    query = parse({"model": "distribution", "time": TIME, "body": body})
    with pytest.raises(InvalidQuery) as caught:
        parse_pick(pick, query)
    assert caught.value.path == path


def test_a_pick_names_a_band_and_a_period_of_the_answer(engine):
    query = {"model": "distribution", "time": {**TIME, "grain": "day"}, "body": {"e": "pay"}}
    with pytest.raises(InvalidQuery, match="name the bucket"):
        engine.users(query, {})
    with pytest.raises(InvalidQuery, match="no band"):
        engine.users(query, {"bucket": "2026-10-01", "band": "[0, 1)"})


@pytest.mark.parametrize("measure", ["times", "active_days", {"distinct": "event.city"}])
@pytest.mark.parametrize("buckets", [[2, 3, 5], {"width": 2}, "auto"])
@pytest.mark.parametrize("grain", ["all", "day"])
def test_users_counted_by_number_first_are_the_same_users(
    engine, monkeypatch, measure, buckets, grain
):
    body = {"e": "pay", "measure": measure, "buckets": buckets, "zero": "all"}
    where = {"where": {"p": "event.amount", "op": "lt", "v": 171}}
    query = {"model": "distribution", "time": {**TIME, "grain": grain}, "body": {**body, **where}}
    monkeypatch.setattr(distribution_bands, "MANY_VALUES", 1 << 40)
    plain = engine.query(query)
    monkeypatch.setattr(distribution_bands, "MANY_VALUES", 1)
    counted = engine.query(query)
    assert counted.rows == plain.rows
    assert counted.totals == plain.totals
    assert any(row[-2] > 1 for row in plain.rows)
