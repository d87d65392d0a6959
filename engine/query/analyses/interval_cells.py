"""Numbers of the lengths of a cell: counts, quartiles, whiskers, percentiles, histogram.

Lengths of all shards come as one array with a cell each. They are put in order of cell, and every
cell is sorted once: whatever is asked is then read off. Exact. O(pairs log pairs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.context import Context
    from zuji.engine.types import F64, I64, U64

HISTOGRAM_BARS = 20
WHISKER = 1.5
SMALL_PAIRS = 20_000
"""Up to so many, cells are looked at on one thread."""
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
ROUND_MS = (
    *(digit * power for power in (1, 10, 100) for digit in (1, 2, 5)),
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 7, 14, 30, 60, 90, 180, 365, 730, 1825, 3650, 7300)),
)
"""Widths of bars in ms that people read off a clock and a calendar."""


@dataclass(slots=True)
class Lengths:
    """Pairs in order of ``cell`` int64[m]; ``who`` uint64[m]: user, ascending within a cell."""

    cell: I64
    who: U64
    gap: I64


@dataclass(slots=True)
class Cell:
    """One cell: ``values`` ascending, of pairs or of users' means."""

    pairs: int
    users: int
    values: I64 | F64


def ordered(cell: Any, who: U64, gap: I64, cells: int) -> Lengths:
    """Pairs by cell, users staying in their order. O(pairs)."""
    if cells == 1:
        return Lengths(cell.astype(np.int64), who, gap)
    small = cell.astype(np.uint16 if cells < 1 << 16 else np.uint32)
    order = np.argsort(small, kind="stable")
    return Lengths(small[order].astype(np.int64), who[order], gap[order])


def cells_of(context: Context, lengths: Lengths, cells: int, *, over_users: bool) -> list[Cell]:
    """Every cell, in order."""
    bounds = np.searchsorted(lengths.cell, np.arange(cells + 1)).tolist()

    def work(number: int) -> Cell:
        low, high = bounds[number], bounds[number + 1]
        who, gap = lengths.who[low:high], lengths.gap[low:high]
        new = np.ones(len(who), np.bool_)
        np.not_equal(who[1:], who[:-1], out=new[1:])
        users = int(np.count_nonzero(new))
        values: Any = gap
        if over_users and len(gap):
            starts = np.flatnonzero(new)
            counts = np.diff(starts, append=len(gap))
            values = np.add.reduceat(gap, starts) / counts
        return Cell(len(gap), users, np.sort(values))

    light = len(lengths.gap) < SMALL_PAIRS
    return context.map(work, list(range(cells)), light=light)


def percentile(values: I64 | F64, percent: int) -> float:
    """Linear between neighbours: rank q·(n−1). REQUIRES: ``values`` ascend and there is one."""
    at = percent / 100 * (len(values) - 1)
    low = int(np.floor(at))
    high = min(low + 1, len(values) - 1)
    below, above = float(values[low]), float(values[high])
    return below + (above - below) * (at - low)


def numbers(cell: Cell, percents: Sequence[int]) -> list[Any]:
    """pairs, users, avg, min, p25, median, p75, max, whiskers, outliers, and the percentiles."""
    values = cell.values
    if not len(values):
        return [cell.pairs, cell.users, *[None] * (9 + len(percents))]
    low, middle, high = (percentile(values, p) for p in (25, 50, 75))
    reach = WHISKER * (high - low)
    first = int(np.searchsorted(values, low - reach, side="left"))
    last = int(np.searchsorted(values, high + reach, side="right"))
    return [
        cell.pairs,
        cell.users,
        float(values.sum()) / len(values),
        _plain(values[0]),
        low,
        middle,
        high,
        _plain(values[-1]),
        _plain(values[first]),
        _plain(values[last - 1]),
        len(values) - (last - first),
        *(percentile(values, p) for p in percents),
    ]


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of a histogram, left-closed; ``open``: also one below the first edge and one from the
    last on.
    """

    edges: F64
    open: bool

    @property
    def count(self) -> int:
        """Number of bars."""
        return len(self.edges) + 1 if self.open else max(len(self.edges) - 1, 0)

    def inside(self, values: Any, bar: int) -> Any:
        """Which values lie in a bar."""
        at = np.searchsorted(self.edges, values, side="right")
        return at == (bar if self.open else bar + 1)

    def of(self, values: I64 | F64) -> dict[str, Any]:
        """``{"bars": [[low, high, count], …]}`` of ascending values."""
        below = np.searchsorted(values, self.edges, side="left").tolist()
        edges: list[float | int | None] = [_plain(edge) for edge in self.edges]
        if self.open:
            below, edges = [0, *below, len(values)], [None, *edges, None]
        return {
            "bars": [
                [edges[i], edges[i + 1], below[i + 1] - below[i]] for i in range(len(edges) - 1)
            ]
        }


def bars(asked: Any, cells: Sequence[Cell]) -> Bars | None:
    """The bars of an answer: as asked, or round ones that fit all values; None without values."""
    if isinstance(asked, tuple):
        return Bars(np.asarray(asked, np.float64), True)
    held = [cell.values for cell in cells if len(cell.values)]
    if not held:
        return None
    low, high = min(float(v[0]) for v in held), max(float(v[-1]) for v in held)
    for width in ROUND_MS:
        first, last = int(low // width), int(high // width)
        if last - first < HISTOGRAM_BARS:
            break
    edges = np.arange(first, last + 2, dtype=np.float64) * width
    return Bars(edges, False)


def _plain(value: Any) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() else number
