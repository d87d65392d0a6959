"""Erased: ordinals whose users were erased. An ordinal is never given again, so they stay.

``all``: for ever; they have no id any more, and are nobody. ``waiting``: those of them whose rows
may still stand in files; nobody sees these rows (:class:`~zuji.engine.storage.without.Without`),
and the next compaction leaves them out. ``applied``: number of the last entry of the ledger of
erasures that is among them. Kept in the manifest as ``extra["erased"]``, in the same edit as the
rows and ids that it goes with (docs/format/manifest.md). Thread-safety: the writer's lock guards
changes; arrays handed out are copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.types import U32

Ordinals = dict[int, "U32"]
"""Ordinals by shard, ascending; shards without any are not in it."""


class Erased:
    """The erased ordinals of a project; ``state`` is what :meth:`dump` gave."""

    def __init__(self, shards: int, state: Mapping[str, Any] | None = None) -> None:
        parts = state["shards"] if state else [[b"", b""]] * shards
        self.all = [_loaded(all_) for all_, _ in parts]
        self.waiting = [_loaded(waiting) for _, waiting in parts]
        self.applied = int(state["applied"]) if state else 0
        self.version = 0
        """Changes with every change."""

    def add(self, ordinals: Mapping[int, U32], applied: int = 0) -> None:
        """Erases; their rows wait to be removed."""
        for shard, mine in ordinals.items():
            self.all[shard] |= BitMap(mine)
            self.waiting[shard] |= BitMap(mine)
        self.applied = max(self.applied, applied)
        self.version += 1

    def gone(self, ordinals: Mapping[int, U32]) -> None:
        """No file has rows of these any more."""
        for shard, mine in ordinals.items():
            self.waiting[shard] -= BitMap(mine)
        self.version += 1

    def among(self, shard: int, first: int, end: int) -> U32:
        """Erased ordinals in [first, end), ascending."""
        mine = self.all[shard]
        if not mine:
            return np.empty(0, np.uint32)
        some = mine & BitMap(range(first, end))
        return np.frombuffer(some.to_array(), np.uint32).copy()

    def hidden(self) -> Ordinals:
        """Ordinals whose rows must not be seen."""
        return _arrays(self.waiting)

    def nobody(self) -> Ordinals:
        """All erased ordinals: no population has them."""
        return _arrays(self.all)

    def dump(self) -> dict[str, Any] | None:
        """State for the manifest; None when there is nothing to say."""
        if not self.applied and not any(self.all):
            return None
        pairs = zip(self.all, self.waiting, strict=True)
        return {"applied": self.applied, "shards": [[_bytes(a), _bytes(w)] for a, w in pairs]}

    def copy(self) -> Erased:
        """Another one with the same ordinals: what will be once an edit is committed."""
        return Erased(len(self.all), self.dump())


def _arrays(maps: list[BitMap]) -> Ordinals:
    return {
        shard: np.frombuffer(mine.to_array(), np.uint32).copy()
        for shard, mine in enumerate(maps)
        if mine
    }


def _loaded(packed: bytes) -> BitMap:
    return BitMap.deserialize(packed) if packed else BitMap()


def _bytes(ordinals: BitMap) -> bytes:
    packed: bytes = ordinals.serialize() if ordinals else b""
    return packed
