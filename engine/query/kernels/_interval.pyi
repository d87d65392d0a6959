from collections.abc import Sequence
from typing import Literal

from zuji.engine.query.kernels.lane import Lane, Pairs
from zuji.engine.types import I64, U8, U32

START: int
END: int
NO_KEY: int
FAR: int

def interval_pairs(
    lanes: Sequence[Lane],
    roles: Sequence[int | U8],
    edges: I64,
    *,
    nearest: Literal["start", "end"] = "start",
    strict: bool = False,
    cap_ms: int | None = None,
    first_ms: int | None = None,
    start_keys: Sequence[U32 | None] | None = None,
    end_keys: Sequence[U32 | None] | None = None,
    places: bool = False,
    most: int = 1 << 40,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> Pairs:
    """Pairs of a start and a later end of one user.

    roles: per lane uint8[n], or one number for the lane: START, END, both (3) or neither. edges int64[B + 1]
    ascending, ms UTC: starts outside take part but give no pair. An end closes the open start, if that is at most
    ``cap_ms`` old; a start opens when none is open or the open one is older, nearest to the end always; a row that
    is both closes first. strict: ends come before starts within an instant, so that no pair has length 0.
    first_ms: rows before it are not looked at, None: those before edges[0]. start_keys, end_keys: per lane uint32[n]
    held value of a row in each role, NO_KEY = none (None: no row of the lane has one); pairs have equal ones.
    places: also lane and row of both ends. most: pairs that there is room for.
    Raises QueryBudgetExceeded beyond ``most``, QueryCancelled, ValueError, TypeError.
    O(rows + users · lanes), for users with rows in more than two lanes, or strict, times log.
    """

def numbered(owner: U32, label: U32, size: int) -> tuple[U32, U32]:
    """Numbers of the (owner, label) pairs of rows, from 0 in the order met, uint32[n], and each one's first row.

    REQUIRES: rows stand by owner (in any order of owners, each in one stretch); labels are below ``size``.
    Raises ValueError, TypeError. O(n + size). GIL released.
    """
