"""Rule: runs in which no row can pass the filter, by zone map, by dictionary or by a property they
do not have, are not read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zuji.engine.query.filters import Zone, may_match
from zuji.engine.storage.source import MEMTABLE_RANK
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Container

    from zuji.engine.query.plan import RunRef, Scan
    from zuji.engine.query.view import View


def prune_zones(scan: Scan, view: View) -> Scan:
    """Drops runs by (least, greatest, has missing) of each property in their footer, and by the
    strings that the filter names and their source does not have.
    """
    where = scan.where
    if where is None:
        return scan
    known: dict[tuple[int, str, str], bool] = {}
    virtual = view.definitions.properties

    def passes(ref: RunRef) -> bool:
        zone = partial(_zone, virtual, ref)
        holds = partial(_holds, known, virtual, ref)
        return may_match(where, zone, now_ms=view.now_ms, holds=holds)

    return scan.keeping(tuple(ref for ref in scan.runs or () if passes(ref)), "zone maps")


def _zone(virtual: Container[str], ref: RunRef, p: str) -> Zone | None:
    return None if p in virtual else zone_of(ref, p)


def _holds(
    known: dict[tuple[int, str, str], bool],
    virtual: Container[str],
    ref: RunRef,
    p: str,
    text: str,
) -> bool:
    """Whether the source of a run may hold a string; looked up once a source. Memtables have no
    dictionary until one is made, which costs more than reading their rows.
    """
    name = p.removeprefix("event.")
    if name == p or p in virtual or ref.source.rank >= MEMTABLE_RANK:
        return True
    if ref.run.props.get(name) not in (Kind.STRING, Kind.LIST):
        return True
    key = (id(ref.source), name, text)
    found = known.get(key)
    if found is None:
        strings = ref.source.dictionary(name)
        found = strings is None or not strings.ordered or strings.find(text) >= 0
        known[key] = found
    return found


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
