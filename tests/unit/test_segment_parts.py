"""The small parts segments are made of: dictionaries, partitions, native row operations and their
refusals.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.storage._dictionary import gather_strings, rank_strings
from zuji.engine.storage._pivot import (
    emit_cells,
    expand,
    gather_lists,
    gather_present,
    group_rows,
    mark_codes,
    positions,
    recode,
)
from zuji.engine.storage._rows import (
    days_of,
    expand_users,
    few_values,
    user_keys,
)
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted, sort_used
from zuji.engine.storage.partition import Partition, day_edges, partition_of

U8, U16, U32, U64, I64 = np.uint8, np.uint16, np.uint32, np.uint64, np.int64
texts = st.lists(st.text(max_size=12), max_size=30)


@given(texts)
def test_ranks_are_the_byte_order(strings: list[str]) -> None:
    made = Dictionary.of(strings)
    ranks, first = rank_strings(made.data, made.offsets)
    distinct = sorted(set(strings), key=str.encode)
    assert [distinct[rank] for rank in ranks] == strings
    assert [strings[i] for i in first] == distinct


@pytest.mark.parametrize("pair", [("a", "a\0"), ("abcdefgh", "abcdefgh\0"), ("é", "z"), ("", "\0")])
def test_neighbours_in_byte_order(pair: tuple[str, str]) -> None:
    made = Dictionary.of(pair)
    ranks, _ = rank_strings(made.data, made.offsets)
    assert ranks.tolist() == ([0, 1] if pair[0].encode() < pair[1].encode() else [1, 0])


@given(texts, st.data())
def test_sorting_keeps_used_strings_only(strings: list[str], data: st.DataObject) -> None:
    used = np.array(
        data.draw(st.lists(st.integers(0, 1), min_size=len(strings), max_size=len(strings))), U8
    )
    made, lut = sort_used(Dictionary.of(strings), used)
    kept = [i for i in range(len(strings)) if used[i]]
    assert list(made) == sorted({strings[i] for i in kept}, key=str.encode)
    assert [made[lut[i]] for i in kept] == [strings[i] for i in kept]
    assert all(made.find(strings[i]) == lut[i] for i in kept)


@given(st.lists(texts, min_size=1, max_size=4))
def test_merged_dictionaries_hold_all(parts: list[list[str]]) -> None:
    made = [Dictionary.of(sorted(set(part), key=str.encode)) for part in parts]
    merged, luts = merge_sorted(made)
    assert list(merged) == sorted(set().union(*parts), key=str.encode)
    for part, lut in zip(made, luts, strict=True):
        assert [merged[code] for code in lut] == list(part)


def test_dictionary_is_a_sequence() -> None:
    made = Dictionary.of(["b", "济南", ""])
    assert len(made) == 3
    assert made[1] == made[-2] == "济南"
    assert made[0:2] == ["b", "济南"]
    assert made.find("") == 2
    assert made.find("x") == -1
    assert "b" in made
    assert as_dictionary(made) is made
    assert len(as_dictionary(None)) == 0
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            Dictionary.of(["b", "济南", ""])[wrong]


def test_string_codes_out_of_range_are_refused() -> None:
    made = Dictionary.of(["a"])
    with pytest.raises(ValueError, match="out of range"):
        gather_strings(made.data, made.offsets, np.array([1], U32))
    with pytest.raises(ValueError, match="out of range"):
        rank_strings(made.data, np.array([0, 9], I64))
    for call in (mark_codes, recode):
        with pytest.raises(ValueError, match="out of range"):
            call(np.array([-1], I64), np.zeros(3, U8 if call is mark_codes else U32))


@given(
    st.lists(st.integers(-3 * 10**11, 5 * 10**12), min_size=1, max_size=20),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Africa/Cairo"]),
)
@settings(deadline=None)
def test_partitions_are_local_months(times: list[int], tz: str) -> None:
    ids, bounds = partition_of(np.array(times, I64), tz)
    for time, ident in zip(times, ids.tolist(), strict=True):
        local = datetime.fromtimestamp(time / 1000, UTC).astimezone(ZoneInfo(tz))
        assert ident == local.year * 12 + local.month - 1
        assert bounds[ident][0] <= time < bounds[ident][1]


def test_no_rows_no_partitions() -> None:
    ids, bounds = partition_of(np.empty(0, I64), "UTC")
    assert (len(ids), bounds) == (0, {})


def test_days_of_a_month_with_a_clock_change() -> None:
    _, bounds = partition_of(np.array([1_761_500_000_000], I64), "Europe/Berlin")
    ((ident, (start, end)),) = bounds.items()
    assert Partition(ident, start, end).id == 2025 * 12 + 9
    hours = np.diff(day_edges("Europe/Berlin", start, end)) // 3_600_000
    assert hours.tolist() == [24] * 25 + [25] + [24] * 5


def test_keys_refuse_an_interleave_of_other_runs() -> None:
    ordinal, time, starts = np.zeros(2, U32), np.zeros(2, U32), np.array([0, 1, 2], I64)
    out = np.empty(2, U64)
    user_keys(np.array([1, 0], U16), ordinal, time, starts, out)
    for codes in ([0, 0], [0, 2]):
        with pytest.raises(ValueError, match="agree"):
            user_keys(np.array(codes, U16), ordinal, time, starts, out)


@pytest.mark.parametrize("offsets", [[0, 3], [0, 1], [1, 2], [0, 1, 2], [0]])
def test_users_must_cover_the_rows(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        expand_users(np.array([7], U32), np.array(offsets, U32), np.empty(2, U32))


def test_rows_before_and_after_the_days_count_to_the_ends() -> None:
    rows, starts, users, multi = days_of(
        np.array([1, 1, 2], U32), np.array([0, 5, 900], U32), np.array([10, 20, 30], I64)
    )
    assert rows.tolist() == [2, 1]
    assert (starts.tolist(), users.tolist(), multi.tolist()) == ([0, 1, 2], [1, 2], [1, 0])


@given(
    st.lists(st.integers(-2, 2) | st.integers(-(2**63), 2**63 - 1), min_size=1), st.integers(1, 6)
)
def test_few_values(values: list[int], most: int) -> None:
    found = few_values(np.array(values, I64), most)
    if len(set(values)) > most:
        assert found is None
    else:
        assert found is not None
        assert found[0][found[1]].tolist() == values
        assert found[0].tolist() == list(dict.fromkeys(values))


@given(st.lists(st.integers(0, 3)), st.sampled_from([U8, U32, I64, np.float64]))
def test_expand_and_gather_are_inverse(numbers: list[int], dtype: type) -> None:
    present = np.array([number > 0 for number in numbers], U8)
    values = np.array([number for number in numbers if number], dtype)
    spread = expand(values, present)
    assert spread.tolist() == numbers
    place = positions(np.flatnonzero(present).astype(U32), len(numbers))
    back, here = gather_present(place, np.arange(len(numbers), dtype=U32), values)
    assert (back.tolist(), here.tolist()) == (values.tolist(), present.tolist())


def test_presence_must_agree_with_the_values() -> None:
    with pytest.raises(ValueError, match="presence"):
        expand(np.ones(2, U32), np.array([1, 0, 0], U8))
    with pytest.raises(ValueError, match="out of range"):
        positions(np.array([3], U32), 3)


def test_groups_are_stable() -> None:
    order, local, starts = group_rows(np.array([1, 0, 1, 1], U16), 3)
    assert order.tolist() == [1, 0, 2, 3]
    assert local.tolist() == [0, 0, 1, 2]
    assert starts.tolist() == [0, 1, 4, 4]
    wide = group_rows(np.array([70_000, 0, 70_000], U32), 70_001)
    assert wide[0].tolist() == [1, 0, 2]
    for key in (np.array([3], U16), np.array([3], U32)):
        with pytest.raises(ValueError, match="out of range"):
            group_rows(key, 3)


def test_lists_out_of_range_are_refused() -> None:
    offsets, items = np.array([0, 2, 2], U32), np.array([5, 6], U32)
    made = gather_lists(offsets, items, np.array([1, 0, 0], U32))
    assert [a.tolist() for a in made] == [[0, 0, 2, 4], [5, 6, 5, 6]]
    for bad in (np.array([2], U32), np.array([9], U32)):
        with pytest.raises(ValueError, match="offsets"):
            gather_lists(offsets, items, bad)
    with pytest.raises(ValueError, match="offsets"):
        gather_lists(np.array([0, 3], U32), items, np.array([0], U32))


@pytest.mark.parametrize(
    ("rows", "starts", "props", "problem"),
    [
        ([1], [0, 1], [0], "out of range"),
        ([0], [0, 2], [0], "out of range"),
        ([0], [1, 0], [0], "out of range"),
        ([0], [0, 1], [2], "out of range"),
        ([0], [0, 2], [1, 1], "twice"),
    ],
)
def test_cells_are_checked(
    rows: list[int], starts: list[int], props: list[int], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        emit_cells(
            np.array(rows, U32),
            np.array(starts, I64),
            np.array(props, U16),
            np.zeros(len(props), I64),
            2,
        )
