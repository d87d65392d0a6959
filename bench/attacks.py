"""Good clients beside hostile ones: ``python -m bench.attacks`` (``make bench-attacks``).

For each attack of bench/attack_kinds.py: good clients (a process of their own: four connections, a
batch of 50 events every 20 ms each) send for a while alone and then beside the attack; their 99th
percentile of both, what became of their requests, how much memory the server took on top, and
whether it still answers afterwards. The attackers are a process of their own at nice 10, because in
life they use processors of their own. Goal: p99 at most doubled, nothing refused, memory bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from bench.attack_kinds import ATTACKS, INFLATED, NOW, SLOW, WORKERS, Aim
from bench.measure import MIB
from bench.serving import ROOT, Server, environment

GOOD = 4
EVENTS = 50
PAUSE_S = 0.02
ANSWER_S = 30.0
WARM_S = 2.0
LEAD_S = 2.0
"""Of an attack before the good clients begin."""


@dataclass(slots=True)
class Seen:
    """What became of one attack. Times in ms, memory in MiB. ``times_inflated``: the memory by the
    size of the bodies that are there at once, inflated; 0 where there are none of a size.
    """

    attack: str
    p99_alone: float = 0.0
    p99_beside: float = 0.0
    requests: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    grown_mib: float = 0.0
    times_inflated: float = 0.0
    alive: bool = False


async def _good(aim: Aim, seconds: float) -> dict[str, Any]:
    """Latencies in ms and statuses of good clients."""
    times: list[float] = []
    statuses: Counter[str] = Counter()

    async def one(number: int) -> None:
        until, n = time.monotonic() + seconds, 0
        writer: asyncio.StreamWriter | None = None
        while time.monotonic() < until:
            began = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", aim.port)
                body = _batch(number, n)
                async with asyncio.timeout(ANSWER_S):
                    writer.write(aim.head(len(body)) + body)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                    await reader.readexactly(int(length))
                statuses[head[9:12].decode()] += 1
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as problem:
                statuses[type(problem).__name__] += 1
                if writer is not None:
                    writer.close()
                writer = None
            times.append((time.perf_counter() - began) * 1000)
            n += 1
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*(one(number) for number in range(GOOD)))
    return {"times": times, "statuses": statuses}


def _batch(number: int, n: int) -> bytes:
    events = [
        {
            "event": "good",
            "time": NOW + n,
            "user_id": f"g{number}-{i}",
            "properties": {"n": n, "city": "Jinan", "amount": 12.5},
        }
        for i in range(EVENTS)
    ]
    packed: bytes = msgpack.packb({"batch_id": f"{os.getpid()}-{number}-{n}", "events": events})
    return packed


def _p99(times: list[float]) -> float:
    ordered = sorted(times)
    return round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 1) if ordered else 0.0


def resident_mib(pid: int) -> float:
    """Memory of a process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


class Peak:
    """The most memory that a process has while this is open, on top of what it had."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._most = resident_mib(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def grown_mib(self) -> float:
        """MiB."""
        return round(self._most - self._before, 1)

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            with suppress(OSError):
                self._most = max(self._most, resident_mib(self._pid))


def _process(server: Server, *words: object) -> subprocess.Popen[bytes]:
    """This module again, as clients of one kind."""
    call = [sys.executable, "-m", "bench.attacks", *map(str, words)]
    call += ["--port", str(server.port), "--key", server.key]
    return subprocess.Popen(call, stdout=subprocess.PIPE, env=environment(), cwd=ROOT)


def _good_ones(server: Server, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_process(server, "--good", seconds).communicate()[0])
    return found


def attacked(server: Server, name: str, seconds: float, slow: int = SLOW) -> Seen:
    """One attack on a running server."""
    seen = Seen(name)
    assert server.process is not None
    _good_ones(server, min(WARM_S, seconds))  # a server that has just started would flatter attacks
    seen.p99_alone = _p99(_good_ones(server, seconds)["times"])
    with Peak(server.process.pid) as peak:
        attack = _process(server, "--attack", name, "--slow", slow)
        try:
            assert attack.stdout is not None
            attack.stdout.readline()  # it has begun
            time.sleep(min(LEAD_S, seconds))
            said = _good_ones(server, seconds)
            if attack.poll() is not None:
                raise RuntimeError(f"the attack {name!r} ended by itself")
        finally:
            attack.kill()
            attack.communicate()
    seen.grown_mib = peak.grown_mib
    if name in INFLATED:
        seen.times_inflated = round(seen.grown_mib * MIB / (WORKERS * INFLATED[name]), 1)
    seen.p99_beside = _p99(said["times"])
    seen.requests = len(said["times"])
    seen.refused = {status: n for status, n in said["statuses"].items() if status != "200"}
    after = asyncio.run(_good(Aim(server.port, server.key), 0.2))
    seen.alive = server.process.poll() is None and set(after["statuses"]) == {"200"}
    return seen


def _attack(aim: Aim, name: str) -> None:
    """Attacks until it is killed."""
    _room_for_connections()
    os.nice(10)
    print("begins", flush=True)
    asyncio.run(ATTACKS[name](aim))


def _room_for_connections() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Exit status: 1 when the server died or did not answer."""
    words = argparse.ArgumentParser("python -m bench.attacks", description=__doc__)
    words.add_argument("--seconds", type=float, default=5.0, help="alone, and again beside")
    words.add_argument("--only", default="", help="names of attacks, separated by commas")
    words.add_argument("--report", type=Path, default=ROOT / ".data" / "attacks.json")
    words.add_argument("--good", type=float, default=0.0, help=argparse.SUPPRESS)
    words.add_argument("--attack", default="", help=argparse.SUPPRESS)
    words.add_argument("--slow", type=int, default=SLOW, help="connections of slow attacks")
    words.add_argument("--port", type=int, help=argparse.SUPPRESS)
    words.add_argument("--key", help=argparse.SUPPRESS)
    options = words.parse_args()
    if options.good:
        print(json.dumps(asyncio.run(_good(Aim(options.port, options.key), options.good))))
        return 0
    if options.attack:
        _attack(Aim(options.port, options.key, options.slow), options.attack)
    names = [name for name in ATTACKS if not options.only or name in options.only.split(",")]
    found = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="zuji-attack-") as folder:
            server = Server(Path(folder))
            server.start()
            try:
                found.append(attacked(server, name, options.seconds, options.slow))
            finally:
                server.stop()
        _say(found[-1])
    options.report.parent.mkdir(exist_ok=True)
    options.report.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return 0 if all(one.alive for one in found) else 1


def _say(seen: Seen) -> None:
    ratio = seen.p99_beside / max(seen.p99_alone, 0.1)
    print(
        f"{seen.attack:28} p99 {seen.p99_alone:7.1f} → {seen.p99_beside:7.1f} ms ({ratio:4.1f} ×) "
        f" {seen.requests} requests, not taken {seen.refused or 'none'}, +{seen.grown_mib:.0f} MiB"
        f"{f' ({seen.times_inflated} × inflated)' if seen.times_inflated else ''},"
        f" {'answers afterwards' if seen.alive else 'DOES NOT ANSWER'}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
