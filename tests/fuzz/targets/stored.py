"""Files of a project: whatever is in one, it reads, or the reader says Corruption.

Checksums are put right before reading, so that what lies behind them is reached: nobody can be
trusted to have written a file just because its checksum holds (a bug may have, or an attacker).
"""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgpack
from pyroaring import BitMap

from tests.crash.fault_files import OverlayFiles
from zuji.engine import quarantine as quarantine_files
from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.index import dedup, id_files
from zuji.engine.storage import format as segment_format
from zuji.engine.storage import log_format, manifest, wal
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.segment import Segment

GOLDEN = Path(__file__).parents[2] / "golden"
EXPECTED = (Corruption, UnsupportedFormat)
UUID = bytes(range(16))


def _right(blob: bytearray, size: int) -> None:
    """The checksum of the first ``size`` bytes behind them."""
    if len(blob) >= size + 4:
        struct.pack_into("<I", blob, size, crc32c(bytes(blob[:size])))


def log(data: bytes) -> None:
    """A log: every byte is in a record or in a gap, in order; records that were written are read.

    Input: pieces, each a byte of length and a byte that says how: as a record with good checksums
    (its kind, whether it says lz4), or as bytes between records.
    """
    seed = log_format.record_seed(UUID, 3)
    blob = bytearray(log_format.file_header(wal.MAGIC, wal.VERSION, UUID, 3))
    at, seq, written = 0, 0, []
    while at + 2 <= len(data):
        size, how = data[at], data[at + 1]
        piece = data[at + 2 : at + 2 + size]
        at += 2 + size
        if how < 32:
            blob += piece
            continue
        seq += 1
        flags = how & 1
        if flags and how & 2:
            piece, flags = log_format.compress(piece * 20)
        if not flags:
            written.append(seq)
        blob += log_format.frame(seed, seq, how >> 4, piece, flags)
    assert log_format.read_header(bytes(blob), wal.MAGIC, wal.VERSION) == (UUID, 3)
    found = list(log_format.scan(bytes(blob), seed, log_format.HEADER_BYTES, 0))
    end = log_format.HEADER_BYTES
    for item in found:
        assert item.offset == end
        assert item.end > item.offset
        end = item.end
    assert end == len(blob)
    read = {item.seq for item in found if isinstance(item, log_format.Record)}
    assert set(written) <= read, "a whole record was not found"
    raw = bytes(data[: 4 * log_format.HEADER_BYTES])
    list(log_format.scan(raw, seed, 0, 0))


def manifest_records(data: bytes) -> None:
    """A manifest whose snapshot or first edit holds any bytes."""
    if not data:
        return
    seed = log_format.record_seed(UUID, 1)
    blob = log_format.file_header(manifest.MAGIC, manifest.VERSION, UUID, 1)
    payloads = [data[1:]] if data[0] & 1 else [_snapshot(), data[1:]]
    for seq, payload in enumerate(payloads, 1):
        blob += log_format.frame(
            seed, seq, manifest.SNAPSHOT if seq == 1 else manifest.EDIT, payload, 0
        )
    try:
        state, _ = manifest._replay(blob, manifest._Log(1, UUID))
    except EXPECTED:
        return
    assert isinstance(state, manifest.State)


@lru_cache
def _snapshot() -> bytes:
    import msgspec

    info = manifest.ProjectInfo("p", UUID, "Asia/Shanghai", 4, 0, 9)
    meta = manifest.SegmentMeta(1, "segments/1.zseg", 0, 0, 0, 1, 1, 1, 0, 0, 1)
    return msgspec.msgpack.encode(manifest.State(info, (meta,), extra={"a": 1}))


@lru_cache
def _golden(number: int) -> bytes:
    return sorted(GOLDEN.glob("*.zseg"))[number].read_bytes()


def segment(data: bytes) -> None:
    """A good segment, changed in places; all of it is then read and scrubbed.

    Input: which file, then changes of six bytes: where (3, from the end), how, and two values;
    every checksum, of pages, tables and the footer, is put right behind them.
    """
    if not data:
        return
    blob = bytearray(_golden(data[0] & 1))
    for at in range(1, len(data) - 5, 6):
        where = int.from_bytes(data[at : at + 3], "little") % len(blob)
        where, how = len(blob) - 1 - where, data[at + 3]
        if how % 3 == 0:
            blob[where] = data[at + 4]
        elif how % 3 == 1:
            blob[where] ^= 1 << data[at + 4] % 8
        else:
            blob[where : where + 2] = data[at + 4 : at + 6]
    _put_right(blob)
    files = OverlayFiles({"fuzzed": bytes(blob)})
    try:
        found = Segment(files, "fuzzed")
        damage = list(found.scrub())
    except EXPECTED:
        return
    if not damage:
        for run in found.runs.values():
            for name in run.props:
                run.column(name)
                run.zone(name)


def _put_right(blob: bytearray) -> None:
    size = segment_format.TRAILER_BYTES
    at = len(blob) - size
    try:
        offset, length, *_ = segment_format.TRAILER.unpack_from(blob, at)
        body = bytes(blob[offset : offset + length])
        footer = segment_format._decoder.decode(body)
        first, pages = footer.pages_offset, footer.pages
        for page in range(min(pages, 10_000)):
            entry = first + page * segment_format.PAGE_DTYPE.itemsize
            start, long = struct.unpack_from("<QI", blob, entry)
            if start + long <= len(blob):
                struct.pack_into("<I", blob, entry + 16, crc32c(bytes(blob[start : start + long])))
        table = bytes(blob[first : first + pages * segment_format.PAGE_DTYPE.itemsize])
        fixed = segment_format._encoder.encode(
            segment_format.msgspec.structs.replace(footer, pages_crc=crc32c(table))
        )
        if len(fixed) == length and offset + length == at:
            blob[offset:at] = fixed
    except Exception:  # whatever a broken footer raises here: the reader is what is tested
        pass
    if offset_fits(blob, at):
        offset, length, *_ = segment_format.TRAILER.unpack_from(blob, at)
        struct.pack_into("<I", blob, at + 12, crc32c(bytes(blob[offset : offset + length])))
    struct.pack_into("<I", blob, at + 20, crc32c(bytes(blob[at : at + 20])))
    _right(blob, segment_format.HEADER_BYTES - 4)


def offset_fits(blob: bytearray, at: int) -> bool:
    """Whether the trailer names a place in the file."""
    offset, length, *_ = segment_format.TRAILER.unpack_from(blob, at)
    return bool(offset + length <= len(blob))


def small_files(data: bytes) -> None:
    """Files of ids, of keys seen and of refused events."""
    if len(data) < 2:
        return
    kind, count, rest = data[0] % 3, data[1], data[2:]
    if kind == 0:
        head = id_files._HEADER.pack(
            id_files.MAGIC, 1, 0, 0, count, 0, len(rest) * (1 + count % 7), len(rest), crc32c(rest)
        )
        blob = head + crc32c(head).to_bytes(4, "little") + rest
        with suppress(*EXPECTED):
            id_files.read_ids(OverlayFiles({"f": blob}), "f", 0, 0, count)
    elif kind == 1:
        head = dedup._HEADER.pack(dedup.MAGIC, 1, 0, 0, count, crc32c(rest))
        blob = head + crc32c(head).to_bytes(4, "little") + rest
        with suppress(*EXPECTED):
            dedup.read_keys(OverlayFiles({"f": blob}), "f", count)
    else:
        head = quarantine_files._HEADER.pack(quarantine_files.MAGIC, 1, 0, 1)
        blob = head + crc32c(head).to_bytes(4, "little")
        blob += quarantine_files._RECORD.pack(len(rest), crc32c(rest)) + rest
        with suppress(*EXPECTED):
            for kept in quarantine_files.read_quarantine(OverlayFiles({"f": blob}), "f"):
                kept.to_dict()


def bitmaps(data: bytes) -> None:
    """A roaring bitmap of any bytes: refused, or one that can be counted and combined."""
    try:
        found = BitMap.deserialize(data)
    except (ValueError, IndexError):
        return
    assert len(found.to_array()) == len(found)
    other = BitMap(range(0, 100_000, 7))
    assert len(found & other) <= len(found)
    assert len(found | other) >= len(other)


def seeds_log() -> list[bytes]:
    """Records of several kinds with bytes between them."""
    text = b'{"event":"e"}' * 4
    return [
        bytes((len(text), how)) + text + bytes((3, 0)) + b"xyz" + bytes((len(text), 64)) + text
        for how in (0, 1, 32, 33, 35, 48, 80, 255)
    ]


def seeds_manifest_records() -> list[bytes]:
    """A snapshot and an edit."""
    import msgspec

    edit = manifest.Edit(remove=(1,), wal_floor=3, extra_updates={"a": None})
    return [b"\1" + _snapshot(), b"\0" + msgspec.msgpack.encode(edit)]


def seeds_segment() -> list[bytes]:
    """No change, and one in each of many places."""
    changes = (
        bytes((where & 1,)) + where.to_bytes(3, "little") + b"\1\3\0"
        for where in range(0, 6000, 37)
    )
    return [b"\0", b"\1", *changes]


def seeds_small_files() -> list[bytes]:
    """One of each."""
    import lz4.block
    import numpy as np

    raw = np.array([1, 2], "<u2").tobytes() + b"abb"
    kept = msgpack.packb([5, 0, "bad_value", "$.a", "message", b"{}"])
    return [
        b"\0\2" + lz4.block.compress(raw, store_size=False),
        b"\1\2" + bytes(32),
        b"\2\1" + lz4.block.compress(kept),
    ]


def seeds_bitmaps() -> list[bytes]:
    """Arrays, bitsets and runs."""
    dense = BitMap(range(0, 70_000, 2))
    runs = BitMap(range(1000, 200_000))
    runs.run_optimize()
    return [BitMap([1, 5, 100_000]).serialize(), dense.serialize()[:4000], runs.serialize()]
