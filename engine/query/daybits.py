"""Users of each day of a run as rows of bits, made once and kept: the form that set algebra over
many days works on.

Kept within a number of bytes, least recently used first out; only for runs of segments and of rows
that were moved to their owners, which never change, and only where the bits take little more than
the lists they come from. A key has a source's number, which no other one of the process has, so
that a segment merged away can go: the bits hold nothing of it. Thread-safe.
"""

from __future__ import annotations

import mmap
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.kernels._bits import set_bits
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.without import Without, WithoutRun

if TYPE_CHECKING:
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import U32, U64

    Key = tuple[int, str | None]

KEPT_BYTES = 256 << 20
"""Of all runs together; a run of a million users over a month takes 4 MB."""
SPARSE = 16
"""Bits are not kept where they take this many times the bytes of the lists, 4 a user and day."""


MAPPED_BYTES = 1 << 20
"""From this size on the days of a run are pages that are there once written. A run knows all days
of its partition, and a segment among several has rows on few of them."""


@dataclass(frozen=True, slots=True)
class DayBits:
    """uint64[days, words]: users of each day, and those with two rows or more on it. ``filled``:
    days that have any; the others take no memory once all days take ``MAPPED_BYTES``.
    """

    users: U64
    multi: U64 | None
    filled: int

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        rows = self.filled if self.users.nbytes >= MAPPED_BYTES else len(self.users)
        words: int = self.users.shape[1]
        return rows * 8 * words * (1 if self.multi is None else 2)


class DayBitsKept:
    """Day bits by segment and event; None is any event."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.limit = limit
        self.nbytes = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, DayBits] = OrderedDict()

    def of(self, source: Source, run: Run | None, *, multi: bool) -> DayBits:
        """Bits of the days of a run of ``source``; without a run, of any event. O(users of all
        days) the first time.
        """
        key = None
        moved = isinstance(source, MemorySource)
        if isinstance(source, Segment | Without | MemorySource) and source.serial is not None:
            key = (source.serial, None if run is None else run.event)
            with self._lock:
                found = self._kept.get(key)
                if found is not None and (found.multi is not None or not multi):
                    self._kept.move_to_end(key)
                    return found
        index = source.index if run is None else run.index
        assert index is not None
        if isinstance(source, Without) and (run is None or isinstance(run, WithoutRun)):
            base = self.of(source.base, None if run is None else run.base, multi=multi)
            made = _less(base, source.gone, multi=multi)
        else:
            made = _made(index, multi=multi)
        # Of rows that were moved to their owners there is one source beside many: it may be sparse.
        small = made.nbytes <= SPARSE * 4 * int(index.cards.sum()) or made.nbytes < 1 << 16
        if (small or moved) and key is not None:
            self._keep(key, made)
        return made

    def _keep(self, key: Key, bits: DayBits) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            self.nbytes += bits.nbytes - (0 if before is None else before.nbytes)
            self._kept[key] = bits
            while self.nbytes > self.limit and self._kept:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes


def _made(index: Days, *, multi: bool) -> DayBits:
    days = np.flatnonzero(index.rows > 0).tolist()
    lists = {day: index.user_list(day) for day in days}
    top = max((int(users[-1]) for users in lists.values() if len(users)), default=-1)
    words = top // 64 + 1
    users = _rows(lists, len(index.rows), words)
    if not multi:
        return DayBits(users, None, len(days))
    twice = {day: index.multi_list(day) for day in days}
    return DayBits(users, _rows(twice, len(index.rows), words), len(days))


def _less(base: DayBits, gone: U32, *, multi: bool) -> DayBits:
    """Bits without those of some users. O(words)."""
    words = base.users.shape[1]
    theirs = np.zeros(words, np.uint64)
    set_bits(gone[: np.searchsorted(gone, 64 * words)], theirs)
    users = _masked(base.users, ~theirs)
    twice = _masked(base.multi, ~theirs) if multi and base.multi is not None else None
    return DayBits(users, twice, base.filled)


def _masked(rows: U64, mask: U64) -> U64:
    found: U64 = rows & mask
    found.flags.writeable = False
    return found


def _rows(lists: dict[int, U32], days: int, words: int) -> U64:
    size = 8 * days * words
    if size < MAPPED_BYTES:
        rows = np.zeros((days, words), dtype=np.uint64)
    else:
        rows = np.frombuffer(mmap.mmap(-1, size), dtype=np.uint64).reshape(days, words)
    for day, users in lists.items():
        set_bits(users, rows[day])
    rows.flags.writeable = False
    return rows
