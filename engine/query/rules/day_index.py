"""Rule: what asks only who did an event on which day is answered from the day index, without rows.

Needs: the analysis can use it (``index_wanted``), no filter, and every run has its index. Runs keep
their own local days; the analysis checks that its buckets are unions of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.view import View
    from zuji.engine.types import I64


def day_index(scan: Scan, view: View) -> Scan:
    """Sets ``scan.index`` where it holds."""
    del view
    if not scan.index_wanted or scan.where is not None:
        return scan
    ok = all(_usable(ref.run.days, scan.from_ms, scan.to_ms) for ref in scan.runs or ())
    return replace(scan, index=ok)


def _usable(edges: I64 | None, from_ms: int, to_ms: int) -> bool:
    """Both ends of the range fall on day edges of the run, or outside its days."""
    if edges is None or len(edges) < 2:
        return False
    return all(not edges[0] < end < edges[-1] or end in edges for end in (from_ms, to_ms))
