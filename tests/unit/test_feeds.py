"""Feeds: what is read page by page is what decoding at once gives, and damage has a place."""

from __future__ import annotations

import numpy as np
import pytest

import zuji
from zuji.engine.engine import create_project
from zuji.engine.errors import Corruption
from zuji.engine.query.kernels._paths import session_paths, top_paths
from zuji.engine.query.walks import walk_of
from zuji.engine.storage._feed import PageFeed, Scratch
from zuji.engine.storage.codecs import encode_ints
from zuji.engine.storage.feeds import Feeds

ROWS = 70_000
RULE = {"gap_ms": 1_000, "steps": 5, "from_ms": 0, "to_ms": 1 << 60}


@pytest.fixture(scope="module")
def segment(tmp_path_factory):
    """A segment with times in whole seconds, so that they are stored divided."""
    rng = np.random.default_rng(3)
    start = 1_700_000_000_000
    events = [
        {"event": f"e{e}", "user_id": f"u{u}", "time": start + 1000 * t}
        for e, u, t in rng.integers(0, (3, 50, 100_000), (ROWS, 3)).tolist()
    ]
    folder = tmp_path_factory.mktemp("feeds")
    create_project(folder, tz="UTC", shards=1)
    with zuji.open(folder, config=zuji.Config(background=False)) as engine:
        engine.append(events)
        engine.flush()
        with engine.snapshot() as snapshot:
            (source,) = snapshot._view.sources[0]
            yield source


def paths(source, *, keep, feeds=None):
    codes = {name: i for i, name in enumerate(source.runs)}
    walk = walk_of(source, codes, feeds or Feeds(), keep=keep)
    counts = session_paths([walk], users=source.user_count, n_codes=len(codes), **RULE)
    return counts.sessions, top_paths([counts], 50)


def test_paths_by_pages_are_those_of_whole_arrays(segment):
    assert segment.rows == ROWS
    assert {run.meta.time_unit for run in segment.runs.values()} == {1000}
    assert paths(segment, keep=False) == paths(segment, keep=True)


def test_damage_has_a_place(segment):
    run = next(iter(segment.runs.values()))
    first, _pages = run.meta.times
    at = int(segment.file.page_table()["offset"][first])
    whole, checked = segment.file._view, segment.file._verified.copy()
    broken = bytearray(whole)
    broken[at + 20] ^= 1
    segment.file._view = memoryview(bytes(broken))
    segment.file._verified[:] = 0
    feeds = Feeds()
    try:
        with pytest.raises(ValueError, match="belong together"):
            paths(segment, keep=False, feeds=feeds)
        with pytest.raises(Corruption, match="checksum") as caught:
            feeds.check()
        assert caught.value.offset == at
    finally:
        segment.file._view = whole
        segment.file._verified[:] = checked


def test_a_feed_of_other_pages_is_refused():
    data, pages = encode_ints(np.arange(9, dtype=np.uint32))
    for wrong in (np.zeros(1, np.uint8), pages[:0]):
        with pytest.raises((TypeError, ValueError)):
            PageFeed(data, wrong, np.zeros(1, np.uint8), 9, 4, Scratch())
