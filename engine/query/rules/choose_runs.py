"""Rule: a scan reads only the runs of its events. Profile records are not events of anybody's
behaviour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zuji.engine.index.catalog import PROFILE_EVENTS

if TYPE_CHECKING:
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.view import View


def choose_runs(scan: Scan, view: View) -> Scan:
    """Fills ``scan.runs`` with every run of the scan's events."""
    from zuji.engine.query.plan import RunRef

    chosen = []
    for shard, sources in enumerate(view.sources):
        for source in sources:
            names = source.runs if scan.events is None else dict.fromkeys(scan.events)
            for name in names:
                run = source.runs.get(name)
                if run is not None and name not in PROFILE_EVENTS:
                    chosen.append(RunRef(shard, source, run, inside=False))
    return replace(scan, runs=tuple(chosen))
