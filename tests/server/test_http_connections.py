"""Connections: kept, pipelined, slow, idle, too many, ended."""

import asyncio
import time

import pytest

from tests.server.listening import all_of, connected, listening, statuses
from zuji.server.settings import Settings

GOOD = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
LAST = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend"


def test_pipelined_requests_are_answered_in_order_one_at_a_time():
    with listening(hold=True) as listener, connected(listener.port) as client:
        client.sendall(GOOD * 20 + LAST)
        for count in range(1, 22):
            wait_for(listener, lambda count=count: len(listener.seen) == count)
            assert len(listener.held) == 1
            listener.release()
        assert statuses(all_of(client)) == [200] * 21


def wait_for(listener, condition):
    """Asks on the loop's thread until it is so; 20 s at most."""
    until = time.monotonic() + 20
    while not listener.on_loop(condition):
        assert time.monotonic() < until, "it never came to be"


def test_a_connection_is_kept_until_somebody_says_close():
    with listening() as listener, connected(listener.port) as client:
        for _ in range(3):
            client.sendall(GOOD)
            assert b"Connection: keep-alive" in client.recv(4096)
        client.sendall(LAST)
        assert b"Connection: close" in all_of(client)


def test_http_1_0_is_closed_unless_it_asks():
    with listening() as listener, connected(listener.port) as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"keep-alive" in client.recv(4096)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert statuses(all_of(client)) == [200]


def test_a_head_has_no_body():
    with listening() as listener, connected(listener.port) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head, _, body = all_of(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert body == b""


def test_the_body_is_asked_for():
    with listening() as listener, connected(listener.port) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("limit", "sent", "status"),
    [
        ({"header_seconds": 0.5}, b"GET / HTTP/1.1\r\nHo", [408]),
        ({"idle_seconds": 0.5}, b"", []),
        ({"idle_seconds": 0.5}, GOOD, [200]),
    ],
    ids=["header", "idle from the start", "idle after a request"],
)
def test_slow_ones_are_closed(limit, sent, status):
    with (
        listening(Settings(**limit), sweep=True) as listener,
        connected(listener.port) as client,
    ):
        client.sendall(sent)
        assert statuses(all_of(client)) == status


def test_a_slow_body_is_closed(monkeypatch):
    monkeypatch.setattr("zuji.server.collector.http.GRACE_S", 0.2)
    with listening(sweep=True) as listener, connected(listener.port) as client:
        client.sendall(GOOD[:-1])
        assert statuses(all_of(client)) == [408]
        assert not listener.seen
        assert listener.watch.refused["slow_body"] == 1


def test_a_held_request_is_never_overdue():
    settings = Settings(idle_seconds=0.1, header_seconds=0.1)
    with listening(settings, hold=True) as listener, connected(listener.port) as client:
        client.sendall(GOOD)
        wait_for(listener, lambda: listener.held)
        (connection,) = listener.watch.open
        assert listener.on_loop(lambda: connection.overdue(1e18)) is None
        listener.release()
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("name", ["connections", "address_connections"])
def test_too_many_connections(name):
    with listening(Settings(**{name: 3})) as listener:
        clients = [connected(listener.port) for _ in range(3)]
        for client in clients:
            client.sendall(GOOD)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        with connected(listener.port) as fourth:
            assert all_of(fourth) == b""
        assert listener.watch.refused[name] == 1
        clients.pop().close()
        wait_for(listener, lambda: len(listener.watch.open) == 2)
        with connected(listener.port) as again:
            again.sendall(GOOD)
            assert again.recv(4096).startswith(b"HTTP/1.1 200")
        for client in clients:
            client.close()


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_client_sent_before_it_went_away_is_handled(count):
    with listening(hold=True) as listener:
        client = connected(listener.port)
        client.sendall(GOOD * count)
        wait_for(listener, lambda: listener.held)
        client.close()
        for _ in range(count):
            wait_for(listener, lambda: listener.held or not listener.watch.open)
            listener.release()
        wait_for(listener, lambda: not listener.watch.open)
        assert 1 <= len(listener.seen) <= count


def test_the_end_waits_for_answers():
    with listening(hold=True) as listener:
        busy, idle = connected(listener.port), connected(listener.port)
        busy.sendall(GOOD)
        wait_for(listener, lambda: len(listener.watch.open) == 2 and listener.held)
        ending = asyncio.run_coroutine_threadsafe(listener.watch.drain(5.0), listener.loop)
        assert all_of(idle) == b""
        assert not ending.done()
        listener.release()
        answered = all_of(busy)
        assert statuses(answered) == [200]
        assert b"Connection: close" in answered
        ending.result(5)
        busy.close()
        idle.close()
