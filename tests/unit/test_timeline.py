"""Timelines: whose, in which order, page by page, in sessions, in a scope, against a plain list."""

from __future__ import annotations

import random

import msgpack
import pytest

from tests.oracle import generate
from tests.oracle.project import OracleProject
from zuji.engine import calendars
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import InvalidQuery, NotFound
from zuji.engine.query.scope import Scope

MINUTE = 60_000
START = 1_790_000_000_000
COLUMNS = ["time", "event", "session", "device_id", "properties"]


def event(user, minute, name="view", **properties):
    return {
        "user_id": user,
        "event": name,
        "time": START + minute * MINUTE,
        "properties": properties,
    }


@pytest.fixture
def engine(tmp_path):
    create_project(tmp_path, "default", tz="UTC", shards=2)
    opened = open_project(tmp_path, "default", clock=lambda: START + 10**9)
    opened.append(
        [
            event("ann", 0, a=1, city="x"),
            event("bob", 1, a=2),
            event("ann", 40, "pay", a=3, tags=["u", "v"], city="y", phone="1"),
            event("ann", 40, a=4),
            event("ann", 41, a=5, city="x"),
            {"device_id": "d9", "event": "view", "time": START, "properties": {}},
            {
                "user_id": "ann",
                "type": "profile_set",
                "time": START,
                "properties": {"plan": "gold"},
            },
            {"user_id": "old", "type": "profile_set", "time": START, "properties": {"plan": "x"}},
        ]
    )
    yield opened
    opened.close()


def a_of(result):
    return [row[4].get("a") for row in result.rows]


def test_rows_are_in_order_with_sessions_and_properties(engine):
    engine.flush()
    engine.append([{**event("ann", 20, "help"), "device_id": "phone"}])
    result = engine.timeline({"user_id": "ann"})
    assert result.names == COLUMNS
    assert result.rows == [
        ["2026-09-21T14:13:20+00:00", "view", 1, None, {"a": 1, "city": "x"}],
        ["2026-09-21T14:33:20+00:00", "help", 1, "phone", {}],
        [
            "2026-09-21T14:53:20+00:00",
            "pay",
            1,
            None,
            {"a": 3, "city": "y", "phone": "1", "tags": ["u", "v"]},
        ],
        ["2026-09-21T14:53:20+00:00", "view", 1, None, {"a": 4}],
        ["2026-09-21T14:54:20+00:00", "view", 1, None, {"a": 5, "city": "x"}],
    ]
    assert result.meta["next"] is None
    assert result.totals == {"events": 5, "sessions": 1}
    again = engine.timeline(result.query)
    assert again.rows == result.rows


def test_sessions_are_cut_before_filters(engine):
    assert [row[2] for row in engine.timeline({"user_id": "ann"}).rows] == [1, 2, 2, 2]
    only = engine.timeline({"user_id": "ann", "where": {"p": "event.city", "op": "eq", "v": "x"}})
    assert [(row[2], row[4]["a"]) for row in only.rows] == [(1, 1), (2, 5)]
    wide = engine.timeline({"user_id": "ann", "session": {"gap": {"n": 40, "unit": "minute"}}})
    assert {row[2] for row in wide.rows} == {1}


def test_pages_go_on_where_they_were_in_both_orders(engine):
    for order in ("asc", "desc"):
        whole = a_of(engine.timeline({"user_id": "ann", "order": order}))
        assert whole == ([1, 3, 4, 5] if order == "asc" else [5, 4, 3, 1])
        found, cursor = [], None
        while True:
            page = engine.timeline({"user_id": "ann", "order": order, "limit": 1, "cursor": cursor})
            found += a_of(page)
            cursor = page.meta["next"]
            if cursor is None:
                break
        assert found == whole


def test_a_cursor_holds_while_rows_come_late_and_files_are_merged(engine):
    page = engine.timeline({"user_id": "ann", "limit": 2})
    assert a_of(page) == [1, 3]
    engine.append([event("ann", 2, a=9), event("ann", 40, a=10)])
    engine.flush()
    engine.compact()
    assert a_of(engine.timeline({"user_id": "ann", "cursor": page.meta["next"]})) == [4, 10, 5]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"e": "pay"}, [3]),
        ({"e": ["pay", "view"]}, [1, 3, 4, 5]),
        ({"e": "never"}, []),
        ({"time": {"from": "2026-09-21T14:53:20Z"}}, [3, 4, 5]),
        ({"time": {"to": "2026-09-21T14:53:20Z"}}, [1]),
        ({"time": {"from": "2026-09-22"}}, []),
        ({"where": {"p": "user.plan", "op": "eq", "v": "gold"}}, [1, 3, 4, 5]),
        ({"where": {"p": "user.plan", "op": "eq", "v": "free"}}, []),
        ({"where": {"p": "event.tags", "op": "has", "v": "v"}}, [3]),
        ({"where": {"p": "event.city", "op": "is_not_set"}}, [4]),
        ({"where": {"p": "event.$time", "op": "gt", "v": "2026-09-21T14:53:20Z"}}, [5]),
        ({"where": {"p": "event.$name", "op": "ne", "v": "view"}}, [3]),
        ({"where": {"p": "event.$received", "op": "is_set"}}, [1, 3, 4, 5]),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_filters(engine, fields, expected, stored):
    if stored:
        engine.flush()
        engine.compact()
    assert a_of(engine.timeline({"user_id": "ann", **fields})) == expected


def test_chosen_properties_are_shown(engine):
    rows = engine.timeline({"user_id": "ann", "properties": ["event.a"]}).rows
    assert [set(row[4]) for row in rows] == [{"a"}] * 4


@pytest.fixture
def defined(engine):
    engine.define(
        events={
            "seen x": {"of": [{"e": "view", "where": {"p": "event.city", "op": "eq", "v": "x"}}]},
            "any of": {"of": ["seen x", "pay"]},
        },
        properties={
            "event.twice": {"type": "int64", "as": "event.a * 2"},
            "event.more": {"type": "int64", "as": "event.twice + 1"},
            "event.called": {"type": "string", "as": 'concat(event.phone, "")'},
            "user.contract": {"type": "string", "as": "upper(user.plan)"},
        },
    )
    return engine


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"e": "seen x"}, [1, 5]),
        ({"e": ["any of"]}, [1, 3, 5]),
        ({"e": ["seen x", "view"]}, [1, 4, 5]),
        ({"e": "seen x", "where": {"p": "event.a", "op": "gt", "v": 1}}, [5]),
        ({"where": {"p": "event.twice", "op": "gte", "v": 8}}, [4, 5]),
        ({"where": {"p": "event.more", "op": "eq", "v": 7}}, [3]),
        ({"where": {"p": "user.contract", "op": "eq", "v": "GOLD"}}, [1, 3, 4, 5]),
        ({"where": {"p": "user.contract", "op": "eq", "v": "gold"}}, []),
    ],
)
def test_virtual_names_stand_for_what_they_mean(defined, fields, expected, stored):
    if stored:
        defined.flush()
    result = defined.timeline({"user_id": "ann", **fields})
    assert a_of(result) == expected
    assert result.totals["events"] == len(expected)
    assert result.query.get("e", "*") == fields.get("e", "*")


@pytest.mark.parametrize("stored", [False, True])
def test_virtual_properties_are_shown_when_asked_for(defined, stored):
    if stored:
        defined.flush()
    names = ["event.more", "event.a", "event.called"]
    shown = defined.timeline({"user_id": "ann", "properties": names})
    assert [row[4] for row in shown.rows] == [
        {"a": 1, "more": 3},
        {"a": 3, "more": 7, "called": "1"},
        {"a": 4, "more": 9},
        {"a": 5, "more": 11},
    ]
    every = defined.timeline({"user_id": "ann"})
    assert not any("twice" in row[4] for row in every.rows)


def test_what_is_made_of_a_masked_property_is_masked(defined):
    scope = Scope.of(masked=["event.phone", "event.city"])
    for fields in (
        {"properties": ["event.called"]},
        {"where": {"p": "event.called", "op": "is_set"}},
        {"e": "seen x"},
        {"e": "any of"},
    ):
        with pytest.raises(InvalidQuery, match="may not use event"):
            defined.timeline({"user_id": "ann", **fields}, scope)
    assert a_of(defined.timeline({"user_id": "ann", "properties": ["event.a"]}, scope))


def test_devices_have_timelines_of_their_own(engine):
    assert len(engine.timeline({"device_id": "d9"}).rows) == 1
    for who in ({"user_id": "d9"}, {"device_id": "ann"}, {"user_id": "nobody"}):
        with pytest.raises(NotFound):
            engine.timeline(who)
    assert engine.timeline({"user_id": "old"}).rows == []


def test_scope_hides_rows_properties_and_users(engine):
    scope = Scope.of({"p": "event.city", "op": "is_set"}, ["event.phone"])
    result = engine.timeline({"user_id": "ann"}, scope)
    assert [row[4] for row in result.rows] == [
        {"a": 1, "city": "x"},
        {"a": 3, "city": "y", "tags": ["u", "v"]},
        {"a": 5, "city": "x"},
    ]
    assert [row[2] for row in result.rows] == [1, 2, 2]
    with pytest.raises(NotFound):
        engine.timeline({"user_id": "bob"}, scope)
    for fields in (
        {"where": {"p": "event.phone", "op": "is_set"}},
        {"properties": ["event.phone"]},
    ):
        with pytest.raises(InvalidQuery, match="may not use"):
            engine.timeline({"user_id": "ann", **fields}, scope)
    unnamed = engine.timeline({"user_id": "ann"}, Scope.of(masked=["event.$name"]))
    assert [row[1] for row in unnamed.rows] == [None] * 4
    with pytest.raises(InvalidQuery, match="may not use"):
        engine.timeline({"user_id": "ann", "e": "pay"}, Scope.of(masked=["event.$name"]))


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "$.user_id"),
        ({"user_id": "a", "device_id": "b"}, "$.user_id"),
        ({"user_id": "a", "limit": 0}, "$.limit"),
        ({"user_id": "a", "limit": 1_001}, "$.limit"),
        ({"user_id": "a", "cursor": "x"}, "$.cursor"),
        ({"user_id": "a", "order": "up"}, "$.order"),
        ({"user_id": "a", "e": []}, "$.e"),
        ({"user_id": "a", "project": "b"}, "$.project"),
        ({"user_id": "a", "properties": ["user.plan"]}, "$.properties[0]"),
        ({"user_id": "a", "user": "a"}, "$.user"),
        ({"user_id": "a", "time": {"tz": "Mars"}}, "$.time.tz"),
        ({"user_id": "a", "where": {"p": "event.a", "op": "eqq", "v": 1}}, "$.where.op"),
    ],
)
def test_wrong_documents_are_refused_with_their_place(engine, document, path):
    with pytest.raises(InvalidQuery) as caught:
        engine.timeline(document)
    assert caught.value.path == path


@pytest.mark.parametrize("seed", range(40))
def test_every_user_of_random_projects(tmp_path, seed):
    case = generate.project(seed)
    oracle = OracleProject(case.tz)
    create_project(tmp_path, "default", tz=case.tz, shards=case.shards)
    engine = open_project(tmp_path, "default", clock=lambda: 4 * 10**12)
    rng = random.Random(seed)
    for batch_id, events in case.batches:
        oracle.append(events, batch_id)
        document = {"events": events} | ({} if batch_id is None else {"batch_id": batch_id})
        engine.append_batch(msgpack.packb(document, datetime=True))
        if rng.random() < 0.4:
            engine.flush()
        if rng.random() < 0.2:
            engine.compact()
    for kind, name in oracle.users():
        rows = oracle.rows_of((kind, name))
        session, wanted = 0, []
        for i, row in enumerate(rows):
            session += i == 0 or row.time - rows[i - 1].time > 30 * MINUTE
            props = {n: plain(v, case.tz) for n, v in row.props.items()}
            device = props.pop("$device_id", None)
            at = calendars.format_instant(row.time, case.tz)
            wanted.append([at, row.event, session, device, props])
        document, found = {f"{kind}_id": name, "limit": rng.choice([1, 3, 1000])}, []
        while True:
            page = engine.timeline(document)
            found += page.rows
            document["cursor"] = page.meta["next"]
            if page.meta["next"] is None:
                break
        assert found == wanted
    engine.close()


def plain(value, tz):
    if value.kind == "datetime":
        return calendars.format_instant(value.v, tz)
    return list(value.v) if value.kind == "list" else value.v
