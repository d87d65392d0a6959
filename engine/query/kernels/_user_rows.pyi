"""What the rows of each user come to: how many, the sum of their values, the first or last one."""

from collections.abc import Sequence
from typing import final

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import F64, I32, I64, U8, U32

@final
class UserRows:
    """By ordinal: number of rows, sum of their values and what rounding took off that (None without
    values), and of the chosen row its time in ms UTC, its lane (-1: the user has no row) and its
    number there.
    """

    count: U32
    sum: F64 | None
    rest: F64 | None
    time: I64
    lane: I32
    row: U32
    def __new__(cls) -> UserRows: ...

def user_rows(
    lanes: Sequence[Lane],
    from_ms: int,
    to_ms: int,
    users: int,
    *,
    values: Sequence[F64 | None] | None = None,
    present: Sequence[U8 | None] | None = None,
    last: bool = False,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> UserRows:
    """Rows in [from_ms, to_ms) that pass their lane's mask, by ordinal; ordinals >= users are left
    out.

    values: per lane float64[n] or None (its rows have no values); present: per lane uint8[n], 1 = the
    row has its value, or None = all. What rounding takes off a sum is summed by itself and added at
    the end, so that the order of rows does not show. The chosen row is the first in the order (time,
    rank, tie, lane), or the last. allowed uint8[]: audience by ordinal, ordinals past its end are out.
    Raises QueryCancelled, ValueError, TypeError. O(rows + users). GIL released.
    """
