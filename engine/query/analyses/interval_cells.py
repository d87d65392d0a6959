"""Numbers of the lengths of a cell: counts, quartiles, whiskers, percentiles, histogram.

Pairs come by shard and user, each with its cell. Users are counted as the first pair of each in a
cell; ranks are exact (``interval_spread``). O(pairs).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.analyses.interval_spread import spread
from zuji.engine.query.kernels._interval import numbered
from zuji.engine.query.kernels._spread import tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.analyses.interval_spread import Spread
    from zuji.engine.query.context import Context
    from zuji.engine.types import F64, I64, U32

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
class Pairing:
    """Pairs of one shard, by user. ``cell`` uint32[m], ``user`` uint32[m], ``gap`` int64[m] ms."""

    cell: U32
    user: U32
    gap: I64


@dataclass(slots=True)
class Cells:
    """Numbers of all cells. ``values``: of each shard, the cell and the value of a pair, or of a
    user's mean.
    """

    pairs: I64
    users: I64
    spread: Spread
    values: list[tuple[U32, F64]]


def cells_of(context: Context, shards: Sequence[Pairing], cells: int, *, over_users: bool) -> Cells:
    """Everything that cells need of the pairs of all shards."""

    def work(shard: Pairing) -> tuple[I64, I64, tuple[U32, F64]]:
        pairs, users = tally(shard.user, shard.cell, cells)
        if not over_users:
            return pairs, users, (shard.cell, shard.gap.astype(np.float64))
        number, first = numbered(shard.user, shard.cell, cells)
        means = np.bincount(number, shard.gap) / np.bincount(number)
        return pairs, users, (shard.cell[first], means)

    context.charge(24 * sum(len(shard.gap) for shard in shards))
    found = context.map(work, shards, light=sum(len(s.gap) for s in shards) < SMALL_PAIRS)
    values = [part for _, _, part in found]
    pairs = np.sum([n for n, _, _ in found], axis=0)
    users = np.sum([n for _, n, _ in found], axis=0)
    return Cells(pairs, users, spread(context, values, cells), values)


def merged(
    context: Context, cells: Cells, shards: Sequence[Pairing], width: int, *, drawn: bool
) -> Cells:
    """``width`` neighbouring cells as one, over pairs: a user of several of them counts once.

    ``drawn``: with the values that a histogram needs.
    """
    count = len(cells.pairs) // width

    def people(shard: Pairing) -> I64:
        if count == 1:
            changes = np.count_nonzero(shard.user[1:] != shard.user[:-1])
            return np.array([changes + 1 if len(shard.user) else 0])
        return tally(shard.user, shard.cell // np.uint32(width), count)[1]

    light = sum(len(s.gap) for s in shards) < SMALL_PAIRS
    users: I64 = np.sum(context.map(people, shards, light=light), axis=0)
    pairs: I64 = cells.pairs.reshape(count, width).sum(axis=1)
    values = [(cell // np.uint32(width), value) for cell, value in cells.values if drawn]
    return Cells(pairs, users, cells.spread.merged(width), values)


def numbers(cells: Cells, percents: Sequence[int]) -> list[list[Any]]:
    """Of each cell: pairs, users, avg, min, p25, median, p75, max, whiskers, outliers, and the
    percentiles.
    """
    made = cells.spread
    counts = made.counts
    last = np.maximum(counts - 1, 0)
    at = np.array([25, 50, 75, *percents])[None, :] / 100 * last[:, None]
    lower = np.floor(at).astype(np.int64)
    upper = np.minimum(lower + 1, last[:, None])
    found = made.at(
        np.concatenate([np.zeros((len(last), 1), np.int64), last[:, None], lower, upper], axis=1)
    )
    least, most = found[:, 0], found[:, 1]
    below, above = np.split(found[:, 2:], 2, axis=1)
    points = below + (above - below) * (at - lower)
    reach = WHISKER * (points[:, 2] - points[:, 0])
    low, high = points[:, 0] - reach, points[:, 2] + reach
    first = np.where(least < low, 0, -1)
    final = np.where(most > high, 0, -1)
    low_rank, high_rank = np.zeros(len(last), np.int64), counts.copy()
    whiskers = np.stack([least, most], axis=1)
    if (first == 0).any():
        low_rank = np.where(first == 0, made.below(low, included=False), 0)
        whiskers[:, 0] = made.at(low_rank[:, None])[:, 0]
    if (final == 0).any():
        reached, greatest = made.up_to(high)
        high_rank = np.where(final == 0, reached, counts)
        whiskers[:, 1] = np.where(final == 0, greatest, most)
    beyond = low_rank + counts - high_rank
    rows: list[list[Any]] = []
    for i, count in enumerate(counts.tolist()):
        head = [int(cells.pairs[i]), int(cells.users[i])]
        if not count:
            rows.append([*head, *[None] * (9 + len(percents))])
            continue
        box = points[i].tolist()
        rows.append(
            [
                *head,
                float(made.sums[i]) / count,
                _plain(least[i]),
                *box[:3],
                _plain(most[i]),
                _plain(whiskers[i, 0]),
                _plain(whiskers[i, 1]),
                int(beyond[i]),
                *box[3:],
            ]
        )
    return rows


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

    def of(self, context: Context, cells: Cells) -> list[dict[str, Any]]:
        """``{"bars": [[low, high, count], …]}`` of each cell."""
        count = len(cells.pairs)
        wide = len(self.edges) + 1

        def work(part: tuple[U32, F64]) -> I64:
            cell, value = part
            at = np.searchsorted(self.edges, value, side="right")
            return np.bincount(cell.astype(np.int64) * wide + at, minlength=count * wide)

        table: I64 = np.sum(context.map(work, cells.values), axis=0).reshape(count, wide)
        edges: list[float | int | None] = [_plain(edge) for edge in self.edges]
        if self.open:
            edges = [None, *edges, None]
        else:
            table = table[:, 1:-1]
        return [
            {"bars": [[a, b, n] for (a, b), n in zip(pairwise(edges), row, strict=True)]}
            for row in table.tolist()
        ]


def bars(asked: Any, several: Sequence[Cells]) -> Bars | None:
    """The bars of an answer: as asked, or round ones that fit all values; None without values."""
    if isinstance(asked, tuple):
        return Bars(np.asarray(asked, np.float64), True)
    held = [value for cells in several for _, value in cells.values if len(value)]
    if not held:
        return None
    low, high = min(float(v.min()) for v in held), max(float(v.max()) for v in held)
    for width in ROUND_MS:
        first, last = int(low // width), int(high // width)
        if last - first < HISTOGRAM_BARS:
            break
    edges = np.arange(first, last + 2, dtype=np.float64) * width
    return Bars(edges, False)


def _plain(value: Any) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() else number
