from collections.abc import Sequence

from zuji.engine.query.kernels.lane import Chains, Lane
from zuji.engine.types import I64, U8, U32

MAX_STEPS: int
FAR_MS: int
MAX_EXCLUSIONS: int
TIES: dict[str, int]
ORDERS: dict[str, int]
COUNTS: dict[str, int]
WINDOWS: dict[str, int]
ENTRIES: dict[str, int]

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

def funnel_cells(
    lanes: Sequence[Lane],
    step_masks: Sequence[int | U32],
    k: int,
    window_ms: int,
    ties: str,
    from_ms: int,
    to_ms: int,
    trend_edges: I64 | None = None,
    groups: Sequence[U32 | None] | None = None,
    n_groups: int = 1,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> tuple[I64, U32] | None:
    """(cells int64[n_groups, buckets, k + 1], users left over uint32[], ascending).

    Item j of a cell: users whose best level is exactly j, starts being those of the bucket alone; a user
    is in the group of the row that starts its canonical chain. groups: per lane uint32[n], read at rows
    that match step 1; from n_groups on = in no group, None = group 0. The other arguments as in
    ``funnel_fast``. Users left over (of the audience; rows at one instant that only ties order) are in no cell.
    None: the runs do not go together (times span 2**32 ms, or many users would be left over).
    Raises QueryCancelled, ValueError, TypeError. O(rows of step 1 + rows that can be reached + users).
    """

def set_isa(level: int = 2) -> int:
    """For tests: lets ``funnel_cells`` use 0 plain, 1 AVX2, 2 AVX-512 at most; returns what it uses."""

def funnel_chains(
    lanes: Sequence[Lane],
    step_masks: Sequence[int | U32],
    excl_masks: Sequence[int | U32] | None,
    exclusions: Sequence[tuple[int, int, str]] | None,
    hold: Sequence[Sequence[I64 | None] | None] | None,
    optional: int,
    k: int,
    order: str,
    entry: str,
    count: str,
    ties: str,
    window: tuple[str, int | None],
    day_edges: I64 | None,
    sessions: Sequence[I64] | None,
    from_ms: int,
    to_ms: int,
    trend_edges: I64 | None,
    cancel: U8 | None = None,
    allowed: U8 | None = None,
) -> Chains:
    """The canonical chain of every user (x session, x attempt) (x bucket): one record each, step 1 reached.

    step_masks, excl_masks: per lane one int or uint32[n]; bit s = step s + 1, bit e = exclusions[e].
    exclusions: (i, j, "drop" | "remove"), 1-based steps i < j; on an exclusion row every check for removal
    comes before any state is cleared. With "any_order" only (1, k) is supported, and no optional steps.
    hold: per step a list per lane of int64[n] codes (-1, or None for the lane = no value), or None for a
    step that holds nothing. The values tried are those of rows from the first start to the last start's
    window; of two values with one chain, the one with more optional steps, then the lower code.
    optional: bit s = step s + 1 is optional (not the first).
    order "ordered" | "strict" (lanes hold every event of the users; rows that do not pass still break a
    chain) | "any_order" (columns of the record are the used rows in time order; entry "first" means the
    first row of any step). entry "any" | "first". count "users" | "entries" | "sessions".
    ties "sequence" | "any" | "strict"; for "any", rows that match only an exclusion come last in their
    instant. window ("ms", W) | ("same_day", _) with day_edges int64[D + 1] of local days |
    ("session", _); sessions: per lane int64[n] as ``sessions`` gives, also for count "sessions".
    Starts lie in [from_ms, to_ms) and, with trend_edges int64[B + 1], in the record's bucket; every bucket
    is evaluated alone. Of starts at one instant the one sent first is taken.
    Records ascend by (user, session, bucket, attempt). Raises QueryCancelled, ValueError, TypeError, KeyError.
    """
