"""Sums by cell against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.query.kernels._cell_sums import cell_counts, cell_sums

NUMBERS = st.sampled_from([0.1, 1.0, 3.0, -7.0, 2.0**53, -(2.0**53), 2.0**60, -(2.0**60), 0.0])


@given(st.lists(st.tuples(st.integers(0, 4), NUMBERS, NUMBERS.map(lambda x: x / 2.0**70))))
def test_sums_keep_twice_the_digits(rows):
    cells = np.array([cell for cell, _, _ in rows], np.uint32)
    values = np.array([value for _, value, _ in rows], np.float64)
    rests = np.array([rest for _, _, rest in rows], np.float64)
    for given_rests in (None, rests):
        total, lost = cell_sums(cells, values, 3, given_rests)
        small = np.zeros(len(rows)) if given_rests is None else rests
        for cell in range(3):
            mine, rest = values[cells == cell].tolist(), small[cells == cell].tolist()
            exact = sum(map(Fraction, mine + rest), Fraction(0))
            room = Fraction(sum(map(abs, mine))) / 2**100 + Fraction(sum(map(abs, rest))) / 2**48
            assert abs(Fraction(total[cell]) + Fraction(lost[cell]) - exact) <= room


def test_an_infinite_sum_stays_infinite():
    cells = np.zeros(3, np.uint32)
    total, lost = cell_sums(cells, np.array([1e308, 1e308, -1e308]), 1)
    assert total.tolist() == [np.inf]
    assert np.isfinite(lost).all()


def test_wrong_arguments_are_named():
    with pytest.raises((TypeError, ValueError), match="values"):
        cell_sums(np.zeros(2, np.uint32), np.zeros(3), 1)
    with pytest.raises((TypeError, ValueError), match="cells"):
        cell_sums(np.zeros(2, np.int64), np.zeros(2), 1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9), st.integers(0, 2**40))))
def test_counts_and_sums_of_whole_numbers(rows):
    cells, x, y = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    found = cell_counts(cells.astype(np.uint32), x, y, 3)
    for cell in range(3):
        mine = [row for row in rows if row[0] == cell]
        assert found[:, cell].tolist() == [
            len(mine),
            *(sum(row[i] for row in mine) for i in (1, 2)),
        ]
