"""What outlives a process, byte by byte: torn tails, damage, halves, several processes."""

from __future__ import annotations

import itertools
import os
import random

import pytest

from zuji_sdk import frames
from zuji_sdk.disk import DiskStore
from zuji_sdk.lock import FileLock

EVENTS = [bytes([0x81, 0xA1, 65 + n, n]) for n in range(10)]


def store(folder, fsync="never", batch_events=4, max_bytes=1 << 20):
    return DiskStore(str(folder), fsync, batch_events, 4096, max_bytes, itertools.count())


def fill(one, events=EVENTS):
    for data in events:
        one.append(data, 1)


def die(one):
    """What the end of the process does."""
    if one._fd >= 0:
        os.close(one._fd)
    if one._lock is not None:
        one._lock.release()


def adopt(one):
    found = []
    one.adopt(found)
    one.add(found)
    return [(batch.batch_id, list(batch.load())) for batch in found]


def contents(one):
    return [(batch.batch_id, list(batch.load())) for batch in one.sealed]


def batch_files(folder):
    return sorted(folder.rglob("*.batch"))


@pytest.mark.parametrize("fsync", ["never", "batch", "always"])
def test_the_next_process_finds_the_same_batches(tmp_path, fsync):
    first = store(tmp_path, fsync)
    fill(first)
    first.sync()
    open_id = first.open.batch_id
    expected = [*contents(first), (open_id, EVENTS[8:])]
    die(first)
    second = store(tmp_path)
    assert adopt(second) == expected
    assert second.events == 10
    assert second.bytes == sum(path.stat().st_size for path in batch_files(tmp_path))
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_living_process_keeps_its_own(tmp_path):
    first, second = store(tmp_path), store(tmp_path)
    fill(first)
    assert adopt(second) == []
    second.close()
    assert len(batch_files(tmp_path)) == 3
    first.close()
    assert len(adopt(store(tmp_path))) == 3


def test_closing_an_empty_queue_leaves_no_folder(tmp_path):
    one = store(tmp_path)
    fill(one, EVENTS[:4])
    one.remove(one.head())
    one.close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_every_torn_tail_keeps_the_whole_frames(tmp_path):
    first = store(tmp_path / "x", batch_events=100)
    fill(first, EVENTS[:3])
    die(first)
    (path,) = batch_files(tmp_path)
    whole = path.read_bytes()
    ends = [len(frames.header("0" * 36)) + k * (frames.FRAME_BYTES + 4) for k in range(4)]
    assert ends[-1] == len(whole)
    for length in range(len(whole)):
        folder = tmp_path / f"torn{length}"
        queue = folder / "1-0123456789ab"
        queue.mkdir(parents=True)
        (queue / "000000000001.batch").write_bytes(whole[:length])
        kept = sum(end <= length for end in ends) - 1
        found = adopt(store(folder))
        assert [len(events) for _, events in found] == ([kept] if kept > 0 else [])
        assert not queue.exists()


def test_every_flipped_byte_is_found(tmp_path):
    data = frames.header("id") + b"".join(map(frames.frame, EVENTS[:3]))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x40
        found = frames.read(bytes(damaged))
        if found is not None:
            assert found.batch_id == "id"
            assert found.events == EVENTS[: len(found.events)]
            assert len(found.events) < 3
            assert found.rest_bytes > 0


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"\xff" * 64, frames.frame(b"\x01")])
def test_what_is_no_batch_at_all(data):
    assert frames.read(data) is None


def test_a_hole_of_zeros_ends_the_file():
    found = frames.read(frames.header("id") + frames.frame(b"x") + b"\0" * 4096)
    assert found == ("id", [b"x"], 4096)


@pytest.mark.parametrize("step", range(5))
def test_a_split_that_was_cut_off_is_whole_or_halves(tmp_path, step, monkeypatch):
    """Whichever of its steps was the last: rename, rename, sync, delete."""
    one = store(tmp_path, "batch", batch_events=4)
    fill(one, EVENTS[:4])
    batch_id = one.head().batch_id
    steps = itertools.count()

    def stop_at(real):
        def run(*args):
            if next(steps) == step:
                raise KeyboardInterrupt
            return real(*args)

        return run

    from zuji_sdk import disk

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", stop_at(os.rename))
        patch.setattr(disk, "_sync", stop_at(disk._sync))
        patch.setattr(os, "unlink", stop_at(os.unlink))
        try:
            one.split(one.head())
        except KeyboardInterrupt:
            pass
        else:
            assert step == 4
    die(one)
    whole = [(batch_id, EVENTS[:4])]
    halves = [(f"{batch_id}.0", EVENTS[:2]), (f"{batch_id}.1", EVENTS[2:4])]
    assert adopt(store(tmp_path)) == (whole if step < 2 else halves)


def test_halves_of_halves(tmp_path):
    one = store(tmp_path)
    fill(one, EVENTS[:4])
    one.split(one.head())
    one.split(one.sealed[1])
    one.remove(one.sealed[0])
    expected = contents(one)
    assert [events for _, events in expected] == [[EVENTS[2]], [EVENTS[3]]]
    assert one.events == 2
    die(one)
    assert adopt(store(tmp_path)) == expected


def test_adoption_stops_where_there_is_no_room(tmp_path):
    first = store(tmp_path)
    fill(first)
    die(first)
    size = batch_files(tmp_path)[0].stat().st_size
    second = store(tmp_path, max_bytes=2 * size)
    assert len(adopt(second)) == 2
    second.remove(second.head())
    assert len(adopt(second)) == 1
    assert adopt(second) == []


def test_other_folders_are_not_touched(tmp_path):
    other = tmp_path / "photos"
    other.mkdir()
    (other / "a.batch").write_text("mine")
    one = store(tmp_path)
    assert adopt(one) == []
    assert one.purge_orphans() == 0
    assert (other / "a.batch").read_text() == "mine"
    assert [path.name for path in other.iterdir()] == ["a.batch"]


def test_purging_takes_what_the_dead_left_and_not_the_living(tmp_path):
    dead, living, one = store(tmp_path), store(tmp_path), store(tmp_path)
    fill(dead)
    fill(living)
    die(dead)
    assert one.purge_orphans() == 3
    assert len(batch_files(tmp_path)) == 3
    assert living.purge() == 10
    assert batch_files(tmp_path) == []


@pytest.mark.parametrize("run", range(20))
def test_any_history_keeps_every_event_once(tmp_path, run):
    """Appending, sending, splitting, dying and adopting at random, beside a plain list."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    numbers = itertools.count()
    expected = []  # what must come out, in no order
    gone = []  # what was sent
    ids = {}  # a batch with this id has held these events, always
    one = store(tmp_path, batch_events=chance.randrange(1, 6))

    def send(batch):
        events = list(batch.load())
        assert ids.setdefault(batch.batch_id, events) == events, seed
        gone.extend(events)
        assert one.remove(batch)

    for _ in range(200):
        step = chance.random()
        if step < 0.6:
            data = b"%d" % next(numbers)
            one.append(data, 1)
            expected.append(data)
        elif step < 0.75 and one.sealed:
            send(one.sealed[0])
        elif step < 0.85 and one.sealed and one.sealed[0].events > 1:
            one.split(one.sealed[0])
        elif step < 0.9:
            one.seal()
        elif step < 0.95:
            die(one)
            one = store(tmp_path, batch_events=chance.randrange(1, 6))
            if chance.random() < 0.7:
                adopt(one)
        else:
            adopt(one)
        assert one.events == sum(batch.events for batch in [*one.sealed, one.open] if batch), seed
    one.seal()
    adopt(one)
    while one.sealed:
        send(one.sealed[0])
    assert sorted(gone) == sorted(expected), seed
    assert one.bytes == one.events == 0
    assert batch_files(tmp_path) == []


def test_files_are_for_their_owner_only(tmp_path):
    one = store(tmp_path / "queue")
    fill(one)
    for path in (tmp_path / "queue").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_lock_is_exclusive_and_released(tmp_path):
    path = str(tmp_path / "lock")
    first = FileLock.take(path, wait=False)
    assert FileLock.take(path, wait=False) is None
    first.release()
    second = FileLock.take(path, wait=False)
    assert second is not None
    second.release()
