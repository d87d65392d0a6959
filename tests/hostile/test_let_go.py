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
