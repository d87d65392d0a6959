"""Values in bins against their twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential import twins_spread as twins
from zuji.engine.query.kernels._spread import binned, members, tally

CELLS, SHIFT = 4, 50
cells = st.integers(0, CELLS - 1)
values = st.floats(1.0, 1e9)


def u32(numbers):
    return np.array(numbers, np.uint32)


@given(st.lists(st.tuples(st.integers(0, 5), cells), max_size=40))
def test_rows_and_owners_of_cells(rows):
    rows = sorted(rows, key=lambda row: row[0])
    owner, cell = [row[0] for row in rows], [row[1] for row in rows]
    pairs, users = tally(u32(owner), u32(cell), CELLS)
    assert (pairs.tolist(), users.tolist()) == twins.tally(owner, cell, CELLS)


@given(st.lists(st.tuples(cells, values), max_size=40), st.data())
def test_bins_and_what_they_hold(rows, data):
    cell, value = [row[0] for row in rows], [row[1] for row in rows]
    bits = np.array([1.0, 1e9]).view(np.int64) >> SHIFT
    first, bins = int(bits[0]), int(bits[1] - bits[0]) + 1
    asked = (CELLS, SHIFT, first, bins)
    key, count = binned(u32(cell), np.array(value, np.float64), *asked)
    assert (key.tolist(), count.tolist()) == twins.binned(cell, value, *asked)
    number = CELLS * bins
    wanted = data.draw(st.lists(st.integers(0, 1), min_size=number, max_size=number))
    keys, held = members(np.array(wanted, np.uint8), key, np.array(value, np.float64))
    told = list(zip(keys.tolist(), held.tolist(), strict=True))
    assert told == twins.members(wanted, key.tolist(), value)


def test_what_does_not_fit_is_refused():
    one = np.ones(1)
    first = int(one.view(np.int64)[0]) >> SHIFT
    with pytest.raises(ValueError, match="belong together"):
        tally(u32([0]), u32([CELLS]), CELLS)
    for cell, begin in ((CELLS, first), (0, first + 1), (0, first - 1)):
        with pytest.raises(ValueError, match="belong together"):
            binned(u32([cell]), one, CELLS, SHIFT, begin, 1)
    with pytest.raises(ValueError, match="bins"):
        binned(u32([0]), one, 1 << 20, SHIFT, first, 1 << 20)
    with pytest.raises(ValueError, match="wanted"):
        members(np.zeros(1, np.uint8), u32([1]), one)
    with pytest.raises(ValueError, match="0 or 1"):
        members(np.full(1, 2, np.uint8), u32([0]), one)
