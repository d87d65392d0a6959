"""Merging a block at a time against sorting everything at once, and against one direct write."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.segment_rows import TZ, Row, frame_of, many_rows, rows
from zuji.engine.errors import Corruption
from zuji.engine.storage import compaction, cursors, merge
from zuji.engine.storage._merging import (
    KeyMerge,
    count_sources,
    expand_some,
    relabel,
    take_present,
    take_rows,
)
from zuji.engine.storage.files import Files
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.merge import MergedRows
from zuji.engine.storage.partition import day_edges
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.segment_writer import write_frame, write_segment

if TYPE_CHECKING:
    from zuji.engine.types import U16, U64

FILES = Files()
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("merged")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block, feed and chunk of users ends somewhere inside the rows of a test."""
    monkeypatch.setattr(merge, "BLOCK_ROWS", 7)
    monkeypatch.setattr(merge, "SHARE_ROWS", 1)
    monkeypatch.setattr(merge, "FEED_LEAST", 3)
    monkeypatch.setattr(merge, "FEED_MOST", 3)
    monkeypatch.setattr(cursors, "USERS", 2)


# -- the order of rows ---------------------------------------------------------------------------


def twin(parts: list[tuple[U64, U16]], events: int) -> tuple[Any, Any, Any, Any]:
    """(interleave, keys, source and tie clustered by event) by sorting all rows at once."""
    keys = np.concatenate([k for k, _ in parts])
    codes = np.concatenate([c for _, c in parts])
    source = np.repeat(np.arange(len(parts)), [len(k) for k, _ in parts])
    order = np.lexsort((np.arange(len(keys)), source, keys))
    keys, codes, source = keys[order], codes[order], source[order]
    first = np.searchsorted(keys, keys, side="left")
    tie = np.minimum(np.arange(len(keys)) - first, 0xFFFF)
    cluster = np.argsort(codes, kind="stable")
    assert len(codes) == 0 or codes.max() < events
    return codes, keys, source[cluster], tie[cluster]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_key_merge_is_a_sort(data: st.DataObject) -> None:
    events = data.draw(st.integers(1, 4))
    sizes = data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=9))
    span = data.draw(st.sampled_from([3, 50, 2**63]))
    seed = np.random.default_rng(data.draw(st.integers(0, 1000)))
    parts = [
        (
            np.sort(seed.integers(0, span, n).astype(np.uint64)),
            seed.integers(0, events, n).astype(np.uint16),
        )
        for n in sizes
    ]
    codes, keys, source, tie = twin(parts, events)
    starts = np.zeros(events + 1, np.int64)
    np.cumsum(np.bincount(codes, minlength=events), out=starts[1:])
    found_source, found_tie = np.zeros(len(keys), np.uint8), np.zeros(len(keys), np.uint16)
    merged = KeyMerge(len(parts), starts, found_source, found_tie)
    feed, room = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    at = [0] * len(parts)

    def more(number: int) -> None:
        k, c = parts[number]
        a = at[number]
        at[number] = min(a + feed, len(k))
        merged.feed(number, k[a : a + feed], c[a : a + feed], at[number] == len(k))

    for number in range(len(parts)):
        more(number)
    found: list[tuple[list[int], list[int]]] = []
    while True:
        some_codes, some_keys = np.empty(room, np.uint16), np.empty(room, np.uint64)
        n, needed = merged.run(some_codes, some_keys)
        found.append((some_codes[:n].tolist(), some_keys[:n].tolist()))
        if needed >= 0:
            more(needed)
        elif n == 0:
            break
    assert list(itertools.chain(*(c for c, _ in found))) == codes.tolist()
    assert list(itertools.chain(*(k for _, k in found))) == keys.tolist()
    assert found_source.tolist() == source.tolist()
    assert found_tie.tolist() == tie.tolist()
    assert merged.any_tie == bool(tie.any())


def test_key_merge_keeps_counting_ties_at_the_limit() -> None:
    n = 70_000
    source, tie = np.zeros(n, np.uint8), np.zeros(n, np.uint16)
    merged = KeyMerge(1, np.array([0, n]), source, tie)
    merged.feed(0, np.full(n, 5, np.uint64), np.zeros(n, np.uint16), True)
    merged.run(np.empty(n, np.uint16), np.empty(n, np.uint64))
    assert tie[:3].tolist() == [0, 1, 2]
    assert tie[-3:].tolist() == [0xFFFF] * 3


def test_key_merge_refuses_what_is_wrong() -> None:
    def fresh(rows: int = 2) -> KeyMerge:
        starts = np.array([0, rows])
        return KeyMerge(1, starts, np.zeros(rows, np.uint8), np.zeros(rows, np.uint16))

    out = np.empty(4, np.uint16), np.empty(4, np.uint64)
    falling = fresh()
    falling.feed(0, np.array([2, 1], np.uint64), np.zeros(2, np.uint16), True)
    with pytest.raises(ValueError, match="out of order"):
        falling.run(*out)
    many = fresh(1)
    many.feed(0, np.array([1, 2], np.uint64), np.zeros(2, np.uint16), True)
    with pytest.raises(ValueError, match="more rows"):
        many.run(*out)
    with pytest.raises(ValueError, match="out of range"):
        fresh().feed(0, np.array([1, 2], np.uint64), np.ones(2, np.uint16), True)
    with pytest.raises(ValueError, match="fed wrongly"):
        fresh().feed(1, np.array([1], np.uint64), np.zeros(1, np.uint16), True)
    with pytest.raises(ValueError, match="1 to 256 sources"):
        KeyMerge(257, np.array([0, 0]), np.zeros(0, np.uint8), np.zeros(0, np.uint16))


# -- columns by source ---------------------------------------------------------------------------


@given(
    pick=st.lists(st.integers(0, 4), max_size=60),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32, np.int64, np.float64]),
    data=st.data(),
)
@settings(max_examples=120, deadline=None)
def test_take_is_one_cursor_a_source(pick: list[int], dtype: Any, data: st.DataObject) -> None:
    source = np.array(pick, np.uint8)
    counts = count_sources(source, 5)
    assert counts == [pick.count(i) for i in range(5)]
    cuts = cursors.cuts_of(counts)
    values = np.arange(1, len(pick) + 1).astype(dtype)
    out = np.empty(len(pick), dtype)
    take_rows(source, values, cuts, out)
    order = np.argsort(source, kind="stable")
    expected = np.empty(len(pick), dtype)
    expected[order] = values
    assert out.tolist() == expected.tolist()
    present = np.array([data.draw(st.integers(0, 1)) for _ in pick], np.uint8)
    some = cursors.cuts_of([int(present[source == i].sum()) for i in range(5)])
    held = np.zeros(int(some[-1]) + 1, dtype)
    held[:-1] = values[: len(held) - 1]
    room = np.empty(len(pick) + 1, dtype)
    count = take_present(source, present, held, some, room)
    having = [i for i in order.tolist() if present[i]]
    by_row = dict(zip(having, held[:-1].tolist(), strict=True))
    assert room[:count].tolist() == [by_row[i] for i in sorted(by_row)]


def test_take_refuses_too_few_values() -> None:
    source, cuts = np.array([0, 0, 1], np.uint8), np.array([0, 1, 2])
    values = np.zeros(3, np.uint32)
    with pytest.raises(ValueError, match="fewer values"):
        take_rows(source, values, cuts, np.empty(3, np.uint32))
    with pytest.raises(ValueError, match="fewer values"):
        take_present(source, np.ones(3, np.uint8), values, cuts, np.empty(4, np.uint32))
    with pytest.raises(ValueError, match="out of range"):
        take_rows(source, values, np.array([0, 4]), np.empty(3, np.uint32))
    with pytest.raises(ValueError, match="length"):
        take_rows(source, values, cuts, np.empty(2, np.uint32))
    codes = np.array([0, 2], np.uint32)
    with pytest.raises(IndexError):
        relabel(codes, np.zeros(2, np.uint32))


@given(lengths=st.lists(st.integers(1, 5), max_size=20), step=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_users_of_rows_in_steps(lengths: list[int], step: int) -> None:
    users = np.arange(len(lengths), dtype=np.uint32) * 3
    ends = np.cumsum(lengths, dtype=np.uint32) if lengths else np.empty(0, np.uint32)
    found: list[int] = []
    at = row = 0
    while True:
        out = np.empty(step, np.uint32)
        done, at, row = expand_some(users, ends, at, row, out)
        found += out[:done].tolist()
        if done < step:
            break
    assert found == np.repeat(users, lengths).tolist()


# -- whole segments ------------------------------------------------------------------------------


def test_a_damaged_source_is_named(folder: Path) -> None:
    """Wherever the damage is, the merge says so, or the byte was padding."""
    segment = written(many_rows(3, 300), folder)
    path = Path(segment.path)
    whole, good = path.read_bytes(), merged([segment, segment], folder).read_bytes()
    for at in range(64, int(segment.footer.pages_offset), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        again = Segment(FILES, segment.path, segment.meta)
        with suppress(Corruption):
            assert merged([again, again], folder).read_bytes() == good
    path.write_bytes(whole)


def written(held: list[Row], folder: Path) -> Segment:
    """One segment of a frame of the rows."""
    number = next(_numbers)
    name = f"{number:08d}.zseg"
    (meta,) = write_frame(
        FILES, str(folder), frame_of(held), tz=TZ, new_file=lambda: (number, name)
    )
    return Segment(FILES, str(folder / name), meta)


def merged(parts: list[Segment], folder: Path) -> Path:
    """File of the segments as one."""
    number = next(_numbers)
    path = folder / f"{number:08d}.zseg"
    compaction.merge(FILES, parts, str(path), segment_id=number, file=path.name, tz=TZ)
    return path


@pytest.mark.usefixtures("small_blocks")
def test_small_blocks_write_the_same_file(folder: Path) -> None:
    """Merging is the same, byte for byte, as writing all rows at once."""

    @given(parts=st.lists(rows(max_size=25), min_size=1, max_size=6))
    @settings(max_examples=80, deadline=None)
    def same(parts: list[list[Row]]) -> None:
        result = merged([written(part, folder) for part in parts], folder)
        direct = written(list(itertools.chain(*parts)), folder)
        assert result.read_bytes() == Path(direct.path).read_bytes()

    same()


@pytest.mark.parametrize("parts", [1, 3, 9])
def test_large_merges_write_the_same_file(parts: int, folder: Path) -> None:
    """Runs of several pages, a stored day index, users and days that go on over blocks."""
    r = random.Random(parts)
    held = [many_rows(seed, 120_000 // parts, users=3000) for seed in range(parts)]
    for rank, part in enumerate(held):
        for row in part:
            row.received = row.time if rank % 2 else row.time + r.randrange(10_000)
    result = merged([written(part, folder) for part in held], folder)
    direct = written(list(itertools.chain(*held)), folder)
    assert result.read_bytes() == Path(direct.path).read_bytes()


@pytest.mark.usefixtures("small_blocks")
def test_blocks_smaller_than_days_write_the_same_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "BLOCK_ROWS", 1009)
    monkeypatch.setattr(merge, "FEED_LEAST", 500)
    monkeypatch.setattr(merge, "FEED_MOST", 500)
    held = [many_rows(seed, 20_000, users=300) for seed in range(3)]
    result = merged([written(part, folder) for part in held], folder)
    direct = written(list(itertools.chain(*held)), folder)
    assert result.read_bytes() == Path(direct.path).read_bytes()


def test_memory_sources_merge_like_segments(folder: Path) -> None:
    held = [many_rows(seed, 4000, users=90) for seed in range(2)]
    sources = []
    for rank, part in enumerate(held):
        (piece,) = frame_of(part).slices(TZ)
        edges = day_edges(TZ, piece.partition.start_ms, piece.partition.end_ms)
        sources.append(MemorySource(piece, rank, edges))
    path = folder / f"{next(_numbers):08d}.zseg"
    write_segment(
        FILES,
        str(path),
        MergedRows(sources),
        shard=0,
        partition=piece.partition,
        day_edges=edges,
    )
    direct = written(list(itertools.chain(*held)), folder)
    assert path.read_bytes() == Path(direct.path).read_bytes()
