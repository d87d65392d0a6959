"""Event kernels against their twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_events as twins
from tests.differential.lanes_strategy import audiences, edges, lanes
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels import _events
from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.kernels.lane import NO_CODE, NO_GROUP, Lane


@pytest.fixture(autouse=True, params=[1, 0], ids=["wide", "plain"])
def _isa(request):
    """Rows drawn together by AVX-512, where the processor has it, and by plain code."""
    _events.set_isa(request.param)
    yield
    _events.set_isa()


def per_row(data, given_lanes, elements, dtype, *, nullable=True):
    """An array, or sometimes None, per lane."""
    made = []
    for lane in given_lanes:
        if nullable and data.draw(st.booleans()):
            made.append(None)
        else:
            made.append(np.array([data.draw(elements) for _ in range(lane.rows)], dtype))
    return made


@settings(max_examples=300, deadline=None)
@given(data=st.data(), many=lanes(), cut=edges(), allowed=audiences)
def test_event_cells_and_picks_agree_with_the_twin(data, many, cut, allowed):
    n_groups = data.draw(st.integers(1, 3))
    groups = per_row(data, many, st.sampled_from([0, 1, 2, 3, NO_GROUP]), np.uint32)
    values = per_row(data, many, st.sampled_from([0.0, 1.5, -2.25, 1e16, 3.0]), np.float64)
    masks = per_row(data, many, st.integers(0, 1), np.uint8)
    got = _events.event_cells(many, cut, groups, n_groups, values, masks, None, allowed)
    want = twins.event_cells(many, cut, groups, n_groups, values, masks, allowed)
    for (g, b), cell in want.items():
        assert got.rows[g, b] == cell["rows"]
        assert got.users[g, b] == len(cell["users"])
        assert got.new_users[g, b] == len(cell["new"])
        assert got.nvals[g, b] == len(cell["values"])
        assert got.sum[g, b] == pytest.approx(math.fsum(cell["values"]), rel=1e-12, abs=0)
        assert got.vmin[g, b] == min(cell["values"], default=math.inf)
        assert got.vmax[g, b] == max(cell["values"], default=-math.inf)
        picked = _events.pick_users(many, cut, groups, b, g, None, allowed)
        assert picked.tolist() == sorted(cell["users"])
    everybody = _events.pick_users(many, cut, groups, -1, -1, None, allowed).tolist()
    assert everybody == twins.pick_users(many, cut, groups, -1, -1, allowed)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), many=lanes(), cut=edges(), allowed=audiences)
def test_groups_by_way_of_tables_are_the_groups_row_by_row(data, many, cut, allowed):
    """Codes of every width, tables that are too short, absent values, and users of any cell."""
    n_groups = data.draw(st.integers(1, 3))
    given_groups = []
    for lane in many:
        dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
        codes = np.array([data.draw(st.integers(0, 4)) for _ in range(lane.rows)], dtype)
        lut = data.draw(st.none() | st.lists(st.sampled_from([0, 1, 2, NO_GROUP]), max_size=5))
        present = np.array([data.draw(st.integers(0, 1)) for _ in range(lane.rows)], np.uint8)
        given_groups.append(
            RowGroups(
                codes,
                None if lut is None else np.array(lut, np.uint32),
                data.draw(st.sampled_from([None, present])),
                data.draw(st.sampled_from([0, 2, NO_GROUP])),
            )
        )
    flat = [groups.rows() for groups in given_groups]
    for groups, want in zip(given_groups, flat, strict=True):
        assert want.tolist() == [twins.group_of(groups, r) for r in range(len(want))]
    rest = data.draw(st.integers(-1, 2))
    got = _events.event_cells(many, cut, given_groups, n_groups, allowed=allowed, rest=rest)
    want = _events.event_cells(many, cut, flat, n_groups, allowed=allowed)
    if 0 <= rest < n_groups:
        want.users[rest] = want.new_users[rest] = 0
    assert got.rows.tolist() == want.rows.tolist()
    assert got.users.tolist() == want.users.tolist()
    assert got.new_users.tolist() == want.new_users.tolist()
    cells = twins.event_cells(many, cut, flat, n_groups, None, None, allowed)
    assert got.anybody == len(set().union(*(cell["users"] for cell in cells.values())))
    table = np.array(data.draw(st.lists(st.sampled_from([0, 1, NO_GROUP]), max_size=4)), np.uint32)
    for groups, rows in zip(given_groups, flat, strict=True):
        through = [int(table[g]) if g < len(table) else NO_GROUP for g in rows.tolist()]
        assert groups.through(table).rows().tolist() == through
    picked = _events.pick_users(many, cut, given_groups, 0, 0, None, allowed)
    assert picked.tolist() == _events.pick_users(many, cut, flat, 0, 0, None, allowed).tolist()


@settings(max_examples=200, deadline=None)
@given(data=st.data(), many=lanes(max_lanes=1), cut=edges(), allowed=audiences)
def test_rows_of_codes_agree_with_the_twin(data, many, cut, allowed):
    lane, ends = many[0], cut[[0, -1]]
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
    codes = np.array([data.draw(st.integers(0, 4)) for _ in range(lane.rows)], dtype)
    present = np.array([data.draw(st.integers(0, 1)) for _ in range(lane.rows)], np.uint8)
    groups = RowGroups(codes, None, data.draw(st.sampled_from([None, present])))
    size = data.draw(st.integers(0, 5))
    got = _events.code_rows(lane, ends, groups, size, allowed=allowed)
    assert got.tolist() == twins.code_rows(lane, ends, groups, size, allowed)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), n=st.sampled_from([0, 1, 3, 1500]), dims=st.integers(1, 3))
def test_mixed_groups_are_the_combinations_row_by_row(data, n, dims):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    sizes = [data.draw(st.integers(1, 5)) for _ in range(dims)]
    groups = []
    for size in sizes:
        lut = rng.integers(0, size, 4).astype(np.uint32)
        present = rng.integers(0, 2, n).astype(np.uint8)
        groups.append(RowGroups(rng.integers(0, 4, n).astype(np.uint16), lut, present, size - 1))
    numbers, found = _events.mix_groups(groups, sizes)
    want = []
    for r in range(n):
        number = 0
        for one, size in zip(groups, sizes, strict=True):
            number = number * size + twins.group_of(one, r)
        want.append(number)
    assert found.tolist() == sorted(set(want))
    assert found[numbers].tolist() == want


def test_mixed_groups_beyond_their_size_are_refused():
    rows = RowGroups(np.array([0, 1, 2], np.uint8))
    with pytest.raises(ValueError, match="belong together"):
        _events.mix_groups([rows], [2])
    with pytest.raises(ValueError, match="combinations"):
        _events.mix_groups([rows, rows], [3, _events.MAX_MIXED])


@pytest.mark.parametrize("n_groups", [1, 3, 700])
@pytest.mark.parametrize("n_lanes", [1, 2, 5])
@pytest.mark.parametrize("spread", [1, 50])
def test_many_rows_take_the_block_ways_to_the_same_numbers(n_groups, n_lanes, spread):
    """Enough rows for several blocks of rows and of ordinals, against numpy's unique."""
    rng = np.random.default_rng([n_groups, n_lanes, spread])
    cut = np.array([50, 1000, 1001, 3000, 3900], np.int64)
    allowed = (rng.random(60_000) < 0.9).astype(np.uint8)
    many, groups, kept = [], [], []
    for i in range(n_lanes):
        n = int(rng.integers(3000, 9000))
        users = np.sort(rng.integers(0, 1200, n)) * spread
        times = rng.integers(0, 4000, n)
        order = np.lexsort((times, users))
        times = times[order].astype(np.uint32)
        owners, first = np.unique(users, return_index=True)
        mask = (rng.random(n) < 0.8).astype(np.uint8) if i % 2 else None
        group = rng.integers(0, n_groups + 1, n).astype(np.uint32) if n_groups > 1 else None
        many.append(
            Lane(
                owners.astype(np.uint32),
                np.append(first, n).astype(np.uint32),
                times,
                -i,
                0,
                None,
                mask,
            )
        )
        groups.append(group)
        bucket = np.searchsorted(cut, times.astype(np.int64) - i, side="right") - 1
        g = np.zeros(n, np.int64) if group is None else group.astype(np.int64)
        ok = (bucket >= 0) & (bucket < 4) & (g < n_groups) & (allowed[users] == 1)
        ok &= True if mask is None else mask == 1
        kept.append(np.stack([g, bucket, users], axis=1)[ok])
    rows = np.concatenate(kept)
    got = _events.event_cells(many, cut, groups, n_groups, allowed=allowed)
    _one_bucket(many, groups, n_groups, allowed, cut, rows)
    want = np.zeros((3, n_groups, 4), np.int64)
    np.add.at(want[0], (rows[:, 0], rows[:, 1]), 1)
    cells = np.unique(rows, axis=0)
    np.add.at(want[1], (cells[:, 0], cells[:, 1]), 1)
    firsts = cells[np.unique(cells[:, [0, 2]], axis=0, return_index=True)[1]]
    np.add.at(want[2], (firsts[:, 0], firsts[:, 1]), 1)
    assert got.rows.tolist() == want[0].tolist()
    assert got.users.tolist() == want[1].tolist()
    assert got.new_users.tolist() == want[2].tolist()
    assert got.anybody == len(np.unique(rows[:, 2]))


def _one_bucket(many, groups, n_groups, allowed, cut, rows):
    """The same over the whole range, codes by way of a table, one group apart."""
    table = np.random.default_rng(1).permutation(n_groups + 1).astype(np.uint32)
    back = np.argsort(table).astype(np.uint32)
    tabled = [None if g is None else RowGroups(back[g], table) for g in groups]
    got = _events.event_cells(many, cut[[0, -1]], tabled, n_groups, allowed=allowed, rest=1)
    pairs = np.unique(rows[:, [0, 2]], axis=0)
    users = np.bincount(pairs[:, 0], minlength=n_groups)
    if n_groups > 1:
        users[1] = 0
    assert got.rows[:, 0].tolist() == np.bincount(rows[:, 0], minlength=n_groups).tolist()
    assert got.users[:, 0].tolist() == got.new_users[:, 0].tolist() == users.tolist()
    assert got.anybody == len(np.unique(rows[:, 2]))
    if len(many) == 1 and groups[0] is not None:
        ends = cut[[0, -1]]
        codes = RowGroups(groups[0].astype(np.uint16))
        counted = _events.code_rows(many[0], ends, codes, n_groups, allowed=allowed)
        assert counted[:-1].tolist() == np.bincount(rows[:, 0], minlength=n_groups).tolist()


@settings(max_examples=200, deadline=None)
@given(data=st.data(), many=lanes(users=4), allowed=audiences)
def test_count_by_user_agrees_with_the_twin(data, many, allowed):
    start, stop = data.draw(st.integers(-2, 20)), data.draw(st.integers(-2, 20))
    n_ord = data.draw(st.integers(0, 5))
    values = per_row(data, many, st.sampled_from([1.5, -2.0, 4.0]), np.float64)
    counts, sums = _events.count_by_user(many, start, stop, n_ord, values, None, None, allowed)
    plain = _events.count_by_user(many, start, stop, n_ord, allowed=allowed)
    want = twins.count_by_user(many, start, stop, n_ord, values, allowed)
    assert (counts.tolist(), sums.tolist()) == want
    assert plain.tolist() == want[0]


@settings(max_examples=200, deadline=None)
@given(
    times=st.lists(st.integers(0, 2**32 - 2), max_size=20),
    base=st.integers(-(2**40), 2**40),
    data=st.data(),
)
def test_bucketize_agrees_with_the_twin_for_near_and_far_edges(times, base, data):
    near = [base + t + d for t in times for d in (0, 1)]
    pool = st.one_of(st.integers(base - 2**33, base + 2**33), st.sampled_from(near or [base]))
    cut = np.array(sorted(data.draw(st.lists(pool, min_size=2, max_size=9))), np.int64)
    got = _events.bucketize(np.array(times, np.uint32), base, cut)
    assert got.tolist() == [twins.bucket_of(cut, base + t) for t in times]


def test_bucketize_uses_the_table_and_the_search_alike():
    times = np.sort(np.random.default_rng(5).integers(0, 31 * 86_400_000, 5000)).astype(np.uint32)
    days = np.arange(-2, 40, dtype=np.int64) * 86_400_000
    close = np.sort(np.concatenate([days, days + 1]))
    for cut in (days, close, days[3:9], days[:2]):
        want = np.searchsorted(cut, times.astype(np.int64), side="right") - 1
        want[want >= len(cut) - 1] = -1
        assert _events.bucketize(times, 0, cut).tolist() == want.tolist()


@settings(max_examples=100, deadline=None)
@given(data=st.data(), many=lanes(max_lanes=1))
def test_expansion_follows_rows(data, many):
    lane = many[0]
    for dtype in (np.uint8, np.uint16, np.uint32, np.int64, np.float64):
        per_user = np.arange(1, 3, dtype=dtype)
        owners = np.repeat(lane.users, np.diff(lane.offsets))
        want = [per_user[u] if u < 2 else 9 for u in owners]
        assert _events.expand_users(lane.users, lane.offsets, per_user, 9).tolist() == want
    lists = [data.draw(st.lists(st.integers(0, 3), max_size=4)) for _ in range(lane.rows)]
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.uint32)
    codes = np.array([c for items in lists for c in items], np.uint32)
    wide, row, code = _events.expand_lists(lane, offsets, codes)
    want = [(r, c) for r, items in enumerate(lists) for c in (dict.fromkeys(items) or [NO_CODE])]
    assert list(zip(row.tolist(), code.tolist(), strict=True)) == want
    owners = np.repeat(lane.users, np.diff(lane.offsets))
    assert np.repeat(wide.users, np.diff(wide.offsets)).tolist() == owners[row].tolist()
    assert wide.times.tolist() == lane.times[row].tolist()


def test_odd_shapes_are_refused_before_any_row_is_read():
    one = np.ones(1, np.uint32)
    good = Lane(one, np.array([0, 1], np.uint32), one, 0)
    cut = np.array([0, 10], np.int64)
    for bad in (
        Lane(one, np.array([0, 2], np.uint32), one, 0),
        Lane(one, np.array([1, 1], np.uint32), one, 0),
        Lane(one, np.array([0], np.uint32), one, 0),
        Lane(one, np.array([0, 1], np.uint32), one, 0, mask=np.ones(2, np.uint8)),
        Lane(one, np.array([0, 1], np.uint32), one, 0, ties=np.ones(0, np.uint16)),
    ):
        with pytest.raises(ValueError, match=r"items|offsets"):
            _events.event_cells([bad], cut)
    with pytest.raises(TypeError):
        _events.event_cells([Lane(one.astype(np.int64), one, one, 0)], cut)
    with pytest.raises(ValueError, match="groups"):
        _events.event_cells([good], cut, [one, one], 1)
    with pytest.raises(ValueError, match="groups"):
        _events.event_cells([good], cut, [np.ones(3, np.uint32)], 1)
    with pytest.raises(ValueError, match="ascend"):
        _events.event_cells([good], cut[::-1].copy())


def test_a_set_cancel_flag_stops_the_kernel():
    one = np.ones(1, np.uint32)
    lane = Lane(one, np.array([0, 1], np.uint32), one, 0)
    with pytest.raises(QueryCancelled):
        _events.event_cells([lane, lane], np.array([0, 10], np.int64), cancel=np.ones(1, np.uint8))
