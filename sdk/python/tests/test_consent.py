"""Nothing is stored or sent before consent; withdrawal leaves nothing."""

from __future__ import annotations

import os

import pytest
from conftest import track

BUSY = (503, {}, {})


def files(folder):
    return [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]


@pytest.fixture(params=["memory", "disk"])
def folder(request, tmp_path):
    return tmp_path / "queue" if request.param == "disk" else None


def test_before_consent_events_are_discarded(client_of, collector, folder):
    client = client_of(consent=None, queue_dir=folder)
    assert client.consent is None
    track(client, range(5))
    client.flush(0.1)
    assert folder is None or not files(folder)
    client.set_consent(True)
    track(client, range(5, 8))
    assert client.flush(10)
    assert collector.numbers == [5, 6, 7]
    assert client.stats.discarded == 5


def test_or_held_in_memory_and_nowhere_else(client_of, collector, folder):
    client = client_of(consent=None, queue_dir=folder, before_consent="hold", held_events=3)
    track(client, range(5))
    assert folder is None or not files(folder)
    assert not collector.requests
    client.set_consent(True)
    assert client.flush(10)
    assert collector.numbers == [2, 3, 4]
    assert client.stats.discarded == 2


def test_what_was_held_is_gone_after_a_no(client_of, collector, folder):
    client = client_of(consent=None, queue_dir=folder, before_consent="hold")
    track(client, range(5))
    client.set_consent(False)
    client.set_consent(True)
    track(client, [5])
    assert client.flush(10)
    assert collector.numbers == [5]
    assert client.stats.purged == 5


def test_withdrawal_purges_memory_and_disk(client_of, collector, folder):
    collector.answer = lambda request: BUSY
    client = client_of(queue_dir=folder, batch_events=10)
    track(client, range(95))
    collector.wait_for(lambda: len(collector.requests) > 1)
    client.set_consent(False)
    assert client.stats.queued == client.stats.queued_bytes == 0
    assert client.stats.purged == 95
    if folder is not None:
        assert not any(name.endswith(".batch") for name in files(folder))
    track(client, range(3))
    assert client.stats.discarded == 3
    collector.answer = lambda request: None
    client.set_consent(True)
    track(client, [100])
    assert client.flush(10)
    assert collector.numbers == [100]


def test_withdrawal_cuts_off_a_request_on_its_way(client_of, collector, folder):
    client = client_of(queue_dir=folder)
    with collector.lock:  # the collector cannot answer
        track(client, range(3))
        client._queue.flush(lambda gone: None)
        while client._queue.memory.in_flight is None and (
            client._queue.disk is None or client._queue.disk.in_flight is None
        ):
            pass
        client.set_consent(False)
        assert client.stats.purged == 3
    client.set_consent(True)
    track(client, [7])
    assert client.flush(10)
    assert client.stats.queued == 0
    assert collector.numbers[-1] == 7
    assert client.stats.purged == 3


def test_undecided_keeps_what_is_queued_unsent(client_of, collector, folder):
    client = client_of(queue_dir=folder, batch_seconds=60)
    track(client, range(3))
    client.set_consent(None)
    assert client.flush(0.1) is False
    assert client.stats.queued == 3
    assert not collector.requests
    client.set_consent(True)
    assert client.flush(10)
    assert collector.numbers == [0, 1, 2]


def test_what_an_earlier_process_left_waits_for_consent(client_of, collector, tmp_path):
    first = client_of(queue_dir=tmp_path, batch_seconds=60)
    collector.answer = lambda request: BUSY
    track(first, range(5))
    first.close(0)
    collector.requests.clear()
    collector.answer = lambda request: None
    undecided = client_of(consent=None, queue_dir=tmp_path)
    undecided.flush(0.1)
    assert not collector.requests
    undecided.set_consent(True)
    assert undecided.flush(10)
    assert collector.numbers == list(range(5))


def test_what_an_earlier_process_left_is_purged_by_a_no(client_of, collector, tmp_path):
    first = client_of(queue_dir=tmp_path, batch_seconds=60)
    collector.answer = lambda request: BUSY
    track(first, range(5))
    first.close(0)
    assert any(name.endswith(".batch") for name in files(tmp_path))
    client_of(consent=False, queue_dir=tmp_path)
    assert [os.path.basename(name) for name in files(tmp_path)] == [".lock"]
