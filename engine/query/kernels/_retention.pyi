from collections.abc import Sequence

from zuji.engine.query.kernels.lane import Lane, RetentionCells
from zuji.engine.types import F64, I64, U8, U32

MAX_CELLS: int

def retention_cells(
    start_lanes: Sequence[Lane],
    start_groups: Sequence[U32 | None] | None,
    n_groups: int,
    return_lanes: Sequence[Lane],
    return_is_start: Sequence[U8 | int],
    *,
    start_edges: I64,
    period_edges: I64,
    mode: str,
    period_ms: int,
    n: int,
    cohort: int,
    criterion: int,
    brackets: Sequence[tuple[int, int]] | None = None,
    metric_lanes: Sequence[Lane] | None = None,
    metric_values: Sequence[F64 | None] | None = None,
    pick: tuple[int, int, int, bool | None] | None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> RetentionCells:
    """Cohort sizes int64[G, P], returns int64[G, P, K] and a metric per cell.

    start_edges int64[P + 1]: cohort periods of the range. period_edges int64[>= P + n + 1]: calendar
    periods, period p of both being the same one (the first cohort period may be cut by the range).
    A user enters period p with the first start row in it and counts in that row's group; rows of one
    lane at the same (time, tie) are one event in several groups (``expand_lists``). Group >= n_groups:
    the entry is left out. first_ever (cohort 1) needs start lanes of all history.
    return_is_start: per return lane uint8[n] or one int, whether its rows are start rows too.
    mode "calendar" | "rolling"; period_ms > 0 (rolling only); K = n + 1, or the number of brackets.
    cohort 0 first_in_range, 1 first_ever, 2 recurring. criterion 0 on, 1 on_or_after, 2 on_or_before,
    3 consecutive, 4 bracket (pairs within 0..n).
    Metric: rows of the cohort's users in period k, returned or not (calendar: the whole period, period
    0 included; rolling: from the start instant on); brackets add up their periods, other criteria do not.
    metric_values: per lane float64[n] or None (rows count, sums 0).
    pick (group | -1, period | -1, k, returned): True returned, False not, None the whole cohort.
    Raises QueryCancelled, ValueError, TypeError. O(rows + entries * (n / 64 + returns)) in calendar mode.
    """
