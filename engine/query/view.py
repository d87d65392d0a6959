"""What a query sees: one consistent set of sources, the catalog and the users of a project at one
moment.

Immutable; ``cache`` alone is filled lazily (user columns), guarded by its lock, and lives as long
as the view.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.daybits import DayBitsKept
from zuji.engine.query.virtual.definitions import Definitions
from zuji.engine.storage.segment import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuji.engine.index.catalog import Catalog
    from zuji.engine.query.marks import Marks
    from zuji.engine.storage.segment import Source
    from zuji.engine.types import I64, U32


_NOBODY = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class View:
    """A pinned state of a project.

    ``sources[shard]`` are ordered by (partition, rank). ``users[shard]`` is the number of ordinals.
    ``watermark_ms`` is the time of the newest event, at most now; None when there is no event.
    ``newest_ms``: the same without looking at the clock. ``rows``: of all sources.
    ``merged``: of a shard, ordinals that are no users (all their rows are somebody else's, or they
    were erased), and those that are users only if they have rows. ``definitions``: the virtual
    events and properties. ``marks``: tags and the like, by the prefix of their names
    (:mod:`marks`).
    """

    project: str
    tz: str
    sources: tuple[tuple[Source, ...], ...]
    catalog: Catalog
    users: tuple[int, ...]
    now_ms: int
    watermark_ms: int | None
    names: Callable[[int, U32], list[tuple[str | None, str | None]]]
    merged: Callable[[int], tuple[U32, U32]] = lambda shard: (_NOBODY, _NOBODY)
    owned: Callable[[int, U32], tuple[I64, I64]] | None = None
    newest_ms: int | None = None
    rows: int = 0
    definitions: Definitions = field(default_factory=Definitions)
    marks: Mapping[str, Marks] = field(default_factory=dict)
    day_bits: DayBitsKept = field(default_factory=DayBitsKept)
    profiles: ProfilesKept = field(default_factory=lambda: ProfilesKept())
    cache: dict[Any, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, now_ms: int) -> View:
        """The same pinned state at a later clock; caches are shared."""
        newest = self.newest_ms
        return replace(
            self, now_ms=now_ms, watermark_ms=None if newest is None else min(newest, now_ms)
        )

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.sources)

    def owners(self, shard: int, ordinals: U32) -> tuple[I64, I64]:
        """Shards and ordinals of whose the rows of some users of a shard are by now; themselves
        where nobody else has them.
        """
        if self.owned is None:
            return np.full(len(ordinals), shard, np.int64), ordinals.astype(np.int64)
        return self.owned(shard, ordinals)

    def nobody(self, shard: int) -> U32:
        """Ordinals of a shard that are no users, ascending. O(users), the first time."""
        found: U32 = self.cached(("nobody", shard), lambda: self._nobody(shard))
        return found

    def _nobody(self, shard: int) -> U32:
        never, perhaps = self.merged(shard)
        if len(perhaps):
            runs = [run for source in self.sources[shard] for run in source.runs.values()]
            for run in runs:
                perhaps = np.setdiff1d(perhaps, shared(run).users()[0], assume_unique=True)
        return np.union1d(never, perhaps) if len(perhaps) else never

    def cached(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of ``key``, made once. Two threads may make it at the same time; one wins."""
        with self.lock:
            if key in self.cache:
                return self.cache[key]
        value = make()
        with self.lock:
            return self.cache.setdefault(key, value)


def newest(sources: Sequence[Sequence[Source]]) -> int | None:
    """Time of the newest event that is not a profile record."""
    latest = (source.newest_ms for shard in sources for source in shard)
    return max((ms for ms in latest if ms is not None), default=None)


class ProfilesKept:
    """What was made of the profile records of some sources, kept as long as they are the same.

    One value a key: that of the sources asked for last. Outlives views, but keeps no source alive:
    a segment merged away gives back its disk space. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Any, tuple[tuple[weakref.ref[Source], ...], Any]] = {}

    def last(self, key: Any, sources: tuple[Source, ...]) -> Any:
        """The value of ``key`` that is held, when it was made of some of these sources; or None."""
        with self._lock:
            held = self._kept.get(key)
        if held is None or not all(any(ref() is one for one in sources) for ref in held[0]):
            return None
        return held[1]

    def of(self, key: Any, sources: tuple[Source, ...], make: Callable[[], Any]) -> Any:
        """The value of ``key`` made of exactly these sources."""
        with self._lock:
            held = self._kept.get(key)
        if (
            held is not None
            and len(held[0]) == len(sources)
            and all(a() is b for a, b in zip(held[0], sources, strict=True))
        ):
            return held[1]
        value = make()
        with self._lock:
            self._kept[key] = (tuple(map(weakref.ref, sources)), value)
        return value
