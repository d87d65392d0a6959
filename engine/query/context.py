"""One running query: its budgets, its cancel flag, its counters and the threads it may use.

Kernels poll :attr:`Context.flag`. It is raised by :meth:`Cancel.cancel`, by the first piece that
fails, and at the deadline by the crew's watcher, so a query of any shape ends within 200 ms of its
end being asked for. Use it as a context manager around the query: entering waits for the query's
turn. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from zuji.engine.errors import EngineClosed, QueryBudgetExceeded, QueryCancelled
from zuji.engine.query.crew import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from zuji.engine.query.crew import Crew
    from zuji.engine.types import U8

T = TypeVar("T")
R = TypeVar("R")


class Cancel:
    """Hand one to ``Engine.query`` and call :meth:`cancel` from any thread."""

    def __init__(self) -> None:
        self.flag: U8 = np.zeros(1, dtype=np.uint8)
        self._flags: list[U8] = []

    def cancel(self) -> None:
        """Ends the query with :class:`QueryCancelled`."""
        self.flag[0] = 1
        for flag in tuple(self._flags):
            flag[0] = 1

    @property
    def cancelled(self) -> bool:
        """True once :meth:`cancel` was called."""
        return bool(self.flag[0])

    def _link(self, flag: U8) -> None:
        """Raises ``flag`` too when cancelled."""
        self._flags.append(flag)

    def _unlink(self, flag: U8) -> None:
        self._flags = [f for f in self._flags if f is not flag]


class Context:
    """Budgets and counters of one query. ``small``: so little to read that one thread is best."""

    def __init__(
        self,
        *,
        seconds: float,
        memory_bytes: int,
        crew: Crew,
        cancel: Cancel | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.deadline = self.started + seconds
        self.seconds = seconds
        self.memory_bytes = memory_bytes
        self.cancel = cancel or Cancel()
        self.flag: U8 = np.zeros(1, dtype=np.uint8)
        self.rows_read = 0
        self.bytes_read = 0
        self.charged = 0
        self.warnings: list[str] = []
        self.used_index = False
        self.small = False
        self._crew = crew
        self._progress = progress
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.cancel._link(self.flag)
        try:
            self._crew.enter(self)
        except BaseException:
            self.cancel._unlink(self.flag)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel._unlink(self.flag)
        self._crew.leave(self)
        if isinstance(error, QueryCancelled):  # kernels know the flag, not why it was raised
            self._raise_end()
        if isinstance(error, MemoryError):
            raise QueryBudgetExceeded(
                "the machine has not the memory that the query needs; narrow the time range, add a "
                "filter, or group by a property with fewer values"
            ) from error

    @property
    def elapsed_ms(self) -> float:
        """Since the query was asked."""
        return round((time.perf_counter() - self.started) * 1000, 3)

    def warn(self, message: str) -> None:
        """Adds a warning once."""
        with self._lock:
            if message not in self.warnings:
                self.warnings.append(message)

    def read(self, rows: int, nbytes: int) -> None:
        """Counts rows and bytes read."""
        with self._lock:
            self.rows_read += rows
            self.bytes_read += nbytes

    def charge(self, nbytes: int) -> None:
        """Takes memory from the budget, and from what all queries together may hold.

        Raises:
            QueryBudgetExceeded: the budget is used up.
            QueryCancelled, EngineClosed: the query ended while it waited for memory of others.
        """
        with self._lock:
            self.charged += nbytes
            over = self.charged > self.memory_bytes
        if over:
            raise QueryBudgetExceeded(
                f"the query needs more than its {self.memory_bytes >> 20} MiB of memory; narrow "
                "the time range, add a filter, group by a property with fewer values, or raise the "
                "budget"
            )
        self._crew.memory.take(self, nbytes)

    def release(self, nbytes: int) -> None:
        """Gives back what was charged and is no longer held."""
        with self._lock:
            self.charged -= nbytes
        self._crew.memory.give(self, nbytes)

    def check(self) -> None:
        """Raises when the query was cancelled, is past its deadline or failed in another thread."""
        if self.flag[0] or self.cancel.flag[0] or time.perf_counter() > self.deadline:
            self.flag[0] = 1
            self._raise_end()
            raise QueryCancelled("the query was ended")

    def tick(self) -> None:
        """Raises the flag when the query is to end; called by the crew's watcher."""
        if self.cancel.flag[0] or time.perf_counter() > self.deadline:
            self.flag[0] = 1

    def _raise_end(self) -> None:
        """Raises what ended the query, if it was ended from outside."""
        if self.cancel.flag[0]:
            raise QueryCancelled("the query was cancelled") from None
        if time.perf_counter() > self.deadline:
            raise QueryBudgetExceeded(
                f"the query took longer than its {self.seconds:g} s; narrow the time range, add a "
                "filter, or raise the budget"
            ) from None
        if self._crew.closed:
            raise EngineClosed("the engine is closed") from None

    def map(self, work: Callable[[T], R], items: Sequence[T], *, light: bool = False) -> list[R]:
        """``work`` over ``items``, in order; on this thread, and on idle ones unless ``light``.

        ``light``: well under a millisecond in all, so that handing over costs more than it gives.
        Ends early on cancel, deadline or the first error.
        """
        self.check()
        if light or self.small or len(items) < 2 or self._crew.threads < 2:
            return self._alone(work, items)
        pieces = Pieces(self, work, items)
        self._crew.share(pieces, len(items) - 1)
        try:
            while pieces.one():
                self._report(pieces.done / len(items))
            pieces.wait()
        finally:
            self._crew.unshare(pieces)
        if pieces.problem is not None:
            raise pieces.problem
        if pieces.done < len(items):
            self.check()
        self._report(1.0)
        results: list[Any] = pieces.results
        return results

    def _alone(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        results = []
        for item in items:
            self.check()
            results.append(work(item))
            self._report(len(results) / len(items))
        return results

    def _report(self, share: float) -> None:
        if self._progress is not None:
            self._progress(share)
