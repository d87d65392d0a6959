"""Runs fuzz targets and says how many inputs each read: ``python -m tests.fuzz --seconds 60``.

``--executions`` ends each target after its part of so many inputs instead. ``--keep`` then
minimises what was gathered and writes it to the repository. Totals over all runs are in
``.data/fuzz/report.json``; an input that breaks something is in ``.data/fuzz/found``, and the exit
status is 1.
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz import corpora
from tests.fuzz.catalogue import NATIVE, chosen
from tests.fuzz.seeds import SEEDS

if TYPE_CHECKING:
    from tests.fuzz.catalogue import Target

ROOT = Path(__file__).parents[2]
WORK = Path(os.environ.get("ZUJI_FUZZ_DIR", ROOT / ".data" / "fuzz"))
FLAGS = (
    *("-std=gnu11", "-D_GNU_SOURCE", "-g", "-O2", "-Wall", "-Wextra", "-Wno-unused-function"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
)
INPUT_SECONDS = 10
MEMORY_MB = 2048
_ASAN = "quarantine_size_mb=8:malloc_context_size=5"
"""Inputs are short: twice as many a second."""
_DONE = re.compile(
    r"stat::number_of_executed_units:\s+(\d+)|^Done (\d+) (?:runs )?in", re.MULTILINE
)
_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass(slots=True)
class Ran:
    """What became of one target's run."""

    target: str
    executions: int
    seconds: float
    edges: int
    failed: bool
    log: str = ""


def main() -> int:
    """Exit status: 1 when something was found."""
    options = _options()
    targets = chosen(options.only)
    WORK.mkdir(parents=True, exist_ok=True)
    shares = sum(target.share for target in targets)
    with ThreadPoolExecutor(options.jobs) as pool:
        ran = list(pool.map(lambda t: _run(t, options, t.share / shares), targets))
    _report(ran)
    if options.keep:
        for target in targets:
            print(f"{target.name}: {_minimised(target)} inputs kept")
    few = sum(one.executions for one in ran) < options.at_least
    if few:
        print(f"fewer than {options.at_least:,} inputs: is the machine busy?")
    return int(few or any(one.failed for one in ran))


def _options() -> argparse.Namespace:
    words = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    words.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    words.add_argument("--executions", type=int, default=0, help="of all targets; 0: no end")
    words.add_argument("--only", default="", help="names of targets, separated by commas")
    words.add_argument("--jobs", type=int, default=1, help="targets that run at once")
    words.add_argument("--at-least", type=int, default=0, help="fewer inputs in all are an error")
    words.add_argument("--max-len", type=int, default=1 << 20, help="shorter inputs are quicker")
    words.add_argument("--keep", action="store_true", help="minimise and commit the corpora")
    return words.parse_args()


def command(target: Target) -> list[str]:
    """What runs a target, built when it is native."""
    if not target.native:
        return [sys.executable, "-m", "tests.fuzz.python", target.name]
    clang = os.environ.get("CLANG") or shutil.which("clang")
    if clang is None:
        raise SystemExit("fuzz: clang not found. Install it: apt-get install clang")
    source, built = NATIVE / f"{target.name}.c", WORK / "built" / target.name
    built.parent.mkdir(parents=True, exist_ok=True)
    call = [clang, *FLAGS, f"-I{ROOT / 'engine'}", f"-I{ROOT / 'server'}", str(source)]
    subprocess.run([*call, "-o", str(built), "-lm"], check=True)
    return [str(built)]


def _environment() -> dict[str, str]:
    paths = [str(ROOT / "src"), str(ROOT)]
    found = {"PYTHONPATH": os.pathsep.join(paths), "ZUJI_FUZZ_DIR": str(WORK)}
    return {"ASAN_OPTIONS": _ASAN, **os.environ, **found}


def _corpus(target: Target) -> Path:
    folder = WORK / "corpus" / target.name
    corpora.spread(corpora.committed(target.name), folder)
    if target.name in SEEDS:
        corpora.spread((data[: target.max_len] for data in SEEDS[target.name]()), folder)
    return folder


def _run(target: Target, options: argparse.Namespace, share: float) -> Ran:
    found = WORK / "found"
    found.mkdir(exist_ok=True)
    seconds = max(1, round(options.seconds * share * options.jobs))
    call = [
        *command(target),
        *(f"-max_total_time={seconds}", f"-max_len={min(target.max_len, options.max_len)}"),
        *(f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1"),
        *("-reload=0", f"-artifact_prefix={found}/{target.name}-"),
    ]
    if options.executions:
        call.append(f"-runs={max(1000, round(options.executions * share))}")
    if target.words:
        call.append(f"-dict={target.words}")
    began = time.monotonic()
    log = WORK / f"{target.name}.log"
    with log.open("wb") as out:
        done = subprocess.run(
            [*call, str(_corpus(target))],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=_environment(),
            check=False,
        )
    text = log.read_text(errors="replace")
    counts = [int(a or b) for a, b in _DONE.findall(text)]
    edges = [int(edges) for edges, _ in _COVERED.findall(text)]
    return Ran(
        target.name,
        max(counts, default=0),
        round(time.monotonic() - began, 1),
        max(edges, default=0),
        done.returncode != 0,
        str(log),
    )


def _report(ran: list[Ran]) -> None:
    path = WORK / "report.json"
    totals = json.loads(path.read_text()) if path.exists() else {}
    for one in ran:
        total = totals.setdefault(one.target, {"executions": 0, "seconds": 0.0, "failed": 0})
        total["executions"] += one.executions
        total["seconds"] = round(total["seconds"] + one.seconds, 1)
        total["failed"] += one.failed
        total["edges"] = one.edges
        rate = one.executions / max(one.seconds, 0.1)
        state = f"FOUND SOMETHING: see {one.log}" if one.failed else "nothing found"
        print(
            f"{one.target:12} {one.executions:12,} in {one.seconds:7.1f} s {rate:10,.0f}/s  {state}"
        )
        if one.failed:
            print("".join(Path(one.log).read_text(errors="replace").splitlines(True)[-40:]))
    path.write_text(json.dumps(totals, indent=1) + "\n")
    print(f"{'all':12} {sum(one.executions for one in ran):12,}", flush=True)
    (WORK / "last.json").write_text(json.dumps([asdict(one) for one in ran], indent=1) + "\n")


def _minimised(target: Target) -> int:
    small = WORK / "small" / target.name
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir(parents=True)
    call = [*command(target), "-merge=1", f"-max_len={target.max_len}", str(small)]
    call.append(str(_corpus(target)))
    subprocess.run(
        call,
        check=True,
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return corpora.keep(target.name, small)


if __name__ == "__main__":
    sys.exit(main())
