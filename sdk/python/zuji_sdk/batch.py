"""The body of a request: the same bytes for the same batch, however often it is sent.

`sent_at` is left out: it would differ between the attempts, and a server's clock is kept by NTP.
"""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import msgpack

from zuji_sdk import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji_sdk.options import Compression

_WORTH_BYTES = 512  # smaller bodies do not get smaller


def body(batch_id: str, events: Sequence[bytes]) -> bytes:
    """One msgpack value: ``{"batch_id": …, "events": […]}`` of events packed before."""
    head = b"\x82\xa8batch_id" + msgpack.packb(batch_id) + b"\xa6events"
    count = len(events)
    array = bytes((0x90 | count,)) if count < 16 else struct.pack(">BI", 0xDD, count)
    return b"".join((head, array, *events))


def compress(data: bytes, compression: Compression) -> tuple[bytes, str | None]:
    """The data as it travels, and its Content-Encoding."""
    if compression == "none" or len(data) < _WORTH_BYTES:
        return data, None
    if compression == "zstd":
        import zstandard

        packed = zstandard.ZstdCompressor(level=3).compress(data)
    else:
        packed = gzip.compress(data, compresslevel=6, mtime=0)
    if len(data) > limits.INFLATE_RATIO * len(packed):
        return data, None  # a collector could take it for a bomb; uncompressed it always fits
    return packed, compression


def check_compression(compression: Compression) -> None:
    """Raises ImportError where the package for it is missing."""
    if compression == "zstd":
        import zstandard  # noqa: F401
