"""A small collector over real HTTP: it stores, answers by the protocol, and fails as it is told."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

import msgpack

Answer = Any  # (status, headers, document) | "drop" (store, then hang up) | None (store)


class Collector:
    """What came is in `batches` (batch_id → bytes, inflated), `events` and `requests`."""

    def __init__(self) -> None:
        self.batches: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.changed: list[str] = []  # ids of batches that came again with other bytes
        self.script: list[Answer] = []  # answers to give before normal ones, in order
        self.answer: Callable[[dict[str, Any]], Answer] = lambda request: None
        self.lock = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                collector._post(self)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, address: Any) -> None:
                pass  # clients are killed here

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, condition: Callable[[], bool], timeout: float = 20) -> None:
        with self.lock:
            assert self.lock.wait_for(condition, timeout), "it did not come to that"

    @property
    def numbers(self) -> list[int]:
        """The property `n` of every stored event."""
        with self.lock:
            return [event["properties"]["n"] for event in self.events]

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(int(handler.headers["Content-Length"]))
        encoding = handler.headers.get("Content-Encoding")
        body = sent
        if encoding == "gzip":
            body = gzip.decompress(sent)
        elif encoding == "zstd":
            import zstandard

            body = zstandard.ZstdDecompressor().decompress(sent)
        batch = msgpack.unpackb(body)
        request = {
            "path": handler.path,
            "headers": dict(handler.headers),
            "sent": sent,
            "body": body,
            "batch": batch,
            "peer": handler.client_address,
        }
        with self.lock:
            self.requests.append(request)
            answer = self.script.pop(0) if self.script else self.answer(request)
            status, headers, document = 200, {}, None
            if answer not in (None, "drop"):
                status, headers, document = answer
            if status == 200 and document is None:
                document = self._store(batch, body)
            self.lock.notify_all()
        if answer == "drop":
            handler.close_connection = True
            handler.connection.close()
            return
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _store(self, batch: dict[str, Any], body: bytes) -> dict[str, Any]:
        events, batch_id = batch["events"], batch["batch_id"]
        before = self.batches.setdefault(batch_id, body)
        if before is not body:
            if before != body:
                self.changed.append(batch_id)
            return {"accepted": 0, "duplicates": len(events), "rejected": []}
        self.events.extend(events)
        return {"accepted": len(events), "duplicates": 0, "rejected": []}
