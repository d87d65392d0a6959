"""The catalogue of people and its files: what is named is there, what is not is gone, and every
damaged byte is noticed."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.format_page import example
from zuji.engine.errors import Corruption, NotFound, ReadOnly, UnsupportedFormat
from zuji.engine.people.blob import Blob, write_blob
from zuji.engine.people.store import OPEN_BLOBS, Store
from zuji.engine.storage.files import Files


def opened(directory, writable=True):
    return Store(
        Files(),
        str(directory),
        "cohorts",
        writable=writable,
        empty={"files": []},
        named=lambda document: document["files"],
    )


def naming(*numbers):
    return lambda document: {**document, "files": list(numbers)}


def files_of(directory):
    folder = directory / "people" / "cohorts"
    return sorted(int(name[:8]) for name in os.listdir(folder)) if folder.exists() else []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=300), max_size=9), st.dictionaries(st.text(), st.integers()))
def test_a_file_gives_back_its_sections(tmp_path_factory, sections, meta):
    path = str(tmp_path_factory.mktemp("blob") / "00000007.zblob")
    assert write_blob(Files(), path, 7, sections, meta) == os.path.getsize(path)
    blob = Blob(Files(), path, 7)
    assert blob.meta == meta
    assert [bytes(blob.section(i)) for i in range(blob.sections)] == sections
    assert [blob.length(i) for i in range(blob.sections)] == list(map(len, sections))


def test_every_flipped_byte_of_a_file_is_noticed_or_between_sections(tmp_path):
    path = tmp_path / "00000003.zblob"
    write_blob(Files(), str(path), 3, [b"members", b"", b"of shard 2"], {"users": 17})
    good = path.read_bytes()
    blob = Blob(Files(), str(path), 3)
    between = set(range(len(good)))
    for index in range(3):
        offset = blob._entries[index][0]
        between -= set(range(offset, offset + blob.length(index)))
    table_end = 36 + 24 * 3 + len('{"users":17}')
    between -= set(range(table_end))
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        if place in between:
            Blob(Files(), str(path), 3).check()
        else:
            with pytest.raises((Corruption, UnsupportedFormat)):
                Blob(Files(), str(path), 3).check()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(Corruption):
            Blob(Files(), str(path), 3).check()


def test_a_file_of_another_number_is_refused(tmp_path):
    path = str(tmp_path / "00000003.zblob")
    write_blob(Files(), path, 3, [b"x"], {})
    with pytest.raises(Corruption, match="its name says"):
        Blob(Files(), path, 4)


def test_a_change_is_there_after_opening_again(tmp_path):
    store = opened(tmp_path)
    assert store.now.document == {"files": []}
    number = store.put([b"abc"], {"n": 1})
    before = store.now.version
    store.change(naming(number))
    assert store.now.version > before
    again = opened(tmp_path)
    assert again.now.document == {"files": [number]}
    assert bytes(again.now.blob(number).section(0)) == b"abc"
    assert list(again.scrub()) == []


def test_what_a_crash_left_is_removed_and_its_number_not_used_again(tmp_path):
    store = opened(tmp_path)
    kept, lost = store.put([b"a"]), store.put([b"b"])
    store.change(naming(kept))
    (tmp_path / "people" / "cohorts.json.tmp").write_bytes(b"half")
    assert files_of(tmp_path) == [kept, lost]
    again = opened(tmp_path)
    assert files_of(tmp_path) == [kept]
    assert not (tmp_path / "people" / "cohorts.json.tmp").exists()
    assert again.put([b"c"]) > lost


def test_reading_removes_nothing_and_changes_nothing(tmp_path):
    store = opened(tmp_path)
    lost = store.put([b"b"])
    reader = opened(tmp_path, writable=False)
    assert files_of(tmp_path) == [lost]
    with pytest.raises(ReadOnly):
        reader.put([b""])
    with pytest.raises(ReadOnly):
        reader.change(naming())
    store.change(naming(lost))
    assert reader.now.document == {"files": []}
    assert reader.refresh().document == {"files": [lost]}
    assert reader.refresh() is reader.now


def test_a_state_reads_its_files_though_they_are_gone(tmp_path):
    store = opened(tmp_path)
    first = store.put([b"one"])
    old = store.change(naming(first))
    store.change(naming(second := store.put([b"two"])))
    assert files_of(tmp_path) == [second]
    assert bytes(old.blob(first).section(0)) == b"one"
    with pytest.raises(NotFound):
        store.now.blob(first)
    del old
    gc.collect()
    assert len(store._states) == 1


def test_a_failed_edit_changes_nothing(tmp_path):
    store = opened(tmp_path)
    store.change(naming(number := store.put([b"one"])))

    def broken(document):
        document["files"].clear()
        raise LookupError("not there")

    with pytest.raises(LookupError):
        store.change(broken)
    assert store.now.document == {"files": [number]}
    assert files_of(tmp_path) == [number]


def test_more_files_than_may_be_open(tmp_path):
    store = opened(tmp_path)
    numbers = [store.put([str(i).encode()]) for i in range(OPEN_BLOBS + 20)]
    store.change(naming(*numbers))
    for i, number in enumerate(numbers):
        assert bytes(store.now.blob(number).section(0)) == str(i).encode()
    assert len(store.now._open) == OPEN_BLOBS


def test_a_damaged_catalogue_is_refused(tmp_path):
    store = opened(tmp_path)
    store.change(lambda document: {**document, "name": "高价值"})
    path = tmp_path / "people" / "cohorts.json"
    good = path.read_bytes()
    for place in range(len(good) - 1):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        if good[place] == 0x20:
            continue  # a blank between the values of the first line: no JSON, or as good
        with pytest.raises((Corruption, UnsupportedFormat)):
            opened(tmp_path)
    path.write_bytes(b"{}\n{}\n")
    with pytest.raises(Corruption, match="first line"):
        opened(tmp_path)
    path.write_bytes(good.replace(b'"v": 1', b'"v": 9'))
    with pytest.raises(UnsupportedFormat):
        opened(tmp_path)


def test_the_example_of_the_page(tmp_path):
    path = tmp_path / "00000007.zblob"
    write_blob(Files(), str(path), 7, [b"abc"], {"n": 3})
    assert path.read_bytes() == example("people.md")
