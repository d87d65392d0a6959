"""The forms an answer is given in: JSON, CSV, Excel, Arrow IPC and Parquet.

Spreadsheets take a text that begins with ``=`` for a formula, and an event's property may hold any
text: in Excel's form texts are texts; in CSV ``?safe=1`` puts a ``'`` before them. ``?bom=1`` puts
the byte order mark first, by which Excel knows UTF-8.
"""

from __future__ import annotations

import codecs
import io
import math
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from zuji.engine.errors import InvalidInput
from zuji.server.api.reading import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from zuji.engine.query.result import Result


FILES = ("xlsx", "arrow", "parquet")
"""Forms that a browser saves."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
SHEET_ROWS = 1 << 20
CELL_CHARS = 32_767
"""Both are Excel's."""
EXACT = 1 << 53
"""Excel's numbers are doubles: greater ones are texts."""
FIRST_DATE = "1900-03-01"
"""Excel takes 1900 for a leap year: dates before are texts."""


def _arrow(result: Result) -> bytes:
    import pyarrow as pa

    out = io.BytesIO()
    table = result.to_arrow()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _parquet(result: Result) -> bytes:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(result.to_arrow(), out)
    return out.getvalue()


def _xlsx(result: Result) -> bytes:
    from xlsxwriter import Workbook

    if len(result.rows) >= SHEET_ROWS:
        raise InvalidInput(f"a sheet has at most {SHEET_ROWS:,} rows: take CSV")
    out = io.BytesIO()
    book = Workbook(
        out,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": False,
        },
    )
    sheet = book.add_worksheet()
    bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
    for at, name in enumerate(result.names):
        sheet.write_string(0, at, name[:CELL_CHARS], bold)
    for line, row in enumerate(result.rows, 1):
        for at, value in enumerate(row):
            _write_cell(sheet, line, at, value, day if result.columns[at].type == "date" else None)
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()


def _write_cell(sheet: Any, line: int, at: int, value: Any, day: Any) -> None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, at, value)
    elif isinstance(value, int | float) and abs(value) <= EXACT:
        sheet.write_number(line, at, value)
    elif day is not None and isinstance(value, str) and value >= FIRST_DATE:
        sheet.write_datetime(line, at, date.fromisoformat(value), day)
    else:
        text = value if isinstance(value, str) else _json(value)
        sheet.write_string(line, at, text[:CELL_CHARS])


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _safe(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with a ``'`` before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


FORMS: dict[str, tuple[str, Callable[[Result], bytes]]] = {
    "json": ("application/json", lambda result: result.to_json().encode()),
    "csv": ("text/csv; charset=utf-8", lambda result: result.to_csv().encode()),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx),
    "arrow": ("application/vnd.apache.arrow.stream", _arrow),
    "parquet": ("application/vnd.apache.parquet", _parquet),
}


def form_of(request: Request) -> str:
    """The form that a request asks for: ``?format=``, else ``Accept``, else JSON.

    Raises:
        InvalidInput: a form there is not.
    """
    asked = request.query_params.get("format")
    if asked is not None:
        if asked not in FORMS:
            raise InvalidInput(f"format is one of {', '.join(FORMS)}, not {asked!r}")
        return asked
    return _wanted_most(request.headers.get("accept", ""))


def _wanted_most(accept: str) -> str:
    """The form with the highest weight in an ``Accept`` header; of equals the first."""
    kinds = {kind.partition(";")[0]: name for name, (kind, _) in FORMS.items()}
    best, chosen = 0.0, "json"
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        weight = _weight(parameters)
        if kind in kinds and weight > best:
            best, chosen = weight, kinds[kind]
    return chosen


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        if one.startswith("q="):
            try:
                return float(one[2:])
            except ValueError:
                return 0.0
    return 1.0


def answered(result: Result, form: str, request: Request) -> Response:
    """A response with the answer.

    Raises:
        InvalidInput: more rows than the form has; a parameter that is none.
    """
    kind, write = FORMS[form]
    bom, safe = truth_of(request, "bom"), truth_of(request, "safe")
    if form == "csv" and safe:
        columns = [replace(one, name=_safe(one.name)) for one in result.columns]
        rows = [[_safe(value) for value in row] for row in result.rows]
        result = replace(result, columns=columns, rows=rows)
    body = write(result)
    if form == "csv" and bom:
        body = codecs.BOM_UTF8 + body
    response = Response(body, media_type=kind)
    if form in FILES:
        response.headers["Content-Disposition"] = f'attachment; filename="answer.{form}"'
    return response
