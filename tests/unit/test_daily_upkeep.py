"""The daily upkeep: when it is due, what it removes, what becomes of failures."""

from __future__ import annotations

from datetime import datetime

import pytest

import zuji
from zuji.engine.engine import open_project
from zuji.engine.errors import InvalidInput, StorageFull
from zuji.server import upkeep as module
from zuji.server.settings import load, minutes_of
from zuji.server.upkeep import Upkeep

BY_HAND = zuji.Config(background=False, threads=1)


def ms(text):
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp() * 1000)


class Clock:
    def __init__(self):
        self.now = ms("2026-10-20T08:00")

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(tmp_path, clock):
    with open_project(tmp_path, config=BY_HAND, tz="Asia/Shanghai", clock=clock) as engine:
        engine.append(
            [
                {"event": "go", "user_id": user, "time": ms(f"2026-{month:02d}-10T12:00")}
                for user in ("ann", "bob")
                for month in (7, 10)
            ]
        )
        engine.flush()
        yield engine


def rows(engine):
    return engine.status()["rows"]


def test_what_is_due_is_removed_soon_after_the_start_and_then_once_a_day(engine, clock):
    upkeep = Upkeep(engine, "03:30", clock)
    engine.people.erase({"user_id": "ann"})
    engine.people.ttl.set(1)
    assert engine.status()["erased_waiting"] == 1
    upkeep.look()
    assert engine.status()["erased_waiting"] == 0
    assert rows(engine) == 1
    told = upkeep.done.told()
    assert told["purged_users"] == 1
    assert (told["purged_rows"], told["expired_rows"], told["runs"]) == (2, 1, 1)
    assert told["last_ms"] == clock.now
    assert engine.people.ttl.applied()[-1]["by"] == "upkeep"
    engine.people.erase({"user_id": "bob"})
    for moment, waiting in (("20T23:00", 1), ("21T03:29", 1), ("21T03:30", 0)):
        clock.now = ms(f"2026-10-{moment}")
        upkeep.look()
        assert engine.status()["erased_waiting"] == waiting, moment
    assert upkeep.done.runs == 2
    assert rows(engine) == 0


def test_nothing_goes_that_nobody_asked_to_go(engine, clock):
    upkeep = Upkeep(engine, "03:30", clock)
    before = engine.status()["flushes"], engine.status()["segments"]
    upkeep.look()
    assert rows(engine) == 4
    assert (engine.status()["flushes"], engine.status()["segments"]) == before
    assert engine.people.ttl.applied() == []


def test_without_a_time_it_is_never_due(engine, clock):
    upkeep = Upkeep(engine, "", clock)
    engine.people.erase({"user_id": "ann"})
    upkeep.look()
    assert engine.status()["erased_waiting"] == 1
    assert upkeep.done.last_ms is None


def test_a_failure_is_told_and_tried_again_later(engine, clock, monkeypatch):
    upkeep = Upkeep(engine, "03:30", clock)
    engine.people.erase({"user_id": "ann"})
    time = [1_000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: time[0])
    with monkeypatch.context() as full:

        def fails(*_):
            raise StorageFull("no room")

        full.setattr(type(engine.people), "purge", fails)
        upkeep.look()
        upkeep.look()
    assert (upkeep.done.failures, upkeep.done.error, upkeep.done.runs) == (1, "storage_full", 0)
    time[0] += module.AGAIN_S - 1
    upkeep.look()
    assert engine.status()["erased_waiting"] == 1
    time[0] += 1
    upkeep.look()
    assert (upkeep.done.error, upkeep.done.runs) == (None, 1)
    assert engine.status()["erased_waiting"] == 0


def test_a_bug_does_not_end_the_rounds(engine, clock, monkeypatch):
    upkeep = Upkeep(engine, "03:30", clock)
    engine.people.erase({"user_id": "ann"})
    monkeypatch.setattr(type(engine.people), "purge", lambda *_: 1 / 0)
    upkeep.look()
    assert upkeep.done.error == "ZeroDivisionError"


def test_a_stopping_server_does_not_wait_for_all_segments(engine, clock):
    upkeep = Upkeep(engine, "03:30", clock)
    engine.people.erase({"user_id": "ann"}, {"user_id": "bob"})
    upkeep.look(lambda: True)
    assert engine.status()["erased_waiting"] == 2
    assert upkeep.done.failures == 0
    upkeep.look()
    assert (engine.status()["erased_waiting"], rows(engine)) == (0, 0)


def test_an_entry_of_the_ledger_that_a_crash_left_open_is_carried_out(engine, clock, monkeypatch):
    with monkeypatch.context() as broken:

        def full(*_):
            raise StorageFull("no space")

        broken.setattr("zuji.engine.writer.flusher.Flusher.erase", full)
        with pytest.raises(StorageFull):
            engine.people.erase({"user_id": "ann"})
    Upkeep(engine, "03:30", clock).look()
    assert engine.people.status() == {"entries": 1, "open": 0, "waiting": 0}
    assert rows(engine) == 2


@pytest.mark.parametrize("text", ["3:30", "24:00", "03:60", "03.30", "night", "03:30:00", "٠٣:٣٠"])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(InvalidInput, match="time of day"):
        minutes_of(text)
    with pytest.raises(InvalidInput, match="time of day"):
        load({"data": "x", "upkeep": text}, environment={})


def test_times_of_day():
    assert [minutes_of(text) for text in ("", "00:00", "03:30", "23:59")] == [None, 0, 210, 1439]
