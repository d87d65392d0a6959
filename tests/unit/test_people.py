"""Erasing, exporting and time to live: what is refused, what comes late, what a ledger carries."""

from __future__ import annotations

import json
import shutil
import threading

import msgpack
import numpy as np
import pyarrow as pa
import pytest

import zuji
from zuji.engine.errors import (
    Corruption,
    InvalidInput,
    NotFound,
    ReadOnly,
    StorageFailed,
    StorageFull,
)
from zuji.engine.people.ledger import read_copy
from zuji.engine.people.whom import Whom
from zuji.engine.storage.manifest import Manifest

START = 1_790_000_000_000
DAY = 86_400_000
BY_HAND = zuji.Config(background=False, threads=1, compact_after=3)
COUNT = {
    "v": 1,
    "model": "event",
    "time": {"from": "2026-01-01", "to": "2027-12-31", "grain": "all"},
    "body": {"series": [{"e": "*", "measure": "count"}, {"e": "*", "measure": "users"}]},
}


def event(user, n=0, **more):
    return {"event": "e", "time": START + n * DAY, "user_id": user, "properties": {"n": n}, **more}


def totals(engine):
    return [row[-1] for row in engine.query(COUNT).rows]


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path / "p", config=BY_HAND) as engine:
        yield engine


@pytest.mark.parametrize(
    "person",
    [
        {},
        {"user_id": ""},
        {"user_id": 7},
        {"user_id": "a", "device_id": "b"},
        {"name": "a"},
        {"$identity_": "a"},
        {"user_id": "x" * 256},
        {"user_id": "\ud800"},
        "ann",
        None,
        7,
        ["user_id"],
    ],
)
def test_nobody_is_named_in_a_wrong_way(engine, person):
    engine.append([event("ann")])
    for call in (engine.people.erase, engine.people.export):
        with pytest.raises(InvalidInput) as told:
            call(person)
        assert told.value.code == "invalid_input"
    assert totals(engine) == [1, 1]
    assert engine.people.status()["entries"] == 0


def test_ids_of_all_kinds_have_keys_and_names():
    for said in ({"user_id": "a"}, {"device_id": "b"}, {"$identity_mobile": "1+2"}):
        whom = Whom.of(said)
        assert Whom.named(whom.key) == whom
        assert whom.to_dict() == said
    assert Whom.of({"$identity_mobile": "138"}).key == b"d$identity_mobile+138"


def test_nothing_and_too_much_are_refused(engine):
    with pytest.raises(InvalidInput, match="whom"):
        engine.people.erase()
    with pytest.raises(InvalidInput, match="by"):
        engine.people.erase({"user_id": "a"}, by="x" * 1001)
    with pytest.raises(InvalidInput, match="reason"):
        engine.people.erase({"user_id": "a"}, reason=7)
    with pytest.raises(NotFound):
        engine.people.export({"user_id": "nobody"})
    assert engine.people.purge().rows == 0


def test_who_only_reads_erases_nobody(engine, tmp_path):
    engine.append([event("ann")])
    engine.people.erase({"user_id": "bob"}, by="x")
    with zuji.open(tmp_path / "p", mode="r") as reader:
        for call in (
            lambda: reader.people.erase({"user_id": "ann"}),
            reader.people.purge,
            reader.people.replay_ledger,
            lambda: reader.people.ttl.set(3),
            reader.people.ttl.apply,
        ):
            with pytest.raises(ReadOnly):
                call()
        assert [e["by"] for e in reader.people.erasures()] == ["x"]
        assert len(list(reader.people.export({"user_id": "ann"}))) == 2
        engine.people.erase({"user_id": "ann"})
        assert len(reader.people.erasures()) == 2


def test_who_comes_again_is_a_new_user_in_this_process_and_the_next(engine, tmp_path):
    engine.append([event("ann", n) for n in range(3)])
    batch = msgpack.packb([event("ann", 4), event("bob", 4)])
    engine.append_batch(batch)  # its decoder knows ann's place
    engine.people.erase({"user_id": "ann"})
    assert totals(engine) == [1, 1]
    engine.append_batch(batch)
    assert totals(engine) == [3, 2]
    (_, *things) = engine.people.export({"user_id": "ann"})
    assert len(things) == 1
    engine.compact()
    assert totals(engine) == [3, 2]
    engine.people.erase({"user_id": "ann"})
    assert totals(engine) == [2, 1]
    engine.append([event("ann")])
    engine.close()
    with zuji.open(tmp_path / "p", config=BY_HAND) as again:
        assert totals(again) == [3, 2]
        assert again.people.status() == {"entries": 2, "open": 0, "waiting": 1}
        again.people.purge()
        assert again.people.status()["waiting"] == 0
        assert totals(again) == [3, 2]


def test_views_before_go_on_and_views_after_see_nobody(engine):
    engine.append([event("ann"), event("bob")])
    before = engine.snapshot()
    engine.people.erase({"user_id": "ann"})
    engine.compact()
    assert [row[-1] for row in before.query(COUNT).rows] == [2, 2]
    assert totals(engine) == [1, 1]
    with pytest.raises(zuji.engine.errors.ZujiError):
        engine.timeline({"user_id": "ann"})


def test_unknown_people_stand_in_the_ledger_for_backups(engine, tmp_path):
    engine.append([event("ann"), event("bob")])
    engine.close()
    shutil.copytree(tmp_path / "p", tmp_path / "backup")
    with zuji.open(tmp_path / "p", config=BY_HAND) as live:
        assert live.people.erase({"user_id": "ann"})["unknown"] == 0
        live.append([event("ann")])
        live.people.erase({"user_id": "eve"}, {"user_id": "eve"})
        copy = live.people.ledger()
    assert b"ann" not in copy
    with zuji.open(tmp_path / "backup", config=BY_HAND) as restored:
        restored.append([{"event": "no id", "properties": {"x": "ann"}}])
        done = restored.people.replay_ledger(copy)
        assert (done["entries"], done["erased"], done["rejected"]) == (2, 1, 1)
        assert totals(restored) == [1, 1]
        # Who comes from now on is new: carried out once is enough.
        restored.append([event("ann")])
        assert restored.people.replay_ledger(copy)["entries"] == 0
        assert totals(restored) == [2, 2]
        assert [e["number"] for e in restored.people.erasures()] == [1, 2]
        restored.people.erase({"user_id": "ann"})
        assert [e["number"] for e in restored.people.erasures(after=2)] == [3]


def test_a_backup_that_knew_of_an_erasure_keeps_who_came_since(engine, tmp_path):
    engine.append([event("ann")])
    engine.people.erase({"user_id": "ann"})
    engine.append([event("ann")])
    copy = engine.people.ledger()
    engine.close()
    with zuji.open(tmp_path / "p", config=BY_HAND) as restored:
        assert restored.people.replay_ledger(copy)["entries"] == 0
        assert totals(restored) == [1, 1]


@pytest.mark.parametrize(
    "copy",
    [
        b"{",
        b"[]",
        b"7",
        b'{"id": "a"}',
        b'{"id":"a","at_ms":1,"by":"","reason":"","hashes":["zz"]}',
        b'{"id":"a","at_ms":1,"by":"","reason":"","hashes":["' + b"zz" * 16 + b'"]}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_ledger_changes_nothing(engine, copy):
    with pytest.raises(Corruption):
        engine.people.replay_ledger(copy)
    assert engine.people.status()["entries"] == 0
    assert read_copy(b"\n \n", "x") == []


def test_a_long_ledger_is_kept_in_files(engine, monkeypatch):
    monkeypatch.setattr("zuji.engine.people.ledger.ENTRIES_HELD", 4)
    for n in range(11):
        engine.people.erase({"user_id": f"u{n}"}, reason=f"{n}")
    assert [e["reason"] for e in engine.people.erasures()] == [str(n) for n in range(11)]
    for after in range(12):
        numbers = [e["number"] for e in engine.people.erasures(after)]
        assert numbers == list(range(after + 1, 12))
    assert [e["number"] for e in engine.people.erasures(3, limit=2)] == [4, 5]


def test_an_erasure_that_was_cut_off_is_carried_out_by_the_next(engine, tmp_path, monkeypatch):
    engine.append([event("ann"), event("bob")])
    with monkeypatch.context() as broken:

        def full(*_):
            raise StorageFull("no space")

        broken.setattr("zuji.engine.writer.flusher.Flusher.erase", full)
        with pytest.raises(StorageFull):
            engine.people.erase({"user_id": "ann"})
    assert totals(engine) == [2, 2]
    assert engine.people.status()["open"] == 1
    engine.append([event("cat")])
    engine.people.purge()
    assert totals(engine) == [2, 2]  # bob and cat
    assert engine.people.status() == {"entries": 1, "open": 0, "waiting": 0}
    assert list(engine.people.export({"user_id": "cat"}))


def test_a_full_disk_erases_nobody_and_appending_goes_on(engine, monkeypatch):
    engine.append([event("ann"), event("bob")])
    with monkeypatch.context() as broken:

        def full(self, edit):
            raise StorageFull("no space")

        broken.setattr(Manifest, "commit", full)
        with pytest.raises(StorageFull):
            engine.people.erase({"user_id": "ann"})
    engine.append([event("ann", 1)])
    assert totals(engine) == [3, 2]
    engine.people.erase({"user_id": "ann"})
    assert totals(engine) == [1, 1]


def test_a_commit_that_may_hold_ends_the_writer(engine, tmp_path, monkeypatch):
    engine.append([event("ann"), event("bob")])
    commit = Manifest.commit

    def unsure(self, edit):
        commit(self, edit)
        raise StorageFailed("perhaps")

    with monkeypatch.context() as broken:
        broken.setattr(Manifest, "commit", unsure)
        with pytest.raises(StorageFailed):
            engine.people.erase({"user_id": "ann"})
    with pytest.raises(StorageFailed):
        engine.append([event("cat")])
    engine.close()
    with zuji.open(tmp_path / "p", config=BY_HAND) as again:
        again.people.purge()
        assert totals(again) == [1, 1]


def test_a_load_that_was_bound_before_brings_nobody_back(engine, monkeypatch):
    from zuji.engine.writer.flusher import Flusher

    write = Flusher.write_segments
    writing, go_on = threading.Event(), threading.Event()

    def held(self, frame, written, numbers=None, **more):
        if numbers is not None:
            writing.set()
            assert go_on.wait(20)
        return write(self, frame, written, numbers, **more)

    monkeypatch.setattr(Flusher, "write_segments", held)
    engine.append([event("ann"), event("bob")])
    table = pa.table({"u": ["ann", "bob", "ann"], "t": [START] * 3})
    mapping = {"event_name": "order", "user": "u", "time": "t"}
    loading = threading.Thread(target=engine.append_table, args=(table, mapping))
    loading.start()
    assert writing.wait(20)
    engine.people.erase({"user_id": "ann"})
    assert totals(engine) == [1, 1]
    purging = threading.Thread(target=engine.people.purge)
    purging.start()
    go_on.set()
    loading.join(20)
    purging.join(20)
    assert totals(engine) == [2, 1]
    engine.people.purge()
    assert totals(engine) == [2, 1]
    assert sum(s.rows for s in engine._writer.segments) == 2


def test_rejected_events_go_that_carry_an_id_anywhere(engine):
    engine.append(
        [
            {"event": "e", "properties": {"deep": ["x", "ann"]}},
            {"event": "e", "properties": {"annotation": "x"}},
            {"event": "e", "properties": {"number": 17}},
            {"event": "e", "properties": {"$identity_mobile": "138"}},
            {"event": "e", "properties": {"text": "for ann"}},
        ]
    )
    assert engine.people.erase({"user_id": "ann"})["rejected"] == 1
    assert engine.people.erase({"user_id": "17"})["rejected"] == 1
    assert engine.people.erase({"$identity_mobile": "138"})["rejected"] == 1
    assert len(list(engine.rejected())) == 2


class Keeper:
    """Keeps a thing for everybody."""

    def __init__(self):
        self.forgot = []

    def forget(self, ordinals):
        self.forgot.append({shard: mine.tolist() for shard, mine in ordinals.items()})
        return sum(map(len, ordinals.values()))

    def held(self, shard, ordinal):
        yield {"kind": "thing", "of": [shard, ordinal]}


def test_who_keeps_something_by_user_is_asked(engine):
    keeper = Keeper()
    engine.people.keeps(keeper)
    engine.append([event("ann"), event("bob")])
    place = engine._writer.find(b"uann")
    things = list(engine.people.export({"user_id": "ann"}))
    assert {"kind": "thing", "of": list(place)} in things
    engine.people.erase({"user_id": "ann"})
    assert keeper.forgot == []
    assert engine.people.purge().kept_things == 1
    assert keeper.forgot == [{place[0]: [place[1]]}]
    engine.people.purge()
    assert len(keeper.forgot) == 1


def test_a_keeper_that_fails_is_asked_again(engine, monkeypatch):
    keeper = Keeper()
    engine.people.keeps(keeper)
    engine.append([event("ann"), event("bob")])
    engine.people.erase({"user_id": "ann"})
    with monkeypatch.context() as broken:

        def full(_ordinals):
            raise StorageFull("no space")

        broken.setattr(keeper, "forget", full)
        with pytest.raises(StorageFull):
            engine.people.purge()
    assert engine.people.status()["waiting"] == 1
    engine.people.purge()
    assert len(keeper.forgot) == 1
    assert engine.people.status()["waiting"] == 0


def test_damaged_bytes_that_were_set_aside_go_with_a_purge(engine, tmp_path):
    engine.append([event("ann"), event("bob")])
    folder = tmp_path / "p/default/quarantine"
    (folder / "wal-00000001.wal.at-99.damaged").write_bytes(b"ann")
    (folder / "notes.txt").write_bytes(b"mine")
    engine.people.purge()
    assert len(list(folder.iterdir())) == 2  # nobody was erased
    engine.people.erase({"user_id": "ann"})
    assert engine.people.purge().damaged == 1
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_ten_thousand_people_are_one_pass(tmp_path):
    people = [f"u{n}" for n in range(30_000)]
    rows = [u for u in people for _ in range(3)]
    times = [START + n % 3 * 40 * DAY for n in range(len(rows))]
    table = pa.table({"u": rows, "t": times, "v": [f"value {u}" for u in rows]})
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        engine.append_table(table, {"event_name": "order", "user": "u", "time": "t"})
        done = engine.people.erase(*({"user_id": u} for u in people[::3]))
        assert (done["asked"], done["erased"], done["unknown"]) == (10_000, 10_000, 0)
        assert totals(engine) == [60_000, 20_000]
        segments = len(engine._writer.segments)
        purged = engine.people.purge()
        assert (purged.users, purged.rows, purged.segments) == (10_000, 30_000, segments)
        assert totals(engine) == [60_000, 20_000]
        assert list(engine.scrub()) == []
        for segment in engine._writer.segments:
            assert len(segment.dictionary("v")) < 20_000
            assert "value u0" not in set(segment.dictionary("v"))


# -- export ----------------------------------------------------------------------------------------


def test_everything_of_a_person_is_exported(engine):
    engine.append([event("ann", n, device_id="phone") for n in (3, 1, 2)] + [event("bob")])
    records = [
        ("profile_set", {"name": "Ann", "level": 1, "tags": ["a"], "gone": True}),
        ("profile_increment", {"level": 2}),
        ("profile_append", {"tags": ["b"]}),
        ("profile_unset", {"gone": None}),
    ]
    engine.append(
        [
            {"type": kind, "time": START + n, "user_id": "ann", "properties": properties}
            for n, (kind, properties) in enumerate(records)
        ]
    )
    engine.flush()
    engine.append([event("ann", 0), {"event": "e", "properties": {"who": "ann"}}])
    things = list(engine.people.export({"user_id": "ann"}))
    assert json.loads(json.dumps(things)) == things
    kinds = [thing["kind"] for thing in things]
    expected = ["person", *["event"] * 4, *["profile_record"] * 4, "profile", "rejected"]
    assert kinds == expected
    assert things[0]["ids"][0] == {"user_id": "ann"}
    assert [thing["properties"]["n"] for thing in things[1:5]] == [0, 1, 2, 3]
    assert things[2]["properties"]["$device_id"] == "phone"
    assert things[9]["properties"] == {"name": "Ann", "level": 3, "tags": ["a", "b"]}
    assert things[8]["properties"] == {"$unset": ["gone"]}


# -- time to live ----------------------------------------------------------------------------------


def months(engine, name):
    view = engine._pin()
    return sorted(
        {
            (source.partition // 12, source.partition % 12 + 1)
            for shard in view.sources
            for source in shard
            if name in source.runs
        }
    )


@pytest.fixture
def aged(tmp_path):
    """Events of every month of 2025, asked in March 2026."""
    with zuji.open(tmp_path / "p", config=BY_HAND, clock=lambda: 1_773_500_000_000) as engine:
        for month in range(12):
            time = int(np.datetime64(f"2025-{month + 1:02d}-15", "ms").astype(np.int64))
            engine.append(
                [
                    {
                        "event": "view",
                        "time": time,
                        "user_id": "a",
                        "properties": {"m": f"{month}"},
                    },
                    {"event": "pay", "time": time, "user_id": "a"},
                    {
                        "type": "profile_set",
                        "time": time,
                        "user_id": "a",
                        "properties": {"last": f"{month}"},
                    },
                ]
            )
        yield engine


def test_partitions_go_when_all_their_events_have_lived_for_long_enough(aged):
    assert aged.people.ttl.plan()["rows"] == 0
    aged.people.ttl.set(6, {"pay": 10})
    plan = aged.people.ttl.plan()
    assert plan["before"] == {"all": "2025-09", "events": {"pay": "2025-05"}}
    assert plan["rows"] == 8 + 4
    assert [one["partition"] for one in plan["partitions"]][-1] == "2025-08"
    assert plan["bytes"] > 0
    assert months(aged, "view")[0] == (2025, 1)
    done = aged.people.ttl.apply(by="job")
    assert (done["rows"], done["by"], done["events"]) == (12, "job", {"view": 8, "pay": 4})
    assert months(aged, "view")[0] == (2025, 9)
    assert months(aged, "pay")[0] == (2025, 5)
    assert months(aged, "$profile_set")[0] == (2025, 1)
    assert aged.people.ttl.plan()["rows"] == 0
    assert aged.people.ttl.apply()["rows"] == 0
    assert [note["rows"] for note in aged.people.ttl.applied()] == [12, 0]
    assert list(aged.scrub()) == []


def test_time_to_live_survives_reopening_and_a_failed_commit_keeps_all(aged, tmp_path, monkeypatch):
    aged.people.ttl.set(3)
    with monkeypatch.context() as broken:

        def full(self, edit):
            if edit.remove:
                raise StorageFull("no space")
            return commit(self, edit)

        commit = Manifest.commit
        broken.setattr(Manifest, "commit", full)
        with pytest.raises(StorageFull):
            aged.people.ttl.apply()
    assert months(aged, "view")[0] == (2025, 1)
    rows = aged.people.ttl.apply()["rows"]
    assert rows == 22
    aged.close()
    with zuji.open(tmp_path / "p", config=BY_HAND) as again:
        assert again.people.ttl.settings.months == 3
        assert [note["rows"] for note in again.people.ttl.applied()] == [22]
        assert months(again, "view") == [(2025, 12)]


@pytest.mark.parametrize(
    ("months_", "events"),
    [
        (0, {}),
        (-1, {}),
        (1.5, {}),
        (True, {}),
        ("3", {}),
        (1201, {}),
        (None, {"view": 0}),
        (None, {"": 1}),
        (None, {"$profile_set": 1}),
        (None, {7: 1}),
    ],
)
def test_wrong_settings_change_nothing(aged, months_, events):
    aged.people.ttl.set(7)
    with pytest.raises(InvalidInput):
        aged.people.ttl.set(months_, events)
    assert aged.people.ttl.settings.to_dict() == {"months": 7, "events": {}}
