"""Numbers of combinations: those that are packed are those that a dict gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.query.combinations import Groups
from zuji.engine.query.grouping import Dimension


@given(data=st.data())
def test_numbers_are_those_of_a_dict(data):
    count = data.draw(st.integers(2, 5))
    groups = Groups([Dimension(f"event.p{i}", "UTC") for i in range(count)])
    largest = 2 ** (63 // count) - 1
    code = st.integers(0, 3) | st.sampled_from([largest - 1, largest])
    wide = data.draw(st.integers(0, 6))  # from this batch on, codes do not fit
    known: dict[tuple[int, ...], int] = {}
    for batch in range(data.draw(st.integers(1, 6))):
        codes = code | st.just(largest + 1) if batch >= wide else code
        keys = data.draw(st.lists(st.tuples(*[codes] * count), max_size=12))
        digits = [np.array([key[i] for key in keys], np.int64) for i in range(count)]
        found = groups._numbered(digits)
        assert found.dtype == np.uint32
        assert found.tolist() == [known.setdefault(key, len(known)) for key in keys]
        assert groups.keys == list(known)


def test_codes_that_do_not_fit_in_time():
    """They are met where codes do not fit together, and keys met before keep their numbers."""
    groups = Groups([Dimension("event.a", "UTC"), Dimension("event.b", "UTC")])
    groups._numbered([np.array([1, 2]), np.array([5, 5])])
    assert groups._packed is not None
    found = groups._numbered([np.array([2, 1 << 31]), np.array([5, 0])])
    assert groups._packed is None
    assert found.tolist() == [1, 2]
    with pytest.raises(IndexError):
        groups.keys[3]
