"""``python -m bench --rows 20000000``: Zuji and ClickHouse on the same rows, timed in turns.

Order: generate Parquet (kept and reused when the shape is the same) → load both → check that the
answers agree → time A B A B → cold start → WAL recovery → report. Exit code 1 when answers differ.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import report as reports
from bench import zuji_side
from bench.clickhouse import ClickHouse, candidates, load_both
from bench.generate import write_parquet
from bench.questions import Question, questions
from bench.shape import Shape
from bench.worker import Worker, run_alone

RECOVERY_ROWS = 2_000_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--seed", type=int, default=Shape(1).seed)
    parser.add_argument("--rounds", type=int, default=9, help="interleaved runs of each query")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".data/bench"))
    parser.add_argument("--only", default="load,queries,start,recovery", help="parts to run")
    parser.add_argument(
        "--keep", action="store_true", help="reuse loaded engines of an earlier run"
    )
    parser.add_argument("--zuji-only", action="store_true", help="skip ClickHouse (no ratios)")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _parquet(shape: Shape, out: Path) -> Path:
    path = out / f"events-{shape.rows}-{shape.seed}.parquet"
    if not path.exists():
        _say(f"generating {shape.rows:,} rows")
        run_alone(write_parquet, shape, path)
    return path


def _differences(ours: dict[str, int], theirs: dict[str, int]) -> list[str]:
    """Cells that differ. A cell that Zuji gives as incomplete (null) is not in ``ours``: not
    compared.
    """
    return [
        f"{name}: Zuji {value}, ClickHouse {theirs.get(name, 0)}"
        for name, value in ours.items()
        if value != theirs.get(name, 0)
    ] + [f"{name}: missing in Zuji" for name in theirs if name not in ours and "cell" not in name]


def _with_ties_any(query: dict[str, Any]) -> dict[str, Any]:
    """ClickHouse orders one instant by step: that is ``ties: any``, so answers are compared with
    it.
    """
    if query["model"] != "funnel":
        return query
    return {**query, "body": {**query["body"], "ties": "any"}}


def _compare(
    questions_: list[Question], zuji: Worker, server: Worker | None, rounds: int
) -> list[dict[str, Any]]:
    lines = []
    for question in questions_:
        line: dict[str, Any] = {
            "name": question.name,
            "title": question.title,
            "goal": question.goal,
        }
        sql = ""
        if server is not None:
            forms = candidates(question)
            form, line["clickhouse_probes_s"] = server.call("best", forms)
            line["clickhouse_form"], sql = form, forms[form]
            _, rows = zuji.call("timed", _with_ties_any(question.query))
            ours, theirs = (
                question.zuji_cells(rows),
                question.sql_cells(server.call("timed", sql)[1]),
            )
            line["differences"] = _differences(ours, theirs)
            line["equal"] = not line["differences"]
        zuji.call("timed", question.query)
        runs: dict[str, list[float]] = {"zuji": [], "clickhouse": []}
        for _ in range(rounds):
            runs["zuji"].append(zuji.call("timed", question.query)[0] * 1000)
            if server is not None:
                runs["clickhouse"].append(server.call("timed", sql)[0] * 1000)
        line["runs_ms"] = runs
        line["zuji_ms"] = statistics.median(runs["zuji"])
        line["zuji_min_ms"] = min(runs["zuji"])
        if server is not None:
            line["clickhouse_ms"] = statistics.median(runs["clickhouse"])
            line["clickhouse_min_ms"] = min(runs["clickhouse"])
            line["ratio"] = line["clickhouse_ms"] / line["zuji_ms"]
            _say(
                f"{question.name}: Zuji {line['zuji_ms']:.1f} ms, "
                f"ClickHouse {line['clickhouse_ms']:.1f} ms "
                f"({line['clickhouse_form']}), {line['ratio']:.1f} ×, equal {line['equal']}"
            )
            for difference in line["differences"][:5]:
                _say(f"  {difference}")
        else:
            _say(f"{question.name}: Zuji {line['zuji_ms']:.1f} ms (min {line['zuji_min_ms']:.1f})")
        lines.append(line)
    return lines


def main() -> int:
    """Runs the asked parts; the exit code says whether all answers agreed."""
    args = _arguments()
    parts = set(args.only.split(","))
    shape = Shape(args.rows, seed=args.seed)
    out: Path = args.out / str(args.rows)
    out.mkdir(parents=True, exist_ok=True)
    parquet = _parquet(shape, out)
    data, peer = out / "zuji", out / "clickhouse"
    report: dict[str, Any] = {
        "shape": {**asdict(shape), "users": shape.users},
        "machine": reports.machine(),
        "threads": args.threads,
        "rounds": args.rounds,
        "parquet_bytes": parquet.stat().st_size,
    }
    if "load" in parts and not (args.keep and data.exists()):
        shutil.rmtree(data, ignore_errors=True)
        report["load"] = run_alone(zuji_side.load, shape, parquet, data, args.threads)
        _say(
            f"Zuji loaded at {report['load']['rows_per_s'] / 1e6:.2f} M rows/s, "
            f"peak {report['load']['peak_rss_bytes'] >> 20} MiB, "
            f"{report['load']['bytes_per_row']:.2f} bytes a row"
        )
    if not args.zuji_only and not (args.keep and peer.exists()):
        shutil.rmtree(peer, ignore_errors=True)
        version, loaded = run_alone(load_both, peer, args.threads, parquet)
        report["clickhouse_version"], report["clickhouse_load"] = version, loaded
        _say(f"ClickHouse {version} loaded")
    asked = questions(shape)
    if "queries" in parts:
        zuji = Worker(zuji_side.Zuji, data, args.threads)
        server = None if args.zuji_only else Worker(ClickHouse, peer, args.threads)
        report["queries"] = _compare(asked, zuji, server, args.rounds)
        zuji.close()
        if server is not None:
            server.close()
    if "start" in parts:
        report["start"] = {
            **zuji_side.import_seconds(),
            **zuji_side.first_query_seconds(data, asked[1]),
        }
        _say(f"start: {report['start']}")
    if "recovery" in parts:
        small = Shape(min(args.rows, RECOVERY_ROWS), seed=args.seed)
        wal = out / "wal"
        shutil.rmtree(wal, ignore_errors=True)
        run_alone(zuji_side.fill_wal, small, wal)
        report["recovery"] = run_alone(zuji_side.recover, wal)
        shutil.rmtree(wal, ignore_errors=True)
        _say(f"recovery: {report['recovery']}")
    as_json, as_text = reports.write(report, out)
    print("\n" + as_text.read_text())
    _say(f"wrote {as_json} and {as_text}")
    return int(any(q.get("differences") for q in report.get("queries", [])))


if __name__ == "__main__":
    sys.exit(main())
