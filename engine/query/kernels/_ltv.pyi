from collections.abc import Sequence
from typing import NamedTuple

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import F64, I32, I64, U8, U32

MAX_CELLS: int

class LtvCells(NamedTuple):
    """[lines, cohorts, periods]: ``value`` float64 of the period and ``lost``, what rounding took off
    it; ``payers`` int64 users with a value above 0 in it, ``first`` those of them without one before.
    ``picked`` uint32[] ascending ordinals.
    """

    value: F64
    lost: F64
    payers: I64
    first: I64
    picked: U32

def ltv_cells(
    lanes: Sequence[Lane],
    values: Sequence[F64],
    *,
    cohort: I32,
    entry: I64 | None,
    lines: U32 | tuple[U32, U32] | None,
    n_lines: int,
    cohorts: int,
    periods: int,
    edges: I64,
    period_ms: int = 0,
    pick: tuple[int, int, int, bool] | None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> LtvCells:
    """What the users of each cohort are worth in each period after they entered.

    values: per lane float64[n], NaN = the row has no value; a user pays by a value above 0.
    cohort int32[users]: by ordinal, -1 = in none; ordinals past it are in none.
    entry None: period k of cohort c is [edges[c + k], edges[c + k + 1]), so edges has cohorts + periods
    instants. entry int64[users], ms: k is the whole number of period_ms from there on; rows before do
    not count.
    lines: of each ordinal, uint32[users] or (offsets uint32[users + 1], lines); None: line 0. Lines >=
    n_lines do not count. pick (line | -1, cohort | -1, k, so_far): who paid in k, or in any of 0 … k.
    Raises QueryCancelled, ValueError, TypeError. O(rows + users of the lanes * periods);
    with one line and at most 64 periods O(rows + users).
    """

def cohorts_of(entry: I64, known: U8, edges: I64) -> I32:
    """Bucket of each instant, int32[n]: b is [edges[b], edges[b + 1]); -1 outside, or where ``known``
    uint8[n] is 0. Of equal edges the last one counts. Raises TypeError, ValueError. O(n log buckets).
    """
