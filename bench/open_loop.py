"""``python -m bench.open_loop``: requests at a constant rate, whatever the server does.

Latency is counted from the moment at which a request should have been sent, so a server that stops
for a second is blamed for all that would have come in that second. Times go into buckets 1 % wide.
Its own process, so its CPU is not the server's; it prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TICK_S = 0.001
WIDTH = math.log(1.01)


class Client(asyncio.Protocol):
    """A connection; one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._due = 0.0
        self._answer = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport

    def send(self, due: float, request: bytes) -> None:
        """Sends a request that was due then."""
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._answer, 0, end)
        if len(self._answer) < end + 4 + (int(length[1]) if length else 0):
            return
        good, self._answer = self._answer[9:10] == b"2", b""
        self._load.answered(self, time.perf_counter() - self._due, good=good)

    def connection_lost(self, _error: Exception | None) -> None:
        """See asyncio."""
        self._load.lost += 1


class Load:
    """``rate`` requests a second for ``seconds``."""

    def __init__(self, requests: list[bytes], rate: float, seconds: float) -> None:
        self._requests = requests
        self._rate = rate
        self._seconds = seconds
        self._free: deque[Client] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._times: Counter[int] = Counter()
        self.good = self.bad = self.lost = 0

    def answered(self, client: Client, seconds: float, *, good: bool) -> None:
        """An answer came."""
        self._times[max(0, math.ceil(math.log(max(seconds, 1e-6) / 1e-6) / WIDTH))] += 1
        self.good += good
        self.bad += not good
        if self._waiting:
            client.send(*self._waiting.popleft())
        else:
            self._free.append(client)

    async def run(self, host: str, port: int, connections: int) -> dict[str, Any]:
        """Sends all and waits for what is due, 10 s at most."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, client = await loop.create_connection(lambda: Client(self), host, port)
            self._free.append(client)
        began, sent, total = time.perf_counter(), 0, int(self._rate * self._seconds)
        while sent < total:
            due = min(total, int((time.perf_counter() - began) * self._rate))
            for i in range(sent, due):
                one = began + i / self._rate, self._requests[i % len(self._requests)]
                if self._free:
                    self._free.popleft().send(*one)
                else:
                    self._waiting.append(one)
            sent = due
            await asyncio.sleep(TICK_S)
        until = time.perf_counter() + 10
        while self.good + self.bad < total and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        return {
            "rate": self._rate,
            "sent": sent,
            "good": self.good,
            "bad": self.bad,
            "unanswered": total - self.good - self.bad,
            **{f"p{p:g}_ms": self.percentile(p) for p in (50, 90, 99, 99.9, 100)},
        }

    def percentile(self, percent: float) -> float:
        """Milliseconds within which so many per cent were answered."""
        wanted = math.ceil(percent / 100 * self._times.total())
        seen = 0
        for bucket, count in sorted(self._times.items()):
            seen += count
            if seen >= wanted:
                return round(1e-3 * math.exp(bucket * WIDTH), 3)
        return math.nan


def read(folder: Path) -> list[bytes]:
    """Requests as files in a folder, in the order of their numbers."""
    return [path.read_bytes() for path in sorted(folder.glob("*.raw"))]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.open_loop", description=__doc__)
    parser.add_argument("folder", type=Path, help="requests, as they go over the wire: *.raw")
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=256)
    args = parser.parse_args()
    host, _, port = args.address.rpartition(":")
    load = Load(read(args.folder), args.rate, args.seconds)
    print(json.dumps(uvloop.run(load.run(host, int(port), args.connections))))


if __name__ == "__main__":
    main()
