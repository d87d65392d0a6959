"""The interval kernel against its twin, and the worked example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_interval as twins
from tests.differential.lanes_strategy import audiences, edges, lanes
from tests.differential.test_distribution import one_lane
from zuji.engine.errors import QueryBudgetExceeded, QueryCancelled
from zuji.engine.query.kernels._interval import END, NO_KEY, START, interval_pairs

WHOLE = np.array([0, 100], np.int64)


def listed(answer):
    """A kernel's answer in the twin's form."""
    return sorted(
        (u, b, g, (sl, sr), (el, er))
        for u, b, g, sl, sr, el, er in zip(
            *(
                array.tolist()
                for array in (
                    answer.user,
                    answer.bucket,
                    answer.gap,
                    answer.start_lane,
                    answer.start_row,
                    answer.end_lane,
                    answer.end_row,
                )
            ),
            strict=True,
        )
    )


@settings(max_examples=1500, deadline=None)
@given(
    data=st.data(),
    given_lanes=lanes(max_lanes=4, max_rows=24, span=14, users=2),
    nearest=st.sampled_from(["start", "end"]),
    strict=st.booleans(),
    cap=st.one_of(st.none(), st.integers(0, 8)),
    allowed=audiences,
)
def test_pairs_agree_with_the_twin(data, given_lanes, nearest, strict, cap, allowed):
    roles = []
    for lane in given_lanes:
        if data.draw(st.booleans()):
            roles.append(data.draw(st.integers(0, 3)))
        else:
            drawn = [data.draw(st.sampled_from([0, 1, 2, 3])) for _ in range(lane.rows)]
            roles.append(np.array(drawn, np.uint8))
    keys = [None, None]
    if data.draw(st.booleans()):
        values = st.sampled_from([0, 1, 7, NO_KEY])
        keys = [
            [
                None
                if data.draw(st.integers(0, 9)) == 0
                else np.array([data.draw(values) for _ in range(lane.rows)], np.uint32)
                for lane in given_lanes
            ]
            for _ in range(2)
        ]
    knobs = {
        "nearest": nearest,
        "strict": strict,
        "cap_ms": cap,
        "first_ms": data.draw(st.sampled_from([None, -5, 3])),
        "start_keys": keys[0],
        "end_keys": keys[1],
        "allowed": allowed,
    }
    bounds = data.draw(edges())
    found = interval_pairs(given_lanes, roles, bounds, places=True, **knobs)
    assert listed(found) == twins.interval_pairs(given_lanes, roles, bounds, **knobs)
    plain = interval_pairs(given_lanes, roles, bounds, **knobs)
    assert plain.gap.tolist() == found.gap.tolist()
    assert len(plain.start_row) == 0


@settings(max_examples=500, deadline=None)
@given(
    months=st.lists(lanes(max_lanes=2, max_rows=12, span=10, users=2), min_size=2, max_size=4),
    nearest=st.sampled_from(["start", "end"]),
    strict=st.booleans(),
    cap=st.one_of(st.none(), st.integers(0, 40)),
    data=st.data(),
)
def test_lanes_of_partitions_that_follow_each_other(months, nearest, strict, cap, data):
    step = data.draw(st.sampled_from([7, 16]))  # at 7 some of them overlap
    every = [replace(x, base_ms=x.base_ms + step * i) for i, xs in enumerate(months) for x in xs]
    roles = [data.draw(st.integers(1, 3)) for _ in every]
    knobs = {"nearest": nearest, "strict": strict, "cap_ms": cap}
    found = interval_pairs(every, roles, WHOLE, places=True, **knobs)
    assert listed(found) == twins.interval_pairs(every, roles, WHOLE, **knobs)


@pytest.mark.parametrize(
    ("nearest", "pairs"), [("start", [(1, 4), (7, 8)]), ("end", [(3, 4), (7, 8)])]
)
def test_the_worked_example(nearest, pairs):
    """A1 A2 A3 B4 B5 B6 A7 B8."""
    a, b = one_lane([1, 2, 3, 7]), one_lane([4, 5, 6, 8])
    found = interval_pairs([a, b], [START, END], WHOLE, nearest=nearest, places=True)
    assert found.gap.tolist() == [end - start for start, end in pairs]
    assert a.times[found.start_row].tolist() == [start for start, _ in pairs]
    assert b.times[found.end_row].tolist() == [end for _, end in pairs]


@pytest.mark.parametrize("nearest", ["start", "end"])
def test_an_event_to_itself_gives_consecutive_pairs(nearest):
    found = interval_pairs([one_lane([1, 4, 9])], [START | END], WHOLE, nearest=nearest)
    assert found.gap.tolist() == [3, 5]


def test_a_start_older_than_the_cap_gives_way_to_the_next():
    """A1 A8 B9 with a cap of 5: A1 is too old for B9, and A8 opens in its place."""
    a, b = one_lane([1, 8]), one_lane([9])
    assert interval_pairs([a, b], [START, END], WHOLE, cap_ms=5).gap.tolist() == [1]
    assert interval_pairs([a, b], [START, END], WHOLE, cap_ms=8).gap.tolist() == [8]


def test_a_start_after_the_range_takes_the_end_from_one_inside():
    """Nearest to the end: A3 lies in the range, A12 after it, and B13 belongs to A12."""
    a, b = one_lane([3, 12]), one_lane([13])
    inside = np.array([0, 10], np.int64)
    assert interval_pairs([a, b], [START, END], inside, nearest="end").gap.tolist() == []
    assert interval_pairs([a, b], [START, END], inside, nearest="start").gap.tolist() == [10]


def test_a_user_with_very_many_held_values():
    times = list(range(50)) * 20
    start, end = one_lane(sorted(times)), one_lane(sorted(t + 50 for t in times))
    keys = np.arange(1000, dtype=np.uint32)
    found = interval_pairs(
        [start, end], [START, END], WHOLE, start_keys=[keys, None], end_keys=[None, keys]
    )
    assert found.gap.tolist() == [50] * 1000


def test_more_pairs_than_there_is_room_for_are_a_budget_error():
    lane = one_lane([1, 2, 3])
    assert len(interval_pairs([lane], [3], WHOLE, most=2).gap) == 2
    with pytest.raises(QueryBudgetExceeded, match="narrow the time range"):
        interval_pairs([lane], [3], WHOLE, most=1)


def test_a_raised_flag_ends_the_kernel():
    with pytest.raises(QueryCancelled):
        interval_pairs([one_lane([1])], [3], WHOLE, cancel=np.ones(1, np.uint8))


def test_arrays_that_do_not_fit_are_refused():
    lane = one_lane([1])
    with pytest.raises(ValueError, match="roles"):
        interval_pairs([lane], [], WHOLE)
    with pytest.raises(ValueError, match="ascending"):
        interval_pairs([lane], [3], WHOLE[::-1].copy())
    with pytest.raises(ValueError, match="belong together"):
        interval_pairs([lane], [3], WHOLE, start_keys=[None])
    with pytest.raises(ValueError, match="cap_ms"):
        interval_pairs([lane], [3], WHOLE, cap_ms=-1)
