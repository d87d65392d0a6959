"""Row order: permutations against numpy's lexsort, gather bounds, tie ranks, CSR."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.storage._sort import csr, order_rows, take, ties

U32_MAX = 2**32 - 1


@st.composite
def rows(draw):
    """Columns of a source whose ranges go from constant to all 32 bits."""
    n = draw(st.sampled_from([0, 1, 2, 3, 50, 300, 3_000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def column(kind, limit):
        low = draw(st.integers(0, limit))
        high = min(limit, low + draw(st.sampled_from([0, 1, 3, 2_047, 2_048, 2**20, U32_MAX])))
        return rng.integers(low, high, n, dtype=np.int64, endpoint=True).astype(kind)

    low = column(np.uint32, U32_MAX) if draw(st.booleans()) else None
    event = column(np.uint16, 65_535)
    return column(np.uint32, U32_MAX), column(np.uint32, U32_MAX), event, low


@settings(max_examples=300, deadline=None)
@given(rows())
def test_permutations_agree_with_lexsort(columns):
    ordinal, time, event, low = columns
    tail = np.zeros(len(ordinal), np.uint32) if low is None else low
    perm_time, perm_event = order_rows(ordinal, time, event, low)
    assert perm_time.dtype == perm_event.dtype == np.uint32
    assert np.array_equal(perm_time, np.lexsort((tail, time, ordinal)))
    assert np.array_equal(perm_event, np.lexsort((tail, time, ordinal, event)))


def test_keys_wider_than_64_bits_are_sorted_in_two_rounds():
    rng = np.random.default_rng(3)
    ordinal, time, low = (
        np.append(rng.integers(0, 4, 999), U32_MAX).astype(np.uint32) for _ in range(3)
    )
    event = np.zeros(1_000, np.uint16)
    assert np.array_equal(
        order_rows(ordinal, time, event, low)[0], np.lexsort((low, time, ordinal))
    )


@pytest.mark.parametrize("users", [1, 3, 2_000, 2**32 - 1])
@pytest.mark.parametrize("instants", [1, 50_000, 2**32 - 1])
def test_sources_larger_than_the_cache_are_dealt_into_buckets(users, instants):
    """Uniform, and skewed so that the first bucket has to be dealt again."""
    rng = np.random.default_rng(users)
    n = 120_000
    ordinal = rng.integers(0, users, n).astype(np.uint32)
    ordinal[: n // 2] = rng.zipf(1.2, n // 2).clip(0, users - 1)
    rng.shuffle(ordinal)
    time = rng.integers(0, instants, n).astype(np.uint32)
    event = rng.integers(0, 40, n).astype(np.uint16)
    low = rng.integers(0, 2**20, n).astype(np.uint32)
    for tail in (None, low):
        last = np.zeros(n, np.uint32) if tail is None else tail
        perm_time, perm_event = order_rows(ordinal, time, event, tail)
        assert np.array_equal(perm_time, np.lexsort((last, time, ordinal)))
        assert np.array_equal(perm_event, np.lexsort((last, time, ordinal, event)))


def test_equal_rows_keep_the_order_sent():
    zeros = np.zeros(5_000, np.uint32)
    perm_time, perm_event = order_rows(zeros, zeros, zeros.astype(np.uint16))
    assert np.array_equal(perm_time, np.arange(5_000))
    assert np.array_equal(perm_event, np.arange(5_000))


def test_lengths_must_agree():
    a, b = np.zeros(3, np.uint32), np.zeros(2, np.uint32)
    event = np.zeros(3, np.uint16)
    with pytest.raises(ValueError, match="same length"):
        order_rows(a, b, event)
    with pytest.raises(ValueError, match="low"):
        order_rows(a, a, event, b)
    with pytest.raises(ValueError, match="same length"):
        ties(a, b, a)


@pytest.mark.parametrize(
    "kind", [np.uint8, np.bool_, np.int16, np.uint32, np.int64, np.float32, np.float64]
)
def test_take_agrees_with_indexing(kind):
    rng = np.random.default_rng(1)
    src = rng.integers(0, 2, 1_000).astype(kind)
    idx = rng.integers(0, 1_000, 4_000).astype(np.uint32)
    out = np.empty(4_000, kind)
    take(src, idx, out)
    assert np.array_equal(out, src[idx])
    take(src, idx[:0], out[:0])


@pytest.mark.parametrize("bad", [10, 11, U32_MAX])
def test_take_refuses_an_index_out_of_range_and_writes_nothing(bad):
    out = np.full(3, 7)
    with pytest.raises(IndexError):
        take(np.arange(10), np.array([1, 2, bad], np.uint32), out)
    assert out.tolist() == [7, 7, 7]
    with pytest.raises(IndexError):
        take(np.arange(0), np.zeros(3, np.uint32), out)


def test_take_refuses_other_types_and_layouts():
    idx = np.zeros(2, np.uint32)
    with pytest.raises(TypeError):
        take(np.arange(4), idx, np.zeros(2, np.int32))
    with pytest.raises(TypeError):
        take(np.array(["a", "b"], object), idx, np.empty(2, object))
    with pytest.raises(TypeError):
        take(np.zeros(4, np.complex128), idx, np.zeros(2, np.complex128))
    with pytest.raises(ValueError, match="contiguous"):
        take(np.arange(8)[::2], idx, np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="length"):
        take(np.arange(8), idx, np.zeros(3, np.int64))
    frozen = np.zeros(2, np.int64)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        take(np.arange(8), idx, frozen)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_tie_ranks_count_rows_of_one_instant(n, users, instants, seed):
    rng = np.random.default_rng(seed)
    ordinal = rng.integers(0, users, n).astype(np.uint32)
    time = rng.integers(0, instants, n).astype(np.uint32)
    perm = order_rows(ordinal, time, np.zeros(n, np.uint16))[0]
    seen: dict[tuple[int, int], int] = {}
    expected = []
    for key in zip(ordinal.tolist(), time.tolist(), strict=True):
        expected.append(seen.get(key, 0))
        seen[key] = expected[-1] + 1
    assert ties(ordinal, time, perm).tolist() == expected


def test_ties_end_at_65535_and_start_again_at_the_next_instant():
    zeros = np.zeros(65_540, np.uint32)
    time = zeros.copy()
    time[65_538:] = 1
    perm = np.arange(65_540, dtype=np.uint32)
    ranks = ties(zeros, time, perm)
    assert ranks[65_534:].tolist() == [65_534, 65_535, 65_535, 65_535, 0, 1]


def test_ties_refuse_a_permutation_out_of_range():
    zeros = np.zeros(3, np.uint32)
    with pytest.raises(IndexError):
        ties(zeros, zeros, np.array([0, 1, 3], np.uint32))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, U32_MAX) | st.integers(0, 9), max_size=200))
def test_csr_agrees_with_unique(ordinals):
    array = np.sort(np.array(ordinals, np.uint32))
    users, offsets = csr(array)
    values, starts = np.unique(array, return_index=True)
    assert np.array_equal(users, values)
    assert offsets.tolist() == [*starts.tolist(), len(array)]
    assert users.dtype == offsets.dtype == np.uint32


def test_csr_refuses_ordinals_that_do_not_ascend():
    with pytest.raises(ValueError, match="ascend"):
        csr(np.array([1, 2, 1], np.uint32))
