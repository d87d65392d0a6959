"""Requests that are taken many at a time beside the way of all requests: the same bytes, sent one
connection each to a server with a lane and to one without, bring the same events and get the same
answers.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import select
import threading
from contextlib import contextmanager
from urllib.parse import quote

import msgpack
import pytest

import zuji
from tests.server.listening import WAIT_S, all_of, connected
from zuji.engine.errors import InvalidEvent, StorageFailed
from zuji.server.auth import KeyRing, Kind, make_key, revoke_key
from zuji.server.collector import app
from zuji.server.collector.app import Collector
from zuji.server.collector.http import Watch
from zuji.server.meta import open_store
from zuji.server.metrics import Metrics
from zuji.server.projects import Projects
from zuji.server.protocols._sensors import hash_code
from zuji.server.settings import Settings

NOON = 1_790_827_200_000


class Live:
    """A collector in a thread. ``taken``: requests that went through the lane. ``events``,
    ``refused``: what was stored. ``fails``: what storing a batch gives instead, if it gives any.
    """


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """A token is known for as long as a test takes."""
    monkeypatch.setattr(app, "KNOWN_MS", 60_000)


@contextmanager
def collecting(folder, *, quickly=True, **settings):
    live, ready = Live(), threading.Event()
    # What is recorded is what goes through the queue of all: nobody has one of his own.
    live.settings = Settings(data=str(folder), refused_rate=0, **settings)
    live.store = open_store(str(folder), "")
    live.metrics = Metrics()
    live.taken, live.events, live.refused = 0, [], []
    live.fails = lambda _batch: None

    async def main():
        loop = asyncio.get_running_loop()
        live.loop, live.end = loop, asyncio.Event()
        live.projects = Projects(live.settings, loop, live.store)
        await asyncio.to_thread(live.projects.open_all)
        for project in live.projects.all():
            recording(live, project.gatherer)
        live.keys = KeyRing(live.store, dev=live.settings.dev)
        collector = Collector(live.settings, live.projects, live.keys, live.metrics, loop)

        def take(data, connection):
            taken = collector.quickly(data, connection)
            live.taken += taken
            return taken

        live.watch = Watch(live.settings, collector.handle, take if quickly else None)
        server = await loop.create_server(live.watch.protocol, "127.0.0.1", 0)
        live.port = server.sockets[0].getsockname()[1]
        ready.set()
        await live.end.wait()
        server.close()
        await live.watch.drain(5)
        await asyncio.to_thread(collector.close)
        await asyncio.to_thread(live.projects.close)

    live.thread = threading.Thread(target=lambda: asyncio.run(main()))
    live.thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield live
    finally:
        live.loop.call_soon_threadsafe(live.end.set)
        live.thread.join(WAIT_S)
        live.store.close()


def recording(live, gatherer):
    append = gatherer._append

    def recorded(batches, refused):
        failures = {at: error for at, one in enumerate(batches) if (error := live.fails(one))}
        good = [one for at, one in enumerate(batches) if at not in failures]
        results = iter(append(good, refused))
        for batch in good:
            live.events += msgpack.unpackb(batch, timestamp=3)
        live.refused += [(one.reason, one.path, one.raw) for one in refused]
        return [failures[at] if at in failures else next(results) for at in range(len(batches))]

    gatherer._append = recorded


def record(i, **more):
    return {
        "type": "track",
        "event": "view",
        "time": NOON + i,
        "distinct_id": f"d{i}",
        "properties": {"n": i, "city": "济南"},
        **more,
    }


def data_of(value, *, zipped=False):
    text = json.dumps(value, ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(text, mtime=0) if zipped else text)


def get(value, path="/sa.gif", head=b"", rest=b"", token=b"default", zipped=False):
    data = data_of(value, zipped=zipped)
    ext = b"crc%%3D%d" % hash_code(data)
    target = b"%b?data=%b&ext=%b&token=%b%b" % (
        *(path.encode(), quote(data).encode(), ext, token),
        rest,
    )
    return b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n"


def post(value, path="/sa?token=default", head=b"", zipped=False):
    body = b"data_list=" + quote(data_of(value, zipped=zipped), safe="").encode()
    lines = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % (path.encode(), len(body))
    return lines + head + b"\r\n" + body


LAST = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def answered(port, *requests):
    """Answers to requests on one connection, each sent when the one before was answered."""
    with connected(port) as client:
        for request in requests:
            client.sendall(request)
            yield answer_of(client, bare=request.startswith(b"HEAD"))
        client.sendall(LAST)
        assert all_of(client).startswith(b"HTTP/1.1 200 OK")


def answer_of(client, *, bare=False):
    found = b""
    while b"\r\n\r\n" not in found:
        found += client.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while not bare and length and len(body) < int(length[0].split(b":")[1]):
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def key(event):
    return repr(sorted(event.items(), key=repr))


SDKS = {
    "pixel": get(record(1)),
    "no crc, /sa": get(record(2), "/sa").replace(b"ext", b"x"),
    "a list in a body": post([record(3), record(4)]),
    "a cookie": get(record(5), head=b"Cookie: a=b\r\nUser-Agent: x\r\n"),
    "profile": get({**record(6), "type": "profile_set"}),
    "no records": post([]),
    "gzip": post([record(10)], zipped=True),
    "gzip in a target": get(record(28), zipped=True),
}
APART = {  # known when they are read
    "an item": get({**record(12), "type": "item_set", "item_id": "1", "item_type": "x"}),
    "a record that is none": post([record(13), {"type": "no"}, record(14)]),
    "wrong crc": get(record(15)).replace(b"crc%3D", b"crc%3D1"),
    "encrypted": get(record(21), rest=b"&gzip=9"),
    "no gzip after all": post([record(29)], zipped=True).replace(b"H4sI", b"H4sJ"),
    "a bomb": post([record(30, pad="x" * 200_000)], zipped=True),
}
ODD = {  # known at the door
    "another token": get(record(7), token=b"other"),
    "another origin": get(record(11), head=b"Origin: http://a\r\n"),
    "cut": get(record(16), rest=b"&data_list=e"),
    "no token": get(record(17), token=b""),
    "token in the body": post([record(18)], "/sa"),
    "escaped token": get(record(19), token=b"%64efault"),
    "encoding": get(record(20), rest=b"&encoding=no"),
    "debug": post([record(22)], "/debug?token=default"),
    "to nowhere": get(record(23), "/sb"),
    "options": get(record(24)).replace(b"GET", b"OPTIONS"),
    "head": get(record(25)).replace(b"GET", b"HEAD"),
    "old http": get(record(26)).replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"),
    "chunked": post([record(27)])
    .replace(b"Content-Length: ", b"X: ")
    .replace(b"Host: a\r\n", b"Host: a\r\nTransfer-Encoding: chunked\r\n")
    .partition(b"\r\n\r\n")[0]
    + b"\r\n\r\n3\r\nx=1\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", [*SDKS, *APART, *ODD])
def test_both_ways_store_and_answer_the_same(tmp_path, name):
    asked = {**SDKS, **APART, **ODD}[name]
    seen = []
    for quickly in (True, False):
        folder = tmp_path / str(quickly)
        with collecting(folder, quickly=quickly, dev=True) as live:
            told = list(answered(live.port, get(record(0)), get(record(9)), asked, asked))
            counted = {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for metric in live.metrics.collect()
                for sample in metric.samples
            }
        seen.append((told, sorted(map(key, live.events)), sorted(live.refused), counted))
        if quickly:
            assert live.taken == (1 if name in ODD else 3)  # the first one asks for the key
    assert seen[0] == seen[1]


def crowd(port, requests):
    """Answers to requests of as many connections, all sent before the first answer is read."""
    clients = [connected(port) for _ in requests]
    try:
        for client, request in zip(clients, requests, strict=True):
            client.sendall(request)
        return [answer_of(client) for client in clients]
    finally:
        for client in clients:
            client.close()


def test_many_at_once_are_each_stored_and_answered(tmp_path):
    with collecting(tmp_path, dev=True) as live:
        list(answered(live.port, get(record(0))))
        asked = [get(record(i)) if i % 3 else post([record(i)]) for i in range(1, 301)]
        asked[100] = get({"type": "no"})
        told = crowd(live.port, asked)
        assert all(one.startswith(b"HTTP/1.1 200 OK") for one in told)
        assert [one.endswith(b"\x01\x00;") for one in told] == [
            one.startswith(b"GET") for one in asked
        ]
        assert live.taken == 300
        assert sorted(event["time"] for event in live.events) == [
            NOON + i for i in range(301) if i != 101
        ]
        assert [reason for reason, _, _ in live.refused] == ["bad_type"]
        assert live.projects.get("default").gatherer.waiting_bytes == 0


def test_what_could_not_be_stored_is_told_to_those_that_it_was_of(tmp_path):
    with collecting(tmp_path, dev=True) as live:
        list(answered(live.port, get(record(0))))
        live.fails = lambda _batch: StorageFailed("the disk is gone")
        told = crowd(live.port, [get(record(i)) for i in range(1, 5)])
        assert all(one.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in one for one in told)
        live.fails = lambda _batch: None
        told = crowd(live.port, [get(record(i)) for i in range(5, 9)])
        assert all(one.startswith(b"HTTP/1.1 200 ") for one in told)
    assert sorted(event["time"] - NOON for event in live.events) == [0, 5, 6, 7, 8]


def test_one_that_spoils_a_batch_touches_no_other(tmp_path):
    """No request is known that does: the storage says so of a city here."""
    with collecting(tmp_path, dev=True) as live:
        list(answered(live.port, get(record(0))))
        bad = record(3, properties={"city": "nowhere"})
        live.fails = lambda batch: (
            InvalidEvent("no", -1, "malformed") if b"nowhere" in batch else None
        )
        told = crowd(live.port, [get(bad if i == 3 else record(i)) for i in range(1, 6)])
        assert [one[9:12] for one in told] == [b"200", b"200", b"503", b"200", b"200"]
    assert sorted(event["time"] - NOON for event in live.events) == [0, 1, 2, 4, 5]


def test_too_much_that_waits_is_refused(tmp_path):
    held, begun = threading.Event(), threading.Event()

    def stop(_batch):
        begun.set()
        assert held.wait(WAIT_S)

    with collecting(tmp_path, dev=True, queue_bytes=8_000) as live:
        list(answered(live.port, get(record(0))))
        live.fails = stop
        clients = [connected(live.port) for _ in range(20)]
        clients[0].sendall(get(record(1)))
        assert begun.wait(WAIT_S)
        for i, client in enumerate(clients[1:]):
            client.sendall(get(record(2 + i)))
        refused = select.select(clients, [], [], WAIT_S)[0][0]
        told = answer_of(refused)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in told
        assert live.projects.get("default").gatherer.waiting_bytes <= 8_000
        held.set()
        told = [answer_of(client)[9:12] for client in clients if client is not refused]
        for client in clients:
            client.close()
    assert live.taken < 21
    assert told.count(b"200") == len(live.events) - 1


def test_a_key_taken_back_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "KNOWN_MS", 1)
    zuji.open(tmp_path, "default").close()
    with collecting(tmp_path) as live:
        key, text = make_key(live.store, "default", Kind.WRITE)
        (told,) = answered(live.port, get(record(0), token=text.encode()))
        assert told.startswith(b"HTTP/1.1 200 ")
        revoke_key(live.store, key.id)
        for _ in range(1000):
            told = next(answered(live.port, get(record(1), token=text.encode())))
            if not told.startswith(b"HTTP/1.1 200 "):
                break
        assert told.startswith(b"HTTP/1.1 403 ")


def test_what_waits_is_stored_when_the_server_stops(tmp_path):
    with collecting(tmp_path, dev=True) as live:
        list(answered(live.port, get(record(0))))
        clients = [connected(live.port) for _ in range(30)]
        for i, client in enumerate(clients):
            client.sendall(get(record(1 + i)))
            if i % 2:
                client.close()  # gone before the answer
        told = [answer_of(client)[9:12] for client in clients[::2]]
    for client in clients[::2]:
        assert client.recv(1) == b""
        client.close()
    assert told == [b"200"] * 15
    with zuji.open(tmp_path, "default") as engine:
        assert engine.status()["rows"] >= 16
