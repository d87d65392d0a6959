"""The report of one run: JSON for tools, Markdown and a chart for people. Goals stand beside the
figures.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.chart import bars
from bench.measure import MIB
from bench.peers import TITLES

if TYPE_CHECKING:
    from bench.shape import Shape


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit(),
    }


def begun(shape: Shape, threads: int, rounds: int) -> dict[str, Any]:
    """A report with what was asked and on what machine, before anything is measured."""
    return {
        "shape": {**asdict(shape), "users": shape.users, "urls": shape.urls},
        "machine": machine(),
        "threads": threads,
        "rounds": rounds,
    }


def commit() -> str:
    """Commit of the working tree, with ``+`` when files differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "-uno")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, cwd=folder
    )
    return done.stdout.strip()


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown. Sections that were not run are left out."""
    shape, host = report["shape"], report["machine"]
    lines = [
        f"# {shape['rows']:,} rows",
        "",
        f"{host['cpu']}, {host['cores']} cores, {host['memory_bytes'] / 1e9:.0f} GB, "
        f"{host['system']}, Python {host['python']}; Zuji at {host['commit']}; "
        f"{report['threads']} threads each. "
        f"Seed {shape['seed']}, {shape['users']:,} users, {shape['urls']:,} URLs, "
        f"{shape['days']} days.",
        "",
    ]
    if report.get("queries"):
        lines += _queries(report)
    if report.get("cold"):
        lines += _cold(report)
    if report.get("load"):
        lines += _load(report["load"])
    if report.get("start"):
        start = report["start"]
        lines.append(
            f"- `import zuji`: {start['import_s'] * 1000:.0f} ms; until `zuji.open` can be called: "
            f"{start['import_engine_s'] * 1000:.0f} ms"
        )
    if report.get("recovery"):
        r = report["recovery"]
        lines.append(
            f"- recovery from the log: {r['rows_per_s'] / 1e3:,.0f} k events/s, "
            f"{r['seconds_per_gb']:.1f} s per GB of log, "
            f"{r['seconds_per_gb_of_batches']:.1f} s per GB of batches as they were sent"
        )
    return "\n".join(lines) + "\n"


def _verdict(good: bool) -> str:
    return "yes" if good else "**no**"


def _queries(report: dict[str, Any]) -> list[str]:
    peers = [p for p in TITLES if p != "zuji" and _asked(report, p)]
    head = ["question", "Zuji, ms", "min–max", "goal at 100 M"]
    head += [f"{TITLES[p]}, ms" for p in peers]
    head += ["ratio to the best", "goal", "answers", "CPU, ms", "read, MB", "peak, MB"]
    lines = [
        f"Medians of interleaved runs (A B A B …), warm, {report['rounds']} a pair; the ratio is "
        "to the best peer, between runs that stood side by side.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for q in report["queries"].values():
        if "zuji" not in q:
            lines.append(f"| {q['title']} | **failed** |" + " |" * (len(head) - 2))
            continue
        zuji = q["zuji"]
        goal = "–" if q["goal_ms"] is None else f"≤ {q['goal_ms']:.0f}"
        cells = [
            q["title"],
            f"{zuji['ms']:.1f}",
            f"{zuji['min_ms']:.1f}–{zuji['max_ms']:.1f}",
            goal,
        ]
        cells += [_peer_ms(q, p) for p in peers]
        if "ratio" in q:
            met = _verdict(q["ratio"] >= q["goal_ratio"])
            cells += [f"{q['ratio']:.1f} ×", f"≥ {q['goal_ratio']:.0f} ×: {met}"]
            cells.append("equal" if q["equal"] else "**differ**")
        else:
            cells += ["–", f"≥ {q['goal_ratio']:.0f} ×", "–"]
        read = zuji["scanned_bytes"]
        cells += [
            f"{zuji['cpu_ms']:.1f}",
            "–" if read is None else f"{read / 1e6:.1f}",
            f"{zuji['peak_bytes'] / MIB:,.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _asked(report: dict[str, Any], peer: str) -> bool:
    return any(peer in q.get("peers", {}) for q in report["queries"].values())


def _peer_ms(question: dict[str, Any], peer: str) -> str:
    pair = question.get("peers", {}).get(peer)
    if pair is None:
        return "–"
    return f"{pair['peer']['ms']:.1f} ({pair['ratio']:.1f} ×)"


def _cold(report: dict[str, Any]) -> list[str]:
    engines = [e for e in TITLES if any(e in line for line in report["cold"].values())]
    head = ["first query of a fresh process, ms", *(TITLES[e] for e in engines), "goal (Zuji)"]
    lines = [
        "Import, open and first query together; with the engine's files in the page cache / "
        "dropped from it.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for name, line in report["cold"].items():
        question = report["queries"][name]
        cells = [question["title"]]
        for engine in engines:
            state = line.get(engine)
            cells.append(
                "–"
                if state is None
                else " / ".join(f"{found['total_s'] * 1000:.0f}" for found in state.values())
            )
        most = 3 * question["zuji"]["ms"] + 400
        met = line["zuji"]["cached"]["total_s"] * 1000 <= most
        lines.append(f"| {' | '.join([*cells, f'≤ {most:.0f}: {_verdict(met)}'])} |")
    return [*lines, ""]


def _load(load: dict[str, Any]) -> list[str]:
    lines = []
    if "zuji" in load:
        z = load["zuji"]
        lines += [
            f"- import to durable compacted segments: {z['rows_per_s'] / 1e6:.2f} M rows/s "
            f"({z['total_s']:.1f} s, {z['cpu_s']:.1f} CPU-s; goal ≥ 1.5 M): "
            f"{_verdict(z['rows_per_s'] >= 1.5e6)}; {z['repeats']:,} repeats found",
            f"- peak memory of the import: {z['peak_rss_bytes'] / MIB:,.0f} MiB",
            f"- on disk: {z['bytes_per_row']:.2f} bytes a row in segments, "
            f"{z['all_bytes_per_row']:.2f} with ids and the keys for finding repeats",
        ]
    for peer, loaded in load.items():
        for layout, r in loaded.get("layouts", {}).items():
            lines.append(
                f"- {TITLES[peer]} {loaded['version']}, {layout}: "
                f"{r['rows_per_s'] / 1e6:.2f} M rows/s, {r['bytes_per_row']:.2f} bytes a row"
            )
    return [*lines, ""] if lines else []


def write(report: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Writes ``report.json``, ``report.md`` and, with peers, ``report.svg``."""
    as_json, as_text = folder / "report.json", folder / "report.md"
    partial = as_json.with_suffix(".tmp")
    partial.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    partial.replace(as_json)
    text = markdown(report)
    drawing = bars(report)
    if drawing:
        (folder / "report.svg").write_text(drawing)
        text += "\n![Zuji and its peers](report.svg)\n"
    as_text.write_text(text)
    return as_json, as_text
