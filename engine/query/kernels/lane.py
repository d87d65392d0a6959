"""Lane: the rows of one run as kernels see them, and the answers that kernels give back.

A lane is one event's rows in one source of one shard, in compressed-sparse-row form: user
``users[i]`` owns rows ``offsets[i]:offsets[i + 1]``, sorted by (time, tie). A user's rows may be
spread over several lanes; kernels bring them together in the order (time, rank, tie).

Invariants (kernels check the lengths and that offsets ascend, and trust the rest):
``users`` strictly ascending and below ``0xFFFFFFFF``; ``offsets[0] == 0``, ``offsets[-1] == n``;
``times`` ascending within a user, in ms after ``base_ms``; ``ties`` (None = all 0) rank the rows of
one source at one instant in the order sent, over all lanes of that source.
Arrays are C-contiguous and are not written to while a kernel runs. Thread-safety: immutable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    from zuji.engine.types import F64, I32, I64, U8, U16, U32

    I16 = npt.NDArray[np.int16]
    BitRows: TypeAlias = tuple[I32, I32, I32]
    """Rows as unions of days: offsets int32[rows + 1], and of each day its run and number,
    int32[m]."""

#: Group id of a row that belongs to no group: kernels skip the row.
NO_GROUP = 0xFFFFFFFF
#: Code of a row without a value (an empty list in ``expand_lists``).
NO_CODE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Lane:
    """Rows of one run. ``mask`` uint8[n]: rows that pass the filter (None = all)."""

    users: U32
    offsets: U32
    times: U32
    base_ms: int
    rank: int = 0
    ties: U16 | None = None
    mask: U8 | None = None

    @property
    def rows(self) -> int:
        """Number of rows, the masked ones included."""
        return len(self.times)


@dataclass(frozen=True, slots=True)
class EventCells:
    """Answer of ``event_cells``; every array has the shape [groups, buckets].

    ``users``: distinct users of the cell. ``new_users``: each user of a group once, in the earliest
    bucket where the user has a row, so ``new_users.sum(axis=1)`` is the group's distinct users.
    ``sum``, ``lost`` (what rounding took off it), ``vmin``, ``vmax``, ``nvals``: of the values of
    the cell's rows (``vmin`` is +inf and ``vmax`` -inf where ``nvals`` is 0); None when no values
    were given.
    ``anybody``: distinct users over all cells.
    """

    rows: I64
    users: I64
    new_users: I64
    anybody: int
    sum: F64 | None = None
    lost: F64 | None = None
    vmin: F64 | None = None
    vmax: F64 | None = None
    nvals: I64 | None = None

    @property
    def total_users(self) -> I64:
        """Distinct users of each group over all buckets, int64[groups]."""
        total: I64 = self.new_users.sum(axis=1)
        return total


@dataclass(frozen=True, slots=True)
class Chains:
    """Answer of ``funnel_chains``: one record per user (and bucket, session or attempt).

    ``user`` uint32[m]; ``bucket`` int32[m] (0 without a trend); ``reached`` uint32[m], bit s = step
    s reached; ``step_lane`` int16[m, k], ``step_row`` int64[m, k] the row that took each step (-1 =
    none); ``step_time`` int64[m, k] ms UTC (0 where there is no row). With order "any_order" the
    columns are the used rows in time order.
    """

    user: U32
    bucket: I32
    reached: U32
    step_lane: I16
    step_row: I64
    step_time: I64


@dataclass(frozen=True, slots=True)
class RetentionCells:
    """Answer of ``retention_cells``.

    ``size`` int64[G, P]; ``returned`` int64[G, P, K]; ``metric_sum`` float64[G, P, K],
    ``metric_lost``, what rounding took off it, and ``metric_count`` int64[G, P, K] (None without
    metric lanes); ``picked`` uint32[] ascending ordinals (empty without a pick).
    """

    size: I64
    returned: I64
    metric_sum: F64 | None
    metric_lost: F64 | None
    metric_count: I64 | None
    picked: U32


@dataclass(frozen=True, slots=True)
class UserValues:
    """Answer of ``user_values``: a record a user and period with a counted row, by (user, period).

    ``lane`` int32[m], ``row`` uint32[m]: the first or last counted row; empty when no place was
    asked for.
    """

    user: U32
    period: I32
    value: F64
    lane: I32
    row: U32


@dataclass(frozen=True, slots=True)
class Pairs:
    """Answer of ``interval_pairs``: one record a pair, by user, in the order of their ends.

    ``bucket`` int32[m] of the start; ``gap`` int64[m] ms from start to end. ``start_lane``,
    ``end_lane`` int32[m] and ``start_row``, ``end_row`` uint32[m]; empty when not asked for.
    """

    user: U32
    bucket: I32
    gap: I64
    start_lane: I32
    start_row: U32
    end_lane: I32
    end_row: U32
