"""What hostile requests brought is let go of when they are answered, not when the garbage collector
looks, which in the server it hardly ever does.
"""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest

import zuji
from bench.attack_kinds import _DEEP_EVENT, _NESTED, _WIDE
from tests.server import test_lane
from tests.server.listening import connected
from tests.server.test_lane import answer_of, collecting
from zuji.engine.errors import InvalidEvent
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.http import Connection, Watch
from zuji.server.collector.message import Answer
from zuji.server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = msgpack.packb(
    [
        {
            "event": f"e{n}",
            "time": 1_790_827_200_000,
            "user_id": "u",
            "properties": {f"p{n}-{i}": 1 for i in range(100)},
        }
        for n in range(60)
    ]
)
BODIES: dict[str, tuple[str, bytes]] = {
    "wide msgpack": ("/v1/events", _WIDE),
    "a size that lies": ("/v1/events", b"\xdd\xff\xff\xff\xff" + bytes(1 << 20)),
    "nested msgpack": ("/v1/events", _NESTED[: 1 << 20]),
    "deep JSON": ("/v1/events", b"[" * (1 << 20)),
    "a deep event": ("/v1/events", _DEEP_EVENT),
    "deep JSON of others": ("/batch", b'{"api_key":"k","batch":' + b"[" * 900_000),
    "wide JSON of others": (
        "/batch",
        b'{"api_key":"k","batch":[' + b"{}," * 250_000 + b"{}]}",
    ),
    "new names": ("/v1/events", NAMES),
    "no batch": ("/v1/events", json.dumps({"events": "x" * 900_000}).encode()),
    "columns": ("/v1/events?format=arrow", b"x" * 900_000),
    "bad forms": ("/sa", b"data_list=" + b"%" * 900_000),
}
KEPT = 100_000
"""Bytes that a request may leave behind, at most: none has so few."""


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _held_by_circles() -> int:
    """Bytes that only the garbage collector frees."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        parts = {id(part): part for one in gc.garbage for part in gc.get_referents(one)}
        large = (bytes, bytearray, str, np.ndarray, BytesIO)
        return sum(sys.getsizeof(part) for part in parts.values() if isinstance(part, large))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("name", BODIES)
def test_a_refused_request_leaves_nothing_behind(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_lane, "recording", lambda _live, _gatherer: None)
    path, body = BODIES[name]
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with collecting(tmp_path, dev=True) as live:
        for turn in range(2):
            with connected(live.port) as client:
                client.sendall(head + body)
                assert answer_of(client).startswith(b"HTTP/1.1 ")
            held = _held_by_circles()
            assert turn == 0 or held < KEPT


@pytest.mark.parametrize("body", [_WIDE, NAMES], ids=["unreadable", "refused in part"])
def test_the_engine_keeps_no_batch_that_it_refused(tmp_path: Path, body: bytes) -> None:
    limits = replace(DEFAULT_LIMITS, project_event_names=10)
    config = zuji.Config(background=False, limits=limits)
    with zuji.open(tmp_path, "p", config=config) as engine:
        raw: Any = bytes(bytearray(body))
        before = sys.getrefcount(raw)
        for _ in range(3):
            (outcome,) = engine.append_many([raw])
            assert isinstance(outcome, InvalidEvent) or outcome.rejected
            del outcome
        assert sys.getrefcount(raw) == before


class _Wire:
    """A transport that sends nowhere."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return "10.0.0.1", 5000

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


_POST = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
HEADERS = {
    "held back": (429, _POST + b"x" * 8_000),
    "too many fields": (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 1_000),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + b"x" * 8_000),
    "no HTTP": (400, b"\x00" * 8_000),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_connection_that_is_refused_by_its_header_is_gone(name: str) -> None:
    """The parser keeps the error that it stopped at, and that the frames that it came through."""
    status, data = HEADERS[name]
    watch = Watch(Settings(), lambda _request, _connection: None)
    if status == 429:
        watch.wary, watch.early = {"10.0.0.1"}, lambda *_: Answer(429)
    connection, wire = watch.protocol(), _Wire()
    connection.connection_made(wire)
    connection.data_received(data)
    assert wire.sent.startswith(b"HTTP/1.1 %d " % status)
    assert wire.closed
    connection.connection_lost(None)
    count = sum(isinstance(one, Connection) for one in gc.get_objects())
    del connection
    assert sum(isinstance(one, Connection) for one in gc.get_objects()) == count - 1
