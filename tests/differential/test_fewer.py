"""A segment without some rows is, byte for byte, the one that was never given them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.segment_rows import TZ, Row, check, frame_of, many_rows, rows
from zuji.engine.storage import fewer as fewer_module
from zuji.engine.storage import merge
from zuji.engine.storage.fewer import Fewer, has_any
from zuji.engine.storage.files import Files
from zuji.engine.storage.rewriting import rewrite
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.segment_writer import write_frame

FILES = Files()
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fewer")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block ends somewhere inside the rows of a test."""
    monkeypatch.setattr(merge, "BLOCK_ROWS", 7)
    monkeypatch.setattr(merge, "SHARE_ROWS", 1)
    monkeypatch.setattr(merge, "FEED_LEAST", 3)
    monkeypatch.setattr(merge, "FEED_MOST", 3)
    monkeypatch.setattr(fewer_module, "BLOCK", 4)
    monkeypatch.setattr(fewer_module, "FEW_USERS", 1)


def written(held: list[Row], folder: Path) -> Segment:
    number = next(_numbers)
    name = f"{number:08d}.zseg"
    (meta,) = write_frame(
        FILES, str(folder), frame_of(held), tz=TZ, new_file=lambda: (number, name)
    )
    return Segment(FILES, str(folder / name), meta)


def same(held: list[Row], users: set[int], events: set[str], folder: Path) -> None:
    segment = written(held, folder)
    wanted = np.array(sorted(users), np.uint32)
    less = Fewer(segment, wanted, events)
    left = [row for row in held if row.ordinal not in users and row.event not in events]
    assert less.rows == len(left)
    assert less.dropped == len(held) - len(left)
    assert has_any(segment, wanted) == any(row.ordinal in users for row in held)
    if not left:
        assert not less.runs
        return
    number = next(_numbers)
    path = folder / f"{number:08d}.zseg"
    meta = rewrite(FILES, less, str(path), segment_id=number, file=path.name, tz=TZ)
    direct = written(left, folder)
    assert path.read_bytes() == Path(direct.path).read_bytes()
    assert meta.rank == segment.rank
    check(Segment(FILES, str(path), meta), left)


@given(
    held=rows(max_size=40),
    users=st.sets(st.integers(0, 3)),
    events=st.sets(st.sampled_from(["view", "buy", "none"])),
)
@settings(max_examples=150, deadline=None)
def test_what_is_left_is_written_as_if_there_had_never_been_more(
    held: list[Row], users: set[int], events: set[str], folder: Path
) -> None:
    same(held, users, events, folder)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_that_end_anywhere_write_the_same(folder: Path) -> None:
    @given(held=rows(max_size=40), users=st.sets(st.integers(0, 3)))
    @settings(max_examples=150, deadline=None)
    def small(held: list[Row], users: set[int]) -> None:
        same(held, users, set(), folder)

    small()


@pytest.mark.parametrize("count", [1, 60, 300])
def test_a_large_segment_without_few_and_many_users(folder: Path, count: int) -> None:
    same(many_rows(count, 20_000), set(range(1, 500, 500 // count)), set(), folder)
