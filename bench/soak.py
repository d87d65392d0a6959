"""A server at full rate for a long time: ``python -m bench.soak --minutes 20`` (``make soak``).

Several clients (bench/soak_client.py) send batches of 1,000 events as fast as they are
acknowledged. Beside them a probe sends one marked event twice a second and asks the API until the
answer counts it: that is the freshness, from the acknowledgement to the end of the first answer
that has it. Every five seconds the server's memory and the project's sizes are read.

Good means: its own memory (without mapped files, which the kernel takes back when it likes) grows
by at most 5 % of its mean over the three last quarters of the run, by a fitted line; freshness p99
at most a second; merges went on; as many rows are stored as were acknowledged; the server stops
well. The line begins when what has a limit is full: the dedup window is after :data:`WARM_ROWS`
rows, however long they take; a run of which less than half is left then does not tell whether
memory is flat, and that is not good. Slopes of what the server says that it holds (ids, keys,
memtables, decoders, cache) and of the rest stand beside it. The data are removed afterwards, and
the run ends early when they pass ``--gigabytes``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from bench.batches import write_batches
from bench.measure import MIB, disk_bytes, need_disk
from bench.report import machine
from bench.serving import ROOT, Server, environment
from bench.shape import Shape
from bench.worker import run_alone
from zuji.engine.config import Config

BATCHES = 200
SAMPLE_S = 5.0
PROBE_PAUSE_S = 0.5
PARTS = ("ids", "keys", "memtables", "decoders", "cache")
"""Of its own memory, what the server says that it holds."""
GROWTH = 0.05
"""Part of its mean that memory may grow by."""
WARM_ROWS = 3 * Config().dedup_window
"""The dedup window keeps two generations, and each event of the soak has an insert id; as much
again for string tables of decoders and for the allocator.
"""
FRESH_MS = 1000.0
_SHAPE = Shape(1)


@dataclass(slots=True)
class Soak:
    """What was seen. Times in ms."""

    minutes: float = 0.0
    totals: Counter[str] = field(default_factory=Counter)
    acks_ms: list[float] = field(default_factory=list)
    probe_acks_ms: list[float] = field(default_factory=list)
    fresh_ms: list[float] = field(default_factory=list)
    samples: list[dict[str, float]] = field(default_factory=list)
    stored: int = 0
    problems: list[str] = field(default_factory=list)


class Probe:
    """Sends marked events and waits until an answer counts them."""

    def __init__(self, server: Server, soak: Soak) -> None:
        self._server, self._soak = server, soak
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        """Events that it has sent."""
        return len(self._soak.probe_acks_ms)

    def _run(self) -> None:
        collector = HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        api = HTTPConnection("127.0.0.1", self._server.api_port, timeout=60)
        try:
            while not self._ended.wait(PROBE_PAUSE_S):
                self._one(collector, api)
        except Exception as problem:  # else the run would go on without its probe
            self._soak.problems.append(f"the probe ended: {problem!r}")
        finally:
            collector.close()
            api.close()

    def _one(self, collector: HTTPConnection, api: HTTPConnection) -> None:
        number = self.sent + 1
        event = {"event": "probe", "user_id": "p", "time": _SHAPE.start_ms + number}
        began = time.perf_counter()
        asked(collector, "POST", "/v1/events", self._server.key, msgpack.packb([event]))
        acked = time.perf_counter()
        while self._counted(api) < number:
            if self._ended.is_set():
                return
        self._soak.probe_acks_ms.append(round((acked - began) * 1000, 2))
        self._soak.fresh_ms.append(round((time.perf_counter() - acked) * 1000, 2))

    def _counted(self, api: HTTPConnection) -> int:
        query = {
            "model": "event",
            "time": {"from": _SHAPE.first_day, "to": _SHAPE.first_day, "grain": "all"},
            "body": {"series": [{"e": "probe", "measure": "count"}]},
        }
        body = json.dumps(query).encode()
        answer = asked(api, "POST", "/v1/query", self._server.read_key, body)
        return sum(int(row[-1]) for row in answer["rows"])


def asked(connection: HTTPConnection, method: str, path: str, key: str, body: bytes = b"") -> Any:
    """What an address answers.

    Raises:
        RuntimeError: it is not 200.
    """
    connection.request(method, path, body, {"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {said[:500]!r}")
    return json.loads(said)


def memory(pid: int) -> dict[str, float]:
    """MiB of a process: ``own`` (anonymous), ``mapped`` (files)."""
    text = Path(f"/proc/{pid}/status").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if " kB" in line}
    return {"own": int(sizes["RssAnon"]) / 1024, "mapped": int(sizes["RssFile"]) / 1024}


def fitted(minutes: list[float], sizes: list[float]) -> tuple[float, float]:
    """Slope a minute of the line of least squares, and the mean."""
    slope = float(np.polyfit(minutes, sizes, 1)[0]) if len(sizes) > 2 else 0.0
    return slope, float(np.mean(sizes)) if sizes else 0.0


def run(work: Path, minutes: float, senders: int, gigabytes: float) -> Soak:
    """One soak in a folder of its own under ``work``, which is removed."""
    soak = Soak()
    with tempfile.TemporaryDirectory(dir=work, prefix="soak-") as name:
        folder = Path(name)
        run_alone(write_batches, folder, BATCHES)
        server = Server(folder)
        server.start()
        clients: list[subprocess.Popen[bytes]] = []
        try:
            clients += [_client(server, folder, first, senders) for first in range(senders)]
            with Probe(server, soak) as probe:
                _watch(server, soak, minutes, gigabytes)
                _end(clients, soak)
            _count(server, soak, probe.sent)
        finally:
            for client in clients:
                client.kill()
            if server.stop():
                soak.problems.append(f"the server did not stop well: {server.log()}")
    return soak


def _client(server: Server, folder: Path, first: int, of: int) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-m", "bench.soak_client", str(folder), "--port", str(server.port)]
    call += ["--key", server.key, "--first", str(first), "--of", str(of)]
    return subprocess.Popen(
        call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), cwd=ROOT
    )


def _watch(server: Server, soak: Soak, minutes: float, gigabytes: float) -> None:
    assert server.process is not None
    began = time.monotonic()
    while soak.minutes < minutes:
        time.sleep(SAMPLE_S)
        soak.minutes = (time.monotonic() - began) / 60
        if server.process.poll() is not None:
            soak.problems.append(f"the server ended: {server.log()}")
            return
        status = _status(server)
        sample = {"minute": soak.minutes, **memory(server.process.pid)}
        sample["disk"] = disk_bytes_now(server.data) / 1e9
        for name in ("rows", "segments", "memtable_rows", "wal_bytes", "flushes", "compactions"):
            sample[name] = status[name]
        parts = {**status["memory"], "cache": status["cache"]["bytes"]}
        sample |= {name: parts[name] / MIB for name in PARTS}
        soak.samples.append({name: round(value, 3) for name, value in sample.items()})
        _say(soak)
        if status["last_error"]:
            soak.problems.append(f"the engine: {status['last_error']}")
        if sample["disk"] > gigabytes:
            print(f"ends early: more than {gigabytes:g} GB", flush=True)
            return


def _status(server: Server) -> dict[str, Any]:
    """On a connection of its own: the API closes those that are idle for five seconds."""
    api = HTTPConnection("127.0.0.1", server.api_port, timeout=60)
    try:
        found: dict[str, Any] = asked(api, "GET", "/v1/status", server.read_key)
    finally:
        api.close()
    return found


def disk_bytes_now(folder: Path) -> int:
    """Size of a folder whose files come and go."""
    while True:
        try:
            return disk_bytes(folder)
        except FileNotFoundError:
            continue


def _end(clients: list[subprocess.Popen[bytes]], soak: Soak) -> None:
    for client in clients:
        said, _ = client.communicate(b"end\n", timeout=120)
        if client.returncode:
            soak.problems.append(f"a client ended with {client.returncode}")
            continue
        told = json.loads(said)
        soak.totals.update(told["totals"])
        soak.acks_ms += told["acks_ms"]


def _count(server: Server, soak: Soak, probes: int) -> None:
    soak.stored = _status(server)["rows"]
    sent = soak.totals["accepted"] + probes
    if soak.stored != sent:
        soak.problems.append(f"{sent:,} events were acknowledged and {soak.stored:,} are stored")


def report(soak: Soak) -> dict[str, Any]:
    """Figures and verdicts."""
    late = [s for s in soak.samples if s["minute"] >= soak.minutes / 4 and s["rows"] >= WARM_ROWS]
    long_enough = bool(late) and late[-1]["minute"] - late[0]["minute"] >= soak.minutes / 2
    slope, mean = fitted([s["minute"] for s in late], [s["own"] for s in late])
    span = late[-1]["minute"] - late[0]["minute"] if late else 0.0
    fresh = _percentiles(soak.fresh_ms)
    merges = soak.samples[-1]["compactions"] - soak.samples[0]["compactions"] if late else 0
    verdict = {
        "memory_flat": long_enough and slope * span <= GROWTH * mean,
        "fresh": bool(fresh) and fresh["p99"] <= FRESH_MS,
        "merges_went_on": merges > 0,
        "nothing_wrong": not soak.problems,
    }
    return {
        "machine": machine(),
        "minutes": round(soak.minutes, 2),
        "events_per_s": round(soak.totals["accepted"] / max(soak.minutes * 60, 1)),
        "totals": soak.totals,
        "stored": soak.stored,
        "ack_ms": _percentiles(soak.acks_ms),
        "probe_ack_ms": _percentiles(soak.probe_acks_ms),
        "fresh_ms": fresh,
        "probes": len(soak.fresh_ms),
        "own_memory_mib": {
            "mean": round(mean, 1),
            "highest": max((s["own"] for s in soak.samples), default=0.0),
            "grows_a_minute": round(slope, 3),
            "grows_percent_of_mean": round(100 * slope * span / mean, 2) if mean else None,
            "from_minute": late[0]["minute"] if late else None,
            "grows_a_minute_by_part": _by_part(late),
        },
        "merges": merges,
        "verdict": verdict,
        "problems": soak.problems,
        "samples": soak.samples,
    }


def _by_part(samples: list[dict[str, float]]) -> dict[str, float]:
    """MiB a minute of what the server says that it holds, and of the rest."""
    minutes = [s["minute"] for s in samples]
    each = {name: [s.get(name, 0.0) for s in samples] for name in PARTS}
    each["rest"] = [s["own"] - sum(s.get(name, 0.0) for name in PARTS) for s in samples]
    return {name: round(fitted(minutes, sizes)[0], 3) for name, sizes in each.items()}


def _percentiles(times: list[float]) -> dict[str, float]:
    if not times:
        return {}
    found = {f"p{p}": round(float(np.percentile(times, p)), 1) for p in (50, 90, 99)}
    return {**found, "highest": max(times)}


def _say(soak: Soak) -> None:
    last = soak.samples[-1]
    print(
        f"{last['minute']:6.2f} min  {last['rows']:13,.0f} rows  own {last['own']:6.0f} MiB"
        f"  mapped {last['mapped']:6.0f} MiB  {last['segments']:4.0f} segments"
        f"  {last['compactions']:4.0f} merges  {last['disk']:5.2f} GB"
        f"  fresh {soak.fresh_ms[-1] if soak.fresh_ms else 0:.0f} ms",
        flush=True,
    )


def main() -> int:
    """Exit status: 1 when a verdict is not good."""
    words = argparse.ArgumentParser("python -m bench.soak", description=__doc__)
    words.add_argument("--minutes", type=float, default=20.0)
    words.add_argument("--senders", type=int, default=3, help="clients, of two connections each")
    words.add_argument("--gigabytes", type=float, default=30.0, help="ends early beyond so much")
    words.add_argument("--work", type=Path, default=ROOT / ".data")
    words.add_argument("--report", type=Path, default=ROOT / ".data" / "soak.json")
    options = words.parse_args()
    options.work.mkdir(exist_ok=True)
    need_disk(options.work, min(options.gigabytes, options.minutes) * 1e9 + 2 * MIB, "the soak")
    found = report(run(options.work, options.minutes, options.senders, options.gigabytes))
    options.report.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({k: v for k, v in found.items() if k != "samples"}, indent=1))
    return 0 if all(found["verdict"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
