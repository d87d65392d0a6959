"""``python -m bench --rows 20000000``: Zuji and its peers on the same rows, timed in turns.

Order: generate Parquet (kept and reused when the shape is the same) → load all → for each peer:
compare answers, time A B A B → cold starts → WAL recovery → report. What has been measured is
written after every question. Exit code 1 when answers differ or an engine failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from bench import contest, recovery, starts, zuji_side
from bench import report as reports
from bench.contest import say
from bench.generate import profiles_path, write_parquet
from bench.measure import disk_bytes, need_disk
from bench.peers import PEERS, TITLES
from bench.questions import questions
from bench.shape import Shape, year_of
from bench.worker import run_alone

RECOVERY_ROWS = 2_000_000
PARTS = "load,queries,cold,start,recovery"
# Bytes a row on disk, generously: generated Parquet, and each engine with its peak while loading.
ROW_BYTES = {"parquet": 28, "zuji": 60, "clickhouse": 80, "duckdb": 60, "polars": 110}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=20_000_000)
    parser.add_argument("--days", type=int, choices=(30, 365), default=30)
    parser.add_argument("--seed", type=int, default=Shape(1).seed)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved runs of each pair")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".data/bench"))
    parser.add_argument("--only", default=PARTS, help="parts to run")
    parser.add_argument("--peers", default=",".join(PEERS), help="peers to run; empty: Zuji alone")
    parser.add_argument("--questions", default="", help="names of questions; empty: all")
    parser.add_argument("--reuse", action="store_true", help="reuse engines loaded earlier")
    parser.add_argument("--keep", action="store_true", help="keep loaded data at the end")
    return parser.parse_args()


def _parquet(shape: Shape, out: Path) -> Path:
    path = out / f"events-{shape.rows}-{shape.days}-{shape.seed}.parquet"
    if not path.exists():
        say(f"generating {shape.rows:,} rows")
        run_alone(write_parquet, shape, path)
    return path


def _load(
    shape: Shape, out: Path, peers: list[str], args: argparse.Namespace, report: dict[str, Any]
) -> None:
    wanted = [e for e in ("zuji", *peers) if not (args.reuse and (out / e).exists())]
    if not wanted:
        return
    need_disk(out, shape.rows * sum(ROW_BYTES[e] for e in ("parquet", *wanted)), "loading")
    parquet = _parquet(shape, out)
    loaded = report.setdefault("load", {})
    for engine in wanted:
        shutil.rmtree(out / engine, ignore_errors=True)
        if engine == "zuji":
            loaded[engine] = run_alone(zuji_side.load, shape, parquet, out / engine, args.threads)
        else:
            loaded[engine] = run_alone(PEERS[engine].load, out / engine, args.threads, parquet)
        for name, r in loaded[engine].get("layouts", {"segments": loaded[engine]}).items():
            say(
                f"{TITLES[engine]} loaded, {name}: {r['rows_per_s'] / 1e6:.2f} M rows/s, "
                f"{r['bytes_per_row']:.2f} bytes a row"
            )
        reports.write(report, out)
    if not args.keep:
        parquet.unlink()
        profiles_path(parquet).unlink()


def _recovery(args: argparse.Namespace, out: Path) -> dict[str, Any]:
    small = Shape(min(args.rows, RECOVERY_ROWS), seed=args.seed)
    wal = out / "wal"
    shutil.rmtree(wal, ignore_errors=True)
    run_alone(recovery.fill_wal, small, wal)
    found: dict[str, Any] = run_alone(recovery.recover, wal)
    shutil.rmtree(wal, ignore_errors=True)
    wal.with_suffix(".sent").unlink(missing_ok=True)
    return found


def main() -> int:
    """Runs the asked parts; the exit code says whether all answers agreed."""
    args = _arguments()
    parts = set(args.only.split(","))
    peers = [p for p in args.peers.split(",") if p]
    if not set(peers) <= set(PEERS) or not parts <= set(PARTS.split(",")):
        raise SystemExit(f"bench: peers are {', '.join(PEERS)}; parts are {PARTS}")
    shape = Shape(args.rows, seed=args.seed)
    if args.days == 365:
        shape = year_of(args.rows, args.seed)
    out: Path = args.out / (str(args.rows) if args.days == 30 else f"{args.rows}-{args.days}")
    out.mkdir(parents=True, exist_ok=True)
    report = reports.begun(shape, args.threads, args.rounds)

    def save() -> None:
        reports.write(report, out)

    chosen = {name for name in args.questions.split(",") if name}
    asked = [q for q in questions(shape) if not chosen or q.name in chosen]
    if "load" in parts:
        _load(shape, out, peers, args, report)
    if "queries" in parts:
        for peer in peers:
            try:
                contest.against(peer, asked, out, args.threads, args.rounds, report, save)
            except (RuntimeError, EOFError) as problem:
                # A peer that dies (of memory, say) must not take the others' figures with it.
                report.setdefault("errors", {})[peer] = str(problem)
                say(f"{TITLES[peer]} failed, going on without: {problem}")
        if not peers:
            contest.alone(asked, out / "zuji", args.threads, args.rounds, report, save)
    if "cold" in parts and "queries" in parts:
        starts.cold(asked, out, peers, args.threads, report, save)
    if "start" in parts:
        report["start"] = starts.import_seconds()
    if "recovery" in parts:
        report["recovery"] = _recovery(args, out)
    as_json, as_text = reports.write(report, out)
    print("\n" + as_text.read_text())
    if not args.keep:
        for engine in ("zuji", *peers):
            shutil.rmtree(out / engine, ignore_errors=True)
    say(f"wrote {as_json} and {as_text}; the folder holds {disk_bytes(out) / 1e9:.2f} GB")
    lines = report.get("queries", {}).values()
    return int("errors" in report or any(not q.get("equal", True) or "errors" in q for q in lines))


if __name__ == "__main__":
    sys.exit(main())
