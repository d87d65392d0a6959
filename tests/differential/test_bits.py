"""Rows of bits against Python sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.query.kernels._bits import add_rows, seen, set_bits


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


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 9)), st.lists(st.integers(0, 99)))
def test_rows_of_users_are_added(rows: dict[int, int], before: list[int]) -> None:
    users = sorted(rows)
    counts = np.array((before + [0] * 31)[:31], dtype=np.uint32)
    expected = [int(c) + rows.get(user, 0) for user, c in enumerate(counts)]
    offsets = np.cumsum([0, *(rows[user] for user in users)]).astype(np.uint32)
    add_rows(np.array(users, dtype=np.uint32), offsets, counts)
    assert counts.tolist() == expected


@given(
    st.lists(st.sets(st.integers(0, 30)), max_size=4),
    st.none() | st.sets(st.integers(0, 30)),
)
def test_users_seen_are_counted_once(days: list[set[int]], allowed: set[int] | None) -> None:
    mask = None if allowed is None else np.array([u in allowed for u in range(31)], dtype=np.uint8)
    fresh, known = np.ones(31, dtype=np.uint8), set()
    for day in days:
        members = day if allowed is None else day & allowed
        told = seen(np.array(sorted(day), dtype=np.uint32), mask, fresh)
        assert told == (len(members), len(members - known))
        known |= members


def test_users_beyond_are_refused() -> None:
    one = np.array([5], dtype=np.uint32)
    with pytest.raises(ValueError, match="beyond"):
        add_rows(one, np.array([0, 1], dtype=np.uint32), np.zeros(5, dtype=np.uint32))
    with pytest.raises(ValueError, match="beyond"):
        add_rows(one, np.array([0, 1], dtype=np.uint32), np.zeros(0, dtype=np.uint32))
    with pytest.raises(ValueError, match="offsets"):
        add_rows(one, np.array([0], dtype=np.uint32), np.zeros(9, dtype=np.uint32))
    with pytest.raises(ValueError, match="beyond"):
        seen(one, None, np.ones(5, dtype=np.uint8))
    with pytest.raises(ValueError, match="beyond"):
        seen(one, None, np.ones(0, dtype=np.uint8))
    with pytest.raises(ValueError, match="lengths"):
        seen(one, np.ones(8, dtype=np.uint8), np.ones(9, dtype=np.uint8))
