"""Without: a source without the rows of some users, for users who are not to be seen where their
rows lie: merged into somebody else, or erased.

Nothing is read before somebody asks, and what is read of a run is what was asked for, less the
ranges of rows of those users. Kept like the columns of a segment, under a number of its own.
Bounds, zones, properties and dictionaries are those of the source beneath: they may be those of
more rows, never of fewer. :class:`Rewritten` is exact there, too. Immutable; thread-safe: caches
are filled idempotently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage._without import drop_ranges
from zuji.engine.storage.build import Packed, taken
from zuji.engine.storage.cache import serials
from zuji.engine.storage.days import bitmap
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, sort_used
from zuji.engine.storage.segment import Segment, shared
from zuji.engine.storage.source import DayViews
from zuji.engine.types import PROFILE_EVENTS, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroaring import BitMap

    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.source import Run, Source, Zone
    from zuji.engine.types import I64, U16, U32

Ranges = tuple["I64", "I64"]
"""First row and end of each range, ascending."""


class Without:
    """Rows of ``base`` but those of the users ``ordinals`` uint32[], ascending."""

    def __init__(self, base: Source, ordinals: U32) -> None:
        self.base = base
        self.gone = ordinals
        self.serial = next(serials)
        self.shard = base.shard
        self.partition = base.partition
        self.base_ms = base.base_ms
        self.end_ms = base.end_ms
        self.rank = base.rank
        self.cache: ColumnCache | None = base.cache if isinstance(base, Segment) else None
        kept = {name: self._run(run) for name, run in base.runs.items()}
        self.runs: Mapping[str, WithoutRun] = {n: run for n, run in kept.items() if run.rows}
        self._dropped = {n: run.ranges for n, run in kept.items()}
        self.rows = sum(run.rows for run in self.runs.values())
        self._index: Days | None = None
        self._users: U32 | None = None

    def _run(self, run: Run) -> WithoutRun:
        return WithoutRun(self, run, self.gone)

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
            lost = np.zeros(len(base.rows), np.int64)
            for name, run in self.base.runs.items():
                if name not in PROFILE_EVENTS:
                    lost += _days_lost(run, base.edges, self._dropped[name])
            self._index = DaysWithout(base, self.gone, lost)
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
            self._users = np.setdiff1d(self.base.user_list(), self.gone, assume_unique=True)
        return self._users

    def close(self) -> None:
        """Nothing to do: the source beneath has an owner."""


class WithoutRun(DayViews):
    """One run of a source without some users' rows."""

    def __init__(self, owner: Without, base: Run, gone: U32) -> None:
        self._serial, self._cache = owner.serial, owner.cache
        self._base = base
        users, offsets = shared(base).users()
        at = np.searchsorted(users, gone)
        at = at[at < len(users)]
        at = at[users[at] == gone[: len(at)]] if len(at) else at
        self._at: I64 = at.astype(np.int64)
        self.ranges: Ranges = (offsets[at].astype(np.int64), offsets[at + 1].astype(np.int64))
        lost = int((self.ranges[1] - self.ranges[0]).sum())
        self.event = base.event
        self.rows = base.rows - lost
        self.base_ms, self.min_ms, self.max_ms = base.base_ms, base.min_ms, base.max_ms
        self.user_count = base.user_count - len(at)
        self.received_at = base.received_at
        self._gone = gone
        self._index: Days | None = None

    def keep_in(self, cache: ColumnCache) -> None:
        """See :class:`Without`."""
        self._cache = cache

    @property
    def props(self) -> Mapping[str, Kind]:
        """See :class:`Run`; perhaps some that only rows of the users gone had."""
        return self._base.props

    @property
    def index(self) -> Days | None:
        """See :class:`Run`."""
        base = self._base.index
        if self._index is None and base is not None:
            lost = _days_lost(self._base, base.edges, self.ranges)
            self._index = DaysWithout(base, self._gone, lost)
        return self._index

    def users(self) -> tuple[U32, U32]:
        """See :class:`Run`."""
        found: tuple[U32, U32] = self._kept("users", self._users)
        return found

    def _users(self) -> tuple[U32, U32]:
        users, offsets = shared(self._base).users()
        counts = drop_ranges(np.diff(offsets), self._at, self._at + 1)
        left = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=left[1:])
        return drop_ranges(users, self._at, self._at + 1), left

    def times(self) -> U32:
        """See :class:`Run`."""
        found: U32 = self._kept(
            "times", lambda: drop_ranges(shared(self._base).times(), *self.ranges)
        )
        return found

    def ties(self) -> U16 | None:
        """See :class:`Run`."""
        ties = shared(self._base).ties()
        if ties is None:
            return None
        found: U16 = self._kept("ties", lambda: drop_ranges(ties, *self.ranges))
        return found

    def received(self) -> I64:
        """See :class:`Run`."""
        return drop_ranges(shared(self._base).received(), *self.ranges)

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        found: Column | None = self._kept("column " + name, lambda: self._column(name))
        return found

    def _column(self, name: str) -> Column | None:
        base = shared(self._base).column(name)
        if base is None:
            return None
        present = None if base.present is None else drop_ranges(base.present, *self.ranges)
        if base.offsets is None:
            values = drop_ranges(base.values, *self.ranges)
            return Column(base.kind, values, present, base.dictionary)
        left = np.arange(self._base.rows, dtype=np.uint32)
        offsets, items = gather_lists(
            base.offsets, np.asarray(base.values, np.uint32), drop_ranges(left, *self.ranges)
        )
        return Column(base.kind, items, present, base.dictionary, offsets)

    def packed(self, name: str) -> Packed | None:
        """See :class:`Run`."""
        return _packed(self._base, self.ranges, name)

    def presence_count(self, name: str) -> int:
        """See :class:`Run`."""
        packed = self.packed(name)
        return 0 if packed is None else packed.count

    def zone(self, name: str) -> Zone | None:
        """See :class:`Run`: of the run beneath."""
        return self._base.zone(name)

    def nbytes(self, name: str | None) -> int:
        """See :class:`Run`: the share of the run beneath."""
        return self._base.nbytes(name) * self.rows // max(1, self._base.rows)

    def _kept(self, what: str, make: Any) -> Any:
        if self._cache is None:
            return make()
        return self._cache.get((self._serial, self.event, what), make)


class DaysWithout:
    """Day index without some users. ``lost`` int64[days]: their rows on each day."""

    def __init__(self, base: Days, gone: U32, lost: I64) -> None:
        self._base = base
        self._gone = gone
        self.edges = base.edges
        self.rows = base.rows - lost
        self._touched = lost > 0
        self._cards: U32 | None = None

    @property
    def cards(self) -> U32:
        """See :class:`Days`. Reads the days on which somebody is gone."""
        if self._cards is None:
            cards = np.array(self._base.cards)
            for day in np.flatnonzero(self._touched).tolist():
                cards[day] = len(self.user_list(day))
            self._cards = cards
        return self._cards

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
        if not self._touched[day]:
            return users
        at = np.searchsorted(users, self._gone)
        at = at[at < len(users)]
        at = at[users[at] == self._gone[: len(at)]]
        left: U32 = drop_ranges(users, at, at + 1)
        return left


def _days_lost(run: Run, edges: I64, ranges: Ranges) -> I64:
    """Rows of the ranges on each day, int64[days]."""
    lost = np.zeros(len(edges) - 1, np.int64)
    starts, _ends = ranges
    if not len(starts):
        return lost
    rows = rows_in(ranges)
    times = shared(run).times()[rows].astype(np.int64) + run.base_ms
    day = np.searchsorted(edges, times, side="right") - 1
    return lost + np.bincount(day, minlength=len(lost))


def rows_in(ranges: Ranges) -> I64:
    """Numbers of the rows in ranges, end to end. O(rows of the ranges)."""
    starts, ends = ranges
    counts = ends - starts
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    rows: I64 = np.arange(total, dtype=np.int64) + np.repeat(starts - before, counts)
    return rows


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


class Rewritten(Without):
    """As :class:`Without`, for rewriting: what no row has any more is not there either, neither
    properties nor strings.
    """

    def __init__(self, base: Source, ordinals: U32) -> None:
        self._strings = _Strings(base)
        super().__init__(base, ordinals)
        self._strings.ranges = self._dropped

    def _run(self, run: Run) -> WithoutRun:
        return _RewrittenRun(self, run, self.gone, self._strings)

    def dictionary(self, prop: str) -> Dictionary | None:
        """The strings that rows have."""
        found = self._strings.of(prop)
        return None if found is None else found[0]


class _Strings:
    """The strings in use of a source without some rows: what it and its runs share."""

    def __init__(self, base: Source) -> None:
        self._base = base
        self.ranges: Mapping[str, Ranges] = {}
        self._made: dict[str, tuple[Dictionary, U32] | None] = {}

    def of(self, prop: str) -> tuple[Dictionary, U32] | None:
        """Strings in use, and uint32: code beneath → code in them; None without strings."""
        if prop not in self._made:
            strings = self._base.dictionary(prop)
            self._made[prop] = None
            if strings is not None:
                used = np.zeros(len(strings), np.uint8)
                for event, run in self._base.runs.items():
                    packed = _packed(run, self.ranges[event], prop)
                    if packed is not None:
                        used[packed.values] = 1
                self._made[prop] = sort_used(as_dictionary(strings), used)
        return self._made[prop]


class _RewrittenRun(WithoutRun):
    def __init__(self, owner: Without, base: Run, gone: U32, strings: _Strings) -> None:
        super().__init__(owner, base, gone)
        self._strings = strings
        self._props: Mapping[str, Kind] | None = None
        if self.rows:
            times = drop_ranges(base.times(), *self.ranges)
            self.min_ms = self.base_ms + int(times.min())
            self.max_ms = self.base_ms + int(times.max())

    def zone(self, name: str) -> Zone | None:
        """None: nobody prunes what is rewritten."""
        return None

    @property
    def props(self) -> Mapping[str, Kind]:
        """Properties that a row has."""
        if self._props is None:
            names = self._base.props.items()
            self._props = {name: kind for name, kind in names if self.presence_count(name)}
        return self._props

    def presence_count(self, name: str) -> int:
        """See :class:`Run`."""
        packed = super().packed(name)
        return 0 if packed is None else packed.count

    def packed(self, name: str) -> Packed | None:
        """Values, codes being those of the strings in use."""
        packed = super().packed(name)
        if packed is None or not packed.count:
            return None
        recoded = self._strings.of(name)
        if recoded is None:
            return packed
        codes = np.ascontiguousarray(packed.values, np.uint32)
        return Packed(taken(recoded[1], codes), packed.present, packed.offsets)

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        packed, recoded = self.packed(name), self._strings.of(name)
        if packed is None:
            return None
        return packed.column(self._base.props[name], None if recoded is None else recoded[0])
