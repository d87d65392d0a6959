"""Session paths: the first events of every session, counted exactly."""

from collections.abc import Callable, Sequence
from typing import Any, Self, final

from zuji.engine.query.kernels.lane import Lane
from zuji.engine.query.kernels.walk import FedLane, Feed, PathCells, SessionRule, Walk
from zuji.engine.types import I64, U8, U16, U32

IGNORED: int
"""Code of a run whose rows are no behaviour (profile records): they are not seen at all."""
HIDDEN: int
"""Code of a run whose rows hold a session together but are no steps of its path."""
MAX_STEPS: int
MAX_CODES: int
MAX_GROUPS: int
MAX_NODES: int
__pyx_capi__: dict[str, object]  # how Cython modules find each other's functions
NARROW_CODES: int
"""Of ``path_links``, at most."""
LINE_HEAD: int
"""Cells of a line before its nodes: its paths, those that may go on."""
PART_SESSIONS: int
"""Sessions whose paths are counted at once, at most: bounds the tables of ``top_paths``."""

@final
class Sources:
    """Sources of a shard as C structs."""

    def __new__(cls, given: list[Walk], n_codes: int, n_groups: int = 1) -> Self: ...

@final
class PathCounts:
    """The paths of the sessions of one shard. Not for two threads at a time."""

    @property
    def sessions(self) -> int:
        """Sessions counted: those that start in the range and have a step."""

    @property
    def nbytes(self) -> int:
        """Memory held."""

def lay_out(
    interleave: U8 | U16 | Feed,
    lanes: Sequence[Lane | FedLane],
    ignored: Sequence[bool],
    cancel: U8 | None = None,
) -> tuple[U8 | U16, U32, U32, U32]:
    """Interleave, users, ends and times of the rows of one source but for ignored runs, as
    :class:`LaidOut` has them. O(rows). GIL released. Raises ValueError when arrays do not belong
    together, QueryCancelled.
    """

def session_paths(
    sources: Sequence[Walk],
    *,
    users: int,
    n_codes: int,
    gap_ms: int,
    steps: int,
    from_ms: int,
    to_ms: int,
    collapse: bool = False,
    memory_bytes: int = ...,
    allowed: U8 | None = None,
    cancel: U8 | None = None,
) -> PathCounts:
    """Paths of the sessions of one shard.

    sources: sorted by (partition, rank). users: number of ordinals. n_codes: codes are below it,
    the same for all shards; at most 65,533. gap_ms: a longer gap between neighbouring rows of a user
    starts a new session. steps: length of a path at most, 1 to 20. Sessions that start in
    [from_ms, to_ms) are counted, whole. collapse: a step equal to the one before it is left out.
    memory_bytes: bound of what is held of paths, 8 bytes a session and 8 steps; those of sessions in
    thousands of different paths are counted when they take half of it.
    O(rows). GIL released. Raises ValueError when arrays do not belong together, MemoryError beyond
    the bound, QueryCancelled.
    """

def top_paths(
    counts: Sequence[PathCounts],
    n: int,
    cancel: U8 | None = None,
    each: Callable[[Callable[[PathCounts], Any], Sequence[PathCounts]], list[Any]] | None = None,
) -> list[tuple[tuple[int, ...], int]]:
    """The n most frequent paths of all shards together: (codes, sessions), most first.

    Paths of equally many sessions are in the order of their codes. ``each``: calls a function for
    every item, on several threads if it likes. Exact. O(sessions) to read them once or twice; only
    those that share a bucket of their hash with a path that may be among the n are counted.
    """

def path_links(
    sources: Sequence[Walk],
    *,
    users: int,
    n_codes: int,
    rule: SessionRule,
    allowed: U8 | None = None,
    cancel: U8 | None = None,
) -> tuple[I64, int, bool]:
    """Links of the paths that begin with their session; paths that may go on; ``beyond``.

    sources, users, allowed: as for ``session_paths``; n_codes: at most 253. Links are
    int64[steps - 1, side, side], side = n_codes + 2: how many paths go from one node to the next
    at a layer. Column n_codes: the session has no row left; n_codes + 1: it has rows, but no step
    left. A path that has ended goes on as its end. O(rows + sessions * steps). GIL released.
    Raises ValueError when arrays do not belong together, QueryCancelled.
    """

def path_tally(
    sources: Sequence[Walk],
    *,
    users: int,
    nodes: int,
    groups: int,
    rule: SessionRule,
    allowed: U8 | None = None,
    cancel: U8 | None = None,
) -> tuple[I64, I64, bool]:
    """Paths that have a node at a step, int64[steps, nodes]; paths by group, int64[groups];
    ``beyond``.

    O(rows + paths * steps). GIL released. Raises as ``path_links``, MemoryError.
    """

def path_cells(
    sources: Sequence[Walk],
    *,
    users: int,
    shown: U16,
    columns: int,
    lines: tuple[U32, U32],
    n_lines: int,
    rule: SessionRule,
    by_user: bool = False,
    pick: int | None = None,
    allowed: U8 | None = None,
    cancel: U8 | None = None,
) -> PathCells:
    """Nodes and links of paths by line.

    shown: uint16[steps, nodes], the column of each node at each step, below ``columns``; two more
    columns are the ends, as in ``path_links``. lines: of each group, offsets uint32[groups + 1] and
    lines; a path counts in all lines of its group. by_user: cells count users, not paths. pick:
    number of a cell (a line is [total, open, nodes, links]) whose users are wanted.
    O(rows + paths * steps * lines of a group); 8 bytes a cell are held, by_user 12. GIL released.
    Raises as ``path_tally``.
    """
