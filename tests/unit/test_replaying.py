"""The quarantine worked with: listed by page, replayed with and without mending, discarded."""

from __future__ import annotations

import json
import struct

import lz4.block
import msgpack
import pytest

import zuji
from zuji.engine.batch.columns import Rejected
from zuji.engine.config import Config
from zuji.engine.engine import open_project
from zuji.engine.errors import InvalidEvent, InvalidInput, StorageFull
from zuji.engine.export import read_events
from zuji.engine.quarantine import refusal
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.files import Files
from zuji.engine.storage.manifest import Edit
from zuji.engine.writer import quarantining

NOON = 1_790_827_200_000
GOOD = {"event": "go", "time": NOON, "user_id": "u"}


def without(field, **more):
    return {key: value for key, value in GOOD.items() if key != field} | more


def with_id(entry):
    """Mends an event without an id of a user."""
    return entry["event"] | {"user_id": "mended"}


def stored(engine):
    """(user, n) of all events."""
    return sorted(
        (row["user_id"], row.get("n")) for table in read_events(engine) for row in table.to_pylist()
    )


def ids(engine, **wanted):
    return [row["id"] for row in engine.rejected(**wanted)]


class Clocked:
    """A project whose clock the test sets."""

    def __init__(self, folder, **config):
        self.now = 1000
        self._open = lambda: open_project(folder, config=Config(**config), clock=lambda: self.now)
        self.engine = self._open()

    def reopen(self, *, killed=False):
        if killed:
            self.engine._lock_handle.release()  # as the end of the process does
        else:
            self.engine.close()
        self.engine = self._open()
        return self.engine


@pytest.fixture
def clocked(tmp_path):
    made = Clocked(tmp_path, background=False)
    yield made
    made.engine.close()


def fill(clocked, seconds=5):
    """Two bad events a second: one without an id, one without a time."""
    for second in range(seconds):
        clocked.now = 1000 * (second + 1)
        bad = [without("user_id", properties={"n": second}), GOOD, without("time")]
        clocked.engine.append_batch(msgpack.packb(bad))


def test_ids_are_the_same_in_memory_after_a_kill_and_in_files(clocked):
    fill(clocked)
    first = [(row["id"], row["event"]) for row in clocked.engine.rejected()]
    assert len({key for key, _ in first}) == 10
    engine = clocked.reopen(killed=True)
    assert [(row["id"], row["event"]) for row in engine.rejected()] == first
    engine.flush()
    assert [(row["id"], row["event"]) for row in engine.rejected()] == first
    fill(clocked)  # some in files, some in memory
    listed = [(row["id"], row["event"]) for row in engine.rejected()]
    assert listed[:10] == first
    engine.compact()
    engine = clocked.reopen()
    assert [(row["id"], row["event"]) for row in engine.rejected()] == listed


def test_entries_of_one_batch_are_listed_in_its_order(clocked):
    """Some are refused by the decoder, some by what the project knows: in two passes."""
    clocked.engine.append([{**GOOD, "properties": {"n": 1}}])
    typed = {**GOOD, "properties": {"n": "x"}}
    clocked.engine.append_batch(msgpack.packb([typed, without("time"), typed, without("time")]))
    rows = list(clocked.engine.rejected())
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    assert [row["reason"] for row in rows] == ["type_mismatch", "missing_time"] * 2


def test_pages_and_filters(clocked):
    fill(clocked, 3)
    clocked.engine.flush()
    fill(clocked, 3)
    everything = ids(clocked.engine)
    assert len(everything) == 12
    pages, after = [], None
    while page := ids(clocked.engine, limit=5, after=after):
        pages.append(page)
        after = page[-1]
    assert [one for page in pages for one in page] == everything
    assert [len(page) for page in pages] == [5, 5, 2]
    assert ids(clocked.engine, reason="missing_time") == everything[1::2]
    assert ids(clocked.engine, reason="none") == []
    assert ids(clocked.engine, from_ms=2000, to_ms=3000) == everything[2:4] + everything[8:10]
    assert ids(clocked.engine, after=everything[4], limit=1, reason="missing_time") == [
        everything[5]
    ]
    with pytest.raises(InvalidInput):
        ids(clocked.engine, after="somewhere")


def test_the_next_page_goes_on_where_an_entry_was_that_is_gone(clocked):
    fill(clocked, 3)
    everything = ids(clocked.engine)
    page = ids(clocked.engine, limit=3)
    assert clocked.engine.discard_rejected(page) == 3
    assert ids(clocked.engine, after=page[-1]) == everything[3:]


def test_mended_events_are_stored_and_leave_the_quarantine(clocked):
    fill(clocked)
    before = len(stored(clocked.engine))
    result = clocked.engine.replay_rejected(reason="missing_id", mend=with_id)
    assert (result.stored, result.duplicates, result.left, result.skipped) == (5, 0, (), 0)
    assert {row["reason"] for row in clocked.engine.rejected()} == {"missing_time"}
    engine = clocked.reopen(killed=True)
    assert len(ids(engine)) == 5
    assert len(stored(engine)) == before + 5
    assert [row for row in stored(engine) if row[0] == "mended"] == [
        ("mended", n) for n in range(5)
    ]
    assert engine.status()["rejected"] == 5


def test_what_is_refused_again_stays_once_and_is_told(clocked):
    fill(clocked)
    everything = ids(clocked.engine)

    def mend(entry):
        if entry["reason"] == "missing_time":
            return None
        return entry["event"] | {"user_id": "x" * (256 if entry["event"]["properties"]["n"] else 3)}

    result = clocked.engine.replay_rejected(mend=mend)
    assert (result.stored, result.skipped) == (1, 5)
    assert [(one.reason, one.path) for one in result.left] == [("id_too_long", "user_id")] * 4
    assert ids(clocked.engine) == everything[1:]
    engine = clocked.reopen(killed=True)
    assert ids(engine) == everything[1:]
    engine.flush()
    assert ids(engine) == everything[1:]
    assert {row["reason"] for row in engine.rejected()} == {"missing_id", "missing_time"}


@pytest.mark.parametrize("wire", ["msgpack", "json", "lines"])
def test_without_mending_the_bytes_are_taken_as_they_are(clocked, wire):
    """The plan refused them, and has been changed: now they are good."""
    events = [
        GOOD,
        GOOD | {"insert_id": "own"},
        GOOD | {"insert_id": None},
        GOOD | {"properties": {f"p{i}": i for i in range(40)}},
        {**GOOD, **dict.fromkeys(("device_id", "insert_id", "type", "time_free"))},
    ]
    if wire == "msgpack":
        parts = [refusal("planned", "", "", msgpack.packb(e)) for e in events]
        clocked.engine.append_batch(b"\x95" + b"".join(parts))
    else:
        raws = [json.dumps(e, indent=1).encode() for e in events]
        parts = [refusal("planned", "", "", raw, as_json=True) for raw in raws]
        if wire == "json":
            clocked.engine.append_batch(b"[" + b",".join(parts) + b"]")
        else:
            clocked.engine.append_batch(b"\n".join(parts))
    result = clocked.engine.replay_rejected()
    assert (result.stored, result.left) == (5, ())
    assert ids(clocked.engine) == []
    assert len(stored(clocked.engine)) == 5
    again = clocked.engine.append_batch(msgpack.packb([GOOD | {"insert_id": "own"}]))
    assert again.duplicates == 1  # its own insert id was kept


@pytest.mark.parametrize("count", [14, 15, 16, 65535 // 64])
def test_any_size_of_map_takes_the_insert_id(clocked, count):
    wide = msgpack.packb({**GOOD, **{f"k{i}": i for i in range(count - 3)}})
    clocked.engine.append_batch(b"\x91" + refusal("planned", "", "", wide))
    result = clocked.engine.replay_rejected()
    assert [one.reason for one in result.left] == ["unknown_field"]


def test_faults_are_not_mended_by_reading_and_writing(clocked):
    twice = b"\x84" + msgpack.packb(GOOD)[1:] + msgpack.packb("event") + msgpack.packb("other")
    clocked.engine.append_batch(b"\x91" + twice)
    clocked.engine.append_batch(b'[{"event":"a","event":"b","time":5,"user_id":"u"}]')
    result = clocked.engine.replay_rejected()
    assert [one.reason for one in result.left] == ["duplicate_key"] * 2
    assert result.stored == 0


def test_what_is_no_event_at_all_stays(clocked):
    bad = [b"", b"\xc1", b"\x81", b"{", b"[1,2]", b"\x92\x01", b"5", b'{"a":NaN}', b"\xff" * 9]
    refused = [Rejected(0, "kept", "", "", raw) for raw in bad]
    good = Rejected(0, "kept", "", "", msgpack.packb(GOOD))
    clocked.engine.append_many([], [*refused, good])
    result = clocked.engine.replay_rejected()
    assert result.stored == 1
    assert len(result.left) == len(bad)
    assert len(ids(clocked.engine)) == len(bad)


def test_bytes_may_mend(clocked):
    fill(clocked, 1)
    sent = iter([json.dumps(GOOD).encode(), msgpack.packb(GOOD)])
    result = clocked.engine.replay_rejected(mend=lambda _: next(sent))
    assert result.stored == 2
    assert ids(clocked.engine) == []


def test_a_replay_of_many_is_stored_in_parts(clocked):
    many = [without("user_id", properties={"n": n}) for n in range(1203)]
    clocked.engine.append(many)
    result = clocked.engine.replay_rejected(mend=with_id)
    assert result.stored == 1203
    assert stored(clocked.engine) == [("mended", n) for n in range(1203)]


def test_when_mending_fails_those_before_are_done(clocked):
    clocked.engine.append([without("user_id", properties={"n": n}) for n in range(700)])

    def mend(entry):
        if entry["event"]["properties"]["n"] == 600:
            raise ZeroDivisionError
        return with_id(entry)

    with pytest.raises(ZeroDivisionError):
        clocked.engine.replay_rejected(mend=mend)
    kept = [row["event"]["properties"]["n"] for row in clocked.engine.rejected()]
    assert kept == list(range(500, 700))
    assert stored(clocked.engine) == [("mended", n) for n in range(500)]
    assert clocked.engine.replay_rejected(mend=with_id).stored == 200
    assert stored(clocked.engine) == [("mended", n) for n in range(700)]


def test_what_a_crash_left_is_a_repeat(clocked, monkeypatch):
    fill(clocked)
    with monkeypatch.context() as patch:
        patch.setattr(type(clocked.engine._writer.quarantine), "remove", lambda *_: 0)
        clocked.engine.replay_rejected(reason="missing_id", mend=with_id)
    engine = clocked.reopen(killed=True)
    assert len(ids(engine)) == 10
    result = engine.replay_rejected(reason="missing_id", mend=with_id)
    assert (result.stored, result.duplicates) == (0, 5)
    assert len(ids(engine)) == 5
    assert len(stored(engine)) == 10


def test_by_id_in_any_order_and_unknown_ones_are_passed_over(clocked):
    fill(clocked)
    everything = ids(clocked.engine)
    result = clocked.engine.replay_rejected(
        [everything[4], everything[0], "999-9", "0-1-1"], mend=with_id
    )
    assert result.stored == 2
    assert ids(clocked.engine) == [*everything[1:4], *everything[5:]]


def test_discarding(clocked):
    fill(clocked)
    engine = clocked.engine
    everything = ids(engine)
    assert engine.discard_rejected([everything[0], "999-9"]) == 1
    assert engine.discard_rejected(everything[:2]) == 1
    assert engine.discard_rejected(reason="missing_time", from_ms=4000) == 2
    left = [i for n, i in enumerate(everything) if n not in (0, 1, 7, 9)]
    assert ids(engine) == left
    assert ids(clocked.reopen(killed=True)) == left
    assert clocked.engine.discard_rejected(to_ms=10**6) == 6
    assert ids(clocked.engine) == []
    assert clocked.engine.status()["rejected"] == 0
    assert list(clocked.engine.scrub()) == []
    with pytest.raises(InvalidInput):
        clocked.engine.discard_rejected()
    with pytest.raises(InvalidInput):
        clocked.engine.discard_rejected(["x"])


def test_only_files_that_matter_are_read(clocked, monkeypatch):
    for _ in range(5):
        fill(clocked, 2)
        clocked.engine.flush()
    read = []
    plain = quarantining.read_quarantine
    monkeypatch.setattr(
        quarantining, "read_quarantine", lambda f, path: read.append(path) or plain(f, path)
    )
    everything = ids(clocked.engine)
    assert len(read) == 5
    read.clear()
    assert ids(clocked.engine, after=everything[14], limit=1) == [everything[15]]
    assert len(read) == 1
    read.clear()
    assert clocked.engine.discard_rejected([everything[9], everything[6]]) == 2
    assert len(set(read)) == 2  # where they are, and the one after, to see that they are over
    assert ids(clocked.engine) == [one for n, one in enumerate(everything) if n not in (6, 9)]
    assert clocked.engine.discard_rejected([everything[7], everything[16]]) == 2
    assert clocked.engine.discard_rejected([everything[8]]) == 1
    assert len(ids(clocked.engine)) == 15


def test_files_of_an_older_release_are_worked_with(clocked, tmp_path):
    """Version 1, and a manifest that does not know the last id."""
    fill(clocked)
    clocked.engine.flush()
    (path,) = (tmp_path / "default" / "quarantine").iterdir()
    record = lz4.block.compress(msgpack.packb([7, 0, "old", "", "", msgpack.packb(GOOD)]))
    head = struct.pack("<8sHHI", b"ZUJIQUA1", 1, 0, 3)
    body = struct.pack("<II", len(record), crc32c(record)) + record
    path.write_bytes(head + struct.pack("<I", crc32c(head)) + 3 * body)
    manifest = clocked.engine._writer.manifest
    manifest.commit(Edit(extra_updates={"quarantine": [[f"quarantine/{path.name}", 3]]}))
    fill(clocked, 1)
    everything = ids(clocked.engine)
    number = int(path.name.split(".")[0])
    assert everything[:3] == [f"0-{number}-{n}" for n in range(3)]
    assert clocked.engine.discard_rejected(everything[1:2]) == 1
    assert ids(clocked.reopen(killed=True)) == [everything[0], *everything[2:]]
    assert clocked.engine.replay_rejected(reason="old").stored == 2
    assert ids(clocked.engine) == everything[3:]


def test_files_that_hold_nothing_any_more_are_removed(clocked, tmp_path):
    fill(clocked)
    clocked.engine.flush()
    folder = tmp_path / "default" / "quarantine"
    (before,) = folder.iterdir()
    clocked.engine.discard_rejected(ids(clocked.engine)[:3])
    (after,) = folder.iterdir()
    assert after.name != before.name
    clocked.engine.discard_rejected(reason="missing_id")
    clocked.engine.discard_rejected(reason="missing_time")
    assert list(folder.iterdir()) == []


def test_listing_goes_on_while_entries_are_taken_out(clocked):
    for _ in range(3):
        fill(clocked, 2)
        clocked.engine.flush()
    everything = ids(clocked.engine)
    rows = clocked.engine.rejected()
    seen = [next(rows)["id"] for _ in range(3)]
    clocked.engine.discard_rejected([everything[0], everything[5], everything[8]])
    seen += [row["id"] for row in rows]
    assert seen == [i for n, i in enumerate(everything) if n not in (5, 8)]


def test_a_reader_beside_the_writer_sees_what_is_left(clocked, tmp_path):
    fill(clocked)
    clocked.engine.flush()
    with zuji.open(tmp_path, mode="r") as reader:
        everything = ids(reader)
        clocked.engine.discard_rejected(everything[:4])
        assert ids(reader) == everything[4:]


def test_a_full_disk_takes_nothing_out(tmp_path):
    class Full(Files):
        full = False

        def create(self, path):
            if self.full and path.endswith(".rejected"):
                raise StorageFull("no space")
            return super().create(path)

    files = Full()
    with open_project(tmp_path, files=files, config=Config(background=False)) as engine:
        engine.append([without("user_id"), without("user_id"), without("time")])
        engine.flush()
        files.full = True
        with pytest.raises(StorageFull):
            engine.replay_rejected(ids(engine)[:1], mend=with_id)
        assert len(ids(engine)) == 3
        files.full = False
        result = engine.replay_rejected(reason="missing_id", mend=with_id)
        assert (result.stored, result.duplicates) == (1, 1)
        assert len(ids(engine)) == 1
        assert stored(engine) == [("mended", None)] * 2


def test_an_event_that_msgpack_cannot_hold_stays(clocked):
    fill(clocked, 1)
    with pytest.raises(InvalidEvent):
        clocked.engine.append([GOOD | {"user_id": object()}])
    result = clocked.engine.replay_rejected(mend=lambda _: GOOD | {"user_id": 2**70})
    assert [one.reason for one in result.left] == ["int_out_of_range"] * 2
    assert len(ids(clocked.engine)) == 2
