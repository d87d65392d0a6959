"""Item files: records of items in the order in which they are to be applied.

Immutable, written once at a flush, named by the manifest. Layout in ``docs/format/items.md``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import lz4.block
import msgpack
import msgspec

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.items.record import ItemRecord
from zuji.engine.storage.codecs import crc32c
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.engine.storage.files import Files

MAGIC = b"ZUJIITM1"
VERSION = 1
_HEADER = struct.Struct("<8sHHI")
"""magic, version, reserved, records; CRC32C of these follows."""
_START = _HEADER.size + 4
_BLOCK = struct.Struct("<II")
"""stored bytes, CRC32C of them."""
BLOCK_RECORDS = 4_096
_Fields = tuple[str, str, int, dict[str, tuple[int, Any]] | None]
_DECODER = msgspec.msgpack.Decoder(list[_Fields])


def write_items(files: Files, path: str, records: Sequence[ItemRecord]) -> None:
    """Writes and syncs one file; the caller syncs the folder and commits the manifest."""
    out = files.create(path)
    try:
        head = _HEADER.pack(MAGIC, VERSION, 0, len(records))
        out.write(head + struct.pack("<I", crc32c(head)))
        for at in range(0, len(records), BLOCK_RECORDS):
            body = msgpack.packb([_fields(one) for one in records[at : at + BLOCK_RECORDS]])
            stored = lz4.block.compress(body)
            out.write(_BLOCK.pack(len(stored), crc32c(stored)) + stored)
        out.sync()
    finally:
        out.close()


def _fields(record: ItemRecord) -> list[Any]:
    given = record.properties
    values = None if given is None else {n: [int(k), v] for n, (k, v) in given.items()}
    return [record.type, record.id, record.time, values]


def read_items(files: Files, path: str, expected: int) -> Iterator[ItemRecord]:
    """The records of a file, of which there are ``expected``.

    Raises:
        Corruption: a checksum or length is wrong.
        UnsupportedFormat: written by a newer release.
    """
    blob = files.read(path)
    if len(blob) < _START:
        raise Corruption("item file is too short", path, len(blob))
    magic, version, _, records = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        raise Corruption("not an item file", path, 0)
    if struct.unpack_from("<I", blob, _HEADER.size)[0] != crc32c(blob[: _HEADER.size]):
        raise Corruption("item file header fails its checksum", path, 0)
    if version > VERSION:
        raise UnsupportedFormat(
            f"{path} has format version {version}; this release reads up to {VERSION}"
        )
    if records != expected:
        raise Corruption("item file does not hold what the manifest says", path, 0)
    at = _START
    while records > 0:
        if at + _BLOCK.size > len(blob):
            raise Corruption("item file ends early", path, at)
        length, crc = _BLOCK.unpack_from(blob, at)
        stored = blob[at + _BLOCK.size : at + _BLOCK.size + length]
        if len(stored) != length or crc32c(stored) != crc:
            raise Corruption("item block fails its checksum", path, at)
        for record in _records(stored, path, at):
            records -= 1
            yield record
        at += _BLOCK.size + length
    if at != len(blob) or records:
        raise Corruption("item file does not end with its last record", path, at)


def _records(stored: bytes, path: str, at: int) -> list[ItemRecord]:
    size = int.from_bytes(stored[:4], "little")
    if size > 256 * len(stored):  # lz4 gains 255 × at most
        raise Corruption(f"{len(stored)} bytes cannot unpack to {size}", path, at)
    try:
        found = _DECODER.decode(lz4.block.decompress(stored))
        return [ItemRecord(kind, item, time, _values(v)) for kind, item, time, v in found]
    except (lz4.block.LZ4BlockError, msgspec.DecodeError, ValueError) as error:
        raise Corruption(f"item records make no sense: {error}", path, at) from None


def _values(found: dict[str, tuple[int, Any]] | None) -> dict[str, tuple[Kind, Any]] | None:
    return None if found is None else {name: (Kind(k), v) for name, (k, v) in found.items()}
