"""Writes streams and their page table to a file that only grows.

Owns the position in the file, the alignment and the page entries; what a stream is belongs to the
caller. Integers take the codecs that decode at several values a nanosecond; lz4, forty times
slower, is tried only where ``pack`` asks for it. Encoded bytes are gathered to large writes.
One writer has one thread. Format: ``docs/format/segment.md``, pages: ``docs/format/page.md``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.storage._codecs import PageEncoder
from zuji.engine.storage.codecs import (
    PAGE_DTYPE,
    PAGE_ROWS,
    crc32c,
    encode_bytes,
    encode_floats,
    encode_ints,
)
from zuji.engine.storage.format import ALIGN, ALIGN_FROM, ALIGN_SMALL, Stream

if TYPE_CHECKING:
    from zuji.engine.storage.files import Appender
    from zuji.engine.types import F64

WRITE_BYTES = 1 << 20
"""Encoded streams are gathered to writes of about this size."""
_ENTRY = struct.Struct("<QIIIBBHqq")
assert _ENTRY.size == PAGE_DTYPE.itemsize


class StreamWriter:
    """Streams of one file, one after another."""

    def __init__(self, out: Appender) -> None:
        self.position = 0
        self._out = out
        self._encoder = PageEncoder()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._entries: list[bytes] = []

    def ints(self, values: Any, *, ascending: bool = False, pack: bool = False) -> Stream:
        """An integer stream. ``ascending``: also try deltas; ``pack``: also try lz4."""
        values = np.ascontiguousarray(values)
        if pack:
            return self._stream(*encode_ints(values, ascending=ascending))
        first = len(self._entries)
        for start in range(0, len(values), PAGE_ROWS):
            part = values[start : start + PAGE_ROWS]
            codec, param, data, low, high = self._encoder.encode(part, ascending)
            if start == 0:
                self._align(data, len(values))
            entry = (self.position, len(data), len(part), crc32c(data), codec, param, 0, low, high)
            self._entries.append(_ENTRY.pack(*entry))
            self.put(data)
        return first, len(self._entries) - first

    def floats(self, values: F64) -> Stream:
        """A float stream."""
        return self._stream(*encode_floats(np.ascontiguousarray(values)))

    def blob(self, raw: bytes) -> Stream:
        """A byte stream."""
        return self._stream(*encode_bytes(raw))

    def page_table(self) -> tuple[int, int, int]:
        """Writes the page table; (offset, entries, CRC32C)."""
        self.pad(ALIGN)
        offset, raw = self.position, b"".join(self._entries)
        self.put(raw)
        return offset, len(self._entries), crc32c(raw)

    def put(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self._held.append(data)
        self._held_bytes += len(data)
        self.position += len(data)
        if self._held_bytes >= WRITE_BYTES:
            self.flush()

    def pad(self, step: int) -> None:
        """Zeros up to the next multiple of ``step``."""
        gap = -self.position % step
        if gap:
            self.put(bytes(gap))

    def flush(self) -> None:
        """Hands everything to the file."""
        if self._held:
            self._out.write(b"".join(self._held))
            self._held, self._held_bytes = [], 0

    def _stream(self, data: bytes, pages: np.ndarray[Any, Any]) -> Stream:
        self.pad(ALIGN if len(data) >= ALIGN_FROM else ALIGN_SMALL)
        pages = pages.copy()
        pages["offset"] += np.uint64(self.position)
        raw, size, first = pages.tobytes(), _ENTRY.size, len(self._entries)
        self._entries += [raw[at : at + size] for at in range(0, len(raw), size)]
        self.put(data)
        return first, len(pages)

    def _align(self, data: bytes, rows: int) -> None:
        """Before the first page of a stream: a stream of several pages counts as large."""
        large = len(data) >= ALIGN_FROM or rows > PAGE_ROWS
        self.pad(ALIGN if large else ALIGN_SMALL)
