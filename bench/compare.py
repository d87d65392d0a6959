"""``python -m bench.compare old.json new.json``: what got slower than the last release.

Machines and their moods differ, so times are not compared as such. What is compared is the ratio to
the best peer of the same run, whose queries ran in turns with Zuji's; the spread of the runs says
how much of a change is noise. ``old.json`` is by default ``bench/baseline.json``, which was written
by a real run (``--write`` makes it). Exit code 1 when something got slower by more than noise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("baseline.json")
LEAST_CHANGE = 1.15
"""A smaller change is never told: two runs of the same code differ by this."""


def brief(report: dict[str, Any]) -> dict[str, Any]:
    """What a baseline keeps of a report: ratios with their spread, and figures of the load."""
    queries = {}
    for name, line in report.get("queries", {}).items():
        if "zuji" not in line:
            continue
        queries[name] = {
            "title": line["title"],
            "zuji_ms": line["zuji"]["ms"],
            "cpu_ms": line["zuji"]["cpu_ms"],
            "peers": {
                peer: {"ratio": pair["ratio"], "noise": noise(pair)}
                for peer, pair in line.get("peers", {}).items()
            },
        }
    load = report.get("load", {}).get("zuji", {})
    kept = ("rows_per_s", "cpu_s", "bytes_per_row", "peak_rss_bytes")
    return {
        "brief": True,
        "rows": report["shape"]["rows"],
        "machine": report["machine"],
        "queries": queries,
        "load": {name: load[name] for name in kept if name in load},
    }


def noise(pair: dict[str, Any]) -> float:
    """Factor by which the ratio of one pair may be off: that of the runs' quartiles."""
    found = 1.0
    for side in ("zuji", "peer"):
        runs = sorted(pair[side]["runs_ms"])
        low, high = runs[len(runs) // 4], runs[-1 - len(runs) // 4]
        found *= (high / low) ** 0.5
    return found


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """One line a question that both have: change > 1 is slower, and whether it is more than
    noise.
    """
    lines = []
    for name, line in new["queries"].items():
        before = old["queries"].get(name)
        if before is None:
            continue
        shared = [p for p in line["peers"] if p in before["peers"]]
        if not shared:
            continue
        # The peers agree on what Zuji did, or it was a peer that changed: the middle one counts.
        changes = sorted(
            (before["peers"][p]["ratio"] / line["peers"][p]["ratio"], p) for p in shared
        )
        change, peer = changes[len(changes) // 2]
        spread = before["peers"][peer]["noise"] * line["peers"][peer]["noise"]
        allowed = max(LEAST_CHANGE, spread)
        verdict = "same"
        if change > allowed:
            verdict = "slower"
        elif change < 1 / allowed:
            verdict = "faster"
        lines.append(
            {
                "name": name,
                "title": line["title"],
                "peer": peer,
                "old_ratio": before["peers"][peer]["ratio"],
                "new_ratio": line["peers"][peer]["ratio"],
                "change": change,
                "noise": allowed,
                "verdict": verdict,
            }
        )
    return lines


def _text(lines: list[dict[str, Any]], old: dict[str, Any], new: dict[str, Any]) -> str:
    head = f"{old['machine']['commit']} → {new['machine']['commit']}, {new['rows']:,} rows"
    rows = [
        head,
        "",
        "| question | ratio before | now | time by the ratio | noise | |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {x['title']} | {x['old_ratio']:.1f} × {x['peer']} | {x['new_ratio']:.1f} × | "
        f"{x['change']:.2f} × | ± {x['noise']:.2f} × | "
        f"{'**slower**' if x['verdict'] == 'slower' else x['verdict']} |"
        for x in lines
    ]
    before, now = old["load"].get("bytes_per_row"), new["load"].get("bytes_per_row")
    if before and now:
        rows += ["", f"bytes a row: {before:.2f} → {now:.2f}"]
    return "\n".join(rows) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise SystemExit(f"bench: there is no {path}; `make bench` writes one") from None
    return report if report.get("brief") else brief(report)


def main(arguments: list[str] | None = None) -> int:
    """Prints the comparison, or writes the baseline."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+", help="[old.json] new.json")
    parser.add_argument("--write", action="store_true", help="make new.json the baseline")
    args = parser.parse_args(arguments)
    if len(args.reports) > 2:
        parser.error("two reports at most")
    new = _read(args.reports[-1])
    if args.write:
        BASELINE.write_text(json.dumps(new, indent=1, ensure_ascii=False) + "\n")
        return 0
    old = _read(args.reports[0] if len(args.reports) == 2 else BASELINE)
    if old["rows"] != new["rows"]:
        raise SystemExit(
            f"bench: the reports have {old['rows']:,} and {new['rows']:,} rows: no comparison"
        )
    lines = compared(old, new)
    print(_text(lines, old, new))
    return int(any(line["verdict"] == "slower" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
