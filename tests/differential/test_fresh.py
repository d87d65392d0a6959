"""Rows put in order place by place, against sorting each place by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.storage._fresh import order_places
from zuji.engine.storage.build import order
from zuji.engine.storage.cells import EventOrder
from zuji.engine.storage.partition import Partition

EDGES = np.array([1_000, 2_000, 2_010, 900_000], np.int64)
NAMES = ["view", "Ω", "buy", "view ", "a"]


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 2, 30, 700]),
    shards=st.integers(1, 5),
    users=st.sampled_from([1, 7, 2**32 - 1]),
    months=st.integers(1, 3),
    instants=st.sampled_from([1, 5, 10**6]),
)
def test_each_place_is_as_if_sorted_alone(
    seed: int, n: int, shards: int, users: int, months: int, instants: int
) -> None:
    rng = np.random.default_rng(seed)
    edges = EDGES[: months + 1]
    shard = rng.integers(0, shards, n).astype(np.uint16)
    ordinal = rng.integers(0, users, n).astype(np.uint32)
    event = rng.integers(0, len(NAMES), n).astype(np.uint16)
    time = rng.integers(edges[0], min(int(edges[-1]), int(edges[0]) + instants), n)
    events = EventOrder.of(NAMES)
    perm, ordinals, times, interleave, tie, rows, runs, tied, rank, start = order_places(
        shard, ordinal, event, time, edges, shards, events.rank
    )
    assert rows[-1] == n
    for place in range(months * shards):
        month, mine = divmod(place, shards)
        low, high = int(edges[month]), int(edges[month + 1])
        picked = np.flatnonzero((shard == mine) & (time >= low) & (time < high)).astype(np.uint32)
        span, held = slice(*rows[place : place + 2]), slice(*runs[place : place + 2])
        assert rows[place + 1] - rows[place] == len(picked)
        if not len(picked):
            assert held.start == held.stop
            assert not tied[place]
            continue
        expected = order(
            ordinal[picked], time[picked], event[picked], NAMES, Partition(month, low, high)
        )
        assert [events.names[code] for code in rank[held]] == expected.names
        assert start[held].tolist() == expected.starts[:-1].tolist()
        assert perm[span].tolist() == picked[expected.perm].tolist()
        assert ordinals[span].tolist() == expected.ordinal.tolist()
        assert times[span].tolist() == expected.time.tolist()
        assert interleave[span].tolist() == expected.interleave.tolist()
        assert bool(tied[place]) == (expected.tie is not None)
        if expected.tie is not None:
            assert tie[span].tolist() == expected.tie.tolist()


@pytest.mark.parametrize(
    ("shard", "event", "time"),
    [(2, 0, 1_500), (0, 5, 1_500), (0, 0, 999), (0, 0, 900_000)],
)
def test_what_is_out_of_range_is_refused(shard: int, event: int, time: int) -> None:
    columns = (
        np.array([0, shard], np.uint16),
        np.array([0, 0], np.uint32),
        np.array([0, event], np.uint16),
        np.array([1_000, time], np.int64),
    )
    with pytest.raises(ValueError, match="out of range"):
        order_places(*columns, EDGES, 2, EventOrder.of(NAMES).rank)
    with pytest.raises(ValueError, match="differ in length"):
        order_places(columns[0][:1], *columns[1:], EDGES, 2, EventOrder.of(NAMES).rank)
    with pytest.raises(ValueError, match="no rows"):
        order_places(*(c[:0] for c in columns), EDGES, 2, EventOrder.of(NAMES).rank)


def test_equal_names_are_one_event() -> None:
    events = EventOrder.of(["b", "a", "b"])
    assert events.names == ["a", "b"]
    assert events.rank.tolist() == [1, 0, 1]
