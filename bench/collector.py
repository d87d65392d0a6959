"""``python -m bench.collector``: requests over HTTP to durable events, and what they cost.

Each load (:mod:`bench.collector_loads`) is sent twice: as fast as wrk can (`apt-get install wrk`),
which gives requests a CPU-second of the server (its own user and system time, the client's apart),
and, when the server has done what that left it to do, at 70 % of that rate by
:mod:`bench.open_loop`, which gives latencies from the moment at which a request should have been
sent. How long the disk takes to sync meanwhile is told beside them (:mod:`bench.disk`): an answer
waits for a sync of the log. Beside it the same requests go to two servers that store nothing:
uvicorn with a Starlette endpoint (a framework), and httptools on uvloop that only finds the end of
a request (the floor). After each run the events stored are held against the answers.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from bench import open_loop
from bench import report as reports
from bench.collector_loads import EVENTS, make
from bench.contest import say
from bench.disk import syncing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.collector_loads import Asked

QUIET_S = 0.4
SYNCS_MS = (5, 20, 50)
"""Syncs of the disk beside a steady run that took longer are told: no answer is faster than one."""
SHARE = 0.7
"""Part of the highest rate at which latencies are measured."""
LUA = """
local requests, at = {}, 0
function init(args)
  for i = 1, tonumber(args[2]) do
    local file = io.open(string.format("%s/%04d.raw", args[1], i), "rb")
    requests[i] = file:read("*a")
    file:close()
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""
UVICORN = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def take(request):
    body = await request.body()
    return JSONResponse({"accepted": len(body)})

app = Starlette(routes=[
    Route("/{path:path}", take, methods=["GET", "POST"]),
])
"""
FLOOR = """
import asyncio, sys
import httptools, uvloop

ANSWER = (b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 2\\r\\n"
          b"Connection: keep-alive\\r\\n\\r\\nok")

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.parser = transport, httptools.HttpRequestParser(self)
    def data_received(self, data):
        self.parser.feed_data(data)
    def on_message_complete(self):
        self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 8198)
    print("running on", file=sys.stderr, flush=True)
    await server.serve_forever()

uvloop.run(main())
"""


class Server:
    """A server under load. ``api``: where Zuji tells how many events it has; else empty."""

    def __init__(self, process: subprocess.Popen[str], address: str, api: str = "") -> None:
        self.process = process
        self.address = address
        self.api = api

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rows(self) -> int:
        """Events stored."""
        if not self.api:
            return 0
        with urlopen(f"{self.api}/v1/status", timeout=30) as answer:
            return int(json.load(answer)["rows"])


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        assert process.stderr is not None
        process.stderr.read()
        process.wait()


@contextmanager
def _zuji(out: Path) -> Iterator[Server]:
    shutil.rmtree(out / "data", ignore_errors=True)
    command = [sys.executable, "-m", "zuji", "serve", "--dev", "--data", str(out / "data")]
    command += ["--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, _ended(process):
        assert process.stderr is not None
        where = api = ""
        for line in process.stderr:
            if line.startswith("zuji: events at "):
                where = line.split()[3]
            if line.startswith("zuji: queries at "):
                api = line.split()[3].rstrip(",")
            if " serving " in line:
                break
        yield Server(process, where.removeprefix("http://"), api)


@contextmanager
def _other(command: list[str], address: str) -> Iterator[Server]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, _ended(process):
        assert process.stderr is not None
        for line in process.stderr:
            if "running on" in line:
                break
        yield Server(process, address)


@contextmanager
def _started(name: str, out: Path) -> Iterator[Server]:
    if name == "zuji":
        with _zuji(out) as server:
            yield server
        return
    (out / "uvicorn_app.py").write_text(UVICORN)
    (out / "floor.py").write_text(FLOOR)
    commands = {
        "uvicorn": (
            [
                "-m",
                "uvicorn",
                "uvicorn_app:app",
                "--app-dir",
                str(out),
                "--port",
                "8199",
                "--no-access-log",
            ],
            "127.0.0.1:8199",
        ),
        "floor": ([str(out / "floor.py")], "127.0.0.1:8198"),
    }
    arguments, address = commands[name]
    with _other([sys.executable, *arguments], address) as server:
        yield server


def _fastest(server: Server, folder: Path, count: int, args: argparse.Namespace) -> dict[str, Any]:
    """As many requests as wrk can send."""
    (folder.parent / "requests.lua").write_text(LUA)
    began = time.perf_counter()
    text = subprocess.run(
        [
            *("wrk", "-t1", f"-c{args.connections}", f"-d{args.seconds:g}s", "--latency"),
            *("-s", str(folder.parent / "requests.lua"), f"http://{server.address}/", "--"),
            *(str(folder), str(count)),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds = time.perf_counter() - began
    requests = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "good": requests - (int(failed[1]) if failed else 0),
        "bad": int(failed[1]) if failed else 0,
        "rate": requests / seconds,
        **{f"p{p}_ms": _ms(text, p) for p in (50, 90, 99)},
    }


def _ms(text: str, percentile: int) -> float:
    number, unit = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def _steady(server: Server, folder: Path, rate: float, args: argparse.Namespace) -> dict[str, Any]:
    """Requests at a constant rate."""
    client, requests = open_loop.compiled(folder.parent), sorted(folder.glob("*.raw"))
    with syncing(folder.parent) as taken:
        found = open_loop.run(
            client, requests, server.address, rate, args.seconds, args.connections
        )
    found["syncs_over_ms"] = {str(most): sum(one > most for one in taken) for most in SYNCS_MS}
    return {**found, "sync_most_ms": max(taken, default=0.0)}


def settled(server: Server) -> None:
    """Waits until the server does nothing any more (merges of what it was sent), at most 20 s."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        before = server.cpu_seconds()
        time.sleep(QUIET_S)
        if server.cpu_seconds() - before < 0.1 * QUIET_S:
            return


def _measured(server: Server, load: str, folder: Path, count: int, args: Any) -> dict[str, Any]:
    """Both runs of a load on one server; ``wrong``: answers and stored events do not agree."""
    found: dict[str, Any] = {}
    for way in ("fastest", "steady"):
        settled(server)
        rows, cpu = server.rows(), server.cpu_seconds()
        if way == "fastest":
            run = _fastest(server, folder, count, args)
        else:
            run = _steady(server, folder, SHARE * found["fastest"]["rate"], args)
        run["cpu_s"] = server.cpu_seconds() - cpu
        run["requests_per_cpu_s"] = (run["good"] + run["bad"]) / run["cpu_s"]
        run["events_per_cpu_s"] = run["good"] * EVENTS[load] / run["cpu_s"]
        if server.api:
            run["stored"] = server.rows() - rows
            acked = run["good"] * EVENTS[load]
            # What wrk did not wait for at its end is stored, too.
            late = (args.connections + run["bad"]) * EVENTS[load]
            run["wrong"] = not acked <= run["stored"] <= acked + late
        found[way] = run
    return found


def _markdown(report: dict[str, Any]) -> str:
    lines = [
        "| load | server | requests/s | requests / CPU-s | events / CPU-s "
        "| at 70 %: p50 | p90 | p99 | p99.9 ms | the client's own p99 | slowest sync beside "
        "| refused |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in report["runs"]:
        fast, slow = run["fastest"], run["steady"]
        lines.append(
            f"| {run['load']} | {run['server']} | {fast['rate']:,.0f} "
            f"| {fast['requests_per_cpu_s']:,.0f} | {fast['events_per_cpu_s']:,.0f} "
            f"| {slow['p50_ms']:.1f} | {slow['p90_ms']:.1f} | {slow['p99_ms']:.1f} "
            f"| {slow['p99.9_ms']:.1f} | {slow['own_p99_ms']:.1f} | {slow['sync_most_ms']:.0f} "
            f"| {fast['bad'] + slow['bad'] + slow['unanswered']:,} |"
        )
    return "\n".join(lines) + "\n"


def _write(requests: list[Asked], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, request in enumerate(requests, 1):
        (folder / f"{number:04}.raw").write_bytes(request.raw())


def main() -> int:
    """Runs each load against each server, in turns."""
    parser = argparse.ArgumentParser(prog="python -m bench.collector", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--loads", default=",".join(EVENTS))
    parser.add_argument("--servers", default="zuji,uvicorn,floor")
    parser.add_argument("--out", type=Path, default=Path(".data/bench/collector"))
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is not here; install it: apt-get install wrk")
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    loads = make(out)
    report: dict[str, Any] = {"machine": reports.machine(), "runs": []}
    for _ in range(args.rounds):
        for load in args.loads.split(","):
            _write(loads[load], out / load)
            for name in args.servers.split(","):
                with _started(name, out) as server:
                    run = _measured(server, load, out / load, len(loads[load]), args)
                report["runs"].append({"load": load, "server": name, **run})
                say(json.dumps(report["runs"][-1]))
                (out / "collector.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "collector.md").write_text(_markdown(report))
    print(_markdown(report))
    for left in out.iterdir():
        if left.name not in ("collector.json", "collector.md"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    ways = [run[way] for run in report["runs"] for way in ("fastest", "steady")]
    return int(any(way.get("wrong") for way in ways))


if __name__ == "__main__":
    sys.exit(main())
