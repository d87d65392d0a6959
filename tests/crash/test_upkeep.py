"""Upkeep that meets what nobody expects: it goes on, and nothing is lost or stored twice."""

from __future__ import annotations

import shutil
import threading

import msgpack
import numpy as np
import pyarrow as pa
import pytest

import zuji
from zuji.engine.errors import Corruption, StorageFailed, StorageFull, ZujiError
from zuji.engine.limits import Limits
from zuji.engine.storage import compaction
from zuji.engine.storage.manifest import Manifest
from zuji.engine.storage.partition import partition_of
from zuji.engine.writer.flusher import Flusher
from zuji.engine.writer.loader import BULK_IDS

START = 1_790_000_000_000
COUNT = {
    "v": 1,
    "model": "event",
    "time": {"from": "2026-01-01", "to": "2027-12-31", "grain": "all"},
    "body": {"series": [{"e": "*", "measure": "count"}]},
}
MAPPING = {"event_name": "order", "user": "u", "time": "t"}
BY_HAND = zuji.Config(background=False, threads=1, compact_after=2)


def batch(number, rows=20, **more):
    events = [{"event": f"e{n % 3}", "time": START, "user_id": "u", **more} for n in range(rows)]
    return msgpack.packb({"batch_id": f"{number}", "events": events})


def rows_in(engine):
    return engine.query(COUNT).rows[0][-1]


def wait_until(condition):
    """Waits for a condition that other threads make true."""
    turn = threading.Event()
    for _ in range(1000):
        if condition():
            return
        turn.wait(0.02)
    raise AssertionError("it did not come true")


def test_more_events_of_one_user_at_one_instant_than_ties_count(tmp_path):
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        for number in range(40):
            engine.append_batch(batch(number, rows=2000))
            if number == 36:
                assert rows_in(engine) == 74_000
                engine.flush()
        engine.compact()
        assert engine.status()["segments"] == 1
        assert rows_in(engine) == 80_000
        assert list(engine.scrub()) == []
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        assert rows_in(engine) == 80_000


@pytest.mark.parametrize("problem", [MemoryError, OverflowError])
def test_the_flusher_outlives_an_error_that_nobody_expected(tmp_path, monkeypatch, problem):
    failures = []
    write = Flusher.write_segments

    def refuse(*_args, **_more):
        failures.append(problem("no"))
        raise failures[-1]

    monkeypatch.setattr(Flusher, "write_segments", refuse)
    config = zuji.Config(memtable_rows=20, threads=1)
    with zuji.open(tmp_path, config=config) as engine:
        engine.append_batch(batch(1))
        wait_until(lambda: len(failures) > 1)
        assert engine.status()["last_error"]["code"] == "storage_failed"
        assert rows_in(engine) == 20
        monkeypatch.setattr(Flusher, "write_segments", write)
        engine.append_batch(batch(2))
        wait_until(lambda: engine.status()["memtable_rows"] == 0)
        assert engine.status()["last_error"] is None
        assert rows_in(engine) == 40


def test_the_merger_outlives_an_error_that_nobody_expected(tmp_path, monkeypatch):
    failures = []
    merge = compaction.merge

    def refuse(*_args, **_more):
        failures.append(1)
        raise MemoryError

    monkeypatch.setattr(compaction, "merge", refuse)
    config = zuji.Config(memtable_rows=20, threads=1, compact_after=2)
    with zuji.open(tmp_path, config=config) as engine:
        engine.append_batch(batch(1))
        wait_until(lambda: engine.status()["segments"] == 1)
        engine.append_batch(batch(2))
        wait_until(lambda: failures)
        monkeypatch.setattr(compaction, "merge", merge)
        engine.append_batch(batch(3))
        wait_until(lambda: engine.status()["compactions"] > 0)
        assert rows_in(engine) == 60


def test_closing_outlives_an_error_that_nobody_expected(tmp_path, monkeypatch):
    engine = zuji.open(tmp_path, config=BY_HAND)
    engine.append_batch(batch(1))
    with monkeypatch.context() as broken:
        broken.setattr(Flusher, "write_segments", lambda *_args, **_more: 1 / 0)
        engine.close()
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        assert rows_in(engine) == 20


def test_an_interrupted_flush_leaves_nothing_and_can_be_done_again(tmp_path, monkeypatch):
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        engine.append_batch(batch(1))
        write = Flusher.write_extras

        def interrupted(self, grown, written):
            write(self, grown, written)
            raise KeyboardInterrupt

        with monkeypatch.context() as broken:
            broken.setattr(Flusher, "write_extras", interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.flush()
        assert not list(tmp_path.rglob("*.zseg"))
        assert engine.status()["last_error"]["code"] == "storage_failed"
        engine.flush()
        assert rows_in(engine) == 20
        assert engine.status()["last_error"] is None


def test_a_flush_interrupted_after_its_commit_is_not_done_twice(tmp_path, monkeypatch):
    engine = zuji.open(tmp_path, config=BY_HAND)
    engine.append_batch(batch(1))
    commit = Manifest.commit

    def interrupted(self, edit):
        commit(self, edit)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Manifest, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.flush()
    with pytest.raises(StorageFailed):
        engine.append_batch(batch(2))
    with pytest.raises(ZujiError):
        engine.flush()
    engine.close()
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        assert rows_in(engine) == 20


def test_appending_goes_on_after_flushes_of_callers_failed_and_the_disk_was_freed(
    tmp_path, monkeypatch
):
    with zuji.open(tmp_path, config=zuji.Config(threads=1)) as engine:
        with monkeypatch.context() as broken:

            def full(*_args, **_more):
                raise StorageFull("no")

            broken.setattr(Flusher, "write_segments", full)
            for number in range(2):
                engine.append_batch(batch(number))
                with pytest.raises(StorageFull):
                    engine.flush()
        appending = threading.Thread(target=engine.append_batch, args=(batch(2),), daemon=True)
        appending.start()
        appending.join(timeout=10)
        assert not appending.is_alive()
        assert rows_in(engine) == 60


def test_tables_after_one_that_failed_before_it_was_bound_are_not_stored(tmp_path, monkeypatch):
    flush = Flusher.flush_frozen
    failures = []

    def full_once(self):
        if not failures:
            failures.append(1)
            raise StorageFull("no")
        flush(self)

    tables = [(pa.table({"u": ["a"], "t": [START + n]}), n) for n in range(3)]
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        engine.append_batch(batch(1))
        monkeypatch.setattr(Flusher, "flush_frozen", full_once)
        loads = engine.append_tables(tables, MAPPING, key="file")
        with pytest.raises(StorageFull):
            list(loads)
        assert engine.import_position("file") == 0
        assert rows_in(engine) == 20
        list(engine.append_tables(tables, MAPPING, key="file"))
        assert rows_in(engine) == 23


def test_rows_of_a_table_with_an_empty_insert_id_are_no_repeats_of_each_other(tmp_path):
    ids = ["", "x", None, "", "x"]
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        done = engine.append_table(
            pa.table({"u": ["a"] * 5, "t": [START] * 5, "i": ids}), {**MAPPING, "insert_id": "i"}
        )
        assert (done.accepted, done.duplicates) == (4, 1)


def test_the_log_of_a_newer_memtable_finds_the_keys_it_was_compared_with(tmp_path, monkeypatch):
    """Keys of the window are not dropped by the flush of an older memtable."""
    config = zuji.Config(background=False, threads=1, dedup_window=6)
    engine = zuji.open(tmp_path / "there", config=config)
    engine.append_batch(batch(1, rows=1, insert_id="old"))
    engine.flush()
    for number in range(2, 5):
        engine.append_batch(batch(number, rows=1, insert_id=f"{number}"))  # the first rotation
    flusher = engine._writer._flusher
    with engine._writer.lock:
        flusher.freeze()
    assert engine.append_batch(batch(5, rows=1, insert_id="old")).duplicates == 1
    for number in range(6, 11):
        engine.append_batch(batch(number, rows=1, insert_id=f"{number}"))  # the second
    before = rows_in(engine)
    flusher.flush_frozen()
    shutil.copytree(tmp_path / "there", tmp_path / "crashed")
    engine.close()
    with zuji.open(tmp_path / "crashed", config=config) as engine:
        assert rows_in(engine) == before


def test_batches_of_repeats_do_not_grow_the_log_for_ever(tmp_path):
    config = zuji.Config(background=False, threads=1, memtable_bytes=4096)
    with zuji.open(tmp_path, config=config) as engine:
        for number in range(400):
            engine.append_batch(batch(number, rows=3, insert_id="same"))
        assert rows_in(engine) == 1
        assert engine.status()["flushes"] > 3
        assert engine.status()["wal_bytes"] < 20_000


def test_a_damaged_segment_does_not_keep_others_from_being_merged(tmp_path, monkeypatch):
    month = 31 * 86_400_000
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        for number in range(6):
            event = {"event": "e", "time": START + number // 2 * month, "user_id": "u"}
            engine.append_batch(msgpack.packb({"batch_id": f"{number}", "events": [event]}))
            monkeypatch.setattr(compaction, "pick", lambda *_a, **_m: [])
            engine.flush()
        monkeypatch.undo()
        merge, tried = compaction.merge, []

        def damaged(files, group, *args, **more):
            tried.append(group)
            if len(tried) == 1:
                raise Corruption("damaged", "x", 0)
            return merge(files, group, *args, **more)

        monkeypatch.setattr(compaction, "merge", damaged)
        with pytest.raises(Corruption):
            engine.compact()
        assert len(tried) == 3
        assert engine.status()["segments"] == 4


@pytest.mark.parametrize("mode", ["w", "r"])
def test_a_file_that_is_dropped_during_a_scrub_is_no_damage(tmp_path, mode):
    config = zuji.Config(background=False, threads=1, dedup_window=3)
    with zuji.open(tmp_path, config=config) as engine:
        engine.append_batch(batch(0))
        engine.flush()
        other = engine if mode == "w" else zuji.open(tmp_path, mode="r", config=config)
        keys = next(tmp_path.rglob("*.zded"))
        segment = other._writer.segments[0]
        findings = other.scrub()
        drop = segment.scrub

        def scrub_and_drop():
            yield from drop()
            for number in range(1, 9):
                engine.append_batch(batch(number))
            engine.flush()
            assert not keys.exists()

        segment.scrub = scrub_and_drop
        assert list(findings) == []
        if mode == "w":
            next(tmp_path.rglob("*.zded")).unlink()
            segment.scrub = drop
            assert [problem.code for problem in engine.scrub()] == ["not_found"]
        else:
            other.close()


def test_a_load_may_span_all_months_that_events_may_have():
    limits = Limits()
    ends = np.array([limits.time_min_ms, limits.time_max_ms - 1])
    assert len(partition_of(ends, "UTC")[1]) <= BULK_IDS - 2  # a zone may cut one more at each end


@pytest.mark.parametrize("fails", [True, False])
def test_a_repeat_of_a_load_is_acknowledged_when_the_load_has_ended(tmp_path, monkeypatch, fails):
    write = Flusher.write_segments
    writing, go_on, acked = threading.Event(), threading.Event(), threading.Event()

    def held(self, frame, written, numbers=None, **more):
        writing.set()
        assert go_on.wait(20)
        if fails:
            raise StorageFull("no space")
        return write(self, frame, written, numbers, **more)

    columns = {"u": ["a", "b"], "t": pa.array([START, START], pa.timestamp("ms")), "i": ["x", "y"]}
    table, mapping = pa.table(columns), MAPPING | {"insert_id": "i"}
    event = {"event": "order", "time": START, "user_id": "a", "insert_id": "x"}
    outcome = []
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        monkeypatch.setattr(Flusher, "write_segments", held)

        def load():
            try:
                engine.append_table(table, mapping)
            except StorageFull:
                outcome.append("failed")

        def send():
            outcome.append(engine.append_batch(msgpack.packb([event])))
            acked.set()

        threads = [threading.Thread(target=load), threading.Thread(target=send)]
        threads[0].start()
        assert writing.wait(20)
        other = msgpack.packb([event | {"insert_id": "z"}])
        assert engine.append_batch(other).accepted == 1  # it repeats nothing and need not wait
        threads[1].start()
        assert not acked.wait(0.3)
        go_on.set()
        for thread in threads:
            thread.join(20)
        monkeypatch.setattr(Flusher, "write_segments", write)
        result = outcome[-1]
        assert (result.accepted, result.duplicates) == ((1, 0) if fails else (0, 1))
        assert rows_in(engine) == (2 if fails else 3)


def test_what_a_load_left_out_as_a_repeat_is_durable_before_the_load(tmp_path, monkeypatch):
    """The other copy is in the log, perhaps not synced: power may fail after the load's commit."""
    columns = {"u": ["a", "b"], "t": pa.array([START, START], pa.timestamp("ms")), "i": ["x", "y"]}
    table, mapping = pa.table(columns), MAPPING | {"insert_id": "i"}
    event = {"event": "order", "time": START, "user_id": "a", "insert_id": "x"}
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        writer = engine._writer
        loader, log, commit = writer._loader, writer.wal, Manifest.commit
        bind, sync = loader._bind, log.sync
        synced = []

        def after_a_batch(*arguments):
            monkeypatch.setattr(log, "sync", lambda seq: None)  # its appender is yet to sync
            engine.append_batch(msgpack.packb([event]))
            monkeypatch.setattr(log, "sync", sync)
            assert log.synced_seq < log.next_seq - 1
            return bind(*arguments)

        def seen(self, edit):
            synced.append(log.synced_seq)
            return commit(self, edit)

        monkeypatch.setattr(loader, "_bind", after_a_batch)
        monkeypatch.setattr(Manifest, "commit", seen)
        assert engine.append_table(table, mapping).duplicates == 1
        assert synced == [log.next_seq - 1]
        monkeypatch.undo()
