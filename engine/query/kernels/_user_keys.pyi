"""Values of a user's rows, by equality: how many different ones, or the most frequent one."""

from collections.abc import Sequence
from typing import Literal

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import I64, U8, U32

def user_keys(
    lanes: Sequence[Lane],
    keys: Sequence[I64 | None],
    from_ms: int,
    to_ms: int,
    users: int,
    op: Literal["distinct", "most_frequent"],
    *,
    present: Sequence[U8 | None] | None = None,
    offsets: Sequence[U32 | None] | None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> tuple[U32, I64]:
    """Different keys of each ordinal's rows in [from_ms, to_ms), uint32[users]; or how often the most
    frequent one stands there, and that one, int64[users] (0 where there is none; empty for
    ``distinct``). Of equally frequent ones it is the one whose last row is latest in the order
    (time, rank, tie, lane, place in the list).

    keys: per lane int64[n], what equal values share, or None: its rows have no values. present: per
    lane uint8[n], 1 = the row has a value, or None = all. offsets: per lane uint32[n + 1], ascending:
    row r has the keys offsets[r]:offsets[r + 1]; None = one a row. allowed: audience by ordinal.
    Ordinals >= users are left out. Raises QueryCancelled, ValueError, TypeError. GIL released.
    O(rows log rows of a user + users).
    """
