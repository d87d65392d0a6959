"""PostHog's protocol: forms of bodies, identities, clocks, and whatever else may come."""

from __future__ import annotations

import base64
import gzip
import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zuji
from tests.unit.foreign_outcome import (
    KINDS,
    NOW,
    SETTINGS,
    bodies,
    json_values,
    natives,
    objects_with,
    outcome,
    places,
    put,
    request,
)
from zuji.server.protocols.posthog import POSTHOG, V1
from zuji.server.settings import Settings

ids = count()
SENT = "2026-10-01T04:00:00Z"  # NOW


def event(name="e", **more):
    return {
        "event": name,
        "distinct_id": "u1",
        "uuid": f"id-{next(ids)}",
        "timestamp": SENT,
        "properties": {"n": 1},
        **more,
    }


FULL = {
    "event": "$identify",
    "distinct_id": "u1",
    "uuid": "id",
    "timestamp": SENT,
    "offset": 5,
    "sent_at": SENT,
    "session_id": "s",
    "options": {"process_person_profile": True, "disable_skew_correction": False},
    "library": "lib",
    "$set": {"level": "gold"},
    "$set_once": {"first": 1},
    "properties": {
        "$device_id": "d",
        "$anon_distinct_id": "a",
        "$is_identified": True,
        "$user_id": "u1",
        "$insert_id": "i",
        "$unset": ["x"],
        "token": "k",
        "alias": "b",
        "n": 1,
    },
}


def batch(*events, **more):
    return {"api_key": "key", "batch": list(events), "sent_at": SENT, **more}


def taken(value, path="/batch/", query=b"", headers=None, with_settings=SETTINGS, **more):
    body = value if isinstance(value, bytes) else bodies(value)
    asked = request(path, body, headers, query, **more)
    found = outcome(POSTHOG, asked, None, with_settings).taken
    assert found is not None
    return found


def one(value, **more):
    (first,) = natives(taken(value, **more))
    return first


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with zuji.open(tmp_path_factory.mktemp("posthog"), "app") as found:
        yield found


PLAIN = bodies(batch(event("e", uuid="same")))
FORMS = {
    "plain": (PLAIN, b""),
    "gzip without a word": (gzip.compress(PLAIN), b""),
    "gzip-js": (gzip.compress(PLAIN), b"compression=gzip-js&ip=1"),
    "base64 form": (b"data=" + base64.b64encode(PLAIN), b"compression=base64"),
    "percent-coded form": (
        b"data=" + base64.b64encode(PLAIN).replace(b"=", b"%3D").replace(b"+", b"%2B"),
        b"",
    ),
    "JSON form": (b"data=" + PLAIN.replace(b" ", b"%20"), b""),
    "base64": (base64.b64encode(PLAIN), b""),
    "base64 of gzip": (b"data=" + base64.b64encode(gzip.compress(PLAIN)), b""),
    "pixel": (b"", b"data=" + base64.b64encode(PLAIN).replace(b"=", b"%3D")),
    "white space": (b"\r\n " + PLAIN, b""),
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN, b""),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_body_is_read_in_every_form(form):
    body, query = FORMS[form]
    found = taken(body, path="/e/", query=query)
    assert found.key == "key"
    (native,) = natives(found)
    assert native["insert_id"] == "same"


SHAPES = {
    "batch": batch(event()),
    "one event": {**event(), "api_key": "key"},
    "one event with a token": event(properties={"token": "key"}),
    "a list": [event(properties={"token": "key"}), event()],
    "a list with keys": [event(api_key="key")],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_key_is_found_in_every_shape_and_not_stored(shape):
    found = taken(SHAPES[shape], path="/capture/")
    assert found.key == "key"
    for native in natives(found):
        assert native["properties"].keys().isdisjoint({"token", "api_key"})


def test_no_shape_at_all_is_an_error():
    for body in (
        b"",
        b"nonsense!",
        b"7",
        b'{"batch": 5}',
        b"[1",
        b"data=",
        b"data=%%%",
        b"\x1f\x8b",
    ):
        answer = outcome(POSTHOG, request("/e/", body), None).answer
        assert answer.status == 400, body
        assert json.loads(answer.body)["detail"]
    answer = outcome(POSTHOG, request("/e/", b"data=N4Ig", query=b"compression=lz64"), None).answer
    assert answer.status == 415
    bomb = gzip.compress(b"[" + b" " * 5_000_000 + b"]")
    assert outcome(POSTHOG, request("/e/", bomb), None).answer.status == 413


def test_time_is_corrected_by_when_it_was_sent():
    def at(value, **more):
        return one(value, **more)["time"]

    assert at(batch(event())) == NOW
    assert at(batch(event(timestamp="2026-10-01T03:00:00.5Z"))) == NOW - 3_600_000 + 500
    late = batch(event(timestamp="2026-10-01T12:00:00+08:00"), sent_at="2026-10-01T05:00:00Z")
    assert at(late) == NOW - 3_600_000
    assert at({**late, "sent_at": "no time"}) == NOW
    assert at([event()], query=b"sent_at=1790830800000") == NOW - 3_600_000
    assert at(batch(event(properties={"$ignore_sent_at": True}), sent_at=late["sent_at"])) == NOW
    assert at(batch(event(timestamp="2026-10-01 04:00:00"))) == NOW
    without = event()
    del without["timestamp"]
    assert at(batch(without)) == NOW
    assert at(batch({**without, "offset": 1500})) == NOW - 1500
    headers = {"PostHog-Request-Timestamp": "2026-10-01T05:00:00Z", "Authorization": "Bearer key"}
    v1 = {"batch": [event()], "created_at": SENT}
    assert at(v1, path=V1, headers=headers) == NOW - 3_600_000
    own = {"batch": [event(options={"disable_skew_correction": True})]}
    assert at(own, path=V1, headers=headers) == NOW
    assert one(batch(event(), historical_migration=True))["time_free"] is True
    assert "time_free" not in one(batch(event()))


WHOSE = [
    ({}, "u1", None),  # a server
    ({"$process_person_profile": False}, None, "u1"),
    ({"$is_identified": False, "$device_id": "u1"}, None, "u1"),
    ({"$is_identified": False, "$device_id": "d"}, None, "u1"),
    ({"$is_identified": True, "$device_id": "d"}, "u1", "d"),
    ({"$device_id": "d", "$user_id": "u1"}, "u1", "d"),  # before there was $is_identified
    ({"$device_id": "u1"}, None, "u1"),
]


@pytest.mark.parametrize(("properties", "user", "device"), WHOSE)
def test_whose_an_event_is(properties, user, device):
    native = one(batch(event(properties=properties)))
    assert (native.get("user_id"), native.get("device_id")) == (user, device)
    own = properties.get("$device_id")
    assert native["properties"].get("_$device_id") == (None if own == device else own)


LINKS = [
    ("$identify", {"$anon_distinct_id": "a"}, "u1", "a"),
    ("$identify", {"$anon_distinct_id": "a", "$device_id": "d"}, "u1", "a"),
    ("$identify", {"$device_id": "d"}, "u1", "d"),
    ("$identify", {}, "u1", None),
    ("$create_alias", {"alias": "b"}, "b", "u1"),  # Python, pages: distinct_id is the device's
    ("$create_alias", {"alias": "b", "$lib": "posthog-node"}, "u1", "b"),
    ("$create_alias", {"alias": "b", "$is_identified": True, "$device_id": "d"}, "u1", "d"),
    ("$create_alias", {}, "u1", None),
    ("$merge_dangerously", {"alias": "b"}, "u1", "b"),
    ("$groupidentify", {"$group_type": "t", "$group_key": "k"}, "u1", None),
]


@pytest.mark.parametrize(("name", "properties", "user", "device"), LINKS)
def test_what_links_devices_and_users(name, properties, user, device):
    native = one(batch(event(name, properties=properties)))
    assert (native.get("user_id"), native.get("device_id")) == (user, device)
    for said in ("alias", "$anon_distinct_id"):
        assert native["properties"].get(said) == properties.get(said)


def test_a_group_of_node_is_nobody():
    value = event("$groupidentify", distinct_id="$t_k")
    value["properties"] = {"$group_type": "t", "$group_key": "k", "$group_set": {"name": "x"}}
    native = one(batch(value))
    assert (native.get("user_id"), native["device_id"]) == (None, "$t_k")
    assert native["properties"]["$group_set"] == '{"name":"x"}'


def test_profiles_change_and_what_changed_them_stays():
    value = event(
        "seen",
        uuid="m",
        **{"$set": {"a": 1}, "$set_once": {"b": 2, "c": None}},
        properties={"$set": {"a": 0, "d": {"e": 1}}, "$unset": ["f"]},
    )
    first, *changes = natives(taken(batch(value)))
    assert first["properties"]["$set"] == '{"a":1,"d":{"e":1}}'
    assert first["properties"]["$unset"] == ["f"]
    assert [(c["type"], c["properties"]) for c in changes] == [
        ("profile_set", {"a": 1, "d": '{"e":1}'}),
        ("profile_set_once", {"b": 2}),
        ("profile_unset", {"f": True}),
    ]
    assert len({c["insert_id"] for c in (first, *changes)}) == 4
    assert {c["user_id"] for c in changes} == {"u1"}
    personless = event(**{"$set": {"a": 1}}, properties={"$process_person_profile": False})
    assert one(batch(personless))["properties"]["$set"] == '{"a":1}'


def test_a_bad_change_of_a_profile_leaves_the_event():
    value = event(**{"$set": 5}, properties={"$unset": {"a": 1}, "$set_once": {"x": 1 << 70}})
    found = taken(batch(value))
    first, unset = natives(found)
    assert (first["event"], unset["properties"]) == ("e", {"a": True})
    assert [r.reason for r in found.refused] == ["bad_value", "int_out_of_range"]


def test_an_address_is_stored_only_when_that_is_asked_for():
    value = batch(event(properties={"$ip": "192.0.2.7"}))
    assert "$ip" not in one(value)["properties"]
    asked = Settings(data="unused", store_ip=True)
    assert one(value, with_settings=asked)["properties"]["$ip"] == "192.0.2.7"
    value["batch"][0]["properties"]["$geoip_disable"] = True
    assert one(value, with_settings=asked)["properties"]["$ip"] is None


def test_v1_lifts_options_and_tells_of_each_event(engine):
    good, bad = event(), event(distinct_id="x" * 300)
    good |= {
        "session_id": "s",
        "window_id": "w",
        "options": {"product_tour_id": "t", "cookieless_mode": True},
    }
    part = event(properties={"$set": 5})
    headers = {"Authorization": "Bearer key", "PostHog-Sdk-Info": "posthog-go/1.2"}
    unreadable = event(timestamp="never")
    asked = request(V1, bodies({"batch": [good, bad, part, unreadable, 7]}), headers)
    assert POSTHOG.key(asked) == "key"
    found = outcome(POSTHOG, asked, engine)
    assert json.loads(found.answer.body) == {
        "results": {
            good["uuid"]: {"result": "ok"},
            bad["uuid"]: {"result": "drop", "details": "id_too_long"},
            part["uuid"]: {"result": "warning", "details": "bad_value"},
            unreadable["uuid"]: {"result": "drop", "details": "bad_time"},
        }
    }
    assert natives(found.taken)[0]["properties"] == {
        "n": 1,
        "$session_id": "s",
        "$window_id": "w",
        "$product_tour_id": "t",
        "$cookieless_mode": True,
        "$lib": "posthog-go",
        "$lib_version": "1.2",
    }


@pytest.mark.parametrize("path", list(places(FULL)), ids=str)
def test_a_field_of_any_kind_leaves_the_neighbours(engine, path):
    for kind in KINDS:
        odd = put({**FULL, "uuid": f"id-{next(ids)}"}, path, kind)
        value = batch(event(), odd, event())
        for where in ("/batch/", V1):
            value["batch"][0] = event()
            value["batch"][2] = event()
            asked = request(where, bodies(value), {"Authorization": "Bearer key"})
            found = outcome(POSTHOG, asked, engine)
            assert found.answer.status == 200, (kind, found.answer.body)
            events = natives(found.taken)
            assert {value["batch"][0]["uuid"], value["batch"][2]["uuid"]} <= {
                e.get("insert_id") for e in events
            }
            assert found.accepted >= 2, (kind, found.reasons)
            assert len(events) + len(found.taken.refused) >= 3
            if where == V1:
                told = json.loads(found.answer.body)["results"]
                assert told[value["batch"][0]["uuid"]] == {"result": "ok"}
                assert told[value["batch"][2]["uuid"]] == {"result": "ok"}


@pytest.mark.parametrize("path", list(places(batch([]))), ids=str)
def test_an_envelope_of_any_kind_is_no_crash(engine, path):
    for kind in KINDS:
        value = put(batch(event(), event()), path, kind)
        found = outcome(POSTHOG, request("/batch/", bodies(value)), engine)
        assert found.answer.status in (200, 400, 413), (kind, found.answer)


def test_a_fraction_may_follow_a_whole_number(engine):
    prices = [{"price": price} for price in (12, 12.5, 1 << 53, (1 << 60) + 1)]
    value = batch(*(event("priced", properties=one) for one in prices))
    found = outcome(POSTHOG, request("/batch/", bodies(value)), engine)
    assert (found.accepted, found.reasons) == (4, ())
    told = [native["properties"]["price"] for native in natives(found.taken)]
    assert [type(price) for price in told] == [float, float, float, int]


def test_one_that_is_no_event_is_kept_as_it_came(engine):
    for odd in KINDS:
        if not isinstance(odd, dict):
            found = outcome(POSTHOG, request("/e/", bodies(batch(event(), odd, event()))), engine)
            assert (found.accepted, len(found.taken.refused)) == (2, 1)
    text = b'{"batch": [{"event": "e", "event": "f", "q": "\\u00e4"}]}'
    found = outcome(POSTHOG, request("/e/", text), engine)
    (kept,) = found.taken.refused
    assert kept.reason == "duplicate_key"
    assert "ä" in kept.raw.decode()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | json_values.map(bodies), st.sampled_from(sorted(POSTHOG.paths)))
def test_any_body_gets_an_answer(body, path):
    assert outcome(POSTHOG, request(path, body), None).answer.status in (200, 400, 413, 415)


@settings(max_examples=150, deadline=None)
@given(objects_with({*FULL, *FULL["properties"]}), objects_with(FULL["properties"]))
def test_any_event_leaves_its_neighbours(engine, odd, properties):
    odd.setdefault("properties", properties)
    value = batch(event(), {**odd, "uuid": f"id-{next(ids)}"}, event())
    found = outcome(POSTHOG, request("/batch/", bodies(value)), engine)
    assert found.answer.status == 200
    assert found.accepted >= 2, found.reasons
