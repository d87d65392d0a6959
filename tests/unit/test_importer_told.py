"""The file of refused rows is whole, whatever ended a run and wherever: each row once."""

from __future__ import annotations

import json

import pytest

import zuji
from zuji.server.importer.local import LocalTarget
from zuji.server.importer.mapping import Mapping
from zuji.server.importer.place import NoPlace
from zuji.server.importer.readers.json_lines import JsonLinesReader
from zuji.server.importer.rejects import RejectsFile
from zuji.server.importer.run import plan_file, run_file
from zuji.server.importer.sensors_lines import SensorsSource
from zuji.server.importer.shipping import ship_file
from zuji.server.importer.tables import TableSource

T0 = 1_790_784_000_000
ROWS = 2_500


class Killed(BaseException):
    """Stands for kill -9."""


def written(tmp_path):
    """Lines of which some cannot be read and others are refused by the engine."""
    lines = []
    for n in range(ROWS):
        row = {"event": "go", "time": T0 + n, "user_id": "u", "n": n}
        if n % 50 == 7:
            row["user_id"] = None
        lines.append("{broken" if n % 100 == 3 else json.dumps(row))
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


UNREADABLE = {n + 1 for n in range(3, ROWS, 100)}
NOBODYS = {n + 1 for n in range(7, ROWS, 50)}


def listed(path):
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    rows = [(one["row"], one["reason"]) for one in found]
    assert len(rows) == len(set(rows))
    return dict(rows)


def plan_of(path):
    return plan_file(path, JsonLinesReader(path, block_bytes=20_000), Mapping(), "UTC")


@pytest.mark.parametrize("fatal", [1, 2, 3, 5])
def test_parcels_whose_refusals_were_not_written_are_asked_for_them_again(tmp_path, fatal):
    path, bad = written(tmp_path), tmp_path / "bad.jsonl"
    with zuji.open(tmp_path / "data") as engine:
        for first in (True, False):
            with RejectsFile(bad) as rejects:
                if first:
                    _die_at(rejects, "add", fatal)
                plan = plan_of(path)
                try:
                    state = ship_file(
                        TableSource(plan), LocalTarget(engine), NoPlace(plan.key), rejects
                    )
                except Killed:
                    continue
                assert not first
                assert rejects.total == len(UNREADABLE | NOBODYS)
        assert state.duplicates > 0
        assert state.accepted + state.duplicates + state.rejected == ROWS
        assert engine.status()["rows"] == ROWS - len(UNREADABLE | NOBODYS)
    assert listed(bad) == {
        **dict.fromkeys(NOBODYS, "missing_id"),
        **dict.fromkeys(UNREADABLE, "bad_json"),
    }


def test_details_that_were_kept_aside_before_are_kept_aside(tmp_path):
    path = tmp_path / "f.json"
    item = {"type": "detail_set", "item_type": "book", "item_id": "1", "properties": {"p": 1.5}}
    path.write_text(json.dumps(item) + "\n" + json.dumps({**item, "item_id": "2"}) + "\n")
    with zuji.open(tmp_path / "data") as engine:
        for first in (True, False):
            with RejectsFile(None) as rejects:
                if first:
                    _die_at(rejects, "add", 1)
                source = SensorsSource(path, "UTC")
                try:
                    state = ship_file(source, LocalTarget(engine), NoPlace("k" * 40), rejects)
                except Killed:
                    continue
                assert (state.kept, state.rejected, state.duplicates) == (2, 0, 0)
        assert len(list(engine.rejected())) == 2


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("fatal", [1, 2])
def test_what_a_bulk_load_could_not_read_is_listed_whenever_it_ends(tmp_path, fatal, before):
    """``before``: the append that is killed did not store anything."""
    path, bad = written(tmp_path), tmp_path / "bad.jsonl"
    with zuji.open(tmp_path / "data") as engine:
        append, calls = engine.append_table, 0

        def killed(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == fatal and before:
                raise Killed
            done = append(*arguments, **options)
            if calls == fatal:
                raise Killed
            return done

        engine.append_table = killed
        with RejectsFile(bad) as rejects, pytest.raises(Killed):
            run_file(plan_of(path), engine, rejects, append_rows=500)
        with RejectsFile(bad) as rejects:
            run_file(plan_of(path), engine, rejects, append_rows=500)
        assert engine.status()["rows"] == ROWS - len(UNREADABLE | NOBODYS)
    found = listed(bad)
    assert {row for row, reason in found.items() if reason == "bad_json"} == UNREADABLE
    if before:
        assert {row for row, reason in found.items() if reason == "missing_id"} == NOBODYS


def _die_at(thing, name, number):
    method, calls = getattr(thing, name), 0

    def dying(*arguments):
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        return method(*arguments)

    setattr(thing, name, dying)


def test_a_torn_last_line_spoils_no_other(tmp_path):
    """As a kill in the middle of a write leaves it."""
    path, bad = written(tmp_path), tmp_path / "bad.jsonl"
    with zuji.open(tmp_path / "data") as engine, RejectsFile(bad) as rejects:
        run_file(plan_of(path), engine, rejects, resume=False)
    whole = bad.read_bytes().splitlines(keepends=True)
    for cut in (1, len(whole[1]) // 2, len(whole[1]) - 1):
        bad.write_bytes(whole[0] + whole[1][:cut])
        with zuji.open(tmp_path / f"data{cut}") as engine, RejectsFile(bad) as rejects:
            run_file(plan_of(path), engine, rejects, resume=False)
            assert rejects.total == len(UNREADABLE | NOBODYS)
        lines = bad.read_bytes().splitlines(keepends=True)
        assert lines[:2] == [whole[0], whole[1][:cut] + b"\n"]
        whole_but_for_its_end = cut == len(whole[1]) - 1
        assert sorted(lines[2:]) == sorted(whole[2 if whole_but_for_its_end else 1 :])
