"""Memory and disk are bounded; what is given up is counted; a full disk is survived."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from conftest import track

from zuji_sdk import QueueFull, StorageError, disk

BUSY = (503, {"Retry-After": "30"}, {})
SMALL = {"batch_bytes": 2048, "max_memory_bytes": 20_000, "max_disk_bytes": 20_000}


@pytest.fixture(params=["memory", "disk"])
def make(request, client_of, tmp_path):
    def make_one(**settings):
        folder = tmp_path if request.param == "disk" else None
        return client_of(queue_dir=folder, **{**SMALL, **settings})

    return make_one


def test_the_oldest_are_dropped(make, collector):
    collector.script = [BUSY]
    client = make(retry_after_cap_seconds=0.2, batch_seconds=0.02)
    track(client, [0])
    collector.wait_for(lambda: len(collector.requests) == 1)
    track(client, range(1, 1000))
    stats = client.stats
    assert stats.queued_bytes <= 20_000
    assert stats.queued + stats.dropped_full == 1000
    assert client.flush(10)
    kept = [n for n in collector.numbers if n]
    assert kept[-1] == 999
    assert kept == list(range(kept[0], 1000))


def test_full_raises(make, collector):
    collector.answer = lambda request: BUSY
    client = make(full="raise")
    with pytest.raises(QueueFull):
        track(client, range(1000))
    queued = client.stats.queued
    assert client.stats.dropped_full == 1
    with pytest.raises(QueueFull):
        track(client, [1])
    assert client.stats.queued == queued


def test_full_blocks_until_there_is_room(make, collector):
    gate = threading.Event()

    def answer(request):
        gate.wait(10)

    collector.answer = answer
    client = make(full="block")
    thread = threading.Thread(target=track, args=(client, range(1000)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    gate.set()
    thread.join(20)
    assert not thread.is_alive()
    assert client.flush(10)
    assert collector.numbers == list(range(1000))


def test_blocking_ends(make, collector):
    collector.answer = lambda request: BUSY
    client = make(full="block", block_seconds=0.05)
    with pytest.raises(QueueFull):
        track(client, range(1000))


def test_withdrawal_frees_who_is_blocked(make, collector):
    collector.answer = lambda request: BUSY
    client = make(full="block")
    thread = threading.Thread(target=track, args=(client, range(1000)))
    thread.start()
    collector.wait_for(lambda: len(collector.requests) > 0)
    client.set_consent(False)
    thread.join(10)
    assert not thread.is_alive()
    assert client.stats.queued == 0


def test_an_event_larger_than_the_queue(make):
    client = make()
    client.track("e", {f"p{k}": "x" * 8000 for k in range(5)}, user_id="u")
    assert client.stats.dropped_full == 1


@pytest.fixture
def full_disk(monkeypatch):
    """Writes fail, after a part of the frame, while `full_disk.on`."""

    class Disk:
        on = False

    def write_whole(fd, data, at):
        if Disk.on:
            os.write(fd, data[:4])  # a torn frame, which must not hide what follows
            os.ftruncate(fd, at)
            os.lseek(fd, at, os.SEEK_SET)
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(fd, data, at)

    original = disk._write_whole
    monkeypatch.setattr(disk, "_write_whole", write_whole)
    return Disk


def test_a_full_disk_moves_events_to_memory_and_back(client_of, collector, tmp_path, full_disk):
    collector.answer = lambda request: BUSY
    client = client_of(queue_dir=tmp_path, retry_after_cap_seconds=0.05, batch_events=10)
    track(client, range(15))
    full_disk.on = True
    track(client, range(15, 40))
    full_disk.on = False
    track(client, range(40, 50))
    assert client.stats.disk_errors == 25
    told = [error for error in client.errors if isinstance(error, StorageError)]
    assert len(told) == 1
    collector.answer = lambda request: None
    assert client.flush(10)
    assert sorted(collector.numbers) == list(range(50))
    assert client.stats.dropped_full == 0


def test_writes_that_fail_half_way_leave_whole_files(tmp_path, monkeypatch):
    real = os.write
    calls = []

    def write(fd, data):
        calls.append(len(data))
        if len(calls) == 2:
            return real(fd, bytes(data)[:5])
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    path = tmp_path / "file"
    fd = disk._create(str(path))
    monkeypatch.setattr(os, "write", write)
    disk._write_whole(fd, b"first", 0)
    with pytest.raises(OSError, match="space"):
        disk._write_whole(fd, b"second frame", 5)
    disk._write_whole(fd, b"third", 5)
    os.close(fd)
    assert path.read_bytes() == b"firstthird"


def test_a_folder_that_cannot_be_made(client_of, collector, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    client = client_of(queue_dir=tmp_path / "file" / "queue")
    track(client, range(10))
    assert client.flush(10)
    assert collector.numbers == list(range(10))
    assert client.stats.disk_errors == 10


def test_a_queue_that_somebody_deleted(client_of, collector, tmp_path):
    import shutil

    collector.answer = lambda request: BUSY
    client = client_of(
        queue_dir=tmp_path, retry_after_cap_seconds=0.05, batch_events=5, batch_seconds=60
    )
    track(client, range(10))
    collector.wait_for(lambda: len(collector.requests) > 0)
    for folder in tmp_path.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    track(client, range(10, 15))
    collector.answer = lambda request: None
    assert client.flush(10)
    # The batch that was being sent was in memory as well; the one behind it is gone, and counted.
    assert set(range(10, 15)) <= set(collector.numbers)
    assert client.stats.dropped_damaged == 5
    assert client.stats.queued == 0
