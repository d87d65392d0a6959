"""Tables as parcels: the same rows make the same batches, wherever reading went on."""

from __future__ import annotations

import gzip
import json
import random

import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zuji.server.importer.mapping import Mapping
from zuji.server.importer.parcels import EVENT_BYTES, PARCEL_ITEMS, PARCEL_ROWS, Packed, parcels_of
from zuji.server.importer.readers import blocks, csv_lines, json_lines, nginx
from zuji.server.importer.readers.opening import open_reader
from zuji.server.importer.run import plan_file
from zuji.server.importer.tables import TableSource

KEY = "f:" + "2" * 32
ROWS = 7000
MAPPING = Mapping(event_name="go", user="u", time="t")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    for module in (blocks, csv_lines, json_lines, nginx):
        monkeypatch.setattr(module, "PARCEL_BLOCK_BYTES", 40_000)


def write(tmp_path, kind):
    rng = random.Random(4)
    rows = [
        {
            "u": f"u{rng.randrange(9)}",
            "t": 1_790_784_000_000 + n,
            "n": n,
            "x": rng.random() if n % 3 else None,
        }
        for n in range(ROWS)
    ]
    path = tmp_path / f"f.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1300)
    elif kind.startswith("csv"):
        lines = ["u,t,n,x", *(f"{r['u']},{r['t']},{r['n']},{r['x'] or ''}" for r in rows)]
        for place in range(900, ROWS, 500):
            lines.insert(place, "one,two")
        data = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    else:
        lines = [json.dumps(r) for r in rows]
        for place in range(900, ROWS, 500):
            lines.insert(place, "{broken")
        path.write_text("\n".join(lines) + "\n")
    return path


def source(path):
    return TableSource(plan_file(path, open_reader(path), MAPPING, "UTC"))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_reading_goes_on_from_any_end_with_the_same_batches(tmp_path, kind):
    path = write(tmp_path, kind)
    whole = list(source(path).parcels(KEY, 0))
    ends = [(place, parcel.end) for place, parcel in enumerate(whole) if parcel.end is not None]
    assert len(ends) > 4 or kind == "parquet"
    ids = [msgpack.unpackb(parcel.batch)["batch_id"] for parcel in whole if parcel.batch]
    assert len(set(ids)) == len(ids)
    for place, end in ends:
        rest = list(source(path).parcels(KEY, end))
        assert [p.batch for p in rest] == [p.batch for p in whole[place + 1 :]]
        assert [r.row for p in rest for r in p.rejects] == [
            r.row for p in whole[place + 1 :] for r in p.rejects
        ]
    found = [
        event["properties"]["n"]
        for parcel in whole
        if parcel.batch
        for event in msgpack.unpackb(parcel.batch)["events"]
    ]
    assert found == list(range(ROWS))
    assert sum(parcel.rows for parcel in whole) == ROWS + sum(len(p.rejects) for p in whole)


def test_each_event_knows_its_row(tmp_path):
    path = write(tmp_path, "csv")
    lines = path.read_text().splitlines()
    for parcel in source(path).parcels(KEY, 0):
        for index in range(0, len(msgpack.unpackb(parcel.batch)["events"]), 97):
            about = parcel.event(index)
            assert lines[about.number - 1].split(",")[2] == str(about.values["n"])


def packed(number, size=10, items=10):
    return Packed(number, msgpack.packb(b"x" * size), items, lambda _: "row")


def test_batches_hold_what_batches_may():
    events = [packed(n) for n in range(2 * PARCEL_ROWS + 1)]
    made = list(parcels_of(KEY, 7, events, end=9, progress=1, rows=5, rejects=[]))
    sizes = [len(msgpack.unpackb(parcel.batch)["events"]) for parcel in made]
    assert sizes == [PARCEL_ROWS, PARCEL_ROWS, 1]
    assert [parcel.end for parcel in made] == [None, None, 9]
    assert sum(parcel.rows for parcel in made) == 5
    many = [packed(n, items=PARCEL_ITEMS) for n in range(3)]
    made = list(parcels_of(KEY, 7, many, end=9, progress=1, rows=3, rejects=[]))
    assert [len(msgpack.unpackb(p.batch)["events"]) for p in made] == [1, 1, 1]


def test_what_no_batch_can_hold_is_refused():
    events = [packed(1), packed(2, size=EVENT_BYTES), packed(3, items=PARCEL_ITEMS + 1)]
    (made,) = parcels_of(KEY, 7, events, end=9, progress=1, rows=3, rejects=[])
    assert [(r.row, r.reason) for r in made.rejects] == [(2, "too_large"), (3, "too_large")]
    assert len(msgpack.unpackb(made.batch)["events"]) == 1
    (made,) = parcels_of(KEY, 7, [], end=9, progress=1, rows=0, rejects=[])
    assert (made.batch, made.end) == (b"", 9)
