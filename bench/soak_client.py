"""One sender of the soak, in a process of its own: ``python -m bench.soak_client FOLDER …``.

Sends batches of 1,000 events to a collector as fast as they are acknowledged, over several
connections, until a line comes on standard input; then prints what became of them as JSON. What is
answered 503 is sent again after the time that the answer names, as SDKs do.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.batches import Renewable, read_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_S = 60.0
AGAIN_S = 0.2


class Sender:
    """Several connections of one client. ``first``, ``of``: its rounds of the batches are
    first, first + of, …, so that no two clients send the same events.
    """

    def __init__(self, port: int, key: str, folder: Path, first: int, of: int) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/msgpack"}
        self._source = self._rounds(
            [Renewable(b) for b in read_batches(folder, "msgpack")], first, of
        )
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.totals: Counter[str] = Counter()
        self.acks_ms: list[float] = []

    @staticmethod
    def _rounds(batches: list[Renewable], first: int, of: int) -> Iterator[bytes]:
        for number in count(first, of):
            for batch in batches:
                yield batch.turn(number)

    def run(self, connections: int) -> dict[str, Any]:
        """Sends until a line comes on standard input."""
        threads = [threading.Thread(target=self._send) for _ in range(connections)]
        for thread in threads:
            thread.start()
        sys.stdin.readline()
        self._ended.set()
        for thread in threads:
            thread.join()
        return {"totals": self.totals, "acks_ms": self.acks_ms}

    def _send(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        while not self._ended.is_set():
            with self._lock:
                body = next(self._source)
            while not self._taken(connection, body):
                pass
        connection.close()

    def _taken(self, connection: HTTPConnection, body: bytes) -> bool:
        """Whether the batch needs not be sent again."""
        began = time.perf_counter()
        try:
            connection.request("POST", "/v1/events", body, self._headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, HTTPException) as problem:
            connection.close()
            with self._lock:
                self.totals[type(problem).__name__] += 1
            self._ended.wait(AGAIN_S)
            return self._ended.is_set()
        waited = (time.perf_counter() - began) * 1000
        with self._lock:
            self.totals[f"status {answer.status}"] += 1
            if answer.status == 200:
                told = json.loads(said)
                self.totals["accepted"] += told["accepted"]
                self.totals["duplicates"] += told["duplicates"]
                self.totals["rejected"] += len(told["rejected"])
                self.acks_ms.append(round(waited, 2))
        if answer.status == 200:
            return True
        time.sleep(float(answer.getheader("Retry-After") or AGAIN_S))
        return False


def main() -> None:
    """See the module."""
    words = argparse.ArgumentParser("python -m bench.soak_client", description=__doc__)
    words.add_argument("folder", type=Path, help="of the encoded batches")
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--key", required=True)
    words.add_argument("--first", type=int, required=True)
    words.add_argument("--of", type=int, required=True)
    words.add_argument("--connections", type=int, default=2)
    options = words.parse_args()
    sender = Sender(options.port, options.key, options.folder, options.first, options.of)
    print(json.dumps(sender.run(options.connections)))


if __name__ == "__main__":
    main()
