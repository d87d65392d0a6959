from collections.abc import Sequence
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.kernels.lane import EventCells, Lane
from zuji.engine.types import F64, I32, I64, U8, U32

_T = TypeVar("_T", bound=np.generic)

MAX_CELLS: int
MAX_MIXED: int

def event_cells(
    lanes: Sequence[Lane],
    edges: I64,
    groups: Sequence[U32 | RowGroups | None] | None = None,
    n_groups: int = 1,
    values: Sequence[F64 | None] | None = None,
    value_masks: Sequence[U8 | None] | None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
    rest: int = -1,
) -> EventCells:
    """Rows, exact users and value aggregates per (group, bucket).

    edges int64[B + 1] ascending, ms UTC; bucket b is [edges[b], edges[b + 1]); rows outside are skipped.
    groups: per lane uint32[n] group of each row, RowGroups, or None = group 0; a group >= n_groups
    (so also 0xFFFFFFFF) skips the row. values: per lane float64[n] or None (rows count, no values);
    value_masks: per lane uint8[n], 1 = the row has a value, or None = all.
    allowed uint8[]: audience by ordinal, ordinals past its end are out. cancel uint8[1].
    rest: a group whose users are not asked for: its rows count, and its users for ``anybody``, but
    ``users`` and ``new_users`` of its cells are 0.
    Raises QueryCancelled, ValueError, TypeError. O(rows + users).
    """

def code_rows(
    lane: Lane,
    edges: I64,
    groups: RowGroups,
    size: int,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> U32:
    """Rows of each code in one bucket, uint32[size + 1]; the last number is of rows without a value.

    edges int64[2]. Codes of ``size`` and more are not counted; the table of ``groups`` is not read.
    Raises QueryCancelled, ValueError, TypeError. O(rows + users).
    """

def set_isa(level: int = 1) -> int:
    """For tests: draw rows together by at most AVX-512 (1) or plain code (0); returns the one in use."""

def mix_groups(groups: Sequence[RowGroups], sizes: Sequence[int]) -> tuple[U32, I64]:
    """Combinations of groups: (number uint32[n] of each row's, the combinations by number int64[k],
    ascending, as mixed numbers: group * size of the next + group of the next …).

    At most MAX_MIXED combinations. Raises ValueError. O(n · dimensions + combinations).
    """

def pick_users(
    lanes: Sequence[Lane],
    edges: I64,
    groups: Sequence[U32 | RowGroups | None] | None = None,
    bucket: int = -1,
    group: int = -1,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> U32:
    """Ascending distinct ordinals behind a cell of ``event_cells``; bucket or group -1 = any.

    Rows of group 0xFFFFFFFF are skipped as there.
    """

def bucketize(times: U32, base_ms: int, edges: I64, out: I32 | None = None) -> I32:
    """Bucket of each row (times in ms after base_ms), -1 outside. Fills and returns ``out``."""

@overload
def count_by_user(
    lanes: Sequence[Lane],
    from_ms: int,
    to_ms: int,
    n_ord: int,
    values: None = None,
    value_masks: None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> U32: ...
@overload
def count_by_user(
    lanes: Sequence[Lane],
    from_ms: int,
    to_ms: int,
    n_ord: int,
    values: Sequence[F64 | None],
    value_masks: Sequence[U8 | None] | None = None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> tuple[U32, F64]:
    """Rows in [from_ms, to_ms) per ordinal, uint32[n_ord]; with values also their sums, float64[n_ord].

    Ordinals >= n_ord are left out.
    """

def expand_users(
    users: U32, offsets: U32, per_user: npt.NDArray[_T], fill: object = 0
) -> npt.NDArray[_T]:
    """Value of each row's user. ``per_user`` is indexed by ordinal; ``fill`` for ordinals past its end."""

def expand_lists(lane: Lane, offsets: U32, codes: U32) -> tuple[Lane, U32, U32]:
    """A row per distinct item of each row's list: (lane, row, code).

    Row i owns codes[offsets[i]:offsets[i + 1]]. ``row`` uint32[m]: row of the given lane; ``code``
    uint32[m]: the item, NO_CODE (0xFFFFFFFF) for a row whose list is empty or absent (kept once).
    Mask, ties and times follow their rows, so the new lane works wherever the old one did.
    """
