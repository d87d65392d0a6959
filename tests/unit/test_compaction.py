"""Which segments are merged, how large results get, and how often a row is rewritten."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from zuji.engine.storage.cache import machine_bytes
from zuji.engine.storage.compaction import (
    FULL_ROWS,
    MAX_SOURCES,
    MERGING_ROWS,
    ROW_BYTES,
    TIER_ROWS,
    merging_rows,
    pick,
)
from zuji.engine.writer.loader import CROWD_FAN_IN, CROWDED, MANY, crowd
from zuji.engine.writer.merger import Merger


def segment(rank, rows, shard=0, partition=0):
    meta = SimpleNamespace(rank=rank, rows=rows, shard=shard, partition=partition)
    return SimpleNamespace(meta=meta, shard=shard, partition=partition)


def merged(segments, group):
    """The segments after ``group`` was merged."""
    rest = [s for s in segments if s not in group]
    first = group[0].meta
    rows = sum(s.meta.rows for s in group)
    return [*rest, segment(first.rank, rows, first.shard, first.partition)]


def grow(count, rows, every=1):
    """One place that gets ``count`` segments and merges after each ``every``; rows rewritten."""
    segments, rewritten = [], 0
    for rank in range(count):
        segments.append(segment(rank, rows))
        while rank % every == every - 1 and (groups := pick(segments)):
            for group in groups:
                rewritten += sum(s.meta.rows for s in group)
                segments = merged(segments, group)
    return segments, rewritten


def test_rows_are_rewritten_a_few_times_only():
    rows, count = 250_000, 1000
    segments, rewritten = grow(count, rows)
    assert rewritten <= 4 * rows * count
    assert max(s.meta.rows for s in segments) <= TIER_ROWS
    assert len(segments) <= rows * count / TIER_ROWS * 2 + 8


def test_a_crowd_is_merged_at_once():
    rows, count = 250_000, 960
    segments, rewritten = grow(count, rows, every=32)
    assert rewritten <= rows * count
    for group in pick(segments, full=True):
        rewritten += sum(s.meta.rows for s in group)
        segments = merged(segments, group)
    assert rewritten <= 2 * rows * count
    assert max(s.meta.rows for s in segments) <= FULL_ROWS
    assert len(segments) == 1
    assert not pick(segments, full=True)


def test_only_neighbours_of_one_place_are_merged():
    segments = [segment(rank, 10 + rank, shard=rank % 2, partition=rank % 3) for rank in range(60)]
    groups = pick(segments, full=True)
    assert len(groups) == 6
    for group in groups:
        assert len({(s.meta.shard, s.meta.partition) for s in group}) == 1
        ranks = [s.meta.rank for s in group]
        assert ranks == sorted(ranks)
    assert sum(map(len, groups)) == 60


def test_a_group_has_a_bounded_number_of_sources():
    groups = pick([segment(rank, 1) for rank in range(3 * MAX_SOURCES)], full=True)
    assert [len(group) for group in groups] == [MAX_SOURCES] * 3


def test_merges_beside_each_other_fit_a_quarter_of_memory():
    for gib in (1, 2, 8, 16):
        rows = merging_rows(gib << 30)
        assert gib << 27 < rows * ROW_BYTES <= gib << 28
    assert merging_rows(1 << 40) == 1 << 30
    assert machine_bytes() // 4 >= MERGING_ROWS * ROW_BYTES


def test_a_bulk_load_wakes_merging_when_there_is_a_crowd():
    one_place = [segment(rank, 1) for rank in range(CROWDED + 1)]
    assert crowd(one_place[:-1], 4) == 0
    assert crowd(one_place, 4) == CROWD_FAN_IN
    spread = [segment(rank, 1, partition=rank % 60) for rank in range(MANY + 1)]
    assert crowd(spread[:-1], 4) == 0
    assert crowd(spread, 4) == 4
    groups = pick(one_place, fan_in=CROWD_FAN_IN)
    assert sum(map(len, groups)) > CROWDED - CROWD_FAN_IN


def test_of_several_wishes_the_smallest_fan_in_counts():
    state = SimpleNamespace(config=SimpleNamespace(threads=1, compact_after=4))
    merger = Merger(state, flush=lambda: None)
    done = []
    merger.merge_some = lambda *, fan_in: done.append(fan_in)
    for wishes in ([32], [32, 0], [0, 32], []):
        for fan_in in wishes:
            merger.want(fan_in)
        merger.merge_wanted()
    assert done == [32, 4, 4, 0]
    merger.close()


@pytest.mark.parametrize("full", [True, False])
def test_a_group_has_all_segments_of_a_rank_or_none_but_those(full):
    """Segments of one rank have no order: what is merged with one of them must be with all."""
    rng = random.Random(5)
    for _ in range(2_000):
        segments = []
        for rank in range(rng.randint(1, 8)):
            many = rng.choice([1, 1, 2, 5])
            segments += [segment(rank, rng.choice([1, 2, 30])) for _ in range(many)]
        for group in pick(segments, full=full, fan_in=2, max_rows=rng.choice([5, 40, 1000])):
            ranks = {s.meta.rank for s in group}
            whole = [s for s in segments if s.meta.rank in ranks]
            assert len(ranks) == 1 or group == whole
