"""Sources without some users' rows against plain rows: over segments, over memory, merged."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.segment_rows import Row, check, many_rows, rows
from tests.property.test_segments import FILES, TZ, viewed, written
from zuji.engine.query.daybits import DayBitsKept
from zuji.engine.storage import compaction
from zuji.engine.storage._without import drop_ranges
from zuji.engine.storage.cache import ColumnCache
from zuji.engine.storage.fewer import Fewer
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.sought import Sought
from zuji.engine.storage.without import Without

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.engine.types import U32, U64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("without")


@given(
    values=st.lists(st.integers(0, 200), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=12),
    dtype=st.sampled_from(["u1", "u2", "u4", "i8", "f8"]),
)
def test_ranges_are_dropped(values: list[int], cuts: list[int], dtype: str) -> None:
    ends = sorted(min(cut, len(values)) for cut in cuts[: len(cuts) // 2 * 2])
    starts, stops = np.array(ends[::2], np.int64), np.array(ends[1::2], np.int64)
    given_values = np.array(values, dtype)
    gone = {i for a, b in zip(starts, stops, strict=True) for i in range(a, b)}
    left = drop_ranges(given_values, starts, stops)
    assert left.dtype == given_values.dtype
    assert left.tolist() == [v for i, v in enumerate(values) if i not in gone]


def test_ranges_that_overlap_or_leave_the_values_are_refused() -> None:
    values = np.arange(5)
    for starts, ends in ([1, 0], [2, 3]), ([0], [6]), ([3], [2]), ([0, 1], [2, 3]), ([1], [1, 2]):
        with pytest.raises(ValueError, match="ranges"):
            drop_ranges(values, np.array(starts, np.int64), np.array(ends, np.int64))


def _split(held: list[Row], some: set[int]) -> tuple[list[Row], U32]:
    gone = np.array(sorted(some), np.uint32)
    return [row for row in held if row.ordinal not in some], gone


@given(held=rows(), data=st.data(), cached=st.booleans())
@settings(max_examples=150, deadline=None)
def test_without_users(held: list[Row], data: st.DataObject, cached: bool, folder: Path) -> None:
    users = sorted({row.ordinal for row in held} | {7})
    left, gone = _split(held, data.draw(st.sets(st.sampled_from(users), max_size=4)))
    (segment,) = written(held, folder)
    if cached:
        segment.keep_in(ColumnCache(1 << 20))
    for base in (segment, viewed(held)):
        if left:
            check(Without(base, gone), left, exact=False)
        else:
            assert (Without(base, gone).rows, dict(Without(base, gone).runs)) == (0, {})


@pytest.mark.parametrize("seed", [1, 2])
def test_many_rows_without_users(seed: int, folder: Path) -> None:
    held = many_rows(seed, 20_000)
    left, gone = _split(held, {1, 3, 17, 400, 499, 1_000})
    (segment,) = written(held, folder)
    check(Without(segment, gone), left, exact=False)


def test_columns_are_kept_when_the_cache_comes_after_the_source(folder: Path) -> None:
    held = many_rows(3, 2_000)
    (segment,) = written(held, folder)
    source = Without(Without(segment, _split(held, {1})[1]), _split(held, {3})[1])
    source.keep_in(ColumnCache(1 << 24))
    for event, run in source.runs.items():
        assert run.users() is run.users(), event
        assert run.times() is run.times()
        assert run.column("count") is run.column("count") is not None
    assert segment.cache is source.cache


@given(parts=st.lists(rows(max_size=12), min_size=1, max_size=4), data=st.data())
@settings(max_examples=60, deadline=None)
def test_sources_with_fewer_rows_merge(
    parts: list[list[Row]], data: st.DataObject, folder: Path
) -> None:
    sources, left = [], []
    for rank, part in enumerate(parts):
        users = sorted({row.ordinal for row in part})
        kept, gone = _split(part, data.draw(st.sets(st.sampled_from(users), max_size=3)))
        (segment,) = written(part, folder)
        segment.rank = rank
        if kept:
            sources.append(Fewer(segment, gone))
            left += kept
    if not left:
        return
    number = 1_000_000 + len(list(folder.iterdir()))
    path = folder / f"{number:08d}.zseg"
    meta = compaction.merge(FILES, sources, str(path), segment_id=number, file=path.name, tz=TZ)
    merged = Segment(FILES, str(path), meta)
    check(merged, left)
    assert list(merged.scrub()) == []


@pytest.mark.parametrize("seed", range(4))
def test_some_more_users_are_taken_out_of_what_is_without_some(seed: int, folder: Path) -> None:
    """What is known of it is taken over, whether it was worked out or not."""
    rng = random.Random(seed)
    held = many_rows(seed, 4_000)
    (segment,) = written(held, folder)
    users = sorted({row.ordinal for row in held})
    gone = set(rng.sample(users, 3))
    source = Without(segment, _split(held, gone)[1])
    for many in (1, 40, 2, 200):
        if rng.random() < 0.7:
            check(source, _split(held, gone)[0], exact=False)
        elif rng.random() < 0.5:
            assert source.index is not None
        left = [user for user in users if user not in gone]
        fresh = set(rng.sample(left, min(many, len(left) // 2)))
        source, gone = source.also(Sought(_split(held, fresh)[1])), gone | fresh
    check(source, _split(held, gone)[0], exact=False)


@pytest.mark.parametrize("multi", [False, True])
def test_bits_of_days_without_users(multi: bool, folder: Path) -> None:
    held = many_rows(7, 4_000)
    (segment,) = written(held, folder)
    gone = _split(held, set(range(0, 900, 7)))[1]
    source = Without(segment, gone)
    for run in (None, *source.runs.values()):
        bits = DayBitsKept().of(source, run, multi=multi)
        index = source.index if run is None else run.index
        for day in range(len(index.rows)):
            assert _users_in(bits.users[day]) == index.user_list(day).tolist()
            if multi:
                assert _users_in(bits.multi[day]) == index.multi_list(day).tolist()


def _users_in(words: U64) -> list[int]:
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()
