"""What queries keep for later ones holds no segment alive that was merged away."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import zuji
from zuji.engine.query import daybits
from zuji.engine.storage.memory import MemorySource

TIME_MS = 1_790_784_000_000
DAY_MS = 86_400_000
TIME = {"from": "2026-10-01", "to": "2026-10-04", "tz": "Asia/Shanghai"}
RETENTION = {
    "v": 1,
    "model": "retention",
    "time": TIME,
    "body": {"start": {"e": "open"}, "return": {"e": "open"}, "periods": 2},
}
OF_CITY = {
    "v": 1,
    "model": "event",
    "time": {**TIME, "grain": "all"},
    "audience": {"user": {"p": "user.city", "op": "eq", "v": "Fuzhou"}},
    "body": {"series": [{"e": "open", "measure": "users"}]},
}
ANYBODY = {
    **OF_CITY,
    "time": {**TIME, "grain": "day"},
    "body": {"series": [{"e": "*", "measure": "users"}]},
}


def batch(first):
    events = [
        {"event": name, "user_id": f"u{u}", "time": TIME_MS + day * DAY_MS}
        for u in range(first, first + 20)
        for day in range(4)
        for name in ("open", "close")
    ]
    profile = {"type": "profile_set", "user_id": f"u{first}", "time": TIME_MS}
    return [*events, {**profile, "properties": {"city": "Fuzhou"}}]


@pytest.fixture
def engine(tmp_path):
    config = zuji.Config(background=False)
    with zuji.open(tmp_path, tz="Asia/Shanghai", config=config) as engine:
        for first in (0, 20, 40):
            engine.append(batch(first))
            engine.flush()
        yield engine


@pytest.mark.parametrize("query", [RETENTION, ANYBODY, OF_CITY])
def test_merged_segments_are_let_go(engine, query):
    before = engine.query(query).rows
    old = [weakref.ref(segment) for segment in engine._writer.segments]
    assert engine.query(query).rows == before
    assert engine.compact() > 0
    assert engine.query({**ANYBODY, "audience": None}).rows  # what was pinned before goes
    gc.collect()
    assert [segment() for segment in old if segment() is not None] == []
    assert engine.query(query).rows == before


def test_segments_of_erased_users_are_let_go(engine):
    engine.people.erase({"user_id": "u1"}, by="test")
    before = engine.query(ANYBODY).rows
    old = [weakref.ref(segment) for segment in engine._writer.segments]
    assert engine.compact() > 0
    assert engine.query(ANYBODY).rows == before
    gc.collect()
    assert [segment() for segment in old if segment() is not None] == []


def test_bits_of_days_are_kept_by_segment_and_event(engine):
    for query in (RETENTION, ANYBODY):
        first = engine.query(query).rows
        held = engine._day_bits.nbytes
        assert held > 0
        assert engine.query(query).rows == first
        assert engine._day_bits.nbytes == held
    assert len({key[1] for key in engine._day_bits._kept}) > 1


def test_bits_of_days_are_kept_of_rows_that_were_moved(engine):
    device = {"event": "look", "time": TIME_MS, "device_id": "d"}
    engine.append([device])
    engine.flush()
    engine.append([{**device, "event": "login", "user_id": "ann"}])
    sources = [source for shard in engine._pin().sources for source in shard]
    (moved,) = (s for s in sources if "look" in s.runs and isinstance(s, MemorySource))
    bits = engine._day_bits.of(moved, moved.runs["look"], multi=False)
    assert engine._day_bits.of(moved, moved.runs["look"], multi=False) is bits
    (fresh,) = (s for s in sources if "login" in s.runs)
    bits = engine._day_bits.of(fresh, fresh.runs["login"], multi=False)
    assert engine._day_bits.of(fresh, fresh.runs["login"], multi=False) is not bits


def test_days_without_users_take_no_memory():
    words = 4_000
    lists = {3: np.array([0, 64 * words - 1], np.uint32)}
    rows = daybits._rows(lists, 40, words)
    assert rows.nbytes >= daybits.MAPPED_BYTES
    assert rows.any(axis=1).nonzero()[0].tolist() == [3]
    held = daybits.DayBits(rows, None, len(lists))
    assert held.nbytes == 8 * words
    small = daybits.DayBits(daybits._rows(lists, 4, words), None, len(lists))
    assert small.nbytes == small.users.nbytes
