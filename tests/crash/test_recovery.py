"""Opening a project: what is missing is said, what is busy waited for, what is full still opens."""

from __future__ import annotations

import errno
import gc
import os
import signal
import threading

import pytest

from tests.crash.fault_files import Fault, FaultyFiles, full_from
from tests.crash.process import apart, run_killed
from tests.crash.scenario import (
    CONFIG,
    LEDGER,
    MAPPING,
    NOW_MS,
    Client,
    batch,
    check,
    contents,
    open_engine,
    table,
)
from zuji.engine.engine import open_project
from zuji.engine.errors import StorageFull, ZujiError
from zuji.engine.storage import names
from zuji.engine.storage.files import Files


def killed_after(root, steps, first_batch=1):
    """Do steps and die; the acknowledged numbers."""

    def work(ack):
        client = Client(Files(), root, ack, next_batch=first_batch)
        client.open()
        for step in steps:
            client.step(step)
        os.kill(os.getpid(), signal.SIGKILL)

    return run_killed(work)


def reader(root, files=None):
    return open_project(root, mode="r", config=CONFIG, files=files or Files(), clock=lambda: NOW_MS)


def test_a_missing_log_file_is_not_passed_over_in_silence(fast_path):
    killed_after(fast_path, "aaa")
    killed_after(fast_path, "aaa", first_batch=4)
    os.remove(os.path.join(fast_path, "default", names.wal(1)))

    def work(opened):
        try:
            engine = opened()
        except ZujiError:
            return True
        damage = engine.status()["wal_damage"] or list(engine.scrub())
        engine.close()
        return bool(damage)

    assert apart(lambda: work(lambda: reader(fast_path)))
    assert apart(lambda: work(lambda: open_engine(Files(), fast_path)))


def test_a_damaged_log_record_is_reported_and_the_rest_is_kept(fast_path):
    killed_after(fast_path, "aaaa")
    path = os.path.join(fast_path, "default", names.wal(1))
    data = bytearray(Files().read(path))
    data[120] ^= 4
    with open(path, "wb") as file:
        file.write(data)

    def work():
        engine = open_engine(Files(), fast_path)
        stored, _ = contents(engine)
        damage = engine.status()["wal_damage"]
        engine.close()
        return stored, len(damage), len(os.listdir(os.path.join(fast_path, "default/quarantine")))

    assert apart(work) == ({2, 3, 4}, 1, 1)


def test_a_reader_that_meets_a_flush_sees_everything(fast_path):
    class Meeting(Files):
        """Before the reader lists the log, the writer flushes and trims it."""

        met = False

        def list(self, path):
            if os.fspath(path).endswith(names.WAL_DIR) and not self.met:
                Meeting.met = True
                for step in "afaa":
                    client.step(step)
            return super().list(path)

    client = Client(Files(), fast_path)

    def work():
        client.open()
        for step in "aafaa":
            client.step(step)
        engine = reader(fast_path, Meeting())
        seen, _ = contents(engine)
        engine.close()
        client.close()
        return seen

    assert apart(work) >= {1, 2, 3, 4, 5}


def test_a_reader_that_meets_a_compaction_sees_everything(fast_path):
    class Meeting(Files):
        """Before the reader maps its first segment, the writer merges them all away."""

        met = False

        def map(self, path):
            if not self.met:
                self.met = True
                client.step("c")
            return super().map(path)

    client = Client(Files(), fast_path)

    def work():
        client.open()
        for step in "aafaafaaf":
            client.step(step)
        engine = reader(fast_path, Meeting())
        seen, _ = contents(engine)
        engine.close()
        client.close()
        return seen

    assert apart(work) == {1, 2, 3, 4, 5, 6}


def test_opening_and_closing_leaks_no_descriptors_and_no_threads(fast_path):
    def work():
        Client(Files(), fast_path).run("aafat")

        def once():
            open_engine(Files(), fast_path).close()
            reader(fast_path).close()
            gc.collect()
            return len(os.listdir("/proc/self/fd")), threading.active_count()

        first = once()
        for _ in range(10):
            last = once()
        return first, last

    first, last = apart(work)
    assert first == last


def test_a_full_disk_still_opens_answers_and_goes_on_when_freed(fast_path):
    acked = killed_after(fast_path, "aaafaaa")

    def work():
        files = FaultyFiles()
        files.plan, free = full_from(0, errno.ENOSPC)
        client = Client(files, fast_path, next_batch=7)
        client.open()
        assert contents(client.engine)[0] == set(acked)
        for _ in range(3):
            with pytest.raises(StorageFull):
                client.step("a")
        assert contents(client.engine)[0] == set(acked)
        free()
        client.step("a")
        client.step("f")
        client.close()

    apart(work)
    apart(lambda: check(fast_path, {*acked, 7}))


@pytest.mark.parametrize("growing", [3, 12, 20])
@pytest.mark.usefixtures("same_project")
def test_a_table_refused_by_a_full_disk_is_taken_when_there_is_space(fast_path, growing):
    def work():
        files = FaultyFiles()
        client = Client(files, fast_path)
        client.open()
        client.step("a")
        files.plan, free = full_from(growing, errno.ENOSPC)
        with pytest.raises(StorageFull):
            client.step("t")
        assert client.engine.import_position(LEDGER) == 0
        free()
        client.step("t")
        client.step("a")
        stored = contents(client.engine)
        client.close()
        return stored

    assert apart(work) == ({1, 2}, {1})


def test_a_refused_batch_leaves_the_next_ones_whole(fast_path):
    """Garbage between good batches: refused, never stored in part, never in the way."""

    def work():
        client = Client(Files(), fast_path)
        client.open()
        for n in (1, 2):
            client.step("a")
            for wrong in (b"", b"\xc1", batch(n)[:-3], batch(n) + b"\0", b"\xa3abc"):
                with pytest.raises(ZujiError):
                    client.engine.append_batch(wrong)
        with pytest.raises(ZujiError):
            client.engine.append_table(table(1), {"event_name": "order", "user": "nobody"})
        client.close()
        engine = open_engine(Files(), fast_path)
        stored = contents(engine)
        engine.close()
        return stored

    assert apart(work) == ({1, 2}, set())


@pytest.mark.usefixtures("same_project")
def test_a_stream_of_tables_that_fails_in_the_middle_leaves_no_hole(fast_path):
    """Tables are written two at a time; one that fails must take those after it along.

    Else the ledger says that everything up to a later table is stored, and the hole stays for ever.
    """

    def stream(engine, first):
        return engine.append_tables([(table(n), n) for n in range(first, 6)], MAPPING, key=LEDGER)

    def work(failing):
        root = os.path.join(fast_path, str(failing))
        files = FaultyFiles()
        engine = open_engine(files, root)
        made = []

        def plan(_site, op):
            if op.kind == "create" and names.SEGMENT_DIR in op.path:
                made.append(op.path)
                if len(made) == failing:
                    return Fault(errno.ENOSPC)
            return None

        files.plan = plan
        try:
            with pytest.raises(StorageFull):
                list(stream(engine, 1))
            first = engine.import_position(LEDGER) + 1
            contents(engine)
            list(stream(engine, first))
            return contents(engine)
        finally:
            engine.close()

    for failing in range(1, 16):
        try:
            assert apart(lambda n=failing: work(n)) == (set(), {1, 2, 3, 4, 5})
        except AssertionError as error:
            raise AssertionError(f"segment file {failing} failed: {error}") from None


def test_a_failed_manifest_is_not_fed_with_more_files(fast_path):
    """Every try to flush would leave segments that nobody dares to remove."""

    def work():
        files = FaultyFiles()
        client = Client(files, fast_path)
        client.open()
        for step in "aaf":
            client.step(step)
        client.step("a")

        def plan(_site, op):
            manifest = op.kind == "sync" and "MANIFEST" in op.path
            return Fault(errno.EIO) if manifest else None

        files.plan = plan
        counts = []
        for _ in range(6):
            with pytest.raises(ZujiError):
                client.step("f")
            counts.append(len(os.listdir(os.path.join(fast_path, "default/segments"))))
        client.close()
        return counts

    counts = apart(work)
    assert counts[-1] == counts[0]
    apart(lambda: check(fast_path, {1, 2, 3}))


def test_a_table_that_cannot_be_bound_can_be_sent_again(fast_path):
    """Its keys were taken before something went wrong: they must not count as stored."""
    from zuji.engine.index.identity import Identity

    def work():
        client = Client(Files(), fast_path)
        client.open()
        resolve = Identity.resolve

        def broken(_self, _data, _offsets):
            raise MemoryError

        Identity.resolve = broken
        with pytest.raises(MemoryError):
            client.step("t")
        Identity.resolve = resolve
        client.step("t")
        stored = contents(client.engine)
        client.close()
        return stored

    assert apart(work) == (set(), {1})
