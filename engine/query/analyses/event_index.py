"""Event series from the day index: rows and users of events by local day; no row is read.

Rows add up, and so do users over shards. Users of a bucket are a stored number where the bucket is
one day of one source, or all days of one; else the stored sets of its days are joined. Any event
(``"*"``) has an index of its own in each source. O(days of the range · sources), and O(users) for
each set that is joined.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.distinct import unique
from zuji.engine.query.analyses.event_values import Line, Sums, moving_average, of_cells
from zuji.engine.query.crowd import allowed
from zuji.engine.query.kernels._bits import seen, set_bits
from zuji.engine.query.reader import ShardReader
from zuji.engine.storage.days import ListedDays
from zuji.engine.storage.segment import Segment
from zuji.engine.types import PROFILE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zuji.engine.query.analyses.event_query import Series
    from zuji.engine.query.bind import Bound
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U8, U32, U64

MOST_BITS_BYTES = 128 << 20
"""Of the bits of all buckets of a shard."""
BITS_AT_ONCE = 1 << 24
"""Of all buckets: as many as stay in the cache; with fewer, stretches of a day are too short."""
LIGHT_USERS = 200_000
"""Up to so many users in all, sets are joined on the caller's thread."""


def fits(bound: Bound, series: Series) -> bool:
    """Whether the series asks only for rows or users per bucket."""
    return (
        not bound.query.by
        and series.measure.op in ("count", "users", "per_user")
        and bound.range.grain != "hour"
        and not (bound.query.audience is not None and series.measure.op != "users")
        and bound.where(series.where) is None
    )


def lines(bound: Bound, series: Sequence[Series], edges: I64) -> list[Line | None]:
    """Values of each series that the day index answers, else None. Equal events are read once."""
    found: list[Line | None] = [None] * len(series)
    fitting: dict[int, _Fit | None] = {}
    by_events: dict[tuple[str, ...] | None, list[int]] = {}
    for number, one in enumerate(series):
        if fits(bound, one):
            by_events.setdefault(one.names, []).append(number)
    for names, numbers in by_events.items():
        shards = _shards(bound, names, edges, fitting)
        if shards is None:
            continue
        wanted = [series[number] for number in numbers]
        sums = _measured(bound, shards, wanted, len(edges) - 1)
        for number in numbers:
            found[number] = _line(series[number], sums)
    return found


def _line(series: Series, sums: Sums) -> Line:
    values, totals = of_cells(series.measure.op, sums, cumulative=series.cumulative)
    if series.moving_average is not None:
        values = moving_average(values, series.moving_average)
    return Line(values, totals, float(totals[0]))


# ------------------------------------------------------------------------- what is in the range


@dataclass(frozen=True, slots=True)
class _Fit:
    """Which buckets the days of a partition are in: day ``first + i`` is in bucket ``at[i]``.

    ``one``: each day is a bucket of its own, ``at`` counting up by one.
    """

    first: int
    last: int
    at: I64
    one: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """Days of one run, or of any event of a source, that lie in the range."""

    index: Days
    fit: _Fit
    source: Source
    run: Run | None

    @property
    def rows(self) -> I64:
        return self.index.rows[self.fit.first : self.fit.last]

    @property
    def cards(self) -> U32:
        return self.index.cards[self.fit.first : self.fit.last]

    @property
    def inside(self) -> bool:
        """Whether no row lies outside the range."""
        rows, fit = self.index.rows, self.fit
        return not (rows[: fit.first].any() or rows[fit.last :].any())

    def user_count(self) -> int:
        return self.source.user_count if self.run is None else self.run.user_count

    def user_list(self) -> U32:
        return self.source.user_list() if self.run is None else self.run.users()[0]


def _shards(
    bound: Bound,
    names: tuple[str, ...] | None,
    edges: I64,
    fitting: dict[int, _Fit | None],
) -> list[list[_Part]] | None:
    """Parts of each shard; None when a bucket cuts a day of a source, or an index is missing."""
    from_ms, to_ms = int(edges[0]), int(edges[-1])
    shards: list[list[_Part]] = []
    for sources in bound.view.sources:
        parts: list[_Part] = []
        shards.append(parts)
        for source in sources:
            if source.end_ms <= from_ms or source.base_ms >= to_ms:
                continue
            for index, run in _indexes(source, names):
                if index is None:
                    return None
                if source.partition not in fitting:
                    fitting[source.partition] = _fit(index.edges, edges)
                fit = fitting[source.partition]
                if fit is None:
                    return None
                if fit.last > fit.first:
                    parts.append(_Part(index, fit, source, run))
    return shards


def _indexes(
    source: Source, names: tuple[str, ...] | None
) -> Iterable[tuple[Days | None, Run | None]]:
    held = source.runs
    shown = [
        name
        for name in (held if names is None else dict.fromkeys(names))
        if name in held and name not in PROFILE_EVENTS
    ]
    index = source.index if names is None and len(shown) > 1 else None
    if index is not None:
        return ((index, None),)
    runs = [held[name] for name in shown]
    return ((run.index, run) for run in runs)


def _fit(days: I64, edges: I64) -> _Fit | None:
    """How the buckets are unions of the partition's days; None when they are not."""
    inner = edges[(edges > days[0]) & (edges < days[-1])]
    if (days[np.searchsorted(days, inner)] != inner).any():
        return None
    at = np.searchsorted(edges, days[:-1], side="right") - 1
    first, last = np.searchsorted(days[:-1], edges[[0, -1]], side="left").tolist()
    at = at[first:last]
    one = bool((np.diff(at) == 1).all())
    return _Fit(first, last, at, one)


# ---------------------------------------------------------------------------------- what it sums


def _measured(bound: Bound, shards: list[list[_Part]], series: list[Series], buckets: int) -> Sums:
    rows = np.zeros((1, buckets), np.int64)
    users, new = np.zeros((1, buckets), np.int64), np.zeros((1, buckets), np.int64)
    for parts in shards:
        for part in parts:
            _add(rows[0], part, part.rows)
    if all(one.measure.op == "count" for one in series):
        return Sums(rows, users, new)
    cumulative = any(one.cumulative for one in series)
    whole = bound.query.audience is not None or cumulative
    unions: list[_Union] = []
    joined = []
    for shard, parts in enumerate(shards):
        mine: list[_Union] = []
        seen, fresh = np.zeros(buckets, np.int64), np.zeros(buckets, np.int64)
        ordinals = bound.view.users[shard]
        if whole or (_share_buckets(parts, buckets) and _fits_bits(parts, ordinals, buckets)):
            joined.append(shard)
            continue
        _count(parts, ordinals, seen, fresh, mine)
        if len(mine) > 1 and _fits_bits(parts, ordinals, buckets):
            joined.append(shard)
            continue
        users[0] += seen
        new[0] += fresh
        unions += mine

    def join(shard: int) -> tuple[I64, I64]:
        parts = shards[shard]
        if _fits_bits(parts, bound.view.users[shard], buckets):
            return _by_bits(bound, shard, parts, buckets, by_bucket=cumulative)
        return _united(bound, shard, parts, buckets)

    for seen, fresh in bound.context.map(join, joined):
        users[0] += seen
        new[0] += fresh
    if unions:
        bound.context.charge(sum(union.ordinals // 8 for union in unions))
        light = sum(union.weight for union in unions) < LIGHT_USERS
        counts = bound.context.map(_Union.count, unions, light=light)
        for union, count in zip(unions, counts, strict=True):
            (new[0] if union.bucket < 0 else users[0])[max(union.bucket, 0)] += count
    return Sums(rows, users, new)


def _add(out: I64, part: _Part, values: Any) -> None:
    """Adds a number a day to its bucket."""
    at = part.fit.at
    if part.fit.one:
        out[at[0] : at[0] + len(at)] += values
    else:
        np.add.at(out, at, values)


@dataclass(slots=True)
class _Union:
    """Users of a bucket (−1: of the whole range) that must be joined from stored sets."""

    bucket: int
    ordinals: int
    days: list[tuple[Days, int]] = field(default_factory=list)
    whole: list[_Part] = field(default_factory=list)
    weight: int = 0

    def count(self) -> int:
        days = (index.people(day) for index, day in self.days)
        whole = (part.user_list() for part in self.whole)
        return distinct(chain(days, whole), self.ordinals, self.weight)


def _count(parts: list[_Part], ordinals: int, users: I64, new: I64, unions: list[_Union]) -> None:
    """Adds the users of one shard to each bucket, and those of the whole range to ``new[0]``; what
    is no stored number goes to ``unions``.
    """
    alone = len(parts) == 1 and parts[0].fit.one
    if alone:
        _add(users, parts[0], parts[0].cards)
    else:
        days_of: dict[int, list[tuple[_Part, int]]] = {}
        for part in parts:
            for i in np.flatnonzero(part.rows).tolist():
                days_of.setdefault(int(part.fit.at[i]), []).append((part, part.fit.first + i))
        for bucket, days in days_of.items():
            _count_bucket(bucket, days, ordinals, users, unions)
    held = [part for part in parts if part.rows.any()]
    if len(held) == 1 and held[0].inside:
        new[0] += held[0].user_count()
    elif len(held) == 1 and np.count_nonzero(held[0].rows) == 1:
        new[0] += int(held[0].cards.sum())
    elif held:
        union = _Union(-1, ordinals)
        for part in held:
            union.weight += int(part.cards.sum())
            if part.inside:
                union.whole.append(part)
            else:
                first = part.fit.first
                union.days += [(part.index, first + i) for i in np.flatnonzero(part.rows).tolist()]
        unions.append(union)


def _count_bucket(
    bucket: int,
    days: list[tuple[_Part, int]],
    ordinals: int,
    users: I64,
    unions: list[_Union],
) -> None:
    """Users of one bucket, from its days that have rows."""
    if len(days) == 1:
        users[bucket] += int(days[0][0].index.cards[days[0][1]])
        return
    by_part: dict[int, list[tuple[_Part, int]]] = {}
    for part, day in days:
        by_part.setdefault(id(part), []).append((part, day))
    union = _Union(bucket, ordinals)
    for held in by_part.values():
        part = held[0][0]
        if len(held) > 1 and len(held) == np.count_nonzero(part.index.rows):
            if len(by_part) == 1:
                users[bucket] += part.user_count()
                return
            union.whole.append(part)
        else:
            union.days += [(part.index, day) for _, day in held]
        union.weight += sum(int(part.index.cards[day]) for _, day in held)
    unions.append(union)


def distinct(sets: Iterable[BitMap | U32], ordinals: int, most: int) -> int:
    """Users in at least one of the sets, ``most`` with repeats; all of them below ``ordinals``.
    One set is held at a time, beside what they make together.
    """
    maps, row = BitMap(), None
    lists: list[U32] = []
    for users in sets:
        if isinstance(users, BitMap):
            maps |= users
        elif 64 * most < ordinals:
            lists.append(users)
        else:
            row = np.zeros(ordinals // 64 + 1, np.uint64) if row is None else row
            set_bits(users, row)
    if row is None and not lists:
        return len(maps)
    rest = np.frombuffer(maps.to_array(), np.uint32)
    if row is None:
        return len(unique(np.concatenate([*lists, rest])))
    set_bits(rest, row)
    return int(np.bitwise_count(row).sum())


def _share_buckets(parts: list[_Part], buckets: int) -> bool:
    """Whether two parts have rows in one bucket."""
    if len(parts) < 2:
        return False
    held = np.zeros(buckets, np.int64)
    for part in parts:
        held[part.fit.at[part.rows > 0]] += 1
    return bool((held > 1).any())


def _fits_bits(parts: list[_Part], ordinals: int, buckets: int) -> bool:
    """Whether a bit a bucket and user is not much more than the users there are."""
    total = sum(int(part.cards.sum()) for part in parts)
    size = buckets * (ordinals // 64 + 1) * 8
    return size <= MOST_BITS_BYTES and size <= max(64 * total, 1 << 16)


def _by_bits(
    bound: Bound, shard: int, parts: list[_Part], buckets: int, *, by_bucket: bool
) -> tuple[I64, I64]:
    """Users of each bucket, and those that no earlier bucket has (or with ``by_bucket`` False, all
    of them in the first); the audience alone. By rows of bits, which are kept for the days of
    segments; of memtables, whose rows are few, each user's bit is set.
    """
    words = bound.view.users[shard] // 64 + 1
    width = max(1, min(words, BITS_AT_ONCE // 64 // buckets))
    audience = allowed(bound, ShardReader(bound.view, shard, bound.context))
    who = None if audience is None else _bits_of(audience, words)
    listed: U64 | None = None
    held = []
    for part in parts:
        bound.context.check()
        fit = part.fit
        if isinstance(part.index, ListedDays) and not isinstance(part.source, Segment):
            if listed is None:
                bound.context.charge(8 * words * buckets)
                listed = np.zeros((buckets, words), np.uint64)
            _set_listed(listed, part.index, fit)
            continue
        bits = bound.view.day_bits.of(part.source, part.run, multi=False)
        bound.context.charge(bits.users.nbytes)
        held.append((_spans(fit), bits.users[fit.first : fit.last]))
    users, seen = np.zeros(buckets, np.int64), np.zeros(buckets, np.int64)
    rows = np.empty((buckets, width), np.uint64)
    for low in range(0, words, width):
        rows = rows[:, : words - low]
        rows[:] = 0 if listed is None else listed[:, low : low + width]
        for spans, bits_of_days in held:
            days = bits_of_days[:, low : low + width]
            for bucket, many, first, last in spans:
                part_of = rows[bucket : bucket + many, : days.shape[1]]
                if many == last - first:
                    part_of |= days[first:last]
                else:
                    part_of |= np.bitwise_or.reduce(days[first:last], axis=0)
        if who is not None:
            rows &= who[low : low + width]
        users += np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
        if by_bucket:
            np.bitwise_or.accumulate(rows, axis=0, out=rows)
            seen += np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
        else:
            whole = np.bitwise_or.reduce(rows, axis=0)
            seen += np.bitwise_count(whole).sum(dtype=np.int64)
    if by_bucket:
        return users, np.diff(seen, prepend=0)
    new = np.zeros(buckets, np.int64)
    new[0] = seen[0]
    return users, new


def _spans(fit: _Fit) -> list[tuple[int, int, int, int]]:
    """(first bucket, buckets, first day, end): a bucket a day, or one bucket for all the days."""
    if fit.one:
        return [(int(fit.at[0]), len(fit.at), 0, len(fit.at))]
    starts = np.flatnonzero(np.diff(fit.at, prepend=-1)).tolist()
    ends = [*starts[1:], len(fit.at)]
    return [(int(fit.at[a]), 1, a, b) for a, b in zip(starts, ends, strict=True)]


def _set_listed(rows: U64, index: ListedDays, fit: _Fit) -> None:
    """Sets the bits of the users of each day in the row of its bucket, uint64[buckets, words]."""
    held = index.starts[fit.first : fit.last + 1]
    users = index.pairs[held[0] : held[-1]]
    width = 64 * rows.shape[1]
    if rows.size * 64 < 1 << 32:  # all rows are one row
        firsts = np.repeat(fit.at * width, np.diff(held)).astype(np.uint32)
        set_bits(users + firsts, rows.reshape(-1))
        return
    for day in np.flatnonzero(np.diff(held)).tolist():
        set_bits(index.user_list(fit.first + day), rows[fit.at[day]])


def _bits_of(audience: U8, words: int) -> U64:
    """One bit an ordinal of one byte an ordinal."""
    padded = np.zeros(words * 8, np.uint8)
    packed = np.packbits(audience, bitorder="little")
    padded[: len(packed)] = packed
    return padded.view("<u8")


def _united(bound: Bound, shard: int, parts: list[_Part], buckets: int) -> tuple[I64, I64]:
    """Users of each bucket, and those that no earlier bucket has; the audience alone.

    Time: O(users of all days read).
    """
    users, new = np.zeros(buckets, np.int64), np.zeros(buckets, np.int64)
    ordinals = bound.view.users[shard]
    audience = allowed(bound, ShardReader(bound.view, shard, bound.context))
    bound.context.charge(2 * ordinals)
    fresh = np.ones(ordinals, np.uint8)
    days_of: dict[int, list[U32]] = {}
    for part in parts:
        used = np.flatnonzero(part.rows)
        at = part.fit.at[used]
        if len(used) > 1 and at[0] == at[-1] and part.inside:
            days_of.setdefault(int(at[0]), []).append(part.user_list())
            continue
        for i, bucket in zip(used.tolist(), at.tolist(), strict=True):
            days_of.setdefault(bucket, []).append(part.index.user_list(part.fit.first + i))
    for bucket in sorted(days_of):
        bound.context.check()
        users[bucket], new[bucket] = seen(_joined(days_of.pop(bucket), ordinals), audience, fresh)
    return users, new


def _joined(lists: list[U32], ordinals: int) -> U32:
    """Users of at least one list, each once."""
    if len(lists) == 1:
        return lists[0]
    if 16 * sum(map(len, lists)) < ordinals:
        return unique(np.concatenate(lists))
    there = np.zeros(ordinals, np.bool_)
    for users in lists:
        there[users] = True
    return np.flatnonzero(there).astype(np.uint32)
