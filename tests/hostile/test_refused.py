"""What is refused leaves nothing: neither work nor memory that grows with what was sent."""

import gc
import gzip
import threading
import weakref
from dataclasses import replace

import msgpack
import pytest

import zuji
from tests.server.test_gathering import Storage, gathering
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.message import Request
from zuji.server.collector.taking import Entrance, Taking
from zuji.server.metrics import Metrics
from zuji.server.protocols.native import NATIVE
from zuji.server.settings import Settings

BODIES = {
    "bomb": (b"gzip", gzip.compress(bytes(64 << 20), 1)),
    "cut": (b"gzip", gzip.compress(b"a" * 100_000)[:-9]),
    "no gzip": (b"gzip", b"\x1f\x8b" + b"a" * 1000),
    "no arrow": (b"", b"\xff\xff\xff\xff" + b"a" * 1000),
}


class Connection:
    """Takes an answer."""

    def __init__(self):
        self.told = threading.Event()

    def answer(self, _answer):
        self.told.set()


@pytest.mark.parametrize("name", BODIES)
def test_a_refused_request_is_gone_when_it_is_answered(name):
    """Without the collector of cycles, which looks seldom in a server."""
    coding, body = BODIES[name]
    connection = Connection()
    left, told = weakref.ref(connection), connection.told
    headers = {b"content-encoding": coding}
    request = Request("POST", "/v1/events", b"", headers, body, "127.0.0.1", 0)
    gc.collect()
    gc.disable()
    try:
        with gathering(Storage()) as gatherer:
            gatherer.put(Taking(Entrance(NATIVE, Settings(), Metrics()), request, connection))
            assert told.wait(20)
        del connection, request
        assert left() is None, "an error holds the request that it is about"
    finally:
        gc.enable()


def test_a_refused_event_leaves_no_names(tmp_path):
    """Else who may not add events could use up the names of properties."""
    config = zuji.Config(limits=replace(DEFAULT_LIMITS, project_event_names=1))
    with zuji.open(tmp_path, config=config) as engine:
        engine.append([{"event": "e", "time": 1, "user_id": "u", "properties": {"known": 1}}])
        batch = [
            {"event": "more", "time": 1, "user_id": "u", "properties": {"known": 1, "new": 2}},
            {"event": "e", "time": 1, "user_id": "u", "properties": {"known": 1, "good": 3}},
            {"event": "e", "time": 1, "user_id": "u", "properties": {"$user.x": 1, "bad": 4}},
        ]
        result = engine.append_batch(msgpack.packb(batch))
        assert [(one.index, one.reason) for one in result.rejected] == [
            (0, "too_many_event_names"),
            (2, "reserved_name"),
        ]
        assert {one["name"] for one in engine.properties()} == {"known", "good"}
