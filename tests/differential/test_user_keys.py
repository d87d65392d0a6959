"""The kernel of different and most frequent values against its twin."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.lanes_strategy import audiences, lanes
from tests.differential.test_events import per_row
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._user_keys import user_keys
from zuji.engine.query.kernels.lane import Lane

USERS = 3


def twin(given_lanes, keys, from_ms, to_ms, op, present, offsets, allowed):
    """By hand: (number, most frequent) of each user."""
    rows = {u: [] for u in range(USERS)}
    for number, lane in enumerate(given_lanes):
        owner = np.repeat(lane.users, np.diff(lane.offsets))
        for r in range(lane.rows):
            user, time = int(owner[r]), lane.base_ms + int(lane.times[r])
            inside = from_ms <= time < to_ms and (lane.mask is None or lane.mask[r])
            counts = allowed is None or (user < len(allowed) and allowed[user])
            if user >= USERS or not inside or not counts or keys[number] is None:
                continue
            if present[number] is not None and not present[number][r]:
                continue
            tie = 0 if lane.ties is None else int(lane.ties[r])
            ends = offsets[number]
            places = range(r, r + 1) if ends is None else range(ends[r], ends[r + 1])
            for k in places:
                place = (time, lane.rank, tie, number, k)
                rows[user].append((int(keys[number][k]), place))
    found = []
    for user in range(USERS):
        counts = Counter(key for key, _ in rows[user])
        if op == "distinct" or not counts:
            found.append((len(counts), 0))
            continue
        last = {key: max(p for k, p in rows[user] if k == key) for key in counts}
        best = max(counts, key=lambda key: (counts[key], last[key]))
        found.append((counts[best], best))
    return found


@settings(max_examples=800, deadline=None)
@given(
    data=st.data(),
    given_lanes=lanes(max_lanes=4, max_rows=40, span=14, users=USERS),
    op=st.sampled_from(["distinct", "most_frequent"]),
    allowed=audiences,
    span=st.tuples(st.integers(-2, 6), st.integers(0, 22)),
    lists=st.booleans(),
)
def test_user_keys_agree_with_the_twin(data, given_lanes, op, allowed, span, lists):
    drawn = st.sampled_from([-(2**63), -1, 0, 7, 8, 2**63 - 1])
    present = per_row(data, given_lanes, st.sampled_from([0, 1, 1]), np.uint8)
    keys, offsets = [], []
    for lane in given_lanes:
        lengths = [data.draw(st.integers(0, 2)) if lists else 1 for _ in range(lane.rows)]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
        own = [data.draw(drawn) for _ in range(int(ends[-1]))]
        keys.append(data.draw(st.sampled_from([np.array(own, np.int64)] * 4 + [None])))
        offsets.append(ends if lists else None)
    low, high = span[0], span[0] + span[1]
    expected = twin(given_lanes, keys, low, high, op, present, offsets, allowed)
    number, most = user_keys(
        given_lanes,
        keys,
        low,
        high,
        USERS,
        op,
        present=present,
        offsets=offsets if lists else None,
        allowed=allowed,
    )
    found = most.tolist() if op == "most_frequent" else [0] * USERS
    assert list(zip(number.tolist(), found, strict=True)) == expected


def one_user(times):
    users, ends = np.zeros(1, np.uint32), np.array([0, len(times)], np.uint32)
    return Lane(users, ends, np.array(times, np.uint32), 0)


def test_a_user_with_very_many_rows():
    keys = np.random.default_rng(5).integers(0, 1000, 100_000)
    keys[17::3] = 4711
    lane = one_user(np.arange(100_000))
    number, most = user_keys([lane], [keys], 0, 1 << 40, 1, "most_frequent")
    assert (int(number[0]), int(most[0])) == (int((keys == 4711).sum()), 4711)
    different, _ = user_keys([lane], [keys], 0, 1 << 40, 1, "distinct")
    assert int(different[0]) == len(set(keys.tolist()))


def test_of_equally_frequent_values_the_last_one_counts():
    lane = one_user([1, 2, 3, 4])
    keys = np.array([5, 9, 9, 5], np.int64)
    assert user_keys([lane], [keys], 0, 10, 1, "most_frequent")[1].tolist() == [5]
    assert user_keys([lane], [keys], 0, 4, 1, "most_frequent")[1].tolist() == [9]


def test_a_raised_flag_ends_the_kernel():
    lane = one_user(np.zeros(200_000))
    with pytest.raises(QueryCancelled):
        user_keys(
            [lane] * 3,
            [np.zeros(200_000, np.int64)] * 3,
            0,
            10,
            1,
            "distinct",
            cancel=np.ones(1, np.uint8),
        )


@pytest.mark.parametrize(
    ("keys", "knobs"),
    [
        ([np.zeros(1, np.int64)], {}),
        ([np.zeros(2, np.int32)], {}),
        ([], {}),
        ([np.zeros(2, np.int64)], {"offsets": [np.array([0, 2, 1], np.uint32)]}),
        ([np.zeros(2, np.int64)], {"offsets": [np.array([0, 1], np.uint32)]}),
        ([np.zeros(1, np.int64)], {"offsets": [np.array([0, 1, 2], np.uint32)]}),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(keys, knobs):
    with pytest.raises((ValueError, TypeError)):
        user_keys([one_user([1, 2])], keys, 0, 10, 1, "distinct", **knobs)
