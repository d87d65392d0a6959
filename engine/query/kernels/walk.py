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
    from zuji.engine.types import U8, U16

    Walk: TypeAlias = "tuple[U8 | U16 | Feed, Sequence[Lane | FedLane], Sequence[int], int]"
    """One source: interleave [n]; its runs, in the order that it numbers them (``mask``:
    rows that are steps); the code of each run; its partition."""


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
