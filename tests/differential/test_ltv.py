"""The lifetime value kernel against its twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_ltv as twins
from tests.differential.lanes_strategy import audiences, lanes
from tests.differential.test_events import per_row
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._ltv import cohorts_of, ltv_cells
from zuji.engine.query.kernels.lane import NO_GROUP, Lane


@settings(max_examples=600, deadline=None)
@given(data=st.data(), rows=lanes(max_lanes=3, max_rows=16, span=24), allowed=audiences)
def test_values_of_cohorts_agree_with_the_twin(data, rows, allowed):
    users = data.draw(st.integers(2, 4))
    cohorts, periods = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    cohort = np.array([data.draw(st.integers(-1, cohorts - 1)) for _ in range(users)], np.int32)
    width, low = data.draw(st.integers(1, 6)), data.draw(st.integers(-3, 6))
    edges = low + width * np.arange(
        cohorts + periods + data.draw(st.integers(0, 2)), dtype=np.int64
    )
    edges = edges if len(edges) > 1 else np.append(edges, edges[-1] + width)
    entry = None
    if data.draw(st.booleans()):
        entry = np.array([data.draw(st.integers(-2, 20)) for _ in range(users)], np.int64)
    form = data.draw(st.sampled_from(["one", "each", "lists"]))
    lines = None
    if form == "each":
        draw = st.sampled_from([0, 1, NO_GROUP])
        lines = np.array([data.draw(draw) for _ in range(users)], np.uint32)
    elif form == "lists":
        own = [data.draw(st.sampled_from([[], [0], [1], [1, 0]])) for _ in range(users)]
        offsets = np.cumsum([0, *map(len, own)]).astype(np.uint32)
        lines = (offsets, np.array([x for one in own for x in one], np.uint32))
    drawn = per_row(data, rows, st.sampled_from([1.5, -2.0, 0.0, 1e15, math.nan]), np.float64)
    values = [np.ones(lane.rows) if v is None else v for lane, v in zip(rows, drawn, strict=True)]
    pick = (
        data.draw(st.integers(-1, 1)),
        data.draw(st.integers(-1, cohorts - 1)),
        data.draw(st.integers(0, periods - 1)),
        data.draw(st.booleans()),
    )
    got = ltv_cells(
        rows,
        values,
        cohort=cohort,
        entry=entry,
        lines=lines,
        n_lines=2,
        cohorts=cohorts,
        periods=periods,
        edges=edges,
        period_ms=width,
        pick=pick,
        allowed=allowed,
    )
    made = twins.ltv_cells(rows, values, cohort, entry, lines, 2, periods, edges, width, allowed)
    for line in range(2):
        for c in range(cohorts):
            for k in range(periods):
                cell = made.get((line, c, k), {"values": [], "payers": set()})
                room = 1e-28 * math.fsum(map(abs, cell["values"]))
                value = got.value[line, c, k] + got.lost[line, c, k]
                assert value == pytest.approx(math.fsum(cell["values"]), rel=1e-15, abs=room)
                assert got.payers[line, c, k] == len(cell["payers"])
                so_far = twins.payers(made, line, c, k, True)
                assert got.first[line, c, : k + 1].sum() == len(so_far)
    assert got.picked.tolist() == sorted(twins.payers(made, *pick))


@given(
    st.lists(st.integers(-5, 15), min_size=2, max_size=9).map(sorted),
    st.lists(st.tuples(st.integers(-9, 19), st.booleans())),
)
def test_cohorts_are_the_buckets_of_entries(edges, entries):
    found = cohorts_of(
        np.array([at for at, _ in entries], np.int64),
        np.array([known for _, known in entries], np.uint8),
        np.array(edges, np.int64),
    )
    wanted = []
    for at, known in entries:
        after = sum(edge <= at for edge in edges) - 1
        wanted.append(after if known and 0 <= after < len(edges) - 1 else -1)
    assert found.tolist() == wanted


def _one(**change):
    lane = Lane(np.array([0], np.uint32), np.array([0, 1], np.uint32), np.array([4], np.uint32), 0)
    asked = {
        "lanes": [lane],
        "values": [np.ones(1)],
        "cohort": np.zeros(1, np.int32),
        "entry": None,
        "lines": None,
        "n_lines": 1,
        "cohorts": 1,
        "periods": 2,
        "edges": np.array([0, 5, 10], np.int64),
        **change,
    }
    return ltv_cells(asked.pop("lanes"), asked.pop("values"), **asked)


def test_a_raised_flag_ends_the_kernel():
    assert _one().value.tolist() == [[[1.0, 0.0]]]
    with pytest.raises(QueryCancelled):
        _one(cancel=np.ones(1, np.uint8))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": [None]}, "an array for each lane"),
        ({"values": [np.ones(2)]}, "expected 1 items"),
        ({"edges": np.array([0, 5], np.int64)}, "at least 3"),
        ({"edges": np.array([5, 0, 9], np.int64)}, "ascending"),
        ({"entry": np.zeros(1, np.int64)}, "period_ms"),
        ({"lines": (np.array([0, 2], np.uint32), np.zeros(1, np.uint32))}, "offsets"),
        ({"lines": np.zeros(3, np.uint32)}, "expected 1 items"),
        ({"pick": (-1, -1, 2, False)}, "0 to 1"),
        ({"n_lines": 1 << 27}, "cells"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        _one(**change)
