"""Rule: runs whose rows all lie outside the time range are not read; runs wholly inside need no
time check.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.view import View


def prune_time(scan: Scan, view: View) -> Scan:
    """Drops runs by the least and greatest time in their footer."""
    del view
    kept = tuple(
        replace(ref, inside=scan.from_ms <= ref.run.min_ms and ref.run.max_ms < scan.to_ms)
        for ref in scan.runs or ()
        if ref.run.max_ms >= scan.from_ms and ref.run.min_ms < scan.to_ms
    )
    return scan.keeping(kept, "time range")
