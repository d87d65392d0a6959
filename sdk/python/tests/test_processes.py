"""kill -9, fork, several processes at one folder, the end of the interpreter."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import socket
import subprocess
import sys
import time
import traceback
import zlib
from pathlib import Path

import pytest
from conftest import track

PACKAGE = str(Path(__file__).parent.parent)

# Tracks numbers from `first` on, says each (8 bytes) when it is queued, and never ends by itself.
ENDLESS = """
import sys
import time
sys.path.insert(0, sys.argv[1])
from zuji_sdk import Client, Options
options = Options(batch_seconds=0.01, batch_events=20, retry_base_seconds=0.005,
                  retry_cap_seconds=0.02, adopt_seconds=0.05, fsync="never")
client = Client(sys.argv[2], "key", consent=True, queue_dir=sys.argv[3], options=options,
                on_error=lambda error: None)
n = int(sys.argv[4])
while True:
    client.track("e", {"n": n}, user_id="u")
    sys.stdout.buffer.write(n.to_bytes(8, "little"))
    sys.stdout.buffer.flush()
    n += 1
    if n % 50 == 0:
        time.sleep(0.005)
"""


def child(code, *args):
    command = [sys.executable, "-c", code, PACKAGE, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def kill_cycles(cycles, seed, collector, client_of, folder):
    """Two processes at a time, killed at any moment; the collector fails in every way."""
    chance = random.Random(seed)

    def answer(request):
        batch = request["batch"]
        # What is too large is so every time: nothing of it was ever stored.
        if zlib.crc32(batch["batch_id"].encode()) % 8 == 0 and len(batch["events"]) > 1:
            return (413, {}, {})
        roll = chance.random()
        if roll < 0.15:
            return (503, {}, {})
        if roll < 0.3:
            return "drop"  # stored, and the answer lost
        return None

    collector.answer = answer
    queued = set()
    for cycle in range(cycles):
        children = [
            child(ENDLESS, collector.url, folder, (2 * cycle + k) * 1_000_000) for k in range(2)
        ]
        counts = [chance.randrange(1, 400) for _ in children]
        for process, count in zip(children, counts):
            said = process.stdout.read(8 * count)
            time.sleep(chance.random() * 0.01)
            process.send_signal(signal.SIGKILL)
            said += process.stdout.read()
            process.wait()
            process.stdout.close()
            queued |= {
                int.from_bytes(said[at : at + 8], "little")
                for at in range(0, len(said) // 8 * 8, 8)
            }
    collector.answer = lambda request: None
    last = client_of(queue_dir=folder)
    assert last.flush(60 + 5 * cycles), f"seed {seed}: {last.stats}"
    stored = collector.numbers
    assert collector.changed == [], f"seed {seed}: a batch changed between attempts"
    assert len(stored) == len(set(stored)), f"seed {seed}: duplicates"
    lost = queued - set(stored)
    assert not lost, f"seed {seed}: {len(lost)} events lost, e.g. {min(lost)}"
    assert len(set(stored) - queued) <= 2 * cycles  # queued, and killed before that was said
    assert not list(Path(folder).rglob("*.batch"))
    return len(stored)


def test_killed_again_and_again_nothing_is_lost_or_doubled(collector, client_of, tmp_path):
    seed = random.randrange(1 << 32)
    assert kill_cycles(6, seed, collector, client_of, tmp_path) > 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_two_hundred_times(collector, client_of, tmp_path):
    seed = random.randrange(1 << 32)
    assert kill_cycles(100, seed, collector, client_of, tmp_path) > 1000


def in_child(work):
    """Run it in a forked child that leaves as `os._exit` does; whether it went well."""
    pid = os.fork()
    if pid == 0:
        code = 1
        faulthandler.dump_traceback_later(60, exit=True)  # a child that hangs says where
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return status == 0


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_forked_child_sends_its_own_events_only(collector, client_of, tmp_path, kind):
    client = client_of(queue_dir=tmp_path if kind == "disk" else None, batch_seconds=60)
    track(client, range(10))
    assert client.flush(10)  # the connection is open, the thread runs
    track(client, range(10, 20))

    def work():
        assert client.stats.queued == 0
        assert client.stats.accepted == 0
        track(client, range(100, 110))
        assert client.flush(10)
        client.close()

    assert in_child(work)
    assert sorted(collector.numbers) == [*range(10), *range(100, 110)]
    track(client, range(20, 30))
    assert client.flush(10)
    assert sorted(collector.numbers) == [*range(30), *range(100, 110)]
    assert collector.changed == []
    assert client.stats.duplicates == 0


def test_what_a_child_leaves_is_adopted_and_its_parent_keeps_its_own(
    collector, client_of, tmp_path
):
    collector.answer = lambda request: (503, {}, {})
    client = client_of(queue_dir=tmp_path, batch_seconds=60, adopt_seconds=0.05)
    track(client, range(10))

    def work():
        track(client, range(100, 110))

    assert in_child(work)  # ends without closing
    assert len(list(tmp_path.rglob("*.batch"))) == 2
    collector.answer = lambda request: None
    track(client, range(10, 20))
    collector.wait_for(lambda: {*range(100, 110)} <= set(collector.numbers))
    assert client.flush(10)
    assert sorted(collector.numbers) == [*range(20), *range(100, 110)]


def test_children_of_a_parent_that_died_do_not_keep_its_lock(collector, client_of, tmp_path):
    """A prefork master that was killed: its workers live on, and its queue must go out."""
    code = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from zuji_sdk import Client, Options
client = Client(sys.argv[2], "key", consent=True, queue_dir=sys.argv[3],
                options=Options(batch_seconds=60), on_error=lambda error: None)
client.track("e", {"n": 1}, user_id="u")
if os.fork() == 0:
    sys.stdout.write(f"{os.getpid()}\\n")
    sys.stdout.flush()
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    process = child(code, collector.url, tmp_path)
    worker = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        client = client_of(queue_dir=tmp_path)
        assert client.flush(10)
        assert collector.numbers == [1]
    finally:
        os.kill(worker, signal.SIGKILL)
        process.stdout.close()


def test_a_fork_right_after_a_file_was_closed(collector, client_of, tmp_path, monkeypatch):
    """Another thread seals a batch: its file is closed, and the child must not trip over that."""
    client = client_of(queue_dir=tmp_path)
    track(client, range(10))
    close, outcomes = os.close, []

    def closing(fd):
        close(fd)
        if not outcomes:
            outcomes.append(None)
            outcomes[0] = in_child(work)

    def work():
        assert client.stats.queued == 0
        track(client, [100])
        assert client.close(5)

    monkeypatch.setattr(os, "close", closing)
    assert client.flush(10)
    assert outcomes == [True]
    assert sorted(collector.numbers) == [*range(10), 100]


def test_a_fork_while_an_answer_is_read(collector, client_of):
    """The sending thread is not in the child, and what it had locked stays locked there."""
    client = client_of(timeout_seconds=5)
    answering = socket.create_server(("127.0.0.1", 0))
    client.reconfigure(url=f"http://127.0.0.1:{answering.getsockname()[1]}")
    track(client, [1])
    waiting = client._begin_flush(lambda gone: None)
    peer, _ = answering.accept()
    peer.recv(1 << 16)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    time.sleep(0.2)  # the thread waits for the rest of the body

    def work():
        client.reconfigure(url=collector.url)
        track(client, [100])
        assert client.close(5)

    try:
        assert in_child(work)
        assert collector.numbers == [100]
    finally:
        client._queue.forget(waiting)
        peer.close()
        answering.close()


def test_a_fork_while_other_threads_track(collector, client_of, tmp_path):
    import threading

    client = client_of(queue_dir=tmp_path, batch_events=20)
    stop = threading.Event()
    tracked = []

    def busy():
        while not stop.is_set():
            track(client, [len(tracked)])
            tracked.append(1)

    thread = threading.Thread(target=busy)
    thread.start()

    def work(base):
        track(client, range(base, base + 10))
        assert client.close(10)

    try:
        for k in range(1, 6):
            assert in_child(lambda base=k * 1_000_000: work(base))
    finally:
        stop.set()
        thread.join()
    assert client.flush(20)
    numbers = collector.numbers
    assert len(numbers) == len(set(numbers))
    assert {n for n in numbers if n < 1_000_000} == set(range(len(tracked)))
    assert sum(n >= 1_000_000 for n in numbers) == 50


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_the_end_of_the_interpreter_flushes(collector, tmp_path, kind):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from zuji_sdk import Client
client = Client(sys.argv[2], "key", consent=True, queue_dir=sys.argv[3] or None)
for n in range(10):
    client.track("e", {"n": n}, user_id="u")
"""
    process = child(code, collector.url, tmp_path if kind == "disk" else "")
    assert process.wait(20) == 0
    process.stdout.close()
    assert collector.numbers == list(range(10))
