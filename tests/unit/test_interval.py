"""What the interval model refuses, its budget, scopes, and ties over several sources."""

import pytest

import zuji
from zuji.engine.engine import create_project
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.parse import echo, parse, parse_pick
from zuji.engine.query.scope import Scope

TIME = {"from": "2026-10-01", "to": "2026-10-02", "grain": "all"}
AB = {"start": {"e": "a"}, "end": {"e": "b"}}


@pytest.fixture
def engine(tmp_path):
    create_project(tmp_path / "p", tz="UTC")
    opened = zuji.open(tmp_path / "p")
    yield opened
    opened.close()


def send(engine, *events):
    engine.append(
        [
            {"user_id": user, "event": event, "time": f"2026-10-01T{at}Z", "properties": props}
            for user, event, at, props in events
        ]
    )


def one(engine, body, **more):
    [row] = engine.query({"model": "interval", "time": TIME, "body": body, **more}).to_dicts()
    return row


def test_an_end_is_the_start_unless_it_is_named():
    query = parse({"model": "interval", "time": TIME, "body": {"start": {"e": "a"}}})
    assert echo(query)["body"]["end"] == {"e": "a", "where": None}
    assert parse(echo(query)) == query


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"start": {"e": ["a", "*"]}}, "$.body.start.e[1]"),
        ({**AB, "cap": {"n": 367, "unit": "day"}}, "$.body.cap"),
        ({**AB, "hold": ["user.plan"]}, "$.body.hold[0]"),
        ({**AB, "hold": [{"start": "event.x"}]}, "$.body.hold[0]"),
        ({**AB, "hold": [{"start": "event.x", "end": "event.$time"}]}, "$.body.hold[0].end"),
        ({**AB, "percentiles": [90, 90]}, "$.body.percentiles[1]"),
        ({**AB, "percentiles": [50]}, "$.body.percentiles[0]"),
        ({**AB, "percentiles": [100]}, "$.body.percentiles[0]"),
        ({**AB, "histogram": [5, 5]}, "$.body.histogram"),
        ({**AB, "nearest": "middle"}, "$.body.nearest"),
    ],
)
def test_what_is_wrong_is_named(change, path):
    with pytest.raises(InvalidQuery) as caught:
        parse({"model": "interval", "time": TIME, "body": change})
    assert caught.value.path == path


def test_a_bar_needs_a_histogram(engine):
    query = parse({"model": "interval", "time": TIME, "body": AB})
    with pytest.raises(InvalidQuery) as caught:
        parse_pick({"bar": 0}, query)
    assert caught.value.path == "$.pick.bar"
    body = {**AB, "histogram": "auto"}
    with pytest.raises(InvalidQuery, match="no bar 0"):
        engine.users({"model": "interval", "time": TIME, "body": body}, {"bar": 0})


def test_held_properties_that_can_never_be_equal_are_refused(engine):
    send(engine, ("ann", "a", "09:00:00", {"n": 1, "x": 1.0, "text": "1", "list": ["1"]}))
    for hold in ({"start": "event.n", "end": "event.text"}, "event.list"):
        with pytest.raises(InvalidQuery) as caught:
            one(engine, {**AB, "hold": [hold]})
        assert caught.value.path == "$.body.hold[0]"
    assert one(engine, {**AB, "hold": [{"start": "event.n", "end": "event.x"}]})["pairs"] == 0


def test_numbers_of_two_kinds_are_equal(engine):
    send(engine, ("ann", "a", "09:00:00", {"n": 1}), ("ann", "b", "09:00:05", {"x": 1.0}))
    row = one(engine, {**AB, "hold": [{"start": "event.n", "end": "event.x"}]})
    assert (row["pairs"], row["max"]) == (1, 5000)


def test_ties_keep_the_order_sent_over_segments_and_memtable(engine):
    send(engine, ("ann", "b", "09:00:00", {}))
    engine.flush()
    send(engine, ("ann", "a", "09:00:00", {}))
    engine.flush()
    send(engine, ("ann", "b", "09:00:00", {}))
    assert one(engine, AB)["max"] == 0
    assert one(engine, {**AB, "ties": "strict"})["pairs"] == 0


def test_the_rows_of_a_pair_obey_the_query_and_the_scope(engine):
    send(
        engine,
        ("ann", "a", "09:00:00", {"ok": False}),
        ("ann", "a", "09:00:10", {"ok": True}),
        ("ann", "b", "09:00:11", {"ok": True}),
    )
    only = {"p": "event.ok", "op": "eq", "v": True}
    assert one(engine, AB)["max"] == 11_000
    assert one(engine, AB, where=only)["max"] == 1_000
    query = {"model": "interval", "time": TIME, "body": AB}
    [row] = engine.query(query, scope=Scope.of(only)).to_dicts()
    assert row["max"] == 1_000
    masked = Scope.of(masked=["event.ok"])
    with pytest.raises(InvalidQuery, match=r"you may not use event\.ok"):
        engine.query({**query, "body": {**AB, "hold": ["event.ok"]}}, scope=masked)


def test_many_pairs_and_cells_are_an_error_that_says_what_to_narrow(engine):
    send(
        engine,
        *(
            (f"u{i % 100}", "ab"[i // 100 % 2], f"{i % 24:02d}:{i % 60:02d}:00", {"n": i})
            for i in range(20_000)
        ),
    )
    query = {
        "model": "interval",
        "time": {**TIME, "grain": "hour"},
        "by": [{"p": "event.n"}],
        "top": {"n": 1000},
        "body": {**AB, "histogram": "auto"},
    }
    assert engine.query(query).rows
    for memory in (100_000, 500_000, 900_000):
        with pytest.raises(QueryBudgetExceeded, match="narrow the time range"):
            engine.query(query, memory_bytes=memory)
