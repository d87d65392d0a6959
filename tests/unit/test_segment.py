"""Segment's and RudderStack's protocol: calls, contexts, keys, and whatever else may come."""

from __future__ import annotations

import base64
import gzip
import json
from itertools import count

import pytest
from hypothesis import given, settings

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
from zuji.engine.errors import Overloaded
from zuji.server.errors import Forbidden, Unauthorized
from zuji.server.protocols.segment import SEGMENT
from zuji.server.settings import Settings

ids = count()
SENT = "2026-10-01T04:00:00Z"  # NOW
BASIC = {"Authorization": "Basic " + base64.b64encode(b"key:").decode()}

FULL = {
    "type": "identify",
    "event": "e",
    "name": "n",
    "category": "c",
    "userId": "u1",
    "anonymousId": "d1",
    "previousId": "d0",
    "groupId": "g",
    "messageId": "id",
    "timestamp": SENT,
    "originalTimestamp": SENT,
    "sentAt": SENT,
    "channel": "web",
    "integrations": {"All": True},
    "traits": {"level": "gold"},
    "properties": {"n": 1},
    "context": {
        "app": {"version": "1", "other": 2},
        "library": {"name": "l", "version": "2"},
        "page": {"url": "https://a/"},
        "traits": {"age": 4},
        "ip": "192.0.2.7",
        "locale": "en",
    },
}


def message(call="track", **more):
    return {
        "type": call,
        "event": "e",
        "userId": "u1",
        "messageId": f"id-{next(ids)}",
        "timestamp": SENT,
        "properties": {"n": 1},
        **more,
    }


def batch(*messages, **more):
    return {"writeKey": "key", "batch": list(messages), "sentAt": SENT, **more}


def taken(value, path="/v1/batch", with_settings=SETTINGS, **more):
    body = value if isinstance(value, bytes) else bodies(value)
    found = outcome(SEGMENT, request(path, body, **more), None, with_settings).taken
    assert found is not None
    return found


def one(value, **more):
    return natives(taken(value, **more))[0]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with zuji.open(tmp_path_factory.mktemp("segment"), "app") as found:
        yield found


def test_the_key_is_found_wherever_it_stands():
    asked = request("/v1/batch", bodies(batch(message())), BASIC)
    assert SEGMENT.key(asked) == "key"
    assert SEGMENT.key(request("/v1/batch", headers={"Authorization": "Bearer key"})) == "key"
    for odd in ("Basic", "Basic %%%", "Basic é"):
        assert SEGMENT.key(request("/v1/batch", headers={"Authorization": odd})) == ""
    assert SEGMENT.key(request("/v1/batch")) is None
    assert taken(batch(message())).key == "key"
    assert taken({"batch": [message(writeKey="key")]}).key == "key"
    assert taken({"batch": [message()]}, query=b"writeKey=key").key == "key"
    assert taken(message(writeKey="key"), path="/v1/t").key == "key"
    assert taken({"batch": []}).key == ""
    for native in natives(taken(message(writeKey="key"), path="/v1/t")):
        assert "writeKey" not in native["properties"]


@pytest.mark.parametrize(
    ("path", "event"),
    [
        *(
            ("/v1/track", "e"),
            ("/v1/t", "e"),
            ("/v1/identify", "$identify"),
            ("/v1/i", "$identify"),
        ),
        *(("/v1/page", "$pageview"), ("/v1/p", "$pageview"), ("/v1/screen", "$screen")),
        *(("/v1/s", "$screen"), ("/v1/group", "$group"), ("/v1/g", "$group")),
        *(("/v1/alias", "$alias"), ("/v1/a", "$alias")),
    ],
)
def test_a_path_tells_the_call_of_a_single_message(path, event):
    assert one(message("other"), path=path)["event"] == event


def test_a_body_may_be_gzip_without_a_word():
    assert one(gzip.compress(bodies(batch(message()))))["event"] == "e"


def test_no_shape_at_all_is_an_error():
    for body in (b"", b"nonsense", b"[]", b"7", b"{}", b'{"batch": {}}', b"\x1f\x8b"):
        answer = outcome(SEGMENT, request("/v1/batch", body), None).answer
        assert answer.status == 400, body
        assert json.loads(answer.body)["code"]


def test_time_is_corrected_by_when_it_was_sent():
    def at(value):
        return one(value)["time"]

    assert at(batch(message())) == NOW
    assert at(batch(message(), sentAt="2026-10-01T05:00:00Z")) == NOW - 3_600_000
    assert at(batch(message(sentAt="2026-10-01T03:00:00+00:00"))) == NOW + 3_600_000
    assert (
        at(batch(message(timestamp=None, originalTimestamp="2026-10-01T03:59:59.5Z"))) == NOW - 500
    )
    assert at(batch(message(timestamp=None))) == NOW
    assert at(batch(message(timestamp=NOW - 7))) == NOW - 7


def test_an_alias_links_the_earlier_id():
    native = one(batch(message("alias", previousId="d0", anonymousId="d1")))
    assert (native["user_id"], native["device_id"]) == ("u1", "d0")
    assert native["properties"]["previous_id"] == "d0"
    assert native["properties"]["anonymous_id"] == "d1"
    same = one(batch(message("alias", previousId="u1", anonymousId="d1")))
    assert (same["user_id"], same["device_id"]) == ("u1", "d1")


def test_traits_change_the_profile_and_stay_on_the_event():
    value = message(
        "identify", traits={"a": 1, "b": {"c": 2}}, context={"traits": {"d": 3, "a": 0}}
    )
    first, changed = natives(taken(batch(value)))
    assert first["event"] == "$identify"
    assert first["properties"] == {"n": 1, "a": 1, "b": '{"c":2}', "d": 3}
    assert (changed["type"], changed["properties"]) == (
        "profile_set",
        {"a": 1, "b": '{"c":2}', "d": 3},
    )
    assert changed["insert_id"] != first["insert_id"]
    other = one(batch(message(context={"traits": {"d": 3}})))
    assert other["properties"]["context.traits"] == '{"d":3}'


def test_the_context_becomes_properties_without_addresses():
    context = {**FULL["context"], "userAgent": "Mozilla", "odd": [1], "none": None, "os": "x"}
    expected = {
        "n": 1,
        "$app_version": "1",
        "context.app": '{"other":2}',
        "$lib": "l",
        "$lib_version": "2",
        "$url": "https://a/",
        "context.traits": '{"age":4}',
        "context.locale": "en",
        "context.odd": ["1"],
        "context.os": "x",
    }
    value = batch(message(context=context))
    assert one(value)["properties"] == expected
    asked = Settings(data="unused", store_ip=True)
    kept = one(value, with_settings=asked)["properties"]
    assert kept == {**expected, "$ip": "192.0.2.7"}
    envelope = batch(message(), context={"library": {"name": "l"}})
    assert one(envelope)["properties"] == {"n": 1, "$lib": "l"}


def test_what_else_a_message_has_is_kept():
    native = one(
        batch(message(channel="web", version=2, _metadata={"x": 1}, integrations={"y": 1}))
    )
    assert native["properties"] == {"n": 1, "channel": "web", "version": 2}


def test_errors_say_whether_to_send_again():
    asked = request("/v1/batch")
    for error, status in (
        (Unauthorized("no"), 401),
        (Forbidden("no"), 401),
        (Overloaded("later", 3.0), 503),
    ):
        answer = SEGMENT.failed(asked, error)
        assert answer.status == status
        assert (b"Retry-After", b"3") in answer.headers or status == 401


def test_pages_find_their_configuration():
    settings_of = SEGMENT.fixed["/v1/projects/*"]
    asked = request("/v1/projects/k1/settings", headers={"Host": "collect.example"}, method="GET")
    found = json.loads(settings_of(asked).body)
    assert found["integrations"]["Segment.io"]["apiKey"] == "k1"
    assert found["integrations"]["Segment.io"]["apiHost"] == "collect.example/v1"
    assert settings_of(request("/v1/projects/k1/other")).status == 404
    source = SEGMENT.fixed["/sourceConfig/"](request("/sourceConfig/", query=b"writeKey=k1"))
    assert json.loads(source.body)["source"]["writeKey"] == "k1"


@pytest.mark.parametrize("call", ["track", "identify", "page", "group", "alias"])
@pytest.mark.parametrize("path", list(places(FULL)), ids=str)
def test_a_field_of_any_kind_leaves_the_neighbours(engine, path, call):
    for kind in KINDS:
        odd = put({**FULL, "type": call, "messageId": f"id-{next(ids)}"}, path, kind)
        first, last = message(), message()
        found = outcome(SEGMENT, request("/v1/batch", bodies(batch(first, odd, last))), engine)
        assert found.answer.status == 200, (kind, found.answer.body)
        events = natives(found.taken)
        known = {e.get("insert_id") for e in events}
        assert {first["messageId"], last["messageId"]} <= known
        assert found.accepted >= 2, (kind, found.reasons)
        assert len(events) + len(found.taken.refused) >= 3


@pytest.mark.parametrize("path", list(places(batch([], context={"a": 1}))), ids=str)
def test_an_envelope_of_any_kind_is_no_crash(engine, path):
    for kind in KINDS:
        value = put(batch(message(), message(), context={"a": 1}), path, kind)
        found = outcome(SEGMENT, request("/v1/batch", bodies(value)), engine)
        assert found.answer.status in (200, 400, 413), (kind, found.answer)


def test_one_that_is_no_message_is_kept_as_it_came(engine):
    for odd in KINDS:
        if not isinstance(odd, dict):
            value = batch(message(), odd, message())
            found = outcome(SEGMENT, request("/v1/batch", bodies(value)), engine)
            assert (found.accepted, len(found.taken.refused)) == (2, 1)
    value = batch({**message("never"), "writeKey": "secret", "context": {"ip": "192.0.2.7"}})
    (kept,) = outcome(SEGMENT, request("/v1/batch", bodies(value)), engine).taken.refused
    assert kept.reason == "unknown_type"
    assert json.loads(kept.raw)["event"] == "e"
    assert b"secret" not in kept.raw
    assert b"192.0.2.7" not in kept.raw


@settings(max_examples=200, deadline=None)
@given(json_values.map(bodies))
def test_any_body_gets_an_answer(body):
    for path in ("/v1/batch", "/v1/t", "/v1/identify"):
        assert outcome(SEGMENT, request(path, body), None).answer.status in (200, 400, 413)


@settings(max_examples=150, deadline=None)
@given(objects_with(FULL), objects_with({*FULL["context"], "name", "version"}))
def test_any_message_leaves_its_neighbours(engine, odd, context):
    odd.setdefault("context", context)
    value = batch(message(), {**odd, "messageId": f"id-{next(ids)}"}, message())
    found = outcome(SEGMENT, request("/v1/batch", bodies(value)), engine)
    assert found.answer.status == 200
    assert found.accepted >= 2, found.reasons
