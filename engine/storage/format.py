"""The segment file, byte by byte: header, footer, trailer and the tables between. See
``docs/format/segment.md``.

::

    header 64 B │ streams, aligned │ page table │ footer (msgpack) │ trailer 32 B

A *stream* is one encoded array. Its pages are entries ``first .. first + pages`` of the page
table, whose offsets are absolute in the file, so a stream is two small numbers. Every byte that
carries meaning is under a CRC32C: header, page table, footer and trailer here, each page by its
own entry. Adding a field to a struct here appends it at the end with a default, and bumps
:data:`VERSION` when an older reader would answer wrongly without it. Pure functions and immutable
structs.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.storage.codecs import PAGE_DTYPE, crc32c

MAGIC = b"ZUJISEG1"
END_MAGIC = b"1GESIJUZ"
VERSION = 1
ALIGN = 64
"""Streams of ALIGN_FROM bytes or more start at a multiple of this, smaller ones at one of
ALIGN_SMALL.
"""
ALIGN_SMALL = 8
ALIGN_FROM = 4096
HEADER_BYTES = 64
TRAILER_BYTES = 32

# magic, version, header bytes, flags, encryption key id (zero: none), reserved, CRC32C of the 60
# bytes before.
HEADER = struct.Struct("<8sHHI16s28sI")
# footer offset, footer bytes, footer CRC32C, version, reserved, CRC32C of the 20 bytes before,
# magic.
TRAILER = struct.Struct("<QIIHHI8s")
_U32 = struct.Struct("<I")

#: Row of the day table: one local day of one run (or of all events).
DAY_DTYPE = np.dtype(
    [
        ("rows", "<u4"),
        ("users", "<u4"),
        ("form", "<u4"),
        ("page", "<u4"),
        ("pages", "<u4"),
        ("multi_page", "<u4"),
        ("multi_pages", "<u4"),
        ("reserved", "<u4"),
    ]
)
DAY_LIST = 0
"""users: ascending integers; multi: one byte of 0/1 for each of them."""
DAY_BITMAP = 1
"""users and multi: Roaring bitmaps in the portable serialisation."""

RECEIVED_ONE = 0
"""every row was received at ``value``"""
RECEIVED_LAG = 1
"""``codes``: received - time, ms"""
RECEIVED_FEW = 2
"""``codes`` index the int64 stream ``values``"""

Stream = tuple[int, int]
"""(first page, pages) in the page table."""


class Received(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How a run stores when its rows were received."""

    mode: int
    value: int = 0
    codes: Stream = (0, 0)
    values: Stream = (0, 0)


class ColumnMeta(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One property of one run.

    ``prop`` indexes ``Footer.props``; ``count`` rows have a value. ``low``, ``high``: smallest and
    largest value (float64: its bits; string: code), 0 for lists. ``unit``: integers are stored
    divided by it. ``presence`` is empty when every row has a value; ``offsets`` and ``items`` are
    for lists only.
    """

    prop: int
    count: int
    low: int
    high: int
    unit: int
    values: Stream
    presence: Stream = (0, 0)
    offsets: Stream = (0, 0)
    items: int = 0


class RunMeta(msgspec.Struct, array_like=True, frozen=True):
    """The rows of one event. ``ties`` is empty when no row shares user and instant with an earlier
    one.

    ``days`` is the first row of the run in the day table, -1 when its day index is not stored.
    """

    event: str
    rows: int
    users: int
    min_ms: int
    max_ms: int
    user_list: Stream
    offsets: Stream
    times: Stream
    time_unit: int
    ties: Stream
    received: Received
    columns: list[ColumnMeta]
    days: int = -1


class PropMeta(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One property of the segment; string and list kinds have a dictionary of ``size`` strings."""

    name: str
    kind: int
    size: int = 0
    text: Stream = (0, 0)
    text_offsets: Stream = (0, 0)


class Footer(msgspec.Struct, frozen=True):
    """Everything about a segment but its data.

    Unknown fields are ignored: minor additions stay readable.
    """

    shard: int
    partition: int
    start_ms: int
    end_ms: int
    rows: int
    min_ms: int
    max_ms: int
    pages_offset: int
    pages: int
    pages_crc: int
    props: list[PropMeta]
    runs: list[RunMeta]
    interleave: Stream
    day_edges: list[int]
    day_table: Stream
    days: int = -1
    writer: str = ""
    any_days: int = -1
    any_all: int = -1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Footer)


def pack_header() -> bytes:
    """The 64 bytes at the start of a file."""
    raw = HEADER.pack(MAGIC, VERSION, HEADER_BYTES, 0, bytes(16), bytes(28), 0)[:-4]
    return raw + _U32.pack(crc32c(raw))


def pack_footer(footer: Footer, offset: int) -> bytes:
    """Footer and trailer; ``offset`` is where the footer starts."""
    body = _encoder.encode(footer)
    head = TRAILER.pack(offset, len(body), crc32c(body), VERSION, 0, 0, END_MAGIC)[:20]
    return body + head + _U32.pack(crc32c(head)) + END_MAGIC


def read_footer(view: memoryview, path: str) -> tuple[Footer, np.ndarray[Any, Any]]:
    """Footer and page table of a mapped file, both checked.

    Raises:
        Corruption: too short, a magic or a checksum is wrong, or a table lies outside the file.
        UnsupportedFormat: a version this release does not read, or an encrypted file.
    """
    size = len(view)
    if size < HEADER_BYTES + TRAILER_BYTES:
        raise Corruption(
            f"a segment has at least {HEADER_BYTES + TRAILER_BYTES} bytes, this has {size}", path
        )
    magic, version, _, flags, key, _, crc = HEADER.unpack_from(view, 0)
    if magic != MAGIC:
        raise Corruption("not a segment: the magic is wrong", path)
    if crc != crc32c(view[: HEADER_BYTES - 4]):
        raise Corruption("the header fails its checksum", path)
    if version != VERSION or flags or any(key):
        raise UnsupportedFormat(
            f"{path} is a segment of version {version}, flags {flags:#x}; "
            f"this release reads version {VERSION}"
        )
    at = size - TRAILER_BYTES
    offset, length, footer_crc, version, _, crc, magic = TRAILER.unpack_from(view, at)
    if magic != END_MAGIC or crc != crc32c(view[at : at + 20]):
        raise Corruption("the trailer is damaged; the file may be cut", path, at)
    if version != VERSION:
        raise UnsupportedFormat(
            f"{path} ends as version {version}; this release reads version {VERSION}"
        )
    if offset < HEADER_BYTES or offset + length != at:
        raise Corruption("the footer is not where the trailer says", path, at)
    body = view[offset:at]
    if crc32c(body) != footer_crc:
        raise Corruption("the footer fails its checksum", path, offset)
    try:
        footer = _decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"the footer cannot be read: {error}", path, offset) from error
    table_bytes = footer.pages * PAGE_DTYPE.itemsize
    if (
        footer.pages < 0
        or footer.pages_offset < HEADER_BYTES
        or footer.pages_offset + table_bytes > offset
    ):
        raise Corruption("the page table lies outside the file", path, footer.pages_offset)
    table = view[footer.pages_offset : footer.pages_offset + table_bytes]
    if crc32c(table) != footer.pages_crc:
        raise Corruption("the page table fails its checksum", path, footer.pages_offset)
    return footer, np.frombuffer(table, PAGE_DTYPE)
