"""The cohorts of a pinned state, as queries read them (:class:`~zuji.engine.query.marks.Marks`).

A cohort is a truth about every user: ``user.$cohort.NAME``. Which version counts at an instant: the
newest that was made as of that instant or before; now: the newest. Ordinals in files are those of
when they were written: a member who is somebody else's by now counts as the owner. Masks are kept
in the engine's cache. Immutable; thread-safe.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.people.cohort_files import mask_of, members_of, ordinals_of
from zuji.engine.people.cohort_rules import Definition, definition_from, reads_of
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zuji.engine.people.store import State
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.view import View
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.types import I64, U8, U32


class KeptCohort:
    """One cohort of a state. ``kind``: rule, list or cell. ``at_ms``: the moments of its versions,
    ascending, with the file and the number of members of each.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.definition: Definition = definition_from(document["definition"])
        self.kind: str = document["kind"]
        self.versions: list[dict[str, Any]] = document["versions"]
        self.at_ms = [int(one["at_ms"]) for one in self.versions]
        self.files = [int(one["file"]) for one in self.versions]
        self.users = [int(one["users"]) for one in self.versions]

    def in_force(self, at_ms: int | None) -> int | None:
        """Place of the version that counts at an instant (None: the newest), None without one."""
        if at_ms is None:
            return len(self.files) - 1 if self.files else None
        at = bisect_right(self.at_ms, at_ms) - 1
        return None if at < 0 else at


class KeptCohorts:
    """All cohorts of a state of their catalogue. ``serial_of``: number of a file in the cache."""

    def __init__(self, state: State, columns: ColumnCache, serial_of: Callable[[int], int]) -> None:
        self.state = state
        self._columns = columns
        self._serial_of = serial_of
        self._lock = threading.Lock()
        self._made: dict[str, KeptCohort] = {}
        self.kinds: dict[str, Kind] = dict.fromkeys(state.document["cohorts"], Kind.BOOL)

    def get(self, name: str) -> KeptCohort:
        """One cohort. REQUIRES: it is there."""
        with self._lock:
            if name not in self._made:
                self._made[name] = KeptCohort(self.state.document["cohorts"][name])
            return self._made[name]

    def reads(self, name: str) -> Iterable[str]:
        """Properties and marks that a cohort is made of."""
        return reads_of(self.get(name).definition.rule)

    def column(self, view: View, shard: int, name: str, at_ms: int) -> Column | None:
        """Whether each ordinal is a member at an instant; None before the first version."""
        cohort = self.get(name)
        place = cohort.in_force(at_ms)
        if place is None:
            return None
        return Column(Kind.BOOL, self.mask(view, shard, cohort, place))

    def rows(self, view: View, shard: int, name: str, lane: Lane) -> Column | None:
        """Whether each row's user was a member at the row's time; no value before the first
        version.
        """
        cohort = self.get(name)
        if not cohort.files:
            return None
        times = lane.times.astype(np.int64) + lane.base_ms
        place = np.searchsorted(np.array(cohort.at_ms, np.int64), times, side="right") - 1
        owner = np.repeat(lane.users, np.diff(lane.offsets))
        values = np.zeros(len(owner), np.uint8)
        for at in np.unique(place[place >= 0]).tolist():
            mine = np.flatnonzero(place == at)
            values[mine] = self.mask(view, shard, cohort, at)[owner[mine]]
        return Column(Kind.BOOL, values, (place >= 0).astype(np.uint8))

    def mask(self, view: View, shard: int, cohort: KeptCohort, place: int) -> U8:
        """uint8[users] of a shard of the view: 1 = a member of a version. Read-only."""
        number = cohort.files[place]
        mask: U8
        if moved(view):
            key = ("cohort", number, shard)
            mask = view.cached(key, lambda: self._mask(view, shard, cohort, place))
        else:
            mask = self._columns.get(
                (self._serial_of(number), "cohort", str(shard)),
                lambda: self._mask(view, shard, cohort, place),
            )
        users = view.users[shard]
        if len(mask) >= users:
            return mask[:users]
        return np.concatenate([mask, np.zeros(users - len(mask), np.uint8)])

    def _mask(self, view: View, shard: int, cohort: KeptCohort, place: int) -> U8:
        # A version may be newer than the view: what is kept must not lack its last members.
        found = self.members(view, shard, cohort, place)
        return mask_of(found, max(view.users[shard], found.max() + 1 if found else 0))

    def members(self, view: View, shard: int, cohort: KeptCohort, place: int) -> BitMap:
        """Ordinals of a shard of the view who are members of a version."""
        blob = self.state.blob(cohort.files[place])
        own = members_of(blob, shard) if shard < blob.sections else BitMap()
        if not moved(view):
            return own
        found = own - nobody(view, shard)
        for other in range(min(view.shards, blob.sections)):
            there = own if other == shard else members_of(blob, other)
            gone = ordinals_of(there & nobody(view, other))
            if len(gone):
                shards, ordinals = owners_of(view, other, gone)
                found |= BitMap(ordinals[shards == shard].tolist())
        return found - nobody(view, shard)


def nobody(view: View, shard: int) -> BitMap:
    """Ordinals of a shard that are no users any more."""
    found: BitMap = view.cached(
        ("nobody bitmap", shard), lambda: BitMap(view.nobody(shard).tolist())
    )
    return found


def moved(view: View) -> bool:
    """Whether somebody is nobody, or somebody else's, by now."""
    return any(nobody(view, shard) for shard in range(view.shards))


def owners_of(view: View, shard: int, ordinals: U32) -> tuple[I64, I64]:
    """Whose the rows of some ordinals are by now: shards and ordinals; themselves as a rule."""
    return view.owners(shard, ordinals)
