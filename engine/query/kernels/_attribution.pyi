from collections.abc import Sequence

from zuji.engine.query.kernels.credits import MODELS as MODELS
from zuji.engine.query.kernels.credits import CreditCells
from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import F64, I64, U8, U32

MAX_CELLS: int

def attribution_cells(
    target_lanes: Sequence[Lane],
    target_lines: Sequence[U32 | tuple[U32, U32] | None] | None,
    n_lines: int,
    target_values: Sequence[F64 | None] | None,
    touch_lanes: Sequence[Lane],
    touch_names: Sequence[U32 | int],
    n_names: int,
    *,
    edges: I64,
    lookback_ms: int,
    models: Sequence[tuple[str, float, float]],
    direct: U8 | Sequence[int] | None = None,
    once: bool = False,
    target_keys: Sequence[U32 | None] | None = None,
    touch_keys: Sequence[U32 | None] | None = None,
    pick: tuple[int, int, int] | None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> CreditCells:
    """Conversions of each (line, bucket), and how their credit falls to the names of the touches.

    A conversion is a row of the target lanes that passes and lies in [edges[0], edges[B]). A touch
    serves it when it stands before it, in the order (time, rank, tie), at most lookback_ms before.
    target_lines: per lane uint32[n], or (offsets uint32[n + 1], lines) for rows in several or none;
    None: line 0. Lines >= n_lines do not count. target_values: NaN = no value, counted as 0.
    touch_names: one number for all rows of a lane that pass, or uint32[n] (>= n_names: the row is no
    touch; the mask is not looked at then). direct[name] 1: last_non_direct passes over it.
    models: (name of ``credits.MODELS``, a, b); position: whole percents of the first and the last
    touch; time_decay: half-life in ms and 0; else 0, 0.
    once: a touch serves only the first conversion that it can serve, conversions before the range
    included. target_keys and touch_keys (both or none): uint32[n] a lane, a touch must have the
    conversion's key; 0 is no key, as is None for a lane.
    pick (line | -1, bucket | -1, name | -1): name n_names is "no touch".
    Raises QueryCancelled, ValueError, TypeError. O(rows + conversions * names near them); with keys or
    time_decay + touches in the look-backs.
    """
