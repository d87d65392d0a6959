"""Values of tags as files: what is written is read, and damage is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.people.blob import Blob, write_blob
from zuji.engine.people.tags.format import column_of, known_of, sections_of
from zuji.engine.people.tags.given import Edit, edits_of, histories, sections_of_edits
from zuji.engine.storage.files import Files
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Column, Kind

VALUES = {
    Kind.BOOL: st.booleans(),
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.FLOAT: st.floats(allow_nan=False),
    Kind.DATETIME: st.integers(-(2**40), 2**43),
    Kind.STRING: st.sampled_from(["", "a", "ä", "🏦", "b" * 300, "gold", "silver"]),
}
KINDS = list(VALUES)


def column(kind, values):
    """A column of Python values, None for no value; dictionaries in order of first use."""
    has = np.array([v is not None for v in values], np.uint8)
    if not has.any():
        return None
    texts = list(dict.fromkeys(["unused", *(v for v in values if v is not None)]))
    if kind == Kind.STRING:
        plain = np.array([0 if v is None else texts.index(v) for v in values], np.uint32)
    else:
        plain = np.array([v or 0 for v in values], DTYPES[kind])
    present = None if has.all() else has
    return Column(kind, plain, present, texts if kind == Kind.STRING else None)


def told(column):
    """Its Python values."""
    found = []
    for row in range(column.rows):
        if column.present is not None and not column.present[row]:
            found.append(None)
            continue
        value = column.values[row].item()
        texts = column.dictionary
        found.append(texts[value] if texts is not None else value)
    return found


def written(folder, sections, meta, number=1):
    path = str(folder / f"{number}.zblob")
    write_blob(Files(), path, number, sections, meta)
    return Blob(Files(), path, number)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_what_is_written_is_read(tmp_path_factory, data, kind):
    folder = tmp_path_factory.mktemp("tags")
    one = st.one_of(st.none(), VALUES[kind])
    shards = data.draw(st.lists(st.lists(one, max_size=20), min_size=1, max_size=4))
    columns = [column(kind, values) for values in shards]
    blob = written(folder, *sections_of(kind, columns, [len(values) for values in shards]))
    assert known_of(blob) == sum(v is not None for values in shards for v in values)
    for shard, values in enumerate(shards):
        found = column_of(blob, kind, shard)
        assert (found is None) == all(v is None for v in values)
        if found is not None:
            assert told(found) == values
            absent = found.values[[i for i, v in enumerate(values) if v is None]]
            assert not absent.any()
    assert column_of(blob, kind, len(shards)) is None


def test_many_values_and_pages(tmp_path):
    rng = np.random.default_rng(3)
    texts = [f"value {i}" for i in range(150_000)]
    codes = rng.integers(0, len(texts), 200_000).astype(np.uint32)
    has = (rng.random(200_000) < 0.9).astype(np.uint8)
    made = Column(Kind.STRING, codes * has, has, texts)
    found = column_of(
        written(tmp_path, *sections_of(Kind.STRING, [made], [200_000])), Kind.STRING, 0
    )
    assert found.values.dtype == np.uint32
    assert told(found) == told(made)
    few = Column(Kind.STRING, (codes % 255).astype(np.uint32), None, texts)
    blob = written(tmp_path, *sections_of(Kind.STRING, [few], [200_000]), number=2)
    found = column_of(blob, Kind.STRING, 0)
    assert (found.values.dtype, found.present) == (np.uint8, None)
    assert told(found) == told(few)


def test_a_flipped_bit_is_damage_or_harmless(tmp_path):
    values = ["gold", None, "silver", "gold", None]
    blob = written(tmp_path, *sections_of(Kind.STRING, [column(Kind.STRING, values)], [5]))
    path = blob.path
    raw = bytearray((tmp_path / "1.zblob").read_bytes())
    detected = 0
    for at in range(len(raw)):
        for bit in (0, 5):
            raw[at] ^= 1 << bit
            (tmp_path / "1.zblob").write_bytes(raw)
            try:
                assert told(column_of(Blob(Files(), path, 1), Kind.STRING, 0)) == values
            except (Corruption, UnsupportedFormat):
                detected += 1
            raw[at] ^= 1 << bit
    assert detected > len(raw)


@pytest.mark.parametrize("kind", [Kind.INT, Kind.FLOAT])
def test_a_flipped_bit_of_numbers_is_damage_or_harmless(tmp_path, kind):
    values = [5, None, -7, 0, 2**40]
    blob = written(tmp_path, *sections_of(kind, [column(kind, values)], [5]))
    path = blob.path
    raw = bytearray((tmp_path / "1.zblob").read_bytes())
    detected = 0
    for at in range(len(raw)):
        raw[at] ^= 4
        (tmp_path / "1.zblob").write_bytes(raw)
        try:
            assert told(column_of(Blob(Files(), path, 1), kind, 0)) == values
        except (Corruption, UnsupportedFormat):
            detected += 1
        raw[at] ^= 4
    assert detected > len(raw) / 2


@pytest.mark.parametrize("kind", [Kind.INT, Kind.FLOAT, Kind.DATETIME])
def test_numbers_are_read_with_their_slices(tmp_path, kind):
    shards = [[5, None, -7, 5], [None], [9]]
    blob = written(tmp_path, *sections_of(kind, [column(kind, s) for s in shards], [4, 1, 1]))
    found = column_of(blob, kind, 0).slices
    assert found.codes.tolist() == [2, 0, 1, 2]
    other = column_of(blob, kind, 2).slices
    assert other.codes.tolist() == [3]
    for slices in (found, other):
        assert [slices.least.tolist(), slices.greatest.tolist()] == [[-7, 5, 9], [-7, 5, 9]]
    assert column_of(blob, kind, 1) is None


def test_numbers_of_many_slices_are_read(tmp_path):
    values = np.random.default_rng(3).lognormal(4, 1, 200_000)
    has = (values > 30).astype(np.uint8)
    made = Column(Kind.FLOAT, values * has, has)
    blob = written(tmp_path, *sections_of(Kind.FLOAT, [made], [200_000]))
    found = column_of(blob, Kind.FLOAT, 0)
    assert (found.values == made.values).all()
    assert (found.present == has).all()
    assert found.slices.codes.dtype == np.uint16
    assert len(found.slices.least) > 3_000
    at = found.slices.codes[has == 1].astype(int) - 1
    own = found.values[has == 1]
    assert (found.slices.least[at] <= own).all()
    assert (own <= found.slices.greatest[at]).all()


@pytest.mark.parametrize("damage", ["short", "turned", "many", "none", "code"])
def test_slices_that_cannot_be_are_damage(tmp_path, damage):
    sections, meta = sections_of(Kind.INT, [column(Kind.INT, [1, 2, 3, None])], [4])
    assert meta["slices"] == 3
    ends = np.frombuffer(sections[0], "<i8")
    if damage == "short":
        sections[0] = sections[0][:-8]
    elif damage == "turned":
        sections[0] = ends[::-1].tobytes()
    elif damage in ("many", "none"):
        meta["slices"] = 4_095 if damage == "many" else 0
    else:
        sections[0], meta["slices"] = ends[[0, 1, 3, 4]].tobytes(), 2
    with pytest.raises(Corruption, match="slices"):
        column_of(written(tmp_path, sections, meta), Kind.INT, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"users": [6]},
        {"users": [5, 5]},
        {"kind": "int64"},
        {"values": 1},
        {"dictionary_bytes": 3},
        {"values": 3},
    ],
)
def test_a_meta_that_does_not_fit_is_damage(tmp_path, change):
    values = ["gold", None, "silver", "gold", None]
    sections, meta = sections_of(Kind.STRING, [column(Kind.STRING, values)], [5])
    with pytest.raises(Corruption):
        column_of(written(tmp_path, sections, {**meta, **change}), Kind.STRING, 0)


@pytest.mark.parametrize("kind", [Kind.BOOL, Kind.INT])
def test_a_later_form_is_not_read(tmp_path, kind):
    sections, meta = sections_of(kind, [column(kind, [True])], [1])
    with pytest.raises(UnsupportedFormat):
        column_of(written(tmp_path, sections, {**meta, "form": meta["form"] + 1}), kind, 0)


EDITS = [
    Edit(1, 7, "vip", "lin", 1000),
    Edit(0, 7, "x", "wu", 1000),
    Edit(1, 7, None, "lin", 3000),
    Edit(1, 7, "late", "wu", 2000),
    Edit(1, 3, "", "lin", 1000),
]


def test_edits_are_read_as_they_were_made(tmp_path):
    blob = written(tmp_path, *sections_of_edits(EDITS))
    assert edits_of(blob) == EDITS
    assert edits_of(written(tmp_path, *sections_of_edits([]), number=2)) == []
    sections, meta = sections_of_edits(EDITS)
    with pytest.raises(Corruption):
        edits_of(written(tmp_path, sections, {**meta, "edits": 4}, number=3))
    with pytest.raises(Corruption):
        edits_of(written(tmp_path, sections, {**meta, "form": "values"}, number=4))
    short = [*sections[:-1], b'{"values": [], "who": []}']
    with pytest.raises(Corruption):
        edits_of(written(tmp_path, short, meta, number=5))


def test_histories_are_by_user_and_time():
    first, second = histories(EDITS, Kind.STRING, 2)
    assert first.users.tolist() == [7]
    assert second.users.tolist() == [3, 7, 7, 7]
    assert second.times.tolist() == [1000, 1000, 2000, 3000]
    assert second.present.tolist() == [1, 1, 1, 0]
    texts = [second.dictionary[v] for v in second.values[:3]]
    assert texts == ["", "vip", "late"]
