"""Framing shared by the write-ahead log and the manifest: a file header, then records.

Format pages: docs/format/wal.md (framing, worked example) and docs/format/manifest.md.
Owns: the bytes of a header and of a record, and the scan that tells three things apart: a valid
record, a *torn* tail (a write that never finished: nothing was acknowledged) and *damage*
(bytes that changed after they were written).
Invariants: a record is accepted only when its CRC32C holds. The CRC is seeded with the project's
uuid and the file's number, so records of another file or project, and bytes that a client put
into a payload to look like a record, do not pass.
Pure functions over bytes; no I/O, no state. Scan is O(bytes); searching after damage too, because
a 16-bit check of the record header turns away false starts before their payload is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lz4.block

from zuji.engine.errors import UnsupportedFormat
from zuji.engine.storage._lz4 import pack_marked
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.types import U32

HEADER_BYTES = 64
RECORD_HEADER_BYTES = 24
RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + 1
MAX_PAYLOAD_BYTES = 256 << 20  # of one record, before and after compression
COMPRESS_FROM_BYTES = 128  # shorter payloads are stored as they are
SECTOR_BYTES = 512  # smallest piece of a file that a disk writes or does not write
SMALL_PART = 2  # a block made by way of marks is good when it has at most 1/2 of the bytes
LZ4 = 1  # record flag: the payload is an lz4 block with its length in front

_HEADER = struct.Struct("<8sII16sQ16sI")  # then crc32c u32
_RECORD = struct.Struct("<IIQIBBH")
_CHECKED = struct.Struct("<QIBB")  # seq, length, kind, flags
_FIELDS = struct.Struct("<QIBBH")  # the same and the check: what the CRC covers after the payload
_RECORD_MAGIC = 0xC55A7EC0
_MAGIC_BYTES = _RECORD_MAGIC.to_bytes(4, "little")
_END_MARK = 0xA5
_ZERO_SECTOR = bytes(SECTOR_BYTES)


@dataclass(frozen=True, slots=True)
class Record:
    """A valid record at ``offset``; ``payload`` is already decompressed."""

    offset: int
    end: int
    seq: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes ``[offset, end)`` that hold no valid record.

    ``torn``: they look like a write that did not finish (shorter than announced, or holding a
    sector never written) and reach the end of the file. Otherwise they are damage.
    """

    offset: int
    end: int
    torn: bool


def file_header(magic: bytes, version: int, project: bytes, number: int) -> bytes:
    """The 64 bytes at the start of a log. ``magic`` 8 bytes, ``project`` the uuid's 16 bytes."""
    fixed = _HEADER.pack(magic, version, HEADER_BYTES, project, number, bytes(16), 0)
    return fixed + crc32c(fixed).to_bytes(4, "little")


def read_header(data: bytes, magic: bytes, version: int) -> tuple[bytes, int] | None:
    """(project uuid, number) of a log, or None when its header does not check.

    Raises ``UnsupportedFormat`` for a whole header of a later version.
    """
    fixed = data[: _HEADER.size]
    if len(data) < HEADER_BYTES or fixed[:8] != magic:
        return None
    if crc32c(fixed) != int.from_bytes(data[_HEADER.size : HEADER_BYTES], "little"):
        return None
    _, found, _, project, number, _, _ = _HEADER.unpack(fixed)
    if found > version:
        text = magic.rstrip(b"\0").decode()
        raise UnsupportedFormat(
            f"{text} file of format version {found}; this release reads up to {version}"
        )
    return project, number


def record_seed(project: bytes, number: int) -> int:
    """Start value of all CRCs of one file."""
    return crc32c(project + number.to_bytes(8, "little"))


def compress(payload: bytes) -> tuple[bytes, int]:
    """(stored payload, flags): lz4 when that is shorter."""
    if len(payload) >= COMPRESS_FROM_BYTES:
        packed: bytes = lz4.block.compress(payload, store_size=True)
        if len(packed) < len(payload):
            return packed, LZ4
    return bytes(payload), 0


def pack(payload: bytes) -> tuple[bytes, int]:
    """(stored payload, flags) of a record to be written; needs no lock.

    Raises ValueError for more than ``MAX_PAYLOAD_BYTES``.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a log record of {len(payload)} bytes; split it")
    return compress(payload)


def pack_batch(head: bytes, batch: bytes, marks: tuple[U32, U32] | None) -> tuple[bytes, int]:
    """:func:`pack` of ``head + batch``. ``marks``: where the keys of the batch stand, as
    ``Decoder.marks`` gives them: then the block costs a third, unless the batch is one that only
    the library makes small.
    """
    if marks is not None and COMPRESS_FROM_BYTES <= len(batch) < MAX_PAYLOAD_BYTES // 2:
        packed = pack_marked(head, batch, *marks)
        if len(packed) * SMALL_PART <= len(batch):
            return packed, LZ4
    return pack(head + batch)


def frame(seed: int, seq: int, kind: int, stored: bytes, flags: int) -> bytes:
    """Bytes of one record from what ``compress`` gave."""
    check = crc32c(_CHECKED.pack(seq, len(stored), kind, flags), seed) & 0xFFFF
    crc = crc32c(_FIELDS.pack(seq, len(stored), kind, flags, check), crc32c(stored, seed))
    head = _RECORD.pack(_RECORD_MAGIC, crc, seq, len(stored), kind, flags, check)
    return b"".join((head, stored, bytes((_END_MARK,))))


def scan(data: bytes, seed: int, start: int, last_seq: int) -> Iterator[Record | Gap]:
    """Records of a log from byte ``start``, and the gaps between them, in file order.

    A record must have a greater ``seq`` than ``last_seq`` and than every record before it. After a
    gap the scan goes on at the next whole valid record.
    """
    offset = start
    while offset < len(data):
        record = _record_at(data, offset, seed, last_seq)
        if record is None:
            end = _next_valid(data, offset, seed, last_seq)
            yield Gap(offset, end, end == len(data) and _looks_torn(data, offset, seed))
            offset = end
        else:
            yield record
            last_seq, offset = record.seq, record.end


def _extent(data: bytes, offset: int, seed: int) -> int | None:
    """End of the record that starts at ``offset`` by its own checked header, else None."""
    if offset + RECORD_HEADER_BYTES > len(data):
        return None
    magic, _, seq, length, kind, flags, check = _RECORD.unpack_from(data, offset)
    if magic != _RECORD_MAGIC or length > MAX_PAYLOAD_BYTES:
        return None
    if crc32c(_CHECKED.pack(seq, length, kind, flags), seed) & 0xFFFF != check:
        return None
    return offset + RECORD_OVERHEAD_BYTES + int(length)


def _record_at(data: bytes, offset: int, seed: int, last_seq: int) -> Record | None:
    end = _extent(data, offset, seed)
    if end is None or end > len(data):
        return None
    _, crc, seq, _, kind, flags, _ = _RECORD.unpack_from(data, offset)
    if seq <= last_seq:
        return None
    stored = memoryview(data)[offset + RECORD_HEADER_BYTES : end - 1]
    fields = data[offset + 8 : offset + RECORD_HEADER_BYTES]
    if crc32c(fields, crc32c(stored, seed)) != crc:
        return None
    payload = _decompress(stored) if flags & LZ4 else bytes(stored)
    return None if payload is None else Record(offset, end, seq, kind, payload)


def _decompress(stored: memoryview) -> bytes | None:
    if stored.nbytes < 4 or int.from_bytes(stored[:4], "little") > MAX_PAYLOAD_BYTES:
        return None
    try:
        payload: bytes = lz4.block.decompress(stored)
    except lz4.block.LZ4BlockError:
        return None
    return payload


def _next_valid(data: bytes, offset: int, seed: int, last_seq: int) -> int:
    """Start of the next valid record after the bad bytes at ``offset``, or the end of the data.

    The bad record's own length is tried first, then every place where a record could start.
    """
    end = _extent(data, offset, seed)
    if end is not None and (end == len(data) or _record_at(data, end, seed, last_seq) is not None):
        return end
    position = data.find(_MAGIC_BYTES, offset + 1)
    while position >= 0:
        if _record_at(data, position, seed, last_seq) is not None:
            return position
        position = data.find(_MAGIC_BYTES, position + 1)
    return len(data)


def _looks_torn(data: bytes, offset: int, seed: int) -> bool:
    """Whether ``data[offset:]`` is a write that did not finish, rather than one that changed.

    A finished record ends with a mark that is not zero and starts with a magic that is not, so an
    all-zero sector (cut to the region) means that the disk never wrote that sector.
    """
    if len(data) - offset < RECORD_OVERHEAD_BYTES:
        return True
    end = _extent(data, offset, seed)
    if end is not None and end > len(data):
        return True
    position = offset
    while position < len(data):
        stop = min(len(data), (position // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if data[position:stop] == _ZERO_SECTOR[: stop - position]:
            return True
        position = stop
    return False
