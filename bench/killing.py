"""Kills and restarts a server under load from real SDKs: is anything lost or doubled?

``python -m bench.killing --cycles 200`` (``make kill-cycles N=200``). A live ``zuji serve`` is
killed (SIGKILL) at random moments, some while it starts, and started again, while SDKs send: ours
in Python with its disk queue, ours for mini programs in Node, and PostHog's, Segment's and
Amplitude's for Python as published (bench/killing_clients.py). After every round of kills the SDKs
end in peace and everything stored is read and compared with what they said. The seed is printed.

Lost: the SDK has it, or told its caller that it was taken, and it is not stored. What an SDK said
that it gave up is counted apart. Recovery: from the start of the process to the first request. A
round in which something went wrong is kept: data, logs of the SDKs, and when the server was killed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from bench.killing_clients import SDKS
from bench.serving import ROOT, Server, environment

ROUND = 50
"""Kills before all is compared."""
BUNDLE = ROOT / "sdk" / "miniprogram" / "dist" / "index.cjs"
END_S = 240.0


@dataclass(slots=True)
class Found:
    """Of one SDK: events that it had, gave up, and that were stored; the two figures that must be
    0.
    """

    had: int = 0
    gave_up: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0


@dataclass(slots=True)
class Outcome:
    """Of all rounds."""

    cycles: int = 0
    recovery_s: list[float] = field(default_factory=list)
    sdks: dict[str, Found] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing was lost, doubled or went wrong."""
        return not self.problems and not any(f.lost or f.doubled for f in self.sdks.values())


def sdks() -> list[str]:
    """SDKs that can run here."""
    there = [name for name in SDKS if _installed(name)]
    return [*there, *(["mini"] if shutil.which("node") and BUNDLE.exists() else [])]


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    module = {"zuji": "json", "segment": "segment.analytics"}.get(name, name)
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class Round:
    """Some kills of one server with one set of clients."""

    def __init__(self, folder: Path, names: list[str], outcome: Outcome) -> None:
        self.folder, self.names, self.outcome = folder, names, outcome
        self.server = Server(folder)
        self.clients: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, cycles: int, chance: random.Random) -> None:
        """Starts all, kills and restarts the server, ends all, compares."""
        self.server.start()
        try:
            for name in self.names:
                self.clients[name] = self._client(name)
            for _ in range(cycles):
                self._cycle(chance)
            self._end()
        finally:
            for client in self.clients.values():
                client.kill()
                client.wait()
            if self.server.process is not None:
                self.server.stop(signal.SIGKILL)
        self._compare()

    def _client(self, name: str) -> subprocess.Popen[bytes]:
        told = self.folder / f"{name}.told"
        if name == "mini":
            call = ["node", str(ROOT / "bench" / "killing_mini.mjs"), str(BUNDLE)]
            call += [self.server.url, self.server.key, str(told)]
        else:
            call = [sys.executable, "-m", "bench.killing_clients", name, "--url", self.server.url]
            call += ["--key", self.server.key, "--folder", str(self.folder), "--told", str(told)]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                call, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment(), cwd=ROOT
            )

    def _cycle(self, chance: random.Random) -> None:
        time.sleep(chance.uniform(0.05, 1.2))
        self.server.stop(signal.SIGKILL)
        self._note("killed")
        began = time.monotonic()
        if chance.random() < 0.1:  # again, while it starts
            self.server.spawn()
            time.sleep(chance.uniform(0.1, 1.0))
            self.server.stop(signal.SIGKILL)
            began = time.monotonic()
        self.server.start()
        self._note("serves")
        self.outcome.recovery_s.append(round(time.monotonic() - began, 3))
        self.outcome.cycles += 1

    def _note(self, what: str) -> None:
        with (self.folder / "kills.log").open("a") as log:
            log.write(f"{time.time():.3f} {what}\n")

    def _end(self) -> None:
        for client in self.clients.values():
            assert client.stdin is not None
            client.stdin.write(b"end\n")
            client.stdin.close()
        for name, client in self.clients.items():
            try:
                status: int | str = client.wait(END_S)
            except subprocess.TimeoutExpired:
                status = f"still runs after {END_S:g} s"
            if status:
                log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                self.outcome.problems.append(f"{name}: {status}: {log}")
        if self.server.stop():
            self.outcome.problems.append(f"the server did not stop well: {self.server.log()}")
        if rejected := self.server.status()["rejected"]:
            self.outcome.problems.append(f"{rejected} events are in the quarantine")

    def _compare(self) -> None:
        path = self.folder / "stored.parquet"
        self.server.export(path)
        table = pq.read_table(path, columns=["n", "sdk"])
        stored: dict[str, Counter[int]] = {}
        pairs = zip(table["sdk"].to_pylist(), table["n"].to_pylist(), strict=True)
        for sdk, n in pairs:
            if n is not None:  # else the SDK's own event
                stored.setdefault(sdk, Counter())[int(n)] += 1
        for name in self.names:
            lines = (self.folder / f"{name}.told").read_text().split()
            gave_up = {int(line[1:]) for line in lines if line[0] == "-"}
            had = {int(line[1:]) for line in lines if line[0] == "+"} - gave_up
            there = stored.get(name, Counter())
            found = self.outcome.sdks.setdefault(name, Found())
            found.had += len(had)
            found.gave_up += len(gave_up)
            found.stored += len(there)
            lost = sorted(had - there.keys())
            found.lost += len(lost)
            if lost:
                self.outcome.problems.append(f"{name} of {max(had)} lost {_spans(lost)}")
            found.doubled += sum(count - 1 for count in there.values())
            if not had:
                self.outcome.problems.append(f"{name} sent nothing")


def _spans(numbers: list[int]) -> str:
    """Ascending numbers as spans: 3-7, 12-12; the first twenty."""
    spans: list[list[int]] = []
    for n in numbers:
        if spans and n == spans[-1][1] + 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    return ", ".join(f"{first}-{last}" for first, last in spans[:20])


def run(cycles: int, seed: int, names: list[str], work: Path, *, loud: bool = True) -> Outcome:
    """Rounds until so many kills were made."""
    outcome, chance = Outcome(), random.Random(seed)
    while outcome.cycles < cycles and outcome.good:
        folder = Path(tempfile.mkdtemp(dir=work, prefix="kill-"))
        Round(folder, names, outcome).run(min(ROUND, cycles - outcome.cycles), chance)
        if outcome.good:
            shutil.rmtree(folder)
        else:
            outcome.problems.append(f"kept: {folder}")
        if loud:
            print(f"{outcome.cycles} kills: {json.dumps(_report(outcome))}", flush=True)
    return outcome


def _report(outcome: Outcome) -> dict[str, object]:
    times = sorted(outcome.recovery_s)
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)] if times else None
    return {
        "cycles": outcome.cycles,
        "lost": sum(found.lost for found in outcome.sdks.values()),
        "doubled": sum(found.doubled for found in outcome.sdks.values()),
        "recovery_p99_s": p99,
        "sdks": {name: asdict(found) for name, found in outcome.sdks.items()},
        "problems": outcome.problems,
    }


def main() -> int:
    """Exit status: 1 when something was lost or doubled."""
    words = argparse.ArgumentParser("python -m bench.killing", description=__doc__)
    words.add_argument("--cycles", type=int, default=200)
    words.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    words.add_argument("--sdks", default=",".join(sdks()))
    words.add_argument("--work", type=Path, default=ROOT / ".data")
    words.add_argument("--report", type=Path, default=ROOT / ".data" / "killing.json")
    options = words.parse_args()
    options.work.mkdir(exist_ok=True)
    print(f"seed {options.seed}: {options.sdks}", flush=True)
    outcome = run(options.cycles, options.seed, options.sdks.split(","), options.work)
    options.report.write_text(json.dumps(_report(outcome), indent=1) + "\n")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
