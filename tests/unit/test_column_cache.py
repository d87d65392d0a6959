"""ColumnCache: budget, order of eviction, threads; and what an engine keeps in it."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import zuji
from zuji.engine.storage.cache import ColumnCache, default_bytes
from zuji.engine.storage.files import Files
from zuji.engine.storage.segment import Segment
from zuji.engine.types import Column, Kind

ROWS = 1000
ENTRY = ROWS * 4 + 200


def rows(value=0):
    return np.full(ROWS, value, np.uint32)


def no_making():
    raise AssertionError("should have been kept")


def test_a_kept_value_is_not_made_again():
    cache = ColumnCache(10 * ENTRY)
    first = cache.get((1, "a", "times"), rows)
    assert cache.get((1, "a", "times"), no_making) is first
    assert cache.status() == {
        "budget_bytes": 10 * ENTRY,
        "bytes": ENTRY,
        "entries": 1,
        "hits": 1,
        "misses": 1,
    }


def test_arrays_of_every_kind_of_value_become_read_only_and_count():
    cache = ColumnCache(1 << 20)
    pair = cache.get((1, "a", "users"), lambda: (rows(), rows()))
    column = cache.get(
        (1, "a", "column p"),
        lambda: Column(Kind.LIST, rows(), np.ones(ROWS, np.uint8), None, rows()),
    )
    for array in (*pair, column.values, column.present, column.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert cache.used == 2 * 200 + 4 * 4 * ROWS + ROWS
    assert cache.get((1, "a", "ties"), lambda: None) is None
    assert cache.get((1, "a", "ties"), no_making) is None


def test_the_least_recently_used_go_first():
    cache = ColumnCache(3 * ENTRY)
    for n in range(3):
        cache.get((n, "a", "times"), rows)
    cache.get((0, "a", "times"), no_making)
    cache.get((3, "a", "times"), rows)
    assert cache.used == 3 * ENTRY
    for n in (0, 2, 3):
        cache.get((n, "a", "times"), no_making)
    made = []
    cache.get((1, "a", "times"), lambda: made.append(1) or rows())
    assert made == [1]


def test_what_is_larger_than_the_budget_is_given_but_not_kept():
    cache = ColumnCache(ENTRY)
    cache.get((1, "a", "times"), rows)
    large = cache.get((1, "b", "times"), lambda: np.zeros(2 * ROWS, np.uint32))
    assert len(large) == 2 * ROWS
    assert cache.used == ENTRY
    cache.get((1, "a", "times"), no_making)
    off = ColumnCache(0)
    off.get((1, "a", "times"), rows)
    assert (off.used, off.status()["entries"]) == (0, 0)


def test_a_forgotten_segment_leaves_nothing():
    cache = ColumnCache(10 * ENTRY)
    for segment in (1, 2):
        for run in "ab":
            cache.get((segment, run, "times"), rows)
    cache.forget(1)
    cache.forget(7)
    assert cache.used == 2 * ENTRY
    cache.get((2, "a", "times"), no_making)
    cache.clear()
    assert cache.used == 0


class Collecting(dict):
    """A dictionary whose every insertion meets the garbage collector."""

    def setdefault(self, *args):
        gc.collect()
        return super().setdefault(*args)


def test_a_segment_freed_by_the_collector_within_a_look_up_blocks_nothing(folder):
    cache = ColumnCache(10 * ENTRY)
    cache._of_segment = Collecting()
    path = next(folder.rglob("*.zseg"))
    serials = []

    def work():
        for _ in range(3):
            segment = Segment(Files(), str(path))  # in a cycle with its runs
            segment.keep_in(cache)
            serials.append(segment.serial)
            cache.get((segment.serial, "buy", "times"), rows)
            del segment
            cache.get((-1, "buy", str(len(serials))), rows)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(serials) == 3
    assert cache.status()["entries"] == 3  # what was read from the segments is gone
    for n in (1, 2, 3):
        cache.get((-1, "buy", str(n)), no_making)
    assert cache.used == 3 * ENTRY


def test_a_lost_segment_is_noted_by_whoever_holds_the_lock():
    cache = ColumnCache(10 * ENTRY)
    for n in range(3):
        cache.get((n, "a", "times"), rows)
    with cache._lock:
        cache.gone(1)
        cache.gone(7)
    assert cache.status()["entries"] == 2
    cache.gone(2)
    cache.get((0, "a", "times"), no_making)
    assert cache.used == ENTRY


def test_what_fails_is_not_kept():
    cache = ColumnCache(10 * ENTRY)
    with pytest.raises(OSError, match="damage"):
        cache.get((1, "a", "times"), lambda: (_ for _ in ()).throw(OSError("damage")))
    assert cache.get((1, "a", "times"), rows)[0] == 0


def test_threads_get_right_values_within_the_budget():
    cache = ColumnCache(5 * ENTRY)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(2000):
            n = int(rng.integers(0, 12))
            found = cache.get((n % 3, str(n), "times"), lambda n=n: rows(n))
            if found[0] != n or found[-1] != n or cache.used > 6 * ENTRY:
                wrong.append(n)
            if n == 11:
                cache.forget(2)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.used <= 5 * ENTRY
    assert cache.used == ENTRY * cache.status()["entries"]


def test_the_default_is_a_share_of_memory():
    assert 1 << 20 < default_bytes() < 1 << 50


QUERY = {
    "v": 1,
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-02", "tz": "UTC"},
    "by": [{"p": "event.city"}],
    "body": {"series": [{"e": "buy", "where": {"p": "event.n", "op": "gte", "v": 3}}]},
}


def events(first):
    return [
        {
            "event": "buy",
            "user_id": f"u{i % 7}",
            "time": 1_790_812_800_000 + 60_000 * i,
            "properties": {"city": f"c{i % 3}", "n": i % 10},
        }
        for i in range(first, first + 200)
    ]


@pytest.fixture
def folder(tmp_path):
    with zuji.open(tmp_path, tz="UTC") as engine:
        engine.append(events(0))
        engine.flush()
    return tmp_path


def open_with(folder, **settings):
    return zuji.open(folder, mode="r", config=zuji.Config(**settings))


def test_a_second_query_decodes_nothing_and_answers_the_same(folder):
    with open_with(folder, cache_bytes=1 << 20) as engine, open_with(folder, cache_bytes=0) as bare:
        first = engine.query(QUERY).rows
        kept = engine.status()["cache"]
        assert kept["misses"] == kept["entries"] > 0
        assert engine.query(QUERY).rows == first
        after = engine.status()["cache"]
        assert (after["misses"], after["bytes"]) == (kept["misses"], kept["bytes"])
        assert after["hits"] > kept["hits"]
        assert bare.query(QUERY).rows == first
        assert bare.status()["cache"]["entries"] == 0


def test_a_tiny_budget_holds(folder):
    with open_with(folder, cache_bytes=1500) as engine:
        want = engine.query(QUERY).rows
        for _ in range(3):
            assert engine.query(QUERY).rows == want
            assert engine.status()["cache"]["bytes"] <= 1500


def test_closed_and_merged_segments_leave_the_cache(tmp_path):
    with zuji.open(tmp_path, tz="UTC", config=zuji.Config(background=False)) as engine:
        for first in (0, 200):
            engine.append(events(first))
            engine.flush()
        engine.query(QUERY)
        before = engine.status()["cache"]["entries"]
        assert before > 0
        engine.compact()
        engine.query(QUERY)
        gc.collect()
        assert 0 < engine.status()["cache"]["entries"] < before
        segment = engine._writer.segments[0]
        assert isinstance(segment, Segment)
        cache = engine._columns
        for one in engine._writer.segments:
            one.close()
        assert cache.used == 0
