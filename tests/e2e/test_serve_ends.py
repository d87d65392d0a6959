"""How a server ends while it is busy: what it acknowledged is not lost, and it is gone in time."""

import signal
import socket
import threading
import time

import httpx
import msgpack

import zuji
from tests.e2e.test_serve import NOON, served

STOP_S = 10.0


def body(name):
    return msgpack.packb([{"event": "go", "time": NOON, "user_id": name}])


class Load:
    """Clients that send one event after the other, each with a user of its own."""

    def __init__(self, server, cycle, clients=16):
        self.acked = []
        self.wrong = []
        self._server = server
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{cycle}-{n}",)) for n in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, name):
        with httpx.Client(timeout=20) as http:
            i = 0
            while not self._stop.is_set():
                user = f"{name}-{i}"
                i += 1
                try:
                    answer = http.post(f"{self._server.collect}/v1/events", content=body(user))
                except httpx.HTTPError:
                    return
                if answer.status_code == 200 and answer.json()["accepted"] == 1:
                    self.acked.append(user)
                elif answer.status_code != 503:
                    self.wrong.append(answer.text)

    def wait(self, count):
        until = time.monotonic() + 30
        while len(self.acked) < count:
            assert time.monotonic() < until

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def users(engine):
    found = engine.query(
        {
            "model": "event",
            "time": {"from": "2026-10-01", "to": "2026-10-01", "grain": "all"},
            "body": {"series": [{"e": "go", "measure": "users"}]},
        }
    )
    return found.rows[0][found.names.index("value")]


def test_sigterm_under_load(tmp_path):
    acked = []
    for cycle in range(3):
        with served(tmp_path, "--dev") as server:
            load = Load(server, cycle)
            load.wait(200)
            host, port = server.collect.removeprefix("http://").split(":")
            half = socket.create_connection((host, int(port)))  # a request that never ends
            half.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
            began = time.monotonic()
            assert server.stop(signal.SIGTERM) == 0
            assert time.monotonic() - began < STOP_S
            load.end()
            half.close()
            assert load.wrong == []
            assert not [line for line in server.log if "Traceback" in line], server.log
            acked += load.acked
    with zuji.open(tmp_path, mode="r") as engine:
        assert users(engine) >= len(set(acked)) == len(acked) >= 600


def test_kill_under_load_loses_no_single_event(tmp_path):
    acked = []
    for cycle in range(3):
        with served(tmp_path, "--dev") as server:
            load = Load(server, cycle)
            load.wait(200)
            server.stop(signal.SIGKILL)
            load.end()
            assert load.wrong == []
            acked += load.acked
    with zuji.open(tmp_path) as engine:
        # each user has one event, so sending it again shows whether it is there
        before = users(engine)
        engine.append_many([body(user) for user in acked])
        assert users(engine) == before
