"""What is no longer part of a project goes with its last reader, at once: the server collects
garbage so rarely that memtables and segments in reference cycles would pile up, some 20 bytes for
every row that comes.
"""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import zuji

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zuji.engine.storage.segment import Segment

DAY = 1_790_827_200_000
QUERY: dict[str, Any] = {
    "model": "event",
    "time": {"from": "2026-09-01", "to": "2026-12-31", "grain": "day"},
    "by": [{"p": "event.city"}],
    "body": {"series": [{"e": "pay", "measure": "count"}, {"e": "pay", "measure": "users"}]},
}
FUNNEL: dict[str, Any] = {
    "model": "funnel",
    "time": {"from": "2026-09-01", "to": "2026-12-31"},
    "body": {"steps": [{"e": "view"}, {"e": "pay"}], "window": {"n": 1, "unit": "day"}},
}


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _events(first: int) -> list[dict[str, Any]]:
    return [
        {
            "event": ("view", "pay")[n & 1],
            "time": DAY + n * 1000,
            "user_id": f"u{n % 7}",
            "insert_id": f"i{n}",
            "properties": {"city": f"c{n % 3}", "n": n},
        }
        for n in range(first, first + 50)
    ]


def _filled(path: Path, cache_bytes: int) -> zuji.Engine:
    config = zuji.Config(background=False, cache_bytes=cache_bytes, compact_after=100)
    return zuji.open(path, "p", config=config)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_flushed_memtable_goes_with_the_next_view(tmp_path: Path, cache_bytes: int) -> None:
    with _filled(tmp_path, cache_bytes) as engine:
        for turn in range(5):
            engine.append(_events(turn * 50))
            engine.query(QUERY)
            engine.query(FUNNEL)
        growing = engine._writer.active
        held = [weakref.ref(part) for part in (growing.mem, growing.strings)]
        views = engine._pin().sources
        held += [weakref.ref(source) for shard in views for source in shard]
        del growing, views
        engine.flush()
        engine.query(QUERY)
        assert [one() for one in held] == [None] * len(held)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_merged_segment_goes_with_the_next_view(tmp_path: Path, cache_bytes: int) -> None:
    with _filled(tmp_path, cache_bytes) as engine:
        for turn in range(5):
            engine.append(_events(turn * 50))
            engine.flush()
            engine.query(QUERY)
            engine.query(FUNNEL)
        held = [weakref.ref(segment) for segment in engine._writer.segments]
        assert len(held) > 4
        engine.compact()
        engine.query(QUERY)
        left = [one() for one in held]
        now: tuple[Segment | None, ...] = (None, *engine._writer.segments)
        assert all(one in now for one in left)  # one that had nothing to merge with stays
        assert left.count(None) > 4


@pytest.mark.usefixtures("_no_collector")
def test_who_reads_a_run_keeps_its_file(tmp_path: Path) -> None:
    with _filled(tmp_path, 0) as engine:
        engine.append(_events(0))
        engine.flush()
        run = next(iter(engine._writer.segments[0].runs.values()))
        rows = run.rows
        engine.append(_events(50))
        engine.compact()
        engine.query(QUERY)
        assert len(run.times()) == rows


def test_status_says_what_holds_memory(tmp_path: Path) -> None:
    with _filled(tmp_path, 0) as engine:
        empty = engine.status()["memory"]
        for turn in range(40):
            engine.append(_events(turn * 50))
        full = engine.status()["memory"]
        assert full["memtables"] > empty["memtables"] + 2_000 * 40
        assert full["keys"] > 2_000 * 16
        assert full["ids"] > 0
        assert full["decoders"] > 0
        engine.flush()
        flushed = engine.status()["memory"]
        assert flushed["memtables"] <= full["memtables"] // 10
        assert flushed["keys"] < full["keys"]  # those of the flush are in a file now, too
