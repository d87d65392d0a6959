"""Exact order statistics of many cells at once: ranks, and how many values lie below a number.

Few values are sorted. Many are counted first, in bins of a thirty-second of an octave (the leading
bits of a double); then only the values of the bins that hold an asked rank are sorted. Both give
the same numbers. Values are 0 or more. O(values + asked bins), sorted O(values log values).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.query.kernels._spread import binned, members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.context import Context
    from zuji.engine.types import F64, I64, U32

    Part = tuple[U32, F64]
    """Cell and value of each of some values."""

BIN_SHIFT = 47
"""Of the 52 bits below the exponent of a double, 5 stay."""
MOST_BINS = 1 << 22
"""Of all cells."""
FEW_VALUES = 4
"""Sorted where there are more bins a value: there would be more to clear than to sort."""


class Spread(Protocol):
    """Values by cell. ``counts`` int64[cells]; ``sums`` float64[cells]."""

    counts: I64
    sums: F64

    def at(self, ranks: I64) -> F64:
        """Values at ranks int64[cells, R], float64[cells, R]; cells without values give NaN.

        REQUIRES: ranks of cells with values are below their counts.
        """

    def below(self, numbers: F64, *, included: bool) -> I64:
        """Values of each cell that are less than a number, or (``included``) not greater."""

    def up_to(self, numbers: F64) -> tuple[I64, F64]:
        """Values of each cell that are not greater than a number, and the greatest of them; NaN
        where there is none.
        """

    def merged(self, width: int) -> Spread:
        """The same values with ``width`` neighbouring cells as one."""


def spread(context: Context, parts: Sequence[Part], cells: int) -> Spread:
    """The values of some parts, which may be one a shard."""
    held = [part for part in parts if len(part[1])]
    total = sum(len(value) for _, value in held)
    if held:
        low = min(float(value.min()) for _, value in held)
        high = max(float(value.max()) for _, value in held)
        bins = _bin(high) - _bin(low) + 1
        if cells * bins <= min(MOST_BINS, FEW_VALUES * total):
            return Binned(context, held, cells, _bin(low), bins)
    return Sorted(held, cells)


def _sums(parts: Sequence[Part], cells: int) -> F64:
    found = np.zeros(cells)
    for cell, value in parts:
        found += np.bincount(cell, value, minlength=cells)
    return found


class Sorted:
    """All values in order of cell and value."""

    def __init__(self, parts: Sequence[Part], cells: int) -> None:
        self._parts = parts
        cell = np.concatenate([c for c, _ in parts]) if parts else np.empty(0, np.uint32)
        value = np.concatenate([v for _, v in parts]) if parts else np.empty(0)
        order = np.lexsort((value, cell))
        self._values = value[order]
        self._bounds = np.searchsorted(cell[order], np.arange(cells + 1))
        self.counts: I64 = np.diff(self._bounds)
        self.sums = _sums(parts, cells)

    def at(self, ranks: I64) -> F64:
        """Values at ranks of each cell."""
        found = np.full(ranks.shape, np.nan)
        there = self.counts > 0
        found[there] = self._values[self._bounds[:-1][there, None] + ranks[there]]
        return found

    def below(self, numbers: F64, *, included: bool) -> I64:
        """Values of each cell below a number."""
        found = np.zeros(len(numbers), np.int64)
        side: Any = "right" if included else "left"
        for cell in np.flatnonzero(self.counts).tolist():
            mine = self._values[self._bounds[cell] : self._bounds[cell + 1]]
            found[cell] = np.searchsorted(mine, numbers[cell], side=side)
        return found

    def up_to(self, numbers: F64) -> tuple[I64, F64]:
        """How many values of each cell are not greater than a number, and the greatest of them."""
        count = self.below(numbers, included=True)
        greatest = np.full(len(numbers), np.nan)
        there = count > 0
        greatest[there] = self._values[self._bounds[:-1][there] + count[there] - 1]
        return count, greatest

    def merged(self, width: int) -> Sorted:
        """Neighbouring cells as one."""
        parts = [(cell // np.uint32(width), value) for cell, value in self._parts]
        return Sorted(parts, len(self.counts) // width)


class Binned:
    """Values counted in bins; those of a bin are looked at when it is asked for."""

    def __init__(
        self, context: Context, parts: Sequence[Part], cells: int, first: int, bins: int
    ) -> None:
        self._context, self._parts = context, parts
        self._first, self._bins, self._cells, self._width = first, bins, cells, 1
        context.charge(8 * sum(len(value) for _, value in parts) + 16 * cells * bins)
        made = context.map(self._counted, parts)
        self._keys = [key for key, _ in made]
        self._take(np.sum([counts for _, counts in made], axis=0), _sums(parts, cells))

    def merged(self, width: int) -> Binned:
        """Neighbouring cells as one: their bins are added, the values stay where they are."""
        found = copy(self)
        found._cells, found._width = self._cells // width, width
        counts = self._flat.reshape(found._cells, width, self._bins).sum(axis=1)
        found._take(counts.ravel(), self.sums.reshape(found._cells, width).sum(axis=1))
        return found

    def _take(self, flat: I64, sums: F64) -> None:
        self._flat, self.sums = flat, sums
        self.counts: I64 = flat.reshape(self._cells, self._bins).sum(axis=1)
        self._upto = np.cumsum(flat)
        self._base = np.cumsum(self.counts) - self.counts

    def _counted(self, part: Part) -> tuple[U32, I64]:
        cell, value = part
        return binned(cell, value, self._cells, BIN_SHIFT, self._first, self._bins)

    def _members(self, bins: Any) -> tuple[U32, F64]:
        """Bin and value of the values of some bins, in order of both."""
        wanted = np.zeros((self._cells, self._width, self._bins), np.bool_)
        wanted[bins // self._bins, :, bins % self._bins] = True
        table = wanted.ravel().view(np.uint8)

        def work(number: int) -> tuple[U32, F64]:
            return members(table, self._keys[number], self._parts[number][1])

        found = self._context.map(work, list(range(len(self._parts))))
        key = np.concatenate([k for k, _ in found])
        value = np.concatenate([v for _, v in found])
        if self._width > 1:
            bins_of = np.uint32(self._bins)
            key = key // np.uint32(self._width * self._bins) * bins_of + key % bins_of
        order = np.lexsort((value, key))
        return key[order], value[order]

    def at(self, ranks: I64) -> F64:
        """Values at ranks of each cell."""
        found = np.full(ranks.shape, np.nan)
        there = self.counts > 0
        place = (self._base[:, None] + ranks)[there]
        bins = np.searchsorted(self._upto, place, side="right")
        key, value = self._members(bins)
        before = np.where(bins > 0, self._upto[bins - 1], 0)
        found[there] = value[np.searchsorted(key, bins) + (place - before)]
        return found

    def below(self, numbers: F64, *, included: bool) -> I64:
        """Values of each cell below a number."""
        inside, bins, before, found = self._bins_of(numbers)
        key, value = self._members(bins)
        side: Any = "right" if included else "left"
        found[inside] = before + _within(key, value, bins, numbers[inside], side)
        return found

    def up_to(self, numbers: F64) -> tuple[I64, F64]:
        """How many values of each cell are not greater than a number, and the greatest of them:
        the values of the number's bin are looked at, and of the last bin before that has any.
        """
        inside, bins, before, found = self._bins_of(numbers)
        greatest = np.full(len(numbers), np.nan)
        whole = found > 0  # all values of the cell
        earlier = np.flatnonzero(before > 0)
        ends = (self._base[inside] + before)[earlier] - 1  # places of the last values before
        tops = (self._base + self.counts - 1)[whole]
        asked = np.searchsorted(self._upto, np.concatenate([ends, tops]), side="right")
        key, value = self._members(np.concatenate([bins, asked]))
        within = _within(key, value, bins, numbers[inside], "right")
        found[inside] = before + within
        last = value[np.searchsorted(key, asked, side="right") - 1]
        greatest[inside[earlier]], greatest[whole] = np.split(last, [len(ends)])
        own = np.flatnonzero(within > 0)
        greatest[inside[own]] = value[np.searchsorted(key, bins[own]) + within[own] - 1]
        return found, greatest

    def _bins_of(self, numbers: F64) -> tuple[I64, I64, I64, I64]:
        """Cells whose number falls into a bin, that bin, and how many values of the cell lie in
        bins before; and of all cells how many values that are, where no bin has to be looked at.
        """
        found = np.zeros(len(numbers), np.int64)
        number = np.maximum(numbers, 0.0) + 0.0
        own = (number.view(np.int64) >> BIN_SHIFT) - self._first
        found[own >= self._bins] = self.counts[own >= self._bins]
        inside = np.flatnonzero((own >= 0) & (own < self._bins) & (self.counts > 0))
        bins = inside * self._bins + own[inside]
        before = np.where(bins > 0, self._upto[bins - 1], 0) - self._base[inside]
        return inside, bins, before, found


def _within(key: U32, value: F64, bins: I64, numbers: F64, side: Any) -> I64:
    """Values of each bin that are below a number, or not greater."""
    low, high = np.searchsorted(key, bins), np.searchsorted(key, bins, side="right")
    ends = zip(low.tolist(), high.tolist(), numbers.tolist(), strict=True)
    return np.array(
        [np.searchsorted(value[a:b], number, side=side) for a, b, number in ends], np.int64
    )


def _bin(value: float) -> int:
    return int(np.array([value + 0.0]).view(np.int64)[0]) >> BIN_SHIFT
