"""Random histories of ids: ``python -m tests.property.campaign_identity --histories 10000``.

Every history is taken through its steps in the engine and in the oracle: batches in any order of
arrival, binds, unbinds and undos, flushes, compactions, reopenings and kills; at every ``ask`` the
owner of each row, the conflicts, and some queries of all models are compared. A history that
differs is printed with its number; ``--history N`` runs one again and prints its steps, ``--small``
after leaving out what is not needed. Exit code 1 when anything differed.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.oracle.histories import History, Step, history
from tests.oracle.models import MODELS
from tests.property.lives import Lives


def differences(of: History, only: str | None = None, most: int = 4) -> list[str]:
    """What differs, or how the engine failed; empty when all is equal."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        lives = Lives(of, Path(folder) / "p")
        try:
            for number, line in lives.differences(only):
                found.append(f"after step {number}: {line}")
                if len(found) >= most:
                    break
        except Exception as problem:
            where = traceback.format_exc().strip().splitlines()
            found.append(f"{type(problem).__name__}: {problem} ({where[-3].strip()})")
        finally:
            lives.close()
    return found


def smaller(of: History, only: str | None) -> History:
    """The history without the steps and rows that a difference does not need."""
    going = True
    while going:
        going = False
        for size in (8, 4, 2, 1):
            at = 0
            while at < len(of.steps):
                tried = _with(of, of.steps[:at] + of.steps[at + size :])
                if differences(tried, only, 1):
                    of, going = tried, True
                else:
                    at += size
        for at, step in enumerate(of.steps):
            if step[0] != "append":
                continue
            row = 0
            while row < len(of.steps[at][2]) and len(of.steps[at][2]) > 1:
                rows = of.steps[at][2]
                less: Step = ("append", step[1], rows[:row] + rows[row + 1 :])
                tried = _with(of, [*of.steps[:at], less, *of.steps[at + 1 :]])
                if differences(tried, only, 1):
                    of, going = tried, True
                else:
                    row += 1
    return of


def _with(of: History, steps: list[Step]) -> History:
    made = copy.copy(of)
    made.steps = steps
    return made


def _run(histories: int, seed: int, only: str | None, stop_after: int) -> int:
    began, bad = time.perf_counter(), 0
    steps: Counter[str] = Counter()
    done = 0
    for number in range(seed * 10_000_000, seed * 10_000_000 + histories):
        one = history(number)
        steps.update(step[0] for step in one.steps)
        found = differences(one, only)
        done += 1
        if found:
            bad += 1
            print(f"history {number} ({one.shared}):", *found, sep="\n  ", flush=True)
            if bad >= stop_after:
                break
    seconds = time.perf_counter() - began
    print(
        f"{done:,} histories, seed {seed}, {seconds:.0f} s: {bad} differ; steps: "
        + ", ".join(f"{count:,} {what}" for what, count in steps.most_common())
    )
    return int(bool(bad))


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.property.campaign_identity", description=__doc__
    )
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop-after", type=int, default=20, help="stop after so many differ")
    parser.add_argument("--model", choices=sorted(MODELS), help="queries of that model alone")
    parser.add_argument("--history", type=int)
    parser.add_argument("--small", action="store_true", help="with --history: make it small")
    args = parser.parse_args()
    if args.history is None:
        return _run(args.histories, args.seed, args.model, args.stop_after)
    one = history(args.history)
    if args.small:
        one = smaller(one, args.model)
    print(f"zone {one.tz}, {one.shards} shards, shared_device {one.shared}", *one.steps, sep="\n  ")
    print(*(differences(one, args.model) or ["equal"]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
