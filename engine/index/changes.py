"""Changes: ordinals of a shard with the number of the change that touched each, in that order.

Two columns that grow, 12 bytes an entry. Thread-safety: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

if TYPE_CHECKING:
    from zuji.engine.types import I64, U32


class Changes:
    """What changed in one shard, and when: entries by ascending number."""

    __slots__ = ("_count", "_numbers", "_ordinals")

    def __init__(self) -> None:
        self._numbers: I64 = np.empty(64, np.int64)
        self._ordinals: U32 = np.empty(64, np.uint32)
        self._count = 0

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._numbers.nbytes + self._ordinals.nbytes

    def add(self, number: int, ordinals: U32) -> None:
        """Ordinals that change ``number`` touched; not smaller than any number so far."""
        end = self._count + len(ordinals)
        if end > len(self._numbers):
            room = max(end, len(self._numbers) * 3 // 2)
            self._numbers = np.append(
                self._numbers[: self._count], np.empty(room - self._count, np.int64)
            )
            self._ordinals = np.append(
                self._ordinals[: self._count], np.empty(room - self._count, np.uint32)
            )
        self._numbers[self._count : end] = number
        self._ordinals[self._count : end] = ordinals
        self._count = end

    def since(self, number: int) -> BitMap:
        """Ordinals that a later change touched. O(log entries + those)."""
        first = int(np.searchsorted(self._numbers[: self._count], number, side="right"))
        return BitMap(np.sort(self._ordinals[first : self._count]))

    def sort(self) -> None:
        """Puts entries that were added in any order into that of their numbers."""
        order = np.argsort(self._numbers[: self._count], kind="stable")
        self._numbers = self._numbers[: self._count][order]
        self._ordinals = self._ordinals[: self._count][order]

    def forget(self, ordinals: U32) -> None:
        """Leaves out entries of some ordinals."""
        keep = ~np.isin(self._ordinals[: self._count], ordinals)
        self._numbers = self._numbers[: self._count][keep]
        self._ordinals = self._ordinals[: self._count][keep]
        self._count = len(self._numbers)
