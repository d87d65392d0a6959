"""Resolved sources: rows stand with their owners, whatever the links say now.

Rows are stored with the id that they came with, and stay so until they are written anew. A source
with rows that belong to somebody else is replaced by itself :class:`Without` the users concerned,
and these users' rows are gathered, each with its owner: one source for each shard and partition
that gets any. What was worked out for a source is kept as long as nothing changes for its users.

Rows of segments that were written anew stand with the owners of that time; of theirs, the users
whose rows moved since are taken, and each row goes by the id that it came with, which is kept with
it. Thread-safe: links are asked under the writer's lock, rows are read without it.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

from zuji.engine.distinct import renumbered
from zuji.engine.index.identity import gather_bytes
from zuji.engine.index.links import DEVICE, place_of
from zuji.engine.index.owners import ITSELF
from zuji.engine.storage.cache import serials
from zuji.engine.storage.dictionary import Dictionary, as_dictionary
from zuji.engine.storage.fewer import Fewer
from zuji.engine.storage.gathered import HOME, ORIGIN, STORED, Gathered, Picked
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.segment import Segment, shared
from zuji.engine.storage.sought import Sought, rows_in
from zuji.engine.storage.without import Without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.index.identity import Identity
    from zuji.engine.index.links import Links
    from zuji.engine.storage.source import Source
    from zuji.engine.types import I64, U32, Column, Flags

_Place = tuple[int, int, int]
"""Shard, partition, and the rank of the last source there that is not younger."""
_Level = tuple[list[Picked], MemorySource]
SIMILAR = 2
"""A level is gathered again when it has at most so many times the rows of what comes after it."""
TRIES = 3
"""Passes over the sources before links have to wait for one."""


@dataclass(slots=True)
class _Seen:
    """What is known of a source. ``everybody``: its users; ``number``: of the change up to which
    links were looked at; ``moved``: its users who are taken out; ``left``: the source without
    them, and ``picked`` their rows by shard.
    """

    everybody: BitMap
    number: int
    moved: BitMap
    left: Source
    picked: dict[int, list[Picked]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Sources of one merge with all rows where they belong: ``here``, and those that go to other
    shards. ``number`` of the last change that they know; ``newest``: the greatest ordinal that rows
    were given, by shard.
    """

    here: list[Source | Fewer]
    elsewhere: list[Gathered]
    number: int
    newest: dict[int, int]


class Resolved:
    """Sources as their owners see them. ``written``: number of the change that a segment knew when
    it was written, by id; others stand as they were stored.
    """

    def __init__(
        self,
        links: Links,
        identity: Identity,
        tz: str,
        lock: threading.RLock,
        written: dict[int, int],
    ) -> None:
        self._links = links
        self._identity = identity
        self._tz = tz
        self._lock = lock
        self._written = written
        self._working = threading.Lock()
        self._seen: dict[int, tuple[Source, _Seen]] = {}  # by id, of the sources given last
        self._gathered: dict[_Place, list[_Level]] = {}
        self._edges: dict[int, I64] = {}

    def sources(self, given: Sequence[Sequence[Source]]) -> list[list[Source]]:
        """Sources by shard, ordered as those given. The same objects where nothing moved."""
        if not len(self._links):
            return [list(sources) for sources in given]
        with self._working:
            for _ in range(TRIES):
                number = self._links.number
                found = self._resolve(given)
                if number == self._links.number:
                    return found
            with self._lock:  # links come faster than they are followed: nobody may add one now
                return self._resolve(given)

    def _resolve(self, given: Sequence[Sequence[Source]]) -> list[list[Source]]:
        found: list[list[Source]] = [[] for _ in given]
        goes: dict[tuple[int, int], list[Picked]] = {}
        partitions: dict[int, Partition] = {}
        looked: dict[int, tuple[Source, _Seen]] = {}
        for shard, sources in enumerate(given):
            for source in sources:
                seen = self._look(source)
                looked[id(source)] = (source, seen)
                if seen.left.rows:
                    found[shard].append(seen.left)
                for to, picked in seen.picked.items():
                    goes.setdefault((to, source.partition), []).extend(picked)
                    partitions[source.partition] = partition_of(source)
        gathered = {}
        for (to, month), picked in goes.items():
            ranks = [source.rank for source in given[to] if source.partition == month]
            for age, mine in _by_age(picked, ranks).items():
                place = (to, month, age)
                gathered[place] = self._gather(place, partitions[month], mine)
                found[to] += [source for _, source in gathered[place]]
        self._seen, self._gathered = looked, gathered
        for sources_ in found:
            sources_.sort(key=lambda source: (source.partition, source.rank))
        return found

    def of_merge(self, group: Sequence[Segment]) -> Rows:
        """The rows of segments of one shard and partition that are to be written anew. Who is moved
        in one of them is in all: of a customer's own rows, none may be left behind others.
        """
        everybody = [_users(segment) for segment in group]
        with self._lock:
            number = self._links.number
            moved = BitMap()
            for segment, users in zip(group, everybody, strict=True):
                moved |= users & self._moved(segment)
        here: list[Source | Fewer] = []
        goes: dict[int, list[Picked]] = {}
        for segment, users in zip(group, everybody, strict=True):
            mine = users & moved
            if not mine:
                here.append(segment)
                continue
            gone = np.array(mine.to_array(), np.uint32)
            left = Fewer(segment, gone)
            if left.rows:
                here.append(left)
            for to, picked in self._picked(segment, Sought(gone)).items():
                goes.setdefault(to, []).extend(picked)
        first = group[0]
        newest = {to: max(int(p.ordinal.max()) for p in picked) for to, picked in goes.items()}
        own = goes.pop(first.shard, None)
        partition = partition_of(first)
        if own is not None:
            here.append(self._in_memory(Gathered(first.shard, partition, own, True)))
        elsewhere = [Gathered(to, partition, picked, True) for to, picked in goes.items()]
        return Rows(here, elsewhere, number, newest)

    def waiting(self, segment: Segment) -> float:
        """Share of a segment's users some of whose rows may stand with somebody else than they
        belong to.
        """
        if not len(self._links):
            return 0.0
        known = self._seen.get(id(segment))
        everybody = _users(segment) if known is None else known[1].everybody
        with self._lock:
            moved = self._links.moved_since(segment.shard, self._written.get(segment.meta.id, 0))
            return moved.intersection_cardinality(everybody) / max(1, len(everybody))

    def pending(self) -> list[int]:
        """Users of each shard whose rows wait to be written anew."""
        found = [BitMap() for _ in range(self._identity.shards)]
        for source, seen in tuple(self._seen.values()):
            found[source.shard] |= seen.moved
        return [len(one) for one in found]

    # -- one source ----------------------------------------------------------------------------

    def _look(self, source: Source) -> _Seen:
        known = self._seen.get(id(source))
        if known is None or known[0] is not source:
            with self._lock:
                number = self._links.number
            return self._seen_of(source, _users(source), number)
        seen = known[1]
        with self._lock:
            number = self._links.number
            if number == seen.number:
                return seen
            changed = self._links.moved_since(source.shard, seen.number)
        fresh = changed & seen.everybody
        if not fresh:
            seen.number = number
            return seen
        if fresh.isdisjoint(seen.moved):
            return self._more(source, seen, number, fresh)
        return self._seen_of(source, seen.everybody, number)

    def _more(self, source: Source, seen: _Seen, number: int, fresh: BitMap) -> _Seen:
        """As seen, but some more users are taken out. O(their rows)."""
        gone = Sought(np.array(fresh.to_array(), np.uint32))
        left = seen.left.also(gone) if isinstance(seen.left, Without) and seen.moved else None
        picked = {to: [*parts] for to, parts in seen.picked.items()}
        for to, parts in self._picked(source, gone).items():
            picked.setdefault(to, []).extend(parts)
        moved = seen.moved | fresh
        left = left or Without(source, gone.users)
        return _Seen(seen.everybody, number, moved, left, picked)

    def _seen_of(self, source: Source, everybody: BitMap, number: int) -> _Seen:
        """The source without its users whose rows have moved."""
        with self._lock:
            moved = everybody & self._moved(source)
        if not moved:
            return _Seen(everybody, number, moved, source, {})
        gone = np.array(moved.to_array(), np.uint32)
        picked = self._picked(source, Sought(gone))
        return _Seen(everybody, number, moved, Without(source, gone), picked)

    def _moved(self, source: Source) -> BitMap:
        """Users whose rows may have moved since those of the source were written."""
        stored = source.base if isinstance(source, Without) else source
        since = self._written.get(stored.meta.id, 0) if isinstance(stored, Segment) else 0
        return self._links.moved_since(source.shard, since)

    def _picked(self, source: Source, gone: Sought) -> dict[int, list[Picked]]:
        """The rows of some users of a source by the shard that each belongs to."""
        ids = _Ids(self._identity, self._lock, source.shard, gone.users)
        found: dict[int, list[Picked]] = {}
        for run in source.runs.values():
            read = shared(run)
            at = gone.at(run)
            if not len(at):
                continue
            ranges = gone.ranges(run)
            rows = rows_in(ranges)
            ordinal = np.repeat(read.users()[0][at], ranges[1] - ranges[0])
            after = read.times()[rows]
            time = after.astype(np.int64) + run.base_ms
            codes = ids.of_rows(ordinal, read.column(ORIGIN), rows)
            place = np.full(len(rows), place_of(source.shard, 0), np.int64) + ordinal
            device = codes != STORED
            place[device], own = ids.owners(codes[device], time[device], self._links)
            codes[np.flatnonzero(device)[own]] = HOME
            shards = place >> 32
            for to in np.flatnonzero(np.bincount(shards)).tolist():
                mine = np.flatnonzero(shards == to)
                found.setdefault(to, []).append(
                    Picked(
                        run,
                        rows[mine],
                        after[mine],
                        (place[mine] & 0xFFFF_FFFF).astype(np.uint32),
                        codes[mine],
                        ids.devices,
                        source.rank,
                    )
                )
        return found

    def _gather(self, place: _Place, partition: Partition, picked: list[Picked]) -> list[_Level]:
        """Picked rows as sources: what is new beside what there is, levels of similar size as one,
        so that rows are gathered O(log n) times however often more of them come.
        """
        known = self._gathered.get(place, [])
        now = {id(part) for part in picked}
        then = {id(part) for parts, _ in known for part in parts}
        if not then <= now:
            known, then = [], set()
        fresh = [part for part in picked if id(part) not in then]
        if not fresh:
            return known
        levels = list(known)
        while levels and levels[-1][1].rows <= SIMILAR * sum(len(part.rows) for part in fresh):
            fresh = levels.pop()[0] + fresh
        made = self._in_memory(Gathered(place[0], partition, fresh))
        made.serial = next(serials)
        return [*levels, (fresh, made)]

    def _in_memory(self, rows: Gathered) -> MemorySource:
        """Gathered rows as a source, as young as the youngest of them."""
        partition = rows.partition
        edges = self._edges.get(partition.id)
        if edges is None:
            edges = day_edges(self._tz, partition.start_ms, partition.end_ms)
            self._edges[partition.id] = edges
        return MemorySource(rows, max(part.age for part in rows.picked), edges)


class _Ids:
    """The ids that rows of some users of a source came with: codes of devices, which grow with the
    ids that rows were given when they were written anew.
    """

    def __init__(self, identity: Identity, lock: threading.RLock, shard: int, users: U32) -> None:
        self._identity = identity
        self._lock = lock
        self._users = users
        with lock:
            table = identity.tables()[shard]
            data, offsets = table.gather(users)
            filled = np.flatnonzero(np.diff(offsets) > 0)
            which = filled[data[offsets[filled]] == DEVICE]
            self._data, self._offsets = table.gather(users[which])
        self._code: U32 = np.full(len(users), STORED, np.uint32)
        self._code[which] = np.arange(len(which), dtype=np.uint32)
        self._own: I64 = place_of(shard, 0) + users[which].astype(np.int64)
        self._known: dict[bytes, int] | None = None
        self._devices: Dictionary | None = None

    @property
    def devices(self) -> Dictionary:
        """Device ids by code."""
        if self._devices is None:
            first = np.ones(len(self._data), np.bool_)
            first[self._offsets[:-1]] = False
            ends = self._offsets - np.arange(len(self._offsets))
            self._devices = Dictionary(np.ascontiguousarray(self._data[first]), ends)
        return self._devices

    def of_rows(self, ordinal: U32, origin: Column | None, rows: I64) -> U32:
        """Code of the id that each row came with; STORED: a customer's."""
        codes: U32 = self._code[np.searchsorted(self._users, ordinal)]
        if origin is None:
            return codes
        values = origin.values[rows]
        there = np.ones(len(rows), np.bool_) if origin.present is None else origin.present[rows] > 0
        strings = as_dictionary(origin.dictionary)
        used, places = renumbered(values[there].astype(np.uint32), len(strings))
        given = self._codes_of([b"d" + strings.bytes_at(int(code)) for code in used.tolist()])
        codes[there] = given[places]
        return codes

    def owners(self, codes: U32, time: I64, links: Links) -> tuple[I64, Flags]:
        """Places of rows by code, and whether each is the device's own."""
        with self._lock:
            at = self._own
            if len(rest := np.flatnonzero(at == ITSELF)):  # without rows of their own so far
                at = at.copy()
                at[rest] = links.find(*gather_bytes(self._data, self._offsets, rest))
            found = links.resolve(at[codes], time)
        own = found == ITSELF
        return np.where(own, self._own[codes], found), own

    def _codes_of(self, keys: list[bytes]) -> U32:
        """Codes of keys, which are added when they are new."""
        if self._known is None:
            raw, cuts = self._data.tobytes(), self._offsets.tolist()
            self._known = {raw[a:b]: code for code, (a, b) in enumerate(pairwise(cuts))}
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if new:
            with self._lock:
                places = [self._identity.find(key) for key in new]
            own = [place_of(*place) if place is not None else ITSELF for place in places]
            self._own = np.append(self._own, np.array(own, np.int64))
            self._data = np.append(self._data, np.frombuffer(b"".join(new), np.uint8))
            ends = self._offsets[-1] + np.cumsum([len(key) for key in new])
            self._offsets = np.append(self._offsets, ends)
            self._known |= {key: len(self._known) + i for i, key in enumerate(new)}
            self._devices = None
        return np.array([self._known[key] for key in keys], np.uint32)


def _by_age(picked: list[Picked], ranks: list[int]) -> dict[int, list[Picked]]:
    """Picked rows by the youngest of some sources, by rank, that is not younger than they are: so
    the rows of an id keep their order, wherever they lie.
    """
    ranks = sorted(ranks)
    found: dict[int, list[Picked]] = {}
    for part in picked:
        at = bisect_right(ranks, part.age)
        found.setdefault(ranks[at - 1] if at else -1, []).append(part)
    return found


def partition_of(source: Source) -> Partition:
    """The partition of a source."""
    return Partition(source.partition, source.base_ms, source.end_ms)


def _users(source: Source) -> BitMap:
    """Users with a row of any kind."""
    found = BitMap()
    for run in source.runs.values():
        found |= BitMap(shared(run).users()[0])
    return found
