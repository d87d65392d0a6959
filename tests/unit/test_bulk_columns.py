"""Reading tables in bulk: ids as keys, dictionaries without an object a text, odd Arrow shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from zuji.engine.arrow_values import Refusals, dictionary_of, plain_column
from zuji.engine.bulk._keys import id_keys, id_states
from zuji.engine.bulk.columns import read_table, texts_of
from zuji.engine.bulk.mapping import TableMapping
from zuji.engine.limits import Limits

USERS = ["a", None, "", "user", "ü" * 200, None]
DEVICES = ["d1", "d2", "d3", None, "d5", ""]
STATES = [0, 1, 1, 0, 3, 2]


def strings(data, offsets):
    return [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)]


@pytest.mark.parametrize("form", ["string", "large", "dictionary", "chunks", "sliced"])
def test_ids_of_rows(form):
    column = {
        "string": lambda v: pa.array(v, pa.string()),
        "large": lambda v: pa.array(v, pa.large_string()),
        "dictionary": lambda v: pa.array(v, pa.string()).dictionary_encode(),
        "chunks": lambda v: pa.chunked_array([v[:2], [], v[2:]], pa.string()),
        "sliced": lambda v: pa.array(["x", None, *v, "y"], pa.string()).slice(2, len(v)),
    }[form]
    table = pa.table({"user": column(USERS), "device": column(DEVICES)})
    user, device = texts_of(table, "user"), texts_of(table, "device")
    state = id_states(user, device, 6, 255)
    assert state.tolist() == STATES
    keep = (state < 2).astype(np.uint8)
    keys = id_keys(user, device, state, keep, 6, ord("u"), ord("d"))
    assert strings(*keys) == [b"ua", b"dd2", b"dd3", b"uuser"]
    only = id_keys(user, None, None, keep, 6, ord("i"), 0)
    assert strings(*only) == [b"ia", b"i", b"i", b"iuser"]
    with pytest.raises(ValueError, match="no id"):
        id_keys(user, device, state, None, 6, ord("u"), ord("d"))


def test_ids_that_are_numbers():
    table = pa.table({"whole": [1.0, 2.0, None], "int": [7, None, -3], "float": [1.5, 2.0, None]})
    assert strings(*texts_of(table, "whole")[:2]) == [b"1", b"2", b""]
    assert strings(*texts_of(table, "int")[:2]) == [b"7", b"", b"-3"]
    assert strings(*texts_of(table, "float")[:2]) == [b"1.5", b"2", b""]


def test_an_empty_table_is_read():
    schema = pa.schema([("t", pa.int64()), ("u", pa.string()), ("e", pa.string())])
    mapping = TableMapping(event="e", user="u", time="t")
    read = read_table(schema.empty_table(), mapping, "UTC", Limits(), 0)
    assert read.n == 0
    assert len(read.state) == 0


def test_offsets_that_do_not_fit_are_refused():
    data, offsets = np.zeros(4, np.uint8), np.array([0, 9], np.int64)
    with pytest.raises(ValueError, match="offsets"):
        id_states((data, offsets, None), None, 1, 255)
    with pytest.raises(ValueError, match="length"):
        id_states((data, offsets, None), None, 2, 255)


@pytest.mark.parametrize("offset", [0, 2])
def test_dictionary_of_a_slice(offset):
    texts = pa.array(["x", "中文", "", "abc"]).slice(offset)
    assert dictionary_of(texts).to_list() == texts.to_pylist()
    assert dictionary_of(pa.array([], pa.string())).to_list() == []


def test_a_null_in_a_dictionary_is_no_value():
    indices = pa.array([0, 1, None, 2], pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["a", None, "b"]))
    plain = plain_column(
        pa.table({"p": column}), "p", "p", limits=Limits(), tz="UTC", refused=Refusals()
    )
    assert plain.present.tolist() == [1, 0, 0, 1]
    values = [plain.dictionary[int(c)] for c in plain.values]
    assert [v for v, p in zip(values, plain.present, strict=True) if p] == ["a", "b"]


def test_long_texts_are_refused_with_their_rows():
    refused = Refusals()
    table = pa.table({"p": ["x", "y" * 9000, None, "y" * 9000], "l": [["a"], [], ["z" * 9000], []]})
    for name in ("p", "l"):
        plain_column(table, name, name, limits=Limits(), tz="UTC", refused=refused)
    assert {row: why[0] for row, why in refused.rows.items()} == dict.fromkeys(
        (1, 2, 3), "string_too_long"
    )
