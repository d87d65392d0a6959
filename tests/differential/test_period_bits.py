"""Lifecycle and stickiness from rows of bits against Python sets, on every path of this CPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential import twins_periods as twins
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._bits import set_bits
from zuji.engine.query.kernels._period_bits import STATES, lifecycle_bits, stickiness_bits

LEVELS = (0, 1, 2, -1)
USERS = 200
FAR = 64 * 64 + 7
"""A user of the second block."""


def packed(users, words):
    row = np.zeros(words, np.uint64)
    set_bits(np.array(sorted(users), np.uint32), row)
    return row


def day_bits(runs, words):
    return [np.stack([packed(day, words) for day in run]) for run in runs]


def bit_rows(rows):
    flat = [place for row in rows for place in row]
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int32)
    run, day = (np.array([place[i] for place in flat], np.int32) for i in (0, 1))
    return offsets, run, day


def line_lists(lines, users, n_lines):
    if lines is None:
        return None
    held = [lines.get(user, []) for user in range(users)]
    offsets = np.cumsum([0, *map(len, held)]).astype(np.uint32)
    return offsets, np.array([line for one in held for line in one], np.uint32), n_lines


@st.composite
def cases(draw):
    users = st.sets(st.integers(0, USERS - 1) | st.just(FAR), max_size=40)
    runs = [draw(st.lists(users, min_size=1, max_size=4)) for _ in range(draw(st.integers(1, 3)))]
    one = st.sampled_from([(r, d) for r, run in enumerate(runs) for d in range(len(run))])
    row = st.lists(one, max_size=4, unique=True)
    rows = draw(st.lists(row, min_size=2, max_size=9))
    n_lines = draw(st.integers(1, 3))
    known = [*range(0, USERS, 3), FAR]
    mine = st.lists(st.integers(0, 3), max_size=3, unique=True)
    lines = draw(st.none() | st.fixed_dictionaries(dict.fromkeys(known[:30], mine)))
    if lines is None:
        n_lines = 1
    return {
        "runs": runs,
        "rows": rows,
        "before": draw(row),
        "allowed": draw(st.none() | users),
        "lines": lines,
        "n_lines": n_lines,
        "buckets": sorted(
            draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
        ),
    }


def arguments(case, words):
    allowed = case["allowed"]
    return {
        "words": words,
        "lines": line_lists(case["lines"], words * 64, case["n_lines"]),
    }, None if allowed is None else packed(allowed, words)


@given(cases())
def test_lifecycle_as_by_sets(case):
    words = FAR // 64 + 1
    more, allowed = arguments(case, words)
    expected, anybody = twins.lifecycle(
        case["runs"], case["rows"], case["before"], case["allowed"], case["lines"], case["n_lines"]
    )
    periods = len(case["rows"]) - 1
    for level in LEVELS:
        cells, some = lifecycle_bits(
            day_bits(case["runs"], words),
            bit_rows(case["rows"]),
            bit_rows([case["before"]]),
            allowed,
            periods=periods,
            level=level,
            **more,
        )
        found = {
            (line, p, STATES[s]): int(cells[line, p, s])
            for line, p, s in zip(*np.nonzero(cells), strict=True)
        }
        assert found == expected
        assert dict(enumerate(some.tolist())) == anybody
        balance = dict(zip(STATES, cells.transpose(2, 0, 1), strict=True))
        assert (
            balance["active"] == balance["new"] + balance["returning"] + balance["resurrected"]
        ).all()
        assert (
            balance["active"][:, :-1] == (balance["returning"] + balance["dormant"])[:, 1:]
        ).all()


@given(cases())
def test_stickiness_as_by_sets(case):
    words = FAR // 64 + 1
    more, allowed = arguments(case, words)
    buckets = case["buckets"]
    expected, anybody = twins.stickiness(
        case["runs"], case["rows"], buckets, case["allowed"], case["lines"], case["n_lines"]
    )
    for level in LEVELS:
        counts, some = stickiness_bits(
            day_bits(case["runs"], words),
            bit_rows(case["rows"]),
            np.array(buckets, np.int32),
            allowed,
            most=len(buckets),
            level=level,
            **more,
        )
        found = {
            (line, b, n): int(counts[line, b, n])
            for line, b, n in zip(*np.nonzero(counts), strict=True)
        }
        assert found == expected
        assert dict(enumerate(some.tolist())) == anybody


def test_a_user_of_many_periods():
    """Sixteen planes hold the number of every period that a query can have."""
    many = 10_000
    bits = np.ones((many, 1), np.uint64)
    bits[::3] |= np.uint64(2)
    rows = (
        np.arange(many + 1, dtype=np.int32),
        np.zeros(many, np.int32),
        np.arange(many, dtype=np.int32),
    )
    counts, _ = stickiness_bits([bits], rows, np.zeros(many, np.int32), None, words=1, most=many)
    assert np.flatnonzero(counts[0, 0]).tolist() == [len(range(0, many, 3)), many]


def test_ends_when_cancelled():
    flag = np.ones(1, np.uint8)
    bits, row = np.ones((1, 1), np.uint64), bit_rows([[(0, 0)], [(0, 0)]])
    with pytest.raises(QueryCancelled):
        lifecycle_bits([bits], row, bit_rows([[]]), None, words=1, periods=1, cancel=flag)
    with pytest.raises(QueryCancelled):
        stickiness_bits([bits], row, np.zeros(2, np.int32), None, words=1, most=2, cancel=flag)


def test_refuses_what_does_not_belong_together():
    bits, row = np.ones((1, 1), np.uint64), bit_rows([[(0, 0)], [(0, 1)]])
    with pytest.raises(ValueError, match="a day that is not there"):
        lifecycle_bits([bits], row, bit_rows([[]]), None, words=1, periods=1)
    fine = bit_rows([[(0, 0)], [(0, 0)]])
    with pytest.raises(ValueError, match="most"):
        stickiness_bits([bits], fine, np.zeros(2, np.int32), None, words=1, most=1)
    lines = np.array([0, 2], np.uint32), np.zeros(1, np.uint32), 1
    with pytest.raises(ValueError, match="offsets"):
        lifecycle_bits([bits], fine, bit_rows([[]]), None, words=1, periods=1, lines=lines)
    with pytest.raises(ValueError, match="words"):
        lifecycle_bits([np.ones((1, 2), np.uint64)], fine, bit_rows([[]]), None, words=1, periods=1)
