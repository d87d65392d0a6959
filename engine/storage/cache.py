"""Decoded columns kept between queries: least recently used go first, within a budget of bytes.

One cache an engine. A key names a segment (by a number that no other segment of the process has), a
run and a stream, so what is kept never goes stale: segments do not change. Values are read-only
arrays, tuples of them, or columns (whose dictionary belongs to the segment). A miss decodes outside
the lock: two threads may decode the same stream at once, and the first to end is kept. A segment
may be freed by the garbage collector at any moment, even in a thread that holds the lock, so what
is called then (:meth:`ColumnCache.gone`) only notes it. Thread-safe. O(1) a look-up.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.types import Column

if TYPE_CHECKING:
    from collections.abc import Callable

    Key = tuple[int, str, str]

SHARE = 5
"""One part in so many of the machine's memory is the budget when none is given."""
_OVERHEAD = 200
_CGROUP_LIMIT = "/sys/fs/cgroup/memory.max"

serials = itertools.count()
"""Numbers of segments; ``next`` is atomic."""


def machine_bytes() -> int:
    """Memory of the machine, or of the control group where that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        with open(_CGROUP_LIMIT) as file:
            total = min(total, int(file.read()))
    except (OSError, ValueError):  # no control groups, or "max"
        pass
    return total


def default_bytes() -> int:
    """Budget when none is given."""
    return machine_bytes() // SHARE


class ColumnCache:
    """Decoded values by (segment, run, stream). ``budget`` 0 keeps nothing."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._of_segment: dict[int, set[Key]] = {}
        self._gone: deque[int] = deque()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Any]) -> Any:
        """The value of a key; made, and kept if it fits, when it is not there."""
        with self._lock:
            if self._gone:
                self._drop_gone()
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                self.hits += 1
                return found[0]
            self.misses += 1
        value = make()
        size = _frozen_bytes(value) + _OVERHEAD
        if size > self.budget:
            return value
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                return found[0]
            self._kept[key] = (value, size)
            self._of_segment.setdefault(key[0], set()).add(key)
            self.used += size
            while self.used > self.budget:
                self._drop(next(iter(self._kept)))
        return value

    def forget(self, serial: int) -> None:
        """Drops what was read from one segment."""
        self.gone(serial)
        with self._lock:
            self._drop_gone()

    def gone(self, serial: int) -> None:
        """As :meth:`forget`, but at the next call of another method: takes no lock, so a finalizer
        may call it, which runs wherever the garbage collector does.
        """
        self._gone.append(serial)

    def clear(self) -> None:
        """Drops everything."""
        with self._lock:
            self._kept.clear()
            self._of_segment.clear()
            self.used = 0

    def status(self) -> dict[str, int]:
        """Budget, bytes and entries held, look-ups since the start."""
        with self._lock:
            self._drop_gone()
            return {
                "budget_bytes": self.budget,
                "bytes": self.used,
                "entries": len(self._kept),
                "hits": self.hits,
                "misses": self.misses,
            }

    def _drop_gone(self) -> None:
        while self._gone:
            for key in tuple(self._of_segment.get(self._gone.popleft(), ())):
                self._drop(key)

    def _drop(self, key: Key) -> None:
        self.used -= self._kept.pop(key)[1]
        keys = self._of_segment[key[0]]
        keys.discard(key)
        if not keys:
            del self._of_segment[key[0]]


def _frozen_bytes(value: Any) -> int:
    """Bytes of a value, whose arrays become read-only."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
        return int(value.nbytes)
    if isinstance(value, tuple):
        return sum(_frozen_bytes(part) for part in value)
    if isinstance(value, Column):
        codes = None if value.slices is None else value.slices.codes
        parts = (value.values, value.present, value.offsets, codes)
        return sum(_frozen_bytes(part) for part in parts)
    return 0
