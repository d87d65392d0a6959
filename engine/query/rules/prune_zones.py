"""Rule: runs in which no row can pass the filter, by zone map or by a property they do not have,
are not read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zuji.engine.query.filters import Zone, may_match

if TYPE_CHECKING:
    from zuji.engine.query.plan import RunRef, Scan
    from zuji.engine.query.view import View


def prune_zones(scan: Scan, view: View) -> Scan:
    """Drops runs by (least, greatest, has missing) of each property in their footer."""
    where = scan.where
    if where is None:
        return scan
    kept = tuple(
        ref
        for ref in scan.runs or ()
        if may_match(where, partial(zone_of, ref), now_ms=view.now_ms)
    )
    return scan.keeping(kept, "zone maps")


def zone_of(ref: RunRef, p: str) -> Zone | None:
    """Zone of a property in a run; None = unknown."""
    if p == "event.$time":
        return (ref.run.min_ms, ref.run.max_ms, False)
    if not p.startswith("event.") or p in ("event.$name", "event.$received"):
        return None
    zone = ref.run.zone(p[6:]) if p[6:] in ref.run.props else None
    if zone is None:
        return None
    return (zone[0], zone[1], ref.run.presence_count(p[6:]) < ref.run.rows)
