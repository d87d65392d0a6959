"""Aggregates of user properties by line of an answer: exact, whatever the order of users.

Sums do not depend on the order: whole numbers are added as integers, others with one rounding at
the end. Pure functions. O(n), ``distinct`` O(n log n).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.query.measures import quantile_of
from zuji.engine.query.placed import spread
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.grouping import Dimension
    from zuji.engine.types import I64, U32, Column, Values

Pairs = tuple["Values", "I64"]
"""Values and the line of each."""


def numbers_of(column: Column | None, users: U32, lines: I64) -> Pairs:
    """The values of (user, line) pairs, those without one left out: int64 or float64."""
    if column is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    values = column.values[users]
    whole = column.kind != Kind.FLOAT
    values = values.astype(np.int64 if whole else np.float64)
    if column.present is None:
        return values, lines
    keep = column.present[users] == 1
    return values[keep], lines[keep]


def codes_of(
    dimension: Dimension, column: Column | None, rows: int, users: U32, lines: I64
) -> Pairs:
    """As :func:`numbers_of`, codes of texts and of the items of lists."""
    codes, offsets = dimension.codes(column, rows)
    if offsets is None:
        found = codes[users].astype(np.int64)
        return found[found > 0], lines[found > 0]
    starts = offsets[users].astype(np.int64)
    lengths = offsets[users.astype(np.int64) + 1].astype(np.int64) - starts
    return codes[spread(starts, lengths)].astype(np.int64), np.repeat(lines, lengths)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Those of all shards; floats when some are."""
    full = [part for part in parts if len(part[1])] or [parts[0]]
    return np.concatenate([part[0] for part in full]), np.concatenate([part[1] for part in full])


def aggregated(
    op: str, pairs: Pairs, lines: int, moment: Callable[[int], str] | None, check: Any
) -> list[Any]:
    """The aggregate of each line; None where it has no values, but 0 for a sum.

    ``moment``: writes instants; None: the values are numbers.
    """
    values, line = pairs
    if lines > 1:
        # Lines are few, and small numbers are sorted by their digits.
        values = values[np.argsort(line.astype(np.uint16), kind="stable")]
    check()
    cuts = [0, *np.cumsum(np.bincount(line, minlength=lines)).tolist()]
    found: list[Any] = []
    for low, high in pairwise(cuts):
        check()
        value = _aggregate(op, values[low:high])
        found.append(moment(value) if moment is not None and value is not None else value)
    return found


def _aggregate(op: str, values: Values) -> Any:
    n = len(values)
    if op == "distinct":
        ordered = np.sort(values)
        return int(n > 0) + int((ordered[1:] != ordered[:-1]).sum())
    if op == "sum":
        return _float(_sum(values))
    if not n:
        return None
    if op in ("min", "max"):
        return (values.min() if op == "min" else values.max()).item()
    if op == "avg":
        total = _sum(values)
        return None if total is None else _float(total / n)
    q = quantile_of(op)
    assert q is not None
    at = q * (n - 1)
    below = math.floor(at)
    above = min(below + 1, n - 1)
    ordered = np.partition(values, (below, above))
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (at - below)


def _sum(values: Values) -> int | float | None:
    """Exact for whole numbers, else correctly rounded; None: beyond a double."""
    if values.dtype == np.int64:
        whole: I64 = values.view(np.int64)
        return (int((whole >> 32).sum()) << 32) + int((whole & 0xFFFFFFFF).sum())
    try:
        return math.fsum(values.tolist())
    except (OverflowError, ValueError):
        return None


def _float(total: float | None) -> float | None:
    return None if total is None else float(total)


def written(tz: str) -> Callable[[int], str]:
    """Writes instants in a zone."""
    return lambda at: calendars.format_instant(at, tz)
