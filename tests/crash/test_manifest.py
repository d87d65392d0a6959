"""The manifest cut at every byte, with every bit flipped, and under failing calls."""

from __future__ import annotations

import errno
import os
import shutil

import msgspec
import pytest

from tests.crash.fault_files import SYNCS, FaultyFiles, OverlayFiles, fail_at, full_from
from tests.crash.miniature import PROJECT
from zuji.engine.errors import (
    Corruption,
    EngineClosed,
    InvalidInput,
    NotFound,
    ReadOnly,
    StorageFailed,
    StorageFull,
    UnsupportedFormat,
    ZujiError,
)
from zuji.engine.storage import log_format, names
from zuji.engine.storage import manifest as manifest_module
from zuji.engine.storage.files import Files
from zuji.engine.storage.manifest import MAGIC, Edit, Manifest, SegmentMeta, State, apply


def segment(number):
    return SegmentMeta(number, names.segment(number), 1, 24000, 0, 10, 5, 900, 1, 9, number)


def edit(k):
    """Edit number ``k``: one segment more, every third also replaces an older one."""
    removed = (k - 2,) if k % 3 == 0 else ()
    return Edit(
        add=(segment(k),),
        remove=removed,
        wal_floor=k,
        next_seq=k * 10,
        next_id=k + 1,
        extra_updates={"catalog": {"events": [f"e{j}" for j in range(k)]}, f"k{k % 4}": k},
    )


def committed(files, root, edits, extra=None):
    """A manifest of ``edits`` edits, closed; its states from the first to the last."""
    manifest = Manifest.create(files, root, PROJECT, extra)
    states = [manifest.state]
    states.extend(manifest.commit(edit(k)) for k in range(1, edits + 1))
    manifest.close()
    return states


def current(root, files=None):
    return Manifest.open(files or Files(), root, read_only=True).state


def test_states_come_back(tmp_path):
    root = str(tmp_path / "p")
    states = committed(Files(), root, 7, {"a": (1, 2), "b": b"\0\1", "c": {"d": None}})
    assert current(root) == states[-1]
    assert states[0].extra == {"a": [1, 2], "b": b"\0\1", "c": {"d": None}}
    assert [meta.id for meta in states[-1].segments] == [2, 3, 5, 6, 7]
    manifest = Manifest.open(Files(), root)
    assert manifest.commit(Edit(extra_updates={"a": None})).extra.keys() == {
        *states[-1].extra.keys()
    } - {"a"}
    assert manifest.state.segments == states[-1].segments


def test_callers_cannot_change_a_committed_state_afterwards(tmp_path):
    manifest = Manifest.create(Files(), str(tmp_path), PROJECT)
    mine = {"list": [1]}
    manifest.commit(Edit(extra_updates={"mine": mine}))
    mine["list"].append(2)
    assert manifest.state.extra == {"mine": {"list": [1]}}
    manifest.close()


def test_an_edit_that_does_not_fit_changes_nothing(tmp_path):
    manifest = Manifest.create(Files(), str(tmp_path), PROJECT)
    manifest.commit(edit(1))
    before = manifest.state, manifest.size_bytes
    for wrong in (Edit(remove=(9,)), Edit(add=(segment(1),)), Edit(add=(segment(4), segment(4)))):
        with pytest.raises(ValueError, match="manifest"):
            manifest.commit(wrong)
    assert (manifest.state, manifest.size_bytes) == before
    assert manifest.commit(Edit(add=(segment(1),), remove=(1,))).segments == (segment(1),)
    manifest.close()


def test_create_refuses_a_project_and_open_refuses_none(tmp_path):
    root = str(tmp_path)
    with pytest.raises(NotFound):
        Manifest.open(Files(), root)
    committed(Files(), root, 1)
    with pytest.raises(InvalidInput):
        Manifest.create(Files(), root, PROJECT)
    wrong = msgspec.structs.replace(PROJECT, shards=3)
    with pytest.raises(InvalidInput):
        Manifest.create(Files(), str(tmp_path / "q"), wrong)


def test_read_only_takes_no_edit_and_closed_neither(tmp_path):
    committed(Files(), str(tmp_path), 1)
    reader = Manifest.open(Files(), str(tmp_path), read_only=True)
    with pytest.raises(ReadOnly):
        reader.commit(edit(2))
    writer = Manifest.open(Files(), str(tmp_path))
    writer.close()
    writer.close()
    with pytest.raises(EngineClosed):
        writer.commit(edit(2))


def test_a_long_log_is_replaced_and_leftovers_go(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "ROLL_EDITS", 4)
    root = str(tmp_path)
    states = committed(Files(), root, 11)
    assert names.manifest(3) in os.listdir(root)
    assert current(root) == states[-1]
    for name in (names.manifest(2), names.manifest(9), "CURRENT.tmp", "MANIFEST-00000004.tmp"):
        (tmp_path / name).write_bytes(b"left by a crash")
    assert current(root) == states[-1]
    Manifest.open(Files(), root).close()
    left = {name for name in os.listdir(root) if name.startswith(("MANIFEST", "CURRENT"))}
    assert left == {names.CURRENT, names.manifest(3)}


def test_a_log_is_replaced_by_size_but_not_at_every_edit(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "ROLL_BYTES", 1000)
    manifest = Manifest.create(Files(), str(tmp_path), PROJECT, {"big": os.urandom(3000)})
    numbers = [
        (manifest.commit(Edit(extra_updates={"k": os.urandom(100)})), manifest.number)[1]
        for _ in range(120)
    ]
    assert 3 <= numbers[-1] <= 7
    manifest.close()


def test_cut_at_every_byte_leaves_a_committed_state(tmp_path):
    root = str(tmp_path)
    states = committed(Files(), root, 6)
    path = tmp_path / names.manifest(1)
    whole = path.read_bytes()
    seed = log_format.record_seed(PROJECT.uuid, 1)
    ends = [item.end for item in log_format.scan(whole, seed, 64, 0)]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in ends)
        if kept == 0:  # not even the snapshot: a file that was never named like this
            with pytest.raises(Corruption):
                current(root)
            continue
        assert current(root) == states[kept - 1]
        assert path.stat().st_size == length
        manifest = Manifest.open(Files(), root)
        assert manifest.state == states[kept - 1]
        assert path.stat().st_size == ends[kept - 1]
        assert manifest.commit(Edit(wal_floor=999)).wal_floor == 999
        manifest.close()
        assert current(root).wal_floor == 999


def test_every_bit_flipped_is_corruption_or_harmless_never_another_state(tmp_path):
    root = str(tmp_path)
    states = committed(Files(), root, 6)
    where, harmless = [], 0
    for name in (names.manifest(1), names.CURRENT):
        path = os.path.join(root, name)
        whole = Files().read(path)
        for position in range(len(whole)):
            for bit in range(8):
                flipped = bytearray(whole)
                flipped[position] ^= 1 << bit
                try:
                    state = current(root, OverlayFiles({path: bytes(flipped)}))
                except Corruption as error:
                    where.append((error.path in (name, names.CURRENT), error.offset <= position))
                else:
                    assert state == states[-1], (name, position, bit)
                    harmless += 1
    print(f"detected={len(where)} harmless={harmless}")
    assert set(where) == {(True, True)}
    assert harmless <= 7 * 8  # the end marks


def test_a_lost_edit_in_the_middle_is_corruption(tmp_path):
    root = str(tmp_path)
    committed(Files(), root, 6)
    path = os.path.join(root, names.manifest(1))
    whole = Files().read(path)
    items = list(log_format.scan(whole, log_format.record_seed(PROJECT.uuid, 1), 64, 0))
    without = whole[: items[3].offset] + whole[items[3].end :]
    with pytest.raises(Corruption, match="missing"):
        current(root, OverlayFiles({path: without}))


def test_a_later_version_is_refused(tmp_path):
    root = str(tmp_path)
    committed(Files(), root, 1)
    path = os.path.join(root, names.manifest(1))
    whole = Files().read(path)
    later = log_format.file_header(MAGIC, 2, PROJECT.uuid, 1) + whole[64:]
    with pytest.raises(UnsupportedFormat):
        current(root, OverlayFiles({path: later}))


def drive(files, root, edits, states):
    """Create and commit until something fails; ``states`` gets every acknowledged state."""
    manifest = Manifest.create(files, root, PROJECT)
    try:
        states.append(manifest.state)
        for k in range(1, edits + 1):
            states.append(manifest.commit(edit(k)))
    finally:
        manifest.close()


def test_a_failed_call_anywhere_loses_no_acknowledged_edit(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "ROLL_EDITS", 3)
    counter = FaultyFiles()
    drive(counter, str(tmp_path / "count"), 8, everything := [])
    assert counter.sites > 40
    poisoned = 0
    for site in range(counter.sites):
        root = str(tmp_path / "p")
        shutil.rmtree(root, ignore_errors=True)
        states: list[State] = []
        files = FaultyFiles(fail_at(site, errno.EIO))
        try:
            drive(files, root, 8, states)
        except StorageFailed:
            poisoned += 1
        if not states:
            try:
                current(root)
            except NotFound:
                Manifest.create(Files(), root, PROJECT).close()  # may be called again
            continue
        after = current(root)
        # The edit in flight may be there or not; nothing else may differ.
        possible = [states[-1], *everything[len(states) : len(states) + 1]]
        assert after in possible, site
        manifest = Manifest.open(Files(), root)
        assert manifest.commit(Edit(wal_floor=77)).wal_floor == 77
        manifest.close()
        assert current(root).wal_floor == 77
    assert poisoned > 30


def test_after_a_failed_sync_no_more_edits(tmp_path):
    files = FaultyFiles()
    manifest = Manifest.create(files, str(tmp_path), PROJECT)
    files.plan = fail_at(0, errno.EIO, SYNCS)
    before = manifest.state
    with pytest.raises(StorageFailed):
        manifest.commit(edit(1))
    assert manifest.state is before
    with pytest.raises(StorageFailed):
        manifest.commit(edit(1))
    assert len(files.hits) == 1
    manifest.close()


@pytest.mark.parametrize("partial", [0, 1, 24, 60])
def test_a_full_disk_refuses_and_goes_on_when_freed(tmp_path, monkeypatch, partial):
    monkeypatch.setattr(manifest_module, "ROLL_EDITS", 3)
    for site in range(24):
        root = str(tmp_path / str(site))
        files = FaultyFiles()
        manifest = Manifest.create(files, root, PROJECT)
        files.plan, free = full_from(site, errno.ENOSPC, partial)
        k, refused, state = 1, 0, manifest.state
        for step in range(24):
            if step == 16:
                free()
            try:
                state = manifest.commit(edit(k))
                k += 1
            except StorageFull:
                refused += 1
                assert manifest.state == state
        manifest.close()
        assert k + refused == 25
        assert current(root) == state
        assert files.hits


def test_create_failing_anywhere_can_be_repeated(tmp_path):
    counter = FaultyFiles()
    Manifest.create(counter, str(tmp_path / "count"), PROJECT).close()
    for site in range(counter.sites):
        root = str(tmp_path / str(site))
        with pytest.raises(ZujiError):
            Manifest.create(FaultyFiles(fail_at(site, errno.ENOSPC)), root, PROJECT)
        try:
            Manifest.create(Files(), root, PROJECT).close()
        except InvalidInput:  # only the last sync failed: it is there
            assert site == counter.sites - 1
        assert current(root).project == PROJECT


def test_a_reader_meets_a_log_being_replaced(tmp_path):
    root = str(tmp_path)
    states = committed(Files(), root, 2)
    stale = Files().read(os.path.join(root, names.CURRENT))

    class Racing(Files):
        reads = 0

        def read(self, path):
            if path.endswith(names.CURRENT):
                self.reads += 1
                if self.reads == 1:
                    return stale.replace(b"01 ", b"01 ")
            if self.reads == 1:
                raise NotFound(path)
            return super().read(path)

    assert Manifest.open(Racing(), root, read_only=True).state == states[-1]


def test_apply_is_what_commit_does():
    state = State(PROJECT)
    for k in range(1, 30):
        state = apply(state, edit(k))
    assert [meta.id for meta in state.segments][:4] == [2, 3, 5, 6]
    assert state.next_id == 30
