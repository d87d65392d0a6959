"""The report of one run: JSON for tools, Markdown for people. Goals stand beside the figures."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

MIB = 1 << 20


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
    import os

    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


def _verdict(good: bool) -> str:
    return "yes" if good else "**no**"


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown. Sections that were not run are left out."""
    shape, host = report["shape"], report["machine"]
    lines = [
        f"# Zuji beside ClickHouse: {shape['rows']:,} rows",
        "",
        f"{host['cpu']}, {report['threads']} threads, Python {host['python']}, "
        f"ClickHouse {report.get('clickhouse_version', '?')} (chdb); seed {shape['seed']}, "
        f"{shape['users']:,} users, {shape['days']} days. Times are medians of {report['rounds']} "
        "interleaved runs (A B A B), ms.",
        "",
    ]
    if report.get("queries"):
        lines += [
            "| query | Zuji | ClickHouse | ratio | goal | met | answers equal "
            "| ClickHouse's best |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_query_line(q) for q in report["queries"]]
        lines.append("")
    if report.get("load"):
        lines += _load_lines(report)
    if report.get("recovery"):
        r = report["recovery"]
        lines.append(
            f"- WAL recovery: {r['seconds_per_gb']:.1f} s per GB "
            f"({r['wal_bytes'] / MIB:,.0f} MiB in {r['recovery_s']:.2f} s, {r['rows']:,} rows; "
            f"goal ≤ 10): {_verdict(r['seconds_per_gb'] <= 10)}; the log is compressed: "
            f"{r['seconds_per_gb_of_batches']:.1f} s per GB of batches as they were sent"
        )
    return "\n".join(lines) + "\n"


def _query_line(q: dict[str, Any]) -> str:
    return (
        f"| {q['title']} | {q['zuji_ms']:.1f} | {q['clickhouse_ms']:.1f} | {q['ratio']:.1f} × | "
        f"≥ {q['goal']:.0f} × | {_verdict(q['ratio'] >= q['goal'])} | {_verdict(q['equal'])} | "
        f"{q['clickhouse_form']} |"
    )


def _load_lines(report: dict[str, Any]) -> list[str]:
    load, start = report["load"], report["start"]
    lines = [
        "- import from Parquet to durable compacted segments: "
        f"{load['rows_per_s'] / 1e6:.2f} M rows/s "
        f"({load['total_s']:.1f} s; goal ≥ 1.5 M): {_verdict(load['rows_per_s'] >= 1.5e6)}",
        f"- peak memory of the import: {load['peak_rss_bytes'] / MIB:,.0f} MiB (goal ≤ 2,048): "
        f"{_verdict(load['peak_rss_bytes'] <= 2048 * MIB)}",
        f"- on disk: {load['bytes_per_row']:.2f} bytes a row (goal ≤ 12): "
        f"{_verdict(load['bytes_per_row'] <= 12)}",
    ]
    for table, r in report.get("clickhouse_load", {}).items():
        lines.append(
            f"- ClickHouse {table}: {r['rows'] / r['insert_and_merge_s'] / 1e6:.2f} M rows/s, "
            f"{r['bytes_per_row']:.2f} bytes a row"
        )
    lines += [
        f"- `import zuji`: {start['import_s'] * 1000:.0f} ms (goal ≤ 150): "
        f"{_verdict(start['import_s'] <= 0.15)}; until `zuji.open` can be called: "
        f"{start['import_engine_s'] * 1000:.0f} ms",
        f"- import + open + first query, fresh process: {start['open_and_query_s'] * 1000:.0f} ms "
        f"(import + open {start['open_s'] * 1000:.0f}; goal ≤ 1,000): "
        f"{_verdict(start['open_and_query_s'] <= 1)}",
    ]
    return lines


def write(report: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Writes ``report.json`` and ``report.md``."""
    as_json, as_text = folder / "report.json", folder / "report.md"
    as_json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    as_text.write_text(markdown(report))
    return as_json, as_text
