"""Links: which devices were seen with which customers, and so whose the rows of a device are.

A device is any id that is not a customer's: its key is ``d`` + id, as in the id index, whether it
ever had rows of its own or not. Nearly all devices are together with one customer for ever: of
those only he and the earliest moment are kept, in arrays. Of all others :class:`Facts` are.
Periods are worked out when somebody asks and kept. Every change has a number, so that whoever keeps
rows by owner knows which ones to look at again: :meth:`Links.moved_since`.

Files: :mod:`link_files`, ``docs/format/links.md``. Thread-safety: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.index._strings import StringTable, hash_bulk
from zuji.engine.index.changes import Changes
from zuji.engine.index.identity import gather_bytes
from zuji.engine.index.owners import ITSELF, Facts, Owners, Pair, Shared, owners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zuji.engine.index.identity import Identity
    from zuji.engine.index.link_files import LinkFile
    from zuji.engine.types import I64, U8, U16, U32, Flags

    Recall = Callable[[bytes, int, int | None], list[int]]
    """Moments at which stored rows hold a device's key and a customer's place together, of those
    received after a time (None: of all).
    """

DEVICE = ord("d")
_SHARD = 32
_ORDINAL = (1 << 32) - 1


def place_of(shard: int, ordinal: int) -> int:
    """A user as one number."""
    return shard << _SHARD | ordinal


def places(shard: U16, ordinal: U32) -> I64:
    """Users as numbers."""
    found: I64 = shard.astype(np.int64) << _SHARD | ordinal.astype(np.int64)
    return found


def split(place: int) -> tuple[int, int]:
    """(shard, ordinal) of a place."""
    return place >> _SHARD, place & _ORDINAL


class Links:
    """The links of a project. ``recall`` finds in what is stored what was not kept here."""

    def __init__(self, identity: Identity, salt: int, shared: Shared = "device") -> None:
        self._identity = identity
        self._salt = salt
        self.shared: Shared = shared
        self.recall: Recall = lambda device, place, after: []
        self.devices = StringTable(salt=salt)
        self._owner: I64 = np.full(1 << 10, ITSELF, np.int64)  # ITSELF: see facts
        self._first: I64 = np.zeros(1 << 10, np.int64)
        self.facts: dict[int, Facts] = {}
        self._owners: dict[int, Owners] = {}
        self.linked = [BitMap() for _ in range(identity.shards)]
        """Ordinals of devices that were ever together with somebody."""
        self.called = [BitMap() for _ in range(identity.shards)]
        """Ordinals of customers who were bound when nothing was known of them."""
        self.number = 0
        """Of the last change."""
        self._said: I64 = np.empty(0, np.int64)  # while files are read: numbers of devices
        self.touched = [Changes() for _ in range(identity.shards)]
        self._changed: list[I64] = []
        self.resets = 0
        """Changes when what is known to be kept may be kept no more."""

    def __len__(self) -> int:
        return len(self.devices)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        own = self._owner.nbytes + self._first.nbytes + 600 * len(self.facts)
        touched = sum(mine.nbytes for mine in self.touched)
        return int(self.devices.nbytes) + own + touched

    @property
    def every_moment(self) -> bool:
        """Whether of some devices every moment counts at which they are seen with a customer."""
        return self.shared == "last_login" or any(facts.every for facts in self.facts.values())

    # -- what is said --------------------------------------------------------------------------

    def together(self, data: U8, offsets: I64, place: I64, time: I64) -> Flags:
        """Devices (keys ``d…`` end to end, int64[n+1]) were seen with customers, int64[n] places,
        at moments ms UTC, int64[n], in any order. Whether seeing the same again, at that moment or
        later, says nothing new, bool[n]. O(n), and more for devices of several customers.
        """
        if not len(place):
            return np.empty(0, np.bool_)
        before = len(self.devices)
        at = self.devices.intern_bulk(data, offsets).astype(np.int64)
        self._grow()
        fresh = at >= before
        if fresh.any():
            self._begin(at[fresh], place[fresh], time[fresh])
        known = (self._owner[at] == place) & (time >= self._first[at])
        left = np.flatnonzero(~known)
        if self.shared == "last_login" and len(left):  # of these devices every moment may count
            more = np.isin(at, at[left]) & known
            left = np.append(left, np.flatnonzero(more))  # last: they are kept from now on
        for i in left.tolist():
            self._together(int(at[i]), int(place[i]), int(time[i]))
        skip: Flags = known.copy()
        for i in left.tolist():
            facts = self.facts.get(int(at[i]))
            skip[i] = facts is None or not facts.every
        return skip

    def _begin(self, at: I64, place: I64, time: I64) -> None:
        """Devices seen for the first time, perhaps several times: of one customer each."""
        order = np.lexsort((time, at))
        at, place, time = at[order], place[order], time[order]
        first = np.flatnonzero(np.diff(at, prepend=-1))
        self._owner[at[first]] = place[first]
        self._first[at[first]] = time[first]
        self._touch(at[first])

    def _together(self, at: int, place: int, time: int) -> None:
        if self._owner[at] == place:
            if time < self._first[at]:
                self._first[at] = time  # one customer for ever: the owner stays
                self._changed.append(np.array([at], np.int64))
            return
        facts = self._detailed(at)
        pair = facts.pairs.get(place)
        came = pair is None
        if pair is None:
            pair = facts.pairs[place] = Pair()
            if self.shared == "last_login":
                self._recall_all(at, facts)
        if pair.add(time, every=facts.every) or came:
            self._other_owners(at)

    def apart(self, device: bytes, place: int | None, time: int) -> None:
        """A device (its key) and a customer were parted, or it and everybody."""
        at = self._at(device)
        facts = self._detailed(at)
        if place is not None:
            facts.pairs.setdefault(place, Pair())
        self._recall_all(at, facts)
        if facts.part(place, time):
            self._other_owners(at)
        self.resets += 1

    def undo(self, device: bytes, place: int, received_ms: int) -> bool:
        """Forgets what was said so far of a device and a customer; False: nothing was."""
        at = self.devices.find(device)
        if at < 0 or (self._owner[at] != place and place not in self._facts(at).pairs):
            return False
        facts = self._detailed(at)
        facts.before[place] = self.number + 1
        facts.pairs[place] = Pair(undone_ms=received_ms)
        self._other_owners(at)
        self.resets += 1
        return True

    def set_shared(self, shared: Shared) -> None:
        """Whose the rows of shared devices are from now on."""
        if shared == self.shared:
            return
        self.shared = shared
        self.resets += 1
        for at, facts in self.facts.items():
            if shared == "last_login":
                self._recall_all(at, facts)
            if sum(bool(pair.together) for pair in facts.pairs.values()) > 1:
                self._other_owners(at)

    def new_users(self, data: U8, offsets: I64, shard: U16, ordinal: U32) -> None:
        """Keys that the id index may not have had before: devices among them may be linked."""
        if not len(self.devices) or not len(shard):
            return
        at = self.devices.find_bulk(data, offsets)
        for i in np.flatnonzero(at >= 0).tolist():
            mine = self.linked[int(shard[i])]
            if int(ordinal[i]) not in mine:
                mine.add(int(ordinal[i]))
                self.number += 1
                self.touched[int(shard[i])].add(self.number, ordinal[i : i + 1])

    # -- what follows --------------------------------------------------------------------------

    def owners_of(self, at: int) -> Owners:
        """Periods of a device by its number."""
        found = self._owners.get(at)
        if found is None:
            found = owners(self._facts(at), self.shared, self._name)
            if at in self.facts:
                self._owners[at] = found
        return found

    def find(self, data: U8, offsets: I64) -> I64:
        """Numbers of devices by key (end to end, int64[n+1]), -1 where nothing is known."""
        return self.devices.find_bulk(data, offsets)

    def resolve(self, at: I64, time: I64) -> I64:
        """Places that own rows of devices (by number, int64[n]) at moments ms UTC; ITSELF: the
        device does. O(rows), and more where a device has several customers.
        """
        found: I64 = np.where(at >= 0, self._owner[np.maximum(at, 0)], ITSELF)
        if self.facts:
            several = np.flatnonzero((at >= 0) & (found == ITSELF))
            for device in np.unique(at[several]).tolist():
                rows = several[at[several] == device]
                periods = self.owners_of(device)
                part = np.searchsorted(periods.start, time[rows], side="right") - 1
                found[rows] = np.array(periods.owner, np.int64)[part]
        return found

    def for_ever(self, device: bytes) -> int | None:
        """The one place that owns all rows of a device, None when there is none."""
        at = self.devices.find(device)
        if at < 0:
            return None
        if self._owner[at] != ITSELF:
            return int(self._owner[at])
        only = self.owners_of(at).only
        return None if only == ITSELF else only

    def merged(self, shard: int) -> tuple[U32, U32]:
        """Ordinals of devices of a shard all of whose rows are one customer's, and of those some of
        whose rows may be their own. Ascending. O(linked devices).
        """
        ordinals = np.array(self.linked[shard].to_array(), np.uint32)
        if not len(ordinals):
            return ordinals, ordinals
        data, offsets = self._identity.tables()[shard].gather(ordinals)
        at = self.devices.find_bulk(data, offsets)
        one = self._owner[np.maximum(at, 0)] != ITSELF
        for i in np.flatnonzero(~one).tolist():
            one[i] = self.owners_of(int(at[i])).only != ITSELF
        return ordinals[one], ordinals[~one]

    def moved_since(self, shard: int, number: int) -> BitMap:
        """Ordinals of a shard some of whose rows may stand with somebody else now than after the
        change ``number``. 0: of rows that stand where they were stored, all linked devices.
        """
        if not number:
            return self.linked[shard]
        return self.touched[shard].since(number)

    def conflicts(self) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """(device, ms UTC, customers) of every moment at which somebody came in on a device beside
        somebody else.
        """
        for at in self.facts:
            for time, inside in self.owners_of(at).conflicts:
                names = tuple(self._name(place)[1:].decode() for place in inside)
                yield self.devices.get(at)[1:].decode(), time, names

    def said_of(self, device: bytes) -> Facts | None:
        """What was said of a device, None when nothing was."""
        at = self.devices.find(device)
        return None if at < 0 else self._facts(at)

    def periods_of(self, device: bytes) -> Owners | None:
        """Periods of a device (its key), None when nothing was said of it."""
        at = self.devices.find(device)
        return None if at < 0 else self.owners_of(at)

    def devices_of(self, place: int) -> list[tuple[str, int]]:
        """Devices that were ever together with a customer, and since when. O(devices)."""
        one = np.flatnonzero(self._owner[: len(self.devices)] == place).tolist()
        found = [(self.devices.get(at)[1:].decode(), int(self._first[at])) for at in one]
        for at, facts in self.facts.items():
            pair = facts.pairs.get(place)
            if pair is not None and pair.together:
                found.append((self.devices.get(at)[1:].decode(), pair.together[0]))
        return sorted(found)

    def name(self, place: int) -> str:
        """The id of a place."""
        return self._name(place)[1:].decode()

    # -- saving --------------------------------------------------------------------------------

    def take(self) -> I64:
        """Numbers of the devices that changed since the last call; the caller gives them back with
        :meth:`again` when they could not be saved.
        """
        taken, self._changed = self._changed, []
        return np.unique(np.concatenate(taken)) if taken else np.empty(0, np.int64)

    def again(self, at: I64) -> None:
        """See :meth:`take`."""
        self._changed.append(at)

    def dump(self, some: Iterable[int]) -> list[dict[str, Any]]:
        """Facts of devices by number, as a file has them."""
        found = []
        for at in some:
            facts = self._facts(at)
            pairs = [
                [place, pair.together, pair.apart, pair.undone_ms]
                for place, pair in facts.pairs.items()
            ]
            before = [list(one) for one in facts.before.items()]
            found.append(
                {
                    "key": self.devices.get(at),
                    "number": self.number,
                    "pairs": pairs,
                    "apart": facts.apart,
                    "every": facts.every,
                    "before": before,
                }
            )
        return found

    def simple(self, at: I64) -> tuple[I64, I64]:
        """Of devices by number: those of one customer, and the others."""
        one = self._owner[at] != ITSELF
        return at[one], at[~one]

    def dump_simple(self, at: I64) -> tuple[U8, I64, I64, I64]:
        """Keys end to end, owners and first moments of devices of one customer."""
        data, offsets = self.devices.gather(at.astype(np.uint32))
        return data, offsets, self._owner[at], self._first[at]

    def load(self, read: LinkFile) -> None:
        """Content of a file; of a device, what was said last counts, and of that the later file."""
        at = self.devices.intern_bulk(read.data, read.offsets).astype(np.int64)
        others = [self.devices.intern(entry["key"]) for entry in read.facts]
        self._grow()
        known = np.zeros(len(self.devices), np.int64)
        known[: len(self._said)] = self._said
        self._said = known
        newer = read.number >= known[at]
        at, known[at[newer]] = at[newer], read.number[newer]
        self._owner[at], self._first[at] = read.owner[newer], read.first[newer]
        for one in self.facts.keys() & set(at.tolist()) if self.facts else ():
            del self.facts[one]
        for one, entry in zip(others, read.facts, strict=True):
            if entry["number"] >= known[one]:
                known[one] = entry["number"]
                self._owner[one] = ITSELF
                self.facts[one] = Facts(
                    {place: Pair(*rest) for place, *rest in entry["pairs"]},
                    entry["apart"],
                    entry["every"],
                    dict(entry["before"]),
                )

    def loaded(self, numbers: Sequence[tuple[int, U8, I64]], last: int) -> None:
        """After everything was loaded. ``numbers``: (change, keys) of devices that changed, whose
        rows and owners are to be looked at again; ``last``: number of the last change.
        """
        self.number, self._said = last, np.empty(0, np.int64)
        data, offsets = self.devices.dump()
        for shard, ordinals in self._found(data, offsets):
            self.linked[shard] |= BitMap(ordinals)
        for number, keys, bounds in numbers:
            for shard, ordinals in self._found(keys, bounds):
                self.touched[shard].add(number, ordinals)
        for facts in self.facts.values():
            for place, number in facts.before.items():
                shard, ordinal = split(place)
                self.touched[shard].add(number, np.array([ordinal], np.uint32))
        for mine in self.touched:
            mine.sort()

    # -- inside --------------------------------------------------------------------------------

    def _at(self, device: bytes) -> int:
        at = self.devices.find(device)
        if at < 0:
            at = self.devices.intern(device)
            self._grow()
            self._owner[at] = ITSELF
            self.facts[at] = Facts()
            self._touch(np.array([at], np.int64))
        return at

    def _facts(self, at: int) -> Facts:
        facts = self.facts.get(at)
        if facts is not None:
            return facts
        pair = Pair([int(self._first[at])])
        return Facts({int(self._owner[at]): pair})

    def _detailed(self, at: int) -> Facts:
        """Facts of a device that may have several customers from now on."""
        facts = self.facts.get(at)
        if facts is None:
            facts = self.facts[at] = self._facts(at)
            self._owner[at] = ITSELF
        return facts

    def _recall_all(self, at: int, facts: Facts) -> None:
        """Keeps all moments from now on, and those that stored rows know of."""
        if facts.every:
            return
        facts.every = True
        self.resets += 1
        key = self.devices.get(at)
        for place, pair in facts.pairs.items():
            for time in self.recall(key, place, pair.undone_ms):
                pair.add(time, every=True)

    def _other_owners(self, at: int) -> None:
        """The owners of a device's rows may be others than before."""
        facts = self.facts[at]
        old = self._owners.pop(at, None)
        before = set(facts.pairs) if old is None else {p for p in old.owner if p != ITSELF}
        before |= facts.before.keys()  # rows may be written with one who is their owner again
        self._touch(np.array([at], np.int64))
        for place in before:
            facts.before[place] = self.number
            shard, ordinal = split(place)
            self.touched[shard].add(self.number, np.array([ordinal], np.uint32))

    def _touch(self, at: I64) -> None:
        """Notes a change of devices by number."""
        self.number += 1
        self._changed.append(at)
        data, offsets = self.devices.gather(at.astype(np.uint32))
        for shard, ordinals in self._found(data, offsets):
            self.linked[shard] |= BitMap(ordinals)
            self.touched[shard].add(self.number, ordinals)

    def _found(self, data: U8, offsets: I64) -> Iterator[tuple[int, U32]]:
        """Ordinals by shard of the keys that the id index knows."""
        tables = self._identity.tables()
        where = hash_bulk(data, offsets, self._salt) & np.uint64(len(tables) - 1)
        for shard, table in enumerate(tables):
            mine = np.flatnonzero(where == shard)
            if len(mine) and len(table):
                found = table.find_bulk(*gather_bytes(data, offsets, mine))
                if (found >= 0).any():
                    yield shard, found[found >= 0].astype(np.uint32)

    def _name(self, place: int) -> bytes:
        shard, ordinal = split(place)
        data, _ = self._identity.tables()[shard].gather(np.array([ordinal], np.uint32))
        return bytes(data)

    def _grow(self) -> None:
        size = len(self.devices)
        if size > len(self._owner):
            room = max(size, len(self._owner) * 5 // 4)
            for name, fill in (("_owner", ITSELF), ("_first", 0)):
                old: Any = getattr(self, name)
                grown = np.full(room, fill, np.int64)
                grown[: len(old)] = old
                setattr(self, name, grown)
