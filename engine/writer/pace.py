"""How hard a flush works: as little as it takes.

Nobody waits for a flush at first: one thread of two writes segments, at a low priority, so that
appending and queries come first. When the memtable that grows meanwhile fills faster than segments
are written, all threads do, still giving way; and when appending waits for room, they no longer do.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.writer.state import State

LOOK_S = 0.02
"""Between two looks at how full the memtable is."""
Given = TypeVar("Given")
Made = TypeVar("Made")


class Loud:
    """All threads, at once."""

    def __init__(self, state: State) -> None:
        self._state = state

    def map(self, make: Callable[[Given], Made], of: Sequence[Given]) -> list[Made]:
        """What is made of each, in their order. When this ends, even by an error, nothing runs."""
        state = self._state
        waiting = deque(enumerate(of))
        running: dict[Future[Made], int] = {}
        found: dict[int, Made] = {}
        try:
            while waiting or running:
                quiet, most = self._pace(len(of) - len(waiting), len(of))
                pool = state.quiet_pool if quiet else state.pool
                while waiting and len(running) < most:
                    at, one = waiting.popleft()
                    running[pool.submit(make, one)] = at
                done, _ = wait(running, LOOK_S if waiting else None, FIRST_COMPLETED)
                for future in done:
                    found[running.pop(future)] = future.result()
        finally:
            wait(running)
        return [found[at] for at in range(len(of))]

    def _pace(self, _begun: int, _all: int) -> tuple[bool, int]:
        """Whether to give way, and how many threads."""
        return False, self._state.config.threads


class Quiet(Loud):
    """As little as keeps up."""

    def _pace(self, begun: int, all_: int) -> tuple[bool, int]:
        state = self._state
        if len(state.frozen) > 1:  # appending waits, or soon will
            return False, state.config.threads
        behind = state.full() * all_ > begun
        return True, state.config.threads if behind else max(1, state.config.threads // 2)
