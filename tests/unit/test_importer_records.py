"""Native JSON lines that change users in every way there is: same as the engine takes them."""

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


def change(kind, at, user="u", **properties):
    return {"type": kind, "time": T0 + at, "user_id": user, "properties": properties}


def track(at, **properties):
    return {
        "type": "track",
        "event": "go",
        "time": T0 + at,
        "user_id": "u",
        "properties": properties,
    }


STORY = [
    track(0, page="a"),
    change("profile_set", 1, level=3, city="hz", gone="x", tags=["a"], nothing=1),
    change("profile_set_once", 2, city="nb", first="home"),
    change("profile_increment", 3, level=2, score=0.5),
    change("profile_append", 4, tags=["b", "a"], fresh=["n"]),
    change("profile_unset", 5, gone=True),
    change("profile_set", 6, nothing=None),
    track(7, page="b"),
    change("profile_set", 8, user="v", level=9),
    change("profile_delete", 9, user="v"),
    change("profile_increment", 9, user="v", level=1),
    change("profile_set", 10, level=7),
    change("profile_increment", 10, level=1),  # the same instant: in the order of the file
    change("profile_set", 11, when="2026-10-01"),
]


def people_of(engine):
    found = {}
    for table in read_profiles(engine):
        for row in table.to_pylist():
            name = row.pop("user_id")
            row.pop("device_id", None)
            found[name] = {k: v for k, v in row.items() if v is not None}
    return found


@pytest.fixture
def expected(tmp_path):
    with zuji.open(tmp_path / "plain") as engine:
        engine.append(STORY)
        return people_of(engine)


def written(tmp_path, rows):
    path = tmp_path / "f.jsonl"
    path.write_text(
        "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in rows)
    )
    return path


def imported(path, engine, way, *, block=1 << 20, mapping=None, append_rows=1000):
    reader = JsonLinesReader(path, block_bytes=block, changes=not (mapping and mapping.profile))
    plan = plan_file(path, reader, mapping or Mapping(), "Asia/Shanghai")
    rejects = RejectsFile(None)
    if way == "bulk":
        state = run_file(plan, engine, rejects, append_rows=append_rows)
    else:
        state = ship_file(TableSource(plan), LocalTarget(engine), NoPlace(plan.key), rejects)
    return state, dict(rejects.by_reason)


@pytest.mark.parametrize("way", ["bulk", "parcels"])
@pytest.mark.parametrize("block", [150, 400, 1 << 20])
@pytest.mark.parametrize("append_rows", [1, 1000])
def test_changes_of_users_are_those_of_the_engine(tmp_path, expected, way, block, append_rows):
    path = written(tmp_path, STORY)
    with zuji.open(tmp_path / "data") as engine:
        state, refused = imported(path, engine, way, block=block, append_rows=append_rows)
        assert refused == {}
        assert (state.rows, state.accepted) == (len(STORY), len(STORY))
        assert people_of(engine) == expected
        pages = [p for t in read_events(engine, ["go"]) for p in t["page"].to_pylist()]
        assert sorted(pages) == ["a", "b"]
    assert expected["u"]["level"] == 8
    assert expected["v"]["level"] == 1
    assert expected["u"]["tags"] == ["a", "b"]
    assert not {"gone", "nothing"} & set(expected["u"])


@pytest.mark.parametrize("way", ["bulk", "parcels"])
def test_a_file_of_nothing_but_such_changes(tmp_path, way):
    path = written(tmp_path, [change("profile_increment", i, n=1) for i in range(30)])
    with zuji.open(tmp_path / "data") as engine:
        state, refused = imported(path, engine, way, block=300)
        assert (state.accepted, refused) == (30, {})
        assert people_of(engine) == {"u": {"n": 30}}


@pytest.mark.parametrize("way", ["bulk", "parcels"])
def test_wrong_ones_are_refused_by_their_line(tmp_path, way):
    rows = [
        track(0, page="a"),
        change("profile_increment", 1, n="much"),
        change("profile_append", 2, tags=5),
        {"type": "profile_delete", "time": T0},
        {"type": "profile_increment", "user_id": "u", "time": "soon", "properties": {"n": 1}},
        '{"type":"profile_increment","broken\n',
        change("profile_what", 3, n=1),
        change("profile_increment", 4, n=2),
    ]
    path = written(tmp_path, rows)
    with zuji.open(tmp_path / "data") as engine:
        reader = JsonLinesReader(path, changes=True)
        plan = plan_file(path, reader, Mapping(), "UTC")
        bad = tmp_path / "bad.jsonl"
        with RejectsFile(bad) as rejects:
            if way == "bulk":
                run_file(plan, engine, rejects)
            else:
                ship_file(TableSource(plan), LocalTarget(engine), NoPlace(plan.key), rejects)
        assert people_of(engine) == {"u": {"n": 2}}
    listed = [json.loads(line) for line in bad.read_text().splitlines()]
    listed.sort(key=lambda one: one["row"])
    assert [(one["row"], one["reason"]) for one in listed] == [
        (2, "bad_value"),
        (3, "bad_value"),
        (4, "missing_id"),
        (5, "bad_time"),
        (6, "bad_json"),
        (7, "unknown_type"),
    ]
    assert "much" in json.dumps(listed[0]["values"])


@pytest.mark.parametrize("way", ["bulk", "parcels"])
def test_times_and_names_are_read_as_those_of_events(tmp_path, way):
    """Local times, a column of another name, a property that is left out, one renamed."""
    rows = [
        {"type": "track", "event": "go", "at": "2026-10-01 08:00:00", "user_id": "u",
         "properties": {"n": 1, "secret": 1}},
        {"type": "profile_set_once", "at": "2026-10-01 09:00:00", "user_id": "u", "extra": "e",
         "properties": {"n": 1, "secret": 1, "deep": {"x": 2}}},
        {"type": "profile_set_once", "at": "2026-10-01 08:59:59", "user_id": "u",
         "properties": {"n": 5}},
    ]  # fmt: skip
    mapping = Mapping(time="at", properties={"n": "number"}, rest=True, drop=["properties.secret"])
    path = written(tmp_path, rows)
    with zuji.open(tmp_path / "data") as engine:
        _, refused = imported(path, engine, way, mapping=mapping)
        assert refused == {}
        assert people_of(engine) == {"u": {"number": 5, "extra": "e", "deep.x": 2}}


def test_an_import_that_stopped_between_goes_on_without_repeats(tmp_path):
    rows = [change("profile_increment", i, n=1) for i in range(400)]
    rows[100:100] = [track(i) for i in range(100)]
    path = written(tmp_path, rows)
    with zuji.open(tmp_path / "data") as engine:
        append = engine.append_table
        calls = 0

        def failing(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls in (2, 4):
                raise KeyboardInterrupt  # after the changes of this group, before its place
            return append(*arguments, **options)

        engine.append_table = failing
        for _ in range(3):
            try:
                state, _ = imported(path, engine, "bulk", block=1500, append_rows=20)
            except KeyboardInterrupt:
                continue
        assert calls > 4
        assert state.resumed_at > 0
        assert people_of(engine) == {"u": {"n": 400}}
        events = sum(t.num_rows for t in read_events(engine, ["go"]))
    assert events == 100


def test_rows_of_users_are_not_such_lines(tmp_path):
    """A file of users that has a column ``type`` of its own."""
    rows = [{"type": "profile_delete", "user_id": f"u{i}", "n": i} for i in range(3)]
    path = written(tmp_path, rows)
    with zuji.open(tmp_path / "data") as engine:
        _, refused = imported(path, engine, "bulk", mapping=Mapping(profile=True))
        assert refused == {}
        assert people_of(engine)["u2"] == {"type": "profile_delete", "n": 2}
