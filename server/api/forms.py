"""The forms an answer is given in: JSON, CSV, Arrow IPC and Parquet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from starlette.responses import Response

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from zuji.engine.query.result import Result


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


FORMS: dict[str, tuple[str, Callable[[Result], bytes]]] = {
    "json": ("application/json", lambda result: result.to_json().encode()),
    "csv": ("text/csv; charset=utf-8", lambda result: result.to_csv().encode()),
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


def answered(result: Result, form: str) -> Response:
    """A response with the answer."""
    kind, write = FORMS[form]
    response = Response(write(result), media_type=kind)
    if form in ("arrow", "parquet"):
        response.headers["Content-Disposition"] = f'attachment; filename="answer.{form}"'
    return response
