"""Amplitude's protocol: events, operations on profiles, older forms, answers, bad bodies."""

import json
from urllib.parse import urlencode

import pytest

from tests.unit.foreign_bodies import (
    NOW,
    SETTINGS,
    converted,
    cut,
    events,
    mutated,
    one,
    reasons,
    request,
    stored,
    survives,
)
from zuji.engine.errors import InvalidEvent, Overloaded, StorageFailed
from zuji.server.errors import BadBody, Forbidden, Unauthorized
from zuji.server.protocols.amplitude import AMPLITUDE, FORMS
from zuji.server.settings import Settings

EVENT = {
    "event_type": "go",
    "user_id": "ann",
    "device_id": "dev",
    "time": NOW,
    "insert_id": "i1",
    "event_properties": {"n": 1, "within": {"a": [1]}},
    "user_properties": {"level": "gold"},
    "groups": {"company": ["a", "b"]},
    "library": "amplitude-python/1.3.0",
    "session_id": NOW,
    "price": 2.5,
}
CHANGE = {
    "event_type": "$identify",
    "user_id": "ann",
    "insert_id": "i2",
    "user_properties": {
        "$set": {"a": 1},
        "$setOnce": {"b": "x"},
        "$add": {"n": 2},
        "$append": {"list": 7},
        "$postInsert": {"more": ["a", "b"]},
        "$unset": {"old": "-"},
        "$clearAll": "-",
    },
}


def asked(*records, path="/2/httpapi", **more):
    return request(path, {"api_key": "k", "events": list(records), **more})


def sent(*records, settings=SETTINGS, **more):
    return converted(AMPLITUDE, asked(*records, **more), settings)


def test_an_event():
    taken = sent(EVENT)
    assert taken.key == "k"
    event, profile = events(taken)
    assert event == {
        "event": "go",
        "time": NOW,
        "user_id": "ann",
        "device_id": "dev",
        "insert_id": event["insert_id"],
        "properties": {
            "n": 1,
            "within": '{"a":[1]}',
            "$groups": '{"company":["a","b"]}',
            "$session_id": NOW,
            "$price": 2.5,
            "$lib": "amplitude-python",
            "$lib_version": "1.3.0",
        },
    }
    assert (profile["type"], profile["properties"]) == ("profile_set", {"level": "gold"})
    assert profile["insert_id"] != event["insert_id"]


def test_fields_that_are_not_known_are_kept():
    more = {"new_field": {"a": 1}, "n": 5, "session_id": -1, "extra": None, "$time": 3}
    event = events(sent({**EVENT, **more}))[0]
    found = event["properties"]
    assert (found["new_field"], found["_n"], found["n"]) == ('{"a":1}', 5, 1)
    assert found["_$time"] == 3
    assert not {"$session_id", "extra"} & set(found)


def test_times():
    assert one(sent({"event_type": "e", "user_id": "u"}))["time"] == NOW
    late = {"event_type": "e", "user_id": "u", "time": NOW - 3600_000}
    upload = "2026-10-01T03:00:00.000Z"  # an hour behind
    assert one(sent(late, client_upload_time=upload))["time"] == NOW
    for other in (None, "nonsense", "2026-10-01T03:00:00", True, 10**30, [], NOW - 2000):
        assert one(sent(late, client_upload_time=other))["time"] == NOW - 3600_000


def test_an_event_sent_again_has_the_same_insert_ids():
    first, again = events(sent(CHANGE)), events(sent(CHANGE))
    assert first == again
    assert len({event["insert_id"] for event in first}) == len(first) == 8
    other = events(sent({**CHANGE, "user_id": "bo"}))
    assert not {e["insert_id"] for e in first} & {e["insert_id"] for e in other}


def test_operations_on_profiles():
    identify, *changes = events(sent(CHANGE))
    assert identify["event"] == "$identify"
    assert [(e["type"], e["properties"]) for e in changes] == [
        ("profile_delete", {}),
        ("profile_unset", {"old": True}),
        ("profile_set", {"a": 1}),
        ("profile_set_once", {"b": "x"}),
        ("profile_increment", {"n": 2}),
        ("profile_append", {"list": ["7"]}),
        ("profile_append", {"more": ["a", "b"]}),
    ]
    for name in ("$prepend", "$preInsert", "$remove"):
        changes = {"$set": {"a": 1}, name: {"list": "x"}}
        taken = sent({**CHANGE, "user_properties": changes})
        assert len(events(taken)) == 2
        assert reasons(taken) == [(0, "unsupported")]
        assert json.loads(taken.refused[0].raw)["user_properties"] == {name: {"list": "x"}}


def test_groups():
    group = {
        "event_type": "$groupidentify",
        "groups": {"company": "acme"},
        "group_properties": {"$set": {"size": 3}},
    }
    assert reasons(sent(group)) == [(0, "kept_group")]
    event = one(sent({**group, "user_id": "ann"}))
    assert event["properties"] == {
        "$groups": '{"company":"acme"}',
        "$group_properties": '{"$set":{"size":3}}',
    }


def test_ids_that_are_too_short():
    record = {"event_type": "e", "user_id": "abcd"}
    assert reasons(sent(record)) == []
    assert reasons(sent(record, options={"min_id_length": 4})) == []
    assert reasons(sent(record, options={"min_id_length": 5})) == [(0, "id_too_short")]
    for odd in (None, [], {"min_id_length": "5"}, {"min_id_length": True}):
        assert reasons(sent(record, options=odd)) == []


def test_addresses_are_left_out_unless_they_are_kept_or_placed():
    for settings in (SETTINGS, Settings(enrich_user_agent=True)):
        record = {"event_type": "e", "user_id": "u", "ip": "1.2.3.4"}
        assert one(sent(record, settings=settings))["properties"] == {}
    places = Settings(ip_regions="x")
    for address, found in (("1.2.3.4", {"$ip": "1.2.3.4"}), ("$remote", {}), (None, {"$ip": None})):
        record = {"event_type": "e", "user_id": "u", "ip": address}
        assert one(sent(record, settings=places))["properties"] == found


@pytest.mark.parametrize("path", sorted(FORMS))
def test_older_forms(path):
    field, name = FORMS[path]
    record = {"user_id": "ann", "insert_id": "i", "x": "a +&%"}
    if not name:
        record["event_type"] = name = "go"
    for value in (record, [record]):
        body = urlencode({"api_key": "k", field: json.dumps(value)}).encode()
        in_json = json.dumps({"api_key": "k", field: value}).encode()
        for taken in (
            converted(AMPLITUDE, request(path, body)),
            converted(AMPLITUDE, request(path, in_json)),
            converted(AMPLITUDE, request(path, b"", body)),
        ):
            assert taken.key == "k"
            if name == "$groupidentify":
                assert events(taken)[0]["event"] == name
            else:
                event = one(taken)
                assert (event["event"], event["properties"]["x"]) == (name, "a +&%")
    assert AMPLITUDE.stored(request(path), taken, ()).body == b"success"


def test_success():
    found = AMPLITUDE.stored(asked(EVENT), sent(EVENT, 7), ())
    said = json.loads(found.body)
    assert (found.status, said["code"], said["events_ingested"]) == (200, 200, 2)
    assert said["server_upload_time"] == NOW
    assert said["payload_size_bytes"] > 100


@pytest.mark.parametrize(
    ("error", "status", "drops"),
    [
        (Unauthorized("unknown"), 400, True),
        (Forbidden("may not"), 400, True),
        (InvalidEvent("no json", reason="bad_json"), 400, True),
        (BadBody("not gzip"), 400, True),
        (BadBody("which coding", 415), 400, True),
        (BadBody("too large", 413), 413, False),
        (Overloaded("busy", 3.0), 503, False),
        (StorageFailed("broken"), 503, False),
    ],
)
def test_errors_say_what_sdks_read(error, status, drops):
    """They drop events of a 400 only with ``missing_field`` or ``Invalid API key``."""
    found = AMPLITUDE.failed(asked(EVENT), error)
    said = json.loads(found.body)
    assert found.status == said["code"] == status
    assert isinstance(said["error"], str)
    dropped = bool(said.get("missing_field")) or said["error"].startswith("Invalid API key")
    assert dropped == drops
    assert (b"Retry-After" in dict(found.headers)) == (status == 503)


BAD = [b"", b"7", b"[]", b"{}", b'{"events": 7}', b"{", b"\xff", b"[" * 5000, b'{"events": {}}']


@pytest.mark.parametrize("path", ["/2/httpapi", *FORMS])
@pytest.mark.parametrize("body", BAD)
def test_bodies_that_are_nothing(path, body):
    taken = survives(AMPLITUDE, request(path, body))
    assert taken is None or not events(taken)


def test_keys_that_are_none():
    for key in (None, 7, {}, [], True):
        assert sent(EVENT, api_key=key).key == ""


@pytest.mark.parametrize("valid", [EVENT, CHANGE])
def test_bad_records_are_refused_alone(valid, tmp_path):
    records = list(mutated(valid, 300, seed=valid["event_type"]))
    taken = sent(*records)
    assert len(events(taken)) + len(taken.refused) >= 300
    results = stored(tmp_path, taken)
    assert sum(result.accepted + result.duplicates for result in results) > 200


def test_damaged_bodies():
    for body in cut(asked(EVENT, CHANGE).body, seed=1):
        survives(AMPLITUDE, request("/2/httpapi", body))
    form = urlencode({"api_key": "k", "event": json.dumps([EVENT])}).encode()
    for body in cut(form, seed=2):
        survives(AMPLITUDE, request("/httpapi", body))
