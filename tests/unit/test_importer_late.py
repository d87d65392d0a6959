"""JSON lines whose later lines have what the first ones had not: properties, ids, a type."""

from __future__ import annotations

import json

import pytest

import zuji
from zuji.engine.export import read_events, read_profiles
from zuji.server.importer.local import LocalTarget
from zuji.server.importer.mapping import Mapping
from zuji.server.importer.place import NoPlace
from zuji.server.importer.readers.json_lines import JsonLinesReader
from zuji.server.importer.rejects import RejectsFile
from zuji.server.importer.run import plan_file, run_file
from zuji.server.importer.shipping import ship_file
from zuji.server.importer.tables import TableSource

T0 = 1_790_784_000_000
BLOCK = 500
"""Bytes; a few lines."""


def lines(count, **more):
    return [{"event": "go", "time": T0 + i, "user_id": "u", "n": i, **more} for i in range(count)]


def written(tmp_path, rows):
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["bulk", "parcels"])
def imported(request, tmp_path):
    """Imports rows; what of them is stored, and the progress."""

    def run(rows, mapping=None, **options):
        path = written(tmp_path, rows)
        plan = plan_file(
            path, JsonLinesReader(path, block_bytes=BLOCK), mapping or Mapping(), "UTC", **options
        )
        with zuji.open(tmp_path / "data") as engine, RejectsFile(None) as rejects:
            if request.param == "bulk":
                state = run_file(plan, engine, rejects, append_rows=10)
            else:
                source = TableSource(plan)
                state = ship_file(source, LocalTarget(engine), NoPlace(plan.key), rejects)
                state.later = source.later
        with zuji.open(tmp_path / "data", mode="r") as engine:
            found = [row for table in read_events(engine) for row in table.to_pylist()]
            people = [row for table in read_profiles(engine) for row in table.to_pylist()]
        found.sort(key=lambda row: row["$time"] if "$time" in row else row["time"])
        return found, people, state, dict(rejects.by_reason)

    return run


def test_a_property_of_later_lines_is_stored(imported):
    rows, _, state, refused = imported([*lines(50), *lines(20, late="x"), *lines(5, other=1.5)])
    assert refused == {}
    assert [row["late"] for row in rows].count("x") == 20
    assert [row["other"] for row in rows].count(1.5) == 5
    assert state.later == ["late", "other"]


def test_but_not_when_only_named_ones_are_wanted(imported):
    mapping = Mapping(properties={"n": ""})
    rows, _, _, _ = imported([*lines(50), *lines(20, late="x")], mapping)
    assert "late" not in rows[0]
    assert rows[0]["n"] == 0


def test_a_property_of_later_lines_has_the_type_of_the_project(imported):
    rows, _, _, refused = imported(
        [*lines(50), *lines(3, late="12"), *lines(1, late="x")], kinds={"late": "int64"}
    )
    assert sorted(row["late"] for row in rows if row["late"] is not None) == [12, 12, 12]
    assert refused == {"type_mismatch": 1}


def test_an_id_of_later_lines_is_one(imported):
    """Also when some are numbers and some are not."""
    later = [{**row, "device_id": d} for row, d in zip(lines(3), (7, 8, "d9"), strict=True)]
    rows, _, state, refused = imported([*lines(50), *later])
    assert refused == {}
    assert sorted(str(row["device_id"]) for row in rows if row["device_id"]) == ["7", "8", "d9"]
    assert state.later == ["device_id"]


def test_an_insert_id_of_later_lines_is_one(imported):
    twice = {**lines(1)[0], "insert_id": "i1"}
    rows, _, state, _ = imported([*lines(50), twice, twice, twice])
    assert len(rows) == 51
    assert state.duplicates == 2


def test_profiles_may_begin_late(imported):
    events = [{"event": "go", "time": T0 + i, "user_id": "u"} for i in range(50)]
    people = [
        {"type": "profile_set", "time": T0, "user_id": f"p{i}", "properties": {"level": i}}
        for i in range(3)
    ]
    rows, found, _, refused = imported([*events, *people])
    assert refused == {}
    assert len(rows) == 50
    assert sorted(one["level"] for one in found if one.get("level") is not None) == [0, 1, 2]


def test_going_on_far_down_finds_the_same(tmp_path):
    """A run that begins after the first of them, as after a kill."""
    rows = [*lines(50), *lines(60, late="x")]
    path = written(tmp_path, rows)

    def run(engine, limit=None):
        reader = JsonLinesReader(path, block_bytes=BLOCK)
        plan = plan_file(path, reader, Mapping(), "UTC")
        with RejectsFile(None) as rejects:
            return run_file(plan, engine, rejects, append_rows=10, limit_rows=limit)

    with zuji.open(tmp_path / "data") as engine:
        assert 60 <= run(engine, 70).rows < 110
        assert run(engine).resumed_at > 0
        found = [row for table in read_events(engine) for row in table.to_pylist()]
    assert [row["late"] for row in found].count("x") == 60
