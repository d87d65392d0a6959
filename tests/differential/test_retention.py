"""The retention kernel against its twin."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_retention as twins
from tests.differential.lanes_strategy import audiences, lanes
from tests.differential.random_funnels import random_lanes
from tests.differential.test_events import per_row
from zuji.engine.query.kernels._events import expand_lists
from zuji.engine.query.kernels._retention import retention_cells
from zuji.engine.query.kernels.lane import NO_GROUP, Lane


@settings(max_examples=600, deadline=None)
@given(
    data=st.data(),
    start=lanes(max_lanes=2, max_rows=8, span=14),
    other=lanes(max_lanes=2, max_rows=10, span=24),
    metric=lanes(max_lanes=2, max_rows=6, span=24),
    allowed=audiences,
)
def test_retention_cells_agree_with_the_twin(data, start, other, metric, allowed):
    same = data.draw(st.booleans())
    back = start if same else other
    periods, n = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 4))
    width = data.draw(st.integers(1, 5))
    low = data.draw(st.integers(-2, 4))
    period_edges = low + width * np.arange(
        periods + n + 1 + data.draw(st.integers(0, 2)), dtype=np.int64
    )
    start_edges = period_edges[: periods + 1].copy()
    start_edges[0] += data.draw(st.integers(0, width - 1))
    groups = per_row(data, start, st.sampled_from([0, 1, 2, NO_GROUP]), np.uint32)
    is_start = []
    for lane in back:
        if same:
            is_start.append(1)
        elif data.draw(st.booleans()):
            is_start.append(data.draw(st.integers(0, 1)))
        else:
            is_start.append(
                np.array([data.draw(st.integers(0, 1)) for _ in range(lane.rows)], np.uint8)
            )
    mode = data.draw(st.sampled_from(["calendar", "rolling"]))
    cohort, criterion = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 4))
    brackets = None
    if criterion == 4:
        pairs = st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted).map(tuple)
        brackets = data.draw(st.lists(pairs, min_size=1, max_size=3))
    values = per_row(data, metric, st.sampled_from([1.5, -2.0, 1e15]), np.float64)
    knobs = {
        "start_edges": start_edges,
        "period_edges": period_edges,
        "mode": mode,
        "period_ms": width,
        "n": n,
        "cohort": cohort,
        "criterion": criterion,
        "brackets": brackets,
    }
    size, returned, sums = twins.retention_cells(
        start,
        groups,
        2,
        back,
        is_start,
        start_edges,
        period_edges,
        mode,
        width,
        n,
        cohort,
        criterion,
        brackets,
        metric,
        values,
        allowed,
    )
    cells = len(brackets) if criterion == 4 else n + 1
    p, k = data.draw(st.integers(-1, periods - 1)), data.draw(st.integers(0, cells - 1))
    g, did = data.draw(st.integers(-1, 1)), data.draw(st.sampled_from([True, False, None]))
    got = retention_cells(
        start,
        groups,
        2,
        back,
        is_start,
        **knobs,
        metric_lanes=metric,
        metric_values=values,
        pick=(g, p, k, did),
        allowed=allowed,
    )
    picked = set()
    for a in range(2):
        for b in range(periods):
            cohort_users = size.get((a, b), set())
            assert got.size[a, b] == len(cohort_users)
            for c in range(cells):
                back_users = returned.get((a, b, c), set())
                assert got.returned[a, b, c] == len(back_users)
                cell = sums.get((a, b, c), [])
                assert got.metric_count[a, b, c] == len(cell)
                total = got.metric_sum[a, b, c] + got.metric_lost[a, b, c]
                assert total == pytest.approx(math.fsum(cell), rel=1e-12)
            if g in (-1, a) and p in (-1, b):
                chosen = returned.get((a, b, k), set())
                picked |= cohort_users if did is None else chosen if did else cohort_users - chosen
    assert got.picked.tolist() == sorted(picked)
    plain = retention_cells(start, groups, 2, back, is_start, **knobs, allowed=allowed)
    assert plain.returned.tolist() == got.returned.tolist()
    assert plain.metric_sum is None


def test_a_list_puts_an_entry_in_several_groups_but_once_in_each():
    lane = Lane(
        np.array([7], np.uint32), np.array([0, 2], np.uint32), np.array([1, 5], np.uint32), 0
    )
    wide, _row, code = expand_lists(
        lane, np.array([0, 3, 4], np.uint32), np.array([2, 0, 1, 0], np.uint32)
    )
    group = np.array([0, 1, 1], np.uint32)[code]
    got = retention_cells(
        [wide],
        [group],
        2,
        [lane],
        [1],
        start_edges=np.array([0, 10], np.int64),
        period_edges=np.array([0, 10, 20], np.int64),
        mode="calendar",
        period_ms=10,
        n=1,
        cohort=2,
        criterion=0,
    )
    assert got.size.tolist() == [[1], [1]]
    assert got.returned[:, 0, 0].tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(150))
def test_long_retention_crosses_words_like_the_twin(seed):
    """Up to 200 periods of 1 to 3 ms: several words of bits, several lanes, every rule."""
    rng = random.Random(seed)
    start = random_lanes(rng, lanes=rng.randint(1, 3), rows=rng.randint(1, 25), users=2, span=150)
    back = random_lanes(rng, lanes=rng.randint(1, 3), rows=rng.randint(1, 60), users=2, span=250)
    same = rng.random() < 0.3
    back = start if same else back
    is_start = [1 if same else rng.choice([0, 1]) for _ in back]
    periods, n, width = rng.randint(1, 150), rng.randint(60, 200), rng.randint(1, 3)
    edges = width * np.arange(periods + n + 1, dtype=np.int64)
    criterion = rng.randrange(5)
    brackets = None
    if criterion == 4:
        brackets = [
            tuple(sorted(rng.choices(range(n + 1), k=2))) for _ in range(rng.choice([2, 70]))
        ]
    mode, cohort = rng.choice(["calendar", "rolling"]), rng.randrange(3)
    got = retention_cells(
        start,
        None,
        1,
        back,
        is_start,
        start_edges=edges[: periods + 1],
        period_edges=edges,
        mode=mode,
        period_ms=width,
        n=n,
        cohort=cohort,
        criterion=criterion,
        brackets=brackets,
    )
    size, returned, _metric = twins.retention_cells(
        start,
        [None] * len(start),
        1,
        back,
        is_start,
        edges[: periods + 1],
        edges,
        mode,
        width,
        n,
        cohort,
        criterion,
        brackets,
        [],
        [],
        None,
    )
    want = np.zeros_like(got.returned)
    for cell, users in returned.items():
        want[cell] = len(users)
    assert {k: len(v) for k, v in size.items()} == {
        (0, int(p)): int(got.size[0, p]) for p in np.flatnonzero(got.size[0])
    }
    assert got.returned.tolist() == want.tolist()
