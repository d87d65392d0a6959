"""Distinct numbers against NumPy's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.distinct import SPARSE, renumbered, unique

SIZE = 40


@given(st.lists(st.integers(-50, 50)), st.sampled_from([np.int64, np.int32, np.int16]))
def test_each_once_ascending(values: list[int], kind: type) -> None:
    given_ = np.array(values, kind)
    found = unique(given_)
    assert found.tolist() == sorted(set(values))
    assert found.dtype == given_.dtype


@given(
    st.lists(st.tuples(st.integers(0, SIZE - 1), st.booleans())),
    st.sampled_from([SIZE, 1000 * SPARSE]),
    st.booleans(),
)
def test_codes_by_their_place_among_those_in_use(
    rows: list[tuple[int, bool]], size: int, masked: bool
) -> None:
    """Marked in a table or sorted: the same."""
    there = np.array([shown for _, shown in rows], np.bool_)
    codes = np.array([code for code, _ in rows], np.uint32)
    if masked:
        codes[~there] = 0xFFFF_FFFF  # of these rows nothing may be looked up
    used, places = renumbered(codes, size, there if masked else None)
    looked_at = there if masked else np.ones(len(rows), np.bool_)
    assert used.dtype == places.dtype == np.uint32
    assert used.tolist() == sorted(set(codes[looked_at].tolist()))
    assert (used[places[looked_at]] == codes[looked_at]).all()
    assert (places <= max(len(used), 1) - 1).all()
