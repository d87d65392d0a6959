"""``python -m bench.many``: sixteen analysts at once, the same mixed load for Zuji and ClickHouse.

Analysts are threads of one process on one engine, each asking the next question as soon as the last
is answered. Questions are drawn by weight and their events are shifted from draw to draw, so that
no answer can simply be remembered. The engines take turns (A B A B …). Beside them, at the end, one
more thread asks a query of death again and again, which its time budget has to cut off.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import report as reports
from bench import zuji_side
from bench.contest import say
from bench.measure import cpu_seconds
from bench.peers.clickhouse import ORDERS, ClickHouse
from bench.questions import questions
from bench.questions.question import envelope
from bench.shape import EVENTS, Shape
from bench.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable


ANALYSTS = 16
# What analysts ask: mostly trends and breakdowns, some funnels and retention, seldom the URLs.
WEIGHTS = {
    "trend": 30,
    "grouped": 15,
    "funnel_3": 12,
    "funnel_5": 6,
    "retention": 8,
    "retention_filter": 4,
    "dau_mau": 8,
    "cohort": 7,
    "funnel_filter": 3,
    "trend_20": 5,
    "by_url": 2,
}
SHIFTS = 5
BUDGET_S = 1.0
_EVENT = re.compile(r"event_(\d\d)")


@dataclass(frozen=True, slots=True)
class Mix:
    """Variants of every question, for one engine: name → what is sent."""

    variants: dict[str, tuple[Any, ...]]
    death: Any


def shifted(text: str, by: int) -> str:
    """Every event name moved ``by`` ranks on."""
    return _EVENT.sub(lambda m: f"event_{(int(m[1]) - 1 + by) % EVENTS + 1:02d}", text)


def zuji_mix(shape: Shape) -> Mix:
    """Zuji's queries. The query of death counts users in groups of three wide properties."""
    variants = {
        q.name: tuple(
            tuple(json.loads(shifted(json.dumps(query), by)) for query in q.queries)
            for by in range(SHIFTS)
        )
        for q in questions(shape)
        if q.name in WEIGHTS
    }
    death = envelope(
        shape,
        "event",
        {"series": [{"e": "*", "measure": "users"}]},
        "hour",
        by=[{"p": f"event.{name}"} for name in ("url", "product_id", "city")],
    )
    return Mix(variants, death)


def clickhouse_mix(shape: Shape, forms: dict[str, str]) -> Mix:
    """ClickHouse's forms, the best of each question."""
    variants = {
        name: tuple(
            tuple(shifted(sql, by) for sql in ClickHouse.forms(q)[forms[name]])
            for by in range(SHIFTS)
        )
        for name, q in ((q.name, q) for q in questions(shape))
        if name in WEIGHTS
    }
    death = (
        f"SELECT url, product_id, city, intDiv(ts, 3600000) AS hour, uniqExact(user) AS u "
        f"FROM bench.{next(iter(ORDERS))} GROUP BY url, product_id, city, hour ORDER BY u DESC "
        f"LIMIT 20 SETTINGS max_execution_time = {BUDGET_S}"
    )
    return Mix(variants, death)


class Analysts:
    """Threads that ask one engine; lives in the engine's process."""

    def __init__(self, make: Callable[[], Any], mix: Mix) -> None:
        self._asker = make()
        self._mix = mix

    def warm(self) -> None:
        """Every variant once."""
        for variants in self._mix.variants.values():
            for form in variants:
                self._asker.ask(form)

    def best(self, forms: dict[str, Any]) -> tuple[str, dict[str, float]]:
        """The fastest of several forms."""
        found: tuple[str, dict[str, float]] = self._asker.best(forms)
        return found

    def run(self, seconds: float, seed: int, death: bool) -> dict[str, Any]:
        """Latencies by question, and what became of the query of death."""
        until = time.perf_counter() + seconds
        seen: list[list[tuple[str, float]]] = [[] for _ in range(ANALYSTS)]
        deaths: list[tuple[float, str]] = []
        threads = [
            threading.Thread(target=self._analyst, args=(i, seed, until, seen[i]))
            for i in range(ANALYSTS)
        ]
        if death:
            threads.append(threading.Thread(target=self._die, args=(until, deaths)))
        began, cpu = time.perf_counter(), cpu_seconds()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - began
        return {
            "seconds": elapsed,
            "cpu_seconds": cpu_seconds() - cpu,
            "latencies": [pair for part in seen for pair in part],
            "deaths": deaths,
        }

    def _analyst(self, number: int, seed: int, until: float, seen: list[tuple[str, float]]) -> None:
        rng = np.random.default_rng([seed, number])
        names = list(WEIGHTS)
        share = np.array([WEIGHTS[n] for n in names], dtype=np.float64)
        while time.perf_counter() < until:
            name = names[int(rng.choice(len(names), p=share / share.sum()))]
            form = self._mix.variants[name][int(rng.integers(SHIFTS))]
            began = time.perf_counter()
            self._asker.ask(form)
            seen.append((name, time.perf_counter() - began))

    def _die(self, until: float, deaths: list[tuple[float, str]]) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            outcome = self._asker.ask_in_budget(self._mix.death)
            deaths.append((time.perf_counter() - began, outcome))

    def close(self) -> None:
        """Closes the engine."""
        self._asker.close()


class ZujiAsker:
    """Queries of an engine that many threads share."""

    def __init__(self, data: Path, threads: int) -> None:
        import zuji

        config = zuji.Config(threads=threads)
        self._engine = zuji.open(data, zuji_side.PROJECT, mode="r", config=config)

    def ask(self, form: Any) -> None:
        """Answers one question."""
        for query in form:
            self._engine.query(query)

    def ask_in_budget(self, query: Any) -> str:
        """Outcome of a query with a time budget."""
        import zuji

        try:
            self._engine.query(query, seconds=BUDGET_S)
        except zuji.QueryBudgetExceeded:
            return "cut off"
        return "answered"

    def close(self) -> None:
        """Closes the project."""
        self._engine.close()


class ClickHouseAsker:
    """One chdb session that many threads share."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._server = ClickHouse(folder, threads)

    def ask(self, form: Any) -> None:
        """Answers one question."""
        for sql in form:
            self._server.execute(sql)

    def ask_in_budget(self, sql: str) -> str:
        """Outcome of a statement with a time budget."""
        try:
            self._server.execute(sql)
        except Exception as problem:
            if "TIMEOUT_EXCEEDED" in str(problem) or "max_execution_time" in str(problem):
                return "cut off"
            raise
        return "answered"

    def close(self) -> None:
        """Ends the session."""
        self._server.close()


def best_forms(shape: Shape, folder: Path, threads: int) -> dict[str, str]:
    """ClickHouse's fastest form of each question: as the report of these rows found it, else asked
    alone.
    """
    known = folder.with_name("report.json")
    if known.exists():
        lines = json.loads(known.read_text()).get("queries", {})
        forms = {n: q.get("peers", {}).get("clickhouse", {}).get("form") for n, q in lines.items()}
        if all(forms.get(name) for name in WEIGHTS):
            return {name: forms[name] for name in WEIGHTS}
    server = Worker(ClickHouse, folder, threads)
    try:
        return {
            q.name: server.call("best", ClickHouse.forms(q))[0]
            for q in questions(shape)
            if q.name in WEIGHTS
        }
    finally:
        server.close()


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Queries per second, median, p99, by question too."""
    pairs = [pair for run in runs for pair in run["latencies"]]
    ms = np.array([seconds for _, seconds in pairs]) * 1000
    rates = [len(run["latencies"]) / run["seconds"] for run in runs]
    deaths = [d for run in runs for d in run["deaths"]]
    by_name = {
        name: statistics.median(s for n, s in pairs if n == name) * 1000
        for name in WEIGHTS
        if any(n == name for n, _ in pairs)
    }
    found = {
        "qps": statistics.median(rates),
        "qps_runs": rates,
        "median_ms": float(np.median(ms)),
        "p99_ms": float(np.percentile(ms, 99)),
        "p99_to_median": float(np.percentile(ms, 99) / np.median(ms)),
        "max_ms": float(ms.max()),
        "queries": len(ms),
        "cpu_share": statistics.median(r["cpu_seconds"] / r["seconds"] for r in runs),
        "medians_ms": by_name,
    }
    if deaths:
        found["deaths"] = len(deaths)
        found["cut_off"] = sum(outcome == "cut off" for _, outcome in deaths)
        found["cut_off_after_s"] = max(seconds for seconds, _ in deaths)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=20_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one turn of one engine")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(".data/bench"))
    parser.add_argument("--zuji-only", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Runs the turns; writes many.json and prints a table."""
    args = _arguments()
    folder: Path = args.out / str(args.rows)
    if not (folder / "zuji").exists():
        raise SystemExit(
            f"bench: nothing is loaded in {folder}; load first: "
            f"python -m bench --rows {args.rows} --only load --keep --peers clickhouse"
        )
    shape = Shape(args.rows)
    engines = {
        "zuji": Worker(Analysts, partial(ZujiAsker, folder / "zuji", args.threads), zuji_mix(shape))
    }
    if not args.zuji_only:
        forms = best_forms(shape, folder / "clickhouse", args.threads)
        make = partial(ClickHouseAsker, folder / "clickhouse", args.threads)
        engines["clickhouse"] = Worker(Analysts, make, clickhouse_mix(shape, forms))
    report: dict[str, Any] = {"machine": reports.machine(), "rows": args.rows, "analysts": ANALYSTS}
    for death in (False, True):
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
        for engine in engines.values():
            if not death:
                engine.call("warm")
        for turn in range(args.turns):
            for name, engine in engines.items():
                runs[name].append(engine.call("run", args.seconds, turn, death))
        part = "with_query_of_death" if death else "mixed"
        report[part] = {name: summary(found) for name, found in runs.items()}
        for name, found in report[part].items():
            say(
                f"{part}, {name}: {found['qps']:.1f} queries/s, median {found['median_ms']:.1f} "
                f"ms, p99 {found['p99_ms']:.1f} ms ({found['p99_to_median']:.1f} × the median)"
                + (
                    f", {found['cut_off']} of {found['deaths']} cut off, the latest after "
                    f"{found['cut_off_after_s']:.2f} s"
                    if death
                    else ""
                )
            )
        (folder / "many.json").write_text(json.dumps(report, indent=1) + "\n")
    for engine in engines.values():
        engine.close()
    if "clickhouse" in engines:
        ratio = report["mixed"]["zuji"]["qps"] / report["mixed"]["clickhouse"]["qps"]
        say(f"queries per second: {ratio:.1f} × ClickHouse's (goal ≥ 10 ×)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
