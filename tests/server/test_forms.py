"""Answers as spreadsheets: nothing that an event says becomes a formula."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from xml.etree import ElementTree

import pytest

from tests.server.signing import Console, code
from zuji.engine.query.result import ColumnInfo, Result
from zuji.server.api.forms import FORMS

EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil.example")', "fine"]
AT = "/v1/query?project=bank"
QUERY = {
    "model": "event",
    "time": {"from": "2026-01-05", "to": "2026-01-06"},
    "by": [{"p": "event.city"}],
    "body": {"series": [{"e": "pay", "measure": {"sum": "event.amount"}}]},
}
SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def ann(tmp_path_factory):
    console = Console(tmp_path_factory.mktemp("data"))
    console.projects.get("bank").engine.append(
        [
            {
                "event": "pay",
                "time": "2026-01-05T09:00:00+08:00",
                "user_id": f"u{n}",
                "properties": {"city": city, "amount": -1.5},
            }
            for n, city in enumerate([*EVIL, "北京"])
        ]
    )
    yield console.signed_in("viewer")
    console.close()


def lines(answer):
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def test_texts_of_a_safe_csv_are_no_formulas_and_numbers_stay_numbers(ann):
    header, *rows = lines(ann.post(AT + "&format=csv&safe=1", QUERY))
    cells = {row[header.index("event.city")] for row in rows}
    assert {f"'{text}" for text in EVIL[:-1]} | {"fine", "北京"} <= cells
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert "-1.5" in {row[header.index("value")] for row in rows}


def test_csv_is_as_it_was_when_nothing_is_asked(ann):
    answer = ann.post(AT + "&format=csv", QUERY)
    assert not answer.content.startswith(b"\xef\xbb\xbf")
    assert "=1+1" in answer.text
    assert "'=1+1" not in answer.text


def test_a_mark_tells_excel_that_it_is_utf8(ann):
    answer = ann.post(AT + "&bom=true", QUERY, headers={"Accept": "text/csv"})
    assert answer.content.startswith(b"\xef\xbb\xbfseries,")
    assert "北京".encode() in answer.content


@pytest.mark.parametrize("asked", ["bom=x", "safe=2", "format=xls"])
def test_nonsense_is_refused(ann, asked):
    assert code(ann.post(f"{AT}&{asked}", QUERY)) == (400, "invalid_input")


def cells(body):
    """Cells of the only sheet: text, number, or ("formula", …), by place; and dates' formats."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    found = {}
    for cell in sheet.iter(f"{SPACE}c"):
        if cell.find(f"{SPACE}f") is not None:
            found[cell.get("r")] = ("formula", cell.find(f"{SPACE}f").text)
        elif cell.get("t") == "inlineStr":
            found[cell.get("r")] = "".join(t.text or "" for t in cell.iter(f"{SPACE}t"))
        elif cell.find(f"{SPACE}v") is not None:
            number = float(cell.find(f"{SPACE}v").text)
            found[cell.get("r")] = bool(number) if cell.get("t") == "b" else number
    return found


def test_excel_gets_texts_as_texts_and_numbers_as_numbers(ann):
    answer = ann.post(AT + "&format=xlsx", QUERY)
    assert answer.headers["content-disposition"] == 'attachment; filename="answer.xlsx"'
    found = cells(answer.content)
    assert found["A1"] == "series"
    texts = {value for value in found.values() if isinstance(value, str)}
    assert {"=1+1", "@SUM(A1)", '=HYPERLINK("http://evil.example")', "北京"} <= texts
    assert not any(isinstance(value, tuple) for value in found.values())
    assert -1.5 in found.values()
    first = datetime.date(2026, 1, 5) - datetime.date(1899, 12, 30)
    assert found["B2"] == first.days


def test_excel_takes_every_kind_of_value():
    kinds = ["string", "int64", "float64", "bool", "date", "object"]
    columns = [ColumnInfo(f"={kind}", kind) for kind in kinds]
    rows = [
        ["a\x00\x0b&<b", 2**60, float("nan"), True, "1899-01-01", {"k": [1, "深"]}],
        [None, -5, 0.25, False, "2026-10-01", None],
        ["x" * 40_000, 0, float("inf"), None, None, "{}"],
    ]
    found = cells(FORMS["xlsx"][1](Result(columns, rows)))
    assert found["A1"] == "=string"
    assert (found["B2"], found["B3"]) == (str(2**60), -5.0)
    assert "C2" not in found
    assert (found["D2"], found["D3"]) == (True, False)
    assert found["E2"] == "1899-01-01"
    assert found["F2"] == '{"k":[1,"深"]}'
    assert len(found["A4"]) == 32_767
    assert re.sub(r"_x[0-9A-F]{4}_", "", found["A2"]).endswith("&<b")


def test_more_rows_than_a_sheet_has_are_refused():
    from zuji.engine.errors import InvalidInput

    result = Result([ColumnInfo("a", "int64")], [[1]] * (1 << 20))
    with pytest.raises(InvalidInput, match="CSV"):
        FORMS["xlsx"][1](result)
