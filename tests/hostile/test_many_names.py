"""As many names as the limits let in, in one memtable: flushing and merging it cost what its cells
cost, not what all pairs of its events and properties would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

import zuji
from zuji.engine.index.catalog import Catalog
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.storage.cells import CellProp, SortedCells
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOON = 1_790_827_200_000
EVENTS, EACH = 150, 40


def _batch(first: int) -> bytes:
    """Events of names that no other has, with properties that no other has."""
    packed: bytes = msgpack.packb(
        [
            {
                "event": f"e{n}",
                "time": NOON + n,
                "user_id": f"u{n % 5}",
                "properties": {f"p{n}-{i}": i for i in range(EACH)},
            }
            for n in range(first, first + EVENTS)
        ]
    )
    return packed


def _opened(path: Path) -> zuji.Engine:
    return zuji.open(path, "p", config=zuji.Config(background=False, compact_after=100))


def test_a_flush_asks_runs_for_the_properties_that_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"counts": 0, "sizes": 0}
    emit, count = SortedCells._emit, CellProp.count

    def emitted(self: SortedCells, run: int) -> Any:
        found = emit(self, run)
        asked["sizes"] += len(found.starts) + len(found.presence)
        return found

    def counted(self: CellProp, run: int) -> int:
        asked["counts"] += 1
        return count(self, run)

    monkeypatch.setattr(SortedCells, "_emit", emitted)
    monkeypatch.setattr(CellProp, "count", counted)
    with _opened(tmp_path) as engine:
        engine.append_batch(_batch(0))
        engine.flush()
        assert len(engine.properties()) == EVENTS * EACH
    assert asked["counts"] <= EVENTS * EACH
    assert asked["sizes"] <= 3 * EVENTS * (EACH + 1)


def test_all_of_it_is_there_after_flush_and_merge(tmp_path: Path) -> None:
    with _opened(tmp_path) as engine:
        engine.append_batch(_batch(0))
        engine.flush()
        engine.append_batch(_batch(EVENTS // 2))
        before = _all_cells(engine)
        engine.compact()
        assert _all_cells(engine) == before
    with _opened(tmp_path) as engine:
        assert _all_cells(engine) == before


def _all_cells(engine: zuji.Engine) -> dict[tuple[str, str], int]:
    """Values by event and property."""
    found: dict[tuple[str, str], int] = {}
    for shard in engine._pin().sources:
        for source in shard:
            for event, run in source.runs.items():
                for name in run.props:
                    column = run.column(name)
                    assert column is not None
                    at = (event, name)
                    found[at] = found.get(at, 0) + int(column.values.sum())
    assert len(found) >= EVENTS * EACH
    return found


def test_names_beyond_the_limit_leave_none(tmp_path: Path) -> None:
    limits = DEFAULT_LIMITS.__class__(project_property_names=100)
    config = zuji.Config(background=False, limits=limits)
    with zuji.open(tmp_path, "p", config=config) as engine:
        result = engine.append_batch(_batch(0))
        assert result.accepted == 2
        assert {one.reason for one in result.rejected} == {"too_many_property_names"}
        assert len(engine.properties()) == 80
        again = [{"event": "e0", "time": NOON, "user_id": "u", "properties": {"p0-0": 5}}]
        assert engine.append(again).accepted == 1


def test_a_copy_of_a_catalog_is_one_that_was_dumped_and_loaded() -> None:
    catalog = Catalog()
    catalog.add_event("view")
    for name in ("a", "b", "$user.c"):
        catalog.add_prop(name, Kind.INT if name == "a" else Kind.STRING)
    catalog.pairs()[catalog.event_codes["view"], :2] = 1
    copy = catalog.copy()
    assert copy.dump() == catalog.dump() == Catalog.load(catalog.dump()).dump()
    assert (copy.event_codes, copy.prop_codes) == (catalog.event_codes, catalog.prop_codes)
    assert copy.kind_codes().tolist() == catalog.kind_codes().tolist()
    catalog.add_prop("d", Kind.INT)
    catalog.pairs()[:, 3] = 1
    assert "d" not in copy.prop_codes
    assert not copy.pairs()[:, 3].any()
