"""The quarantine: events that could not be stored, kept with the reason so that they can be listed
and replayed.

A file is written with the flush of the memtable beside whose rows the events came; until then they
stand in the WAL with their batch. Layout: ``docs/format/quarantine.md``. Pure functions over one
file each.
"""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING, Any

import lz4.block
import msgpack
import msgspec

from zuji.engine.batch.columns import Rejected
from zuji.engine.errors import Corruption, InvalidInput, UnsupportedFormat
from zuji.engine.storage import names
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zuji.engine.storage.files import Files

MAGIC = b"ZUJIQUA1"
VERSION = 2
_HEADER = struct.Struct("<8sHHI")
"""magic, version, reserved, records; CRC32C of these follows."""
_START = _HEADER.size + 4
_RECORD = struct.Struct("<II")
"""stored bytes, CRC32C of them."""
_Fields1 = tuple[int, int, str, str, str, bytes]
"""A record of version 1: received, index, reason, path, message, raw."""
_Fields = tuple[int, int, str, str, str, bytes, str]
"""The same, and the id."""
_NUMBER = re.compile(r"\d{1,20}\Z", re.ASCII)
Key = tuple[int, ...]
"""What an id says: ids are ordered by it."""


def key_of(entry_id: str) -> Key:
    """The key of an entry's id. Raises InvalidInput for a text that is none."""
    parts = entry_id.split("-")
    if len(parts) not in (2, 3) or not all(_NUMBER.match(part) for part in parts):
        raise InvalidInput(f"{entry_id!r} is not the id of a rejected event, which is like 1042-3")
    return tuple(map(int, parts))


class Kept:
    """One rejected event with the time it arrived (ms).

    ``id``: number of the log's record that brought it and its place therein (``1042-3``), for ever
    the same; of entries that an old release kept 0, number and place in the file (``0-17-3``).
    """

    __slots__ = ("id", "received_ms", "rejected")

    def __init__(self, rejected: Rejected, received_ms: int, id: str = "0-0-0") -> None:
        self.rejected = rejected
        self.received_ms = received_ms
        self.id = id

    @property
    def key(self) -> Key:
        """Orders entries as they came."""
        return tuple(map(int, self.id.split("-")))

    def to_dict(self) -> dict[str, Any]:
        """A row for people: the event is decoded as far as it can be."""
        r = self.rejected
        try:
            if len(r.raw) > 1 and r.raw[0] < 0x80:  # in msgpack an integer of one byte
                event = json.loads(r.raw.decode(errors="replace"))
            else:
                event = msgpack.unpackb(
                    r.raw, strict_map_key=False, unicode_errors="replace", timestamp=3
                )
        except Exception:  # whatever is raised on bytes that were refused: show them raw
            event = r.raw.hex()
        return {
            "id": self.id,
            "received_ms": self.received_ms,
            "index": r.index,
            "reason": r.reason,
            "path": r.path,
            "message": r.message,
            "event": event,
        }


class Wanted:
    """Which entries somebody asks for: each condition that is not None must hold."""

    __slots__ = ("_from_ms", "_keys", "_last", "_reason", "_to_ms", "after")

    def __init__(
        self,
        ids: Iterable[str] | None,
        reason: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        after: str | None = None,
    ) -> None:
        self._keys = None if ids is None else {key_of(one) for one in ids}
        self._reason = reason
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._last = max(self._keys) if self._keys else None
        self.after: Key = () if after is None else key_of(after)
        if self._keys:
            self.after = max(self.after, min(self._keys)[:-1])

    @property
    def all(self) -> bool:
        """No condition."""
        return (self._keys, self._reason, self._from_ms, self._to_ms) == (None,) * 4

    def goes_on(self, kept: Kept) -> bool:
        """Whether this entry or one after it may be one of them."""
        return self._last is None or kept.key <= self._last

    def has(self, kept: Kept) -> bool:
        """Whether an entry is one of them (``after`` is for who lists them)."""
        return (
            (self._keys is None or kept.key in self._keys)
            and self._reason in (None, kept.rejected.reason)
            and (self._from_ms is None or kept.received_ms >= self._from_ms)
            and (self._to_ms is None or kept.received_ms < self._to_ms)
        )


_MARK = "$refused"
_MARKED = (msgpack.packb({_MARK: 0})[:-1], b'{"' + _MARK.encode() + b'":')


def refusal(reason: str, path: str, message: str, raw: bytes, *, as_json: bool = False) -> bytes:
    """What a caller puts in an event's place in a batch to have it refused: the quarantine then has
    ``raw``, the event as it came, for the caller's reason. ``as_json``: for a batch in JSON.
    """
    if as_json:
        said = [reason, path, message, raw.decode("utf-8", "replace")]
        return json.dumps({_MARK: said}, separators=(",", ":")).encode()
    packed: bytes = msgpack.packb({_MARK: [reason, path, message, raw]})
    return packed


def opened(refused: Sequence[Rejected]) -> Sequence[Rejected]:
    """Refused events; those that stand for others (:func:`refusal`) as what they stand for."""
    if not any(one.raw.startswith(_MARKED) for one in refused):
        return refused
    return [_opened(one) for one in refused]


def _opened(one: Rejected) -> Rejected:
    if not one.raw.startswith(_MARKED):
        return one
    try:
        load = json.loads if one.raw[0] < 0x80 else msgpack.unpackb
        reason, path, message, raw = load(one.raw)[_MARK]
        raw = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
        said = (reason, path, message)
        if all(isinstance(each, str) for each in said) and isinstance(raw, bytes):
            return Rejected(one.index, *said, raw)
    except Exception:  # a client sent something like it: then it is what it is
        return one
    return one


def packed_rejected(refused: Iterable[Rejected]) -> bytes:
    """Rejected events as a log record carries them: a msgpack array of arrays of five."""
    packed: bytes = msgpack.packb([[r.index, r.reason, r.path, r.message, r.raw] for r in refused])
    return packed


def unpacked_rejected(packed: bytes) -> list[Rejected]:
    """What :func:`packed_rejected` made bytes of."""
    return [Rejected(*fields) for fields in msgpack.unpackb(packed)]


def write_quarantine(files: Files, path: str, kept: Sequence[Kept]) -> None:
    """Writes and syncs one file."""
    out = files.create(path)
    try:
        head = _HEADER.pack(MAGIC, VERSION, 0, len(kept))
        parts = [head, struct.pack("<I", crc32c(head))]
        for k in kept:
            r = k.rejected
            body = msgpack.packb([k.received_ms, r.index, r.reason, r.path, r.message, r.raw, k.id])
            stored = lz4.block.compress(body)
            parts += [_RECORD.pack(len(stored), crc32c(stored)), stored]
        out.write(b"".join(parts))
        out.sync()
    finally:
        out.close()


def read_quarantine(files: Files, path: str) -> Iterator[Kept]:
    """The events of one file.

    Raises:
        Corruption: a checksum or length is wrong.
        UnsupportedFormat: written by a newer release.
    """
    blob = files.read(path)
    if len(blob) < _START:
        raise Corruption("quarantine file is too short", path, len(blob))
    magic, version, _, records = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        raise Corruption("not a quarantine file", path, 0)
    if struct.unpack_from("<I", blob, _HEADER.size)[0] != crc32c(blob[: _HEADER.size]):
        raise Corruption("quarantine file header fails its checksum", path, 0)
    if version > VERSION:
        raise UnsupportedFormat(
            f"{path} has format version {version}; this release reads up to {VERSION}"
        )
    at = _START
    number = names.rejected_number(path) or 0
    for place in range(records):
        if at + _RECORD.size > len(blob):
            raise Corruption("quarantine file ends early", path, at)
        length, crc = _RECORD.unpack_from(blob, at)
        stored = blob[at + _RECORD.size : at + _RECORD.size + length]
        if len(stored) != length or crc32c(stored) != crc:
            raise Corruption("quarantine record fails its checksum", path, at)
        yield _kept(stored, path, at, f"0-{number}-{place}" if version == 1 else None)
        at += _RECORD.size + length
    if at != len(blob):
        raise Corruption("quarantine file goes on after its last record", path, at)


def _kept(stored: bytes, path: str, at: int, old_id: str | None) -> Kept:
    """``old_id``: the record is one of version 1, and this its id."""
    try:
        body = _unpacked(stored)
        if old_id is None:
            found = msgspec.msgpack.decode(body, type=_Fields)
            key_of(found[-1])
        else:
            found = (*msgspec.msgpack.decode(body, type=_Fields1), old_id)
    except (lz4.block.LZ4BlockError, msgspec.DecodeError, ValueError, InvalidInput) as error:
        raise Corruption(f"a quarantine record makes no sense: {error}", path, at) from None
    received, index, reason, where, message, raw, entry_id = found
    rejected = Rejected(index=index, reason=reason, path=where, message=message, raw=raw)
    return Kept(rejected, received, entry_id)


def _unpacked(stored: bytes) -> bytes:
    size = int.from_bytes(stored[:4], "little")
    if size > 256 * len(stored):  # lz4 gains 255 × at most
        raise ValueError(f"{len(stored)} bytes cannot unpack to {size}")
    unpacked: bytes = lz4.block.decompress(stored)
    return unpacked
