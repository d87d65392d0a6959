"""Segments against plain rows: written and read back, seen in memory, merged, scrubbed."""

from __future__ import annotations

import errno
import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.segment_rows import TZ, Row, check, frame_of, many_rows, rows
from zuji.engine.errors import Corruption, StorageFull
from zuji.engine.storage import compaction
from zuji.engine.storage.files import Appender, Files
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import day_edges
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.segment_writer import write_frame

FILES = Files()
_numbers = itertools.count(1)


def written(held: list[Row], folder: Path, *, dense: bool = True) -> list[Segment]:
    """Segments of a frame of the rows."""

    def new_file() -> tuple[int, str]:
        number = next(_numbers)
        return number, f"{number:08d}.zseg"

    metas = write_frame(FILES, str(folder), frame_of(held, dense=dense), tz=TZ, new_file=new_file)
    return [Segment(FILES, str(folder / meta.file), meta) for meta in metas]


def viewed(held: list[Row]) -> MemorySource:
    """The rows as a memory source."""
    (piece,) = frame_of(held).slices(TZ)
    edges = day_edges(TZ, piece.partition.start_ms, piece.partition.end_ms)
    return MemorySource(piece, 7, edges)


def merged(parts: list[Segment], folder: Path) -> Segment:
    """The segments as one."""
    number = next(_numbers)
    path = folder / f"{number:08d}.zseg"
    meta = compaction.merge(FILES, parts, str(path), segment_id=number, file=path.name, tz=TZ)
    return Segment(FILES, str(path), meta)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segments")


@given(held=rows(), dense=st.booleans())
@settings(max_examples=60, deadline=None)
def test_segment_holds_its_rows(held: list[Row], dense: bool, folder: Path) -> None:
    (segment,) = written(held, folder, dense=dense)
    check(segment, held)
    assert list(segment.scrub()) == []
    meta = segment.meta
    assert meta is not None
    assert (meta.rows, meta.bytes) == (len(held), FILES.size(segment.path))
    assert (meta.min_ms, meta.max_ms) == (min(r.time for r in held), max(r.time for r in held))


@given(held=rows())
@settings(max_examples=60, deadline=None)
def test_memory_source_holds_its_rows(held: list[Row]) -> None:
    check(viewed(held), held)


@given(parts=st.lists(rows(max_size=12), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_merge_is_the_segment_of_all_rows_together(parts: list[list[Row]], folder: Path) -> None:
    segments = [written(part, folder)[0] for part in parts]
    together = list(itertools.chain(*parts))
    result = merged(segments, folder)
    check(result, together)
    assert list(result.scrub()) == []
    # and merging merged segments changes nothing
    again = merged([merged(segments[:2], folder), *segments[2:]], folder)
    check(again, together)


def test_merge_equals_direct_write_byte_for_byte(folder: Path) -> None:
    parts = [many_rows(seed, 6000) for seed in range(3)]
    result = merged([written(part, folder)[0] for part in parts], folder)
    (direct,) = written(list(itertools.chain(*parts)), folder)
    assert Path(result.path).read_bytes() == Path(direct.path).read_bytes()


def test_large_segment_with_stored_day_index(folder: Path) -> None:
    held = many_rows(5, 70_000, users=4000)
    (segment,) = written(held, folder)
    assert segment.footer.days >= 0
    assert segment.runs["view"].meta.days >= 0
    check(segment, held)
    assert list(segment.scrub()) == []
    check(viewed(held), held)


def test_frame_splits_by_shard_and_month(folder: Path) -> None:
    held = many_rows(9, 3000, users=40, shards=4)
    for i, row in enumerate(held):
        row.time += (i % 2) * 31 * 86_400_000
    segments = written(held, folder)
    assert len(segments) == len({(s.shard, s.partition) for s in segments}) >= 8
    assert sum(s.rows for s in segments) == len(held)
    for segment in segments:
        assert list(segment.scrub()) == []
        mine = [
            row
            for row in held
            if row.shard == segment.shard and segment.base_ms <= row.time < segment.end_ms
        ]
        assert sum(segment.runs[e].presence_count("amount") for e in segment.runs) == sum(
            "amount" in row.props for row in mine
        )
        assert segment.rows == len(mine)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_pick_keeps_neighbours_and_ends(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 1000), max_size=30))
    fan_in = data.draw(st.integers(2, 5))
    metas: list[Any] = [_Sized(i, size) for i, size in enumerate(sizes)]
    for full in (False, True):
        left, merges = metas, 0
        while groups := compaction.pick(left, full=full, fan_in=fan_in):
            assert len(groups) == 1
            ranks = [s.meta.rank for s in groups[0]]
            all_ranks = sorted(s.meta.rank for s in left)
            at = all_ranks.index(ranks[0])
            assert all_ranks[at : at + len(ranks)] == ranks
            assert len(ranks) >= (2 if full else fan_in)
            joined = _Sized(ranks[0], sum(s.meta.rows for s in groups[0]))
            left = [s for s in left if s.meta.rank not in ranks] + [joined]
            merges += 1
            assert merges <= len(sizes)
        if full:
            assert len(left) <= 1
        assert sum(s.meta.rows for s in left) == sum(sizes)


class _Sized:
    """A segment of which only rank and size matter."""

    def __init__(self, rank: int, size: int) -> None:
        from zuji.engine.storage.manifest import SegmentMeta

        self.meta = SegmentMeta(rank, "x", 0, 1, 0, 1, size, size, 0, 0, rank)


def test_merge_bounds_rows_a_segment() -> None:
    segments = [_Sized(i, 100) for i in range(10)]
    groups = compaction.pick(segments, full=True, max_rows=300)
    assert [len(g) for g in groups] == [3, 3, 3]


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_is_found_or_harmless(seed: int, folder: Path) -> None:
    """Every byte of a small segment, one random bit each: the same answers, or Corruption."""
    r = random.Random(seed)
    held = many_rows(seed, 30, users=9)
    (segment,) = written(held, folder)
    good = Path(segment.path).read_bytes()
    path = folder / f"flipped{seed}.zseg"
    meaning = bytes_with_meaning(segment)
    for at in range(seed, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 1 << r.randrange(8)
        path.write_bytes(bad)
        try:
            damaged = Segment(FILES, str(path))
            problems = list(damaged.scrub())
        except Corruption:
            continue
        if problems:
            assert all(isinstance(p, Corruption) for p in problems)
            with pytest.raises(Corruption):
                check(Segment(FILES, str(path)), held)
        else:
            assert at not in meaning
            check(damaged, held)


def bytes_with_meaning(segment: Segment) -> set[int]:
    """Offsets of all bytes but the padding before streams."""
    footer, size = segment.footer, FILES.size(segment.path)
    meaning = set(range(64)) | set(range(footer.pages_offset, size))
    for page in segment.file.page_table():
        meaning |= set(range(int(page["offset"]), int(page["offset"]) + int(page["length"])))
    assert len(meaning) > size * 0.8
    return meaning


def test_a_cut_file_is_corruption(folder: Path) -> None:
    (segment,) = written(many_rows(1, 20), folder)
    good = Path(segment.path).read_bytes()
    path = folder / "cut.zseg"
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(Corruption):
            Segment(FILES, str(path))


def test_more_rows_of_one_instant_than_sixteen_bits_count_keep_their_order(folder: Path) -> None:
    names = ("view", "buy")
    held = [Row(names[i % 2], 1, 1_760_000_000_000, i) for i in range(65_540)]
    (segment,) = written(held, folder)
    assert list(segment.scrub()) == []
    assert segment.interleave()[0].tolist() == [1, 0] * (len(held) // 2)  # runs are by name
    for run, first in ((segment.runs["view"], 0), (segment.runs["buy"], 1)):
        assert run.received().tolist() == list(range(first, len(held), 2))
        ranks = run.ties()
        assert ranks is not None
        assert ranks[-3:].tolist() == [65_534 + first, 65_535, 65_535]


def test_arrays_do_not_point_into_the_map(folder: Path) -> None:
    held = many_rows(2, 500)
    (segment,) = written(held, folder)
    run = segment.runs["view"]
    column, times = run.column("city"), run.times()
    segment.close()
    Path(segment.path).unlink()
    times += np.uint32(1)
    assert column is not None
    assert next(iter(column.dictionary or [])).startswith("city")


@pytest.mark.parametrize("full_after", [0, 100, 2000])
def test_a_full_disk_leaves_no_file(full_after: int, tmp_path: Path) -> None:
    """The error is the disk's, the temporary file is gone, and the next try succeeds."""

    class FullAppender(Appender):
        def _write_once(self, view: memoryview) -> int:
            room = full_after - self.size
            if room <= 0:
                raise OSError(errno.ENOSPC, "no space")
            return super()._write_once(view[:room])

    class FullFiles(Files):
        def _appender(self, path: str, fd: int, size: int) -> Appender:
            return FullAppender(path, fd, size)

    frame = frame_of(many_rows(4, 500))
    with pytest.raises(StorageFull):
        write_frame(FullFiles(), str(tmp_path), frame, tz=TZ, new_file=lambda: (1, "a.zseg"))
    assert list(tmp_path.iterdir()) == []
    write_frame(FILES, str(tmp_path), frame, tz=TZ, new_file=lambda: (1, "a.zseg"))
    check(Segment(FILES, str(tmp_path / "a.zseg")), many_rows(4, 500))
