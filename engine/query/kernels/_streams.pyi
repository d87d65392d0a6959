from collections.abc import Sequence

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.types import I64, U8, U16, U32

def stream_lane(
    runs: Sequence[tuple[U32, U32, U32]],
    interleave: U16,
    base_ms: int,
    rank: int = 0,
    cancel: U8 | None = None,
) -> tuple[Lane, U16, U32]:
    """All rows of one source in the order (ordinal, time, tie): (lane, code, row).

    runs: (users, offsets, times) in the order that the codes of ``interleave`` name. ``code`` is
    ``interleave`` itself, uint16[n] index into runs; ``row`` uint32[n] the row in its run. The lane's
    ties rank the rows of one instant (None when no two rows share one).
    Raises ValueError when the arrays do not belong together. O(rows).
    """

def sessions(lanes: Sequence[Lane], gap_ms: int, cancel: U8 | None = None) -> list[I64]:
    """Session number of each row, int64[n] per lane, dense from 0 over all users.

    Cut where neighbouring rows of a user, over all lanes, are more than gap_ms apart. Masks are not
    read: give every lane of the shard, filter afterwards. O(rows log lanes).
    """

def asof(hist_users: U32, hist_times: I64, lane: Lane, cancel: U8 | None = None) -> I64:
    """int64[n]: index of the last history row of the row's user at or before its time, or -1.

    hist_users, hist_times (ms UTC): sorted by (user, time). O(rows + history).
    """
