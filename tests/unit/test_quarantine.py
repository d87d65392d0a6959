"""Quarantine files: what was refused comes back byte for byte; damage is noticed."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.format_page import example
from zuji.engine.batch.columns import Rejected
from zuji.engine.errors import Corruption, InvalidInput, UnsupportedFormat
from zuji.engine.quarantine import Kept, key_of, read_quarantine, write_quarantine
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.files import Files

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
KEPT = st.builds(
    Kept,
    st.builds(Rejected, st.integers(0, 5000), TEXT, TEXT, TEXT, st.binary(max_size=200)),
    st.integers(-(2**62), 2**62),
    st.one_of(
        st.tuples(st.integers(1, 2**63), st.integers(0, 5000)).map("{0[0]}-{0[1]}".format),
        st.tuples(st.integers(1, 99), st.integers(0, 9)).map("0-{0[0]}-{0[1]}".format),
    ),
)
ONE = [Kept(Rejected(5, "missing_id", "", "no id", b"\x80"), 1000, "17-5")]
VERSION_1 = bytes.fromhex(
    "5a554a4951554131 0100 0000 01000000 d64f0a30 20000000 f279b420 1a000000"
    "f00b96cd03e805aa6d697373696e675f6964a0a56e6f206964c40180"
)


def plain(kept):
    return [(k.id, k.received_ms, k.rejected) for k in kept]


@settings(deadline=None, max_examples=60)
@given(st.lists(KEPT, max_size=8))
def test_what_was_written_is_read(kept):
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "x.rejected")
        write_quarantine(Files(), path, kept)
        assert plain(read_quarantine(Files(), path)) == plain(kept)


def test_every_flipped_byte_is_corruption(tmp_path):
    path = tmp_path / "x.rejected"
    write_quarantine(Files(), str(path), ONE * 2)
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(Corruption) as caught:
                list(read_quarantine(Files(), str(path)))
            assert caught.value.path == str(path)


def test_every_cut_is_corruption(tmp_path):
    path = tmp_path / "x.rejected"
    write_quarantine(Files(), str(path), ONE * 2)
    whole = path.read_bytes()
    for data in [*[whole[:n] for n in range(len(whole))], whole + b"\0"]:
        path.write_bytes(data)
        with pytest.raises(Corruption):
            list(read_quarantine(Files(), str(path)))


def test_records_before_the_damage_are_handed_out(tmp_path):
    path = tmp_path / "x.rejected"
    write_quarantine(Files(), str(path), ONE * 2)
    path.write_bytes(path.read_bytes()[:-1])
    rows = read_quarantine(Files(), str(path))
    assert plain([next(rows)]) == plain(ONE)
    with pytest.raises(Corruption):
        next(rows)


def test_a_later_version_is_refused_and_named(tmp_path):
    head = struct.pack("<8sHHI", b"ZUJIQUA1", 3, 0, 0)
    path = tmp_path / "x.rejected"
    path.write_bytes(head + struct.pack("<I", crc32c(head)))
    with pytest.raises(UnsupportedFormat, match="version 3"):
        list(read_quarantine(Files(), str(path)))


def test_a_file_of_version_1_is_read(tmp_path):
    path = tmp_path / "00000042.rejected"
    path.write_bytes(VERSION_1)
    (one,) = read_quarantine(Files(), str(path))
    assert (one.id, one.received_ms, one.rejected) == ("0-42-0", 1000, ONE[0].rejected)


def test_ids_are_ordered_as_numbers():
    ids = ["0-9-11", "0-10-2", "1-0", "9-10", "10-2", "10-11"]
    assert sorted(ids, key=key_of, reverse=True) == ids[::-1]
    for text in ("", "7", "7-", "-7", "7-x", "1-2-3-4", "7-٣", "7 -1"):
        with pytest.raises(InvalidInput):
            key_of(text)


def test_a_row_for_people_shows_the_event_or_its_bytes():
    sent = {"event": "buy", "time": -1}
    good = Kept(Rejected(0, "bad_time", "time", "…", msgpack.packb(sent)), 7).to_dict()
    assert good["event"] == sent
    assert (good["reason"], good["received_ms"]) == ("bad_time", 7)
    assert Kept(Rejected(0, "not_a_map", "", "…", b"\xc1"), 7).to_dict()["event"] == "c1"


def test_the_example_of_the_page_reads_as_it_says(tmp_path):
    path = tmp_path / "x.rejected"
    path.write_bytes(example("quarantine.md"))
    assert plain(read_quarantine(Files(), str(path))) == plain(ONE)
