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
    kept = []
    for ref in scan.runs or ():
        first, last = ref.run.min_ms, ref.run.max_ms
        if last >= scan.from_ms and first < scan.to_ms:
            inside = scan.from_ms <= first and last < scan.to_ms
            kept.append(ref if inside == ref.inside else replace(ref, inside=inside))
    return scan.keeping(tuple(kept), "time range")
