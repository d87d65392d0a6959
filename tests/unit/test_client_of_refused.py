"""Which SDK a refused event came from: read without making anything of the rest of it."""

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.batch import Rejected
from zuji.engine.quarantine import Kept
from zuji.server.plan import client
from zuji.server.plan.client import client_of, client_of_raw

NAMES = st.sampled_from(["$lib", "$lib_version", "$app_version", "lib", "properties", "a"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def slowly(raw):
    event = Kept(Rejected(0, "", "", "", raw), 0).to_dict()["event"]
    return client_of(event) if isinstance(event, dict) else ("", "")


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_it_is_what_the_whole_event_says(event):
    for raw in (msgpack.packb(event), json.dumps(event).encode()):
        assert client_of_raw(raw) == slowly(raw)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_event_come_from_nobody(raw):
    assert client_of_raw(raw) == slowly(raw)


@pytest.mark.parametrize("pack", [msgpack.packb, lambda event: json.dumps(event).encode()])
def test_of_a_usual_event_nothing_else_is_made(pack, monkeypatch):
    monkeypatch.setattr(client, "Kept", None)
    said = {f"p{i}": [i, {"deep": [i]}] for i in range(200)}
    said |= {"$lib": "js", "$lib_version": "1.2", "$app_version": "9"}
    event = {"event": "e", "time": 1, "tags": [None], "lib": {"$lib": "old"}, "properties": said}
    assert client_of_raw(pack(event)) == ("js 1.2", "9")
    assert client_of_raw(pack({"event": "e"})) == ("", "")
