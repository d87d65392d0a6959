"""Answers: wire form, tables, text. What is not known is null everywhere."""

import csv
import io
import json
import math

import pyarrow as pa
import pytest

from zuji.engine.query.result import ColumnInfo, Result

COLUMNS = [
    ColumnInfo("series", "string"),
    ColumnInfo("bucket", "date"),
    ColumnInfo("event.city", "any"),
    ColumnInfo("value", "int64", "users"),
    ColumnInfo("rate", "float64", "ratio"),
    ColumnInfo("is_other", "bool"),
]
ROWS = [
    ["支付", "2026-10-01", "杭州", 1234, 0.5, False],
    ["支付", "2026-10-02", None, None, math.nan, True],
    ['say "hi", ok', "2026-10-02", "a\nb", 0, None, False],
]


def result(**more):
    given = {"meta": {"warnings": ["careful <b>"]}, "query": {"time": {"tz": "Asia/Shanghai"}}}
    return Result(COLUMNS, ROWS, {"value": 1234}, **{**given, **more})


def test_the_wire_form_is_json_without_nan():
    wire = json.loads(result().to_json(), parse_constant=pytest.fail)
    assert list(wire) == ["v", "query", "columns", "rows", "totals", "meta"]
    assert wire["columns"][3] == {"name": "value", "type": "int64", "unit": "users"}
    assert wire["rows"][1] == ["支付", "2026-10-02", None, None, None, True]
    assert wire == result().to_dict()


def test_csv_reads_back():
    lines = list(csv.reader(io.StringIO(result().to_csv())))
    assert lines[0] == [column.name for column in COLUMNS]
    assert lines[1] == ["支付", "2026-10-01", "杭州", "1234", "0.5", "false"]
    assert lines[2] == ["支付", "2026-10-02", "", "", "", "true"]
    assert lines[3][0] == 'say "hi", ok'
    assert lines[3][2] == "a\nb"


def test_arrow_has_types_and_nulls():
    table = result().to_arrow()
    assert table.schema.types == [
        pa.string(),
        pa.date32(),
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.bool_(),
    ]
    assert table["value"].to_pylist() == [1234, None, 0]
    assert table["rate"].to_pylist() == [0.5, None, None]


def test_hours_are_instants_of_the_querys_zone():
    hours = Result(
        [ColumnInfo("bucket", "datetime")],
        [["2026-10-01T13:00+08:00"], [None]],
        query={"time": {"tz": "Asia/Shanghai"}},
    )
    assert hours.to_arrow().schema.types == [pa.timestamp("ms", tz="Asia/Shanghai")]
    assert hours.to_arrow()["bucket"][0].as_py().isoformat() == "2026-10-01T13:00:00+08:00"
    assert str(hours.to_pandas()["bucket"][0]) == "2026-10-01 13:00:00+08:00"


def test_pandas_keeps_whole_numbers_whole():
    frame = result().to_pandas()
    assert frame["value"].dtype.name == "Int64"
    assert frame["value"].isna().tolist() == [False, True, False]
    assert frame["bucket"].dtype.kind == "M"
    assert frame["is_other"].dtype.name == "boolean"


def test_an_empty_answer_goes_everywhere():
    empty = Result(COLUMNS, [])
    assert empty.to_arrow().num_rows == 0
    assert len(empty.to_pandas()) == 0
    assert empty.to_csv().count("\n") == 1
    assert empty.column("value") == []
    assert "<table>" in empty._repr_html_()
    assert repr(empty).startswith("series")


def test_rows_by_name():
    assert result().column("value") == [1234, None, 0]
    assert result().to_dicts()[0]["event.city"] == "杭州"
    assert len(result()) == 3
    with pytest.raises(KeyError, match="the columns are"):
        result().column("nothing")


def test_text_lines_up_wide_signs_and_shows_warnings():
    lines = repr(result()).splitlines()
    assert "warning: careful <b>" in lines
    assert "杭州" in lines[2]
    # `支付` takes four columns of a terminal, so its padding is two shorter than its length.
    assert lines[2].index("2026-10-01") == lines[4].index("2026-10-02") - 2
    assert "a·b" in lines[4]
    many = Result(COLUMNS[:1], [["x"]] * 100)
    assert "100 rows in all" in repr(many)


def test_html_escapes_everything():
    shown = Result(
        [ColumnInfo("<i>", "string")], [["<script>"]], meta={"warnings": ["<b>"]}
    )._repr_html_()
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "<b>" not in shown


def test_a_line_has_a_gap_where_a_value_is_not_known():
    columns = [
        ColumnInfo("series", "string"),
        ColumnInfo("bucket", "date"),
        ColumnInfo("value", "int64"),
    ]
    rows = [["A", f"2026-10-0{d}", v] for d, v in [(1, 1), (2, 2), (3, None), (4, 0), (5, 1)]]
    assert Result(columns, rows)._repr_html_().count("<polyline") == 2
    flat = [["A", "2026-10-01", 0], ["A", "2026-10-02", 0]]
    assert "nan" not in Result(columns, flat)._repr_html_()
