"""Gathering: requests that wait are stored together, so that they share one sync of the log.

The loop puts *works* into a project's queue, bounded in bytes. Threads take all that waits, prepare
each (inflate, convert), store everything in one call (:mod:`.joining` makes one batch of many small
ones), make the answers, and wake the loop once to tell them. Beside the works there may be a
*lane*: requests that are taken natively, many as one work. While a group of small requests is
stored the next one grows; large ones are prepared beside it. A work that fails does not touch the
others of its group. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from zuji.engine.errors import Overloaded, StorageFailed, ZujiError
from zuji.server.collector.joining import Joined

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Taken
    from zuji.server.protocols._lane import Cut, Lane

    Stored = AppendResult | ZujiError
    Outcome = tuple[Taken, Sequence[Stored]] | ZujiError

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP_BYTES = 4 << 20
"""Prepared batches of one group: the log is synced at least once for so many."""
GROUP_WORKS = 1_024
BESIDE_BYTES = 256 << 10
"""Requests that wait are taken while a group is at work only when they are so many bytes: fewer
cost less when they come together.
"""
THREADS = 4
"""While one group is synced, the next is prepared."""
LINGER_S = 0.005
"""A group begins so long after the one before, when that had many works and there are fewer now:
what storing a group costs hardly depends on its size.
"""
MANY = 8
"""Works of a group that are worth a wait."""


class Work(Protocol):
    """What came with a request, or with several. ``size``: bytes it holds while it waits.
    ``apart``: works that take over a part of it, known when it is prepared; they hold nothing of
    their own.
    """

    size: int

    @property
    def apart(self) -> Sequence[Work]: ...

    def prepare(self) -> Taken:
        """What it brings; called on a thread.

        Raises:
            ZujiError: nothing can be made of it.
        """

    def done(self, outcome: Outcome) -> None:
        """Takes what it brought and a result a part, or the error; called on a thread."""

    def tell(self) -> None:
        """Answers; called on the loop's thread, after :meth:`done`."""


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
        self._busy_bytes = 0  # of those at work
        self._busy = 0  # threads at work
        self._usual = 0.0  # works of a group lately
        self._began = 0.0  # the last group
        self._waking = False  # the loop will wake a thread
        self._lingering = 0  # threads that wait for more
        self._lane: Lane | None = None
        self._of_cut: Callable[[Cut], Work]
        self._lock = threading.Lock()
        self._state = threading.Condition(self._lock)
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
        return self._bytes + (self._lane.size if self._lane is not None else 0)

    def widen(self, lane: Lane, of_cut: Callable[[Cut], Work]) -> None:
        """Takes what comes through a lane, too; :meth:`see` is called when something came."""
        with self._lock:
            lane.others, self._lane, self._of_cut = self._bytes, lane, of_cut

    def see(self) -> None:
        """Something came through the lane; it is looked at when the loop has read all there is."""
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        assert self._lane is not None
        with self._state:
            self._lane.looked()
            if self._lane.count and (self._ready() or not (self._busy or self._lingering)):
                self._state.notify()

    def put(self, work: Work) -> None:
        """Takes a work.

        Raises:
            Overloaded: too much waits already.
        """
        with self._lock:
            if self._ending:
                raise Overloaded("the server stops", 2.0)
            held = self.waiting_bytes
            if held and held + work.size > self._limit:
                raise Overloaded("too many requests wait to be stored", 1.0)
            self._hold(work.size)
            first = not self._works and not self._busy
            self._works.append(work)
            if self._waking or not (first or self._ready()):
                return
            self._waking = True
        try:
            # Not now: what else the loop has read comes along.
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed
            self._wake()

    def close(self) -> None:
        """Stores what waits, then ends the threads."""
        with self._state:
            self._ending = True
            if self._lane is not None:
                self._lane.shut()
            self._state.notify_all()
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        with self._state:
            self._waking = False
            self._state.notify()

    def _hold(self, size: int) -> None:
        """So many bytes more are works that wait or are at work. REQUIRES: the lock."""
        self._bytes += size
        if self._lane is not None:
            self._lane.others = self._bytes

    def _waiting(self) -> int:
        return len(self._works) + (self._lane.count if self._lane is not None else 0)

    def _ready(self) -> bool:
        """Whether what waits is worth a group now. REQUIRES: the lock, and that something waits."""
        if self.waiting_bytes - self._busy_bytes >= BESIDE_BYTES:
            return True
        return not self._busy and (self._usual < MANY or self._waiting() >= self._usual)

    def _pause(self) -> float | None:
        """Seconds until a thread takes what waits; None: until it is woken. REQUIRES: the lock."""
        if self._ending:
            return 0.0
        if not self._waiting() or self._waking:
            return None
        if self._ready():
            return 0.0
        return None if self._busy else max(0.0, self._began + LINGER_S - time.monotonic())

    def _take(self) -> tuple[list[Work], int]:
        """What one group stores, and its bytes; nothing: the end."""
        with self._state:
            while (pause := self._pause()) != 0.0:
                self._lingering += pause is not None
                self._state.wait(pause)
                self._lingering -= pause is not None
            taken: list[Work] = []
            size = count = 0
            cut = self._lane.cut() if self._lane is not None else None
            if cut is not None:
                taken.append(self._of_cut(cut))
                size, count = cut.size, cut.count - 1
                self._hold(size)
            while self._works and size < GROUP_BYTES and len(taken) < GROUP_WORKS:
                taken.append(self._works.popleft())
                size += taken[-1].size
            self._usual = max(len(taken) + count, 0.95 * self._usual)
            self._began = time.monotonic()
            self._busy += 1
            self._busy_bytes += size
            if self._waiting() and self._ready():
                self._state.notify()
            return taken, size

    def _run(self) -> None:
        while True:
            taken, size = self._take()
            if not taken:
                return
            self._finish(taken)
            with self._state:
                self._hold(-size)
                self._busy_bytes -= size
                self._busy -= 1
            try:
                self._loop.call_soon_threadsafe(_tell, taken)
            except RuntimeError:  # the loop is closed: nobody waits for answers
                return

    def _finish(self, works: list[Work]) -> None:
        """Prepares and stores, at most so many prepared bytes at once: small bodies may inflate.
        Works that are apart from others join the list.
        """
        ready: list[tuple[Work, Taken | ZujiError]] = []
        size = 0
        for work in works:
            taken = _guarded(work.prepare)
            ready.append((work, taken))
            works += work.apart
            if not isinstance(taken, ZujiError):
                size += sum([len(batch) for batch in taken.batches])
                size += sum([len(events.data) for events in taken.events])
            if size >= GROUP_BYTES:
                self._conclude(ready)
                ready, size = [], 0
        self._conclude(ready)

    def _conclude(self, ready: Sequence[tuple[Work, Taken | ZujiError]]) -> None:
        outcomes = _guarded(lambda: self._store([taken for _, taken in ready]))
        for at, (work, _) in enumerate(ready):
            try:
                work.done(outcomes if isinstance(outcomes, ZujiError) else outcomes[at])
            except Exception as bug:
                log.exception("a bug while answering")
                work.done(StorageFailed(f"internal error: {type(bug).__name__}"))

    def _store(self, taken: Sequence[Taken | ZujiError]) -> list[Outcome]:
        good = [one for one in taken if not isinstance(one, ZujiError)]
        joined = Joined(good)
        refused = [one for each in good for one in each.refused]
        if joined.batches or refused:
            stored = _guarded(lambda: self._append(joined.batches, refused))
            if isinstance(stored, ZujiError):
                return [one if isinstance(one, ZujiError) else stored for one in taken]
            results = iter(joined.apart(stored, self._alone(joined, stored)))
        else:
            results = iter([()] * len(good))
        return [one if isinstance(one, ZujiError) else (one, next(results)) for one in taken]

    def _alone(self, joined: Joined, stored: Sequence[Stored]) -> dict[int, Sequence[Stored]]:
        """Stores part by part what could not be read when it was joined; results by batch."""
        again = joined.spoiled(stored)
        if again:
            log.error("joined events were no batch: storing each request's alone")
        found: dict[int, Sequence[Stored]] = {}
        for at, parts in again.items():
            results = _guarded(lambda parts=parts: self._append(parts, ()))  # type: ignore[misc]
            found[at] = [results] * len(parts) if isinstance(results, ZujiError) else results
        return found


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
        # The request will hold the error: a bomb would stay inflated.
        return problem.bare()
    except Exception as bug:  # one request must not end the thread that stores for all
        log.exception("a bug while storing")
        return StorageFailed(f"internal error: {type(bug).__name__}")


def _tell(works: Sequence[Work]) -> None:
    for work in works:
        try:
            work.tell()
        except Exception:  # the others of the group wait for their answers
            log.exception("a bug while telling")
