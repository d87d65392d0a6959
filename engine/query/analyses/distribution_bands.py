"""Bands of numbers: left-closed, given as edges, as a width, or chosen to fit the numbers.

Edges of a width are the doubles nearest to its exact multiples, so that bands of 0.1 begin at 0.3
and not beside it. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.types import F64, I64

AUTO_BANDS = 20
MAX_BANDS = 1_000
MAX_NUMBER = 1e300
"""Beyond it there is no room for edges."""
DENSE_NUMBERS = 1 << 16
MANY_VALUES = 256
"""From so many values on it pays to look at each number once, where there are fewer numbers."""


@dataclass(frozen=True, slots=True)
class Bands:
    """``edges``: ascending. ``open``: there is a band below the first and one from the last on."""

    edges: F64
    open: bool

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.edges) + 1 if self.open else max(len(self.edges) - 1, 0)

    def of(self, values: F64, *, whole: bool = False) -> I64:
        """Number of each value's band. REQUIRES without ``open``: no value lies outside.

        ``whole``: values are whole numbers from 0 on. O(n), else O(n log bands).
        """
        if are_few(values, 1, whole=whole):
            every = np.arange(int(values.max()) + 1, dtype=np.float64)
            found: I64 = self._search(every)[values.astype(np.uint16)]
            return found
        return self._search(values)

    def _search(self, values: F64) -> I64:
        at = np.searchsorted(self.edges, values, side="right")
        return at if self.open else at - 1

    def bounds(self, band: int) -> tuple[float | int | None, float | int | None]:
        """Low (included) and high (excluded) of a band; None is no bound."""
        edges = self.edges.tolist()
        low = band - 1 if self.open else band
        return (
            None if low < 0 else _number(edges[low]),
            None if low + 1 >= len(edges) else _number(edges[low + 1]),
        )

    def labels(self) -> list[str]:
        """Texts of the bands: ``[2, 5)``."""
        found = []
        for band in range(self.count):
            low, high = self.bounds(band)
            left = "(-∞" if low is None else f"[{low}"
            found.append(f"{left}, {'∞' if high is None else high})")
        return found


def are_few(values: F64, periods: int, *, whole: bool) -> bool:
    """Whether there can be fewer numbers, in all periods, than there are values."""
    if not whole or len(values) < MANY_VALUES:
        return False
    return bool(periods * values.max() < min(len(values), DENSE_NUMBERS))


def given(edges: Sequence[float]) -> Bands:
    """Bands with these edges."""
    return Bands(np.asarray(edges, np.float64), True)


def of_width(width: float, low: float, high: float, path: str) -> Bands:
    """Bands of one width over all numbers from ``low`` to ``high``.

    Raises:
        InvalidQuery: there would be more than 1,000.
    """
    if (high - low) / width > 2 * MAX_BANDS:
        _too_many(width, low, high, path)
    bands = Bands(_multiples(Fraction(repr(width)), low, high), False)
    if bands.count > MAX_BANDS:
        _too_many(width, low, high, path)
    return bands


def fitted(low: float, high: float, *, whole: bool) -> Bands:
    """At most 20 bands of the least round width that reach from ``low`` to ``high``.

    ``whole``: the numbers are whole, so the width is at least 1.
    """
    if max(-low, high) > MAX_NUMBER:
        return given([0.0])
    span = high - low
    if low == high or (whole and span < AUTO_BANDS):
        return Bands(_multiples(Fraction(1), low, high), False)
    least = np.floor(np.log10(span / AUTO_BANDS)) - 1
    power = max(int(least), 0) if whole else int(least)
    while True:
        for digit in (1, 2, 5):
            width = digit * Fraction(10) ** power
            # Counted as multiples: beyond whole doubles many of them are one and the same edge.
            if _at(width, high) - _at(width, low) < AUTO_BANDS:
                return Bands(_multiples(width, low, high), False)
        power += 1


def _multiples(width: Fraction, low: float, high: float) -> F64:
    """Edges from the last multiple at or below ``low`` to the first one above ``high``."""
    first, last = _at(width, low), _at(width, high)
    return np.unique(np.array([float(k * width) for k in range(first, last + 2)], np.float64))


def _at(width: Fraction, x: float) -> int:
    """The k with ``float(k * width) <= x < float((k + 1) * width)``."""
    k = Fraction(x) // width
    while float((k + 1) * width) <= x:
        k += 1
    while float(k * width) > x:
        k -= 1
    return k


def _number(edge: float) -> float | int:
    return int(edge) if edge.is_integer() and abs(edge) < 1 << 53 else edge


def _too_many(width: float, low: float, high: float, path: str) -> None:
    raise InvalidQuery(
        f"numbers from {low:g} to {high:g} make more than {MAX_BANDS:,} bands of {width:g}; take a "
        "greater width, or give edges",
        path,
    )
