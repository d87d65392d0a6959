"""Dictionaries against plain Python: ranks, merges, look-ups and predicates, on hostile strings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.storage._dictionary import ascends, flag_equal, rank_strings
from zuji.engine.storage.dictionary import Dictionary, merge_sorted, sort_used

BEGINNINGS = ["", "https://shop.example.com/", "https://shop.example.com/a/b", "\0", "\0" * 8]
texts = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(BEGINNINGS),
        st.text(st.sampled_from("ab\0é上"), max_size=20),
    ),
)


def by_bytes(strings):
    return sorted(set(strings), key=lambda s: s.encode())


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=60))
def test_ranks_are_places_in_byte_order(strings):
    given_ = Dictionary.of(strings)
    ranks, first = rank_strings(given_.data, given_.offsets)
    expected = by_bytes(strings)
    assert [expected[r] for r in ranks] == strings
    assert [strings[i] for i in first] == expected
    assert given_.ordered == (expected == strings)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(texts, max_size=30), max_size=7), st.booleans())
def test_a_merge_is_the_union_in_order(parts, in_order):
    dictionaries = [Dictionary.of(by_bytes(p) if in_order else p) for p in parts]
    merged, luts = merge_sorted(dictionaries)
    assert list(merged) == by_bytes(itertools.chain(*parts))
    assert merged.ordered
    assert ascends(merged.data, merged.offsets)
    for dictionary, lut in zip(dictionaries, luts, strict=True):
        assert [merged[int(code)] for code in lut] == list(dictionary)


def test_many_strings_rank_as_python_sorts_them():
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 30_000, 50_000)
    strings = [f"https://shop.example.com/{n % 7}/{'x' * (n % 90)}{n}" for n in numbers]
    given_ = Dictionary.of(strings)
    ranks, first = rank_strings(given_.data, given_.offsets)
    expected = by_bytes(strings)
    assert [strings[i] for i in first] == expected
    assert [expected[r] for r in ranks] == strings
    parts = [by_bytes(strings[i::5]) for i in range(5)]
    assert list(merge_sorted([Dictionary.of(p) for p in parts])[0]) == expected


@pytest.mark.parametrize("strings", [["a"] * 3_000, ["a", "a\0"] * 3_000, ["", "\0", "\0\0"] * 999])
def test_repeated_strings_have_one_rank(strings):
    given_ = Dictionary.of(strings)
    ranks, first = rank_strings(given_.data, given_.offsets)
    assert len(first) == len(set(strings))
    assert [by_bytes(strings)[r] for r in ranks] == strings


PREDICATES = {
    "eq": lambda text, wanted: text == wanted[0],
    "in": lambda text, wanted: text in wanted,
    "contains": lambda text, wanted: wanted[0] in text,
    "starts_with": lambda text, wanted: text.startswith(wanted[0]),
    "ends_with": lambda text, wanted: text.endswith(wanted[0]),
    "between": lambda text, wanted: wanted[0] <= text <= wanted[1],
    "gt": lambda text, wanted: text > wanted[0],
    "gte": lambda text, wanted: text >= wanted[0],
    "lt": lambda text, wanted: text < wanted[0],
    "lte": lambda text, wanted: text <= wanted[0],
}


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(PREDICATES)), st.booleans())
def test_a_predicate_holds_where_it_does_in_python(data, op, in_order):
    strings = data.draw(st.lists(texts, max_size=40, unique=True))
    if in_order:
        strings = by_bytes(strings)
    parts = st.sampled_from(strings) if strings else texts
    wanted = data.draw(st.lists(parts | texts | st.just("\ud800"), min_size=2, max_size=4))
    if op == "eq":
        wanted = wanted[:1]
    flags = Dictionary.of(strings).flags(op, wanted)
    assert flags is not None
    assert flags.tolist() == [int(PREDICATES[op](text, wanted)) for text in strings]


@given(st.lists(texts, max_size=30, unique=True), texts)
def test_a_string_is_found_by_its_code(strings, other):
    for known in (strings, by_bytes(strings)):
        dictionary = Dictionary.of(known)
        assert [dictionary.find(s) for s in known] == list(range(len(known)))
        assert dictionary.find(other) == (known.index(other) if other in known else -1)
        assert dictionary.find("\ud800") == -1


@given(st.lists(texts, min_size=1, max_size=30, unique=True), st.data())
def test_only_used_strings_are_kept(strings, data):
    used = data.draw(st.lists(st.integers(0, 1), min_size=len(strings), max_size=len(strings)))
    kept, lut = sort_used(Dictionary.of(strings), np.array(used, np.uint8))
    assert list(kept) == by_bytes(s for s, u in zip(strings, used, strict=True) if u)
    assert all(kept[int(lut[i])] == s for i, s in enumerate(strings) if used[i])


def test_unknown_predicates_are_left_to_the_caller():
    assert Dictionary.of(["a"]).flags("matches", ["a"]) is None


@pytest.mark.parametrize("offsets", [[], [-1, 2], [0, 2, 1], [0, 4], [2**62, 2**63 - 1]])
def test_offsets_outside_the_data_are_refused(offsets):
    data, array = np.zeros(3, np.uint8), np.array(offsets, np.int64)
    none = np.zeros(1, np.int64)
    for call in (rank_strings, ascends, lambda d, o: flag_equal(d, o, d, none, False)):
        with pytest.raises(ValueError, match="offsets"):
            call(data, array)


def test_cuts_that_are_not_of_the_strings_are_refused():
    given_ = Dictionary.of(["a", "b"])
    for cuts in ([], [0], [0, 1], [1, 2], [0, 2, 1, 2], [0, 3]):
        with pytest.raises(ValueError, match="cuts"):
            rank_strings(given_.data, given_.offsets, np.array(cuts, np.int64))
