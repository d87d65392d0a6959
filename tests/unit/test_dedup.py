"""The window of keys: what is remembered how long, and its files."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.format_page import example
from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.index.dedup import Dedup, read_keys
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.files import Files

SALT = 99


def keys(dedup, *ids):
    data = np.frombuffer(b"".join(ids), dtype=np.uint8)
    return dedup.keys(data, np.cumsum([0, *[len(i) for i in ids]], dtype=np.int64))


def added(dedup, *ids):
    return dedup.add(*keys(dedup, *ids)).tolist()


def seen(dedup, *ids):
    return dedup.seen(*keys(dedup, *ids)).tolist()


@pytest.fixture
def make(tmp_path):
    (tmp_path / "dedup").mkdir()

    def make(window=1000, saved=(), generation=0):
        return Dedup(Files(), str(tmp_path), SALT, window, saved, generation)

    return make


@pytest.fixture
def new_name():
    numbers = itertools.count(1)
    return lambda: f"dedup/{next(numbers):08d}.zded"


def test_a_repeat_is_not_new_in_one_call_or_later(make):
    dedup = make()
    assert added(dedup, b"ix", b"iy", b"ix") == [1, 1, 0]
    assert added(dedup, b"iy", b"iz") == [0, 1]
    assert seen(dedup, b"ix", b"iq") == [1, 0]


def test_batch_and_insert_ids_do_not_meet(make):
    dedup = make()
    added(dedup, b"bx")
    assert seen(dedup, b"ix") == [0]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 12))
def test_the_window_is_kept_and_at_most_twice_it(sent, window):
    dedup = Dedup(Files(), "/nowhere", SALT, window, ())
    stored: list[int] = []  # in the order in which they were new
    for number in sent:
        new = added(dedup, b"i%d" % number) == [1]
        if new:
            assert number not in stored[-window:], "a key of the window was forgotten"
            stored.append(number)
        else:
            assert number in stored[-2 * window :], "a key is known that never came or is too old"


def test_keys_survive_files_across_generations(make, new_name):
    dedup = make(window=3)
    added(dedup, b"i1", b"i2")
    first = dedup.save(dedup.freeze(), new_name)
    dedup.saved(first)
    added(dedup, b"i3")  # ends generation 0
    added(dedup, b"i4")
    files = dedup.save(dedup.freeze(), new_name)
    dedup.saved(files)
    assert [(generation, count) for _, generation, count in files] == [(0, 2), (0, 1), (1, 1)]
    again = make(window=3, saved=files, generation=dedup.generation)
    assert seen(again, b"i1", b"i2", b"i3", b"i4", b"i5") == [1, 1, 1, 1, 0]
    added(again, b"i5", b"i6")  # ends generation 1, forgets 0
    later = again.save(again.freeze(), new_name)
    assert [(generation, count) for _, generation, count in later] == [(1, 1), (1, 2)]
    assert seen(again, b"i1", b"i3", b"i4", b"i6") == [0, 0, 1, 1]


def test_nothing_new_writes_no_file(make, new_name):
    dedup = make()
    assert dedup.save(dedup.freeze(), new_name) == []


def test_a_failed_commit_forgets_no_file_and_no_key(make, new_name):
    dedup = make()
    added(dedup, b"i1")
    frozen = dedup.freeze()
    dedup.save(frozen, new_name)  # its commit fails: `saved` is not called
    assert [count for _, _, count in dedup.save(frozen, new_name)] == [1]


@pytest.fixture
def one_file(make, new_name, tmp_path):
    dedup = make()
    added(dedup, b"i1", b"i2", b"i3")
    name, _, count = dedup.save(dedup.freeze(), new_name)[0]
    return tmp_path / name, count


def test_every_flipped_byte_is_corruption(one_file):
    path, count = one_file
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(Corruption) as caught:
                read_keys(Files(), str(path), count)
            assert caught.value.path == str(path)


def test_every_cut_is_corruption(one_file):
    path, count = one_file
    whole = path.read_bytes()
    for data in [*[whole[:n] for n in range(len(whole))], whole + b"\0"]:
        path.write_bytes(data)
        with pytest.raises(Corruption):
            read_keys(Files(), str(path), count)


def test_another_number_of_keys_than_the_manifest_says_is_corruption(one_file):
    path, count = one_file
    for other in (count - 1, count + 1):
        with pytest.raises(Corruption, match="what the manifest says"):
            read_keys(Files(), str(path), other)


def test_a_later_version_is_refused_and_named(tmp_path):
    head = struct.pack("<8sHHIQI", b"ZUJIDUP1", 2, 0, 0, 0, crc32c(b""))
    path = tmp_path / "x.zded"
    path.write_bytes(head + struct.pack("<I", crc32c(head)))
    with pytest.raises(UnsupportedFormat, match="version 2"):
        read_keys(Files(), str(path), 0)


def test_the_example_of_the_page_reads_as_it_says(tmp_path):
    path = tmp_path / "x.zded"
    path.write_bytes(example("dedup.md"))
    hi, lo = read_keys(Files(), str(path), 2)
    assert (hi.tolist(), lo.tolist()) == ([1, 2**64 - 1], [2, 3])


def test_files_of_a_forgotten_generation_are_removed_once_the_manifest_is_durable(
    make, new_name, tmp_path
):
    dedup = make(window=2)
    for batch in ((b"ia", b"ib"), (b"ic", b"id"), (b"ie", b"if")):
        added(dedup, *batch)
        files = dedup.save(dedup.freeze(), new_name)
        before = {p.name for p in (tmp_path / "dedup").iterdir()}
        assert {name.split("/")[1] for name, _, _ in files} <= before
        dedup.saved(files)
        after = {p.name for p in (tmp_path / "dedup").iterdir()}
        assert after == {name.split("/")[1] for name, _, _ in files}
    assert len(after) < 3
