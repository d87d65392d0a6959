"""``python -m bench.billion``: Zuji alone on very many rows, and how it grows.

Rows are streamed from a generator process to the loader (``stream.py``); nothing is kept but the
project. Then every question is asked. ``--growth 1e6,3e6,10e6`` does this for one size after the
other and prints milliseconds per million rows: they must not grow. Results are written after every
question; a run that is interrupted leaves what it has measured.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from bench import contest, starts, zuji_side
from bench import report as reports
from bench.contest import say
from bench.generate import profiles
from bench.measure import MIB, need_disk
from bench.questions import questions
from bench.shape import Shape, year_of
from bench.stream import streamed
from bench.worker import run_alone

# On disk while segments are merged: the rows, their merged copy, ids and keys of repeats.
ROW_BYTES = 46
PROGRESS_S = 15.0


def _load(shape: Shape, data: Path, threads: int) -> dict[str, Any]:
    """Streams a data set into a new project; for a process of its own."""
    people = profiles(shape)
    told = [0.0]

    def progress(rows: int, seconds: float) -> None:
        if seconds - told[0] >= PROGRESS_S or rows >= shape.rows:
            told[0] = seconds
            rate = rows / seconds
            left = (shape.rows - rows) / rate
            say(
                f"{rows / 1e6:,.0f} M of {shape.rows / 1e6:,.0f} M rows, "
                f"{rate / 1e6:.2f} M rows/s, {left / 60:.1f} min left"
            )

    with streamed(shape) as tables:
        loaded = zuji_side.load_stream(shape, people, tables, data, threads, progress)
    # The generator shares the two cores, so the loader's own CPU time is told beside the rate.
    loaded["rows_per_cpu_s"] = shape.rows / loaded["cpu_s"]
    return loaded


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.billion", description=__doc__)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000_000)
    parser.add_argument("--growth", default="", help="sizes, ascending, instead of --rows")
    parser.add_argument("--days", type=int, choices=(30, 365), default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".data/bench"))
    parser.add_argument("--reuse", action="store_true", help="query a project loaded earlier")
    parser.add_argument("--keep", action="store_true", help="keep the project")
    return parser.parse_args()


def _measured(rows: int, args: argparse.Namespace) -> dict[str, Any]:
    shape = year_of(rows) if args.days == 365 else Shape(rows)
    out: Path = args.out / f"alone-{rows}-{args.days}"
    out.mkdir(parents=True, exist_ok=True)
    report = reports.begun(shape, args.threads, args.rounds)

    def save() -> None:
        reports.write(report, out)

    data = out / "zuji"
    if not (args.reuse and data.exists()):
        shutil.rmtree(data, ignore_errors=True)
        need_disk(out, rows * ROW_BYTES, f"{rows:,} rows")
        say(f"loading {rows:,} rows")
        loaded = run_alone(_load, shape, data, args.threads)
        report["load"] = {"zuji": loaded}
        say(
            f"loaded at {loaded['rows_per_s'] / 1e6:.2f} M rows/s "
            f"({loaded['rows_per_cpu_s'] / 1e6:.2f} M a CPU-s), "
            f"{loaded['bytes_per_row']:.2f} bytes a row in segments, "
            f"peak {loaded['peak_rss_bytes'] / MIB:,.0f} MiB"
        )
        save()
    asked = questions(shape)
    contest.alone(asked, data, args.threads, args.rounds, report, save)
    starts.cold(asked, out, [], args.threads, report, save)
    _, as_text = reports.write(report, out)
    print("\n" + as_text.read_text())
    if not args.keep:
        shutil.rmtree(data, ignore_errors=True)
    return report


def growth_table(reports_: dict[int, dict[str, Any]]) -> str:
    """Milliseconds, and per million rows, of every question at every size."""
    sizes = sorted(reports_)
    head = ["question, ms (ms a million rows)", *(f"{n / 1e6:g} M" for n in sizes)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, line in reports_[sizes[0]]["queries"].items():
        cells = [line["title"]]
        for n in sizes:
            found = reports_[n]["queries"].get(name)
            ms = found["zuji"]["ms"] if found and "zuji" in found else None
            cells.append("–" if ms is None else f"{ms:.1f} ({ms / n * 1e6:.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    for title, key, scale in (
        ("M rows a CPU-second of the loader", "rows_per_cpu_s", 1e6),
        ("bytes a row", "bytes_per_row", 1.0),
        ("peak of the loader, MiB", "peak_rss_bytes", MIB),
    ):
        cells = [title]
        for n in sizes:
            loaded = reports_[n].get("load", {}).get("zuji")
            cells.append("–" if loaded is None else f"{loaded[key] / scale:,.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs one size, or one after the other."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = [int(float(n)) for n in args.growth.split(",") if n] or [args.rows]
    found: dict[int, dict[str, Any]] = {}
    for rows in sizes:
        found[rows] = _measured(rows, args)
        if args.growth:
            table = growth_table(found)
            (args.out / "growth.md").write_text(table)
            print(table, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
