"""Count, sum and first or last row of each user against loops over the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential import twins_periods as twins
from tests.differential.lanes_strategy import audiences, lanes, rows_of
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._user_rows import user_rows
from zuji.engine.query.kernels.lane import Lane

NUMBERS = st.sampled_from([0.1, 0.2, 0.3, -0.3, 1e16, -1e16, 1.0, 0.0, 2.0**53, 3.5])


@given(lanes(), st.data())
def test_as_by_loops(given_lanes, data):
    values = [
        data.draw(st.none() | st.lists(st.none() | NUMBERS, min_size=lane.rows, max_size=lane.rows))
        for lane in given_lanes
    ]
    low, high = sorted(data.draw(st.tuples(st.integers(-2, 20), st.integers(-2, 20))))
    last, allowed = data.draw(st.booleans()), data.draw(audiences)
    found = user_rows(
        given_lanes,
        low,
        high,
        3,
        values=[None if v is None else np.array([n or 0.0 for n in v], np.float64) for v in values],
        present=[
            None if v is None else np.array([n is not None for n in v], np.uint8) for v in values
        ],
        last=last,
        allowed=allowed,
    )
    expected = twins.user_rows(rows_of(given_lanes), values, low, high, last, allowed)
    assert np.flatnonzero(found.count).tolist() == sorted(expected)
    assert np.flatnonzero(found.lane >= 0).tolist() == sorted(expected)
    for user, wanted in expected.items():
        told = [int(x[user]) for x in (found.count, found.time, found.lane, found.row)]
        assert told == [wanted[0], *wanted[2:]]
        assert float(found.sum[user]) == wanted[1]


def one_lane(rows, *, mask=None):
    return Lane(
        users=np.zeros(1, np.uint32),
        offsets=np.array([0, rows], np.uint32),
        times=np.arange(rows, dtype=np.uint32),
        base_ms=0,
        rank=0,
        ties=None,
        mask=mask,
    )


def test_the_order_of_rows_does_not_show_in_a_sum():
    rng = np.random.default_rng(1)
    numbers = np.concatenate([rng.normal(size=5_000), [1e15, -1e15, 1e-7]])
    sums = set()
    for _ in range(5):
        rng.shuffle(numbers)
        sums.add(float(user_rows([one_lane(len(numbers))], 0, 1 << 40, 1, values=[numbers]).sum[0]))
    assert sums == {math.fsum(numbers)}


def test_a_sum_beyond_all_numbers_is_infinite():
    numbers = np.array([1e308, 1e308, -1e308])
    found = user_rows([one_lane(3)], 0, 10, 1, values=[numbers])
    assert math.isinf(float(found.sum[0]))


def test_without_values_there_is_no_sum():
    assert user_rows([one_lane(3)], 0, 10, 1).sum is None


def test_ordinals_beyond_are_left_out():
    assert user_rows([one_lane(3)], 0, 10, 0).count.tolist() == []


def test_ends_when_cancelled():
    with pytest.raises(QueryCancelled):
        user_rows([one_lane(3)], 0, 10, 1, cancel=np.ones(1, np.uint8))


def test_refuses_arrays_of_another_length():
    with pytest.raises(ValueError, match="values"):
        user_rows([one_lane(3)], 0, 10, 1, values=[np.zeros(2)])
