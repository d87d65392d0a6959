"""Links: which devices were seen with which customers, and so whose the rows of a device are.

A device is any id that is not a customer's: its key is ``d`` + id, whether it ever had rows of its
own or not. It is named by its place: of one that the id index has, that is as there; the others,
*strangers*, have a table and a shard number of their own, until they come with a row of their own
and move. So no key is kept twice. Nearly all devices are together with one customer for ever: of
those only he and the earliest moment are kept (:class:`Owned`). Of all others :class:`Facts` are.
Periods are worked out when somebody asks and kept. Every change has a number, so that whoever keeps
rows by owner knows which ones to look at again: :meth:`Links.moved_since`.

Files: :mod:`link_files`, ``docs/format/links.md``. Thread-safety: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.distinct import unique
from zuji.engine.index._keys import KeyTable, find_keys
from zuji.engine.index._owned import Owned
from zuji.engine.index.changes import Changes
from zuji.engine.index.identity import gather_bytes
from zuji.engine.index.owners import ITSELF, Facts, Owners, Pair, Shared, owners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zuji.engine.index.before import Before
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
_NEW, _EARLIER, _OTHER = 1, 2, 3  # what Owned.tell says
_SOME = 1 << 20


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
        self.shared: Shared = shared
        self.recall: Recall = lambda device, place, after: []
        self.strangers = KeyTable(salt=salt)
        self._stranger = place_of(identity.shards, 0)  # place of the first
        self.owned = Owned(identity.shards + 1)
        self.facts: dict[int, Facts] = {}  # by place of the device
        self._owners: dict[int, Owners] = {}
        self.linked = [BitMap() for _ in range(identity.shards)]
        """Ordinals of devices that were ever together with somebody."""
        self.called = [BitMap() for _ in range(identity.shards)]
        """Ordinals of customers who were bound when nothing was known of them."""
        self.number = 0
        """Of the last change."""
        self._said: I64 | U32 = np.empty(0, np.uint32)  # while files are read: changes of devices
        self.touched = [Changes() for _ in range(identity.shards)]
        self._changed: list[I64] = []
        self.resets = 0
        """Changes when what is known to be kept may be kept no more."""
        self.before: Before | None = None
        """Is told of devices before they change, while somebody may take it back."""

    def __len__(self) -> int:
        return len(self.owned)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        touched = sum(mine.nbytes for mine in self.touched)
        return self.strangers.nbytes + self.owned.nbytes + touched + 600 * len(self.facts)

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
        at = self._places(data, offsets)
        if self.before is not None:
            self.before.note(at)
        told = self.owned.tell(at, place, time)
        if (fresh := at[told == _NEW]).size:
            self._touch(fresh)
        if (earlier := at[told == _EARLIER]).size:
            self._changed.append(earlier)  # one customer for ever: the owner stays
        known = told != _OTHER
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

    def _together(self, at: int, place: int, time: int) -> None:
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
        at = self._made(device)
        if self.before is not None:
            self.before.note(np.array([at], np.int64))
        facts = self._detailed(at)
        if place is not None:
            facts.pairs.setdefault(place, Pair())
        self._recall_all(at, facts)
        if facts.part(place, time):
            self._other_owners(at)
        self.resets += 1

    def undo(self, device: bytes, place: int, received_ms: int) -> bool:
        """Forgets what was said so far of a device and a customer; False: nothing was."""
        at = self._at(device)
        if at < 0 or place not in self._facts(at).pairs:
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
        if not len(self.strangers) or not len(shard):
            return
        code = self.strangers.find_bulk(data, offsets)
        came = np.flatnonzero(code >= 0)
        if not len(came):
            return
        _, first = np.unique(code[came], return_index=True)
        came = came[first]
        code = code[came]
        at = places(shard[came], ordinal[came])
        self.strangers.blank(code.astype(np.uint32))
        self._move(self._stranger + code, at)
        self._changed.append(at)  # some may not have been saved under their old places
        self._touched(at)

    def drop_periods(self, at: int) -> None:
        """What is known of a device, by place, is about to be put back as it was."""
        self._owners.pop(at, None)

    # -- what follows --------------------------------------------------------------------------

    def owners_of(self, at: int) -> Owners:
        """Periods of a device by its place."""
        found = self._owners.get(at)
        if found is None:
            found = owners(self._facts(at), self.shared, self._name)
            if at in self.facts:
                self._owners[at] = found
        return found

    def find(self, data: U8, offsets: I64) -> I64:
        """Places of devices by key (end to end, int64[n+1]), -1 where nothing is known."""
        at = self._look_up(data, offsets)
        at[~self.owned.known(at)] = ITSELF
        return at

    def resolve(self, at: I64, time: I64) -> I64:
        """Places that own rows of devices (by place, int64[n]) at moments ms UTC; ITSELF: the
        device does. O(rows), and more where a device has several customers.
        """
        found = self.owned.owners(at)
        if self.facts:
            several = np.flatnonzero((found == ITSELF) & self.owned.known(at))
            for device in np.unique(at[several]).tolist():
                rows = several[at[several] == device]
                periods = self.owners_of(device)
                part = np.searchsorted(periods.start, time[rows], side="right") - 1
                found[rows] = np.array(periods.owner, np.int64)[part]
        return found

    def for_ever(self, device: bytes) -> int | None:
        """The one place that owns all rows of a device, None when there is none."""
        at = self._at(device)
        if at < 0:
            return None
        only = self.owners_of(at).only
        return None if only == ITSELF else only

    def merged(self, shard: int) -> tuple[U32, U32]:
        """Ordinals of devices of a shard all of whose rows are one customer's, and of those some of
        whose rows may be their own. Ascending. O(linked devices).
        """
        ordinals = np.array(self.linked[shard].to_array(), np.uint32)
        if not len(ordinals):
            return ordinals, ordinals
        at = place_of(shard, 0) + ordinals.astype(np.int64)
        one = self.owned.owners(at) != ITSELF
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
                yield self.key(at)[1:].decode(), time, names

    def said_of(self, device: bytes) -> Facts | None:
        """What was said of a device, None when nothing was."""
        at = self._at(device)
        return None if at < 0 else self._facts(at)

    def periods_of(self, device: bytes) -> Owners | None:
        """Periods of a device (its key), None when nothing was said of it."""
        at = self._at(device)
        return None if at < 0 else self.owners_of(at)

    def devices_of(self, place: int) -> list[tuple[str, int]]:
        """Devices that were ever together with a customer, and since when. O(devices)."""
        found = []
        for some in self.everyone():
            at = some[self.owned.owners(some) == place]
            for one, since in zip(at.tolist(), self.owned.firsts(at).tolist(), strict=True):
                found.append((self.key(one)[1:].decode(), since))
        for one, facts in self.facts.items():
            pair = facts.pairs.get(place)
            if pair is not None and pair.together:
                found.append((self.key(one)[1:].decode(), pair.together[0]))
        return sorted(found)

    def everyone(self) -> Iterator[I64]:
        """Places of all devices of which anything is known, ascending, some at a time."""
        for shard, linked in enumerate(self.linked):
            ordinals = np.array(linked.to_array(), np.uint32)
            for start in range(0, len(ordinals), _SOME):
                some = place_of(shard, 0) + ordinals[start : start + _SOME].astype(np.int64)
                yield some[self.owned.known(some)]
        for start in range(0, len(self.strangers), _SOME):
            code = np.arange(start, min(start + _SOME, len(self.strangers)), dtype=np.int64)
            yield (self._stranger + code)[self.owned.known(self._stranger + code)]

    def key(self, at: int) -> bytes:
        """The key of a device by its place."""
        return self.keys(np.array([at], np.int64))[0].tobytes()

    def keys(self, at: I64) -> tuple[U8, I64]:
        """Keys of devices by place, ascending, end to end, and int64[n+1] offsets."""
        tables = [*self._identity.tables(), self.strangers]
        cuts = np.searchsorted(at >> _SHARD, np.arange(len(tables) + 1))
        texts, lengths = [np.empty(0, np.uint8)], [np.empty(0, np.int64)]
        for shard, table in enumerate(tables):
            mine = at[cuts[shard] : cuts[shard + 1]]
            if len(mine):
                data, offsets = table.gather((mine & _ORDINAL).astype(np.uint32))
                texts.append(data)
                lengths.append(np.diff(offsets))
        bounds = np.zeros(len(at) + 1, np.int64)
        np.cumsum(np.concatenate(lengths), out=bounds[1:])
        return np.concatenate(texts), bounds

    def name(self, place: int) -> str:
        """The id of a place."""
        return self._name(place)[1:].decode()

    # -- saving --------------------------------------------------------------------------------

    def take(self) -> I64:
        """Places of the devices that changed since the last call, ascending; the caller gives them
        back with :meth:`again` when they could not be saved.
        """
        taken, self._changed = self._changed, []
        if not taken:
            return np.empty(0, np.int64)
        at = unique(np.concatenate(taken))
        return at[self.owned.known(at)]

    def again(self, at: I64) -> None:
        """See :meth:`take`."""
        self._changed.append(at)

    def dump(self, some: Iterable[int]) -> list[dict[str, Any]]:
        """Facts of devices by place, as a file has them."""
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
                    "key": self.key(at),
                    "number": self.number,
                    "pairs": pairs,
                    "apart": facts.apart,
                    "every": facts.every,
                    "before": before,
                }
            )
        return found

    def simple(self, at: I64) -> tuple[I64, I64]:
        """Of devices by place: those of one customer, and the others."""
        one = self.owned.owners(at) != ITSELF
        return at[one], at[~one]

    def dump_simple(self, at: I64) -> tuple[U8, I64, I64, I64]:
        """Keys end to end, owners and first moments of devices of one customer. ``at``: ascending
        places.
        """
        return *self.keys(at), self.owned.owners(at), self.owned.firsts(at)

    def load(self, read: LinkFile) -> tuple[I64, I64]:
        """Content of a file; of a device, what was said last counts, and of that the later file.
        Places of its devices of one customer and of its others.
        """
        at = self._places(read.data, read.offsets)
        newer = self._newer(at, read.number)
        some = at[newer]
        self.owned.set(some, read.owner[newer], read.first[newer])
        self._notice(some, read.number[newer])
        if self.facts:
            several = np.fromiter(self.facts, np.int64, len(self.facts))
            for one in several[self.owned.owners(several) != ITSELF].tolist():
                del self.facts[one]
        keys = [entry["key"] for entry in read.facts]
        offsets = np.zeros(len(keys) + 1, np.int64)
        np.cumsum([len(key) for key in keys], out=offsets[1:])
        others = self._places(np.frombuffer(b"".join(keys), np.uint8), offsets)
        number = np.array([entry["number"] for entry in read.facts], np.int64)
        newer = self._newer(others, number)
        some = others[newer]
        itself = np.full(len(some), ITSELF, np.int64)
        self.owned.set(some, itself, np.zeros(len(some), np.int64))
        self._notice(some, number[newer])
        for i in np.flatnonzero(newer).tolist():
            entry = read.facts[i]
            self.facts[int(others[i])] = Facts(
                {place: Pair(*rest) for place, *rest in entry["pairs"]},
                entry["apart"],
                entry["every"],
                dict(entry["before"]),
            )
        return at, others

    def _heard(self) -> I64 | U32:
        """The last change that was read of each device, by its number; of none, 0."""
        said = self._said
        if len(said) < self.owned.numbers:
            more = max(self.owned.numbers, len(said) * 5 // 4) - len(said)
            self._said = said = np.append(said, np.zeros(more, said.dtype))
        return said

    def _newer(self, at: I64, number: I64) -> Flags:
        """Of devices that a file has, those of which no later change was read."""
        newer: Flags = number >= self._heard()[self.owned.numbers_of(at)]
        return newer

    def _notice(self, at: I64, number: I64) -> None:
        """What a file says of devices is the last that was read."""
        if len(number) and number.max() > _ORDINAL:
            self._said = self._said.astype(np.int64)
        self._heard()[self.owned.numbers_of(at)] = number
        self._link(at)

    def loaded(self, changes: Iterable[tuple[I64, I64]], last: int) -> None:
        """After everything was loaded. ``changes``: places of devices and number of the change of
        each, whose rows and owners are to be looked at again; ``last``: number of the last one.
        """
        self.number, self._said = last, np.empty(0, np.uint32)
        before = [
            (place, number)
            for facts in self.facts.values()
            for place, number in facts.before.items()
        ]
        both = np.array(before, np.int64).reshape(-1, 2)
        changed = [*changes, (both[:, 0], both[:, 1])]
        at = np.concatenate([at for at, _ in changed])
        numbers = np.concatenate([numbers for _, numbers in changed])
        for shard, mine in enumerate(self.touched):
            rows = np.flatnonzero(at >> _SHARD == shard)
            if len(rows):
                mine.add_all(numbers[rows], (at[rows] & _ORDINAL).astype(np.uint32))

    def forget(self, at: I64) -> None:
        """Forgets devices by place."""
        self.owned.clear(at)
        mine = at[at >= self._stranger] - self._stranger
        self.strangers.blank(mine.astype(np.uint32))
        for shard, linked in enumerate(self.linked):
            linked -= BitMap((at[at >> _SHARD == shard] & _ORDINAL).astype(np.uint32))
        for one in self.facts.keys() & set(at.tolist()):
            del self.facts[one]
            self._owners.pop(one, None)

    # -- inside --------------------------------------------------------------------------------

    def estrange(self, at: I64) -> None:
        """Devices, by place, ascending, whose ids are about to go from the id index: of what is
        known, their keys are kept.
        """
        at = at[self.owned.known(at)]
        if len(at):
            code = self.strangers.intern_bulk(*self.keys(at)).astype(np.int64)
            self._move(at, self._stranger + code)
            self._changed.append(self._stranger + code)

    def _move(self, at: I64, to: I64) -> None:
        """Devices have other places from now on."""
        for old, new in zip(at.tolist(), to.tolist(), strict=True):
            self.owned.move(old, new)
            self._owners.pop(old, None)
            if old in self.facts:
                self.facts[new] = self.facts.pop(old)

    def _look_up(self, data: U8, offsets: I64) -> I64:
        """Places of keys, -1 of those that neither the id index nor the strangers have."""
        shard, ordinal = find_keys(self._identity.tables(), data, offsets)
        at: I64 = shard.astype(np.int64) << _SHARD | ordinal
        missing = np.flatnonzero(ordinal < 0)
        if len(missing):
            at[missing] = ITSELF
            if len(self.strangers):
                code = self.strangers.find_bulk(*_some(data, offsets, missing))
                at[missing[code >= 0]] = self._stranger + code[code >= 0]
        return at

    def _places(self, data: U8, offsets: I64) -> I64:
        """Places of keys; unknown ones become strangers."""
        at = self._look_up(data, offsets)
        missing = np.flatnonzero(at < 0)
        if len(missing):
            code = self.strangers.intern_bulk(*_some(data, offsets, missing))
            at[missing] = self._stranger + code.astype(np.int64)
        return at

    def _at(self, device: bytes) -> int:
        """Place of a device, -1 when nothing is known of it."""
        data, offsets = np.frombuffer(device, np.uint8), np.array([0, len(device)], np.int64)
        return int(self.find(data, offsets)[0])

    def _made(self, device: bytes) -> int:
        """As :meth:`_at`; from now on something is known."""
        at = self._at(device)
        if at < 0:
            offsets = np.array([0, len(device)], np.int64)
            fresh = self._places(np.frombuffer(device, np.uint8), offsets)
            if self.before is not None:
                self.before.note(fresh)
            self._several(at := int(fresh[0]))
            self.facts[at] = Facts()
            self._touch(fresh)
        return at

    def _several(self, at: int) -> None:
        """A device has not one customer for ever."""
        place = np.array([at], np.int64)
        self.owned.set(place, np.array([ITSELF], np.int64), np.zeros(1, np.int64))

    def _facts(self, at: int) -> Facts:
        facts = self.facts.get(at)
        if facts is not None:
            return facts
        place = np.array([at], np.int64)
        pair = Pair([int(self.owned.firsts(place)[0])])
        return Facts({int(self.owned.owners(place)[0]): pair})

    def _detailed(self, at: int) -> Facts:
        """Facts of a device that may have several customers from now on."""
        facts = self.facts.get(at)
        if facts is None:
            facts = self.facts[at] = self._facts(at)
            self._several(at)
        return facts

    def _recall_all(self, at: int, facts: Facts) -> None:
        """Keeps all moments from now on, and those that stored rows know of."""
        if facts.every:
            return
        facts.every = True
        self.resets += 1
        key = self.key(at)
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
        """Notes a change of devices by place."""
        self._changed.append(at)
        self._touched(at)

    def _touched(self, at: I64) -> None:
        self.number += 1
        for shard, ordinals in self._link(at):
            self.touched[shard].add(self.number, ordinals)

    def _link(self, at: I64) -> list[tuple[int, U32]]:
        """Notes that devices are linked; those that the id index has, by shard."""
        shards = at >> _SHARD
        found = []
        for shard, linked in enumerate(self.linked):
            mine = at[shards == shard]
            if len(mine):
                ordinals = (mine & _ORDINAL).astype(np.uint32)
                linked |= BitMap(ordinals)
                found.append((shard, ordinals))
        return found

    def _name(self, place: int) -> bytes:
        shard, ordinal = split(place)
        data, _ = self._identity.tables()[shard].gather(np.array([ordinal], np.uint32))
        return bytes(data)


def _some(data: U8, offsets: I64, rows: I64) -> tuple[U8, I64]:
    return (data, offsets) if len(rows) == len(offsets) - 1 else gather_bytes(data, offsets, rows)
