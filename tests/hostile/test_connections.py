"""Clients that do harm by what they do not do: not reading, not finishing, not going."""

import resource
import socket
import threading
import time
from contextlib import suppress
from itertools import pairwise

import pytest

from tests.server.listening import all_of, connected, listening, statuses
from zuji.server.collector.http import LATER_BYTES, SHARE_BYTES, TURNS
from zuji.server.serve import OWN_FILES, _within_files
from zuji.server.settings import Settings

GOOD = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
LAST = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend"
LARGE = 20_000
"""Requests of 60 bytes whose answers of 120 are more than sockets hold."""
BUFFERS = 64 * 1024
"""What the kernel holds each way; it would hold all of a test's requests of what is not read."""
MOST = 1 << 20
"""So much is taken of a client at most before its answers fill what holds them."""


def unread(port):
    """A client that will not read."""
    client = connected(port)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFERS)
    return client


def pushed(client, data, listener, patience):
    """Bytes that went, until the loop had so many turns in which it took no more."""
    client.setblocking(False)
    sent = idle = 0
    while sent < MOST and idle < patience:
        try:
            more = client.send(data[sent : sent + 65536])
        except BlockingIOError:
            more = 0
        sent += more
        idle = 0 if more else idle + 1
        listener.release()
        listener.on_loop(lambda: None)
    return sent


@pytest.mark.parametrize("hold", [False, True], ids=["answered at once", "answered later"])
def test_a_client_that_never_reads_is_not_read_from(hold):
    with listening(hold=hold, buffers=BUFFERS) as listener, unread(listener.port) as client:
        sent = pushed(client, GOOD * LARGE, listener, 2000 if hold else 50)
        assert sent < MOST, "it was read on"
        assert len(listener.seen) * len(GOOD) < MOST
        (connection,) = listener.watch.open
        waiting = listener.on_loop(connection._transport.get_write_buffer_size)
        assert waiting < 1 << 20


def test_a_client_that_reads_late_gets_all_its_answers():
    count = 3000
    with listening() as listener, connected(listener.port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=client.sendall, args=(GOOD * count + LAST,))
        sender.start()
        deadline = time.monotonic() + 20
        before = -1
        while len(listener.seen) != before and time.monotonic() < deadline:
            before = len(listener.seen)
            time.sleep(0.1)
        assert statuses(all_of(client)) == [200] * (count + 1)
        sender.join()
        assert len(listener.seen) == count + 1


def test_a_client_that_never_reads_is_ended():
    with (
        listening(Settings(idle_seconds=0.5), sweep=True, buffers=BUFFERS) as listener,
        unread(listener.port) as client,
    ):
        with suppress(ConnectionError):
            client.sendall(GOOD * LARGE * 25)
        assert listener.on_loop(lambda: listener.watch.refused) == {"unread": 1}


def test_connections_leave_open_files_to_projects(monkeypatch):
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.append(both))
    found = _within_files(Settings(connections=20_000))
    assert limits[-1] == (4096, 4096)
    assert found.connections == 4096 - OWN_FILES
    limits.append((1024, resource.RLIM_INFINITY))
    assert _within_files(Settings(connections=20_000)).connections == 20_000
    assert limits[-1][0] == 20_000 + OWN_FILES
    limits.append((256, 256))
    assert _within_files(Settings(connections=20_000)).connections == 128


def test_many_small_requests_at_once_are_read_in_shares():
    """Between two shares of one connection others have their turn."""
    with listening() as listener, connected(listener.port) as greedy:
        turns = []

        def turn():
            turns.append(len(listener.seen))
            if len(listener.seen) < 4001:
                listener.loop.call_soon(turn)

        listener.loop.call_soon_threadsafe(turn)
        greedy.sendall(GOOD * 4000 + LAST)
        assert statuses(all_of(greedy)) == [200] * 4001
        steps = [after - before for before, after in pairwise(turns)]
        assert max(steps) <= 2 * SHARE_BYTES // len(GOOD)


def test_many_greedy_clients_have_their_turn_one_after_the_other():
    """Twenty of them hold up others no more than two do: all of a turn is one share that was read
    at once, and what waited.
    """
    clients, count = 20, 900
    with listening() as listener:
        greedy = [connected(listener.port) for _ in range(clients)]
        turns, ended, sent = [], threading.Event(), threading.Event()

        def turn():
            turns.append(len(listener.seen))
            if not ended.is_set():
                listener.loop.call_soon(turn)

        listener.loop.call_soon_threadsafe(turn)
        listener.loop.call_soon_threadsafe(sent.wait, 20)  # what each sends comes in one read
        for client in greedy:
            client.sendall(GOOD * count + LAST)
        sent.set()
        assert [statuses(all_of(c)) for c in greedy] == [[200] * (count + 1)] * clients
        ended.set()
        for client in greedy:
            client.close()
        steps = [after - before for before, after in pairwise(turns)]
        assert max(steps) <= (2 * SHARE_BYTES + TURNS * LATER_BYTES) // len(GOOD)


@pytest.mark.parametrize("field", [b"X: ", b"", b"X: a\r\n" * 60 + b"Y: "])
def test_a_header_without_end_is_refused_before_it_ends(field):
    """The parser collects a field until it is whole."""
    start = b"GET /" if not field else b"GET / HTTP/1.1\r\nHost: a\r\n" + field
    with listening() as listener, connected(listener.port) as client:
        client.sendall(start + b"a" * 300_000)
        told = statuses(all_of(client))
        assert told in ([431], [414])
        assert not listener.seen


def test_no_more_than_a_share_is_taken_apart_while_an_answer_is_due():
    with listening(hold=True) as listener, connected(listener.port) as client:
        client.sendall(GOOD * 2000)
        deadline = time.monotonic() + 20
        while not listener.held:
            assert time.monotonic() < deadline
        (connection,) = listener.watch.open
        assert listener.on_loop(lambda: len(connection._waiting)) <= SHARE_BYTES // len(GOOD) + 1
        for count in range(1, 2001):
            while len(listener.seen) < count:
                assert time.monotonic() < deadline + 60
            listener.release()
        listener.on_loop(lambda: None)
        assert len(listener.seen) == 2000
