"""Exact order statistics: bins against sorting, and both against lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.query.analyses import interval_spread
from zuji.engine.query.analyses.interval_spread import Binned, Sorted, spread
from zuji.engine.query.context import Context
from zuji.engine.query.crew import Crew
from zuji.engine.query.kernels._interval import numbered

VALUES = st.one_of(
    st.sampled_from([0.0, 0.25, 1.0, 1.03, 31.0, 32.0, 1000.0, 86_400_000.0]),
    st.integers(0, 366 * 86_400_000).map(float),
    st.floats(0, 1e13),
)


@pytest.fixture(scope="module")
def context():
    crew = Crew(2, 1 << 30)
    with Context(seconds=600, memory_bytes=1 << 30, crew=crew) as made:
        yield made
    crew.close()


def parts_of(shards):
    return [
        (np.array([c for c, _ in part], np.uint32), np.array([v for _, v in part], np.float64))
        for part in shards
    ]


def binned(context, parts, cells):
    held = [part for part in parts if len(part[1])]
    low = min(float(v.min()) for _, v in held)
    high = max(float(v.max()) for _, v in held)
    first = interval_spread._bin(low)
    return Binned(context, held, cells, first, interval_spread._bin(high) - first + 1)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), width=st.sampled_from([1, 2, 3]))
def test_bins_sorting_and_lists_agree(context, data, width):
    cells = width * data.draw(st.integers(1, 3))
    pairs = st.lists(st.tuples(st.integers(0, cells - 1), VALUES), max_size=25)
    shards = data.draw(st.lists(pairs, min_size=1, max_size=3))
    parts = parts_of(shards)
    lists = [
        sorted(v for part in shards for c, v in part if c // width == g)
        for g in range(cells // width)
    ]
    both = [Sorted(parts, cells).merged(width) if width > 1 else Sorted(parts, cells)]
    if any(shards):
        made = binned(context, parts, cells)
        both.append(made.merged(width) if width > 1 else made)
    ranks = np.array(
        [[data.draw(st.integers(0, max(len(v) - 1, 0))) for _ in range(3)] for v in lists]
    )
    limits = np.array([data.draw(VALUES | st.just(-1.0) | st.just(1e14)) for _ in lists])
    for one in both:
        assert one.counts.tolist() == [len(v) for v in lists]
        assert one.sums.tolist() == pytest.approx([math.fsum(v) for v in lists])
        for mine, asked, got in zip(lists, ranks.tolist(), one.at(ranks).tolist(), strict=True):
            assert mine == [] or got == [mine[r] for r in asked]
        for included in (False, True):
            expected = [
                sum(x < t or (included and x == t) for x in v)
                for v, t in zip(lists, limits.tolist(), strict=True)
            ]
            assert one.below(limits, included=included).tolist() == expected
        count, greatest = one.up_to(limits)
        assert count.tolist() == expected
        for mine, there, got in zip(lists, expected, greatest.tolist(), strict=True):
            assert got == mine[there - 1] if there else math.isnan(got)


def test_many_values_are_binned_and_few_sorted(context):
    value = np.arange(100_000, dtype=np.float64)
    cell = np.zeros(len(value), np.uint32)
    assert isinstance(spread(context, [(cell, value)], 1), Binned)
    assert isinstance(spread(context, [(cell[:9], value[:9])], 1), Sorted)
    assert isinstance(spread(context, [], 4), Sorted)


def test_no_values_have_no_ranks(context):
    nothing = spread(context, [(np.empty(0, np.uint32), np.empty(0))], 2)
    assert nothing.counts.tolist() == [0, 0]
    assert np.isnan(nothing.at(np.zeros((2, 1), np.int64))).all()


@settings(max_examples=300, deadline=None)
@given(
    stretches=st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 4), max_size=6)), max_size=6
    )
)
def test_owners_are_numbered_in_the_order_met(stretches):
    owners = {}
    rows = [
        (o, label)
        for o, labels in stretches
        if owners.setdefault(o, labels) is labels
        for label in labels
    ]
    owner = np.array([o for o, _ in rows], np.uint32)
    label = np.array([x for _, x in rows], np.uint32)
    number, first = numbered(owner, label, 5)
    met = list(dict.fromkeys(rows))
    assert number.tolist() == [met.index(row) for row in rows]
    assert first.tolist() == [rows.index(pair) for pair in met]


def test_a_label_beyond_the_size_is_refused():
    with pytest.raises(ValueError, match="below 2"):
        numbered(np.zeros(1, np.uint32), np.full(1, 2, np.uint32), 2)
