"""Users of each day of a run as rows of bits, made once and kept: the form that set algebra over
many days works on.

Kept within a number of bytes, least recently used first out; only for runs of segments, which never
change, and only where the bits take little more than the lists they come from. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.kernels._bits import set_bits
from zuji.engine.storage.source import MEMTABLE_RANK

if TYPE_CHECKING:
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import U32, U64

KEPT_BYTES = 256 << 20
"""Of all runs together; a run of a million users over a month takes 4 MB."""
SPARSE = 16
"""Bits are not kept where they take this many times the bytes of the lists, 4 a user and day."""


@dataclass(frozen=True, slots=True)
class DayBits:
    """uint64[days, words]: users of each day, and those with two rows or more on it."""

    users: U64
    multi: U64 | None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.users.nbytes + (0 if self.multi is None else self.multi.nbytes)


class DayBitsKept:
    """Day bits by index."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.limit = limit
        self.nbytes = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[Days, DayBits]] = OrderedDict()

    def of(self, source: Source, run: Run, *, multi: bool) -> DayBits:
        """Bits of the days of a run of ``source``. O(users of all days) the first time."""
        index = run.index
        assert index is not None
        with self._lock:
            found = self._kept.get(id(index))
            if found is not None and (found[1].multi is not None or not multi):
                self._kept.move_to_end(id(index))
                return found[1]
        made = _made(index, multi=multi)
        small = made.nbytes <= SPARSE * 4 * int(index.cards.sum()) or made.nbytes < 1 << 16
        if small and source.rank < MEMTABLE_RANK:
            self._keep(index, made)
        return made

    def _keep(self, index: Days, bits: DayBits) -> None:
        with self._lock:
            before = self._kept.pop(id(index), None)
            self.nbytes += bits.nbytes - (0 if before is None else before[1].nbytes)
            self._kept[id(index)] = (index, bits)  # kept with it: its id is nobody else's
            while self.nbytes > self.limit and self._kept:
                self.nbytes -= self._kept.popitem(last=False)[1][1].nbytes


def _made(index: Days, *, multi: bool) -> DayBits:
    days = np.flatnonzero(index.rows > 0).tolist()
    lists = {day: index.user_list(day) for day in days}
    top = max((int(users[-1]) for users in lists.values() if len(users)), default=-1)
    words = top // 64 + 1
    users = _rows(lists, len(index.rows), words)
    if not multi:
        return DayBits(users, None)
    return DayBits(
        users, _rows({day: index.multi_list(day) for day in days}, len(index.rows), words)
    )


def _rows(lists: dict[int, U32], days: int, words: int) -> U64:
    rows = np.zeros((days, words), dtype=np.uint64)
    for day, users in lists.items():
        set_bits(users, rows[day])
    rows.flags.writeable = False
    return rows
