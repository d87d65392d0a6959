"""The kernels of what each user did against their twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_of_users as twins
from tests.differential.lanes_strategy import audiences, lanes
from tests.differential.random_funnels import random_lanes, random_masks
from tests.differential.test_events import per_row
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels import _of_users
from zuji.engine.query.kernels._funnel import funnel_chains
from zuji.engine.query.kernels._of_users import completed, counts_of, values_of
from zuji.engine.query.kernels.lane import Lane

USERS = 4
INSTANTS = st.integers(-3, 20)


@settings(max_examples=400, deadline=None)
@given(many=lanes(max_rows=24), start=INSTANTS, stop=INSTANTS, allowed=audiences)
def test_counts_agree_with_the_twin(many, start, stop, allowed):
    found = counts_of(many, start, stop, USERS, None, allowed)
    assert found.tolist() == twins.counts_of(many, start, stop, USERS, allowed).tolist()


@settings(max_examples=400, deadline=None)
@given(
    data=st.data(),
    many=lanes(max_rows=20),
    start=INSTANTS,
    stop=INSTANTS,
    op=st.sampled_from(["sum", "avg", "min", "max"]),
    allowed=audiences,
)
def test_values_agree_with_the_twin(data, many, start, stop, op, allowed):
    values = per_row(data, many, st.sampled_from([1.5, -2.0, 0.1, 1e15]), np.float64)
    masks = per_row(data, many, st.sampled_from([0, 1, 1]), np.uint8)
    counts, found = values_of(many, start, stop, USERS, op, values, masks, None, allowed)
    expected = twins.values_of(many, start, stop, op, values, masks, allowed)
    assert counts.tolist() == [expected.get(user, (0,))[0] for user in range(USERS)]
    got = {user: float(found[user]) for user in range(USERS) if counts[user]}
    assert got == pytest.approx({user: value for user, (_, value) in expected.items()}, rel=1e-12)


@pytest.mark.parametrize("few", [1, 16, 1 << 40])
@pytest.mark.parametrize("seed", range(60))
def test_who_completed_agrees_with_the_twin_and_with_chains(seed, few, monkeypatch):
    """few 1: users are always sought one by one; 1 << 40: never."""
    import random

    rng = random.Random(seed)
    monkeypatch.setattr(_of_users, "FEW", few)
    many = random_lanes(rng, lanes=rng.randint(1, 4), rows=rng.randint(0, 30), users=3, span=9)
    k = rng.randint(1, 4)
    masks = random_masks(rng, many, k)
    start, stop, window = rng.randint(-2, 4), rng.randint(3, 12), rng.randint(0, 10)
    allowed = (
        None if rng.random() < 0.4 else np.array([rng.randint(0, 1) for _ in range(3)], np.uint8)
    )
    found = completed(many, masks, k, window, start, stop, 3, None, allowed)
    expected = twins.completed(many, masks, k, window, start, stop, allowed)
    assert set(np.flatnonzero(found).tolist()) == expected
    chains = funnel_chains(
        many, masks, None, None, None, 0, k, "ordered", "any", "users", "sequence",
        ("ms", window), None, None, start, stop, None, None, allowed,
    )  # fmt: skip
    assert set(chains.user[chains.reached >> np.uint32(k - 1) & 1 == 1].tolist()) == expected


def one_lane(times, users):
    offsets = np.concatenate([[0], np.cumsum(users)]).astype(np.uint32)
    owners = np.arange(len(users), dtype=np.uint32)
    return Lane(owners, offsets, np.array(times, np.uint32), 0)


def test_what_rounding_takes_off_a_sum_is_added():
    lane = one_lane([1, 2, 3, 4], [4])
    values = [np.array([1e100, 1.0, -1e100, 1.0])]
    _, found = values_of([lane], 0, 10, 1, "sum", values, [None])
    assert found.tolist() == [2.0]


def test_keys_that_need_more_than_63_bits_are_told(monkeypatch):
    monkeypatch.setattr(_of_users, "FEW", 0)
    start = one_lane([0], [1])
    tie = np.full(1, 9, np.uint16)
    far = Lane(start.users, start.offsets, start.times, (1 << 60) - 1, 1, tie)
    knobs = ([start, far], [1, 2], 2, 1 << 60, 0, 1 << 60, 1, None, np.ones(1, np.uint8))
    assert completed(*knobs) is None


def test_a_cancelled_kernel_ends():
    lane = one_lane(np.zeros(200_000), np.full(200_000, 1))
    flag = np.ones(1, np.uint8)
    with pytest.raises(QueryCancelled):
        counts_of([lane], 0, 10, 200_000, flag)
    with pytest.raises(QueryCancelled):
        values_of([lane], 0, 10, 200_000, "sum", [np.ones(200_000)], [None], flag)
    with pytest.raises(QueryCancelled):
        completed([lane], [1], 1, 5, 0, 10, 200_000, flag)


def test_wrong_arguments_are_refused():
    lane = one_lane([1], [1])
    for call in (
        lambda: counts_of([lane], 0, 1, -1),
        lambda: values_of([lane], 0, 1, 1, "median", [None], [None]),
        lambda: values_of([lane], 0, 1, 1, "sum", [], []),
        lambda: values_of([lane], 0, 1, 1, "sum", [np.ones(2)], [None]),
        lambda: completed([lane], [1], 0, 1, 0, 1, 1),
        lambda: completed([lane], [1], 33, 1, 0, 1, 1),
        lambda: completed([lane], [], 1, 1, 0, 1, 1),
    ):
        with pytest.raises((ValueError, KeyError, OverflowError)):
            call()
