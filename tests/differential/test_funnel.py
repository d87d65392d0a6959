"""Funnel kernels against brute force over all chains."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_funnel as twins
from tests.differential.lanes_strategy import audiences, lanes
from zuji.engine.query.kernels import _funnel


def draw_masks(data, many, k):
    """A fixed mask or one per row, per lane."""
    masks = []
    for lane in many:
        one = st.one_of(st.sampled_from([1 << s for s in range(k)]), st.integers(0, (1 << k) - 1))
        if data.draw(st.booleans()):
            masks.append(data.draw(one))
        else:
            masks.append(np.array([data.draw(one) for _ in range(lane.rows)], np.uint32))
    return masks


@settings(max_examples=600, deadline=None)
@given(data=st.data(), many=lanes(users=2), allowed=audiences, ties=st.sampled_from(["sequence", "any", "strict"]))
def test_funnel_fast_agrees_with_brute_force(data, many, allowed, ties):
    k = data.draw(st.integers(1, 4))
    masks = draw_masks(data, many, k)
    window = data.draw(st.integers(0, 14))
    start, stop = data.draw(st.integers(-1, 10)), data.draw(st.integers(0, 22))
    got = _funnel.funnel_fast(many, masks, k, window, ties, start, stop, None, allowed)
    assert got.tolist() == twins.funnel_fast(many, masks, k, window, ties, start, stop, allowed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.sampled_from(["sequence", "any", "strict"]))
def test_long_users_are_merged_like_short_ones(seed, ties):
    """More rows than the insertion sort takes: the same answer whether split over lanes or not."""
    from zuji.engine.query.kernels.lane import Lane

    rng = np.random.default_rng(seed)
    n = 300
    times = np.sort(rng.integers(0, 200, n)).astype(np.uint32)
    masks = (1 << rng.integers(0, 3, n)).astype(np.uint32)
    ties_of = (np.arange(n) - np.searchsorted(times, times)).astype(np.uint16)
    one = np.zeros(1, np.uint32)
    whole = Lane(one, np.array([0, n], np.uint32), times, 0, 0, ties_of)
    part = rng.integers(0, 5, n)
    split = [np.flatnonzero(part == p) for p in range(5)]
    many = [Lane(one, np.array([0, len(s)], np.uint32), times[s], 0, 0, ties_of[s]) for s in split if len(s)]
    many_masks = [masks[s] for s in split if len(s)]
    for window in (0, 1, 4):
        args = (3, window, ties, 20, 90)
        assert (
            _funnel.funnel_fast([whole], [masks], *args).tolist()
            == _funnel.funnel_fast(many, many_masks, *args).tolist()
        )
