"""Funnel kernels against brute force over all chains."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.differential import twins_funnel as twins
from tests.differential.lanes_strategy import audiences, is_allowed, lanes
from tests.differential.lanes_strategy import edges as lane_edges
from tests.differential.random_funnels import case
from zuji.engine.query.kernels import _funnel
from zuji.engine.query.kernels._streams import sessions
from zuji.engine.query.kernels.lane import Lane


@pytest.fixture(params=[0, 1, 2])
def isa(request):
    """Every instruction set that this machine has."""
    if _funnel.set_isa(request.param) != request.param:
        _funnel.set_isa()
        pytest.skip("not on this machine")
    yield request.param
    _funnel.set_isa()


# Beyond 32 bits: with lanes of several bases, times are uint64.
stops = st.one_of(st.integers(0, 22), st.just(1 << 40))


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
@given(
    data=st.data(),
    many=lanes(users=2),
    allowed=audiences,
    ties=st.sampled_from(["sequence", "any", "strict"]),
)
def test_funnel_fast_agrees_with_brute_force(data, many, allowed, ties):
    k = data.draw(st.integers(1, 4))
    masks = draw_masks(data, many, k)
    window = data.draw(st.integers(0, 14))
    start, stop = data.draw(st.integers(-1, 10)), data.draw(stops)
    got = _funnel.funnel_fast(many, masks, k, window, ties, start, stop, None, allowed)
    assert got.tolist() == twins.funnel_fast(many, masks, k, window, ties, start, stop, allowed)


def cells_of(records, k, edges, groups, n_groups, leftover):
    """``funnel_cells`` from records: the group is that of the row of step 1."""
    cells = np.zeros((n_groups, 1 if edges is None else len(edges) - 1, k + 1), np.int64)
    for user, bucket, reached, columns in records:
        lane, row, _time = columns[0]
        code = 0 if groups is None or groups[lane] is None else int(groups[lane][row])
        if user not in leftover and code < n_groups:
            cells[code, bucket, int(reached).bit_count()] += 1
    return cells


def plain_knobs(k, window, ties, start, stop, edges):
    """Arguments of ``funnel_chains`` for a plain funnel."""
    return {
        "excl_masks": None,
        "exclusions": [],
        "hold": None,
        "optional": 0,
        "k": k,
        "order": "ordered",
        "entry": "any",
        "count": "users",
        "ties": ties,
        "window": ("ms", window),
        "day_edges": None,
        "sessions": None,
        "from_ms": start,
        "to_ms": stop,
        "trend_edges": edges,
    }


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.data(),
    many=lanes(users=3),
    allowed=audiences,
    ties=st.sampled_from(["sequence", "any", "strict"]),
    edges=st.one_of(st.none(), lane_edges()),
)
def test_funnel_cells_agree_with_brute_force(isa, data, many, allowed, ties, edges):
    k = data.draw(st.integers(1, 4))
    masks = draw_masks(data, many, k)
    window = data.draw(st.integers(0, 14))
    start, stop = data.draw(st.integers(-1, 10)), data.draw(stops)
    groups = None
    if data.draw(st.booleans()):
        code = st.sampled_from([0, 1, 2, 0xFFFFFFFF])
        groups = [
            data.draw(st.sampled_from([None, 1]))
            and np.array([data.draw(code) for _ in range(lane.rows)], np.uint32)
            for lane in many
        ]
    got = _funnel.funnel_cells(
        many, masks, k, window, ties, start, stop, edges, groups, 3, None, allowed
    )
    assert got is not None
    cells, leftover = got
    assert all(is_allowed(allowed, user) for user in leftover.tolist())
    knobs = plain_knobs(k, window, ties, start, stop, edges)
    records = twins.funnel_chains(many, masks, **knobs, allowed=allowed)
    want = cells_of(records, k, edges, groups, 3, set(leftover.tolist()))
    assert cells.tolist() == want.tolist()


@pytest.mark.parametrize("seed", range(40))
def test_funnel_cells_of_long_users_agree_with_chains(isa, seed):
    """Rows in many vectors, users in several blocks, lanes joined and filtered, odd ends."""
    rng = np.random.default_rng(seed)
    k, wide = int(rng.integers(1, 6)), seed % 4 == 2
    bases = [0, 10**9] if seed % 4 == 0 else [0, 10**6, 10**10] if wide else [0]
    many, masks, groups, ranks = [], [], [], rng.permutation(8)
    for number in range(k + int(rng.integers(0, 3))):
        users = np.flatnonzero(rng.random(2500) < rng.choice([0.01, 0.5])).astype(np.uint32)
        counts = rng.geometric(rng.choice([0.03, 0.3]), len(users)) - (rng.random() < 0.3)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
        span = int(rng.choice([100, 10**6]))
        times = rng.integers(0, span, int(offsets[-1])).astype(np.uint32)
        ties = np.zeros(len(times), np.uint16)  # every lane is a source of its own
        for a, b in itertools.pairwise(offsets):
            times[a:b].sort()
            ties[a:b] = np.arange(b - a) - np.searchsorted(times[a:b], times[a:b])
        mask = (rng.random(len(times)) < 0.7).astype(np.uint8) if rng.random() < 0.3 else None
        base = int(rng.choice(bases))
        known = ties if ties.any() else None
        many.append(Lane(users, offsets, times, base, int(ranks[number]), known, mask))
        one = 1 << (number % k)
        rows = rng.integers(0, 1 << k, len(times)).astype(np.uint32)
        masks.append(rows if rng.random() < 0.2 else one)
        groups.append(rng.integers(0, 4, len(times)).astype(np.uint32))
    window, stop = int(rng.choice([3, 2000, 10**6, 1 << 40])), int(rng.choice([90, 1 << 33]))
    if len(bases) > 1 and not wide:  # short times with what is out of range cut off
        window, stop = min(window, 10**6), min(stop, 1 << 31)
    edges = None if seed % 2 else np.array([0, 20, 20, 10**5, 10**6, 1 << 34], np.int64)
    for ties in ("sequence", "any", "strict"):
        args = (k, window, ties, 5, stop, edges)
        got = _funnel.funnel_cells(many, masks, *args, groups, 4)
        if got is None:  # many rows at one instant
            continue
        cells, leftover = got
        found = _funnel.funnel_chains(many, masks, **plain_knobs(*args))
        want = cells_of(records_of(found), k, edges, groups, 4, set(leftover.tolist()))
        assert cells.tolist() == want.tolist()


def test_funnel_cells_leaves_over_whom_ties_decide():
    one = np.zeros(1, np.uint32)
    lanes_of = [
        Lane(one, np.array([0, 1], np.uint32), one + 5, 0, 0, np.array([tie], np.uint16))
        for tie in (0, 1)
    ]
    cells, leftover = _funnel.funnel_cells(lanes_of, [1, 2], 2, 1, "sequence", 0, 9)
    assert (cells.sum(), leftover.tolist()) == (0, [0])
    assert _funnel.funnel_fast(lanes_of, [1, 2], 2, 1, "sequence", 0, 9).tolist() == [0, 1, 1]
    assert _funnel.funnel_fast(lanes_of[::-1], [1, 2], 2, 1, "sequence", 0, 9).tolist() == [0, 1, 0]


@pytest.mark.parametrize("time", [0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF])
def test_starts_at_the_end_of_32_bits(isa, time):
    one = np.zeros(1, np.uint32)
    rows = [
        Lane(one, np.array([0, 1], np.uint32), np.array([t], np.uint32), 0, rank)
        for rank, t in enumerate([time, 0xFFFFFFFF])
    ]
    for window in (0, 1, 2, 1 << 50):
        got = _funnel.funnel_fast(rows, [1, 2], 2, window, "sequence", 0, 1 << 40)
        assert got.tolist() == [0, 1, int(0xFFFFFFFF - time <= window)]


def test_lanes_too_far_apart_for_a_short_key_are_answered_from_chains():
    one = np.zeros(1, np.uint32)
    deep = np.array([0, 65535], np.uint16)
    for far in (0, 9 * 10**12):
        first = Lane(one, np.array([0, 2], np.uint32), np.array([5, 5], np.uint32), far, 0, deep)
        many = [
            first,
            *(
                Lane(one, np.array([0, 1], np.uint32), one + 6, far * (r % 2), r)
                for r in range(1, 40)
            ),
        ]
        got = _funnel.funnel_fast(many, [1, *([2] * 39)], 2, 1, "any", 0, far + 100)
        assert got.tolist() == [0, 1, 1]


def records_of(got):
    """The kernel's records in the twin's form."""
    records = []
    for i in range(len(got.user)):
        columns = [
            None if row < 0 else (int(lane), int(row), int(time))
            for lane, row, time in zip(
                got.step_lane[i], got.step_row[i], got.step_time[i], strict=True
            )
        ]
        records.append((int(got.user[i]), int(got.bucket[i]), int(got.reached[i]), columns))
    return records


def draw_funnel(data, many, k):
    """Arguments of ``funnel_chains`` after (lanes, step_masks), as a dict."""
    order = data.draw(st.sampled_from(["ordered", "ordered", "strict", "any_order"]))
    any_order = order == "any_order"
    spans = [(1, k)] if any_order else [(i, j) for i in range(1, k) for j in range(i + 1, k + 1)]
    one = st.builds(
        lambda span, on: (*span, on),
        st.sampled_from(spans or [(1, 2)]),
        st.sampled_from(["drop", "remove"]),
    )
    exclusions = data.draw(st.lists(one, max_size=2)) if k > 1 else []
    hold = None
    if data.draw(st.sampled_from([True, False, False])):
        code = st.sampled_from([-1, 0, 1, 1])
        hold = []
        for _s in range(k):
            if data.draw(st.sampled_from([True, False, False])):
                hold.append(None)
                continue
            hold.append(
                [
                    None
                    if data.draw(st.sampled_from([True] + [False] * 5))
                    else np.array([data.draw(code) for _ in range(lane.rows)], np.int64)
                    for lane in many
                ]
            )
    kind = data.draw(st.sampled_from(["ms", "ms", "ms", "same_day", "session"]))
    count = data.draw(st.sampled_from(["users", "entries", "sessions"]))
    trend = None
    if data.draw(st.booleans()):
        trend = np.array(
            sorted(data.draw(st.lists(st.integers(-1, 16), min_size=2, max_size=4))), np.int64
        )
    needs_sessions = kind == "session" or count == "sessions"
    return {
        "excl_masks": draw_masks(data, many, len(exclusions)) if exclusions else None,
        "exclusions": exclusions,
        "hold": hold,
        "optional": 0
        if any_order
        else data.draw(st.integers(0, (1 << k) - 1)) & ~1 & data.draw(st.sampled_from([0, 255])),
        "k": k,
        "order": order,
        "entry": data.draw(st.sampled_from(["any", "any", "first"])),
        "count": count,
        "ties": data.draw(st.sampled_from(["sequence", "any", "strict"])),
        "window": (kind, data.draw(st.integers(0, 14))),
        "day_edges": np.array([0, 4, 9, 15], np.int64) if kind == "same_day" else None,
        "sessions": sessions(many, 2) if needs_sessions else None,
        "from_ms": data.draw(st.integers(-1, 8)),
        "to_ms": data.draw(st.integers(4, 22)),
        "trend_edges": trend,
    }


@settings(max_examples=300, deadline=None)
@given(data=st.data(), many=lanes(users=2, max_rows=11), allowed=audiences)
def test_funnel_chains_agree_with_brute_force(data, many, allowed):
    k = data.draw(st.integers(1, 4))
    masks = draw_masks(data, many, k)
    check_chains(many, masks, draw_funnel(data, many, k), allowed)


def check_chains(many, masks, knobs, allowed):
    """Kernel and brute force give the same records; returns them."""
    got = records_of(_funnel.funnel_chains(many, masks, **knobs, allowed=allowed))
    want = twins.funnel_chains(many, masks, **knobs, allowed=allowed)
    assert got == want
    return got


@pytest.mark.parametrize("block", range(8))
def test_seeded_funnels_agree_with_brute_force(block):
    levels = Counter()
    for seed in range(block * 1000, block * 1000 + 700):
        many, masks, knobs, allowed = case(seed)
        try:
            records = check_chains(many, masks, knobs, allowed)
        except AssertionError as e:
            raise AssertionError(f"seed {seed}") from e
        levels.update(bin(reached).count("1") for _user, _bucket, reached, _columns in records)
    assert all(levels[n] > 0 for n in (1, 2, 3)), levels


@pytest.mark.slow
def test_many_seeded_funnels_agree_with_brute_force():
    for seed in range(100_000, 200_000):
        check_chains(*case(seed))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.sampled_from(["sequence", "any", "strict"]))
def test_long_users_are_merged_like_short_ones(seed, ties):
    """More rows than the insertion sort takes: the same answer whether split over lanes or not."""
    rng = np.random.default_rng(seed)
    n = 300
    times = np.sort(rng.integers(0, 200, n)).astype(np.uint32)
    masks = (1 << rng.integers(0, 3, n)).astype(np.uint32)
    ties_of = (np.arange(n) - np.searchsorted(times, times)).astype(np.uint16)
    one = np.zeros(1, np.uint32)
    whole = Lane(one, np.array([0, n], np.uint32), times, 0, 0, ties_of)
    part = rng.integers(0, 5, n)
    split = [np.flatnonzero(part == p) for p in range(5)]
    many = [
        Lane(one, np.array([0, len(s)], np.uint32), times[s], 0, 0, ties_of[s])
        for s in split
        if len(s)
    ]
    many_masks = [masks[s] for s in split if len(s)]
    for window in (0, 1, 4):
        args = (3, window, ties, 20, 90)
        assert (
            _funnel.funnel_fast([whole], [masks], *args).tolist()
            == _funnel.funnel_fast(many, many_masks, *args).tolist()
        )
