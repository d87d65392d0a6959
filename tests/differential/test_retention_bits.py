"""Retention from rows of bits against Python sets, on every code path of this CPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential.lanes_strategy import lanes, rows_of
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._bits import set_bits
from zuji.engine.query.kernels._retention_bits import retention_bits, rows_bits
from zuji.engine.query.kernels.lane import Lane

LEVELS = (0, 1, 2, -1)
USERS = 200  # more than one word, less than a block; a test below has several blocks


@st.composite
def cases(draw):
    """Runs of days, each a set of users and a part of it with two rows or more; rows of days."""
    users = st.sets(st.integers(0, USERS - 1), max_size=40)
    runs = []
    for _ in range(draw(st.integers(1, 3))):
        days = draw(st.lists(users, min_size=1, max_size=4))
        runs.append([(day, {u for u in day if draw(st.booleans())}) for day in days])
    one = st.sampled_from([(r, d) for r, run in enumerate(runs) for d in range(len(run))])
    row = st.lists(one, max_size=4, unique=True)
    periods, n = draw(st.integers(1, 4)), draw(st.integers(0, 5))
    bracket = st.tuples(st.integers(0, n), st.integers(0, n)).map(lambda b: (min(b), max(b)))
    return {
        "runs": runs,
        "starts": draw(st.lists(row, min_size=periods, max_size=periods)),
        "backs": draw(st.lists(row, min_size=periods + n, max_size=periods + n)),
        "zeros": draw(st.none() | st.lists(row, min_size=periods, max_size=periods)),
        "before": draw(row),
        "allowed": draw(st.none() | users),
        "n": n,
        "cohort": draw(st.integers(0, 2)),
        "criterion": draw(st.integers(0, 4)),
        "brackets": draw(st.lists(bracket, min_size=1, max_size=3)),
    }


def expected(case):
    """Sizes and returns by sets."""
    runs, n = case["runs"], case["n"]

    def users(row):
        return {u for run, day in row for u in runs[run][day][0]}

    def again(row):
        twice = {u for run, day in row for u in runs[run][day][1]}
        seen: set[int] = set()
        for run, day in row:
            twice |= seen & runs[run][day][0]
            seen |= runs[run][day][0]
        return twice

    seen = users(case["before"]) if case["cohort"] == 1 else set()
    sizes, returned = [], []
    for p, row in enumerate(case["starts"]):
        members = users(row)
        if case["allowed"] is not None:
            members &= case["allowed"]
        if case["cohort"] != 2:
            members, seen = members - seen, seen | members
        there = [users(row) for row in case["backs"][p : p + n + 1]]
        if case["zeros"] is not None:
            there[0] = again(case["zeros"][p])
        sizes.append(len(members))
        cells = []
        for k in range(n + 1):
            match case["criterion"]:
                case 0:
                    found = there[k]
                case 1:
                    found = set().union(*there[k:])
                case 2:
                    found = there[0] if k == 0 else set().union(*there[1 : k + 1])
                case _:
                    found = there[0] if k == 0 else set.intersection(*there[1 : k + 1])
            cells.append(len(members & found))
        if case["criterion"] == 4:
            unions = [set().union(*there[a : b + 1]) for a, b in case["brackets"]]
            cells = [len(members & found) for found in unions]
        returned.append(cells)
    return sizes, returned


def bits(sets, users=USERS):
    """Sets as uint64[sets, words]; words just enough for the largest member."""
    top = max((max(s) for s in sets if s), default=-1)
    rows = np.zeros((len(sets), top // 64 + 1), np.uint64)
    for row, members in zip(rows, sets, strict=True):
        set_bits(np.array(sorted(members), np.uint32), row)
    return rows


def widened(rows, words):
    out = np.zeros((len(rows), words), np.uint64)
    out[:, : rows.shape[1]] = rows
    return out


def as_rows(rows):
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    flat = [pair for row in rows for pair in row]
    run, day = (np.array([pair[i] for pair in flat], np.int32) for i in (0, 1))
    return offsets, run, day


def counted(case, level=-1, cancel=None):
    days = []
    for run in case["runs"]:
        users = bits([day for day, _ in run])
        days.append((users, widened(bits([more for _, more in run]), users.shape[1])))
    allowed = case["allowed"]
    words = (USERS + 63) // 64
    return retention_bits(
        days,
        as_rows(case["starts"]),
        as_rows(case["backs"]),
        None if case["zeros"] is None else as_rows(case["zeros"]),
        as_rows([case["before"]]),
        None if allowed is None else widened(bits([allowed]), words)[0],
        words=words,
        periods=len(case["starts"]),
        n=case["n"],
        cohort=case["cohort"],
        criterion=case["criterion"],
        brackets=case["brackets"],
        cancel=cancel,
        level=level,
    )


@given(cases(), st.sampled_from(LEVELS))
def test_cells_are_sizes_of_intersections(case, level):
    sizes, returned = counted(case, level)
    assert (sizes.tolist(), returned.tolist()) == expected(case)


@pytest.mark.parametrize("level", LEVELS)
def test_many_blocks(level):
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 1 << 63, (9, 331), dtype=np.uint64)
    starts = as_rows([[(0, 0)], [(0, 1)], [(0, 2)]])
    backs = as_rows([[(0, day)] for day in range(3, 8)])
    sizes, returned = retention_bits(
        [(rows, None)],
        starts,
        backs,
        None,
        as_rows([[]]),
        rows[8],
        words=331,
        periods=3,
        n=2,
        cohort=2,
        criterion=0,
        level=level,
    )
    for p in range(3):
        members = rows[p] & rows[8]
        assert sizes[p] == np.bitwise_count(members).sum()
        for k in range(3):
            assert returned[p, k] == np.bitwise_count(members & rows[3 + p + k]).sum()


def simple():
    return {
        "runs": [[({1}, set())]],
        "starts": [[(0, 0)]],
        "backs": [[(0, 0)]],
        "zeros": None,
        "before": [],
        "allowed": None,
        "n": 0,
        "cohort": 2,
        "criterion": 0,
        "brackets": [(0, 0)],
    }


def test_a_raised_flag_ends_it():
    with pytest.raises(QueryCancelled):
        counted(simple(), cancel=np.ones(1, np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": [[(0, 1)]]}, "not there"),
        ({"starts": [[(1, 0)]]}, "not there"),
        ({"backs": [[(-1, 0)]]}, "not there"),
        ({"backs": []}, "expected 1 items|expected 2 items"),
        ({"criterion": 5}, "unknown"),
        ({"criterion": 4, "brackets": [(0, 1)]}, "brackets"),
        ({"n": 400}, "366"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        counted({**simple(), **change})


@given(
    many=lanes(max_rows=20),
    cuts=st.lists(st.integers(-5, 40), min_size=2, max_size=6),
    multi=st.booleans(),
)
def test_bits_of_rows_are_users_of_periods(many, cuts, multi):
    edges = np.array(sorted(cuts), np.int64)
    users, again = rows_bits(many, edges, 3, multi=multi)
    rows: dict[tuple[int, int], int] = {}
    for user, own in rows_of(many).items():
        for row in own:
            lane = many[row.lane]
            if lane.mask is None or lane.mask[row.row]:
                period = int(np.searchsorted(edges, row.time, side="right"))
                rows[period, user] = rows.get((period, user), 0) + 1
    for period in range(len(edges) + 1):
        expected = bits([{u for p, u in rows if p == period}])
        assert users[period].tolist() == widened(expected, 3)[0].tolist()
        twice = bits([{u for (p, u), n in rows.items() if p == period and n > 1}])
        assert again is None or again[period].tolist() == widened(twice, 3)[0].tolist()
    assert (again is not None) == multi


def test_rows_beyond_the_words_or_without_order_are_refused():
    lane = Lane(np.array([64], np.uint32), np.array([0, 1], np.uint32), np.zeros(1, np.uint32), 0)
    edges = np.array([0, 5], np.int64)
    assert rows_bits([lane], edges, 2)[0][1].tolist() == [0, 1]
    with pytest.raises(ValueError, match="belong together"):
        rows_bits([lane], edges, 1)
    with pytest.raises(ValueError, match="edges"):
        rows_bits([lane], edges[::-1].copy(), 2)
    with pytest.raises(QueryCancelled):
        rows_bits([lane], edges, 2, cancel=np.ones(1, np.uint8))
