"""The threads that queries share: helpers, and one that watches the clock.

A query works on its caller's thread. Helpers take pieces of it while there are fewer running
queries than cores: one query alone has all cores, and with many each has its own thread and nobody
waits for a pool. Helpers go round the queries, one piece at a time. The watcher raises the flag of
a query that was cancelled or is past its deadline, which kernels poll: nothing else needs to wake
up. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from zuji.engine.errors import QueryCancelled
from zuji.engine.query.memory import Memory
from zuji.engine.query.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.context import Context

T = TypeVar("T")
R = TypeVar("R")

TICK_S = 0.05
"""How often the watcher looks while queries run: a cancelled query ends within 200 ms."""
CLOSE_S = 10.0
"""How long closing waits for queries to notice."""


class Pieces(Generic[T, R]):
    """Work cut into pieces that any thread takes one by one, in order."""

    def __init__(self, context: Context, work: Callable[[T], R], items: Sequence[T]) -> None:
        self.context = context
        self.results: list[Any] = [None] * len(items)
        self.problem: BaseException | None = None
        self.done = 0
        self._work = work
        self._items = items
        self._next = 0
        self._running = 0
        self._change = threading.Condition(threading.Lock())

    @property
    def left(self) -> bool:
        """Whether a piece is still to be taken."""
        return self._next < len(self._items) and self.problem is None

    def one(self) -> bool:
        """Does the next piece on this thread; False when there is none."""
        with self._change:
            if not self.left:
                return False
            at = self._next
            self._next += 1
            self._running += 1
        problem: BaseException | None = None
        try:
            self.context.check()
            self.results[at] = self._work(self._items[at])
        except BaseException as error:
            problem = error
        with self._change:
            self._running -= 1
            self.done += problem is None
            if problem is not None:
                self.context.flag[0] = 1
                if self.problem is None or isinstance(self.problem, QueryCancelled):
                    self.problem = problem
            self._change.notify_all()
        return True

    def wait(self) -> None:
        """Waits for pieces that other threads took; not for those of a query that is to end."""
        with self._change:
            while self._running and not self.context.flag[0]:
                self._change.wait(TICK_S)


class Crew:
    """Helpers, turns and memory of one engine."""

    def __init__(self, threads: int, memory_bytes: int) -> None:
        self.threads = threads
        self.turns = Turns(threads + 1)
        self.memory = Memory(memory_bytes)
        self.closed = False
        self._lock = threading.Condition(threading.Lock())
        self._open: deque[Pieces[Any, Any]] = deque()
        self._active: dict[Context, None] = {}
        self._helping = 0
        self._helpers: list[threading.Thread] = []
        self._watcher: threading.Thread | None = None
        self._work = threading.Event()

    # -- queries come and go -------------------------------------------------------------------

    def enter(self, context: Context) -> None:
        """Waits for the query's turn. Raises what ends it meanwhile."""
        with self._lock:
            self._active[context] = None
            if self.closed:
                context.flag[0] = 1
            if self._watcher is None and not self.closed:
                self._watcher = threading.Thread(
                    target=self._watch, name="zuji-query-clock", daemon=True
                )
                self._watcher.start()
        if not self._work.is_set():
            self._work.set()
        self.memory.enter(context)
        try:
            context.check()
            self.turns.enter(context)
        except BaseException:
            self.leave(context)
            raise

    def leave(self, context: Context) -> None:
        """The query has ended."""
        self.turns.leave(context)
        self.memory.leave(context)
        with self._lock:
            self._active.pop(context, None)
            if self._open or self.closed:
                self._lock.notify_all()

    # -- helping -------------------------------------------------------------------------------

    def share(self, pieces: Pieces[Any, Any], count: int) -> None:
        """Lets helpers take from ``pieces``, which the caller works on too."""
        with self._lock:
            if self.closed:
                return
            self._open.append(pieces)
            free = min(self._free(), count)
            while len(self._helpers) < min(self.threads - 1, self._helping + free):
                helper = threading.Thread(
                    target=self._help, name=f"zuji-query-{len(self._helpers)}", daemon=True
                )
                self._helpers.append(helper)
                helper.start()
            if free > 0:
                self._lock.notify(free)

    def unshare(self, pieces: Pieces[Any, Any]) -> None:
        """Nobody takes from ``pieces`` any more."""
        with self._lock:
            if pieces in self._open:
                self._open.remove(pieces)

    def _free(self) -> int:
        return self.threads - self.turns.running - self._helping

    def _help(self) -> None:
        while True:
            with self._lock:
                pieces = self._pick()
                while pieces is None:
                    if self.closed:
                        return
                    self._lock.wait()
                    pieces = self._pick()
                self._helping += 1
            try:
                pieces.one()
            finally:
                with self._lock:
                    self._helping -= 1
            del pieces

    def _pick(self) -> Pieces[Any, Any] | None:
        """The next query in the round that can use help; those in their turn first."""
        if self._free() <= 0:
            return None
        last = None
        for _ in range(len(self._open)):
            pieces = self._open[0]
            self._open.rotate(-1)
            if pieces.left:
                if self.turns.in_turn(pieces.context):
                    return pieces
                last = pieces
        return last

    # -- the clock -----------------------------------------------------------------------------

    def _watch(self) -> None:
        idle = 0
        while not self.closed:
            if idle > 1 / TICK_S:
                self._work.clear()
                if not self._active:
                    self._work.wait()
                idle = 0
            time.sleep(TICK_S)
            active = list(self._active)
            idle = 0 if active else idle + 1
            for context in active:
                context.tick()
            self.turns.tick()

    def close(self) -> None:
        """Ends running queries and the threads."""
        with self._lock:
            self.closed = True
            self._lock.notify_all()
            for context in self._active:
                context.flag[0] = 1
        self._work.set()
        self.turns.tick()
        until = time.perf_counter() + CLOSE_S
        with self._lock:
            while self._active and time.perf_counter() < until:
                self._lock.wait(TICK_S)
        here = threading.current_thread()
        for thread in [*self._helpers, self._watcher]:
            if thread is not None and thread is not here:
                thread.join(CLOSE_S)
