"""Session paths: the first events of every session, counted exactly."""

from collections.abc import Callable, Sequence
from typing import Any, final

from zuji.engine.query.kernels.walk import Walk
from zuji.engine.types import U8

IGNORED: int
"""Code of a run whose rows are no behaviour (profile records): they are not seen at all."""
HIDDEN: int
"""Code of a run whose rows hold a session together but are no steps of its path."""
MAX_STEPS: int
MAX_CODES: int
PART_SESSIONS: int
"""Sessions whose paths are counted at once, at most: bounds the tables of ``top_paths``."""

@final
class PathCounts:
    """The paths of the sessions of one shard. Not for two threads at a time."""

    @property
    def sessions(self) -> int:
        """Sessions counted: those that start in the range and have a step."""

    @property
    def nbytes(self) -> int:
        """Memory held."""

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
