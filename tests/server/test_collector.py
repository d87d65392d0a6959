"""The collector in a thread of the test: whose a request is, and which thread finds that out."""

import asyncio
import json
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgpack
import pytest

import zuji
from zuji.server.auth import KeyRing, Kind, make_key
from zuji.server.collector import app
from zuji.server.collector.app import Collector
from zuji.server.collector.http import Watch
from zuji.server.collector.message import Events, Taken, json_answer
from zuji.server.errors import BadBody
from zuji.server.meta import open_store
from zuji.server.metrics import Metrics
from zuji.server.projects import Projects
from zuji.server.protocols.base import Protocol
from zuji.server.protocols.native import NATIVE, failed
from zuji.server.settings import Settings

NOON = 1_790_827_200_000


def event(i):
    return {"event": "go", "time": NOON + i, "user_id": f"u{i}"}


def _convert(_request, body, _settings):
    said = json.loads(body)
    if "events" not in said:
        raise BadBody("no events")
    packed = b"".join(map(msgpack.packb, said["events"]))
    events = Events(len(said["events"]), 8 * len(said["events"]), packed)
    return Taken(events=(events,), key=said.get("key", ""))


KEY_IN_BODY = Protocol(
    name="inside",
    paths={"/inside": ("POST",)},
    key=lambda _request: None,
    convert=_convert,
    stored=lambda _request, _taken, results: json_answer({"n": [r.accepted for r in results]}),
    failed=failed,
    fixed={},
)


class Live:
    """``address``: of the collector; the rest are its parts."""


@contextmanager
def collecting(tmp_path, monkeypatch, **settings):
    monkeypatch.setattr(app, "PROTOCOLS", (NATIVE, KEY_IN_BODY))
    live, ready = Live(), threading.Event()
    live.settings = Settings(data=str(tmp_path), **settings)
    live.store = open_store(str(tmp_path), "")
    live.metrics = Metrics()

    async def main():
        loop = asyncio.get_running_loop()
        live.loop, live.end = loop, asyncio.Event()
        live.projects = Projects(live.settings, loop, live.store)
        await asyncio.to_thread(live.projects.open_all)
        keys = KeyRing(live.store, dev=live.settings.dev)
        collector = Collector(live.settings, live.projects, keys, live.metrics, loop)
        watch = Watch(live.settings, collector.handle)
        server = await loop.create_server(watch.protocol, "127.0.0.1", 0)
        live.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await live.end.wait()
        server.close()
        await watch.drain(5)
        await asyncio.to_thread(collector.close)
        await asyncio.to_thread(live.projects.close)

    live.thread = threading.Thread(target=lambda: asyncio.run(main()))
    live.thread.start()
    assert ready.wait(20)
    try:
        yield live
    finally:
        live.loop.call_soon_threadsafe(live.end.set)
        live.thread.join(20)
        live.store.close()


@pytest.mark.parametrize("path", ["/v1/events", "/inside"])
def test_a_project_made_meanwhile_is_opened_on_no_loop(tmp_path, monkeypatch, path):
    """Opening a project is its recovery, which takes as long as its log is."""
    zuji.open(tmp_path, "old").close()
    with collecting(tmp_path, monkeypatch) as live:
        zuji.open(tmp_path, "new").close()
        _, key = make_key(live.store, "new", Kind.WRITE)
        opened, opening = [], Projects._open_one

        def watched(self, name, *, make):
            opened.append((name, threading.current_thread()))
            return opening(self, name, make=make)

        monkeypatch.setattr(Projects, "_open_one", watched)
        for i in range(3):
            body = [event(i)] if path == "/v1/events" else {"key": key, "events": [event(i)]}
            headers = {"Authorization": f"Bearer {key}"} if path == "/v1/events" else {}
            answer = httpx.post(live.address + path, json=body, headers=headers)
            assert answer.status_code == 200, answer.text
        assert [name for name, _ in opened] == ["new"]
        assert opened[0][1] is not live.thread
        assert live.projects.get("new").engine.status()["rows"] == 3


def test_a_body_that_carries_the_key(tmp_path, monkeypatch):
    zuji.open(tmp_path, "bank").close()
    with collecting(tmp_path, monkeypatch) as live:
        _, write = make_key(live.store, "bank", Kind.WRITE)
        _, read = make_key(live.store, "bank", Kind.READ)

        def send(**body):
            answer = httpx.post(f"{live.address}/inside", json=body, headers={"Origin": "http://a"})
            assert answer.headers["access-control-allow-origin"] == "http://a"
            return answer.status_code, answer.json()

        assert send(key=write, events=[event(1), event(2)]) == (200, {"n": [2]})
        assert send(events=[event(3)])[0] == 401
        assert send(key="zk_w_aaaaaaaa_" + "a" * 32, events=[event(3)])[0] == 401
        assert send(key=read, events=[event(3)])[0] == 403
        assert send(key=write)[0] == 400
        answer = httpx.post(f"{live.address}/inside", content=b"{")
        assert answer.status_code == 503  # a bug of a converter is not the sender's fault
        assert live.projects.get("bank").engine.status()["rows"] == 2
        page = live.metrics.page().decode()
    assert 'zuji_events_total{project="bank",protocol="inside"} 2.0' in page
    assert 'zuji_refused_requests_total{code="unauthorized",protocol="inside"} 2.0' in page


def test_requests_of_a_project_that_is_gone(tmp_path, monkeypatch):
    zuji.open(tmp_path, "bank").close()
    with collecting(tmp_path, monkeypatch) as live:
        _, key = make_key(live.store, "none", Kind.WRITE)
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{live.address}/v1/events", json=[event(1)], headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert live.projects.get("bank").engine.status()["rows"] == 0


def test_what_two_senders_send_at_once_is_told_apart(tmp_path, monkeypatch):
    """64 at a time: they share batches."""
    with collecting(tmp_path, monkeypatch, dev=True) as live:

        async def all_of_them():
            async with httpx.AsyncClient() as client:

                async def send(i):
                    body = [event(i)] * (i % 3 + 1) + ([{"event": "go"}] if i % 5 == 0 else [])
                    answer = await client.post(
                        f"{live.address}/v1/events", content=msgpack.packb(body)
                    )
                    return answer.json()

                return await asyncio.gather(*(send(i) for i in range(64)))

        for i, said in enumerate(asyncio.run(all_of_them())):
            assert said["accepted"] == i % 3 + 1
            assert [one["index"] for one in said["rejected"]] == ([i % 3 + 1] if i % 5 == 0 else [])


def test_the_columnar_example_of_the_docs_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/server.md").read_text(encoding="utf-8")
    example = page.split("### In columns")[1].split("```python\n")[1].split("```")[0]
    zuji.open(tmp_path, "bank").close()
    with collecting(tmp_path, monkeypatch) as live:
        _, key = make_key(live.store, "bank", Kind.WRITE)
        for accepted in (True, False):
            try:
                exec(example, {"collector": live.address, "key": key})
            except AssertionError:
                assert not accepted  # the same batch again is a repeat
        assert live.projects.get("bank").engine.status()["rows"] == 1
        answer = httpx.post(
            f"{live.address}/v1/events",
            content=b"[]",
            headers={
                "Authorization": f"Bearer {key}",
                "Content-Type": "application/vnd.apache.arrow.stream",
            },
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
