"""Flushes, bulk loads and merges beside each other: no row is lost or doubled, before and after
opening again, and flushing does not wait for a merge.
"""

from __future__ import annotations

import threading

import msgpack
import pyarrow as pa
import pytest

import zuji
from zuji.engine.engine import create_project
from zuji.engine.writer import merger

START = 1_790_000_000_000
COUNT = {
    "v": 1,
    "model": "event",
    "time": {"from": "2026-01-01", "to": "2027-12-31", "grain": "all"},
    "body": {"series": [{"e": "*", "measure": "count"}]},
}


def batch(thread, number):
    rows = [
        {
            "event": f"e{n % 3}",
            "time": START + number * 1000 + n,
            "user_id": f"u{n % 7}",
            "properties": {"p": n, "s": f"{thread}-{n % 5}"},
        }
        for n in range(20)
    ]
    return msgpack.packb({"batch_id": f"{thread}-{number}", "events": rows})


def table(number):
    return pa.table({"u": [f"u{n}" for n in range(30)], "t": [START + number] * 30})


def rows_in(engine):
    return engine.query(COUNT).rows[0][-1]


def test_appends_loads_and_merges_beside_each_other(tmp_path):
    config = zuji.Config(memtable_rows=60, compact_after=2, threads=2)
    engine = zuji.open(tmp_path, config=config)
    problems = []

    def run(work):
        try:
            work()
        except BaseException as problem:
            problems.append(problem)

    def append(thread):
        for number in range(25):
            assert engine.append_batch(batch(thread, number)).accepted == 20
            again = engine.append_batch(batch(thread, number))
            assert (again.accepted, again.duplicates) == (0, 20)

    def load():
        mapping = {"event_name": "bulk", "user": "u", "time": "t"}
        stream = engine.append_tables((table(n) for n in range(15)), mapping)
        assert sum(done.accepted for done in stream) == 450

    def compact():
        for _ in range(4):
            engine.compact()

    works = [lambda: append("a"), lambda: append("b"), load, compact]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        now = rows_in(engine)
        assert now >= seen
        seen = now
    for thread in threads:
        thread.join()
    assert problems == []
    assert rows_in(engine) == 2 * 25 * 20 + 450
    engine.close()
    with zuji.open(tmp_path, config=config) as engine:
        assert rows_in(engine) == 2 * 25 * 20 + 450
        assert not list(engine.scrub())
        files = [s.meta.file for s in engine._writer.segments]
        assert len(files) == len(set(files))
        engine.compact()
        assert rows_in(engine) == 2 * 25 * 20 + 450
        assert engine.append_batch(batch("a", 3)).accepted == 0


def test_a_flush_does_not_wait_for_a_merge(tmp_path, monkeypatch):
    held, merging = threading.Event(), threading.Event()
    merge = merger.compaction.merge

    def slow(*args, **kwargs):
        merging.set()
        assert held.wait(60)
        return merge(*args, **kwargs)

    monkeypatch.setattr(merger.compaction, "merge", slow)
    config = zuji.Config(memtable_rows=20, compact_after=2, threads=1)
    with zuji.open(tmp_path, config=config) as engine:
        for number in range(3):
            engine.append_batch(batch("a", number))
            engine.flush()
        engine._writer._to_merge.set()
        assert merging.wait(60)
        for number in range(3, 30):
            engine.append_batch(batch("a", number))
        engine.flush()
        assert rows_in(engine) == 600
        held.set()
    with zuji.open(tmp_path, config=config) as engine:
        assert rows_in(engine) == 600


@pytest.mark.parametrize("shards", [1, 4])
def test_write_amplification_is_reported(tmp_path, shards):
    create_project(tmp_path, shards=shards)
    with zuji.open(tmp_path, config=zuji.Config(background=False)) as engine:
        assert engine.status()["write_amplification"] == 1.0
        for number in range(3):
            engine.append_batch(batch("a", number))
            engine.flush()
        stored = engine.status()["stored_bytes"]
        engine.compact()
        status = engine.status()
        assert status["stored_bytes"] == stored
        assert status["merged_bytes"] == status["segment_bytes"]
        expected = (stored + status["merged_bytes"]) / stored
        assert status["write_amplification"] == pytest.approx(expected, abs=0.01)
