"""The distribution kernel against its twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_distribution as twins
from tests.differential.lanes_strategy import audiences, lanes
from tests.differential.test_events import per_row
from zuji.engine.errors import QueryBudgetExceeded, QueryCancelled
from zuji.engine.query.kernels._distribution import user_values
from zuji.engine.query.kernels.lane import Lane

OPS = ["rows", "spans", "sum", "avg", "min", "max"]


@settings(max_examples=800, deadline=None)
@given(
    data=st.data(),
    given_lanes=lanes(max_lanes=4, max_rows=20, span=14),
    op=st.sampled_from(OPS),
    place=st.sampled_from([None, "first", "last"]),
    allowed=audiences,
)
def test_user_values_agree_with_the_twin(data, given_lanes, op, place, allowed):
    edges = np.array(
        sorted(data.draw(st.lists(st.integers(-2, 20), min_size=2, max_size=8))), np.int64
    )
    periods = np.cumsum([0] + [data.draw(st.integers(0, 1)) for _ in range(len(edges) - 2)])
    values = per_row(data, given_lanes, st.sampled_from([1.5, -2.0, 0.1, 1e15]), np.float64)
    masks = per_row(data, given_lanes, st.sampled_from([0, 1, 1]), np.uint8)
    knobs = {
        "values": values if op in OPS[2:] else None,
        "value_masks": masks if op in OPS[2:] else None,
        "place": place,
        "allowed": allowed,
    }
    expected = twins.user_values(given_lanes, edges, periods, op, **knobs)
    found = twins.listed(user_values(given_lanes, edges, periods.astype(np.int32), op, **knobs))
    assert [f[:2] + f[3:] for f in found] == [e[:2] + e[3:] for e in expected]
    assert [f[2] for f in found] == pytest.approx([e[2] for e in expected], rel=1e-12)


def one_lane(times, users=None):
    users = [0] * len(times) if users is None else users
    owners = sorted(set(users))
    offsets = np.concatenate([[0], np.cumsum([users.count(u) for u in owners])])
    return Lane(
        np.array(owners, np.uint32), offsets.astype(np.uint32), np.array(times, np.uint32), 0
    )


def test_a_sum_of_many_small_and_one_large_value_is_compensated():
    lane = one_lane([1] * 4)
    sums = user_values(
        [lane],
        np.array([0, 10], np.int64),
        np.zeros(1, np.int32),
        "sum",
        values=[np.array([1e16, 1.0, 1.0, -1e16])],
    )
    assert sums.value.tolist() == [2.0]


def test_more_records_than_there_is_room_for_are_a_budget_error():
    lane = one_lane([1, 2, 3], [0, 1, 2])
    edges, periods = np.array([0, 10], np.int64), np.zeros(1, np.int32)
    assert len(user_values([lane], edges, periods, "rows", most=3).user) == 3
    with pytest.raises(QueryBudgetExceeded, match=r"time\.grain"):
        user_values([lane], edges, periods, "rows", most=2)


def test_a_raised_flag_ends_the_kernel():
    with pytest.raises(QueryCancelled):
        user_values(
            [one_lane([1])],
            np.array([0, 10], np.int64),
            np.zeros(1, np.int32),
            "rows",
            cancel=np.ones(1, np.uint8),
        )


def test_arrays_that_do_not_fit_are_refused():
    lane, edges = one_lane([1]), np.array([0, 10], np.int64)
    with pytest.raises(ValueError, match="ascending"):
        user_values([lane], edges[::-1].copy(), np.zeros(1, np.int32), "rows")
    with pytest.raises(ValueError, match="periods"):
        user_values([lane], edges, np.ones(1, np.int32), "rows")
    with pytest.raises(ValueError, match="expected 1 items"):
        user_values([lane], edges, np.zeros(2, np.int32), "rows")
