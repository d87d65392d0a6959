"""Gathering: requests that wait are stored together, so that they share one sync of the log.

The loop puts *works* into a project's queue, bounded in bytes. Threads take all that waits, prepare
each (inflate, convert), store everything in one call (:mod:`.joining` makes one batch of many small
ones), and give all outcomes back to the loop in one wake-up. A work that fails does not touch the
others of its group. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from zuji.engine.errors import Overloaded, StorageFailed, ZujiError
from zuji.server.collector.joining import Joined

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Taken

    Stored = AppendResult | ZujiError
    Outcome = tuple[Taken, Sequence[Stored]] | ZujiError

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP_BYTES = 4 << 20
"""Prepared batches of one group: the log is synced at least once for so many."""
GROUP_WORKS = 512
THREADS = 4
"""While one group is synced, the next is prepared."""


@dataclass(frozen=True, slots=True)
class Work:
    """What came with one request.

    ``size``: bytes it holds while it waits. ``prepare``: what it brings, on a thread; raises
    ZujiError. ``done``: takes that and a result a part, or the error, on the loop's thread.
    """

    size: int
    prepare: Callable[[], Taken]
    done: Callable[[Outcome], None]


class Gatherer:
    """The queue of one project and its threads."""

    def __init__(
        self,
        name: str,
        append: Callable[[Sequence[bytes], Sequence[Rejected]], Sequence[Stored]],
        loop: asyncio.AbstractEventLoop,
        queue_bytes: int,
        threads: int = THREADS,
    ) -> None:
        self._append = append
        self._loop = loop
        self._limit = queue_bytes
        self._works: deque[Work] = deque()
        self._bytes = 0  # of works that wait or are at work
        self._state = threading.Condition()
        self._ending = False
        self._threads = [
            threading.Thread(target=self._run, name=f"zuji-gather-{name}", daemon=True)
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes of requests that are not stored yet."""
        return self._bytes

    def put(self, work: Work) -> None:
        """Takes a work.

        Raises:
            Overloaded: too much waits already.
        """
        with self._state:
            if self._ending:
                raise Overloaded("the server stops", 2.0)
            if self._bytes and self._bytes + work.size > self._limit:
                raise Overloaded("too many requests wait to be stored", 1.0)
            self._bytes += work.size
            self._works.append(work)
            self._state.notify()

    def close(self) -> None:
        """Stores what waits, then ends the threads."""
        with self._state:
            self._ending = True
            self._state.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> list[Work]:
        with self._state:
            while not self._works and not self._ending:
                self._state.wait()
            taken: list[Work] = []
            size = 0
            while self._works and size < GROUP_BYTES and len(taken) < GROUP_WORKS:
                taken.append(self._works.popleft())
                size += taken[-1].size
            return taken

    def _run(self) -> None:
        while taken := self._take():
            outcomes = self._store(taken)
            with self._state:
                self._bytes -= sum(work.size for work in taken)
            try:
                self._loop.call_soon_threadsafe(_tell, taken, outcomes)
            except RuntimeError:  # the loop is closed: nobody waits for answers
                return

    def _store(self, works: Sequence[Work]) -> list[Outcome]:
        taken = [_guarded(work.prepare) for work in works]
        good = [one for one in taken if not isinstance(one, ZujiError)]
        joined = Joined(good)
        refused = [one for each in good for one in each.refused]
        if joined.batches or refused:
            stored = _guarded(lambda: self._append(joined.batches, refused))
            if isinstance(stored, ZujiError):
                return [one if isinstance(one, ZujiError) else stored for one in taken]
            results = iter(joined.apart(stored))
        else:
            results = iter([()] * len(good))
        return [one if isinstance(one, ZujiError) else (one, next(results)) for one in taken]


class Reader:
    """Threads for requests whose body tells whose they are: it is read before it is queued."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop, threads: int = 2) -> None:
        self._limit = limit
        self._loop = loop
        self._bytes = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="zuji-read")

    def put(self, size: int, read: Callable[[], None], failed: Callable[[ZujiError], None]) -> None:
        """Runs ``read`` on a thread; ``failed`` takes its error on the loop's thread.

        Raises:
            Overloaded: too much waits already.
        """
        with self._lock:
            if self._bytes and self._bytes + size > self._limit:
                raise Overloaded("too many requests wait to be read", 1.0)
            self._bytes += size
        self._pool.submit(self._run, size, read, failed)

    def _run(
        self, size: int, read: Callable[[], None], failed: Callable[[ZujiError], None]
    ) -> None:
        problem = _guarded(read)
        with self._lock:
            self._bytes -= size
        if problem is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for answers
                self._loop.call_soon_threadsafe(failed, problem)

    def close(self) -> None:
        """Reads what waits, then ends the threads."""
        self._pool.shutdown(wait=True)


def _guarded(call: Callable[[], T]) -> T | ZujiError:
    try:
        return call()
    except ZujiError as problem:
        return problem
    except Exception as bug:  # one request must not end the thread that stores for all
        log.exception("a bug while storing")
        return StorageFailed(f"internal error: {type(bug).__name__}")


def _tell(works: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
    for work, outcome in zip(works, outcomes, strict=True):
        work.done(outcome)
