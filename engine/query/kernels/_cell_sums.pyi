"""Sums of values by cell that keep what rounding takes off."""

from zuji.engine.types import F64, I64, U32

def cell_sums(cells: U32, values: F64, size: int, rests: F64 | None = None) -> tuple[F64, F64]:
    """(sum, lost) float64[size]: the values of each cell come to sum + lost, twice the digits of a double.

    cells uint32[n], those from ``size`` on are left out; values float64[n]; rests float64[n]: what
    rounding has taken off the values before. An infinite sum stays infinite, with a finite ``lost``.
    Raises TypeError, ValueError. GIL released. O(n + size).
    """

def cell_counts(cells: U32, x: I64, y: I64, size: int) -> I64:
    """Of each cell how often it is there, and the sums of two numbers, int64[3, size]; modulo 2^64.

    cells uint32[n], those from ``size`` on are left out; x, y int64[n]. Raises TypeError, ValueError.
    GIL released. O(n + size).
    """
