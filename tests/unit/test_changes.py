"""Changes of a shard against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.index.changes import Changes


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=40))),
    gone=st.sets(st.integers(0, 9)),
)
def test_what_changed_since(steps: list[tuple[int, list[int]]], gone: set[int]) -> None:
    changes, told, number = Changes(), [], 0
    for more, ordinals in steps:
        number += more
        changes.add(number, np.array(ordinals, np.uint32))
        told += [(number, ordinal) for ordinal in ordinals]
    for since in range(-1, number + 2):
        assert set(changes.since(since)) == {o for n, o in told if n > since}
    changes.forget(np.array(sorted(gone), np.uint32))
    assert set(changes.since(-100)) == {o for _, o in told} - gone
    changes.add(1000, np.array([77], np.uint32))
    assert set(changes.since(999)) == {77}
