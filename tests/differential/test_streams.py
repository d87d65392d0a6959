"""Stream kernels against their twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_streams as twins
from tests.differential.lanes_strategy import lanes, rows_of
from zuji.engine.query.kernels._streams import asof, sessions, stream_lane
from zuji.engine.query.kernels.lane import Lane


@settings(max_examples=200, deadline=None)
@given(many=lanes(max_rows=20), gap=st.integers(0, 5))
def test_sessions_agree_with_the_twin(many, gap):
    assert [s.tolist() for s in sessions(many, gap)] == twins.sessions(many, gap)


def test_long_users_over_two_lanes_are_merged():
    rng = np.random.default_rng(3)
    times = [np.sort(rng.choice(1000, 120, replace=False)).astype(np.uint32) for _ in range(2)]
    many = [
        Lane(np.zeros(1, np.uint32), np.array([0, 120], np.uint32), t, 0, i)
        for i, t in enumerate(times)
    ]
    assert [s.tolist() for s in sessions(many, 6)] == twins.sessions(many, 6)


@settings(max_examples=200, deadline=None)
@given(
    many=lanes(max_lanes=1),
    history=st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 15)), max_size=12),
)
def test_asof_agrees_with_the_twin(many, history):
    history = sorted(history)
    users = np.array([u for u, _t in history], np.uint32)
    times = np.array([t for _u, t in history], np.int64)
    assert asof(users, times, many[0]).tolist() == twins.asof(history, many[0])


@settings(max_examples=200, deadline=None)
@given(
    sent=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 6)), max_size=30),
    empty=st.booleans(),
)
def test_the_interleave_gives_back_the_whole_order(sent, empty):
    """Rows (event, user, time) are cut into runs and put together again."""
    whole = sorted(((u, t, i, e) for i, (e, u, t) in enumerate(sent)))
    runs = []
    for event in range(3 + empty):
        mine = [(u, t) for u, t, _i, e in whole if e == event]
        users = sorted({u for u, _t in mine})
        offsets = np.cumsum([0, *(sum(u == x for x, _t in mine) for u in users)])
        runs.append(
            (
                np.array(users, np.uint32),
                offsets.astype(np.uint32),
                np.array([t for _u, t in mine], np.uint32),
            )
        )
    interleave = np.array([e for *_x, e in whole], np.uint16)
    lane, code, row = stream_lane(runs, interleave, 100, 4)
    assert (lane.base_ms, lane.rank) == (100, 4)
    got = [
        (user, r.time - 100, int(code[r.row]), int(row[r.row]))
        for user, rows in rows_of([lane]).items()
        for r in rows
    ]
    seen = [0] * 4
    want = []
    for u, t, _i, e in whole:
        want.append((u, t, e, seen[e]))
        seen[e] += 1
    assert got == want


def test_arrays_that_do_not_belong_together_are_refused():
    one = np.ones(1, np.uint32)
    first = (one * 5, np.array([0, 1], np.uint32), one)
    second = (one * 2, np.array([0, 1], np.uint32), one)
    with pytest.raises(ValueError, match="belong"):
        stream_lane([first, second], np.array([0, 1], np.uint16), 0)
    for bad in ([0], [0, 0], [0, 7], [0, 1, 1]):
        with pytest.raises(ValueError, match="interleave"):
            stream_lane([first, second], np.array(bad, np.uint16), 0)
