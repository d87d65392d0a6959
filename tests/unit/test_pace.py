"""How many threads a flush takes, and from which pool."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from zuji.engine.writer.pace import Loud, Quiet

THREADS = 3


class Pieces:
    """Pieces that are made when the test says so. ``most``: made at once so far; ``pools``: of the
    threads that made each.
    """

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.most = self.now = 0
        self.pools = {}
        self.lock = threading.Lock()

    def make(self, one):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.pools[one] = threading.current_thread().name.rpartition("_")[0]
        self.begun.release()
        assert self.go.acquire(timeout=30)
        with self.lock:
            self.now -= 1
        if one == "bad":
            raise ValueError(one)
        return one * 2


@pytest.fixture
def state():
    with (
        ThreadPoolExecutor(THREADS, thread_name_prefix="loud") as pool,
        ThreadPoolExecutor(THREADS, thread_name_prefix="quiet") as quiet,
    ):
        yield SimpleNamespace(
            pool=pool,
            quiet_pool=quiet,
            frozen=(object(),),
            config=SimpleNamespace(threads=THREADS),
            full=lambda: 0.0,
        )


def running(pace, pieces, of):
    found = []
    thread = threading.Thread(target=lambda: found.append(pace.map(pieces.make, of)))
    thread.start()
    return thread, found


def test_nobody_waits_one_thread_gives_way(state):
    pieces = Pieces()
    pieces.go.release(4)
    assert Quiet(state).map(pieces.make, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert pieces.most == 1
    assert set(pieces.pools.values()) == {"quiet"}


def test_a_memtable_that_fills_faster_gets_all_threads_which_still_give_way(state):
    pieces = Pieces()
    thread, found = running(Quiet(state), pieces, [1, 2, 3, 4])
    assert pieces.begun.acquire(timeout=30)
    assert not pieces.begun.acquire(timeout=0.2)  # one of four is begun, and the memtable is empty
    state.full = lambda: 0.3
    for _ in range(THREADS - 1):
        assert pieces.begun.acquire(timeout=30)
    assert not pieces.begun.acquire(timeout=0.2)
    pieces.go.release(4)
    thread.join(30)
    assert found == [[2, 4, 6, 8]]
    assert set(pieces.pools.values()) == {"quiet"}


def test_when_appending_waits_nothing_gives_way(state):
    pieces = Pieces()
    thread, found = running(Quiet(state), pieces, [1, 2, 3, 4])
    assert pieces.begun.acquire(timeout=30)
    state.frozen = (object(), object())
    for _ in range(THREADS - 1):
        assert pieces.begun.acquire(timeout=30)
    pieces.go.release(4)
    thread.join(30)
    assert found == [[2, 4, 6, 8]]
    assert pieces.pools == {1: "quiet", 2: "loud", 3: "loud", 4: "loud"}


def test_somebody_waits_all_threads_at_once(state):
    pieces = Pieces()
    thread, found = running(Loud(state), pieces, [1, 2, 3])
    for _ in range(THREADS):
        assert pieces.begun.acquire(timeout=30)
    pieces.go.release(3)
    thread.join(30)
    assert found == [[2, 4, 6]]
    assert set(pieces.pools.values()) == {"loud"}


def test_an_error_comes_when_nothing_runs_any_more(state):
    pieces = Pieces()
    pieces.go.release(4)
    with pytest.raises(ValueError, match="bad"):
        Loud(state).map(pieces.make, [1, "bad", 3])
    assert pieces.now == 0


def test_nothing_to_make(state):
    assert Quiet(state).map(Pieces().make, []) == []
