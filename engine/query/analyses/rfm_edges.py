"""Edges that cut users by a value: found by quantiles so that they cut the users, and exact.

Ranks of whole numbers are found by counting them; of other values a sample says between which two a
rank lies, and only those between are put in order. Pure functions. O(n).
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zuji.engine.types import I64, U8

MANY_USERS = 1 << 14
"""From so many on, a sample tells between which values a rank lies."""
SAMPLE, SPARE = 1_024, 48
"""Values of the sample, and how far from its place in it a rank is looked for: three times what a
sample is off by."""


def quantile_edges(values: Any, quantiles: tuple[float, ...], *, down: bool) -> list[Any]:
    """The least value above the value of rank ⌈q · n⌉, for each q ascending; None: there is none.

    ``down``: small values are the good ones, so ranks are counted from the largest, "above" is
    below, and edges are given in ascending order, which is that of descending q. Users of one value
    are never told apart. O(n).
    """
    if not len(values):
        return [None] * len(quantiles)
    toward = -values if down else values
    ranks = [ceil(Fraction(repr(q)) * len(values)) - 1 for q in quantiles]
    edges = _above_numbers(toward, ranks) if _is_dense(toward) else _above(toward, ranks)
    turned = [-edge if down and edge is not None else edge for edge in edges]
    return turned[::-1] if down else turned


def _is_dense(values: Any) -> bool:
    """Whether the values are whole and there are more of them than numbers that they may be."""
    return values.dtype.kind == "i" and int(values.max()) - int(values.min()) < len(values)


def _above_numbers(values: I64, ranks: list[int]) -> list[int | None]:
    """The least value above that of each rank, of values that are counted by number."""
    least = int(values.min())
    counts = np.bincount(values - least)
    met = np.flatnonzero(counts)
    at = np.searchsorted(np.cumsum(counts[met]), ranks, side="right") + 1
    return [least + int(met[i]) if i < len(met) else None for i in at.tolist()]


def _above(values: Any, ranks: list[int]) -> list[Any]:
    """The same of any values."""
    edges = []
    for rank in ranks:
        near, before = _near(values, rank) if len(values) >= MANY_USERS else (values, 0)
        edge = _next(near, rank - before)
        if edge is None and len(near) < len(values):
            edge = _next(values, rank)
        edges.append(edge)
    return edges


def _near(values: Any, rank: int) -> tuple[Any, int]:
    """Values among which that of a rank is, and how many are smaller than those; by a sample, all
    of them when it misleads.
    """
    sample = np.sort(values[:: len(values) // SAMPLE])
    place = rank * len(sample) // len(values)
    low, high = sample[max(place - SPARE, 0)], sample[min(place + SPARE, len(sample) - 1)]
    before = int(np.count_nonzero(values < low))
    near = values[(values >= low) & (values <= high)]
    return (near, before) if before <= rank < before + len(near) else (values, 0)


def _next(values: Any, rank: int) -> Any:
    """The least value above that of a rank, or None."""
    last = len(values) - 1
    ordered = np.partition(values, sorted({rank, min(rank + 1, last)}))
    if rank < last and ordered[rank + 1] > ordered[rank]:
        return ordered[rank + 1].item()
    above = ordered[rank:]  # all that are not below the rank's value, and it
    above = above[above > ordered[rank]]
    return above.min().item() if len(above) else None


def scored(values: Any, edges: list[Any], *, down: bool) -> U8:
    """1 + the number of edges that each value is above: at least the edge; ``down``: at most it."""
    score = np.ones(len(values), np.uint8)
    for edge in edges:
        if edge is not None:
            score += values <= edge if down else values >= edge
    return score
