"""The native binding of regular batches gives the rows that binding by column gives."""

from __future__ import annotations

import random

import msgpack
import numpy as np
import pytest

from zuji.engine.index._strings import StringTable
from zuji.engine.index.catalog import PROFILE_EVENTS, Catalog
from zuji.engine.index.dedup import Dedup
from zuji.engine.index.identity import Identity
from zuji.engine.index.links import Links
from zuji.engine.ingest import Binder, Interned
from zuji.engine.limits import Limits
from zuji.engine.storage.files import Files
from zuji.engine.storage.memtable import Memtable
from zuji.engine.types import Kind

SALT = 11


class World:
    """A project without files, and one decoder's tables."""

    def __init__(self, natively):
        self.natively = natively
        self.catalog = Catalog()
        self.identity = Identity(Files(), "", 4, SALT, [])
        self.dedup = Dedup(Files(), "", SALT, 1000, [])
        links = Links(self.identity, SALT)
        self.binder = Binder(self.catalog, self.identity, self.dedup, Limits(), links)
        self.table = Interned(SALT, Limits())
        self.start_memtable()
        self.regular = 0

    def start_memtable(self):
        self.mem = Memtable(self.catalog, StringTable(salt=SALT), "UTC", 4)

    def rows(self, raw):
        """What the batch stores, in plain values."""
        self.table.decoder.decode(raw)
        if self.natively:
            regular = self.binder._regular

            def counted(*args):
                found = regular(*args)
                self.regular += found is not None
                return found

            self.binder._regular = counted
        mem, start = self.mem, self.mem.rows
        taken = self.binder.bind(self.table, 7, raw, mem, natively=self.natively)
        if self.natively:
            self.binder._regular = regular
        rejected = [(r.index, r.reason, r.path) for r in taken.rejected]
        assert mem.rows == start + taken.rows
        return list(self._plain(mem.frame(), start)), rejected, taken.repeated

    def _plain(self, chunk, start):
        assert chunk.cell_start[0] == 0
        assert chunk.cell_start[-1] == len(chunk.cell_prop) == len(chunk.cell_value)
        for i in range(start, chunk.n):
            pairs = self.identity.external(
                int(chunk.shard[i]), np.array([chunk.ordinal[i]], np.uint32)
            )
            cells = {}
            for c in range(chunk.cell_start[i], chunk.cell_start[i + 1]):
                code, value = int(chunk.cell_prop[c]), int(chunk.cell_value[c])
                kind = self.catalog.prop_kind(code)
                if kind == Kind.STRING:
                    value = self.mem.strings.get(value)
                elif kind == Kind.LIST:
                    a, b = chunk.list_offsets[value], chunk.list_offsets[value + 1]
                    value = [self.mem.strings.get(int(s)) for s in chunk.list_items[a:b]]
                cells[self.catalog.prop_name(code)] = value
            name = self.catalog.event_name(int(chunk.event[i]))
            yield name, pairs[0], int(chunk.time[i]), cells


def event(rng, number):
    """Mostly of one shape; sometimes a new name, another kind, a removed property, a repeat."""
    found = {
        "event": rng.choice(["view", "pay", "打开"]) if rng.random() < 0.99 else f"new{number}",
        "time": 1_790_000_000_000 + rng.randrange(10**9),
        "properties": {"city": f"c{rng.randrange(9)}", "amount": rng.choice([1.5, 2, -7])},
    }
    if rng.random() < 0.3:
        found["properties"]["tags"] = rng.sample(["a", "b", "中"], rng.randrange(4))
    if rng.random() < 0.01:
        found["properties"]["amount"] = rng.choice(["3", "x", True])
    if rng.random() < 0.2:
        found["insert_id"] = f"i{rng.randrange(60)}"
    who = rng.random()
    if who < 0.8:
        found["user_id"] = f"u{rng.randrange(20)}"
    if who > 0.6:
        found["device_id"] = f"u{rng.randrange(20)}"
    if rng.random() < 0.1:
        value = None if rng.random() < 0.1 else rng.randrange(3)
        found = {k: v for k, v in found.items() if k != "event"}
        found |= {"type": "profile_set", "properties": {"level": value, "name": "x"}}
    elif rng.random() < 0.2:
        found = {k: v for k, v in found.items() if k != "event"} | building(rng)
    return found


def building(rng):
    """A profile record that builds on what there is; some do not fit the kinds that are there."""
    odd = rng.random() < 0.05
    return rng.choice(
        [
            {"type": "profile_set_once", "properties": {"level": 5, "name": None, "since": "x"}},
            {"type": "profile_increment", "properties": {"name" if odd else "level": 2}},
            {"type": "profile_increment", "properties": {"score": rng.choice([1, 0.5])}},
            {"type": "profile_append", "properties": {"level" if odd else "tags": "t"}},
            {"type": "profile_append", "properties": {"tags": ["t", "u"], "more": []}},
            {"type": "profile_delete", "properties": None},
        ]
    )


@pytest.mark.parametrize("seed", range(30))
def test_native_and_by_column_agree(seed):
    rng = random.Random(seed)
    fast, slow = World(True), World(False)
    for number in range(60):
        raw = msgpack.packb({"events": [event(rng, number) for _ in range(rng.randrange(9))]})
        assert fast.rows(raw) == slow.rows(raw)
        if rng.random() < 0.1:  # a new memtable, or a new decoder
            fast.start_memtable()
            slow.start_memtable()
        if rng.random() < 0.02:
            fast.table, slow.table = Interned(SALT, Limits()), Interned(SALT, Limits())
    assert fast.catalog.dump() == slow.catalog.dump()
    assert fast.regular > 0


def test_profile_records_are_bound_natively_when_nothing_is_new():
    world = World(True)
    of = {"time": 6, "user_id": "a"}
    records = [
        {"type": "profile_set_once", "properties": {"a": 1, "b": None}} | of,
        {"type": "profile_increment", "properties": {"a": 2, "c": 0.5}} | of,
        {"type": "profile_append", "properties": {"d": "x"}} | of,
        {"type": "profile_delete"} | of,
    ]
    for number in range(3):
        rows, rejected, _ = world.rows(msgpack.packb(records))
        assert not rejected
        assert [r[0] for r in rows] == list(PROFILE_EVENTS[2:])
        assert rows[0][3] == {"$user.a": 1}
        assert rows[2][3] == {"$user.d": [b"x"]}
        assert world.regular == number


@pytest.mark.parametrize("had", ["text", True, ["x"]])
def test_only_numbers_are_increased(had):
    """Whatever the number could be cast to; on both ways through the binder."""
    for natively in (True, False):
        world = World(natively)
        of = {"time": 6, "user_id": "a"}
        world.rows(msgpack.packb([{"type": "profile_set", "properties": {"p": had}} | of]))
        more = {"type": "profile_increment", "properties": {"p": 1}} | of
        rows, rejected, _ = world.rows(msgpack.packb([more]))
        assert (rows, rejected) == ([], [(0, "type_mismatch", "properties.p")])


def test_a_regular_batch_is_bound_natively():
    world = World(True)
    one = {"event": "pay", "time": 5, "user_id": "a", "device_id": "d", "properties": {"x": 1.0}}
    two = {"type": "profile_set", "time": 6, "device_id": "d", "properties": {"y": "z"}}
    for number in range(3):
        rows, rejected, _ = world.rows(msgpack.packb({"events": [one, two]}))
        assert not rejected
        assert [r[0] for r in rows] == ["pay", "$profile_set"]
        assert rows[0][3]["$device_id"] == b"d"
        assert world.regular == number
