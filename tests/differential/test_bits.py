"""Rows of bits against Python sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.query.kernels._bits import count_and, set_bits

SETS = st.lists(st.sets(st.integers(0, 319), max_size=200), min_size=1, max_size=6)


def bits_of(members: set[int], words: int) -> np.ndarray:
    row = np.zeros(words, dtype=np.uint64)
    set_bits(np.array(sorted(members), dtype=np.uint32), row)
    return row


@given(SETS, st.sets(st.integers(0, 319)))
def test_counts_are_sizes_of_intersections(rows: list[set[int]], members: set[int]) -> None:
    matrix = np.stack([bits_of(row, 5) for row in rows])
    counts = count_and(matrix, bits_of(members, 5))
    assert counts.tolist() == [len(row & members) for row in rows]


@given(st.sets(st.integers(0, 319)))
def test_set_bits_are_the_members(members: set[int]) -> None:
    row = bits_of(members, 5)
    assert {i for i in range(320) if int(row[i // 64]) >> (i % 64) & 1} == members


def test_a_user_beyond_the_row_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        set_bits(np.array([64], dtype=np.uint32), np.zeros(1, dtype=np.uint64))
    with pytest.raises(ValueError, match="beyond"):
        set_bits(np.array([0], dtype=np.uint32), np.zeros(0, dtype=np.uint64))


def test_lengths_must_fit() -> None:
    with pytest.raises(ValueError, match="lengths"):
        count_and(np.zeros((2, 3), dtype=np.uint64), np.zeros(2, dtype=np.uint64))
