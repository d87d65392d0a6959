"""What tests of imports share: running `zuji import`, and servers before which it stands: one that
breaks what passes, one that answers as it is told.
"""

from __future__ import annotations

import gzip
import http.client
import os
import random
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zstandard

from tests import warm

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("ZUJI_")},
    "PYTHONPATH": str(ROOT / "src"),
}


class Forking:
    """Runs `zuji` commands one after the other."""

    def __init__(self, folder):
        self._folder = folder

    def run(self, *arguments, kill_after=None, environment=None):
        """Exit status and what was printed; status -9 when it was killed after so many seconds."""
        with tempfile.TemporaryFile() as log:
            command = warm.Started(
                arguments,
                cwd=self._folder,
                env={**ENVIRONMENT, **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                status = command.wait(kill_after)
            except subprocess.TimeoutExpired:
                command.kill()
                status = command.wait()
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        assert "Traceback" not in said, said
        assert "internal error" not in said, said
        return status, said


class Flaky:
    """A proxy before a collector. ``faults``: chances of "busy" (503), "drop" (no answer, nothing
    passed on) and "lose" (passed on, and the answer lost).
    """

    def __init__(self, address, faults, seed=1):
        self.passed = 0
        self.broken = 0
        self.bodies = []
        chance = random.Random(seed)
        lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    drawn = chance.random()
                    fault = None
                    for name, share in faults.items():
                        if drawn < share:
                            fault = name
                            break
                        drawn -= share
                    proxy.passed += fault is None
                    proxy.broken += fault is not None
                    proxy.bodies.append((self.headers["Content-Encoding"], len(body)))
                if fault == "busy":
                    self._answer(503, b"{}", {"Retry-After": "0"})
                    return
                if fault == "drop":
                    self.close_connection = True
                    return
                status, found, headers = self._onward(body)
                if fault == "lose":
                    self.close_connection = True
                    return
                self._answer(status, found, headers)

            def _onward(self, body):
                onward = http.client.HTTPConnection(address, timeout=30)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                try:
                    onward.request("POST", self.path, body, headers)
                    response = onward.getresponse()
                    return response.status, response.read(), {}
                except OSError:
                    return 502, b"", {}
                finally:
                    onward.close()

            def _answer(self, status, body, headers):
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # the importer was killed
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Answering:
    """A server that gives these answers, then the same for ever. An answer: status, body, headers;
    None drops the connection. ``most``: requests that were under way at once.
    """

    def __init__(self, answers, then, slow=0.0):
        self.bodies = []
        self.codings = []
        self.authorizations = []
        self.most = 0
        waiting = list(answers)
        lock = threading.Lock()
        now = [0]
        mine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                coding = self.headers["Content-Encoding"]
                with lock:
                    now[0] += 1
                    mine.most = max(mine.most, now[0])
                    mine.bodies.append(_plain(body, coding))
                    mine.codings.append(coding)
                    mine.authorizations.append(self.headers["Authorization"])
                    answer = waiting.pop(0) if waiting else then
                if slow:
                    time.sleep(slow)
                with lock:
                    now[0] -= 1
                if answer is None:
                    self.close_connection = True
                    return
                status, found, headers = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _plain(body, coding):
    if coding == "gzip":
        return gzip.decompress(body)
    return zstandard.decompress(body) if coding == "zstd" else body
