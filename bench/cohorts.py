"""``python -m bench.cohorts DIR``: cohorts of a project that a bench made: live estimates of rules,
a version made and kept, membership, set algebra, and a query that filters by a cohort.

DIR is that of ``python -m bench`` (``.data/bench/100000000/zuji``) or of ``bench.tags``, which has
as many users as its tags were made for. Cohorts that this makes are removed in the end. Medians in
milliseconds; ``--threads 1`` is what a project of one shard would take.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import zuji
from bench.questions.actives import five_rules
from bench.shape import Shape, event_name
from bench.zuji_side import PROJECT
from zuji.engine.people.cohort_making import Asked, members_by_rule
from zuji.engine.people.cohort_rules import definition_from

if TYPE_CHECKING:
    from collections.abc import Callable

SPAN = {"from": "2026-10-01", "to": "2026-10-30", "tz": "Asia/Shanghai"}


def _did(rank: int, **more: Any) -> dict[str, Any]:
    return {"e": event_name(rank), **more}


def rules() -> dict[str, Any]:
    """Rules from the issue, and the dearest kinds of leaves."""
    five = five_rules(Shape(1_000)).queries[0]["audience"]
    steps = [{"e": event_name(rank)} for rank in (1, 2, 3)]
    month = {"n": 30, "unit": "day"}
    return {
        "five rules": five,
        "five, one a sequence of three": {
            "all": [*five["all"][:4], {"sequence": {"steps": steps, "within": month}}]
        },
        "a sequence of three alone": {"sequence": {"steps": steps, "within": month}},
        "any event on 30 products of 1,000, ≥ 3 times": {
            "did": {
                "e": "*",
                "where": {
                    "p": "event.product_id",
                    "op": "in",
                    "v": [f"p{n:04d}" for n in range(30)],
                },
                "count": {"op": "gte", "v": 3},
            }
        },
        "Σ amount of any event ≥ 5,000": {
            "did": {
                "e": "*",
                "measure": {"sum": "event.amount"},
                "value": {"op": "gte", "v": 5_000},
            }
        },
    }


def timed(call: Callable[[], Any], rounds: int) -> tuple[float, float, Any]:
    """Milliseconds of the first call and the median of the others, and the last answer."""
    took: list[float] = []
    answer: Any = None
    for _ in range(rounds + 1):
        began = time.perf_counter()
        answer = call()
        took.append((time.perf_counter() - began) * 1000)
    return took[0], statistics.median(took[1:] or took), answer


def _told(name: str, first: float, median: float, more: str = "") -> None:
    print(f"| {name} | {first:.1f} | {median:.2f} | {more} |", flush=True)


def estimates(engine: Any, rounds: int) -> None:
    """Live estimates as the editor asks for them."""
    for name, rule in rules().items():
        document = {"rule": rule, "time": SPAN}
        first, median, found = timed(partial(engine.cohorts.estimate, document), rounds)
        share = "exact" if found["exact"] else f"of {found['share']:.0%} of the users"
        _told(f"estimate: {name}", first, median, f"{found['users']:,} users, {share}")


def kept(engine: Any, rounds: int, made: dict[str, Any]) -> None:
    """Two cohorts made, and everything that is done with their members."""
    cohorts = engine.cohorts
    for name, rule in made.items():
        document = {"name": name, "rule": rule, "time": SPAN}
        first, _, shown = timed(partial(cohorts.define, document), 0)
        _told(f"define {name!r}", first, first, f"{shown['versions'][0]['users']:,} users")
    one, two = made
    algebra: dict[str, dict[str, Any]] = {
        "intersection": {"all": [{"cohort": one}, {"cohort": two}]},
        "union": {"any": [{"cohort": one}, {"cohort": two}]},
        "difference": {"all": [{"cohort": one}, {"not": {"cohort": two}}]},
    }
    for name, rule in algebra.items():
        first, median, users = timed(partial(_algebra, engine, rule), rounds)
        _told(name, first, median, f"{users:,} users")
    first, median, found = timed(lambda: cohorts.overlap([one, two]), rounds)
    _told("overlap", first, median, f"{found['all']:,} in both")
    some = np.random.default_rng(1).integers(0, 500_000, 200)
    key = "c{}" if "spend" in engine.tags.kept().tags else "u{}"
    asked = [{"user_id": key.format(n)} for n in some]
    took = [timed(partial(cohorts.contains, one, whom), 0)[0] for whom in asked]
    _told("membership of one user", took[0], statistics.median(took), f"worst {max(took):.2f} ms")
    question = {
        "model": "event",
        "time": {**SPAN, "grain": "all"},
        "body": {"series": [{"e": "*", "measure": "users"}]},
        "audience": {"cohort": one},
    }
    first, median, _ = timed(lambda: engine.query(question), rounds)
    _told("a query that filters by it", first, median)


def _algebra(engine: Any, rule: dict[str, Any]) -> int:
    """Members of a rule of cohorts, without writing them down. By a private seam."""
    cohorts = engine.cohorts
    given = definition_from({"name": "edited", "rule": rule})
    assert given.rule is not None
    with cohorts._host.running() as (view, context):
        asked = Asked(view, context, given.rule, given.time)
        return sum(map(len, members_by_rule(asked, cohorts.kept())))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cohorts", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    gc.disable()
    config = zuji.Config(threads=args.threads)
    with zuji.open(args.data, PROJECT, config=config) as engine:
        tagged = "spend" in {one["name"] for one in engine.tags.all()}
        print("| what | first, ms | then, ms | |\n|---|---:|---:|---|")
        if tagged:
            made = {
                "bench one": {"tag": "spend", "op": "gte", "v": 50},
                "bench two": {"tag": "most", "op": "lte", "v": 3},
            }
        else:
            estimates(engine, args.rounds)
            five = rules()["five rules"]
            made = {"bench one": five, "bench two": {"did": _did(5)}}
        try:
            kept(engine, args.rounds, made)
        finally:
            for name in made:
                if name in {one["name"] for one in engine.cohorts.all()}:
                    engine.cohorts.delete(name)


if __name__ == "__main__":
    main()
