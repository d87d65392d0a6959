"""Link files: what was said of some devices and customers, and when it changed.

Immutable, written once at a flush, named by the manifest in order: what a later file says of a
device replaces what an earlier one says. Layout in ``docs/format/links.md``. Small files become one
as they gather, as in a log-structured merge tree: :func:`to_merge`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import lz4.block
import msgpack
import numpy as np

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.index._keys import KeyTable
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64, U8, U32

MAGIC = b"ZUJILNK1"
VERSION = 2
"""2: has things said by hand; a file without any is written as version 1."""
_HEADER = struct.Struct("<8sHHIQQII")
"""magic, version, reserved, devices of one customer, raw bytes, stored bytes, CRC32C of the stored
bytes, CRC32C of what is before it."""
MOST_DEVICES = 1_000_000
"""Of one file: who loads it has it unpacked in memory beside the links."""
FILES_ALIKE = 4
"""A file becomes one with those after it when they have this share of its bytes, one part in."""


@dataclass(frozen=True, slots=True)
class LinkFile:
    """Content of a file. Of one customer each: ``data`` uint8 keys end to end, ``offsets``
    int64[n+1], ``owner`` places int64[n], ``first`` ms UTC int64[n], ``number`` of the change
    int64[n]. ``facts``: of the other devices, with ``number``. ``said``: what was said by hand, by
    ascending ``n``.
    """

    data: U8
    offsets: I64
    owner: I64
    first: I64
    number: I64
    facts: list[dict[str, Any]]
    said: list[dict[str, Any]] = field(default_factory=list)

    @property
    def devices(self) -> int:
        """How many it says something of."""
        return len(self.owner) + len(self.facts)


def write_links(files: Files, path: str, content: LinkFile) -> int:
    """Writes and syncs a file; its bytes. The caller syncs the folder and commits the manifest."""
    lengths = np.diff(content.offsets).astype("<u2").tobytes()
    keys = content.data[content.offsets[0] : content.offsets[-1]].tobytes()
    columns = [a.astype("<i8").tobytes() for a in (content.owner, content.first, content.number)]
    entries = [bytes(msgpack.packb(content.facts))]
    if content.said:
        entries.append(bytes(msgpack.packb(content.said)))
    raw = b"".join((lengths, *columns, keys, *entries))
    stored = lz4.block.compress(raw, store_size=False)
    head = _HEADER.pack(
        MAGIC, len(entries), 0, len(content.owner), len(raw), len(stored), crc32c(stored), 0
    )[:-4]
    blob = head + struct.pack("<I", crc32c(head)) + stored
    out = files.create(path)
    try:
        out.write(blob)
        out.sync()
    finally:
        out.close()
    return len(blob)


def read_links(files: Files, path: str) -> LinkFile:
    """Content of a file.

    Raises:
        Corruption: a checksum or a length is wrong.
        UnsupportedFormat: written by a newer release.
    """
    blob = files.read(path)
    if len(blob) < _HEADER.size:
        raise Corruption("link file is too short", path, len(blob))
    magic, version, _, n, raw_bytes, stored_bytes, crc, head_crc = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        raise Corruption("not a link file", path, 0)
    if head_crc != crc32c(blob[: _HEADER.size - 4]):
        raise Corruption("link file header fails its checksum", path, 0)
    if version > VERSION:
        raise UnsupportedFormat(
            f"{path} has format version {version}; this release reads up to {VERSION}"
        )
    stored = blob[_HEADER.size :]
    if len(stored) != stored_bytes or crc32c(stored) != crc:
        raise Corruption("link file fails its checksum", path, _HEADER.size)
    if raw_bytes < 26 * n or raw_bytes > 256 * (stored_bytes + 1):  # lz4 gains 255 × at most
        raise Corruption("link file lengths do not add up", path, 0)
    try:
        raw = lz4.block.decompress(stored, uncompressed_size=raw_bytes)
        offsets = np.zeros(n + 1, np.int64)
        np.cumsum(np.frombuffer(raw, "<u2", n), out=offsets[1:])
        owner, first, number = (
            np.frombuffer(raw, "<i8", n, 2 * n + 8 * n * i).astype(np.int64) for i in range(3)
        )
        keys_end = 26 * n + int(offsets[-1])
        data = np.frombuffer(raw, np.uint8, int(offsets[-1]), 26 * n)
        unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        unpacker.feed(raw[keys_end:])
        entries = list(unpacker)
    except (lz4.block.LZ4BlockError, ValueError) as problem:
        raise Corruption(f"link file does not unpack: {problem}", path, _HEADER.size) from None
    if len(entries) != version:
        raise Corruption("link file lengths do not add up", path, 0)
    return LinkFile(data, offsets, owner, first, number, *entries)


def merged(parts: Sequence[LinkFile]) -> LinkFile:
    """Files as one: of a device, what was said last, and of that what the later file says. O(n log
    n) of their devices.
    """
    table = KeyTable()
    code: list[U32] = []
    change: list[I64] = []
    part_of: list[I64] = []
    row_of: list[I64] = []
    for number, part in enumerate(parts):
        code.append(table.intern_bulk(part.data, part.offsets))
        facts = [table.intern(entry["key"]) for entry in part.facts]
        code.append(np.array(facts, np.uint32))
        change += [part.number, np.array([entry["number"] for entry in part.facts], np.int64)]
        row_of += [np.arange(len(part.owner)), -1 - np.arange(len(facts))]
        part_of.append(np.full(part.devices, number))
    codes, rows, of = np.concatenate(code), np.concatenate(row_of), np.concatenate(part_of)
    order = np.lexsort((np.arange(len(codes)), np.concatenate(change), codes))
    last = order[np.flatnonzero(np.diff(codes[order], append=-1))]  # of each device
    simple, entries = last[rows[last] >= 0], last[rows[last] < 0]

    def column(name: str) -> I64:
        found = np.empty(len(simple), np.int64)
        for number, part in enumerate(parts):
            mine = of[simple] == number
            found[mine] = getattr(part, name)[rows[simple[mine]]]
        return found

    return LinkFile(
        *table.gather(codes[simple]),
        column("owner"),
        column("first"),
        column("number"),
        [parts[n].facts[-1 - row] for n, row in zip(of[entries], rows[entries], strict=True)],
        sorted((entry for part in parts for entry in part.said), key=itemgetter("n")),
    )


def to_merge(sizes: Sequence[int], most: int = 16 << 20) -> int:
    """How many of the last files are to become one, given bytes of all; fewer than two: none.

    Files of more than ``most`` bytes are left alone.
    """
    count = total = 0
    for size in reversed(sizes):
        if size > most or (count and size > FILES_ALIKE * total):
            break
        count, total = count + 1, total + size
    return count if count >= FILES_ALIKE else 0
