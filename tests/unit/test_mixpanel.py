"""Mixpanel's protocol: forms, ids, operations on profiles, answers, bodies that are bad."""

import base64
import json
from urllib.parse import urlencode

import pytest

from tests.unit.foreign_bodies import (
    NOW,
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
from zuji.engine.batch.columns import Rejected
from zuji.engine.errors import Overloaded, StorageFull
from zuji.engine.writer import AppendResult
from zuji.server.errors import BadBody, Unauthorized
from zuji.server.protocols.mixpanel import MIXPANEL
from zuji.server.settings import Settings

KEY = "zk_w_aaaaaaaa_secret"
EVENT = {
    "event": "go",
    "properties": {
        "token": KEY,
        "time": NOW / 1000,
        "distinct_id": "ann",
        "$insert_id": "i1",
        "n": 1,
        "city": "济南 +&=%",
        "$device_id": "dev",
        "within": {"a": [1]},
    },
}
CHANGE = {
    "$token": KEY,
    "$distinct_id": "ann",
    "$time": NOW / 1000 + 0.1234,
    "$set": {"a": 1},
    "$set_once": {"b": "x"},
    "$add": {"n": 2},
    "$append": {"list": "one"},
    "$union": {"more": ["a", "b"]},
    "$unset": ["old"],
}


def track(*records, path="/track", query=b"", **headers):
    return converted(MIXPANEL, request(path, list(records), query, **headers))


def of(**properties):
    event = one(track({"event": "go", "properties": {"token": KEY, **properties}}))
    return event["user_id"], event["device_id"], event["properties"]


@pytest.mark.parametrize("value", [EVENT, [EVENT]])
@pytest.mark.parametrize("path", ["/track", "/track/"])
def test_every_form_of_a_body_is_the_same(value, path):
    text = json.dumps(value).encode()
    utf8 = json.dumps(value, ensure_ascii=False).encode()
    coded = base64.b64encode(text)
    bodies = [text, utf8, b"data=" + coded, b"ip=1&data=" + coded + b"&verbose=1"]
    bodies += [urlencode({"data": data, "verbose": 1}).encode() for data in (text, utf8, coded)]
    bodies += [b"data=" + base64.urlsafe_b64encode(utf8).rstrip(b"=")]
    found = [one(converted(MIXPANEL, request(path, body))) for body in bodies]
    got = urlencode({"data": coded, "ip": 0}).encode()
    found.append(one(converted(MIXPANEL, request(path, b"", got, "GET"))))
    assert found == [found[0]] * len(found)
    assert found[0]["time"] == NOW
    assert found[0]["properties"]["city"] == "济南 +&=%"


def test_json_lines_on_import():
    lines = [json.dumps(EVENT), "nonsense", json.dumps({**EVENT, "event": "b"})]
    taken = converted(MIXPANEL, request("/import", "\n".join(lines).encode()))
    assert [event["event"] for event in events(taken)] == ["go", "b"]
    assert reasons(taken) == [(1, "not_a_map")]


@pytest.mark.parametrize(
    ("sent", "user", "device", "left"),
    [
        ({"distinct_id": "ann"}, "ann", None, {}),
        ({"distinct_id": 7}, "7", None, {}),
        ({"distinct_id": "$device:d1"}, None, "d1", {}),
        ({"distinct_id": "$device:d1", "$device_id": "d1"}, None, "d1", {}),
        ({"distinct_id": "d1", "$device_id": "d1"}, None, "d1", {}),
        ({"distinct_id": "ann", "$device_id": "d1"}, "ann", "d1", {}),
        ({"distinct_id": "ann", "$device_id": "d1", "$user_id": "ann"}, "ann", "d1", {}),
        ({"$device_id": "d1", "$user_id": "ann"}, "ann", "d1", {}),
        ({"distinct_id": "old", "$user_id": "ann"}, "ann", None, {"distinct_id": "old"}),
        (
            {"distinct_id": "$device:d2", "$device_id": "d1"},
            None,
            "d1",
            {"distinct_id": "$device:d2"},
        ),
        ({}, None, None, {}),
    ],
)
def test_ids(sent, user, device, left):
    assert of(**sent) == (user, device, left)


def test_identity_records_keep_what_they_carried():
    event = one(
        track(
            {
                "event": "$identify",
                "properties": {
                    "token": KEY,
                    "distinct_id": "ann",
                    "$anon_distinct_id": "$device:d1",
                    "x": 1,
                },
            }
        )
    )
    assert (event["user_id"], event["device_id"]) == ("ann", "d1")
    assert event["properties"] == {"$anon_distinct_id": "$device:d1", "x": 1}
    alias = {"token": KEY, "distinct_id": "anon", "alias": "ann"}
    event = one(track({"event": "$create_alias", "properties": alias}))
    assert (event["user_id"], event["device_id"]) == ("ann", "anon")
    assert event["properties"] == {"distinct_id": "anon", "alias": "ann"}
    merge = {"token": KEY, "$distinct_ids": ["$device:d", "ann", "bo"]}
    event = one(track({"event": "$merge", "properties": merge}, path="/import"))
    assert (event["user_id"], event["device_id"]) == ("ann", "d")
    assert event["properties"]["$distinct_ids"] == merge["$distinct_ids"]
    assert event["time"] == NOW


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        (NOW / 1000, NOW),
        (NOW, NOW),
        (1_790_827_200, NOW),
        ("1790827200.5", NOW + 500),
        (1_790_827_200.0619, NOW + 61),
        (0, 0),
        (None, NOW),
    ],
)
def test_times_are_seconds_or_milliseconds(time, ms):
    assert one(track({"event": "e", "properties": {"time": time}}))["time"] == ms


def test_clocks_that_say_when_they_sent_are_put_right():
    late = [{"event": "e", "properties": {"time": NOW / 1000 - 3600}}]
    for sent, time in ((NOW - 3600_000, NOW), (NOW - 3000, NOW - 3600_000), ("x", NOW - 3600_000)):
        taken = converted(MIXPANEL, request("/track", late, f"_={sent}&ip=1".encode()))
        assert one(taken)["time"] == time
    free = one(converted(MIXPANEL, request("/import", late, b"_=1790823600000")))
    assert (free["time"], free["time_free"]) == (NOW - 3600_000, True)


def test_the_same_event_has_the_same_insert_id_and_no_other_has():
    def insert(record):
        return one(track(record)).get("insert_id")

    def changed(**more):
        return insert({**EVENT, "properties": {**EVENT["properties"], **more}})

    same = insert(EVENT)
    assert same == changed(n=2)
    others = {changed(distinct_id="bo"), changed(**{"$insert_id": "i2"}), changed(time=5)}
    others.add(insert({**EVENT, "event": "other"}))
    assert len(others - {same}) == 4
    assert changed(**{"$insert_id": None}) is None


def test_operations_on_profiles():
    found = events(track(CHANGE, path="/engage"))
    assert [(e["type"], e["properties"]) for e in found] == [
        ("profile_unset", {"old": True}),
        ("profile_set", {"a": 1}),
        ("profile_set_once", {"b": "x"}),
        ("profile_increment", {"n": 2}),
        ("profile_append", {"list": ["one"]}),
        ("profile_append", {"more": ["a", "b"]}),
    ]
    assert {(e["user_id"], e["time"]) for e in found} == {("ann", NOW + 123)}
    assert len({e["insert_id"] for e in found}) == 6
    again = events(track(CHANGE, path="/engage"))
    assert again == found
    gone = one(track({"$token": KEY, "$distinct_id": "ann", "$delete": ""}, path="/engage"))
    assert (gone["type"], gone["properties"]) == ("profile_delete", {})
    assert "insert_id" not in gone


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({}, "unsupported"),
        ({"$set": 7}, "bad_value"),
        ({"$set": {"n": 10**30}}, "int_out_of_range"),
        ({"$add": {"n": "x"}}, "bad_value"),
        ({"$add": {"n": float("nan")}}, "not_finite"),
        ({"$unset": [7]}, "bad_value"),
        ({"$unset": 7}, "bad_value"),
        ({"$remove": {"list": "one"}}, "unsupported"),
        ({"$invented": 1}, "unsupported"),
    ],
)
def test_operations_that_cannot_be_done_are_refused(operation, reason):
    taken = track({"$token": KEY, "$distinct_id": "ann", **operation}, path="/engage")
    assert events(taken) == []
    assert reasons(taken) == [(0, reason)]
    assert KEY.encode() not in taken.refused[0].raw


def test_many_unknown_operations_are_one_refusal():
    many = {f"$o{n}": 1 for n in range(5_000)}
    taken = track({"$token": KEY, "$distinct_id": "ann", "$set": {"a": 1}, **many}, path="/engage")
    assert len(events(taken)) == 1
    assert reasons(taken) == [(0, "unsupported")]


def test_groups_are_kept():
    group = {"$token": KEY, "$group_key": "company", "$group_id": "acme", "$set": {"size": 3}}
    taken = track(group, {"$token": KEY, "$set": {}}, path="/groups")
    assert reasons(taken) == [(0, "kept_group"), (1, "missing_id")]
    assert json.loads(taken.refused[0].raw)["$set"] == {"size": 3}


def test_keys():
    def key(**headers):
        return MIXPANEL.key(request("/import", b"", **headers))

    assert key() is None
    assert key(authorization="Bearer k") == "k"
    for pair in (f"{KEY}:", f"{KEY}:x", f"someone:{KEY}"):
        assert key(authorization="Basic " + base64.b64encode(pair.encode()).decode()) == KEY
    for other in ("Basic ###", "Basic " + base64.b64encode(b"a:b").decode(), "Digest x", "Basic"):
        assert key(authorization=other) is None
    assert track(EVENT).key == KEY
    assert track(CHANGE, path="/engage").key == KEY
    assert track({"event": "e", "properties": {}}, query=b"api_key=K").key == "K"
    assert track(7, None, {"event": "e"}, {"properties": 3}).key == ""


def test_a_request_is_of_one_project():
    other = {"event": "e", "properties": {"token": "zk_w_bbbbbbbb_x", "distinct_id": "u"}}
    taken = track(EVENT, other, {"event": "e", "properties": {"distinct_id": "u"}})
    assert len(events(taken)) == 2
    assert reasons(taken) == [(1, "other_project")]


def test_addresses_are_left_out_unless_they_are_kept_or_placed():
    record = {"event": "e", "properties": {"token": KEY, "ip": "1.2.3.4"}}
    assert one(track(record))["properties"] == {}
    for settings in (Settings(store_ip=True), Settings(ip_regions="x")):
        found = one(converted(MIXPANEL, request("/track", [record]), settings))
        assert found["properties"] == {"$ip": "1.2.3.4"}
        plain = [{"event": "e", "properties": {}}]
        for query, value in ((b"ip=0", {"$ip": None}), (b"ip=1", {}), (b"", {})):
            found = one(converted(MIXPANEL, request("/track", plain, query), settings))
            assert found["properties"] == value


def answer(asked, *results):
    return MIXPANEL.stored(asked, converted(MIXPANEL, asked), results)


def test_answers():
    good = AppendResult(1)
    form = urlencode({"data": json.dumps(EVENT), "verbose": 1, "ip": 0}).encode()
    for asked in (request("/track", form), request("/track", [EVENT], b"verbose=1&ip=1")):
        assert json.loads(answer(asked, good).body) == {"status": 1, "error": None}
    plain = answer(request("/engage/", [CHANGE]), good)
    assert (plain.status, plain.body, plain.kind[:10]) == (200, b"1", b"text/plain")
    pixel = answer(request("/track", [EVENT], b"img=1"), good)
    assert pixel.kind == b"image/gif"
    assert pixel.body.startswith(b"GIF89a")
    legacy = answer(request("/import", form), good)
    assert json.loads(legacy.body)["status"] == 1


@pytest.mark.parametrize("strict", [False, True])
def test_import_tells_which_records_failed(strict):
    records = [EVENT, 7, {**EVENT, "event": "b"}, {**EVENT, "event": "c"}]
    asked = request("/import", records, b"strict=1" if strict else b"")
    result = AppendResult(2, 0, (Rejected(1, "missing_id", "user_id", "no id", b""),))
    found = answer(asked, result)
    said = json.loads(found.body)
    assert said["num_records_imported"] == 2
    if not strict:
        assert (found.status, said["code"], said["status"]) == (200, 200, "OK")
        return
    assert (found.status, said["code"]) == (400, 400)
    assert [(one["index"], one["insert_id"], one["field"]) for one in said["failed_records"]] == [
        (1, None, ""),
        (2, "i1", "user_id"),
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthorized("no key"), 401),
        (Overloaded("busy", 3.0), 503),
        (StorageFull("full"), 507),
        (BadBody("too large", 413), 413),
    ],
)
def test_errors(error, status):
    form = urlencode({"data": "x", "verbose": 1}).encode()
    found = MIXPANEL.failed(request("/track", form), error)
    assert found.status == status
    assert json.loads(found.body) == {"status": 0, "error": str(error)}
    assert (b"Retry-After" in dict(found.headers)) == (status in (503, 507))
    assert MIXPANEL.failed(request("/track", b"data=x"), error).body == b"0"
    packed = request("/track", b"\x1f\x8b", content_encoding="gzip")
    assert json.loads(MIXPANEL.failed(packed, error).body)["status"] == 0
    imported = request("/import", [EVENT], content_type="application/json")
    assert json.loads(MIXPANEL.failed(imported, error).body)["code"] == status


BAD = [b"", b"data", b"data=", b"data=%", b"data=####", b"data=eA==", b"7", b"{", b"[[[", b"\xff"]


@pytest.mark.parametrize("path", sorted(MIXPANEL.paths))
@pytest.mark.parametrize("body", BAD)
def test_bodies_that_are_nothing(path, body):
    assert survives(MIXPANEL, request(path, body)) is None


@pytest.mark.parametrize("path", ["/track", "/engage", "/groups", "/import"])
def test_bad_records_are_refused_alone(path, tmp_path):
    valid = CHANGE if path == "/engage" else EVENT
    records = list(mutated(valid, 300, seed=path))
    taken = converted(MIXPANEL, request(path, records))
    seen = set(taken.note.of) | {found.index for found in taken.refused}
    assert seen == set(range(300))
    results = stored(tmp_path, taken)
    assert sum(result.accepted for result in results) > (0 if path != "/groups" else -1)


@pytest.mark.parametrize("path", ["/track", "/engage"])
def test_damaged_bodies(path):
    valid = json.dumps([EVENT if path == "/track" else CHANGE] * 2).encode()
    forms = [valid, urlencode({"data": valid}).encode(), b"data=" + base64.b64encode(valid)]
    for number, form in enumerate(forms):
        for body in cut(form, seed=number):
            survives(MIXPANEL, request(path, body))
