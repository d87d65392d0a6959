"""Sums of doubles that keep what rounding takes off, as two arrays: (sum, lost).

Values that cancel (a payment of 2⁵³ and its refund) leave the small ones that were added between;
and an answer does not depend on how rows lie in shards and segments. Knuth's two-sum, twice the
digits of a double; the value is ``sum + lost``, rounded once. Pure functions, O(cells).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.kernels._cell_sums import cell_sums

if TYPE_CHECKING:
    from zuji.engine.types import F64


def added(a: tuple[F64, F64], b: tuple[F64, F64]) -> tuple[F64, F64]:
    """Cell by cell a + b."""
    total: F64 = a[0] + b[0]
    back: F64 = total - a[0]
    lost: F64 = (a[0] - (total - back)) + (b[0] - back)
    return total, a[1] + b[1] + lost


def running(a: tuple[F64, F64]) -> tuple[F64, F64]:
    """Sums along the last axis up to each cell."""
    total, lost = np.empty_like(a[0]), np.empty_like(a[1])
    last: tuple[F64, F64] = (np.zeros(a[0].shape[:-1]), np.zeros(a[0].shape[:-1]))
    for k in range(a[0].shape[-1]):
        last = added(last, (a[0][..., k], a[1][..., k]))
        total[..., k], lost[..., k] = last
    return total, lost


def along(a: tuple[F64, F64], axis: int) -> tuple[F64, F64]:
    """Sums of two-dimensional cells along an axis, [the other one]."""
    lines, columns = a[0].shape
    if axis == 0:
        size, cells = columns, np.tile(np.arange(columns, dtype=np.uint32), lines)
    else:
        size, cells = lines, np.repeat(np.arange(lines, dtype=np.uint32), columns)
    values, rests = (np.ascontiguousarray(part).ravel() for part in a)
    return cell_sums(cells, values, size, rests)


def whole(values: F64) -> float:
    """The sum of all values."""
    flat = np.ascontiguousarray(values, np.float64)
    return float(rounded(cell_sums(np.zeros(len(flat), np.uint32), flat, 1))[0])


def rounded(a: tuple[F64, F64]) -> F64:
    """The values. A sum beyond the largest double stays what it is: infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(a[0]), a[0] + a[1], a[0])
