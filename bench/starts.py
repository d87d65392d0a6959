"""Cold starts: import, and the first query of a fresh process, on cached files and on dropped ones.

"Dropped" means that the kernel was asked to forget the pages of the engine's own files
(``posix_fadvise``), which needs no rights and disturbs nobody else.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.contest import say
from bench.measure import drop_cached
from bench.peers import PEERS, TITLES
from bench.worker import run_alone
from bench.zuji_side import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.questions.question import Question

ZUJI_RUNS = 3
LONG_S = 4.0
"""A peer that takes longer than this on cached files is not asked again on dropped ones."""


def import_seconds(runs: int = 7) -> dict[str, float]:
    """Medians in fresh interpreters: ``import zuji`` alone, and until ``zuji.open`` can be
    called.
    """
    code = (
        "import time; t = time.perf_counter(); import zuji; a = time.perf_counter() - t\n"
        "zuji.open; print(a, time.perf_counter() - t)"
    )
    seen = [[float(x) for x in _python(code).split()] for _ in range(runs)]
    return {
        "import_s": statistics.median(s[0] for s in seen),
        "import_engine_s": statistics.median(s[1] for s in seen),
    }


def cold(
    questions: Sequence[Question],
    folder: Path,
    peers: Sequence[str],
    threads: int,
    report: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """First query of a fresh process for every question and engine, into ``report["cold"]``."""
    lines: dict[str, Any] = report.setdefault("cold", {})
    for question in questions:
        if "zuji" not in report["queries"].get(question.name, {}):
            continue
        line = lines.setdefault(question.name, {})
        line["zuji"] = {
            state: _zuji(folder / "zuji", question, threads, state == "dropped")
            for state in ("cached", "dropped")
        }
        told = [f"Zuji {_ms(line['zuji'])}"]
        for peer in peers:
            form = report["queries"][question.name].get("peers", {}).get(peer, {}).get("form")
            if form is None:
                continue
            sent = PEERS[peer].forms(question)[form]
            line[peer] = {"cached": run_alone(first, peer, folder / peer, threads, sent, False)}
            if line[peer]["cached"]["total_s"] < LONG_S:
                dropped = run_alone(first, peer, folder / peer, threads, sent, True)
                line[peer]["dropped"] = dropped
            told.append(f"{TITLES[peer]} {_ms(line[peer])}")
        say(f"cold {question.name}, ms cached / dropped: {', '.join(told)}")
        save()


def _ms(line: dict[str, Any]) -> str:
    return " / ".join(f"{state['total_s'] * 1000:.0f}" for state in line.values())


def _zuji(data: Path, question: Question, threads: int, dropped: bool) -> dict[str, float]:
    """Medians: import + open, those with the first query, and the query alone."""
    opened = f"zuji.open(sys.argv[1], {PROJECT!r}, mode='r', config=zuji.Config(threads={threads}))"
    code = (
        "import sys, time, json\n"
        "asked = json.loads(sys.argv[2]); t = time.perf_counter(); import zuji\n"
        f"e = {opened}\n"
        "a = time.perf_counter() - t\n"
        "for q in asked:\n"
        "    paths = q.get('session_paths')\n"
        "    e.snapshot()._session_paths(**paths) if paths else e.query(q)\n"
        "b = time.perf_counter() - t; print(json.dumps([a, b]))\n"
    )
    seen = []
    for _ in range(ZUJI_RUNS):
        if dropped:
            drop_cached(data)
        seen.append(json.loads(_python(code, str(data), json.dumps(question.queries))))
    return {
        "open_s": statistics.median(s[0] for s in seen),
        "total_s": statistics.median(s[1] for s in seen),
        "query_s": statistics.median(s[1] - s[0] for s in seen),
    }


def first(peer: str, folder: Path, threads: int, form: Any, dropped: bool) -> dict[str, float]:
    """The same of a peer, once; for a process of its own."""
    if dropped:
        drop_cached(folder)
    began = time.perf_counter()
    server = PEERS[peer](folder, threads)
    opened = time.perf_counter() - began
    run = server.run(form)
    total = time.perf_counter() - began
    server.close()
    return {"open_s": opened, "total_s": total, "query_s": run.seconds}


def _python(code: str, *arguments: str) -> str:
    # pip compiles what it installs; a source tree is compiled by the first run that may write.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
