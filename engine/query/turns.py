"""Whose turn it is: so many queries run at once, first come first served.

With more queries than cores, running all of them at once only makes every one of them slow; letting
them in by turns makes short ones wait for a few others, each once. A turn is *lent*: a query that
holds it longer than :data:`LENT_S` while others wait goes on running, beside the others and on its
caller's thread alone, and the turn goes to the next in line. So a heavy query delays those behind
it by a moment, not by its own length. Thread-safe. ``tick`` must be called now and then.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zuji.engine.query.context import Context

LENT_S = 0.2
"""How long a turn is kept while others wait: longer than most queries, short for people."""


class _Place:
    """One query in line; ``go`` is released when its turn has come or its end."""

    __slots__ = ("context", "go")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.go = threading.Lock()
        self.go.acquire()


class Turns:
    """The queries that run, those that ran out of their turn, and those in line."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._holders: dict[Context, float] = {}
        self._beside: set[Context] = set()
        self._line: deque[_Place] = deque()

    @property
    def running(self) -> int:
        """Queries that run now, in their turn or beside."""
        return len(self._holders) + len(self._beside)

    @property
    def waiting(self) -> int:
        """Queries in line."""
        return len(self._line)

    def in_turn(self, context: Context) -> bool:
        """Whether a running query still holds its turn."""
        return context in self._holders

    def enter(self, context: Context) -> None:
        """Waits for a turn.

        Raises:
            QueryCancelled, QueryBudgetExceeded, EngineClosed: the query ended in line.
        """
        with self._lock:
            if not self._line and len(self._holders) < self.count:
                self._holders[context] = time.perf_counter()
                return
            place = _Place(context)
            self._line.append(place)
        try:
            place.go.acquire()
            context.check()
        except BaseException:
            with self._lock:
                if place in self._line:
                    self._line.remove(place)
            self.leave(context)
            raise

    def leave(self, context: Context) -> None:
        """Ends a turn, if the query has one; the next in line goes."""
        with self._lock:
            self._holders.pop(context, None)
            self._beside.discard(context)
            self._admit()

    def tick(self) -> None:
        """Takes turns that were kept too long, and wakes those in line that are to end."""
        with self._lock:
            for place in [p for p in self._line if p.context.flag[0]]:
                self._line.remove(place)
                place.go.release()
            if not self._line:
                return
            late = time.perf_counter() - LENT_S
            for context in [c for c, since in self._holders.items() if since < late]:
                del self._holders[context]
                self._beside.add(context)
            self._admit()

    def _admit(self) -> None:
        while self._line and len(self._holders) < self.count:
            place = self._line.popleft()
            self._holders[place.context] = time.perf_counter()
            place.go.release()
