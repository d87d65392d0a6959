"""``python -m bench.ingest``: events on the wire to durable, indexed segments, and what it costs.

Parts: ``rate`` (msgpack and JSON batches of 1,000 events, fsync'd acks, flushed and compacted),
``clickhouse`` (CPU of the same rows as JSONEachRow and MsgPack), ``beside`` (queries and ingest at
full speed together), ``busy`` (sixteen analysts beside a steady rate: acks and answers), ``fresh``
(ack → visible at a steady rate), ``compaction`` (does it keep up; write amplification). Batches are
encoded before anything is timed. Results are written after every part to ``ingest.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from bench import ingest_beside, ingest_parts, ingest_peer
from bench import report as reports
from bench.batches import BATCH_EVENTS, write_batches
from bench.contest import say
from bench.measure import need_disk
from bench.worker import run_alone

PARTS = "rate,clickhouse,beside,busy,fresh,compaction"
BUSY_RATE = 100_000.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--batches", type=int, default=1_000, help="of 1,000 events")
    parser.add_argument("--only", default=PARTS)
    parser.add_argument("--senders", type=int, default=2, help="threads that append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=500_000, help="events/s of part fresh")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of the parts beside, busy and fresh"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="of part compaction")
    parser.add_argument("--out", type=Path, default=Path(".data/bench/ingest"))
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        help="loaded project for the parts beside and busy (is copied)",
    )
    return parser.parse_args()


def main() -> int:
    """Runs the asked parts, each in a fresh process."""
    args = _arguments()
    out: Path = args.out
    parts = args.only.split(",")
    out.mkdir(parents=True, exist_ok=True)
    need_disk(out, args.batches * BATCH_EVENTS * 1_500 + args.minutes * 6e9, "ingest")
    say(f"encoding {args.batches:,} batches")
    report: dict[str, Any] = {
        "machine": reports.machine(),
        "senders": args.senders,
        "batches": run_alone(write_batches, out, args.batches),
    }

    def keep(name: str, found: Any) -> None:
        report[name] = found
        say(f"{name}: {json.dumps(found)}")
        (out / "ingest.json").write_text(json.dumps(report, indent=1) + "\n")

    if "rate" in parts:
        for wire in ("msgpack", "json"):
            keep(
                f"rate_{wire}",
                run_alone(ingest_parts.rate, out, wire, args.senders, args.threads),
            )
    if "clickhouse" in parts:
        for form in ("JSONEachRow", "MsgPack"):
            keep(f"clickhouse_{form}", run_alone(ingest_peer.rate, out, form, args.threads))
        keep("cpu_ratios", ingest_peer.ratios(report))
    if "beside" in parts:
        found = run_alone(ingest_beside.beside, out, args.data, args.seconds, args.threads)
        keep("beside", found)
    if "busy" in parts:
        rate = min(args.rate, BUSY_RATE)
        found = run_alone(ingest_beside.busy, out, args.data, rate, args.seconds, args.threads)
        keep("busy", found)
    if "fresh" in parts:
        found = run_alone(
            ingest_beside.fresh, out, args.rate, args.seconds, args.senders, args.threads
        )
        keep("fresh", found)
    if "compaction" in parts:
        keep(
            "compaction",
            run_alone(ingest_parts.compaction, out, args.minutes, args.senders, args.threads),
        )
    for left in out.iterdir():
        if left.name != "ingest.json":
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
