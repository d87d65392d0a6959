"""Many (project, query) pairs: ``python -m tests.property.campaign --pairs 10000 --seed 1``.

Every pair is compared in every state (``--thin``: in two of them, drawn for each pair): the rows of
the answer, its totals, and in one or two of the states some lists of users with their cells. Prints
the count and the seed. A pair that differs is printed with its numbers; ``--project N --query K``
runs one pair again and prints everything about it, with ``--shrink`` after making it small. Exit
code 1 when anything differed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.queries import query_of
from tests.property.pairs import STATES, Pair
from tests.property.shrink import shrink

QUERIES_A_PROJECT = 20
LISTED = ("appended", "reopened")
LISTS = 3


def _one(project: int, query: int, model: str | None, small: bool) -> int:
    case = generate.project(project)
    document = query_of(case, query, model)
    if small:
        case, document = shrink(case, document)
        print(f"zone {case.tz}, {case.shards} shards", *case.batches, sep="\n  ")
    print(json.dumps(document, ensure_ascii=False, indent=1))
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(case, Path(folder) / "p")
        for state in pair.states():
            print(state, pair.differences(document) or "equal")
        expected = pair.expected(document)
        print("oracle:", *(getattr(expected, "rows", None) or [expected]), sep="\n  ")
        pair.close()
    return 0


def _states(thin: bool, project: int, query: int) -> tuple[str, ...]:
    """The states that a pair is compared in; thin: one before more batches come, and one after."""
    if not thin:
        return STATES
    rng = random.Random(f"states {project} {query}")
    return rng.choice(STATES[:4]), rng.choice(STATES[4:])


def _run(pairs: int, seed: int, model: str | None, stop_after: int, thin: bool) -> int:
    began, done, compared = time.perf_counter(), 0, 0
    failures: Counter[str] = Counter()
    bad: list[tuple[int, int]] = []
    number = 0
    while done < pairs:
        project = seed * 1_000_000 + number
        number += 1
        case = generate.project(project)
        queries = [query_of(case, k, model) for k in range(min(QUERIES_A_PROJECT, pairs - done))]
        states = [_states(thin, project, k) for k in range(len(queries))]
        failed: set[int] = set()
        with tempfile.TemporaryDirectory() as folder:
            pair = Pair(case, Path(folder) / "p")
            for state in pair.states():
                for k, query in enumerate(queries):
                    if k in failed or state not in states[k]:
                        continue
                    try:
                        found = pair.differences(query)
                        if not found and (state in LISTED or state == states[k][0]):
                            found = pair.wrong_lists(query, random.Random(k), LISTS)
                    except Exception:
                        found = [traceback.format_exc().strip().splitlines()[-1]]
                    compared += 1
                    if found:
                        failed.add(k)
                        bad.append((project, k))
                        failures[query["model"]] += 1
                        print(f"project {project} query {k} ({query['model']}, {state}):")
                        print(*found[:3], sep="\n  ", flush=True)
            pair.close()
        done += len(queries)
        if len(bad) >= stop_after:
            break
    seconds = time.perf_counter() - began
    print(
        f"{model or 'event, funnel, retention'}: {done:,} (project, query) pairs over {number:,} "
        f"projects, {compared:,} comparisons "
        f"in {'two' if thin else 'all'} of {len(STATES)} states, "
        f"seed {seed}, {seconds:.0f} s: {len(bad)} differ {dict(failures) or ''}"
    )
    return int(bool(bad))


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.property.campaign", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop-after", type=int, default=50, help="stop after so many differences")
    parser.add_argument(
        "--model",
        choices=["all", *sorted(MODELS)],
        help="queries of that model alone; all: of one after the other",
    )
    parser.add_argument("--thin", action="store_true", help="two states a pair: more pairs an hour")
    parser.add_argument("--project", type=int)
    parser.add_argument("--query", type=int)
    parser.add_argument(
        "--shrink", action="store_true", help="with --project, --query: make it small"
    )
    args = parser.parse_args()
    if args.project is not None and args.query is not None:
        return _one(args.project, args.query, args.model, args.shrink)
    models = sorted(MODELS) if args.model == "all" else [args.model]
    wrong = [_run(args.pairs, args.seed, one, args.stop_after, args.thin) for one in models]
    return max(wrong)


if __name__ == "__main__":
    sys.exit(main())
