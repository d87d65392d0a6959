"""Running an import: stops, kills and errors at any append lose nothing and repeat nothing."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zuji.engine.errors import InvalidInput, StorageFull
from zuji.server.importer.mapping import Mapping
from zuji.server.importer.readers.csv_lines import CsvReader
from zuji.server.importer.readers.json_lines import JsonLinesReader
from zuji.server.importer.readers.parquet import ParquetReader
from zuji.server.importer.rejects import RejectsFile
from zuji.server.importer.run import plan_file, run_file


@dataclass
class Refused:
    index: int
    reason: str
    message: str


@dataclass
class Result:
    accepted: int
    duplicates: int
    rejected: list


@dataclass
class MemorySink:
    """Stands for the engine: rows and place change together or not at all."""

    rows: list = field(default_factory=list)
    places: dict = field(default_factory=dict)
    profiles: list = field(default_factory=list)
    fail_at: int | None = None
    appends: int = 0

    def import_position(self, key):
        return self.places.get(key, 0)

    def append_table(self, table, mapping, *, ledger=None):
        self.appends += 1
        if self.appends == self.fail_at:
            raise StorageFull("no space left")
        good, bad = [], []
        for index, row in enumerate(table.to_pylist()):
            if mapping.user and row[mapping.user] is None:
                bad.append(Refused(index, "missing_id", "no id"))
            else:
                good.append(row)
        (self.profiles if mapping.profile else self.rows).extend(good)
        if ledger is not None:
            assert ledger[1] > self.places.get(ledger[0], 0)
            self.places[ledger[0]] = ledger[1]
        return Result(len(good), 0, bad)


MAPPING = Mapping(event_name="e", user="u", time="t")
ROWS = 2000


def write(tmp_path, kind):
    rng = random.Random(7)
    rows = [
        {"u": f"u{rng.randrange(50)}" if i % 97 else None, "t": 1_700_000_000_000 + i, "n": i}
        for i in range(ROWS)
    ]
    path = tmp_path / f"f.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=333)
        return path, lambda: ParquetReader(path, chunk_rows=100)
    if kind == "csv":
        lines = ["u,t,n", *(f"{r['u'] or ''},{r['t']},{r['n']}" for r in rows)]
        lines.insert(700, "one,two,three,four")
        path.write_text("\n".join(lines) + "\n")
        return path, lambda: CsvReader(path, block_bytes=1000)
    lines = [json.dumps(r) for r in rows]
    lines.insert(700, "{broken")
    path.write_text("\n".join(lines) + "\n")
    return path, lambda: JsonLinesReader(path, block_bytes=3000)


def run(path, make, sink, tmp_path, **options):
    with RejectsFile(tmp_path / "rejects.jsonl") as rejects:
        return run_file(
            plan_file(path, make(), MAPPING, "UTC"), sink, rejects, append_rows=120, **options
        )


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_every_row_goes_in_once_though_the_disk_fills_up_at_each_append(tmp_path, kind):
    path, make = write(tmp_path, kind)
    sink = MemorySink()
    appends = 0
    while True:
        sink.fail_at = sink.appends + 3  # two appends work, the third fails
        try:
            state = run(path, make, sink, tmp_path)
        except StorageFull:
            appends += 1
            assert appends < 100
            continue
        break
    assert appends > 3
    assert [r["n"] for r in sink.rows] == [i for i in range(ROWS) if i % 97]
    assert state.resumed_at > 0
    listed = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert len([r for r in listed if r["reason"] == "missing_id"]) == len(range(0, ROWS, 97))
    numbers = [r["row"] for r in listed]
    assert len(set(numbers)) == len(numbers)
    if kind != "parquet":
        lines = path.read_text().splitlines()
        for reject in listed:
            assert ("one" if kind == "csv" else "{broken") in lines[reject["row"] - 1] or (
                str(reject["values"]["n"]) in lines[reject["row"] - 1]
            )
        assert {r["reason"] for r in listed} == {
            "missing_id",
            "wrong_field_count" if kind == "csv" else "bad_json",
        }


def test_a_file_that_is_done_is_done(tmp_path):
    path, make = write(tmp_path, "parquet")
    sink = MemorySink()
    run(path, make, sink, tmp_path)
    state = run(path, make, sink, tmp_path)
    assert state.already_done
    assert (state.rows, len(sink.rows)) == (0, ROWS - len(range(0, ROWS, 97)))


def test_a_stop_ends_after_the_append_that_runs(tmp_path):
    path, make = write(tmp_path, "csv")
    sink, stop = MemorySink(), threading.Event()
    state = run(path, make, sink, tmp_path, stop=stop, on_progress=lambda _: stop.set())
    assert state.stopped
    assert 0 < len(sink.rows) < 300
    assert not run(path, make, sink, tmp_path).stopped
    assert [r["n"] for r in sink.rows] == [i for i in range(ROWS) if i % 97]


def test_a_damaged_file_keeps_what_was_read_before_the_damage(tmp_path):
    path, _ = write(tmp_path, "parquet")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    sink = MemorySink()
    try:
        run(path, lambda: ParquetReader(path, chunk_rows=100), sink, tmp_path)
    except InvalidInput as error:
        assert "damaged Parquet data after row" in str(error)  # noqa: PT017 - may also pass unnoticed
    assert sink.rows


def test_native_lines_hold_events_and_profiles(tmp_path):
    path = tmp_path / "n.jsonl"
    path.write_text(
        '{"type":"track","event":"open","time":1700000000000,"user_id":"a","properties":{"page":"x"}}\n'
        '{"type":"profile_set","time":1700000000000,"user_id":"a","properties":{"city":"y"}}\n'
        '{"event":"close","time":1700000000001,"user_id":"a","properties":{}}\n'
        '{"type":"what","event":"close","time":1700000000001,"user_id":"a"}\n'
    )
    sink = MemorySink()
    with RejectsFile(None) as rejects:
        run_file(plan_file(path, JsonLinesReader(path), Mapping(), "UTC"), sink, rejects)
    assert [(r["$event"], r["page"]) for r in sink.rows] == [("open", "x"), ("close", None)]
    assert [r["city"] for r in sink.profiles] == ["y"]
    assert dict(rejects.by_reason) == {"unknown_type": 1}


def test_the_reader_thread_ends_when_the_engine_fails(tmp_path):
    path, make = write(tmp_path, "jsonl")
    sink = MemorySink(fail_at=1)
    with pytest.raises(StorageFull):
        run(path, make, sink, tmp_path)
    assert not [t for t in threading.enumerate() if t.name == "zuji-import-reader"]


def test_a_rejects_file_that_cannot_be_written_is_named(tmp_path):
    path, make = write(tmp_path, "csv")
    with (
        pytest.raises(InvalidInput, match="refused rows cannot be written"),
        RejectsFile(tmp_path / "no" / "such.jsonl") as rejects,
    ):
        run_file(plan_file(path, make(), MAPPING, "UTC"), MemorySink(), rejects)
