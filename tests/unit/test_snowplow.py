"""Snowplow's tracker protocol: fields, schemas, ids, clocks, answers, bad bodies."""

import base64
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
from zuji.engine.errors import InvalidEvent, Overloaded, StorageFull
from zuji.server.errors import BadBody, Forbidden, Unauthorized
from zuji.server.protocols.snowplow import GET, POST, SNOWPLOW
from zuji.server.settings import Settings

CLICK = "iglu:com.acme/link_click/jsonschema/1-0-0"
CLICKED = {
    "schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
    "data": {"schema": CLICK, "data": {"target": "济 +/", "n": 7, "within": {"a": 1}}},
}
CONTEXTS = {
    "schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
    "data": [
        {"schema": "iglu:com.acme/page/jsonschema/2-1-0", "data": {"id": 1}},
        {"schema": "iglu:com.acme/page/jsonschema/2-0-0", "data": {"id": 2}},
        {"schema": "iglu:com.acme/user.kind/jsonschema/1-0-0", "data": ["x"]},
    ],
}


def coded(value, *, padded=False):
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return text if padded else text.rstrip("=")


EVENT = {
    "e": "ue",
    "aid": "k",
    "eid": "e1",
    "uid": "ann",
    "duid": "dev",
    "nuid": "net",
    "p": "web",
    "tv": "js-4.10.1",
    "tna": "sp",
    "dtm": str(NOW),
    "stm": str(NOW),
    "vid": "3",
    "cookie": "1",
    "ue_px": coded(CLICKED),
    "cx": coded(CONTEXTS),
}
STRUCT = {
    "e": "se",
    "aid": "k",
    "uid": "ann",
    "dtm": str(NOW),
    "se_ca": "shop",
    "se_ac": "buy",
    "se_va": "12.5",
}


def sent(*records, settings=SETTINGS, **headers):
    body = {"schema": "iglu:x", "data": list(records)}
    return converted(SNOWPLOW, request(POST, body, **headers), settings)


@pytest.mark.parametrize("kind", ["base64", "padded", "plain", "pixel"])
def test_a_self_describing_event(kind):
    record = dict(EVENT)
    if kind == "padded":
        record |= {"ue_px": coded(CLICKED, padded=True), "cx": coded(CONTEXTS, padded=True)}
    if kind == "plain":
        del record["ue_px"], record["cx"]
        record |= {"ue_pr": json.dumps(CLICKED), "co": json.dumps(CONTEXTS)}
    if kind == "pixel":
        query = urlencode(record).encode()
        taken = converted(SNOWPLOW, request(GET, b"", query, "GET"))
    else:
        taken = sent(record)
    assert taken.key == "k"
    assert one(taken) == {
        "event": "link_click",
        "time": NOW,
        "user_id": "ann",
        "device_id": "dev",
        "insert_id": "e1",
        "properties": {
            "target": "济 +/",
            "n": 7,
            "within": '{"a":1}',
            "$schema": CLICK,
            "platform": "web",
            "name_tracker": "sp",
            "domain_sessionidx": 3,
            "br_cookies": True,
            "network_userid": "net",
            "$lib": "js",
            "$lib_version": "4.10.1",
            "contexts_com_acme_page_2": ['{"id":1}', '{"id":2}'],
            "contexts_com_acme_user_kind_1": ['["x"]'],
        },
    }


def test_events_of_all_kinds():
    names = {"pv": "page_view", "pp": "page_ping", "se": "struct", "tr": "transaction"}
    for kind, name in {**names, "ti": "transaction_item", "zz": "zz"}.items():
        assert one(sent({"e": kind, "aid": "k", "uid": "u"}))["event"] == name
    struct = one(sent(STRUCT))
    assert struct["properties"] == {"se_category": "shop", "se_action": "buy", "se_value": 12.5}
    odd = one(sent({**STRUCT, "new": "x", "se_category": "own", "$time": "5"}))["properties"]
    assert (odd["new"], odd["se_category"], odd["_se_category"]) == ("x", "shop", "own")
    assert odd["_$time"] == "5"


@pytest.mark.parametrize(
    ("ids", "user", "device"),
    [
        ({"uid": "ann", "duid": "d"}, "ann", "d"),
        ({"duid": "d", "nuid": "n"}, None, "d"),
        ({"nuid": "n"}, None, "n"),
        ({"tnuid": "t", "nuid": "n"}, None, "t"),
        ({"uid": ""}, None, None),
    ],
)
def test_ids(ids, user, device):
    event = one(sent({"e": "pv", "aid": "k", **ids}))
    assert (event["user_id"], event["device_id"]) == (user, device)


def test_an_app_that_names_itself_in_its_session():
    schema = "iglu:com.snowplowanalytics.snowplow/client_session/jsonschema/1-0-2"
    session = {"data": [{"schema": schema, "data": {"userId": "app-7", "sessionId": "s"}}]}
    event = one(sent({"e": "pv", "aid": "k", "co": json.dumps(session)}))
    assert event["device_id"] == "app-7"
    (kept,) = event["properties"]["contexts_com_snowplowanalytics_snowplow_client_session_1"]
    assert json.loads(kept)["sessionId"] == "s"


@pytest.mark.parametrize(
    ("times", "time"),
    [
        ({"dtm": NOW - 5000}, NOW - 5000),
        ({"dtm": str(NOW - 3600_000), "stm": str(NOW - 3600_000)}, NOW),
        ({"dtm": str(NOW - 3600_000), "stm": str(NOW - 2000)}, NOW - 3600_000),
        ({"ttm": str(NOW - 9), "dtm": "1", "stm": "1"}, NOW - 9),
        ({}, NOW),
        ({"dtm": "", "stm": "", "ttm": ""}, NOW),
    ],
)
def test_times(times, time):
    assert one(sent({"e": "pv", "aid": "k", "uid": "u", **times}))["time"] == time


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"e": None}, "missing_event"),
        ({"e": "ue", "ue_px": None}, "bad_schema"),
        ({"e": "ue", "ue_px": "###"}, "bad_base64"),
        ({"e": "ue", "ue_px": "济"}, "bad_base64"),
        ({"e": "ue", "ue_px": coded("x")}, "bad_schema"),
        ({"e": "ue", "ue_px": coded({"data": {"schema": "x", "data": {}}})}, "bad_schema"),
        ({"e": "ue", "ue_px": "eyI"}, "bad_json"),
        ({"e": "ue", "ue_pr": "[" * 5000}, "too_deep"),
        ({"cx": coded({"data": {}})}, "bad_schema"),
        ({"cx": coded({"data": [{"schema": "iglu:a/b"}]})}, "bad_schema"),
        (
            {
                "cx": base64.b64encode(
                    b'{"data":[{"schema":"iglu:a/b/jsonschema/1-0-0","data":{"x":1,"x":2}}]}'
                ).decode()
            },
            "duplicate_key",
        ),
        ({"dtm": "now"}, "bad_value"),
        ({"dtm": "1e99"}, "time_out_of_range"),
        ({"se_va": "many"}, "bad_value"),
        ({"se_va": "inf"}, "not_finite"),
        ({"uid": {}}, "bad_value"),
    ],
)
def test_bad_records_are_refused_alone(more, reason):
    taken = sent(STRUCT, {**STRUCT, **more}, STRUCT)
    assert len(events(taken)) == 2
    assert reasons(taken) == [(1, reason)]


def test_a_record_that_would_fill_a_batch_is_refused_alone(tmp_path):
    wide = {**STRUCT, **{f"f{n}": 1 for n in range(10_000)}}
    entity = {"schema": "iglu:a/b/jsonschema/1-0-0"}
    long = {**STRUCT, "co": json.dumps({"data": [entity] * 25_000})}
    taken = sent(STRUCT, wide, long, {**STRUCT, "uid": "bo"})
    assert reasons(taken) == [(1, "too_many_properties"), (2, "too_many_items")]
    assert sum(result.accepted for result in stored(tmp_path, taken)) == 2


def test_keys():
    def key(query=b"", **headers):
        return SNOWPLOW.key(request(POST, b"", query, **headers))

    basic = "Basic " + base64.b64encode(b"K:").decode()
    assert key() is None
    assert key(authorization="Bearer K") == key(authorization=basic) == key(b"key=K&x=1") == "K"
    assert sent({**STRUCT, "aid": "shop"}, authorization=basic).key == "K"
    event = one(sent({**STRUCT, "aid": "shop"}, authorization=basic))
    assert event["properties"]["app_id"] == "shop"
    taken = sent(STRUCT, {**STRUCT, "aid": "other"}, {**STRUCT, "aid": None})
    assert reasons(taken) == [(1, "other_project"), (2, "other_project")]
    assert sent(7, {"e": "pv"}, {"aid": 7}).key == ""


def test_addresses_are_left_out_unless_they_are_kept_or_placed():
    record = {**STRUCT, "ip": "1.2.3.4"}
    assert "$ip" not in one(sent(record))["properties"]
    for settings in (Settings(store_ip=True), Settings(ip_regions="x")):
        assert one(sent(record, settings=settings))["properties"]["$ip"] == "1.2.3.4"
    refused = sent({**record, "e": None}).refused[0].raw
    assert b"1.2.3.4" not in refused
    assert b'"aid"' not in refused


def test_answers():
    body = {"data": [STRUCT]}
    found = SNOWPLOW.stored(request(POST, body), sent(STRUCT), ())
    assert (found.status, found.body) == (200, b"ok")
    found = SNOWPLOW.stored(request(GET, b"", b"", "GET"), sent(STRUCT), ())
    assert (found.kind, found.body[:6]) == (b"image/gif", b"GIF89a")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthorized("who"), 401),
        (Forbidden("no"), 403),
        (InvalidEvent("bad", reason="bad_json"), 400),
        (BadBody("bad"), 400),
        (BadBody("too large", 413), 422),
        (BadBody("which coding", 415), 422),
        (Overloaded("busy", 3.0), 503),
        (StorageFull("full"), 507),
    ],
)
def test_errors_are_sent_again_only_when_that_helps(error, status):
    found = SNOWPLOW.failed(request(POST, b""), error)
    assert found.status == status
    again = found.status not in (400, 401, 403, 410, 422)
    assert again == (b"Retry-After" in dict(found.headers)) == (status >= 500)


BAD = [b"", b"7", b"[]", b"{}", b'{"data": 7}', b"{", b"\xff", b"[" * 5000, b'{"data": {}}']


@pytest.mark.parametrize("body", BAD)
def test_bodies_that_are_nothing(body):
    assert survives(SNOWPLOW, request(POST, body)) is None


@pytest.mark.parametrize("query", [b"", b"e", b"e=&aid=", b"%", b"e=%ff&aid=%00", b"&&=&", b"e=pv"])
def test_pixels_that_are_nothing(query):
    survives(SNOWPLOW, request(GET, b"", query, "GET"))


@pytest.mark.parametrize("valid", [EVENT, STRUCT])
def test_odd_records_are_refused_alone(valid, tmp_path):
    records = list(mutated(valid, 300, seed=valid["e"]))
    taken = sent(*records)
    assert len(events(taken)) + len(taken.refused) == 300
    results = stored(tmp_path, taken)
    assert sum(result.accepted + result.duplicates for result in results) > 30


def test_odd_schemas(tmp_path):
    records = [
        {**STRUCT, "e": "ue", "ue_pr": json.dumps(described), "co": json.dumps(contexts)}
        for described, contexts in zip(
            mutated(CLICKED, 300, seed=1), mutated(CONTEXTS, 300, seed=2), strict=True
        )
    ]
    taken = sent(*records)
    assert len(events(taken)) + len(taken.refused) == 300
    stored(tmp_path, taken)


def test_damaged_bodies():
    valid = json.dumps({"data": [EVENT, STRUCT]}).encode()
    for body in cut(valid, seed=1):
        survives(SNOWPLOW, request(POST, body))
    for query in cut(urlencode(EVENT).encode(), seed=2):
        survives(SNOWPLOW, request(GET, b"", query, "GET"))
