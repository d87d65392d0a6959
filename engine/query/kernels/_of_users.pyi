from collections.abc import Sequence
from typing import Literal

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import F64, U8, U32

FAR_MS: int
FEW: int

def counts_of(
    lanes: Sequence[Lane],
    from_ms: int,
    to_ms: int,
    users: int,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> U32:
    """Rows in [from_ms, to_ms) that pass, by ordinal: uint32[users], 0 for who is not allowed.

    Raises QueryCancelled, ValueError, TypeError. O(users · log rows), with masks O(rows).
    """

def values_of(
    lanes: Sequence[Lane],
    from_ms: int,
    to_ms: int,
    users: int,
    op: Literal["sum", "avg", "min", "max"],
    values: Sequence[F64 | None],
    value_masks: Sequence[U8 | None],
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> tuple[U32, F64]:
    """By ordinal: rows in [from_ms, to_ms) that pass and have a value, uint32[users], and the aggregate of
    their values, float64[users] (means nothing where there are none). Sums are compensated.

    values per lane float64[n], None = no row of it has one; value_masks per lane uint8[n], None = all have.
    Raises QueryCancelled, ValueError, TypeError. O(users + rows of the allowed).
    """

def completed(
    lanes: Sequence[Lane],
    step_masks: Sequence[int | U32],
    k: int,
    window_ms: int,
    from_ms: int,
    to_ms: int,
    users: int,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> U8 | None:
    """Who did all k steps in order: uint8[users] of 0/1. None: keys of the rows need more than 63 bits.

    As ``funnel_fast`` with ties "sequence": starts lie in [from_ms, to_ms), the last step is at most
    window_ms after its start. Raises QueryCancelled, ValueError, TypeError. O(rows of step 1 + matching rows).
    """
