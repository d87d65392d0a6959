"""A batch as a file: a header, then events, each in a frame that tells whether it is whole.

    file    = frame(header), frame(event)…
    frame   = length: u32 LE, crc32 of the payload: u32 LE, payload
    header  = msgpack {"v": 1, "batch_id": str}
    event   = msgpack, as it goes into a request

A process that dies leaves at most one torn frame, the last; reading ends before the first frame
that is not whole. The file is one batch: its id is written before its first event, so whoever
sends it, and however often, sends the same batch. Downside: a damaged byte in the middle costs the
events behind it in the file.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import msgpack

_HEAD = struct.Struct("<II")
FRAME_BYTES = _HEAD.size


class Contents(NamedTuple):
    """What a file holds; `rest_bytes` at its end could not be read."""

    batch_id: str
    events: list[bytes]
    rest_bytes: int


def frame(payload: bytes) -> bytes:
    """The payload in its frame."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def header(batch_id: str) -> bytes:
    """The first frame of a file."""
    return frame(msgpack.packb({"v": 1, "batch_id": batch_id}))


def read(data: bytes) -> Contents | None:
    """The contents of a file, or None when not even its header can be read. O(bytes)."""
    payloads: list[bytes] = []
    at = 0
    while at + FRAME_BYTES <= len(data):
        length, crc = _HEAD.unpack_from(data, at)
        end = at + FRAME_BYTES + length
        payload = data[at + FRAME_BYTES : end]
        # A hole that a power cut left reads as zeros, whose checksum fits: no payload is empty.
        if length == 0 or end > len(data) or zlib.crc32(payload) != crc:
            break
        payloads.append(payload)
        at = end
    if not payloads:
        return None
    try:
        head = msgpack.unpackb(payloads[0])
        if head["v"] != 1 or not isinstance(head["batch_id"], str):
            return None
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        return None
    return Contents(head["batch_id"], payloads[1:], len(data) - at)
