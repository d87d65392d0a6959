"""``/batch``: whose body it is, and answers that both vendors' SDKs understand."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.foreign_outcome import bodies, json_values, natives, outcome, request
from zuji.engine.errors import Overloaded
from zuji.server.errors import Unauthorized
from zuji.server.protocols import PROTOCOLS
from zuji.server.protocols.shared_paths import BATCH

POSTHOG = {"event": "p", "distinct_id": "u", "timestamp": "2026-10-01T04:00:00Z"}
AMPLITUDE = {"event_type": "a", "user_id": "user1", "time": 1_790_827_200_000}
BODIES = [
    ({"api_key": "key", "batch": [POSTHOG]}, "p"),
    ({"api_key": "key", "events": [AMPLITUDE]}, "a"),
    ({"api_key": "key", "batch": [{**POSTHOG, "properties": {"events": 1}}]}, "p"),
    ({"api_key": "key", "events": [{**AMPLITUDE, "event_properties": {"batch": 1}}]}, "a"),
    ({"events": 1, "batch": [POSTHOG], "api_key": "key"}, "p"),
]


@pytest.mark.parametrize(("body", "event"), BODIES, ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_the_body_tells_whose_it_is(body, event, packed):
    data = gzip.compress(bodies(body)) if packed else bodies(body)
    asked = request("/batch", data)
    assert BATCH.key(asked) is None
    found = outcome(BATCH, asked, None)
    assert found.taken.key == "key"
    assert [one["event"] for one in natives(found.taken)] == [event]
    said = json.loads(BATCH.stored(asked, found.taken, ()).body)
    assert ("code" in said) == (event == "a")


def test_errors_are_understood_by_both():
    asked = request("/batch")
    overloaded = BATCH.failed(asked, Overloaded("later", 3.0))
    assert (overloaded.status, json.loads(overloaded.body)["code"]) == (503, 503)
    wrong = BATCH.failed(asked, Unauthorized("this key is not known"))
    assert wrong.status == 400  # neither sends it again
    assert json.loads(wrong.body)["error"].startswith("Invalid API key")


def test_no_path_is_of_two_protocols():
    owners: dict[str, str] = {}
    for protocol in PROTOCOLS:
        for path in {*protocol.paths, *protocol.fixed}:
            assert owners.setdefault(path, protocol.name) == protocol.name, path
    assert owners["/batch"] == "batch"


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=40) | json_values.map(lambda value: bodies({"events": value, "batch": 1}))
)
def test_any_body_gets_an_answer(body):
    assert outcome(BATCH, request("/batch", body), None).answer.status in (200, 400, 413, 415)
