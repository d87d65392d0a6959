"""The queue of a project and its threads, with a storage that the test holds still."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest

from zuji.engine.errors import InvalidEvent, Overloaded, StorageFailed
from zuji.engine.writer import AppendResult
from zuji.server.collector import gather
from zuji.server.collector.gather import Gatherer, Reader
from zuji.server.collector.message import Events, Taken

ONE = Taken(events=(Events(1, 1, b"\xc0"),))
WAIT_S = 10


class Job:
    """A work that records; ``told`` is set on the loop's thread."""

    apart = ()

    def __init__(self, taken=ONE, size=10, fails=None, told_fails=False):
        self.size = size
        self.taken = taken
        self.fails = fails
        self.told_fails = told_fails
        self.outcomes = []
        self.told = threading.Event()
        self.thread = None

    def prepare(self):
        if isinstance(self.taken, Exception):
            raise self.taken
        return self.taken

    def done(self, outcome):
        self.outcomes.append(outcome)
        if self.fails and len(self.outcomes) == 1:
            raise self.fails

    def tell(self):
        self.thread = threading.current_thread()
        self.told.set()
        if self.told_fails:
            raise RuntimeError("a bug")


class Storage:
    """Stores batches when ``open`` is set; ``groups``: batches of each call."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()
        self.groups = []
        self.running = threading.Semaphore(0)
        self.answer = lambda batches: [AppendResult(1)] * len(batches)

    def append(self, batches, refused):
        self.groups.append((list(batches), list(refused)))
        self.running.release()
        assert self.open.wait(WAIT_S)
        return self.answer(batches)


@contextmanager
def gathering(storage, limit=1 << 20):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    gatherer = Gatherer("p", storage.append, loop, limit)
    gatherer.loop_thread = thread
    try:
        yield gatherer
    finally:
        storage.open.set()
        gatherer.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def results(job):
    (outcome,) = job.outcomes
    return outcome[1]


def test_what_waits_while_a_group_is_stored_is_stored_together():
    storage, first, rest = Storage(), Job(), [Job() for _ in range(50)]
    storage.open.clear()
    with gathering(storage) as gatherer:
        gatherer.put(first)
        assert storage.running.acquire(timeout=WAIT_S)
        for job in rest:
            gatherer.put(job)
        assert len(storage.groups) == 1
        storage.open.set()
        for job in (first, *rest):
            assert job.told.wait(WAIT_S)
            assert results(job) == (AppendResult(1),)
            assert job.thread is gatherer.loop_thread
        assert gatherer.waiting_bytes == 0
    assert [len(batches) for batches, _ in storage.groups] == [1, 1]
    assert storage.groups[1][0] == [b"\xdc\x00\x32" + b"\xc0" * 50]


def test_large_requests_are_stored_beside_each_other():
    storage = Storage()
    storage.open.clear()
    jobs = [Job(Taken(batches=(b"x",)), gather.BESIDE_BYTES) for _ in range(3)]
    with gathering(storage, 1 << 30) as gatherer:
        for job in jobs:
            gatherer.put(job)
            assert storage.running.acquire(timeout=WAIT_S)  # none waits for the one before
        storage.open.set()
        assert all(job.told.wait(WAIT_S) for job in jobs)


def test_a_request_that_fails_touches_no_other():
    storage = Storage()
    storage.open.clear()
    bad, bug = Job(InvalidEvent("no", 0, "bad_name")), Job(KeyError("a bug"))
    empty, clumsy = Job(Taken()), Job(fails=KeyError("a bug"))
    silent, good = Job(told_fails=True), Job()
    with gathering(storage) as gatherer:
        gatherer.put(Job())
        assert storage.running.acquire(timeout=WAIT_S)
        for job in (bad, bug, empty, clumsy, silent, good):
            gatherer.put(job)
        storage.open.set()
        for job in (bad, bug, empty, clumsy, silent, good):
            assert job.told.wait(WAIT_S)
    assert bad.outcomes[0].reason == "bad_name"
    assert isinstance(bug.outcomes[0], StorageFailed)
    assert results(empty) == ()
    assert isinstance(clumsy.outcomes[1], StorageFailed)
    assert results(good) == (AppendResult(1),)


def test_when_storing_fails_all_of_the_group_are_told():
    storage = Storage()

    def broken(_batches):
        raise StorageFailed("the disk is gone")

    storage.answer = broken
    with gathering(storage) as gatherer:
        job = Job()
        gatherer.put(job)
        assert job.told.wait(WAIT_S)
    assert str(job.outcomes[0]) == "the disk is gone"


def test_a_part_that_spoils_its_batch_is_stored_alone():
    storage = Storage()
    storage.open.clear()
    bad = Taken(events=(Events(1, 1, b"\xc1"),))

    def answer(batches):
        return [
            InvalidEvent("no", -1, "malformed") if b"\xc1" in batch else AppendResult(1)
            for batch in batches
        ]

    storage.answer = answer
    jobs = [Job(), Job(bad), Job()]
    with gathering(storage) as gatherer:
        gatherer.put(Job())
        assert storage.running.acquire(timeout=WAIT_S)
        for job in jobs:
            gatherer.put(job)
        storage.open.set()
        assert all(job.told.wait(WAIT_S) for job in jobs)
    assert results(jobs[0]) == results(jobs[2]) == (AppendResult(1),)
    assert results(jobs[1])[0].reason == "malformed"


def test_a_bug_in_storing_tells_all_and_the_threads_go_on():
    storage = Storage()
    storage.open.clear()
    odd, good = Job(Taken(events=(Events("1", 1, b"\xc0"),))), Job()  # no protocol makes that
    with gathering(storage) as gatherer:
        gatherer.put(Job())
        assert storage.running.acquire(timeout=WAIT_S)
        gatherer.put(odd)
        gatherer.put(good)
        storage.open.set()
        assert odd.told.wait(WAIT_S)
        assert good.told.wait(WAIT_S)
        for _ in range(2 * gather.THREADS):
            later = Job()
            gatherer.put(later)
            assert later.told.wait(WAIT_S)
            assert results(later) == (AppendResult(1),)


def test_bodies_that_inflate_are_stored_before_more_are_inflated(monkeypatch):
    monkeypatch.setattr(gather, "GROUP_BYTES", 1_000)
    storage = Storage()
    storage.open.clear()
    jobs = [Job(Taken(batches=(b"x" * 600,)), size=1) for _ in range(6)]
    with gathering(storage) as gatherer:
        gatherer.put(Job())
        assert storage.running.acquire(timeout=WAIT_S)
        for job in jobs:
            gatherer.put(job)
        storage.open.set()
        assert all(job.told.wait(WAIT_S) for job in jobs)
    assert [len(batches) for batches, _ in storage.groups] == [1, 2, 2, 2]


def test_too_much_is_refused_and_all_that_was_taken_is_stored_at_the_end():
    storage = Storage()
    storage.open.clear()
    jobs = [Job(size=40) for _ in range(2)]
    with gathering(storage, 100) as gatherer:
        for job in jobs:
            gatherer.put(job)
        with pytest.raises(Overloaded):
            gatherer.put(Job(size=40))
        closing = threading.Thread(target=gatherer.close)
        closing.start()
        until = time.monotonic() + WAIT_S
        while not gatherer._ending:
            assert time.monotonic() < until
        with pytest.raises(Overloaded):
            gatherer.put(Job(size=1))
        storage.open.set()
        closing.join()
        assert all(job.told.wait(WAIT_S) for job in jobs)


def test_one_request_larger_than_the_queue_is_taken_when_nothing_waits():
    storage = Storage()
    with gathering(storage, 100) as gatherer:
        job = Job(size=1000)
        gatherer.put(job)
        assert job.told.wait(WAIT_S)


def test_a_reader_tells_errors_on_the_loop_and_is_bounded():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    reader, hold, told = Reader(100, loop), threading.Event(), []
    failed = threading.Event()

    def fails():
        assert hold.wait(WAIT_S)
        raise InvalidEvent("no", 0, "bad_name")

    def tell(error):
        told.append((error.reason, threading.current_thread()))
        failed.set()

    reader.put(80, fails, tell)
    with pytest.raises(Overloaded):
        reader.put(80, fails, tell)
    hold.set()
    assert failed.wait(WAIT_S)
    assert told == [("bad_name", thread)]
    reader.put(80, lambda: None, tell)
    reader.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert len(told) == 1
