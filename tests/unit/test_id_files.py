"""Id chunk files: round trips, every damaged byte noticed, later versions refused."""

from __future__ import annotations

import struct
import tempfile
from itertools import pairwise
from pathlib import Path

import lz4.block
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.format_page import example
from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.index.id_files import read_ids, write_ids
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.files import Files

KEYS = [b"uann", b"dA-1"]
HEADER = struct.Struct("<8sHHIIIQQI")


def packed(keys, before=0):
    """Keys as bytes and offsets; ``before`` bytes of other keys come first."""
    data = np.frombuffer(b"x" * before + b"".join(keys), dtype=np.uint8)
    return data, np.cumsum([before, *[len(k) for k in keys]], dtype=np.int64)


def keys_of(answer):
    data, offsets = answer
    raw = data.tobytes()
    return [raw[a:b] for a, b in pairwise(offsets)]


def forged(raw, stored, *, ids=2, raw_bytes=None, version=1, shard=3, first=7):
    """A file whose checksums are right, whatever it says."""
    head = HEADER.pack(
        b"ZUJIIDS1",
        version,
        shard,
        first,
        ids,
        0,
        len(raw) if raw_bytes is None else raw_bytes,
        len(stored),
        crc32c(stored),
    )
    return head + struct.pack("<I", crc32c(head)) + stored


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=256), min_size=1, max_size=40),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.integers(0, 9),
)
def test_what_was_written_is_read(keys, shard, first, before):
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "x.zids")
        write_ids(Files(), path, shard, first, *packed(keys, before))
        assert keys_of(read_ids(Files(), path, shard, first, len(keys))) == keys


def test_every_flipped_byte_is_corruption(tmp_path):
    path = tmp_path / "x.zids"
    write_ids(Files(), str(path), 3, 7, *packed(KEYS))
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(Corruption) as caught:
                read_ids(Files(), str(path), 3, 7, 2)
            assert caught.value.path == str(path)


def test_every_cut_is_corruption(tmp_path):
    path = tmp_path / "x.zids"
    write_ids(Files(), str(path), 3, 7, *packed(KEYS))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(Corruption):
            read_ids(Files(), str(path), 3, 7, 2)
    path.write_bytes(whole + b"\0")
    with pytest.raises(Corruption):
        read_ids(Files(), str(path), 3, 7, 2)


@pytest.mark.parametrize(("shard", "first", "count"), [(2, 7, 2), (3, 6, 2), (3, 7, 1)])
def test_a_chunk_of_another_place_is_corruption(tmp_path, shard, first, count):
    path = str(tmp_path / "x.zids")
    write_ids(Files(), path, 3, 7, *packed(KEYS))
    with pytest.raises(Corruption, match="what the manifest says"):
        read_ids(Files(), path, shard, first, count)


def test_a_later_version_is_refused_and_named(tmp_path):
    raw = b"\x04\0\x04\0uanndA-1"
    path = tmp_path / "x.zids"
    path.write_bytes(forged(raw, lz4.block.compress(raw, store_size=False), version=2))
    with pytest.raises(UnsupportedFormat, match="version 2"):
        read_ids(Files(), str(path), 3, 7, 2)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x04\0\x05\0uanndA-1", None),  # lengths beyond the keys
        (b"\x04\0\x03\0uanndA-1", None),  # keys beyond the lengths
        (b"\x04\0\x04\0uanndA-1", 11),
        (b"\x04\0\x04\0uanndA-1", 13),
        (b"\x04\0\x04\0uanndA-1", 3),
        (b"\x04\0\x04\0uanndA-1", 2**62),  # must not ask for memory
    ],
)
def test_lengths_that_lie_under_right_checksums_are_corruption(tmp_path, raw, said):
    path = tmp_path / "x.zids"
    stored = lz4.block.compress(raw, store_size=False)
    path.write_bytes(forged(raw, stored, raw_bytes=said))
    with pytest.raises(Corruption):
        read_ids(Files(), str(path), 3, 7, 2)


def test_a_block_that_does_not_unpack_is_corruption(tmp_path):
    path = tmp_path / "x.zids"
    path.write_bytes(forged(b"\0" * 12, b"\xff\xff\xff\xff\xff"))
    with pytest.raises(Corruption):
        read_ids(Files(), str(path), 3, 7, 2)


def test_the_example_of_the_page_reads_as_it_says(tmp_path):
    path = tmp_path / "x.zids"
    path.write_bytes(example("ids.md"))
    assert keys_of(read_ids(Files(), str(path), 3, 7, 2)) == KEYS
