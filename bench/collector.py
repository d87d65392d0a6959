"""``python -m bench.collector``: requests over HTTP to durable events, and what they cost.

The client is wrk (``apt-get install wrk``), whose CPU is not counted. Loads: *batch*, 1,000 events
in msgpack; *one*, a single event. Beside the collector stands uvicorn with a Starlette endpoint
that reads the body, answers, and stores nothing: the floor of a framework. After each run the
events stored are counted and held against the answers that wrk saw.
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

from bench import report as reports
from bench.batches import BATCH_EVENTS, read_batches, write_batches
from bench.contest import say
from bench.worker import run_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

BODIES = 200
LUA = """
local bodies, at = {}, 0
function init(args)
  for i = 1, tonumber(args[2]) do
    local file = io.open(args[1] .. "/" .. i, "rb")
    bodies[i] = file:read("*a")
    file:close()
  end
end
function request()
  at = at % #bodies + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/msgpack"}, bodies[at])
end
"""
FLOOR = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def take(request):
    body = await request.body()
    return JSONResponse({"accepted": len(body)})

app = Starlette(routes=[Route("/v1/events", take, methods=["POST"])])
"""


def _bodies(folder: Path) -> dict[str, int]:
    """Writes the bodies of each load; events in one body, by load."""
    import msgpack

    run_alone(write_batches, folder, BODIES)
    batches = read_batches(folder, "msgpack")
    events = [event for batch in batches[:5] for event in msgpack.unpackb(batch)["events"]]
    for event in events:
        event.pop("insert_id", None)
    for name in ("batch", "one"):
        (folder / name).mkdir(exist_ok=True)
    for i in range(BODIES):
        many = msgpack.unpackb(batches[i])["events"]
        for event in many:
            event.pop("insert_id", None)  # sent again and again: each time it is another event
        (folder / "batch" / str(i + 1)).write_bytes(msgpack.packb({"events": many}))
        (folder / "one" / str(i + 1)).write_bytes(msgpack.packb([events[i]]))
    return {"batch": BATCH_EVENTS, "one": 1}


@contextmanager
def _zuji(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    shutil.rmtree(data, ignore_errors=True)
    command = [sys.executable, "-m", "zuji", "serve", "--dev", "--data", str(data)]
    with subprocess.Popen(
        [*command, "--collect", "127.0.0.1:0", "--api", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        where = api = ""
        for line in process.stderr:
            if line.startswith("zuji: events at "):
                where = line.split()[3]
            if line.startswith("zuji: queries at "):
                api = line.split()[3].rstrip(",")
            if " serving " in line:
                break
        try:
            yield process, f"{where} {api}"
        finally:
            process.terminate()
            process.stderr.read()


@contextmanager
def _floor(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    (folder / "floor.py").write_text(FLOOR)
    command = [sys.executable, "-m", "uvicorn", "floor:app", "--app-dir", str(folder)]
    with subprocess.Popen(
        [*command, "--port", "8199", "--no-access-log"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "running on" in line:
                break
        try:
            yield process, "http://127.0.0.1:8199 "
        finally:
            process.terminate()
            process.stderr.read()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rows(api: str) -> int:
    with urlopen(f"{api}/v1/status", timeout=30) as answer:
        return int(json.load(answer)["rows"])


def _load(
    process: subprocess.Popen[str], where: str, folder: Path, name: str, args: argparse.Namespace
) -> dict[str, Any]:
    collect, _, api = where.partition(" ")
    (folder / "post.lua").write_text(LUA)
    before, cpu, began = _rows(api) if api else 0, _cpu_seconds(process.pid), time.perf_counter()
    text = subprocess.run(
        [
            *("wrk", "-t1", f"-c{args.connections}", f"-d{args.seconds:g}s", "--latency"),
            *("-s", str(folder / "post.lua"), f"{collect}/v1/events", "--"),
            *(str(folder / name), str(BODIES)),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds, used = time.perf_counter() - began, _cpu_seconds(process.pid) - cpu
    requests = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    found = {
        "requests": requests,
        "failed": int(failed[1]) if failed else 0,
        "requests_per_s": requests / seconds,
        "requests_per_cpu_s": requests / used,
        "cpu_s": used,
        **{f"p{p}_ms": _ms(text, p) for p in (50, 90, 99)},
    }
    if api:
        found["stored"] = _rows(api) - before
    return found


def _ms(text: str, percentile: int) -> float:
    number, unit = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def main() -> int:
    """Runs each load against each server, in turns."""
    parser = argparse.ArgumentParser(prog="python -m bench.collector", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path(".data/bench/collector"))
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is not here; install it: apt-get install wrk")
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    events = _bodies(out)
    report: dict[str, Any] = {"machine": reports.machine(), "runs": []}
    wrong = 0
    for _ in range(args.rounds):
        for load, per_request in events.items():
            with _zuji(out / "data") as (process, where):
                found = _load(process, where, out, load, args)
            # What wrk did not wait for at its end is stored, too.
            acked = (found["requests"] - found["failed"]) * per_request
            wrong += not acked <= found["stored"] <= acked + args.connections * per_request
            found["events_per_cpu_s"] = found["stored"] / found["cpu_s"]
            report["runs"].append({"server": "zuji", "load": load, **found})
            with _floor(out) as (process, where):
                found = _load(process, where, out, load, args)
            report["runs"].append({"server": "uvicorn, stores nothing", "load": load, **found})
            for run in report["runs"][-2:]:
                say(json.dumps(run))
            (out / "collector.json").write_text(json.dumps(report, indent=1) + "\n")
    for left in out.iterdir():
        if left.name != "collector.json":
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
