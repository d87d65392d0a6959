"""Id chunk files: the external ids of a range of ordinals of one shard, in ordinal order.

Immutable, written once at a flush, named by the manifest. Layout in ``docs/format/ids.md``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import lz4.block
import numpy as np

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64, U8

MAGIC = b"ZUJIIDS1"
VERSION = 1
_HEADER = struct.Struct("<8sHHIIIQQI")
"""magic, version, shard, first ordinal, ids, reserved, raw bytes, stored bytes, CRC32C of the
stored bytes; CRC32C of these follows.
"""


def write_ids(files: Files, path: str, shard: int, first: int, data: U8, offsets: I64) -> None:
    """Writes and syncs one chunk; the caller syncs the folder and commits the manifest."""
    lengths = np.diff(offsets).astype("<u2").tobytes()
    raw = lengths + data[offsets[0] : offsets[-1]].tobytes()
    stored = lz4.block.compress(raw, store_size=False)
    crc = crc32c(stored)
    head = _HEADER.pack(
        MAGIC, VERSION, shard, first, len(offsets) - 1, 0, len(raw), len(stored), crc
    )
    with_crc = head + struct.pack("<I", crc32c(head))
    out = files.create(path)
    try:
        out.write(with_crc + stored)
        out.sync()
    finally:
        out.close()


def read_ids(files: Files, path: str, shard: int, first: int, count: int) -> tuple[U8, I64]:
    """Bytes uint8[total] and offsets int64[count+1] of a chunk, checked against what the manifest
    says.

    Raises:
        Corruption: a checksum or a length is wrong.
        UnsupportedFormat: written by a newer release.
    """
    blob = files.read(path)
    if len(blob) < _HEADER.size + 4:
        raise Corruption("id file is too short", path, len(blob))
    head = blob[: _HEADER.size]
    magic, version, file_shard, file_first, ids, _, raw_bytes, stored_bytes, crc = _HEADER.unpack(
        head
    )
    if magic != MAGIC:
        raise Corruption("not an id file", path, 0)
    if struct.unpack_from("<I", blob, _HEADER.size)[0] != crc32c(head):
        raise Corruption("id file header fails its checksum", path, 0)
    if version > VERSION:
        raise UnsupportedFormat(
            f"{path} has format version {version}; this release reads up to {VERSION}"
        )
    stored = blob[_HEADER.size + 4 :]
    if (file_shard, file_first, ids, stored_bytes) != (shard, first, count, len(stored)):
        raise Corruption("id file does not hold what the manifest says", path, 0)
    if crc32c(stored) != crc:
        raise Corruption("id file fails its checksum", path, _HEADER.size + 4)
    if raw_bytes < 2 * count or raw_bytes > 256 * (stored_bytes + 1):  # lz4 gains 255 × at most
        raise Corruption("id file lengths do not add up", path, 0)
    try:
        raw = lz4.block.decompress(stored, uncompressed_size=raw_bytes)
    except lz4.block.LZ4BlockError as problem:
        raise Corruption(f"id file does not unpack: {problem}", path, _HEADER.size + 4) from None
    if len(raw) != raw_bytes:
        raise Corruption("id file lengths do not add up", path, _HEADER.size + 4)
    offsets = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.frombuffer(raw, dtype="<u2", count=count), out=offsets[1:])
    if 2 * count + int(offsets[-1]) != len(raw):
        raise Corruption("id file lengths do not add up", path, _HEADER.size + 4)
    return np.frombuffer(raw, dtype=np.uint8, offset=2 * count), offsets
