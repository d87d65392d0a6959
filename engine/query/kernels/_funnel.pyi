from collections.abc import Sequence

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import I64, U8, U32

MAX_STEPS: int
FAR_MS: int
TIES: dict[str, int]

class StepMasks: ...

def funnel_fast(
    lanes: Sequence[Lane],
    step_masks: Sequence[int | U32],
    k: int,
    window_ms: int,
    ties: str,
    from_ms: int,
    to_ms: int,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> I64:
    """Users by best level: int64[k + 1], item j = users whose best level is >= j; item 0 is 0.

    Ordered, any entry. step_masks: per lane one int for all its rows or uint32[n] (bit s = step s + 1).
    ties: "sequence" | "any" | "strict". Starts lie in [from_ms, to_ms); later steps may lie beyond.
    Raises QueryCancelled, ValueError, TypeError. O(rows of step 1 + matching rows).
    """
