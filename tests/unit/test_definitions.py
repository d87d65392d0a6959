"""Defining virtual events and properties: what is refused, what lasts, what stays masked."""

import json

import pytest

import zuji
from zuji.engine.errors import Corruption, InvalidInput, InvalidQuery, NotFound, ReadOnly
from zuji.engine.query.scope import Scope

DAY = {"from": "2026-10-01", "to": "2026-10-02", "tz": "UTC"}
LARGE = {"event.size": {"type": "string", "as": 'if(event.amount >= 100, "large", "small")'}}
DEAL = {"deal": {"of": [{"e": "pay", "where": {"p": "event.amount", "op": "gte", "v": 100}}]}}


@pytest.fixture
def engine(tmp_path):
    opened = zuji.open(tmp_path / "d", tz="UTC")
    opened.append(
        [
            {
                "event": event,
                "user_id": user,
                "time": f"2026-10-01T0{hour}:00:00Z",
                "properties": {"amount": amount, "phone": "138"},
            }
            for hour, (user, event, amount) in enumerate(
                [("a", "pay", 50), ("a", "pay", 150), ("b", "pay", 300), ("c", "open", 500)]
            )
        ]
    )
    yield opened
    opened.close()


def asked(engine, series, **more):
    query = {"model": "event", "time": {**DAY, "grain": "all"}, "body": {"series": [series]}}
    return engine.query({**query, **more})


def test_a_virtual_event_counts_as_what_it_stands_for(engine):
    engine.define(events=DEAL)
    result = asked(engine, {"e": "deal", "measure": "users"})
    assert result.column("value") == [2]
    assert result.query["body"]["series"][0]["e"] == "deal"
    assert result.meta["warnings"] == []
    users = engine.users(result.query, {})
    assert [row[0] for row in users.rows] == ["a", "b"]


def test_a_virtual_property_filters_and_groups(engine):
    engine.define(properties=LARGE)
    grouped = asked(engine, {"e": "pay"}, by=[{"p": "event.size"}])
    assert [row[2:] for row in grouped.rows] == [["large", False, 2], ["small", False, 1]]
    where = {"p": "event.size", "op": "eq", "v": "small"}
    assert asked(engine, {"e": "pay"}, where=where).column("value") == [1]
    doubled = {"event.twice": {"type": "int64", "as": "event.amount * 2"}}
    engine.define(properties=doubled)
    summed = asked(engine, {"e": "pay", "measure": {"sum": "event.twice"}})
    assert summed.column("value") == [1000]


def test_definitions_last_and_change_and_go(engine, tmp_path):
    engine.define(events=DEAL, properties=LARGE)
    engine.define(events={"large deal": {"of": [{"e": "deal"}], "description": "over a hundred"}})
    engine.close()
    with zuji.open(tmp_path / "d") as again:
        assert set(again.definitions()["events"]) == {"deal", "large deal"}
        assert asked(again, {"e": "large deal"}).column("value") == [2]
        with pytest.raises(InvalidInput, match="'large deal' is made of 'deal'"):
            again.undefine("deal")
        again.undefine("deal", "large deal")
        assert again.definitions()["events"] == {}
        assert asked(again, {"e": "deal"}).meta["warnings"]
        with pytest.raises(NotFound, match="'deal' is not defined"):
            again.undefine("deal")
        again.define(properties={"event.size": {"type": "int64", "as": "event.amount + 1"}})
        assert again.definitions()["properties"]["event.size"]["type"] == "int64"
    with zuji.open(tmp_path / "d", mode="r") as reader:
        assert reader.definitions()["properties"]
        with pytest.raises(ReadOnly):
            reader.define(events=DEAL)


def test_masked_properties_stay_masked(engine):
    engine.define(
        events={"known": {"of": [{"e": "pay", "where": {"p": "event.phone", "op": "is_set"}}]}},
        properties={
            "event.start": {"type": "string", "as": "substr(event.phone, 1, 2)"},
            "event.again": {"type": "string", "as": "upper(event.start)"},
        },
    )
    scope = Scope.of(masked=["event.phone"])
    body = {"model": "event", "time": DAY, "body": {"series": [{"e": "pay"}]}}
    by = [{"p": "event.again"}]
    for query in ({**body, "by": by}, {**body, "body": {"series": [{"e": "known"}]}}):
        engine.query(query)
        with pytest.raises(InvalidQuery, match=r"you may not use event\.phone"):
            engine.query(query, scope)


def test_a_definition_wins_over_what_is_sent_later(engine):
    engine.define(properties=LARGE)
    engine.flush()
    late = {"event": "pay", "user_id": "d", "time": "2026-10-01T08:00:00Z"}
    engine.append([{**late, "properties": {"amount": 200, "size": "zzz"}}])
    engine.flush()
    where = {"p": "event.size", "op": "eq", "v": "large"}
    assert asked(engine, {"e": "pay"}, where=where).column("value") == [3]
    engine.define(events={"other": {"of": ["pay"]}})  # old definitions stay as they are


@pytest.mark.parametrize(
    ("events", "properties", "said"),
    [
        ({"pay": {"of": ["open"]}}, {}, "events of that name are sent"),
        ({"$x": {"of": ["open"]}}, {}, "does not begin with '$'"),
        ({"": {"of": ["open"]}}, {}, "1 to 512"),
        ({"x": {"of": []}}, {}, "1 to 100 events"),
        ({"x": {"of": [{"e": "*"}]}}, {}, "any event already"),
        ({"x": {"of": [{"where": {}}]}}, {}, "$.events.x.of[0]"),
        ({"x": {"of": [{"e": "a", "where": {"p": "amount"}}]}}, {}, "event.amount"),
        ({"x": {"of": ["a"], "more": 1}}, {}, "unknown field 'more'"),
        ({"x": {"of": ["y"]}, "y": {"of": ["x"]}}, {}, "leads back to itself"),
        ({f"x{i}": {"of": [f"x{i + 1}"]} for i in range(12)}, {}, "stand on each other"),
        ({}, {"size": {"type": "string", "as": "1"}}, "expected 'event.NAME'"),
        ({}, {"event.amount": {"type": "string", "as": "'a'"}}, "a property of that name is sent"),
        ({}, {"event.$time": {"type": "string", "as": "'a'"}}, "does not begin with '$'"),
        ({}, {"event.x": {"type": "list", "as": "event.y"}}, "expected string"),
        ({}, {"event.x": {"type": "int", "as": "event.y"}}, "expected string"),
        ({}, {"event.x": {"type": "int64"}}, "expected an expression"),
        ({}, {"event.x": {"type": "int64", "as": "event.y +"}}, "$.properties.event.x.as"),
        ({}, {"event.x": {"type": "int64", "as": "event.phone"}}, "gives a text"),
        ({}, {"event.x": {"type": "string", "as": "event.phone + 1"}}, "of type text"),
        ({}, {"user.x": {"type": "string", "as": "event.phone"}}, "properties of users alone"),
        ({}, {"event.x": {"type": "int64", "as": "event.x + 1"}}, "leads back to itself"),
    ],
)
def test_what_cannot_be_defined_is_refused_whole(engine, events, properties, said):
    with pytest.raises(InvalidInput) as caught:
        engine.define(events={**events, "fine": {"of": ["pay"]}}, properties=properties)
    assert said in str(caught.value)
    assert engine.definitions() == {"events": {}, "properties": {}}


def test_a_damaged_file_is_told_and_left_alone(engine, tmp_path):
    engine.define(events=DEAL)
    engine.close()
    file = tmp_path / "d" / "default" / "definitions.json"
    for text in ("{", json.dumps({"v": 2}), json.dumps({"v": 1, "events": {"a": {"of": []}}})):
        file.write_text(text)
        with pytest.raises(Corruption, match="mend the file"):
            zuji.open(tmp_path / "d")
        assert file.read_text() == text
