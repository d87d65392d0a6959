"""Links against whose rows are by brute force, in any order of arrival, saved and loaded anew."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.identity import SHARED, OracleIdentity
from zuji.engine.errors import Corruption
from zuji.engine.index.before import Before
from zuji.engine.index.identity import Identity
from zuji.engine.index.link_files import LinkFile, merged, read_links, to_merge, write_links
from zuji.engine.index.links import Links, place_of
from zuji.engine.index.owners import ITSELF
from zuji.engine.storage.files import Files

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = ("phone", "tablet", "$identity_mobile+138", "née")
CUSTOMERS = ("ann", "bob", "eve", "zoë")
FILES = Files()


class Both:
    """Links and the oracle's, told the same."""

    def __init__(self, shared: str) -> None:
        self.shared = shared
        self.met: set[str] = set()  # devices with rows of their own
        self.oracle = OracleIdentity(shared)
        self.identity = Identity(FILES, "/nowhere", 4, 7, [])
        self.stored: list[tuple[bytes, int, int, int]] = []  # as rows are: device, place, time, no.
        self.links = self._fresh()

    def _fresh(self) -> Links:
        links = Links(self.identity, 7, self.shared)  # type: ignore[arg-type]
        links.recall = self._recall
        return links

    def _recall(self, device: bytes, place: int, after: int | None) -> list[int]:
        return [
            time
            for key, who, time, number in self.stored
            if (key, who) == (device, place) and (after is None or number > after)
        ]

    def place(self, key: bytes) -> int:
        data, offsets = np.frombuffer(key, np.uint8), np.array([0, len(key)], np.int64)
        shard, ordinal = self.identity.resolve(data, offsets)
        self.links.new_users(data, offsets, shard, ordinal)
        return place_of(int(shard[0]), int(ordinal[0]))

    def meet(self, device: str) -> None:
        self.met.add(device)
        self.place(b"d" + device.encode())

    def together(self, said: list[tuple[str, str, int]]) -> None:
        keys = [b"d" + device.encode() for device, _, _ in said]
        places = [self.place(b"u" + customer.encode()) for _, customer, _ in said]
        for (device, customer, time), key, place in zip(said, keys, places, strict=True):
            self.oracle.together(device, customer, time)
            self.stored.append((key, place, time, len(self.stored)))
        offsets = np.cumsum([0, *map(len, keys)]).astype(np.int64)
        self.links.together(
            np.frombuffer(b"".join(keys), np.uint8),
            offsets,
            np.array(places, np.int64),
            np.array([time for _, _, time in said], np.int64),
        )

    def apart(self, device: str, customer: str | None, time: int) -> None:
        self.oracle.apart(device, customer, time)
        place = None if customer is None else self.place(b"u" + customer.encode())
        self.links.apart(b"d" + device.encode(), place, time)

    def undo(self, device: str, customer: str) -> None:
        self.oracle.undo(device, customer)
        place = self.place(b"u" + customer.encode())
        self.links.undo(b"d" + device.encode(), place, len(self.stored) - 1)

    def refused(self, said: list[tuple[str, str, int]], parted: str) -> None:
        """What is said and taken back leaves nothing behind."""
        oracle, stored = deepcopy(self.oracle), list(self.stored)

        def all_facts() -> dict[bytes, Any]:
            keys = [b"d" + device.encode() for device in DEVICES]
            return {key: deepcopy(self.links.said_of(key)) for key in keys}

        before = all_facts()
        with suppress(RuntimeError), Before(self.links):
            self.apart(parted, None, 4)
            self.together(said)
            self.apart(parted, "ann", 5)
            self.together(said)
            raise RuntimeError
        self.oracle, self.stored = oracle, stored
        assert all_facts() == before

    def reload(self, path: str) -> None:
        """As a process that opens the project does."""
        links, at = self.links, self.links.take()
        one, several = links.simple(np.concatenate([at[:0], *links.everyone()]))
        assert len(links) == len(one) + len(several)
        assert set(at.tolist()) <= {*one.tolist(), *several.tolist()}
        content = LinkFile(
            *links.dump_simple(one), np.full(len(one), links.number), links.dump(several.tolist())
        )
        write_links(FILES, path, content)
        read = read_links(FILES, path)
        self.links = self._fresh()
        self.links.load(read)
        self.links.loaded([], links.number)
        assert [list(one) for one in self.links.linked] == [list(one) for one in links.linked]

    def check(self) -> None:
        for device in DEVICES:
            key = b"d" + device.encode()
            times = np.arange(-1, 12, dtype=np.int64)
            at = self.links.find(np.frombuffer(key, np.uint8), np.array([0, len(key)], np.int64))
            found = self.links.resolve(np.repeat(at, len(times)), times).tolist()
            for time, place in zip(times.tolist(), found, strict=True):
                kind, name = self.oracle.owner(None, device, time)
                wanted = ITSELF if kind == "device" else self.place(b"u" + name.encode())
                assert place == wanted, (device, time, kind, name)
            owners = {place for place in found if place != ITSELF}
            if (one := self.links.for_ever(key)) is not None:
                assert owners == {one}
            assert (self.links.said_of(key) is None) == (at[0] < 0)
            assert (self.identity.find(key) is not None) == (device in self.met)
            if device in self.met:
                own = self.place(key)
                assert (own & 0xFFFFFFFF in self.links.linked[own >> 32]) == (at[0] >= 0)
                assert at[0] in (own, ITSELF)
            if at[0] >= 0:
                assert self.links.key(int(at[0])) == key
        told = sorted((d, t, c) for d, t, c in self.links.conflicts())
        assert told == sorted((c.device, c.time, c.customers) for c in self.oracle.conflicts())


_device, _customer, _time = st.sampled_from(DEVICES), st.sampled_from(CUSTOMERS), st.integers(0, 10)
_step = st.one_of(
    st.tuples(
        st.just("together"),
        st.lists(st.tuples(_device, _customer, _time), min_size=1, max_size=5),
    ),
    st.tuples(st.just("apart"), _device, st.one_of(st.none(), _customer), _time),
    st.tuples(st.just("undo"), _device, _customer),
    st.tuples(st.just("meet"), _device),
    st.tuples(
        st.just("refused"), st.lists(st.tuples(_device, _customer, _time), max_size=5), _device
    ),
    st.tuples(st.just("reload")),
)


@given(shared=st.sampled_from(SHARED), steps=st.lists(_step, min_size=1, max_size=12))
@settings(max_examples=600, deadline=None)
def test_links_say_what_the_rules_say(
    shared: str, steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    both = Both(shared)
    for what, *given_ in steps:
        if what == "reload":
            both.reload(str(tmp_path_factory.getbasetemp() / "links.zlnk"))
        else:
            getattr(both, what)(*given_)
        both.check()


def test_the_setting_of_shared_devices_counts_for_what_was_said_before() -> None:
    both = Both("device")
    both.together([("phone", "ann", 1), ("phone", "bob", 3), ("phone", "ann", 5)])
    for shared in ("last_login", "first_owner", "device"):
        both.oracle.shared = shared
        both.links.set_shared(shared)  # type: ignore[arg-type]
        both.check()


def test_files_that_are_damaged_are_refused(tmp_path: Path) -> None:
    both = Both("device")
    both.together([("phone", "ann", 1), ("tablet", "bob", 3), ("tablet", "eve", 5)])
    path = tmp_path / "one.zlnk"
    both.reload(str(path))
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        with pytest.raises(Exception, match=r".") as raised:
            read_links(FILES, str(path))
        assert type(raised.value).__name__ in ("Corruption", "UnsupportedFormat"), at
    for end in range(len(good)):
        path.write_bytes(good[:end])
        with pytest.raises(Corruption):
            read_links(FILES, str(path))


def test_of_several_files_the_last_counts() -> None:
    def file(keys: list[bytes], owner: int, facts: list[dict[str, Any]]) -> LinkFile:
        some = np.full(len(keys), owner, np.int64)
        offsets = np.cumsum([0, *map(len, keys)]).astype(np.int64)
        return LinkFile(np.frombuffer(b"".join(keys), np.uint8), offsets, some, some, some, facts)

    parts = [
        file([b"da", b"db"], 1, [{"key": b"dc", "number": 1}]),
        file([b"dc"], 2, []),
        file([b"db"], 0, [{"key": b"da", "number": 3}]),
    ]
    one = merged(parts)
    assert one.data.tobytes() == b"dbdc"
    assert one.owner.tolist() == [1, 2]
    assert one.facts == [{"key": b"da", "number": 3}]
    assert [to_merge(sizes) for sizes in ([], [5], [9, 9, 9], [9, 9, 9, 9], [900, 9, 9, 9, 9])] == [
        *(0, 0, 0),
        *(4, 4),
    ]
