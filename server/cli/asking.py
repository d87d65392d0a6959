"""``zuji query``, ``explain``, ``events``, ``properties``: questions and their answers."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.cli import render
from zuji.server.cli.opening import reading
from zuji.server.cli.outcome import OK, say
from zuji.server.terminal import console, speaks_unicode

if TYPE_CHECKING:
    from zuji.engine.query.result import Result

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is given."""

    name: str = "table"
    output: Path | None = None
    chart: bool = True
    rows: int = 100
    quiet: bool = False


def read_document(said: str) -> str:
    """The text of a query: from a file, from standard input (``-``) or as it stands.

    :raises NotFound: no such file. :raises InvalidInput: not text, or far too long.
    """
    if said == "-":
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
        where = "standard input"
    elif said.lstrip().startswith("{"):
        return said
    else:
        path = Path(said)
        if not path.is_file():
            raise NotFound(
                f"{said}: no such query file (a query is JSON: a file, '-' or the text itself)"
            )
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        where = said
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{where}: larger than 1 MiB; this is not a query")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{where}: byte {error.start + 1} is not UTF-8; a query is JSON text"
        ) from None


def query(
    document: str, data: Path, project: str, form: Form, *, pick: str | None, seconds: float | None
) -> int:
    """Runs a query and shows its answer."""
    text = read_document(document)
    cell = _pick(pick) if pick is not None else None
    with reading(data, project) as engine:
        began = time.monotonic()
        if cell is not None:
            result = engine.users(text, cell)
        else:
            result = engine.query(text, seconds=seconds)
        took = time.monotonic() - began
        show(result, form, took)
    return OK


def sql(text: str, data: Path, project: str, form: Form, *, seconds: float | None) -> int:
    """Asks in SQL and shows the answer."""
    from zuji.engine.sql import ask

    if text == "-":
        text = read_document(text)
    elif Path(text).suffix == ".sql":
        path = Path(text)
        if not path.is_file():
            raise NotFound(f"{text}: no such file")
        text = path.read_text(encoding="utf-8-sig")
    with reading(data, project) as engine:
        began = time.monotonic()
        result = ask(engine, text, seconds=seconds)
        if result.meta["truncated"]:
            say(f"warning: only the first {len(result.rows):,} rows are shown; add a LIMIT")
        show(result, form, time.monotonic() - began)
    return OK


def _pick(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput(f"--pick is not a JSON object: {error}") from None


def show(result: Result, form: Form, seconds: float) -> None:
    """An answer in its form; warnings go to standard error."""
    name = render.form_of(form.name, form.output)
    columns = [column.name for column in result.columns]
    for warning in result.meta.get("warnings") or []:
        said = warning.get("message", warning) if isinstance(warning, dict) else warning
        say(f"warning: {said}")
    if name == "json":
        render.write_text(render.json_text(result.to_dict()), form.output)
    elif name == "csv":
        render.write_text(render.csv_text(columns, result.rows), form.output)
    elif name == "arrow":
        render.write_arrow(result.to_arrow(), form.output)
    elif form.output is not None:
        from rich.console import Console

        with form.output.open("w", encoding="utf-8") as file:
            Console(file=file, width=200).print(render.table_of(columns, result.rows))
    else:
        _show_table(result, form, seconds)


def _show_table(result: Result, form: Form, seconds: float) -> None:
    out = console()
    parts = render.answer(
        result,
        width=min(out.width, 140),
        unicode=speaks_unicode(out),
        with_chart=form.chart,
        most=form.rows,
    )
    for part in parts:
        out.print(part)
    if form.rows and len(result.rows) > form.rows and not form.quiet:
        out.print(Text("--rows 0 shows all rows", style="dim"))
    if not form.quiet:
        out.print(Text(render.summary(result.meta, seconds), style="dim"))


def explain(document: str, data: Path, project: str) -> int:
    """Shows how a query would be answered."""
    text = read_document(document)
    with reading(data, project) as engine:
        plan = engine.explain(text)
    out = console()
    scans = plan.pop("scans", [])
    plan.pop("query", None)
    if scans:
        columns = list(dict.fromkeys(name for scan in scans for name in scan))
        rows = [[_short(name, scan.get(name)) for name in columns] for scan in scans]
        out.print(render.table_of(columns, rows))
    render.print_pairs(out, plan)
    return OK


def _short(name: str, value: Any) -> Any:
    """A cell of the plan: byte counts and long lists in a form that fits."""
    if name == "bytes" and isinstance(value, int):
        return render.size(value)
    if name == "sources" and isinstance(value, list):
        return f"{len(value)} sources"
    if isinstance(value, dict):
        return ", ".join(f"{count:,} by {why}" for why, count in value.items()) or "none"
    return value


def events(data: Path, project: str, form: str) -> int:
    """Lists the events of a project."""
    with reading(data, project) as engine:
        render.print_list(engine.events(), form, empty="no events yet; `zuji import` loads some")
    return OK


def properties(data: Path, project: str, form: str) -> int:
    """Lists the properties of a project."""
    with reading(data, project) as engine:
        render.print_list(engine.properties(), form, empty="no properties yet")
    return OK
