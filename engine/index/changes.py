"""Changes: ordinals of a shard with the number of the change that touched each, in that order.

A column that grows, 4 bytes an entry, in runs of one number. Thread-safety: the writer's lock.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

if TYPE_CHECKING:
    from zuji.engine.types import I64, U32

_RUN_BYTES = 72  # an entry of each of two lists, and its number


class Changes:
    """What changed in one shard, and when: entries by ascending number."""

    __slots__ = ("_count", "_numbers", "_ordinals", "_starts")

    def __init__(self) -> None:
        self._ordinals: U32 = np.empty(64, np.uint32)
        self._count = 0
        self._starts: list[int] = []  # of runs, and the number of each
        self._numbers: list[int] = []

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._ordinals.nbytes + _RUN_BYTES * len(self._starts)

    def add(self, number: int, ordinals: U32) -> None:
        """Ordinals that change ``number`` touched; not smaller than any number so far."""
        if not len(ordinals):
            return
        end = self._count + len(ordinals)
        if end > len(self._ordinals):
            room = max(end, len(self._ordinals) * 5 // 4)
            grown = np.empty(room, np.uint32)
            grown[: self._count] = self._ordinals[: self._count]
            self._ordinals = grown
        self._ordinals[self._count : end] = ordinals
        if not self._numbers or self._numbers[-1] != number:
            self._starts.append(self._count)
            self._numbers.append(number)
        self._count = end

    def add_all(self, numbers: I64, ordinals: U32) -> None:
        """Ordinals with the number of the change of each, in any order. O(n log n)."""
        both = np.append(self._each(), numbers)
        order = np.argsort(both, kind="stable")
        ordinals = np.append(self._ordinals[: self._count], ordinals)[order]
        self._put(both[order], ordinals)

    def since(self, number: int) -> BitMap:
        """Ordinals that a later change touched. O(log entries + those)."""
        run = bisect_right(self._numbers, number)
        first = self._starts[run] if run < len(self._starts) else self._count
        return BitMap(np.sort(self._ordinals[first : self._count]))

    def forget(self, ordinals: U32) -> None:
        """Leaves out entries of some ordinals."""
        keep = ~np.isin(self._ordinals[: self._count], ordinals)
        self._put(self._each()[keep], self._ordinals[: self._count][keep])

    def _each(self) -> I64:
        """The number of each entry."""
        ends = np.array([*self._starts[1:], self._count][: len(self._starts)], np.int64)
        lengths: I64 = ends - np.array(self._starts, np.int64)
        return np.repeat(np.array(self._numbers, np.int64), lengths)

    def _put(self, numbers: I64, ordinals: U32) -> None:
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        self._ordinals, self._count = ordinals, len(ordinals)
        self._starts, self._numbers = starts.tolist(), numbers[starts].tolist()
