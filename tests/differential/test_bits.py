"""Rows of bits against Python sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.query.kernels._bits import set_bits


def bits_of(members: set[int], words: int) -> np.ndarray:
    row = np.zeros(words, dtype=np.uint64)
    set_bits(np.array(sorted(members), dtype=np.uint32), row)
    return row


@given(st.sets(st.integers(0, 319)))
def test_set_bits_are_the_members(members: set[int]) -> None:
    row = bits_of(members, 5)
    assert {i for i in range(320) if int(row[i // 64]) >> (i % 64) & 1} == members


def test_a_user_beyond_the_row_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        set_bits(np.array([64], dtype=np.uint32), np.zeros(1, dtype=np.uint64))
    with pytest.raises(ValueError, match="beyond"):
        set_bits(np.array([0], dtype=np.uint32), np.zeros(0, dtype=np.uint64))
