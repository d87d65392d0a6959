"""The plan of a query: which runs each scan reads, and why others are not read.

An analysis states its scans; the rules of ``rules/`` narrow them, one pure function after the
other. Nothing is read from disk while planning: rules look at footers only. Immutable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zuji.engine.query.rules import RULES
from zuji.engine.storage.source import MEMTABLE_RANK

if TYPE_CHECKING:
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.view import View
    from zuji.engine.storage.segment import Run, Source

ANY_EVENT = "*"


@dataclass(frozen=True, slots=True)
class RunRef:
    """One run to read: where it lies, and whether all its rows are in the scan's time range."""

    shard: int
    source: Source
    run: Run
    inside: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """Rows of some events in a time range that pass a filter.

    ``events`` None = any event. ``columns``: properties read beside users and times. ``index``: the
    day index answers, rows are not read. ``skipped``: rule → runs that it ruled out.
    """

    label: str
    events: tuple[str, ...] | None
    from_ms: int
    to_ms: int
    where: Filter | None = None
    columns: frozenset[str] = frozenset()
    runs: tuple[RunRef, ...] | None = None
    index: bool = False
    index_wanted: bool = False
    skipped: tuple[tuple[str, int], ...] = ()

    def of_shard(self, shard: int) -> list[RunRef]:
        """The runs of one shard, in (partition, rank) order."""
        return [ref for ref in self.runs or () if ref.shard == shard]

    def keeping(self, runs: tuple[RunRef, ...], rule: str) -> Scan:
        """This scan with fewer runs, the difference booked on ``rule``."""
        dropped = len(self.runs or ()) - len(runs)
        skipped = (*self.skipped, (rule, dropped)) if dropped else self.skipped
        return replace(self, runs=runs, skipped=skipped)


def planned(scan: Scan, view: View) -> Scan:
    """``scan`` after all rules."""
    for rule in RULES:
        scan = rule(scan, view)
    return scan


def explained(scan: Scan) -> dict[str, Any]:
    """What a scan reads, for people."""
    runs = scan.runs or ()
    return {
        "scan": scan.label,
        "events": list(scan.events) if scan.events is not None else ANY_EVENT,
        "method": "day index" if scan.index else "rows",
        "runs": len(runs),
        "rows": 0 if scan.index else sum(ref.run.rows for ref in runs),
        "bytes": 0 if scan.index else sum(bytes_of(ref, scan.columns) for ref in runs),
        "columns": sorted(scan.columns),
        "skipped": dict(scan.skipped),
        "sources": sorted({_source_label(ref) for ref in runs}),
    }


def _source_label(ref: RunRef) -> str:
    stored = "memtable" if ref.source.rank >= MEMTABLE_RANK else "segment"
    return f"shard {ref.shard} {stored} {ref.source.partition}"


def bytes_of(ref: RunRef, columns: frozenset[str]) -> int:
    """Stored bytes that reading the run with these columns touches."""
    total = ref.run.nbytes(None)
    for p in columns:
        if p.startswith("event.") and p[6:] in ref.run.props:
            total += ref.run.nbytes(p[6:])
    return total
