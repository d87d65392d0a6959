"""Bind, alias and identify of every family of SDKs make one person of a nameless visit and what
follows it; an unbind ends it. From the request to the owners of the stored events.
"""

from __future__ import annotations

import json

import msgpack
import pytest

import zuji
from tests.unit.foreign_bodies import NOW, converted, request
from zuji.engine.errors import ZujiError
from zuji.engine.export import read_events
from zuji.server.protocols.amplitude import AMPLITUDE
from zuji.server.protocols.mixpanel import MIXPANEL
from zuji.server.protocols.native import NATIVE
from zuji.server.protocols.posthog import POSTHOG
from zuji.server.protocols.segment import SEGMENT
from zuji.server.protocols.sensors import SENSORS
from zuji.server.protocols.snowplow import SNOWPLOW
from zuji.server.settings import Settings

MS = NOW - 60_000
MOBILE = "$identity_mobile+138"


def iso(after):
    return f"2026-10-01T04:00:{after:02d}Z"


def native(*events):
    rows = [{"time": MS + after, **one} for after, one in enumerate(events)]
    return NATIVE, [request("/v1/track", msgpack.packb({"events": rows}))]


def sensors(*records):
    asked = []
    for after, one in enumerate(records):
        record = {"type": "track", "time": MS + after, "properties": {}, **one}
        asked.append(request("/sa", json.dumps(record).encode(), b"token=k"))
    return SENSORS, asked


def posthog(*events):
    batch = [{"timestamp": iso(after), "properties": {}, **one} for after, one in enumerate(events)]
    return POSTHOG, [request("/batch/", {"api_key": "k", "batch": batch})]


def segment(*messages):
    batch = [{"timestamp": iso(after), **one} for after, one in enumerate(messages)]
    return SEGMENT, [request("/v1/batch", {"writeKey": "k", "batch": batch})]


def mixpanel(*events):
    rows = [
        {"event": name, "properties": {"token": "k", "time": MS / 1000 + after, **properties}}
        for after, (name, properties) in enumerate(events)
    ]
    return MIXPANEL, [request("/track", rows, content_type="application/json")]


def amplitude(*events):
    rows = [{"time": MS + after, **one} for after, one in enumerate(events)]
    return AMPLITUDE, [request("/2/httpapi", {"api_key": "k", "events": rows})]


def snowplow(*events):
    rows = [
        {"e": "pv", "aid": "k", "dtm": str(MS + after), **one} for after, one in enumerate(events)
    ]
    body = {"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"}
    return SNOWPLOW, [request("/com.snowplowanalytics.snowplow/tp2", {**body, "data": rows})]


LOOK, ANN = {"event": "look"}, {"userId": "ann"}
SA = {"event": "look", "distinct_id": "d1"}
SA_ANN = {"event": "look", "distinct_id": "ann", "login_id": "ann"}
CASES = {
    "native": (
        native(
            {**LOOK, "device_id": "d1"},
            {"event": "login", "user_id": "ann", "device_id": "d1"},
            {**LOOK, "device_id": "d1"},
        ),
        ["ann", "ann", "ann"],
    ),
    "native, a profile that has both": (
        native(
            {**LOOK, "device_id": "d1"},
            {"type": "profile_set", "user_id": "ann", "device_id": "d1", "properties": {"a": 1}},
        ),
        ["ann"],
    ),
    "native, unbind": (
        native(
            {"event": "login", "user_id": "ann", "device_id": "d1"},
            {**LOOK, "device_id": "d1"},
            {"event": "$UnbindID", "user_id": "ann", "device_id": "d1"},
            {**LOOK, "device_id": "d1"},
        ),
        ["ann", "ann", "ann", None],
    ),
    "sensors, sign-up": (
        sensors(
            SA,
            {"type": "track_signup", "distinct_id": "ann", "original_id": "d1", "event": "$SignUp"},
            SA,
        ),
        ["ann", "ann", "ann"],
    ),
    "sensors, identities": (
        sensors(
            SA,
            {
                **SA_ANN,
                "anonymous_id": "d1",
                "identities": {"$identity_login_id": "ann", "$identity_cookie_id": "d1"},
            },
        ),
        ["ann", "ann"],
    ),
    "sensors, bind and unbind of a mobile number": (
        sensors(
            {"event": "call", "distinct_id": MOBILE, "identities": {"$identity_mobile": "138"}},
            {
                "type": "track_id_bind",
                "distinct_id": "ann",
                "identities": {"$identity_login_id": "ann", "$identity_mobile": "138"},
            },
            {"event": "call", "distinct_id": MOBILE, "identities": {"$identity_mobile": "138"}},
            {
                "type": "track_id_unbind",
                "distinct_id": MOBILE,
                "identities": {"$identity_mobile": "138"},
            },
            {"event": "call", "distinct_id": MOBILE, "identities": {"$identity_mobile": "138"}},
        ),
        ["ann", "ann", "ann", None, None],
    ),
    "sensors, unbind of a device by its customer": (
        sensors(
            {**SA_ANN, "anonymous_id": "d1"},
            {
                "type": "track_id_unbind",
                "distinct_id": "ann",
                "login_id": "ann",
                "anonymous_id": "d1",
                "identities": {"$identity_android_id": "d1"},
            },
            SA,
        ),
        ["ann", "ann", None],
    ),
    "sensors, a key of the project's own": (
        sensors(
            SA,
            {
                "event": "look",
                "distinct_id": "$identity_bank_cif+ann",
                "login_id": "$identity_bank_cif+ann",
                "anonymous_id": "d1",
            },
        ),
        ["ann", "ann"],
    ),
    "posthog, identify": (
        posthog(
            {**LOOK, "distinct_id": "d1", "properties": {"$is_identified": False}},
            {
                "event": "$identify",
                "distinct_id": "ann",
                "properties": {"$anon_distinct_id": "d1"},
            },
        ),
        ["ann", "ann"],
    ),
    "posthog, alias of a page": (
        posthog(
            {**LOOK, "distinct_id": "d1", "properties": {"$is_identified": False}},
            {"event": "$create_alias", "distinct_id": "d1", "properties": {"alias": "ann"}},
        ),
        ["ann", "ann"],
    ),
    "segment and rudderstack, identify": (
        segment(
            {"type": "track", "event": "look", "anonymousId": "d1"},
            {"type": "identify", **ANN, "anonymousId": "d1"},
        ),
        ["ann", "ann"],
    ),
    "segment and rudderstack, alias": (
        segment(
            {"type": "track", "event": "look", "anonymousId": "d1"},
            {"type": "alias", **ANN, "previousId": "d1"},
        ),
        ["ann", "ann"],
    ),
    "mixpanel, simplified": (
        mixpanel(
            ("look", {"distinct_id": "$device:d1", "$device_id": "d1"}),
            ("look", {"distinct_id": "ann", "$device_id": "d1", "$user_id": "ann"}),
        ),
        ["ann", "ann"],
    ),
    "mixpanel, identify": (
        mixpanel(
            ("look", {"distinct_id": "$device:d1", "$device_id": "d1"}),
            ("$identify", {"$identified_id": "ann", "$anon_distinct_id": "d1"}),
        ),
        ["ann", "ann"],
    ),
    "mixpanel, alias": (
        mixpanel(
            ("look", {"distinct_id": "$device:d1", "$device_id": "d1"}),
            ("$create_alias", {"distinct_id": "$device:d1", "alias": "ann"}),
        ),
        ["ann", "ann"],
    ),
    "mixpanel, merge": (
        mixpanel(
            ("look", {"distinct_id": "$device:d1", "$device_id": "d1"}),
            ("$merge", {"$distinct_ids": ["$device:d1", "ann"]}),
        ),
        ["ann", "ann"],
    ),
    "mixpanel, a merge of customers links nobody": (
        mixpanel(
            ("look", {"distinct_id": "ann"}),
            ("$merge", {"$distinct_ids": ["ann", "bob"]}),
            ("look", {"distinct_id": "bob"}),
        ),
        ["ann", "ann", "bob"],
    ),
    "amplitude": (
        amplitude(
            {"event_type": "look", "device_id": "d1"},
            {"event_type": "$identify", "device_id": "d1", "user_id": "ann"},
        ),
        ["ann", "ann"],
    ),
    "snowplow": (
        snowplow({"duid": "d1"}, {"duid": "d1", "uid": "ann"}),
        ["ann", "ann"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_whose_the_events_are(case, tmp_path):
    (protocol, asked), expected = CASES[case]
    settings = Settings(data="x", sensors_login_keys="$identity_bank_cif")
    batches = []
    for one in asked:
        taken = converted(protocol, one, settings)
        assert not taken.refused, taken.refused
        batches += [b"\xdc" + p.count.to_bytes(2, "big") + p.data for p in taken.events]
        batches += taken.batches
    with zuji.open(tmp_path, "p") as engine:
        for result in engine.append_many(batches):
            assert not isinstance(result, ZujiError)
            assert not result.rejected
        rows = [row for table in read_events(engine) for row in table.to_pylist()]
    rows.sort(key=lambda row: row["time"])
    assert [row["user_id"] for row in rows] == expected
