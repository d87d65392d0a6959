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
    encode_page,
)
from zuji.engine.storage.format import ALIGN, ALIGN_FROM, ALIGN_SMALL, Stream

if TYPE_CHECKING:
    from zuji.engine.storage.codecs import Page
    from zuji.engine.storage.files import Appender

WRITE_BYTES = 1 << 20
"""Encoded streams are gathered to writes of about this size."""
_ENTRY = struct.Struct("<QIIIBBHqq")
assert _ENTRY.size == PAGE_DTYPE.itemsize


class StreamWriter:
    """Streams of one file, one after another."""

    def __init__(self, out: Appender) -> None:
        self.position = 0
        self._out = out
        self.encoder = PageEncoder()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._entries: list[bytes] = []

    def ints(self, values: Any, *, ascending: bool = False, pack: bool = False) -> Stream:
        """An integer stream. ``ascending``: also try deltas; ``pack``: also try lz4."""
        return self.open(values.dtype, ascending=ascending, pack=pack).add(values).end()

    def open(
        self, dtype: Any, *, ascending: bool = False, pack: bool = False, held: bool = False
    ) -> OpenStream:
        """A stream of integers or floats that is given in parts; other streams wait for its end.

        ``held``: its pages stay in memory until then, so that others can be written meanwhile.
        """
        return OpenStream(self, np.dtype(dtype), ascending, pack, held)

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

    def start(self, *, large: bool) -> int:
        """Number of the first page of a stream that begins here."""
        self.pad(ALIGN if large else ALIGN_SMALL)
        return len(self._entries)

    def page(self, page: Page) -> None:
        """The next page of the stream."""
        rows, codec, param, data, low, high = page
        entry = (self.position, len(data), rows, crc32c(data), codec, param, 0, low, high)
        self._entries.append(_ENTRY.pack(*entry))
        self.put(data)


class OpenStream:
    """A stream of integers or floats that is given in parts."""

    def __init__(
        self, to: StreamWriter, dtype: np.dtype[Any], ascending: bool, pack: bool, held: bool
    ) -> None:
        self._to = to
        self._ascending = ascending
        self._pack = pack or dtype == np.float64
        self._held = held
        self._rest: Any = None  # values of a page that is not yet full
        self._filled = 0
        self._dtype = dtype
        self._waiting: list[Page] = []  # pages that are not yet written
        self._bytes = 0
        self._pages = 0
        self._first = -1

    def add(self, values: Any) -> OpenStream:
        """The next values, contiguous; they may change afterwards. Returns the stream."""
        values = np.ascontiguousarray(values)
        at = 0
        if self._filled:
            at = self._fill(values)
            if self._filled < PAGE_ROWS:
                return self
            self._encode(self._rest)
            self._filled = 0
        while len(values) - at >= PAGE_ROWS:
            self._encode(values[at : at + PAGE_ROWS])
            at += PAGE_ROWS
        if at < len(values):
            self._fill(values[at:])
        return self

    def end(self) -> Stream:
        """Writes what is left; (0, 0) when no value was given."""
        if self._filled:
            self._encode(self._rest[: self._filled])
            self._filled = 0
        self._rest = None
        if self._waiting:
            self._write(large=self._bytes >= ALIGN_FROM or (self._pages > 1 and not self._pack))
        return max(self._first, 0), self._pages

    def _fill(self, values: Any) -> int:
        if self._rest is None:
            self._rest = np.empty(PAGE_ROWS, self._dtype)
        taken = min(PAGE_ROWS - self._filled, len(values))
        self._rest[self._filled : self._filled + taken] = values[:taken]
        self._filled += taken
        return taken

    def _encode(self, part: Any) -> None:
        page = encode_page(self._to.encoder, part, ascending=self._ascending, pack=self._pack)
        self._pages += 1
        self._bytes += len(page.data)
        if self._first >= 0:
            self._to.page(page)
            return
        self._waiting.append(page)
        # Large streams start at a multiple of ALIGN; till it is known that one is, it waits.
        if not self._held and (self._bytes >= ALIGN_FROM or (self._pages > 1 and not self._pack)):
            self._write(large=True)

    def _write(self, *, large: bool) -> None:
        self._first = self._to.start(large=large)
        for page in self._waiting:
            self._to.page(page)
        self._waiting = []
