"""``python -m bench.tags --users 35e6``: what a filter of a tag adds to a query.

Makes a project of so many users with one payment each, four tags of them (two of numbers, one of
few texts, one of truths), and asks the same question with and without a filter of each, in turns.
``--only ask`` asks a project that was made earlier, so that two versions can be compared on it;
``--only refresh`` makes the tags anew. Seconds of each refresh are told.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import zuji
from bench.contest import say

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = "bench"
AT_ONCE = 1 << 20
DAY = "2026-10-30"
FIRST_MS = 1_790_784_000_000
"""2026-10-01T00:00 in Shanghai."""
EVENTS = {
    "event": "event",
    "user": "user_id",
    "time": "time",
    "properties": {"amount": "amount", "level": "level"},
}


def _rule(**more: Any) -> dict[str, Any]:
    return {"kind": "aggregate", "events": {"e": "pay"}, "days": 90, **more}


TAGS = [
    {"name": "spend", "rule": _rule(measure={"sum": "event.amount"})},
    {"name": "most", "rule": _rule(measure={"max": "event.level"})},
    {"name": "band", "rule": _rule(measure={"sum": "event.amount"}, buckets=[20, 60, 150, 400])},
    {
        "name": "rich",
        "rule": {
            "kind": "layers",
            "layers": [{"v": True, "if": {"tag": "spend", "op": "gte", "v": 400}}],
        },
        "else": False,
    },
]
FILTERS = [
    ("number, gte", {"tag": "spend", "op": "gte", "v": 100}),
    ("number, between", {"tag": "spend", "op": "between", "v": [50, 300]}),
    ("number, eq of a rare one", {"tag": "spend", "op": "eq", "v": 55.0}),
    ("whole number, gte", {"tag": "most", "op": "gte", "v": 3}),
    ("whole number, ne", {"tag": "most", "op": "ne", "v": 3}),
    ("text, eq", {"tag": "band", "op": "eq", "v": "[60, 150)"}),
    ("text, in two", {"tag": "band", "op": "in", "v": ["[60, 150)", "[150, 400)"]}),
    ("truth, eq", {"tag": "rich", "op": "eq", "v": True}),
]


def _tables(users: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(20261001)
    for at in range(0, users, AT_ONCE):
        number = np.arange(at, min(at + AT_ONCE, users))
        amount = np.round(rng.lognormal(4.0, 1.5, len(number)), 2)
        none = rng.random(len(number)) < 0.2  # a fifth has no amount, and so no value
        yield pa.table(
            {
                "event": pa.array(np.full(len(number), "pay")),
                "user_id": pa.array(np.char.add("c", number.astype("U9"))),
                "time": pa.array(FIRST_MS + rng.integers(0, 29 * 86_400_000, len(number))),
                "amount": pa.array(amount, mask=none),
                "level": pa.array(rng.integers(1, 6, len(number))),
            }
        )


def _make(engine: Any, users: int) -> None:
    began = time.perf_counter()
    for _ in engine.append_tables(_tables(users), EVENTS):
        pass
    engine.flush()
    engine.compact()
    say(f"{users:,} users in {time.perf_counter() - began:.1f} s")
    for one in TAGS:
        engine.tags.define(one)


def _refresh(engine: Any) -> None:
    for one in engine.tags.refresh(day=DAY):
        say(f"tag {one['tag']}: {one['users']:,} users in {one['seconds']} s")


def _ask(engine: Any, rounds: int) -> None:
    question: dict[str, Any] = {
        "model": "event",
        "time": {"from": "2026-10-01", "to": DAY, "grain": "all", "tz": "Asia/Shanghai"},
        "body": {"series": [{"e": "pay", "measure": "users"}]},
    }

    def timed(asked: dict[str, Any]) -> float:
        began = time.perf_counter()
        engine.query(asked)
        return (time.perf_counter() - began) * 1000

    # Everybody, as an audience that looks at nothing: what is told beyond it is the filter's.
    base = {**question, "audience": {"all": []}}
    gc.disable()
    print(f"without an audience: {min(timed(question) for _ in range(rounds)):.2f} ms")
    print("| filter | users | without, ms | with, ms | adds, ms |\n|---|---:|---:|---:|---:|")
    for name, leaf in FILTERS:
        asked = {**question, "audience": leaf}
        users = engine.query(asked).rows[0][-1]
        timed(base)
        pairs = [(timed(base), timed(asked)) for _ in range(rounds)]
        before, after = (statistics.median(one) for one in zip(*pairs, strict=True))
        adds = statistics.median(b - a for a, b in pairs)
        print(f"| {name} | {users:,} | {before:.2f} | {after:.2f} | {adds:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tags", description=__doc__)
    parser.add_argument("--users", type=lambda text: int(float(text)), default=2_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".data/bench/tags"))
    parser.add_argument("--only", default="make,refresh,ask", help="parts to run")
    args = parser.parse_args()
    parts = args.only.split(",")
    config = zuji.Config(threads=args.threads)
    with zuji.open(args.out, PROJECT, tz="Asia/Shanghai", config=config) as engine:
        if "make" in parts:
            _make(engine, args.users)
        if "refresh" in parts:
            _refresh(engine)
        if "ask" in parts:
            _ask(engine, args.rounds)


if __name__ == "__main__":
    main()
