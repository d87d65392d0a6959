"""Walks: the sources of a shard as the session-path kernel goes along them.

A stream is an array, or a feed that hands out pages (``engine/storage/feed.h``): what is read once
need not be decoded as a whole. Immutable, but a feed is read once, by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.types import I64, U8, U16, U32

    Lanes: TypeAlias = "Sequence[Lane | FedLane] | LaidOut"
    Walk: TypeAlias = "tuple[U8 | U16 | Feed, Lanes, Sequence[int | Steps], int]"
    """One source: interleave [n]; its runs, in the order that it numbers them; what the rows of
    each run are to a path, or their code alone; its partition."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What the rows of a run are to a path. ``code``: the node of all of them; ``nodes``: of each,
    uint32[rows]. ``mask`` uint8[rows]: rows that are steps (None = all); the others hold their
    session together. ``opens``: rows that may open a path, uint8[rows] or all or none. ``groups``
    uint32[rows]: group of the path that a row opens (None = 0).
    """

    code: int
    nodes: U32 | None = None
    mask: U8 | None = None
    opens: U8 | bool = True
    groups: U32 | None = None


@dataclass(frozen=True, slots=True)
class LaidOut:
    """Rows of a source in the order of users, in place of its runs; those of ignored runs are not
    among them, nor in the interleave. ``users`` uint32[n], ascending; ``ends`` uint32[n]: behind
    the last row of each; ``times`` uint32[rows], from ``base_ms``; ``runs``: rows of each run.
    """

    users: U32
    ends: U32
    times: U32
    base_ms: int
    runs: Sequence[int]


@dataclass(frozen=True, slots=True)
class SessionRule:
    """Which sessions are counted, and what their paths are.

    ``gap_ms``: a longer gap between neighbouring rows of a user starts a new session. Sessions that
    start in [from_ms, to_ms) are counted, whole. ``steps``: length of a path at most. ``collapse``:
    a step equal to the one before it is left out. ``reverse``: sessions are read from their end.
    ``every``: each row that may open a path does, not only the first of its session. ``open_ms``:
    sessions with a row at this time or later may go on. ``reach_ms``: rows from this time on were
    not given.
    """

    gap_ms: int
    from_ms: int
    to_ms: int
    steps: int
    collapse: bool = False
    reverse: bool = False
    every: bool = False
    open_ms: int = 1 << 62
    reach_ms: int = 1 << 62


@dataclass(frozen=True, slots=True)
class PathCells:
    """Answer of ``path_cells``, in paths, or users.

    ``total``, ``open`` int64[lines]; ``nodes`` int64[lines, steps, side]; ``links``
    int64[lines, steps - 1, side, side]. ``picked``: ordinals, ascending. ``beyond``: rows that were
    not given may belong to a session that was counted.
    """

    total: I64
    open: I64
    nodes: I64
    links: I64
    picked: U32
    beyond: bool


class Feed(Protocol):
    """A stream of unsigned integers."""

    @property
    def capsule(self) -> Any:
        """The ``zj_feed``; good as long as the feed."""

    def __len__(self) -> int:
        """Values in all."""


@dataclass(frozen=True, slots=True)
class FedLane:
    """A run as :class:`Lane` has it, read page by page."""

    users: Feed
    offsets: Feed
    times: Feed
    base_ms: int
    mask: None = None
