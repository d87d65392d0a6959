"""Without: a source without the rows of some users, for users who are not to be seen where their
rows lie: merged into somebody else, or erased.

Nothing is read before somebody asks, and what is read of a run is what was asked for, less the
ranges of rows of those users. Kept like the columns of a segment, under a number of its own.
Bounds, zones, properties and dictionaries are those of the source beneath: they may be those of
more rows, never of fewer. What is written anew is read by :mod:`fewer`, which is exact there, too.
Immutable; thread-safe: caches are filled idempotently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage._rows import days_of
from zuji.engine.storage._without import drop_ranges
from zuji.engine.storage.build import Packed
from zuji.engine.storage.cache import serials
from zuji.engine.storage.days import bitmap
from zuji.engine.storage.segment import Segment, shared
from zuji.engine.storage.sought import Ranges, Sought, places_of, rows_in
from zuji.engine.storage.source import DayViews
from zuji.engine.types import PROFILE_EVENTS, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyroaring import BitMap

    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.storage.source import Run, Source, Zone
    from zuji.engine.types import I64, U16, U32


class Without:
    """Rows of ``base`` but those of the users ``ordinals`` uint32[], ascending. ``before``: the
    same without all of them but ``fresh``, of which is taken over what it knows.
    """

    def __init__(
        self,
        base: Source,
        ordinals: U32,
        before: Without | None = None,
        fresh: Sought | None = None,
    ) -> None:
        self.base = base
        self.gone = ordinals
        self.serial = next(serials)
        self.shard = base.shard
        self.partition = base.partition
        self.base_ms = base.base_ms
        self.end_ms = base.end_ms
        self.rank = base.rank
        self.cache: ColumnCache | None = base.cache if isinstance(base, Segment) else None
        self._index: Days | None = None
        self._users: U32 | None = None
        self.lost = _Lost(ordinals)
        kept = {name: WithoutRun(self, run, ordinals) for name, run in base.runs.items()}
        if before is None or fresh is None:
            counted = {name: run.leave_out(Sought(ordinals)) for name, run in kept.items()}
        else:
            self.lost.take_over(before.lost, fresh)
            counted = {name: kept[name].take_over(run, fresh) for name, run in before.runs.items()}
        self.runs: Mapping[str, WithoutRun] = {n: run for n, run in counted.items() if run.rows}
        self.rows = sum(run.rows for run in self.runs.values())

    def also(self, fresh: Sought) -> Without:
        """The same without some more users, who are not gone yet."""
        gone = np.zeros(int(max(fresh.users[-1], self.gone[-1])) + 1, np.bool_)
        gone[self.gone] = gone[fresh.users] = True
        return Without(self.base, np.flatnonzero(gone).astype(np.uint32), self, fresh)

    def keep_in(self, cache: ColumnCache) -> None:
        """Lets queries keep what they decode. Idempotent."""
        if isinstance(self.base, Segment | Without):
            self.base.keep_in(cache)
        if self.cache is not cache and cache.budget:
            self.cache = cache
            for run in self.runs.values():
                run.keep_in(cache)

    def __del__(self) -> None:
        if (cache := getattr(self, "cache", None)) is not None:
            cache.gone(self.serial)

    def interleave(self) -> tuple[U16, list[str]]:
        """See :class:`Source`. O(rows + users gone)."""
        codes, names = self.base.interleave()
        lut = np.zeros(len(names) + 1, np.uint16)
        left = [name for name in names if name in self.runs]
        for place, name in enumerate(left):
            lut[names.index(name)] = place
        kept = drop_ranges(codes, *self._ranges(names))
        return (kept if left == names else lut[kept]), left

    def _ranges(self, names: list[str]) -> Ranges:
        """Rows of each user who is gone, in user order."""
        starts, counts = (np.zeros(len(self.gone), np.int64) for _ in range(2))
        for name in names:
            users, offsets = shared(self.base.runs[name]).users()
            low = np.searchsorted(users, self.gone)
            high = np.searchsorted(users, self.gone, side="right")
            starts += offsets[low]
            counts += offsets[high].astype(np.int64) - offsets[low]
        there = counts > 0
        return starts[there], (starts + counts)[there]

    def dictionary(self, prop: str) -> Dictionary | None:
        """See :class:`Source`."""
        return self.base.dictionary(prop)

    @property
    def index(self) -> Days | None:
        """See :class:`Source`."""
        base = self.base.index
        if self._index is None and base is not None:
            runs = [run for name, run in self.base.runs.items() if name not in PROFILE_EVENTS]
            self._index = DaysWithout(base, self.gone, *self.lost.of(runs, base.edges))
        return self._index

    @property
    def newest_ms(self) -> int | None:
        """See :class:`Source`; never earlier than its newest row."""
        return self.base.newest_ms if self.rows else None

    @property
    def user_count(self) -> int:
        """See :class:`Source`."""
        return len(self.user_list())

    def user_list(self) -> U32:
        """See :class:`Source`."""
        if self._users is None:
            self._users = _less(self.base.user_list(), self.gone)
        return self._users

    def close(self) -> None:
        """Nothing to do: the source beneath has an owner."""


class WithoutRun(DayViews):
    """One run of a source without some users' rows. They are counted by :meth:`leave_out` or
    :meth:`take_over`, which the owner calls first, and sought when rows are read.
    """

    def __init__(self, owner: Without, base: Run, gone: U32) -> None:
        self._serial, self._cache = owner.serial, owner.cache
        self.base = base
        self.lost = _Lost(gone)
        self.event = base.event
        self.rows, self.user_count = base.rows, base.user_count
        self.base_ms, self.min_ms, self.max_ms = base.base_ms, base.min_ms, base.max_ms
        self.received_at = base.received_at
        self._gone = gone
        self._index: Days | None = None
        self._sought = Sought(gone)
        self._ranges: Ranges | None = None

    def leave_out(self, users: Sought) -> WithoutRun:
        """Some users are not counted."""
        starts, ends = users.ranges(self.base)
        self.rows -= int((ends - starts).sum())
        self.user_count -= len(starts)
        return self

    def take_over(self, before: WithoutRun, fresh: Sought) -> WithoutRun:
        """What is known of the same run without all users who are gone but ``fresh``."""
        self.rows, self.user_count = before.rows, before.user_count
        self.lost.take_over(before.lost, fresh)
        return self.leave_out(fresh)

    @property
    def ranges(self) -> Ranges:
        """Rows of those who are gone in the run beneath."""
        if self._ranges is None:
            self._ranges = self._sought.ranges(self.base)
        return self._ranges

    def keep_in(self, cache: ColumnCache) -> None:
        """See :class:`Without`."""
        self._cache = cache

    @property
    def props(self) -> Mapping[str, Kind]:
        """See :class:`Run`; perhaps some that only rows of the users gone had."""
        return self.base.props

    @property
    def index(self) -> Days | None:
        """See :class:`Run`."""
        base = self.base.index
        if self._index is None and base is not None:
            self._index = DaysWithout(base, self._gone, *self.lost.of([self.base], base.edges))
        return self._index

    def users(self) -> tuple[U32, U32]:
        """See :class:`Run`."""
        found: tuple[U32, U32] = self._kept("users", self._users)
        return found

    def _users(self) -> tuple[U32, U32]:
        users, offsets = shared(self.base).users()
        at = self._sought.at(self.base)
        counts = drop_ranges(np.diff(offsets), at, at + 1)
        left = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=left[1:])
        return drop_ranges(users, at, at + 1), left

    def times(self) -> U32:
        """See :class:`Run`."""
        found: U32 = self._kept(
            "times", lambda: drop_ranges(shared(self.base).times(), *self.ranges)
        )
        return found

    def ties(self) -> U16 | None:
        """See :class:`Run`."""
        ties = shared(self.base).ties()
        if ties is None:
            return None
        found: U16 = self._kept("ties", lambda: drop_ranges(ties, *self.ranges))
        return found

    def received(self) -> I64:
        """See :class:`Run`."""
        return drop_ranges(shared(self.base).received(), *self.ranges)

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        found: Column | None = self._kept("column " + name, lambda: self._column(name))
        return found

    def _column(self, name: str) -> Column | None:
        base = shared(self.base).column(name)
        if base is None:
            return None
        present = None if base.present is None else drop_ranges(base.present, *self.ranges)
        if base.offsets is None:
            values = drop_ranges(base.values, *self.ranges)
            return Column(base.kind, values, present, base.dictionary)
        left = np.arange(self.base.rows, dtype=np.uint32)
        offsets, items = gather_lists(
            base.offsets, np.asarray(base.values, np.uint32), drop_ranges(left, *self.ranges)
        )
        return Column(base.kind, items, present, base.dictionary, offsets)

    def packed(self, name: str) -> Packed | None:
        """See :class:`Run`."""
        return _packed(self.base, self.ranges, name)

    def presence_count(self, name: str) -> int:
        """See :class:`Run`."""
        packed = self.packed(name)
        return 0 if packed is None else packed.count

    def zone(self, name: str) -> Zone | None:
        """See :class:`Run`: of the run beneath."""
        return self.base.zone(name)

    def nbytes(self, name: str | None) -> int:
        """See :class:`Run`: the share of the run beneath."""
        return self.base.nbytes(name) * self.rows // max(1, self.base.rows)

    def _kept(self, what: str, make: Any) -> Any:
        if self._cache is None:
            return make()
        return self._cache.get((self._serial, self.event, what), make)


class DaysWithout:
    """Day index without some users. ``lost`` int64[days]: their rows on each day, ``fewer``
    int64[days]: how many of them have any.
    """

    def __init__(self, base: Days, gone: U32, lost: I64, fewer: I64) -> None:
        self._base = base
        self._gone = gone
        self.edges = base.edges
        self.rows = base.rows - lost
        self.cards: U32 = (base.cards - fewer).astype(np.uint32)
        self._touched = lost > 0

    def users(self, day: int) -> BitMap:
        """See :class:`Days`."""
        found = self._base.users(day)
        return found - bitmap(self._gone) if self._touched[day] else found

    def multi(self, day: int) -> BitMap:
        """See :class:`Days`."""
        found = self._base.multi(day)
        return found - bitmap(self._gone) if self._touched[day] else found

    def user_list(self, day: int) -> U32:
        """See :class:`Days`."""
        return self._left(self._base.user_list(day), day)

    def people(self, day: int) -> BitMap | U32:
        """See :class:`Days`."""
        return self.user_list(day) if self._touched[day] else self._base.people(day)

    def multi_list(self, day: int) -> U32:
        """See :class:`Days`."""
        return self._left(self._base.multi_list(day), day)

    def _left(self, users: U32, day: int) -> U32:
        return _less(users, self._gone) if self._touched[day] else users


class _Lost:
    """Rows of users on each day, and how many of them have any: of most it may be known already.
    ``unknown``: of these users it is not.
    """

    def __init__(self, users: U32) -> None:
        self.unknown = Sought(users)
        self.known: tuple[I64, I64] | None = None

    def take_over(self, before: _Lost, fresh: Sought) -> None:
        """What is known of all users but some."""
        if before.known is not None:
            self.known, self.unknown = before.known, fresh
            if len(before.unknown.users):
                self.unknown = Sought(np.sort(np.append(before.unknown.users, fresh.users)))

    def of(self, runs: Sequence[Run], edges: I64) -> tuple[I64, I64]:
        """Both, int64[days], of runs beneath. O(rows of the users not known)."""
        days = len(edges) - 1
        if self.known is None:
            self.known = np.zeros(days, np.int64), np.zeros(days, np.int64)
        if len(self.unknown.users):
            rows, pairs = self.known[0].copy(), [np.empty(0, np.int64)]
            for run in runs:
                counts, pair = _days_of(run, edges, self.unknown)
                rows += counts
                pairs.append(pair)
            both = pairs[-1] if len(pairs) < 3 else unique(np.concatenate(pairs))
            users = self.known[1] + np.bincount(both >> 32, minlength=days)
            self.known, self.unknown = (rows, users), Sought(self.unknown.users[:0])
        return self.known


def _days_of(run: Run, edges: I64, gone: Sought) -> tuple[I64, I64]:
    """Rows of some users on each day, and ``day << 32 | user`` of each user's days, ascending."""
    starts, ends = gone.ranges(run)
    owner = np.repeat(shared(run).users()[0][gone.at(run)], ends - starts)
    times = shared(run).times()[rows_in((starts, ends))]
    rows, cuts, people, _ = days_of(owner, times, edges - run.base_ms)
    day = np.repeat(np.arange(len(edges) - 1, dtype=np.int64), np.diff(cuts))
    return rows, day << 32 | people.astype(np.int64)


def _less(users: U32, gone: U32) -> U32:
    at = places_of(users, gone)
    left: U32 = drop_ranges(users, at, at + 1)
    return left


def _packed(run: Run, ranges: Ranges, name: str) -> Packed | None:
    """Values of a property without those of ranges of rows."""
    base = run.packed(name)
    if base is None:
        return None
    starts, ends = ranges
    present = None
    if base.present is not None:
        present = drop_ranges(base.present, starts, ends)
        before = np.zeros(run.rows + 1, np.int64)
        np.cumsum(base.present, out=before[1:])
        starts, ends = before[starts], before[ends]
        if present.all():
            present = None
    if base.offsets is None:
        return Packed(drop_ranges(base.values, starts, ends), present)
    numbers = np.arange(base.count, dtype=np.uint32)
    offsets, items = gather_lists(
        base.offsets, np.asarray(base.values, np.uint32), drop_ranges(numbers, starts, ends)
    )
    return Packed(items, present, offsets)
