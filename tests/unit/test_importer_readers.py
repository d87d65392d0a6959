"""Readers: every good row is read once, every bad one is named with its line, any place resumes."""

from __future__ import annotations

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.importer.readers.blocks import cut_at_line_end, read_blocks
from zuji.server.importer.readers.csv_lines import CsvReader
from zuji.server.importer.readers.json_lines import JsonLinesReader
from zuji.server.importer.readers.opening import format_of, open_reader
from zuji.server.importer.readers.parquet import ParquetReader


def rows_of(reader, position=0):
    """All rows as (row number, values without nulls), and all rejects."""
    rows, rejects = [], []
    for chunk in reader.chunks(position):
        for index, values in enumerate(chunk.table.to_pylist()):
            rows.append(
                (chunk.row_number(index), {k: v for k, v in values.items() if v is not None})
            )
        rejects += chunk.rejects
    return rows, rejects


def resumes_anywhere(make):
    """Reading on from the end of each chunk gives exactly the rows after it."""
    whole, bad = rows_of(make())
    seen = refused = 0
    for chunk in make().chunks():
        seen += chunk.table.num_rows
        refused += len(chunk.rejects)
        rest, rest_bad = rows_of(make(), chunk.end)
        assert rest == whole[seen:]
        assert [r.row for r in rest_bad] == [r.row for r in bad[refused:]]


# -- blocks ---------------------------------------------------------------------------------------


def test_a_block_does_not_end_inside_quotes():
    data = b'a,"x\ny",b\nc,"d\n'
    assert cut_at_line_end(data, b'"') == len(b'a,"x\ny",b\n')
    assert cut_at_line_end(data, b"") == len(data)
    assert cut_at_line_end(b"no end", b'"') == 0


def test_a_stray_quote_does_not_swallow_the_file():
    data = b'5" pipe,1\n' + b"x,2\n" * 100
    assert cut_at_line_end(data, b'"') == len(data)


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.text(st.characters(blacklist_characters="\r\n"), max_size=30), max_size=40),
    block=st.integers(1, 64),
    final=st.booleans(),
)
def test_blocks_are_the_file_in_order(tmp_path_factory, lines, block, final):
    path = tmp_path_factory.mktemp("blocks") / "f.txt"
    data = "\n".join(lines).encode("utf-8", "replace") + (b"\n" if final else b"")
    path.write_bytes(data)
    blocks = list(read_blocks(path, block_bytes=block))
    assert b"".join(b.data for b in blocks) == data
    for each in blocks:
        assert data[each.start : each.end] == each.data
        assert each.first_line == data[: each.start].count(b"\n") + 1
    for start in {b.start for b in blocks}:
        rest = b"".join(b.data for b in read_blocks(path, start, block_bytes=block + 7))
        assert rest == data[start:]


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.compress, lambda d: gzip.compress(d[:50]) + gzip.compress(d[50:])],
)
def test_compressed_files_are_known_by_their_bytes(tmp_path, pack):
    data = b"".join(b'{"n":%d}\n' % n for n in range(1000))
    path = tmp_path / "events.log"
    path.write_bytes(pack(data))
    assert format_of(path) == "jsonl"
    assert b"".join(b.data for b in read_blocks(path, block_bytes=100)) == data


def test_a_damaged_gzip_stream_names_the_file(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + bytes(range(256)) * 200)[:-40])
    with pytest.raises(InvalidInput, match=r"x\.csv\.gz: the gzip stream is damaged"):
        list(read_blocks(path))


# -- opening --------------------------------------------------------------------------------------


def test_what_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "no.parquet").write_bytes(b"hello")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + b"\0" * 50)
    (tmp_path / "bad.jsonl").write_text("hello\nworld\n")
    for name, error, said in (
        ("missing.csv", NotFound, "no such file"),
        (".", InvalidInput, "is a folder"),
        ("empty.csv", InvalidInput, "is empty"),
        ("no.parquet", InvalidInput, "not a Parquet file"),
        ("cut.parquet", InvalidInput, "not a readable Parquet file"),
        ("bad.jsonl", InvalidInput, "no line .* is a JSON object"),
    ):
        with pytest.raises(error, match=said):
            open_reader(tmp_path / name)


# -- Parquet --------------------------------------------------------------------------------------


def test_parquet_resumes_at_any_row(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"n": list(range(1000)), "s": [f"v{i % 7}" for i in range(1000)]})
    pq.write_table(table, path, row_group_size=90)

    def make():
        return ParquetReader(path, chunk_rows=64)

    resumes_anywhere(make)
    rows, _ = rows_of(make())
    assert [r["n"] for _, r in rows] == list(range(1000))
    assert [n for n, _ in rows] == list(range(1, 1001))
    for position in (1, 89, 90, 91, 555, 999, 1000):
        assert [r["n"] for _, r in rows_of(make(), position)[0]] == list(range(position, 1000))


def test_parquet_structs_are_opened(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [1], "p": [{"a": {"b": 2}, "c": "x"}]}), path)
    reader = ParquetReader(path)
    assert list(reader.columns) == ["id", "p.a.b", "p.c"]
    reader.only({"p.c"})
    assert rows_of(reader)[0] == [(1, {"p.a.b": 2, "p.c": "x"})]


# -- JSON lines -----------------------------------------------------------------------------------


def test_bad_json_lines_are_refused_one_by_one(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(
        b'{"a":1,"t":"2026-01-01 00:00:00"}\n'
        b'{"a":2\n'
        b"\n"
        b'{"a":3}\n'
        b'{"a":4,"a":5}\n'
        b"[1]\n"
        b'{"a":"\xff"}\n'
        b'{"a":NaN}\n'
        b'{"a":12345678901234567890}\n'
        b'{"a":6}'
    )
    rows, rejects = rows_of(JsonLinesReader(path))
    assert rows == [(1, {"a": 1, "t": "2026-01-01 00:00:00"}), (4, {"a": 3}), (10, {"a": 6})]
    assert [(r.row, r.reason) for r in rejects] == [
        (2, "bad_json"),
        (5, "duplicate_key"),
        (6, "not_a_map"),
        (7, "bad_utf8"),
        (8, "not_finite"),
        (9, "int_out_of_range"),
    ]


def test_the_first_type_of_a_json_column_holds(tmp_path):
    path = tmp_path / "t.jsonl"
    values = [None, 1, "2", "x", 4.0, 4.5, True, [1]]
    path.write_text("".join(json.dumps({"a": v}) + "\n" for v in values))
    rows, rejects = rows_of(JsonLinesReader(path))
    assert [r.get("a") for _, r in rows] == [None, 1, 2, 4, 1]
    assert [(r.row, r.reason) for r in rejects] == [(n, "type_mismatch") for n in (4, 6, 8)]
    assert rejects[0].values == {"a": "x"}
    reader = JsonLinesReader(path)
    reader.retype({"a": pa.string()})
    rows, rejects = rows_of(reader)
    assert [r.get("a") for _, r in rows] == [None, "1", "2", "x", "4.0", "4.5", "true"]
    assert [r.row for r in rejects] == [8]


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(
        st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([0.5, 2.0, "x", "3", True])),
        min_size=1,
        max_size=50,
    ),
    block=st.integers(10, 200),
)
def test_a_column_has_one_type_however_the_file_is_cut(tmp_path_factory, values, block):
    path = tmp_path_factory.mktemp("json") / "f.jsonl"
    path.write_text("".join(json.dumps({"a": v}) + "\n" for v in values))
    chunks = list(JsonLinesReader(path, block_bytes=block).chunks())
    kinds = {c.table.schema.field("a").type for c in chunks if "a" in c.table.column_names}
    assert len(kinds - {pa.null()}) <= 1
    assert sum(c.table.num_rows + len(c.rejects) for c in chunks) == len(values)


def test_json_text_that_looks_like_a_time_stays_text(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a":"2026-01-01 00:00:00","b":{"c":["2026-01-01 00:00:00"]}}\n')
    rows, _ = rows_of(JsonLinesReader(path))
    assert rows == [(1, {"a": "2026-01-01 00:00:00", "b.c": ["2026-01-01 00:00:00"]})]


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(
        st.one_of(
            st.dictionaries(
                st.sampled_from(["a", "b", "c"]),
                st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()),
            ).map(json.dumps),
            st.sampled_from(["", "{", "[]", '{"a":1}}']),
        ),
        max_size=60,
    ),
    block=st.integers(16, 400),
)
def test_json_lines_like_the_standard_parser(tmp_path_factory, lines, block):
    path = tmp_path_factory.mktemp("json") / "f.jsonl"
    path.write_text("\n".join([*lines, '{"a":1}']) + "\n" if lines else "")
    good, bad = {}, []
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line.strip():
            continue
        try:
            good[number] = {k: v for k, v in json.loads(line).items() if v is not None}
        except (ValueError, AttributeError):
            bad.append(number)
    try:
        reader = JsonLinesReader(path, block_bytes=block)
    except InvalidInput:
        return  # the first block holds no object at all
    rows, rejects = rows_of(reader)
    assert [n for n, _ in rows] == list(good)
    assert sorted(r.row for r in rejects) == bad
    for number, values in rows:
        assert set(values) == set(good[number])
        for key, value in values.items():
            assert value == good[number][key]


# -- CSV ------------------------------------------------------------------------------------------


def test_csv_types_come_from_the_first_block_and_labels_stay_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "n,f,phone,card,day,s,flag\n"
        "1,1.5,013800000000,622202000000000123456,2026-01-01,x,true\n"
        "2,,013900000000,622202000000000123457,2026-01-02,NULL,false\n"
    )
    reader = CsvReader(path)
    kinds = {name: str(kind) for name, kind in reader.columns.items()}
    assert kinds["n"] == "int64"
    assert kinds["f"] == "double"
    assert kinds["phone"] == kinds["card"] == "string"
    assert kinds["flag"] == "bool"
    rows, _ = rows_of(reader)
    assert rows[1][1]["phone"] == "013900000000"
    assert "s" not in rows[1][1]
    assert "f" not in rows[1][1]


def test_bad_csv_lines_are_refused_one_by_one(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\n1,x\n2,y,z\n\n"3","two\nlines"\n4\n5,\xff\n6,w\n')
    rows, rejects = rows_of(CsvReader(path))
    assert [r["a"] for _, r in rows] == [1, 3, 6]
    assert {r.reason for r in rejects} == {"wrong_field_count", "bad_utf8"}
    assert {r.row for r in rejects} >= {3, 7, 8}


def test_csv_line_numbers_count_quoted_line_ends(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"x\ny"\n2,z\n3,q,r\n4,w\n')
    rows, rejects = rows_of(CsvReader(path))
    assert [n for n, _ in rows] == [2, 4, 6]
    assert [r.row for r in rejects] == [5]


def test_a_value_of_another_type_is_cast_or_its_row_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "a,b,c\n" + "1,1,2026-10-01\n" * 50 + "oops,2,2026-10-02\n7,3,soon\n8.0,4,\n9,5,\n"
    )
    rows, rejects = rows_of(CsvReader(path, block_bytes=150))
    assert [(r.row, r.reason) for r in rejects] == [(n, "type_mismatch") for n in (52, 53, 54)]
    assert rejects[0].values["a"] == "oops"
    assert len(rows) == 51
    assert rows[-1] == (55, {"a": 9, "b": 5})


def test_csv_in_other_encodings_and_delimiters(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("用户;城市\n1;北京\n".encode("gb18030"))
    with pytest.raises(InvalidInput, match="--encoding"):
        CsvReader(path)
    assert rows_of(CsvReader(path, encoding="gb18030"))[0] == [(2, {"用户": 1, "城市": "北京"})]
    with pytest.raises(InvalidInput, match="unknown encoding"):
        CsvReader(path, encoding="klingon")


def test_csv_headers_that_cannot_be_used(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,a\n1,2\n")
    with pytest.raises(InvalidInput, match="more than once"):
        CsvReader(path)
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert list(CsvReader(path).columns) == ["a", "b"]
    path.write_text("a,b\n")
    assert rows_of(CsvReader(path)) == ([], [])


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=80,
    ),
    block=st.integers(8, 300),
)
def test_csv_resumes_at_every_block(tmp_path_factory, rows, block):
    import csv

    path = tmp_path_factory.mktemp("csv") / "f.csv"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([("n", "s"), *rows])
    path.write_bytes(text.getvalue().encode())

    def make():
        reader = CsvReader(path, block_bytes=block)
        reader.retype({"s": pa.string(), "n": pa.int64()})
        return reader

    read, rejects = rows_of(make())
    assert not rejects
    assert [(r["n"], r.get("s")) for _, r in read] == rows
    resumes_anywhere(make)
