"""The server as its clients meet it: a real process, real sockets, kill -9 in the middle."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import zuji
from tests import warm

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("ZUJI_")},
    "PYTHONPATH": str(ROOT / "src"),
}
HTTP = httpx.Client(verify=False, timeout=30)  # all of it is plain HTTP
COUNT = {
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-01", "grain": "all"},
    "body": {"series": [{"e": "go", "measure": "count"}, {"e": "go", "measure": "users"}]},
}
NOON = 1_790_827_200_000  # 2026-10-01 12:00 in Shanghai


class Served:
    """A server process; ``collect`` and ``api`` are its addresses."""

    def __init__(self, data, *flags):
        self.process = warm.Started(
            [
                *("serve", "--data", data, *flags),
                *("--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"),
            ],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
        )
        self.log = []
        self.collect = self.api = ""
        for line in self.process.stderr:
            self.log.append(line)
            if line.startswith("zuji: events at "):
                self.collect = line.split()[3]
            if line.startswith("zuji: queries at "):
                self.api = line.split()[3].rstrip(",")
            if " serving " in line:
                break
        else:
            raise AssertionError("".join(self.log))
        self._reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,))
        self._reader.start()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(20)
        self._reader.join()
        self.process.stderr.close()
        return status


@contextmanager
def served(data, *flags):
    server = Served(data, *flags)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def zuji_key(data, *arguments):
    done = warm.run(["key", *arguments, "--data", data], env=ENVIRONMENT, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def event(i, **more):
    return {"event": "go", "time": NOON + i, "user_id": f"u{i}", **more}


def counted(api, headers=None):
    answer = HTTP.post(f"{api}/v1/query", json=COUNT, headers=headers or {})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return values([column["name"] for column in found["columns"]], found["rows"])


def values(names, rows):
    """The values of all rows."""
    at = names.index("value")
    return tuple(row[at] for row in rows)


def test_without_a_key_nothing_is_taken_or_answered(tmp_path):
    zuji.open(tmp_path, "bank").close()
    write = zuji_key(tmp_path, "create", "--project", "bank", "--write")
    read = zuji_key(tmp_path, "create", "--project", "bank", "--read")
    with served(tmp_path) as server:

        def send(key=None, url="/v1/events"):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return HTTP.post(server.collect + url, json=[event(1)], headers=headers)

        def ask(key=None, path="/v1/query"):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return HTTP.post(server.api + path, json=COUNT, headers=headers)

        assert send().status_code == 401
        assert send("zk_w_aaaaaaaa_" + "a" * 32).json()["error"]["code"] == "unauthorized"
        assert send(read).status_code == 403
        assert ask().status_code == 401
        assert ask(write).status_code == 403
        assert send(write).json() == {"accepted": 1, "duplicates": 0, "rejected": []}
        assert send(url=f"/v1/events?key={write}").status_code == 200
        assert ask(read).status_code == 200
        assert ask(read, "/v1/query?project=other").status_code == 404
        for path in ("/v1/schema", "/v1/status"):
            assert HTTP.get(server.api + path).status_code == 401
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
            assert HTTP.get(server.api + path).status_code == 200
        zuji_key(tmp_path, "revoke", write)
        until = time.monotonic() + 5
        while send(write).status_code != 401:
            assert time.monotonic() < until
        assert server.stop() == 0


def test_answers_in_every_form(tmp_path):
    with served(tmp_path, "--dev") as server:
        sent = HTTP.post(f"{server.collect}/v1/events", json=[event(1), event(2), event(2)])
        assert sent.json()["accepted"] == 3
        assert counted(server.api) == (3, 2)
        ask = f"{server.api}/v1/query"
        assert HTTP.post(f"{ask}?format=csv", json=COUNT).text.count("\r\n") == 3
        import io

        import pyarrow as pa
        import pyarrow.parquet as pq

        arrow = HTTP.post(f"{ask}?format=arrow", json=COUNT).content
        parquet = HTTP.post(f"{ask}?format=parquet", json=COUNT).content
        assert pa.ipc.open_stream(arrow).read_all() == pq.read_table(io.BytesIO(parquet))
        told = HTTP.post(ask, json=COUNT, headers={"Accept": "text/event-stream"}).text
        assert told.strip().split("\n\n")[-1].startswith("event: result\ndata: {")
        assert HTTP.post(f"{ask}/explain", json=COUNT).status_code == 200
        wrong = HTTP.post(ask, json={**COUNT, "body": {"series": [{"x": 1}]}})
        assert wrong.status_code == 400
        assert wrong.json()["error"]["path"].startswith("$.body.series[0]")
        for bad in (b"", b"nonsense", b"[]", b"{" * 100_000, b"\xff"):
            answer = HTTP.post(ask, content=bad)
            assert answer.status_code == 400, bad[:10]
            assert answer.json()["error"]["code"] == "invalid_query"
        assert HTTP.post(f"{ask}?format=xml", json=COUNT).status_code == 400
        assert HTTP.get(ask).json()["error"]["code"] == "method_not_allowed"
        assert HTTP.get(f"{server.api}/none").json()["error"]["code"] == "not_found"
        schema = HTTP.get(f"{server.api}/v1/schema").json()
        assert [one["name"] for one in schema["events"]] == ["go"]
        page = HTTP.get(f"{server.api}/metrics").text
        assert 'zuji_events_total{project="default",protocol="native"} 3.0' in page


def test_a_batch_sent_again_is_stored_once_and_bad_events_are_told(tmp_path):
    with served(tmp_path, "--dev") as server:
        batch = {"batch_id": "b1", "events": [event(1), {"event": "go"}, event(2)]}
        first = HTTP.post(f"{server.collect}/v1/events", json=batch).json()
        assert first["accepted"] == 2
        assert [(r["index"], r["code"]) for r in first["rejected"]] == [(1, "missing_id")]
        again = HTTP.post(f"{server.collect}/v1/events", json=batch).json()
        assert (again["accepted"], again["duplicates"]) == (0, 2)
        assert again["rejected"] == first["rejected"]
        assert counted(server.api) == (2, 2)


def test_kill_and_restart_under_load_loses_nothing(tmp_path):
    """Clients repeat a batch until it is acknowledged, as SDKs do."""
    cycles, sent, acked = 5, 0, []
    for cycle in range(cycles):
        with served(tmp_path, "--dev") as server:
            stop = threading.Event()

            def client(number, server=server, stop=stop, cycle=cycle):
                with httpx.Client(verify=False, timeout=5) as http:
                    i = 0
                    while not stop.is_set():
                        name = f"{cycle}-{number}-{i}"
                        batch = {"batch_id": name, "events": [event(1, user_id=name)] * 3}
                        try:
                            answer = http.post(f"{server.collect}/v1/events", json=batch)
                        except httpx.HTTPError:
                            return
                        assert answer.status_code == 200, answer.text
                        acked.append(name)
                        i += 1

            clients = [threading.Thread(target=client, args=(n,)) for n in range(4)]
            for one in clients:
                one.start()
            until = time.monotonic() + 20
            while len(acked) < (cycle + 1) * 60:
                assert time.monotonic() < until
            server.stop(signal.SIGKILL if cycle % 2 else signal.SIGTERM)
            stop.set()
            for one in clients:
                one.join()
    with zuji.open(tmp_path, mode="r") as engine:
        users = engine.query(COUNT)
    rows = values(users.names, users.rows)
    with served(tmp_path, "--dev") as server:
        for name in acked:
            batch = {"batch_id": name, "events": [event(1, user_id=name)] * 3}
            again = HTTP.post(f"{server.collect}/v1/events", json=batch).json()
            assert again["duplicates"] == 3, name
            sent += 1
        assert counted(server.api) == rows
    assert rows[1] >= len(acked) == sent
    assert rows[0] == 3 * rows[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--collect", "nowhere"], "collect is host:port"),
        (["--collect", "192.0.2.1:80"], "--collect 192.0.2.1:80"),
        (["--dev", "--api", "0.0.0.0:0"], "must be on loopback"),
        (["--tls-cert", "x"], "go together"),
        (["--set", "queue=1"], "did you mean"),
    ],
)
def test_wrong_settings_are_said_in_a_line(tmp_path, flags, message):
    run = warm.run(["serve", "--data", tmp_path, *flags], env=ENVIRONMENT, text=True)
    assert run.returncode == 2, run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_a_client_that_goes_away_ends_its_query(tmp_path):
    with served(tmp_path, "--dev") as server:
        HTTP.post(f"{server.collect}/v1/events", json=[event(i) for i in range(1000)])
        for _ in range(20):
            host, port = server.api.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as client:
                body = json.dumps(COUNT).encode()
                head = f"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
                client.sendall(head.encode() + body)
        until = time.monotonic() + 10
        while "zuji_queries_running 0.0" not in HTTP.get(f"{server.api}/metrics").text:
            assert time.monotonic() < until
        assert counted(server.api) == (1000, 1000)
        assert not [line for line in server.log if "Traceback" in line]
        assert json.loads(HTTP.get(f"{server.api}/openapi.json").text)["openapi"] == "3.1.0"
