"""Slices of numbers: the C beside its twins, and filters with slices beside those without."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_slices as twins
from zuji.engine.query import _slices
from zuji.engine.query.filter_ast import Leaf
from zuji.engine.query.filters import evaluate
from zuji.engine.query.slices import MOST, between, sliced
from zuji.engine.types import Column, Kind

INTS = st.one_of(st.integers(-5, 5), st.sampled_from([-(2**63), 2**63 - 1, 2**53, 2**53 + 1]))
FLOATS = st.one_of(
    st.integers(-5, 5).map(float),
    st.floats(allow_nan=True),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, 5e-324]),
)
NUMBERS = {Kind.INT: INTS, Kind.FLOAT: FLOATS, Kind.DATETIME: INTS}
CODES = st.sampled_from([np.uint8, np.uint16])
DTYPES = {Kind.INT: np.int64, Kind.FLOAT: np.float64, Kind.DATETIME: np.int64}


def drawn(data, kind, rows):
    """A column; absent rows hold 0."""
    values = np.array(
        data.draw(st.lists(NUMBERS[kind], min_size=rows, max_size=rows)), DTYPES[kind]
    )
    has = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.uint8)
    if has.all():
        return Column(kind, values)
    values[has == 0] = 0
    return Column(kind, values, has)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from([Kind.INT, Kind.FLOAT]), code=CODES)
def test_cutting_is_that_of_the_twin(data, kind, code):
    column = drawn(data, kind, data.draw(st.integers(0, 40)))
    whole = st.integers(-6, 6) if kind == Kind.INT else st.floats(-6, 6)
    starts = np.unique(np.array(data.draw(st.lists(whole, min_size=1, max_size=9)), DTYPES[kind]))
    ends = [np.zeros(len(starts), DTYPES[kind]) for _ in range(4)]
    args = column.values, column.present, starts
    found, expected = (np.ones(column.rows, code) for _ in range(2))
    _slices.cut(*args, *ends[:2], found)
    twins.cut(*args, *ends[2:], expected)
    assert found.tolist() == expected.tolist()
    assert [one.tolist() for one in ends[:2]] == [one.tolist() for one in ends[2:]]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from([Kind.INT, Kind.FLOAT]), code=CODES)
def test_filtering_is_that_of_the_twin(data, kind, code):
    rows = data.draw(st.sampled_from([0, 1, 7, 8, 9, 40, 4095, 4096, 4100, 12_289]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    codes = rng.choice(np.array([0, 1, 2, 3, 4, np.iinfo(code).max], code), rows)
    values = rng.integers(-3, 4, rows).astype(DTYPES[kind])
    first, last, one, two = (data.draw(st.integers(0, 5)) for _ in range(4))
    low, high = data.draw(st.integers(-4, 4)), data.draw(st.integers(-4, 4))
    args = codes, values, first, last, one, two if one else 0, low, high
    assert _slices.within(*args).tolist() == twins.within(*args).tolist()


@settings(max_examples=500, deadline=None)
@given(data=st.data(), kind=st.sampled_from(list(NUMBERS)))
def test_filters_answer_the_same_with_slices(data, kind):
    columns = [drawn(data, kind, data.draw(st.integers(0, 20))) for _ in range(2)]
    number = NUMBERS[kind].filter(lambda v: not math.isnan(v))
    op = data.draw(
        st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "not_in"])
    )
    several = {"between": (2, 2), "in": (0, 5), "not_in": (0, 5)}.get(op)
    if several is None:
        v = data.draw(number)
    else:
        v = tuple(data.draw(st.lists(number, min_size=several[0], max_size=several[1])))
    leaf = Leaf("user.x", op, v)
    for column, slices in zip(columns, sliced(columns), strict=True):
        plain = evaluate(leaf, column.rows, lambda _, c=column: c)
        quick = evaluate(leaf, column.rows, lambda _, c=replace(column, slices=slices): c)
        everywhere = [np.full(column.rows, mask, np.uint8).tolist() for mask in (plain, quick)]
        assert everywhere[0] == everywhere[1]


@pytest.mark.parametrize("kind", [Kind.INT, Kind.FLOAT])
def test_slices_hold_about_as_many_rows_each_and_frequent_values_alone(kind):
    rng = np.random.default_rng(5)
    values = np.floor(rng.lognormal(9, 2, 300_000)).astype(DTYPES[kind])
    values[rng.random(len(values)) < 0.3] = 77
    [slices, none] = sliced([Column(kind, values), None])
    assert none is None
    assert 1_000 < len(slices.least) <= MOST
    assert slices.codes.dtype == np.uint16
    assert (slices.least <= slices.greatest).all()
    assert (slices.greatest[:-1] < slices.least[1:]).all()
    held = np.bincount(slices.codes)
    alone = int(np.flatnonzero(slices.least == 77)[0])
    assert slices.greatest[alone] == 77
    assert held[1 + alone] > 0.29 * len(values)
    mixed = np.flatnonzero(slices.least < slices.greatest) + 1
    assert held[mixed].max() < 5 * len(values) / MOST
    for low, high in [(77, 77), (0, 10**9), (500, 2_000), (501, 502)]:
        expected = ((values >= low) & (values <= high)).astype(np.uint8)
        assert (between(slices, values, low, high) == expected).all()


def test_no_value_at_all_and_nothing_but_nan():
    empty = Column(Kind.FLOAT, np.zeros(3), np.zeros(3, np.uint8))
    nan = Column(Kind.FLOAT, np.full(2, np.nan))
    for column, codes in [(empty, [0, 0, 0]), (nan, [255, 255])]:
        [slices] = sliced([column])
        assert slices.codes.tolist() == codes
        assert not between(slices, column.values, -np.inf, np.inf).any()
    assert sliced([None]) == [None]


def test_arrays_that_do_not_fit_are_refused():
    codes, values = np.zeros(3, np.uint8), np.zeros(3)
    with pytest.raises(ValueError, match="3 codes for 2 values"):
        _slices.within(codes, values[:2], 1, 0, 0, 0, 0.0, 1.0)
    with pytest.raises(ValueError, match="1 to 254 slices"):
        _slices.cut(values, None, np.zeros(255), np.zeros(255), np.zeros(255), codes)
    with pytest.raises(ValueError, match="present has 2 rows"):
        _slices.cut(values, codes[:2], np.zeros(1), np.zeros(1), np.zeros(1), codes)
    with pytest.raises(ValueError, match="2 codes for 3 values"):
        _slices.cut(values, None, np.zeros(1), np.zeros(1), np.zeros(1), codes[:2])


def test_few_different_values_take_one_byte():
    many = np.arange(250, dtype=np.int64)
    assert sliced([Column(Kind.INT, many)])[0].codes.dtype == np.uint8
    more = np.arange(1_000, dtype=np.int64)
    [slices] = sliced([Column(Kind.INT, more)])
    assert (slices.codes.dtype, len(slices.least)) == (np.uint16, 1_000)
    assert between(slices, more, 300, 700).sum() == 401
