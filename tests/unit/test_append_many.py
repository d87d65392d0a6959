"""Many batches with one sync: what becomes of each, of refused events, and of a call that fails."""

from __future__ import annotations

import errno
import shutil

import msgpack
import pytest

from tests.crash.fault_files import FaultyFiles, fail_at
from zuji.engine.batch.columns import Rejected
from zuji.engine.config import Config
from zuji.engine.engine import open_project
from zuji.engine.errors import EngineClosed, InvalidEvent, ReadOnly, StorageFailed, StorageFull
from zuji.engine.export import read_events
from zuji.engine.storage.files import Files

NOON = 1_790_827_200_000


def event(n, **more):
    return {"event": "go", "time": NOON + n, "user_id": "u", "properties": {"n": n}, **more}


def batch(*events, batch_id=None):
    return msgpack.packb({"events": list(events)} | ({"batch_id": batch_id} if batch_id else {}))


def refused(n):
    return Rejected(n, "kept", "somewhere", "no place yet", msgpack.packb(event(n)))


def opened(folder, files=None, **options):
    return open_project(folder, config=Config(background=False), files=files, **options)


def numbers(engine):
    return sorted(n for table in read_events(engine) for n in table["n"].to_pylist())


def kill(engine):
    engine._lock_handle.release()  # as the end of the process does


def kept(engine):
    return [row["event"]["properties"]["n"] for row in engine.rejected()]


class Syncs(Files):
    """Counts what is synced of the log."""

    count = 0

    def create(self, path):
        made = super().create(path)
        if path.endswith(".wal"):
            sync = made._sync_once

            def counted():
                self.count += 1
                sync()

            made._sync_once = counted
        return made


def test_outcomes_are_in_the_order_of_the_batches_and_a_bad_one_harms_no_other(tmp_path):
    files = Syncs()
    with opened(tmp_path, files) as engine:
        engine.append_many([batch(event(0))])
        before = files.count
        outcomes = engine.append_many(
            [
                batch(event(1)),
                b"\xc1",
                batch(event(2), {"event": "go"}, event(3)),
                batch(),
                b"[" + b"{}," * 2001 + b"{}]",
                b'[{"event":"go","time":5,"user_id":"u","properties":{"n":4}}]',
            ]
        )
        assert files.count == before + 1
        assert [getattr(one, "accepted", None) for one in outcomes] == [1, None, 2, 0, None, 1]
        assert [one.reason for one in outcomes if isinstance(one, InvalidEvent)] == [
            "malformed",
            "too_many_events",
        ]
        assert [(r.index, r.reason) for r in outcomes[2].rejected] == [(1, "missing_id")]
        assert numbers(engine) == [0, 1, 2, 3, 4]


def test_repeats_within_one_call(tmp_path):
    with opened(tmp_path) as engine:
        outcomes = engine.append_many(
            [
                batch(event(1), event(2), batch_id="b1"),
                batch(event(1), event(2), batch_id="b1"),
                batch(event(3, insert_id="i"), event(4)),
                batch(event(5), event(3, insert_id="i"), batch_id="b2"),
                batch(event(5), event(3, insert_id="i"), batch_id="b2"),
            ]
        )
        told = [(one.accepted, one.duplicates, one.repeated) for one in outcomes]
        assert told == [(2, 0, ()), (0, 2, ()), (2, 0, ()), (1, 1, (1,)), (0, 2, ())]
        assert numbers(engine) == [1, 2, 3, 4, 5]


def test_nothing_is_nothing(tmp_path):
    files = Syncs()
    with opened(tmp_path, files) as engine:
        assert engine.append_many([]) == []
        assert engine.append_many([], []) == []
        assert files.count == 0


def test_refused_events_survive_a_kill_and_a_flush(tmp_path):
    engine = opened(tmp_path)
    engine.append_many([batch(event(1))], [refused(10), refused(11)])
    engine.append_many([], [refused(12)])
    listed = list(engine.rejected())
    assert [row["reason"] for row in listed] == ["kept"] * 3
    assert (listed[0]["path"], listed[0]["message"]) == ("somewhere", "no place yet")
    kill(engine)
    engine = opened(tmp_path)
    assert list(engine.rejected()) == listed
    engine.flush()
    assert list(engine.rejected()) == listed
    kill(engine)
    with opened(tmp_path) as engine:
        assert list(engine.rejected()) == listed
        assert engine.status()["rejected"] == 3
        assert numbers(engine) == [1]


def test_refused_events_alone_fill_a_memtable(tmp_path):
    config = Config(background=False, memtable_bytes=1 << 20)
    with open_project(tmp_path, config=config) as engine:
        raw = msgpack.packb(event(1) | {"properties": {"n": 1, "x": "y" * 8000}})
        for _ in range(20):
            engine.append_many([], [Rejected(0, "kept", "", "", raw)] * 16)
        assert engine.status()["flushes"] > 0
        assert engine.status()["rejected"] == 320
        assert len(list(engine.rejected())) == 320


@pytest.mark.parametrize(
    "brought",
    [([batch(event(1)), batch(event(2))],), ([], [refused(1)])],
    ids=["batches", "refused"],
)
def test_a_failed_sync_acknowledges_nothing(tmp_path, brought):
    files = FaultyFiles()
    engine = opened(tmp_path, files)
    engine.append_many([batch(event(0))])
    files.plan = fail_at(0, errno.EIO, {"sync"})
    with pytest.raises(StorageFailed):
        engine.append_many(*brought)
    for more in (([batch(event(3))],), ([], [refused(3)])):
        with pytest.raises(StorageFailed):  # and nothing is from now on
            engine.append_many(*more)
    kill(engine)
    with opened(tmp_path) as engine:
        assert set(numbers(engine)) >= {0}
        assert 3 not in numbers(engine)
        assert set(kept(engine)) <= {1}


def test_a_full_disk_refuses_what_it_has_no_room_for(tmp_path):
    files = FaultyFiles()
    with opened(tmp_path, files) as engine:
        engine.append_many([batch(event(0))])
        files.plan = fail_at(1, errno.ENOSPC, {"write"})
        outcomes = engine.append_many([batch(event(n)) for n in (1, 2, 3)])
        assert [type(one) for one in outcomes[1:2]] == [StorageFull]
        assert [one.accepted for one in outcomes[::2]] == [1, 1]
        files.plan = fail_at(0, errno.ENOSPC, {"write"})
        with pytest.raises(StorageFull):
            engine.append_many([batch(event(4))], [refused(4)])
        assert numbers(engine) == [0, 1, 3]
    with opened(tmp_path) as engine:
        assert numbers(engine) == [0, 1, 3]
        assert kept(engine) == []


def test_who_may_not_write_is_told_once(tmp_path):
    with opened(tmp_path) as engine:
        engine.append_many([batch(event(0))])
        with opened(tmp_path, mode="r") as reader, pytest.raises(ReadOnly):
            reader.append_many([batch(event(1))])
    with pytest.raises(EngineClosed):
        engine.append_many([batch(event(1))])


def test_a_log_cut_at_any_byte_keeps_a_prefix(tmp_path):
    """Records of batches and of refused events, one behind the other."""
    engine = opened(tmp_path / "whole")
    for n in range(3):
        engine.append_many([batch(event(n)), batch(event(n + 10))], [refused(n)])
    kill(engine)
    (log,) = (tmp_path / "whole" / "default" / "wal").iterdir()
    whole = log.read_bytes()
    order = [("kept", 0), ("row", 0), ("row", 10), ("kept", 1), ("row", 1), ("row", 11)]
    order += [("kept", 2), ("row", 2), ("row", 12)]
    seen = set()
    target = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", target)
    for length in range(len(whole)):
        (target / "default" / "wal" / log.name).write_bytes(whole[:length])
        engine = opened(target, mode="r")  # writes nothing
        there = {("row", n) for n in numbers(engine)} | {("kept", n) for n in kept(engine)}
        engine.close()
        assert there == set(order[: len(there)]), f"cut at byte {length}"
        seen.add(len(there))
    assert seen == set(range(len(order)))
