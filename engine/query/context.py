"""One running query: its budgets, its cancel flag, its counters and the threads it may use.

Kernels poll :attr:`Context.flag`; the calling thread waits for the workers and raises the flag at
the deadline, so a query of any shape ends within 200 ms of its end being asked for. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from zuji.engine.errors import QueryBudgetExceeded, QueryCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zuji.engine.types import U8

T = TypeVar("T")
R = TypeVar("R")


class Cancel:
    """Hand one to ``Engine.query`` and call :meth:`cancel` from any thread."""

    def __init__(self) -> None:
        self.flag: U8 = np.zeros(1, dtype=np.uint8)

    def cancel(self) -> None:
        """Ends the query with :class:`QueryCancelled`."""
        self.flag[0] = 1

    @property
    def cancelled(self) -> bool:
        """True once :meth:`cancel` was called."""
        return bool(self.flag[0])


class Context:
    """Budgets and counters of one query."""

    def __init__(
        self,
        *,
        seconds: float,
        memory_bytes: int,
        pool: ThreadPoolExecutor,
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
        self._pool = pool
        self._progress = progress
        self._lock = threading.Lock()

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
        """Takes memory from the budget.

        Raises:
            QueryBudgetExceeded: the budget is used up.
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

    def check(self) -> None:
        """Raises when the query was cancelled or is past its deadline."""
        if self.cancel.flag[0]:
            self.flag[0] = 1
            raise QueryCancelled("the query was cancelled")
        if time.perf_counter() > self.deadline:
            self.flag[0] = 1
            raise self._too_slow()

    def _too_slow(self) -> QueryBudgetExceeded:
        return QueryBudgetExceeded(
            f"the query took longer than its {self.seconds:g} s; narrow the time range, add a "
            "filter, or raise the budget"
        )

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """``work`` over ``items`` on the pool, in order. Ends early on cancel, deadline or the
        first error.
        """
        self.check()
        futures: list[Future[R]] = [self._pool.submit(self._guarded, work, item) for item in items]
        waiting: set[Future[Any]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.02, return_when=FIRST_COMPLETED)
            if done:
                self._report(1 - len(waiting) / len(futures))
            problem = next((f.exception() for f in done if f.exception() is not None), None)
            if problem is None and self.cancel.flag[0]:
                problem = QueryCancelled("the query was cancelled")
            if problem is None and time.perf_counter() > self.deadline:
                problem = self._too_slow()
            if problem is not None:
                self._stop(futures, problem)
        return [f.result() for f in futures]

    def _stop(self, futures: Iterable[Future[Any]], problem: BaseException) -> None:
        self.flag[0] = 1
        for future in futures:
            future.cancel()
        raise problem

    def _guarded(self, work: Callable[[T], R], item: T) -> R:
        self.check()
        return work(item)

    def _report(self, share: float) -> None:
        if self._progress is not None:
            self._progress(share)
