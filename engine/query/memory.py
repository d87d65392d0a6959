"""The memory that all queries of an engine may hold together.

Each query has a budget of its own; this is their sum's. A query that would go over the sum waits
until others end. The one that runs longest never waits, so somebody always comes to an end; the sum
may be passed by that one's own budget. Thread-safe.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zuji.engine.query.context import Context

POLL_S = 0.05
"""How often a waiting query looks whether it was cancelled."""


class Memory:
    """Bytes held by running queries, at most ``total``."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._held: dict[Context, int] = {}
        self._freed = threading.Condition()

    def enter(self, context: Context) -> None:
        """Registers a query; the order of entering is the order of age."""
        with self._freed:
            self._held[context] = 0

    def take(self, context: Context, nbytes: int) -> None:
        """Adds to what a query holds; waits for others when the sum is used up.

        Raises:
            QueryCancelled, QueryBudgetExceeded, EngineClosed: the query ended while it waited.
        """
        with self._freed:
            while self.used + nbytes > self.total and context is not next(
                iter(self._held), context
            ):
                context.check()
                self._freed.wait(POLL_S)
            if context in self._held:
                self.used += nbytes
                self._held[context] += nbytes

    def give(self, context: Context, nbytes: int) -> None:
        """Takes back a part of what a query holds."""
        with self._freed:
            if context in self._held:
                self.used -= nbytes
                self._held[context] -= nbytes
                self._freed.notify_all()

    def leave(self, context: Context) -> None:
        """Gives back all that a query holds."""
        with self._freed:
            self.used -= self._held.pop(context, 0)
            self._freed.notify_all()
