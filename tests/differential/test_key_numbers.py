"""Numbers of keys: those that a dict gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.query.kernels._key_numbers import KeyNumbers

KEYS = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)


@given(batches=st.lists(st.lists(KEYS, max_size=20), max_size=5))
def test_numbers_are_those_of_a_dict(batches):
    table = KeyNumbers()
    known: dict[int, int] = {}
    for batch in batches:
        found = table.numbers(np.array(batch, np.int64))
        assert found.tolist() == [known.setdefault(key, len(known)) for key in batch]
        assert len(table) == len(known)
        assert table.keys().tolist() == list(known)
    assert [table.key(number) for number in range(len(known))] == list(known)
    with pytest.raises(IndexError):
        table.key(len(known))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), spread=st.sampled_from([1, 3, 1 << 20, 1 << 44]))
def test_many_keys_and_keys_far_apart(seed, spread):
    """Enough keys for the table to grow several times, of which many differ in few bits."""
    rng = np.random.default_rng([seed, spread])
    keys = rng.integers(0, 20_000, 30_000) * spread
    table = KeyNumbers()
    found = np.concatenate([table.numbers(part) for part in np.array_split(keys, 7)])
    assert np.array_equal(table.keys()[found], keys)
    _, first = np.unique(keys, return_index=True)
    assert np.array_equal(table.keys(), keys[np.sort(first)])


def test_keys_that_are_no_int64_are_refused():
    with pytest.raises((TypeError, ValueError)):
        KeyNumbers().numbers(np.zeros(3, np.int32))
