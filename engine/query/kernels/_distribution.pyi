from collections.abc import Sequence
from typing import Literal

from zuji.engine.query.kernels.lane import Lane, UserValues
from zuji.engine.types import F64, I32, I64, U8

MAX_SPANS: int

def user_values(
    lanes: Sequence[Lane],
    edges: I64,
    periods: I32,
    op: Literal["rows", "spans", "sum", "avg", "min", "max"],
    *,
    values: Sequence[F64 | None] | None = None,
    value_masks: Sequence[U8 | None] | None = None,
    place: Literal["first", "last"] | None = None,
    most: int = 1 << 40,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> UserValues:
    """A value a user and period: rows, spans with a row, or an aggregate of the rows' values.

    edges int64[S + 1] ascending, ms UTC, cut time into spans; periods int32[S]: the period that a span lies in.
    Rows outside are skipped, and, with an aggregate, rows without a value: values per lane float64[n] or None (no
    row of it has one), value_masks per lane uint8[n] (1 = has a value) or None = all. Sums are compensated.
    place: also the first or last counted row of each user and period. most: records that there is room for.
    Raises QueryBudgetExceeded beyond ``most``, QueryCancelled, ValueError, TypeError. O(rows + users · lanes).
    """
