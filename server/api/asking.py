"""Running an engine's calls for HTTP: a bounded number at once, cancelled when nobody listens.

A query runs on a thread of a pool of its own, so that neither slow queries nor slow disks hold up
the loop. Used on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import Overloaded, QueryCancelled, ZujiError
from zuji.server.api.problems import INTERNAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from zuji.engine.query.context import Cancel
    from zuji.server.metrics import Metrics
    from zuji.server.settings import Settings


class Desk:
    """Where queries wait for a thread."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        count = max(1, settings.query_concurrency)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="zuji-query")
        self._most = count + settings.query_waiting
        self._metrics = metrics
        self._there = 0
        self._cancels: set[Cancel] = set()

    async def run(
        self, call: Callable[[], Any], cancel: Cancel, gone: Callable[[], Awaitable[Any]]
    ) -> Any:
        """The result of ``call`` on a thread. ``gone`` returns when the client is gone: then
        ``cancel`` is raised.

        Raises:
            Overloaded: too many wait. ZujiError: of the call.
        """
        if self._there >= self._most:
            self._metrics.queried("overloaded", 0.0)
            raise Overloaded("too many queries wait for their turn", 2.0)
        began = time.perf_counter()
        outcome = INTERNAL
        self._there += 1
        self._metrics.running(1)
        self._cancels.add(cancel)
        loop = asyncio.get_running_loop()
        work = asyncio.ensure_future(loop.run_in_executor(self._pool, _unless(cancel, call)))
        left = asyncio.ensure_future(gone())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                cancel.cancel()
            found = await work
        except ZujiError as problem:
            outcome = problem.code
            raise
        except asyncio.CancelledError:
            cancel.cancel()
            outcome = QueryCancelled.code
            raise
        else:
            outcome = "ok"
            return found
        finally:
            left.cancel()
            self._cancels.discard(cancel)
            self._there -= 1
            self._metrics.running(-1)
            self._metrics.queried(outcome, time.perf_counter() - began)

    def close(self) -> None:
        """Cancels what runs and waits for it."""
        for cancel in tuple(self._cancels):
            cancel.cancel()
        self._pool.shutdown(wait=True)


def _unless(cancel: Cancel, call: Callable[[], Any]) -> Callable[[], Any]:
    """Does not begin what was cancelled while it waited."""

    def run() -> Any:
        if cancel.cancelled:
            raise QueryCancelled("the client went away")
        return call()

    return run
