"""Ids to (shard, ordinal) and back, across saves, failed saves and reopening."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.errors import Corruption
from zuji.engine.index.erased import Erased
from zuji.engine.index.id_files import read_ids
from zuji.engine.index.identity import Identity, gather_bytes
from zuji.engine.storage.files import Files

SALT = 7
SHARDS = 4


def packed(keys):
    data = np.frombuffer(b"".join(keys), dtype=np.uint8)
    return data, np.cumsum([0, *[len(k) for k in keys]], dtype=np.int64)


def places(identity, keys):
    shard, ordinal = identity.resolve(*packed(keys))
    return list(zip(shard.tolist(), ordinal.tolist(), strict=True))


@pytest.fixture
def make(tmp_path):
    (tmp_path / "ids").mkdir()
    return lambda chunks=(): Identity(Files(), str(tmp_path), SHARDS, SALT, chunks)


@pytest.fixture
def new_name():
    numbers = itertools.count(1)
    return lambda: f"ids/{next(numbers):08d}.zids"


def keys_of(*numbers):
    return [b"u%d" % n for n in numbers]


def test_ordinals_are_dense_in_each_shard_in_order_of_arrival(make):
    identity = make()
    found = places(identity, keys_of(*range(200)))
    for shard in range(SHARDS):
        mine = [ordinal for s, ordinal in found if s == shard]
        assert mine == list(range(len(mine)))
        assert len(mine) == identity.counts()[shard] > 20


def test_an_id_keeps_its_place(make):
    identity = make()
    first = places(identity, keys_of(1, 2, 3))
    assert places(identity, keys_of(3, 9, 1, 1))[0] == first[2]
    assert places(identity, keys_of(2)) == [first[1]]
    assert identity.find(b"u2") == first[1]


def test_looking_for_an_unknown_id_adds_nobody(make):
    identity = make()
    assert identity.find(b"u1") is None
    assert sum(identity.counts()) == 0


def test_a_user_and_a_device_of_one_name_are_two(make):
    identity = make()
    places(identity, [b"ux", b"dx"])
    assert sum(identity.counts()) == 2
    for key, wanted in ((b"ux", ("x", None)), (b"dx", (None, "x"))):
        shard, ordinal = identity.find(key)
        assert identity.external(shard, np.array([ordinal], dtype=np.uint32)) == [wanted]


def test_places_survive_reopening_in_several_chunks(make, new_name):
    identity = make()
    for numbers in (range(50), range(30, 90), range(90, 91)):
        places(identity, keys_of(*numbers))
        identity.saved(identity.save(identity.take(identity.unsaved()), new_name))
        chunks = identity.save([], new_name)
    again = make(chunks)
    assert again.counts() == identity.counts()  # known without reading a file
    everyone = keys_of(*range(91))
    assert places(again, everyone) == places(identity, everyone)
    assert sum(again.counts()) == 91


def test_only_ids_up_to_the_freeze_are_saved(make, new_name):
    identity = make()
    places(identity, keys_of(*range(20)))
    upto = identity.unsaved()
    places(identity, keys_of(*range(20, 40)))
    chunks = identity.save(identity.take(upto), new_name)
    assert sum(make(chunks).counts()) == 20
    identity.saved(chunks)
    chunks = identity.save(identity.take(identity.unsaved()), new_name)
    assert places(make(chunks), keys_of(*range(40))) == places(identity, keys_of(*range(40)))


def test_a_failed_commit_saves_the_same_ids_again(make, new_name):
    identity = make()
    places(identity, keys_of(*range(20)))
    identity.save(identity.take(identity.unsaved()), new_name)  # `saved` is not called
    chunks = identity.save(identity.take(identity.unsaved()), new_name)
    assert places(make(chunks), keys_of(*range(20))) == places(identity, keys_of(*range(20)))


def test_a_damaged_chunk_names_its_file(make, new_name, tmp_path):
    identity = make()
    places(identity, keys_of(*range(20)))
    chunks = identity.save(identity.take(identity.unsaved()), new_name)
    name = next(c for c in chunks if c)[0][0]
    (tmp_path / name).write_bytes(b"\0" * 60)
    with pytest.raises(Corruption) as caught:
        make(chunks).tables()
    assert caught.value.path.endswith(name)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=20), st.data())
def test_gathered_strings_are_those_asked_for(strings, data):
    rows = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=30))
    out, bounds = gather_bytes(*packed(strings), np.array(rows, dtype=np.int64))
    raw = out.tobytes()
    assert [raw[a:b] for a, b in itertools.pairwise(bounds)] == [strings[r] for r in rows]


def test_an_erased_id_is_nobody_and_comes_back_as_another_user(make, new_name, tmp_path):
    identity = make()
    keys = keys_of(*range(100))
    before = places(identity, keys)
    chunks = identity.save(identity.take(identity.unsaved()), new_name)
    identity.saved(chunks)
    gone = {}
    for shard, ordinal in before[10:20]:
        gone.setdefault(shard, []).append(ordinal)
    gone = {shard: np.array(sorted(some), np.uint32) for shard, some in gone.items()}
    identity.erase(gone, applied=3)
    assert [identity.find(key) for key in keys[10:20]] == [None] * 10
    assert identity.find(keys[9]) == before[9]
    shard, ordinal = before[10]
    assert identity.external(shard, np.array([ordinal], np.uint32)) == [(None, None)]
    again = places(identity, keys[10:12])
    assert not set(again) & set(before)
    chunks = identity.save(identity.take(identity.unsaved()), new_name)
    state = identity.erased.dump()

    def opened(chunks, state):
        return Identity(Files(), str(tmp_path), SHARDS, SALT, chunks, Erased(SHARDS, state))

    for _ in range(2):
        reopened = opened(chunks, state)
        assert [reopened.find(key) for key in keys[10:20]] == [*again, *[None] * 8]
        assert [reopened.find(key) for key in keys[20:]] == before[20:]
        assert reopened.external(shard, np.array([ordinal], np.uint32)) == [(None, None)]
        assert reopened.erased.applied == 3
        hidden = reopened.erased.hidden()
        chunks, dropped = reopened.rewritten(hidden, new_name)
        if not dropped:
            break
        for name in dropped:
            (tmp_path / name).unlink()
        reopened.saved(chunks)
        reopened.erased.gone(hidden)
        state = reopened.erased.dump()
        kept = b"".join(
            read_ids(Files(), str(tmp_path / name), s, first, count)[0].tobytes()
            for s, mine in enumerate(chunks)
            for name, first, count in mine
        )
        assert kept.count(b"u10") == kept.count(b"u11") == 1  # those that came again
        assert b"u12" not in kept
        assert b"u20" in kept
    assert opened(chunks, state).erased.hidden() == {}
    assert sum(map(len, opened(chunks, state).erased.nobody().values())) == 10
