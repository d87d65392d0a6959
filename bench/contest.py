"""The contest: Zuji and one peer after the other, every question answered in turns (A B A B …).

Only two engines live at a time, so that 100 M rows fit the memory of a small machine; each pair
has its own runs of Zuji, so a ratio is always between runs that stood side by side. Answers are
compared before anything is timed.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from bench import zuji_side
from bench.peers import PEERS, TITLES
from bench.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.measure import Run
    from bench.questions.question import Cells, Question

SECONDS_A_QUESTION = 30.0
"""A question that takes longer than this in all gets fewer rounds, but not fewer than three."""
LEAST_ROUNDS = 3


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def differences(ours: Cells, theirs: Cells, peer: str, tolerance: int = 0) -> list[str]:
    """Cells that differ. A cell that Zuji gives as incomplete (null) is not in ``ours``: not
    compared.
    """
    return [
        f"{name}: Zuji {value}, {TITLES[peer]} {theirs.get(name, 0)}"
        for name, value in ours.items()
        if abs(value - theirs.get(name, 0)) > tolerance
    ] + [f"{name}: missing in Zuji" for name in theirs if name not in ours and "cell" not in name]


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Median, min and max, and what a run cost."""
    ms = [run.seconds * 1000 for run in runs]
    scanned = [run.scanned_bytes for run in runs if run.scanned_bytes is not None]
    return {
        "ms": statistics.median(ms),
        "min_ms": min(ms),
        "max_ms": max(ms),
        "runs_ms": ms,
        "cpu_ms": statistics.median(run.cpu_seconds for run in runs) * 1000,
        "peak_bytes": max(run.peak_bytes for run in runs),
        "disk_bytes": max(run.disk_bytes for run in runs),
        "scanned_bytes": scanned[0] if scanned else None,
    }


def alone(
    questions: Sequence[Question],
    data: Path,
    threads: int,
    rounds: int,
    report: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Zuji without a peer."""
    zuji = Worker(zuji_side.Zuji, data, threads)
    try:
        for question in questions:
            line = _line(report, question)
            try:
                answer = zuji.call("run", question.queries).answer
                line["zuji"] = figures([zuji.call("run", question.queries) for _ in range(rounds)])
            except RuntimeError as problem:
                _failed(line, question, "zuji", problem)
            else:
                line["cells"] = question.zuji_cells(answer)
                say(_told(question, line["zuji"]))
            save()
    finally:
        zuji.close()


def against(
    peer: str,
    questions: Sequence[Question],
    folder: Path,
    threads: int,
    rounds: int,
    report: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Zuji and one peer in turns; figures go into ``report["queries"]`` as they come."""
    zuji = Worker(zuji_side.Zuji, folder / "zuji", threads)
    rival = Worker(PEERS[peer], folder / peer, threads)
    try:
        for question in questions:
            forms = PEERS[peer].forms(question)
            if not forms:
                continue
            line = _line(report, question)
            try:
                pair = _pair(question, peer, forms, zuji, rival, rounds)
            except RuntimeError as problem:
                _failed(line, question, peer, problem)
            else:
                line.setdefault("peers", {})[peer] = pair
                _conclude(line)
            save()
    finally:
        zuji.close()
        rival.close()


def _pair(
    question: Question,
    peer: str,
    forms: dict[str, Any],
    zuji: Worker,
    rival: Worker,
    rounds: int,
) -> dict[str, Any]:
    form, probes = rival.call("best", forms)
    ours = question.zuji_cells(zuji.call("run", question.with_ties_any()).answer)
    theirs = question.peer_cells(rival.call("run", forms[form]).answer)
    found = differences(ours, theirs, peer, question.tolerance)
    zuji.call("run", question.queries)
    mine: list[Run] = []
    others: list[Run] = []
    began = time.perf_counter()
    for number in range(rounds):
        mine.append(zuji.call("run", question.queries))
        others.append(rival.call("run", forms[form]))
        if number + 1 >= LEAST_ROUNDS and time.perf_counter() - began > SECONDS_A_QUESTION:
            break
    result = {
        "zuji": figures(mine),
        "peer": figures(others),
        "form": form,
        "probes_s": probes,
        "equal": not found,
        "differences": found[:20],
    }
    result["ratio"] = result["peer"]["ms"] / result["zuji"]["ms"]
    say(
        f"{_told(question, result['zuji'])}; {TITLES[peer]} {result['peer']['ms']:.1f} ms "
        f"({form}), {result['ratio']:.1f} ×, equal {result['equal']}"
    )
    for difference in found[:5]:
        say(f"  {difference}")
    return result


def _failed(line: dict[str, Any], question: Question, engine: str, problem: Exception) -> None:
    """A question that an engine refused; the next ones are asked all the same."""
    line.setdefault("errors", {})[engine] = str(problem)
    say(f"{question.name}: failed beside {TITLES[engine]}: {str(problem).strip().splitlines()[-1]}")


def _told(question: Question, zuji: dict[str, Any]) -> str:
    return f"{question.name}: Zuji {zuji['ms']:.1f} ms (min {zuji['min_ms']:.1f})"


def _line(report: dict[str, Any], question: Question) -> dict[str, Any]:
    lines: dict[str, Any] = report.setdefault("queries", {})
    line: dict[str, Any] = lines.setdefault(
        question.name,
        {"title": question.title, "goal_ms": question.goal_ms, "goal_ratio": question.goal_ratio},
    )
    return line


def _conclude(line: dict[str, Any]) -> None:
    """Zuji's figures over all pairs, and the ratio to the best peer: the lowest of the pairs'."""
    pairs = line["peers"]
    runs = [ms for pair in pairs.values() for ms in pair["zuji"]["runs_ms"]]
    first = next(iter(pairs.values()))["zuji"]
    line["zuji"] = {
        **first,
        "ms": statistics.median(runs),
        "min_ms": min(runs),
        "max_ms": max(runs),
        "runs_ms": runs,
        "cpu_ms": statistics.median(pair["zuji"]["cpu_ms"] for pair in pairs.values()),
        "peak_bytes": max(pair["zuji"]["peak_bytes"] for pair in pairs.values()),
    }
    best = min(pairs, key=lambda name: pairs[name]["ratio"])
    line["best_peer"], line["ratio"] = best, pairs[best]["ratio"]
    line["equal"] = all(pair["equal"] for pair in pairs.values())
