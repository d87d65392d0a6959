"""Tags: schedules, days, what is made of what, who may see, what is forgotten."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.engine import open_project
from zuji.engine.errors import (
    Corruption,
    InvalidInput,
    InvalidQuery,
    NotFound,
    QueryCancelled,
    ReadOnly,
)
from zuji.engine.people.blob import Blob
from zuji.engine.people.graph import Graph, graph_of
from zuji.engine.people.tags.days import day_of, due_days
from zuji.engine.people.tags.rules import (
    Schedule,
    definition_from,
    definition_to,
    parts_of_rule,
    values_of,
)
from zuji.engine.query.context import Cancel
from zuji.engine.query.scope import Scope
from zuji.engine.storage.files import Files

ZONE = "Asia/Shanghai"


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


class Clock:
    def __init__(self, text="2026-10-20T08:00:00+08:00"):
        self.now = ms(text)

    def __call__(self):
        return self.now


def paid(user, day, amount, channel="app", hour=12):
    return {
        "user_id": user,
        "event": "pay",
        "time": f"2026-10-{day:02d}T{hour:02d}:00:00+08:00",
        "properties": {"amount": amount, "channel": channel},
    }


EVENTS = [
    paid("ann", 1, 10),
    paid("ann", 2, 20, "web"),
    paid("ann", 3, 5, "web"),
    paid("bob", 2, 100),
    paid("cat", 7, 7),
    {"user_id": "ann", "type": "profile_set", "time": "2026-10-01T12:00:00+08:00",
     "properties": {"city": "HZ"}},
    {"user_id": "ann", "type": "profile_set", "time": "2026-10-06T12:00:00+08:00",
     "properties": {"city": "NB"}},
]  # fmt: skip
RFM = {"kind": "rfm", "event": {"e": "pay"}, "monetary": "event.amount", "days": 90}
SPEND = {
    "name": "spend",
    "rule": {"kind": "aggregate", "events": {"e": "pay"}, "measure": {"sum": "event.amount"}},
}
LEVEL = {
    "name": "level",
    "else": "low",
    "rule": {
        "kind": "layers",
        "layers": [{"v": "high", "if": {"tag": "spend", "op": "gte", "v": 30}}],
    },
}
CITY = {"name": "city", "rule": {"kind": "expression", "as": "user.city", "type": "string"}}
VIP = {"name": "vip", "rule": {"kind": "manual", "type": "string", "values": ["gold", "silver"]}}
AGENCY = {"name": "agency", "rule": {"kind": "imported", "type": "int64"}}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(tmp_path, clock):
    engine = open_project(tmp_path, clock=clock)
    engine.append(EVENTS)
    for one in (SPEND, LEVEL, CITY, VIP, AGENCY):
        engine.tags.define(one)
    yield engine
    engine.close()


def asked(engine, **more):
    query = {
        "model": "event",
        "time": {"from": "2026-10-01", "to": "2026-10-19", "grain": "all"},
        "body": {"series": [{"e": "pay"}]},
        **more,
    }
    return sorted((row[2:] for row in engine.query(query).rows), key=str)


# ------------------------------------------------------------------------------ days and schedules


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (None, "2026-10-19"),
        ("today", "2026-10-20"),
        ("yesterday", "2026-10-19"),
        ("-3d", "2026-10-17"),
        ("2026-02-28", "2026-02-28"),
        (date(2026, 1, 1), "2026-01-01"),
    ],
)
def test_days(text, day):
    assert day_of(text, Clock().now, ZONE) == date.fromisoformat(day)


@pytest.mark.parametrize("text", ["2026-10-21", "soon", "2026-02-30", "-3w", "", "0001-01-01"])
def test_no_days(text):
    with pytest.raises(InvalidInput):
        day_of(text, Clock().now, ZONE)


def due(every, at, have, now="2026-10-20T08:00:00+08:00"):
    whole = {date.fromisoformat(day): done for day, done in have.items()}
    return [str(day) for day in due_days(Schedule(every, at), whole, ms(now), ZONE)]


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (LEVEL["rule"], ["high"]),
        (SPEND["rule"], None),
        ({**SPEND["rule"], "buckets": [10, 100]}, ["(-∞, 10)", "[10, 100)", "[100, ∞)"]),
        ({**SPEND["rule"], "buckets": [10], "labels": ["few", "many"]}, ["few", "many"]),
        ({**RFM, "gives": "m"}, [1, 2, 3, 4, 5]),
        ({**RFM, "gives": "scores"}, None),
        ({"kind": "manual", "type": "bool", "values": [True]}, [True]),
        ({"kind": "manual", "type": "bool"}, None),
        ({"kind": "imported", "type": "string"}, None),
    ],
)
def test_the_values_that_a_rule_alone_tells(rule, values):
    assert values_of(definition_from({"name": "x", "rule": rule})) == values


def test_the_values_of_a_rule_end_with_those_of_else():
    assert values_of(definition_from(LEVEL)) == ["high", "low"]
    assert len(values_of(definition_from({"name": "x", "rule": RFM}))) == 8


def test_a_schedule_wants_the_days_since_the_last_one():
    assert due("day", "02:00", {}) == ["2026-10-19"]
    assert due("day", "09:00", {}) == ["2026-10-18"]
    assert due("day", "02:00", {"2026-10-17": True}) == ["2026-10-18", "2026-10-19"]
    assert due("day", "02:00", {"2026-10-19": True}) == []
    assert due("day", "02:00", {"2026-10-18": True, "2026-10-19": False}) == ["2026-10-19"]
    assert due("week", "02:00", {}) == ["2026-10-18"]
    assert due("week", "02:00", {"2026-10-04": True}) == ["2026-10-11", "2026-10-18"]
    assert due("month", "02:00", {}) == ["2026-09-30"]
    assert due("month", "02:00", {"2026-07-31": True}) == ["2026-08-31", "2026-09-30"]


def test_what_is_due_is_made_once_and_in_order(engine, clock):
    engine.tags.define({**LEVEL, "schedule": {"every": "day", "at": "02:00"}})
    assert [(n, str(d)) for n, d in engine.tags.due()] == [
        ("spend", "2026-10-19"),
        ("level", "2026-10-19"),
    ]
    assert [one["tag"] for one in engine.tags.refresh_due()] == ["spend", "level"]
    assert engine.tags.due() == []
    clock.now += 2 * 86_400_000
    assert [str(d) for n, d in engine.tags.due() if n == "level"] == ["2026-10-20", "2026-10-21"]
    engine.tags.archive("level")
    assert engine.tags.due() == []


def test_a_tag_that_fails_takes_those_made_of_it_along_and_no_others(engine, monkeypatch):
    for one in (SPEND, LEVEL, CITY):
        engine.tags.define({**one, "schedule": {"every": "day"}})
    from zuji.engine.people.tags import tags as module

    real = module.made

    def failing(definition, *rest):
        if definition.name == "spend":
            raise InvalidQuery("it does not fit any more", "$.rule")
        return real(definition, *rest)

    monkeypatch.setattr(module, "made", failing)
    found = {one["tag"]: one.get("error", {}).get("code") for one in engine.tags.refresh_due()}
    assert found == {"city": None, "spend": "invalid_query", "level": "invalid_input"}


def test_a_day_made_before_its_end_is_missing(engine, clock):
    tags = engine.tags
    tags.refresh(["spend"], day="today")
    clock.now += 86_400_000
    made = tags.refresh(["spend"], from_="2026-10-19", day="yesterday", missing=True)
    assert [one["day"] for one in made] == ["2026-10-19", "2026-10-20"]
    assert tags.refresh(["spend"], from_="2026-10-19", day="yesterday", missing=True) == []
    again = tags.refresh(["spend"], from_="2026-10-19", day="yesterday")
    assert [one["day"] for one in again] == ["2026-10-19", "2026-10-20"]


def test_old_days_are_dropped_but_for_the_newest(engine):
    tags = engine.tags
    tags.define({**SPEND, "keep_days": 2})
    tags.refresh(["spend"], from_="2026-10-01", day="2026-10-05")
    assert [one["day"] for one in tags.show("spend")["days"]] == ["2026-10-04", "2026-10-05"]
    folder = engine._writer.directory + "/people/tags"
    assert len(os.listdir(folder)) == 2


# ---------------------------------------------------------------------------------- in queries


def test_the_value_in_force_is_that_of_the_newest_day(engine):
    tags = engine.tags
    for day in ("2026-10-01", "2026-10-03", "2026-10-08"):
        tags.refresh(["level", "city"], day=day)
    assert tags.history("level", "ann") == [
        {"day": "2026-10-01", "value": "low"},
        {"day": "2026-10-03", "value": "high"},
        {"day": "2026-10-08", "value": "high"},
    ]
    assert tags.history("level", "cat")[1] == {"day": "2026-10-03", "value": None}
    assert asked(engine, by=[{"p": "user.$tag.level"}]) == [["high", False, 4], ["low", False, 1]]
    dated = asked(engine, by=[{"p": "user.$tag.city@2026-10-05"}])
    assert dated == [["HZ", False, 3], [None, False, 2]]
    # ann: low on the 1st, still on the 2nd, high on the 3rd; the others were not known in time.
    at_event = asked(engine, by=[{"p": "user.$tag.level", "as_of": "event"}])
    assert at_event == [["high", False, 1], ["low", False, 2], [None, False, 2]]
    assert asked(engine, audience={"tag": "level", "op": "eq", "v": "high"}) == [[4]]
    early = {"tag": "level", "op": "eq", "v": "high", "as_of": "2026-10-01"}
    assert asked(engine, audience=early) == [[0]]
    assert asked(engine, where={"p": "user.$tag.spend", "op": "gt", "v": 50}) == [[1]]
    assert asked(engine, where={"p": "user.$tag.spend@2026-09-30", "op": "is_set"}) == [[0]]


def test_users_who_came_after_a_day_have_no_value(engine):
    engine.tags.refresh(["level"], day="2026-10-08")
    engine.append([paid("dan", 9, 1000)])
    assert engine.tags.of_user("dan") == {}
    assert asked(engine, audience={"tag": "level", "op": "is_not_set"}) == [[1]]
    assert asked(engine, audience={"tag": "level", "op": "ne", "v": "high"}) == [[2]]


def test_filters_of_numbers_with_more_users_than_a_day_had(engine):
    """More users than the column was made for, in small and in large steps."""
    tags = engine.tags
    tags.refresh(["spend"], day="2026-10-08")
    total = {"tag": "spend", "op": "gte", "v": 35}
    for step in (0, 3, 2000):
        engine.append([paid(f"new {step} {n}", 9, 1000) for n in range(step)])
        assert asked(engine, audience=total) == [[4]]
        assert asked(engine, audience={"tag": "spend", "op": "eq", "v": 7}) == [[1]]
        assert asked(engine, audience={"tag": "spend", "op": "in", "v": [7, 100, 8]}) == [[2]]
        assert asked(engine, audience={"tag": "spend", "op": "between", "v": [8, 99]}) == [[3]]
    assert asked(engine, audience={"tag": "spend", "op": "is_not_set"}) == [[2003]]
    assert asked(engine, audience={"tag": "spend", "op": "lt", "v": 35}) == [[1]]
    assert asked(engine, audience={"not": total}) == [[2004]]
    assert asked(engine, audience={"all": [total, {"tag": "spend", "op": "lt", "v": 50}]}) == [[3]]


def test_a_view_is_not_changed_by_a_refresh(engine):
    engine.tags.refresh(["level"], day="2026-10-08")
    query = {
        "model": "user_property",
        "by": [{"p": "user.$tag.level"}],
        "time": {"from": "2026-10-01", "to": "2026-10-19"},
        "body": {},
    }
    with engine.snapshot() as pinned:
        before = pinned.query(query).rows
        engine.append([paid("cat", 8, 500)])
        engine.tags.refresh(["spend", "level"], day="2026-10-08")
        assert pinned.query(query).rows == before
    assert engine.query(query).rows != before
    engine.tags.delete("level")
    with pytest.raises(InvalidQuery, match="there is no tag 'level'"):
        engine.query(query)


def test_who_may_not_use_a_property_may_not_use_its_tags(engine):
    engine.tags.refresh(["level"], day="2026-10-08")
    scope = Scope.of(masked=["event.amount"])
    query = {
        "model": "event",
        "time": {"from": "2026-10-01", "to": "2026-10-19"},
        "audience": {"tag": "level", "op": "is_set"},
        "body": {"series": [{"e": "pay"}]},
    }
    assert engine.query(query).rows
    with pytest.raises(InvalidQuery, match=r"event\.amount"):
        engine.query(query, scope)
    by_tag = {**query, "audience": None, "by": [{"p": "user.$tag.level"}]}
    with pytest.raises(InvalidQuery, match=r"event\.amount"):
        engine.query(by_tag, scope)
    only = Scope.of(masked=["user.$tag.level"])
    with pytest.raises(InvalidQuery, match="level"):
        engine.query(query, only)


def test_virtual_names_are_read_in_rules(engine):
    engine.define(
        events={
            "big": {"of": [{"e": "pay", "where": {"p": "event.amount", "op": "gte", "v": 20}}]}
        },
        properties={"event.cents": {"type": "float64", "as": "event.amount * 100"}},
    )
    rule = {"kind": "aggregate", "events": {"e": "big"}, "measure": {"sum": "event.cents"}}
    engine.tags.define({"name": "cents", "rule": rule})
    engine.tags.refresh(["cents"], day="2026-10-08")
    assert dict(engine.tags.values("cents")["rows"]) == {2000.0: 1, 10000.0: 1}


# ------------------------------------------------------------------------------------ given values


def test_manual_values_are_as_of_any_instant(engine, clock):
    tags, start = engine.tags, clock.now
    assert tags.give("vip", [("ann", "gold"), ("bob", "silver")], "lin") == 2
    clock.now = start + 3_600_000
    tags.give("vip", [("ann", None)], "wu")
    assert tags.of_user("ann") == {}
    assert tags.of_user("bob") == {"vip": "silver"}
    assert tags.history("vip", "ann") == [
        {"time_ms": start, "value": "gold", "who": "lin"},
        {"time_ms": start + 3_600_000, "value": None, "who": "wu"},
    ]
    instant = datetime.fromtimestamp((start + 1000) / 1000, UTC).isoformat()
    query = {"by": [{"p": f"user.$tag.vip@{instant}"}]}
    assert {row[0]: row[2] for row in asked(engine, **query) if row[0]} == {"gold": 3, "silver": 1}
    with pytest.raises(NotFound):
        tags.give("vip", [("bob", "gold"), ("nobody", "gold")], "lin")
    assert tags.of_user("bob") == {"vip": "silver"}
    for value in ("iron", 3, True):
        with pytest.raises(InvalidInput):
            tags.give("vip", [("bob", value)], "lin")
    with pytest.raises(InvalidInput):
        tags.give("vip", [("bob", "gold")], "")


def test_many_edits_move_to_files_and_stay_in_order(engine, clock):
    tags = engine.tags
    for number in range(60):
        clock.now += 1000
        values = [("ann", ["gold", "silver"][number % 2])] * 50
        tags.give("vip", values, f"who{number}")
    entry = engine.tags.kept().tags["vip"]
    assert entry.edit_files
    assert len(entry.edits) <= 256
    history = tags.history("vip", "ann")
    assert len(history) == 3000
    assert [one["who"] for one in history[::50]] == [f"who{n}" for n in range(60)]
    assert tags.of_user("ann") == {"vip": "silver"}


def test_loaded_values_replace_or_add(engine):
    tags = engine.tags
    loaded = tags.load("agency", [("ann", "5"), ("bob", 7), ("x", 1), ("ann", 6)], day="2026-10-18")
    assert (loaded.users, loaded.unknown, loaded.unknown_ids) == (2, 1, ["x"])
    assert tags.of_user("ann")["agency"] == 6
    tags.load("agency", [("cat", "9"), ("bob", "")], day="2026-10-19", add=True)
    assert [tags.of_user(u).get("agency") for u in ("ann", "bob", "cat")] == [6, None, 9]
    assert tags.of_user("bob", day="2026-10-18") == {"agency": 7}
    tags.load("agency", [("cat", 1)], day="2026-10-19")
    assert [tags.of_user(u).get("agency") for u in ("ann", "bob", "cat")] == [None, None, 1]
    with pytest.raises(InvalidInput, match="row 2"):
        tags.load("agency", [("ann", 1), ("bob", "many")])
    with pytest.raises(InvalidInput, match="row 1"):
        tags.load("agency", [("ann", 2**63)])


# -------------------------------------------------------------------------- what is made of what


def test_what_is_made_of_a_tag_keeps_it(engine):
    tags = engine.tags
    engine.define(properties={"user.rich": {"type": "bool", "as": 'user["$tag.level"] == "high"'}})
    with pytest.raises(InvalidInput, match=r"tag 'level'.*user.rich|user.rich.*tag 'level'"):
        tags.delete("spend")
    assert set(tags.delete("spend", cascade=True)) == {
        "property 'user.rich'",
        "tag 'level'",
        "tag 'spend'",
    }
    assert "user.rich" not in engine.definitions()["properties"]
    assert [one["name"] for one in tags.all()] == ["agency", "city", "vip"]


def test_nothing_is_made_of_itself(engine):
    own = {"kind": "expression", "as": 'user["$tag.level"]', "type": "string"}
    with pytest.raises(InvalidInput, match="made of itself"):
        engine.tags.define({"name": "level", "rule": own})
    engine.tags.define({"name": "copy", "rule": own})
    with pytest.raises(InvalidInput, match="made of itself"):
        engine.tags.define(
            {"name": "spend", "rule": {"kind": "expression", "as": 'number(user["$tag.copy"])',
                                       "type": "float64"}}
        )  # fmt: skip
    with pytest.raises(InvalidInput, match="made of itself"):
        engine.tags.define(
            {"name": "new", "rule": {"kind": "expression", "as": 'user["$tag.new"]',
                                     "type": "string"}}
        )  # fmt: skip


def test_an_order_of_a_graph():
    a, b, c, d = (("tag", name) for name in "abcd")
    graph = Graph({b: frozenset({a}), c: frozenset({b}), d: frozenset({b, c})})
    assert graph.ordered([d, c, a, b]) == [a, b, c, d]
    assert graph.ordered([d, a]) == [a, d]
    assert graph.users_of(a) == [d, c, b]
    assert graph.users_of(d) == []
    assert graph.parts_of(d) == {a, b, c}
    with pytest.raises(InvalidInput, match="tag 'a' ← tag 'd' ← tag 'b' ← tag 'a'"):
        Graph({**graph.made_of, a: frozenset({d})}).check(a)
    assert graph_of({"user.x": {"user.$tag.a", "user.y"}, "deal": {"pay"}}) == {
        ("property", "user.x"): frozenset({("tag", "a"), ("property", "user.y")})
    }


def test_the_type_holds_while_values_are_stored(engine):
    tags = engine.tags
    tags.refresh(["city"], day="2026-10-08")
    other = {"kind": "expression", "as": "length(user.city)", "type": "int64"}
    with pytest.raises(InvalidInput, match="stored values of type string"):
        tags.define({"name": "city", "rule": other})
    tags.delete("city")
    assert tags.define({"name": "city", "rule": other})["type"] == "int64"


def test_archived_tags_can_be_asked_for(engine):
    tags = engine.tags
    tags.refresh(["level"], day="2026-10-08")
    tags.archive("level")
    assert "level" not in [one["name"] for one in tags.all()]
    assert asked(engine, audience={"tag": "level", "op": "eq", "v": "high"}) == [[4]]
    assert "level" not in {one["tag"] for one in tags.refresh(day="2026-10-09")}
    tags.archive("level", back=True)
    assert "level" in {one["tag"] for one in tags.refresh(day="2026-10-09")}


# ---------------------------------------------------------------------------------- definitions


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "a b"}, "$.name"),
        ({"name": "a@b"}, "$.name"),
        ({"name": ""}, "$.name"),
        ({"nam": "x"}, "$.nam"),
        ({"rule": {"kind": "layer"}}, "$.rule.kind"),
        ({"rule": {"kind": "layers", "layers": []}}, "$.rule.layers"),
        ({"rule": {"kind": "layers", "layers": [{"v": 1, "if": {"tga": "x"}}]}},
         "$.rule.layers[0].if"),
        ({"rule": {"kind": "layers", "layers": [{"v": 1, "if": {"all": []}},
                                                {"v": "x", "if": {"all": []}}]}}, "$.rule.layers"),
        ({"else": 3}, "$.else"),
        ({"schedule": {"every": "hour"}}, "$.schedule.every"),
        ({"schedule": {"at": "24:00"}}, "$.schedule.at"),
        ({"keep_days": 0}, "$.keep_days"),
        ({"rule": {"kind": "manual", "type": "string"}, "schedule": {}}, "$.schedule"),
        ({"rule": {"kind": "manual", "type": "int64", "values": ["x"]}}, "$.rule.values[0]"),
        ({"rule": {"kind": "expression", "as": "event.amount", "type": "float64"}}, "$.rule.as"),
        ({"rule": {"kind": "expression", "as": "1 +", "type": "float64"}}, "$.rule.as"),
        ({"rule": {"kind": "expression", "as": "user.city", "type": "float64"}}, "$.rule.as"),
        ({"rule": {"kind": "value", "events": {"e": "pay"}, "p": "user.city", "take": "first"}},
         "$.rule.p"),
        ({"rule": {"kind": "value", "events": {"e": "pay"}, "p": "event.new", "take": "first"}},
         "$.rule.p"),
        ({"rule": {"kind": "aggregate", "events": {"e": "pay"},
                   "measure": {"p90": "event.amount"}}}, "$.rule.measure"),
        ({"rule": {"kind": "aggregate", "events": {"e": "pay"},
                   "measure": {"sum": "event.channel"}}}, "$.rule.measure.sum"),
        ({"rule": {"kind": "aggregate", "events": {"e": "pay"}, "measure": "count",
                   "buckets": [3, 1]}}, "$.rule.buckets"),
        ({"rule": {"kind": "aggregate", "events": {"e": "pay"}, "measure": "count", "buckets": [3],
                   "labels": ["a"]}}, "$.rule.labels"),
        ({"rule": {"kind": "rfm", "event": {"e": "pay"}, "monetary": "event.channel", "days": 3}},
         "$.rule.monetary"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(engine, change, path):
    document = {**LEVEL, "name": "new", **change}
    if "rule" in change:
        document.pop("else")
    with pytest.raises(InvalidQuery) as told:
        engine.tags.define(document)
    assert told.value.path == path, told.value
    assert "new" not in [one["name"] for one in engine.tags.all()]


WORDS = st.sampled_from(
    [
        *("name", "rule", "kind", "layers", "if", "v", "did", "e", "tag", "op", "eq", "all", "not"),
        *("value", "aggregate", "rfm", "expression", "imported", "manual", "events", "measure"),
        *("sum", "event.amount", "user.city", "as", "type", "string", "days", "buckets", "else"),
        *("schedule", "every", "at", "02:00", "count", "take", "p", "first", "pay", "*", "level"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(WORDS, JSON, max_size=5),
    st.sampled_from(["layers", "value", "aggregate", "rfm", "expression", "imported", "manual"]),
    st.dictionaries(WORDS, JSON, max_size=4),
)
def test_nonsense_is_an_invalid_query(more, kind, rule):
    document = {"name": "a", "rule": {"kind": kind, **rule}, **more}
    path, made = "$", None
    try:
        made = definition_from(document)
    except InvalidQuery as error:
        path = error.path
    assert path.startswith("$")
    if made is not None:
        assert definition_from(definition_to(made)) == made
        parts_of_rule(made.rule)


def test_a_definition_is_echoed_with_its_defaults():
    for one in (SPEND, LEVEL, CITY, VIP, AGENCY):
        made = definition_from(one)
        assert definition_from(definition_to(made)) == made


def test_unknown_events_are_warnings(engine):
    rule = {"kind": "aggregate", "events": {"e": "payy"}, "measure": "count"}
    assert "'payy'" in engine.tags.define({"name": "n", "rule": rule})["warnings"][0]


def test_a_cancelled_refresh_leaves_whole_days(engine):
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(QueryCancelled):
        engine.tags.refresh(["spend"], day="2026-10-08", cancel=cancel)
    assert engine.tags.show("spend")["days"] == []


# -------------------------------------------------------------------- reopening, damage, erasure


def test_tags_are_there_after_reopening(tmp_path, clock):
    with open_project(tmp_path, clock=clock) as engine:
        engine.append(EVENTS)
        for one in (SPEND, LEVEL, VIP):
            engine.tags.define(one)
        engine.tags.refresh(day="2026-10-08")
        engine.tags.give("vip", [("ann", "gold")], "lin")
        before = engine.tags.of_user("ann")
    with open_project(tmp_path, clock=clock) as engine:
        assert engine.tags.of_user("ann") == before
        assert list(engine.tags.scrub()) == []
    with open_project(tmp_path, mode="r", clock=clock) as engine:
        assert engine.tags.of_user("ann") == before
        assert asked(engine, audience={"tag": "level", "op": "eq", "v": "high"}) == [[4]]
        with pytest.raises(ReadOnly):
            engine.tags.define(CITY)
        with pytest.raises(ReadOnly):
            engine.tags.refresh(day="2026-10-09")


def test_a_damaged_file_is_told_and_harms_no_other_day(engine):
    tags = engine.tags
    tags.refresh(["level"], from_="2026-10-07", day="2026-10-08")
    tag = tags.kept().tags["level"]
    blob = Path(engine._writer.directory) / f"people/tags/{tag.files[0]:08d}.zblob"
    raw = bytearray(blob.read_bytes())
    raw[Blob(Files(), str(blob), tag.files[0])._entries[0][0]] ^= 1
    blob.write_bytes(raw)
    assert [type(one) for one in tags.scrub()] == [Corruption]
    with pytest.raises(Corruption):
        tags.values("level", day="2026-10-07")
    assert tags.values("level")["users"] == 3


def test_forgotten_users_leave_no_byte(engine):
    tags, folder = engine.tags, engine._writer.directory + "/people"
    tags.define({"name": "secret", "rule": {"kind": "imported", "type": "string"}})
    tags.load("secret", [("ann", "NEVER-SEEN-ELSEWHERE"), ("bob", "other")])
    number = 0x11223344_55667788  # the end of a slice, which stands in the file as it is
    tags.load("agency", [("ann", number), ("bob", 3)])
    tags.define({"name": "note", "rule": {"kind": "manual", "type": "string"}})
    tags.give("note", [("ann", "ONLY-ANNS-NOTE"), ("bob", "bobs")], "lin")
    tags.give("note", [("ann", "ONLY-ANNS-NOTE")] * 300, "lin")
    tags.give("note", [("ann", "ONLY-ANNS-NOTE")], "lin")
    tags.refresh(["level"], day="2026-10-08")
    shard, ordinal = engine._writer.find(b"uann")

    def holds(text):
        files = [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs]
        return any(text in Path(file).read_bytes() for file in files)

    assert holds(b"ONLY-ANNS-NOTE")
    assert holds(number.to_bytes(8, "little"))
    assert tags.forget({shard: np.array([ordinal], np.uint32)}) >= 4
    assert not holds(number.to_bytes(8, "little"))
    assert not holds(b"ONLY-ANNS-NOTE")
    assert not holds(b"NEVER-SEEN-ELSEWHERE")
    assert tags.of_user("ann") == {}
    assert tags.of_user("bob")["secret"] == "other"
    assert tags.of_user("bob")["note"] == "bobs"
    assert tags.of_user("bob")["level"] == "high"
    assert list(tags.scrub()) == []
    assert tags.forget({shard: np.array([ordinal], np.uint32)}) == 0


def test_a_value_of_a_device_is_its_owners_who_has_none(engine):
    tags = engine.tags
    for device in ("d1", "d2"):
        event = paid("x", 9, 1) | {"device_id": device}
        del event["user_id"]
        engine.append([event])
    tags.load("agency", [("d1", 5), ("d2", 6)], id_type="device_id", day="2026-10-18")
    tags.load("agency", [("bob", 7)], day="2026-10-18", add=True)
    assert dict(tags.values("agency")["rows"]) == {5: 1, 6: 1, 7: 1}
    together = [("ann", "d1"), ("bob", "d2")]
    engine.append([paid(user, 10, 1) | {"device_id": device} for user, device in together])
    assert tags.of_user("ann")["agency"] == 5
    assert tags.of_user("bob")["agency"] == 7
    assert tags.of_user("d1", id_type="device_id")["agency"] == 5
    assert dict(tags.values("agency")["rows"]) == {5: 1, 7: 1}
    assert asked(engine, audience={"tag": "agency", "op": "eq", "v": 5}) == [[5]]
    assert asked(engine, audience={"tag": "agency", "op": "gte", "v": 6}) == [[3]]
    assert asked(engine, audience={"tag": "agency", "op": "between", "v": [4, 6]}) == [[5]]
    engine.compact()
    assert asked(engine, audience={"tag": "agency", "op": "lte", "v": 6}) == [[5]]
    assert dict(tags.values("agency")["rows"]) == {5: 1, 7: 1}
    tags.give("vip", [("d1", "gold")], "lin", id_type="device_id")
    assert tags.of_user("ann")["vip"] == "gold"


def test_an_export_holds_the_values_and_who_gave_them(engine, clock):
    tags = engine.tags
    tags.refresh(["level"], from_="2026-10-01", day="2026-10-02")
    tags.give("vip", [("bob", "gold")], "lin")
    place = engine._writer.find(b"ubob")
    assert list(tags.held(*place)) == [
        {"kind": "tag", "tag": "level", "values": [{"day": "2026-10-02", "value": "high"}]},
        {"kind": "tag", "tag": "spend", "values": [{"day": "2026-10-02", "value": 100.0}]},
        {
            "kind": "tag",
            "tag": "vip",
            "values": [{"time_ms": clock.now, "value": "gold", "who": "lin"}],
        },
    ]


def test_who_reads_beside_a_writer_sees_what_came_since(engine):
    engine.tags.define({"name": "since", "rule": {"kind": "manual", "type": "bool"}})
    engine.flush()
    folder = Path(engine._writer.directory).parent
    with open_project(folder, engine.project, mode="r") as reader:
        assert reader.tags.values("since")["rows"] == []
        engine.tags.give("since", [("ann", True)], "lin")
        assert reader.tags.values("since")["rows"] == [[True, 1]]
