"""Blob files: big data that never changes, in sections that are read and checked one by one.

``people/<kind>/<number>.zblob``: members of cohorts, values of tags. Written whole and synced
before a catalogue (:mod:`zuji.engine.people.store`) names it; layout in ``docs/format/people.md``.
A section is checked once a :class:`Blob`, when it is first asked for, so that a look-up of one user
reads one shard. Thread-safe: two threads may check a section twice.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zuji.engine.storage.files import Buffer, Files

MAGIC = b"ZUJIBLB1"
VERSION = 1
ALIGNMENT = 64
MAX_SECTIONS = 1 << 20
_HEADER = struct.Struct("<8sHHIIIQ")
"""magic, version, reserved, sections, bytes of the meta, CRC32C of table and meta, number; CRC32C
of these follows.
"""
_START = _HEADER.size + 4
_ENTRY = struct.Struct("<QQII")
"""offset of a section from the start of the file, its bytes, their CRC32C, reserved."""


def write_blob(
    files: Files, path: str, number: int, sections: Sequence[Buffer], meta: Mapping[str, Any]
) -> int:
    """Writes and syncs one file; the caller syncs the folder. Returns its bytes.

    ``meta``: small JSON values that go with the sections.
    """
    assert len(sections) <= MAX_SECTIONS
    text = json.dumps(meta, ensure_ascii=False, separators=(",", ":")).encode()
    views = [memoryview(section).cast("B") for section in sections]
    place = _START + _ENTRY.size * len(views) + len(text)
    table = bytearray()
    for view in views:
        place = _aligned(place)
        table += _ENTRY.pack(place, view.nbytes, crc32c(view), 0)
        place += view.nbytes
    described = bytes(table) + text
    head = _HEADER.pack(MAGIC, VERSION, 0, len(views), len(text), crc32c(described), number)
    with files.create(path) as out:
        out.write(head + struct.pack("<I", crc32c(head)) + described)
        for view in views:
            out.write(b"\0" * (_aligned(out.size) - out.size))
            out.write(view)
        out.sync()
        return out.size


def _aligned(place: int) -> int:
    return -(-place // ALIGNMENT) * ALIGNMENT


class Blob:
    """An open blob file, memory-mapped: alive as long as the object is, even when removed.

    ``meta``: as written. ``sections``: how many. ``nbytes``: of the file.

    Raises:
        NotFound, Corruption: too short, a checksum or a length is wrong, or of another number.
        UnsupportedFormat: written by a newer release.
    """

    def __init__(self, files: Files, path: str, number: int) -> None:
        self.path = path
        self.number = number
        self._data = data = files.map(path)
        self.nbytes = len(data)
        if len(data) < _START:
            raise Corruption("blob file is too short", path, len(data))
        head = data[: _HEADER.size]
        magic, version, _, count, meta_bytes, crc, own = _HEADER.unpack(head)
        if magic != MAGIC:
            raise Corruption("not a blob file", path, 0)
        if struct.unpack_from("<I", data, _HEADER.size)[0] != crc32c(head):
            raise Corruption("blob file header fails its checksum", path, 0)
        if version > VERSION:
            raise UnsupportedFormat(
                f"{path} has format version {version}; this release reads up to {VERSION}"
            )
        end = _START + _ENTRY.size * count
        if own != number or count > MAX_SECTIONS or end + meta_bytes > len(data):
            raise Corruption("blob file does not hold what its name says", path, 0)
        if crc32c(data[_START : end + meta_bytes]) != crc:
            raise Corruption("blob file table fails its checksum", path, _START)
        self.meta: dict[str, Any] = json.loads(bytes(data[end : end + meta_bytes]))
        self._entries = list(_ENTRY.iter_unpack(data[_START:end]))
        self._checked = bytearray(count)
        for offset, length, _, _ in self._entries:
            if offset < end + meta_bytes or offset + length > len(data):
                raise Corruption("blob file lengths do not add up", path, _START)

    @property
    def sections(self) -> int:
        """Number of sections."""
        return len(self._entries)

    def length(self, index: int) -> int:
        """Bytes of a section, without reading it."""
        return int(self._entries[index][1])

    def section(self, index: int) -> memoryview:
        """Bytes of a section: a read-only view into the mapped file, 64-byte aligned.

        Raises:
            Corruption: it fails its checksum.
        """
        offset, length, crc, _ = self._entries[index]
        view = self._data[offset : offset + length]
        if not self._checked[index]:
            if crc32c(view) != crc:
                raise Corruption(f"section {index} fails its checksum", self.path, offset)
            self._checked[index] = 1
        return view

    def check(self) -> None:
        """Reads every section. Raises Corruption for the first that fails."""
        for index in range(self.sections):
            self.section(index)
