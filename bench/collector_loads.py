"""What is sent to a collector when it is measured: requests of each load, made here, whole.

*batch*: 1,000 events in msgpack. *one*: a single event in msgpack. *pixel*: the event of a browser
SDK as ``GET /sa.gif``. *sensors*: 50 records of a mobile SDK, gzip and base64 in a form. No event
has an id of its own, so what is sent again is another event.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgpack

from bench.batches import BATCH_EVENTS, read_batches, write_batches
from bench.worker import run_alone

if TYPE_CHECKING:
    from pathlib import Path

BODIES = 200
SENSORS_EVENTS = 50
EVENTS = {"batch": BATCH_EVENTS, "one": 1, "pixel": 1, "sensors": SENSORS_EVENTS}
"""Events of a request, by load."""


class Asked(NamedTuple):
    """A request. ``kind``: Content-Type, "" when there is no body."""

    method: str
    target: str
    kind: str
    body: bytes

    def raw(self) -> bytes:
        """As it goes over the wire."""
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: localhost\r\n"
        if self.body:
            head += f"Content-Type: {self.kind}\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + self.body


def make(folder: Path) -> dict[str, list[Asked]]:
    """Requests of each load."""
    run_alone(write_batches, folder, BODIES)
    batches = [msgpack.unpackb(one)["events"] for one in read_batches(folder, "msgpack")]
    for events in batches:
        for event in events:
            event.pop("insert_id", None)
    single = [batches[0][i % len(batches[0])] for i in range(BODIES)]
    return {
        "batch": [_native({"events": events}) for events in batches[:BODIES]],
        "one": [_native([event]) for event in single],
        "pixel": [_pixel(event) for event in single],
        "sensors": [_sensors(events[:SENSORS_EVENTS]) for events in batches[:BODIES]],
    }


def _native(value: Any) -> Asked:
    return Asked("POST", "/v1/events", "application/msgpack", msgpack.packb(value))


def _record(event: dict[str, Any]) -> dict[str, Any]:
    """The event as Sensors Analytics' SDKs write it."""
    return {
        "type": "track",
        "event": event["event"],
        "time": event["time"],
        "distinct_id": event.get("user_id") or event.get("device_id"),
        "lib": {"$lib": "js", "$lib_method": "code", "$lib_version": "1.26.14"},
        "properties": {**event.get("properties", {}), "$lib": "js", "$lib_version": "1.26.14"},
    }


def _base64(value: Any, *, packed: bool) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(text, 6) if packed else text).decode()


def _crc(text: str) -> int:
    """Java's hashCode, which the SDKs send along."""
    code = 0
    for char in text:
        code = (31 * code + ord(char)) & 0xFFFFFFFF
    return code - (1 << 32) if code >= 1 << 31 else code


def _pixel(event: dict[str, Any]) -> Asked:
    data = _base64(_record(event), packed=False)
    ext = quote(f"crc={_crc(data)}")
    return Asked("GET", f"/sa.gif?data={quote(data)}&ext={ext}&token=default", "", b"")


def _sensors(events: list[dict[str, Any]]) -> Asked:
    data = _base64([_record(event) for event in events], packed=True)
    form = f"crc={_crc(data)}&gzip=1&data_list={quote(data, safe='')}"
    kind = "application/x-www-form-urlencoded"
    return Asked("POST", "/sa?project=default&token=default", kind, form.encode())
