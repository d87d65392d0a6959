"""Answers and lists on the screen, and as JSON, CSV or Arrow for the next program.

Tables are for people (numbers right, thousands separated); the other forms carry every value
unchanged. Arrow is the IPC stream format and is never written to a terminal.
"""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zuji.engine.errors import InvalidInput
from zuji.server.charts import NO_VALUE, OTHER, chart, group_columns, number
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console, RenderableType

    from zuji.engine.query.result import Result

_BY_SUFFIX = {".json": "json", ".csv": "csv", ".arrow": "arrow", ".arrows": "arrow"}


def form_of(chosen: str, output: Path | None) -> str:
    """The form of an answer: what was chosen, else what the file's name says."""
    if chosen != "table" or output is None:
        return chosen
    return _BY_SUFFIX.get(output.suffix.lower(), "table")


def table_of(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    units: Mapping[str, str | None] | None = None,
    most: int = 0,
    title: str | None = None,
) -> Table:
    """A table for people; with ``most`` > 0 at most so many rows and a line that says so.

    ``units``: column → ``ratio`` (shown as per cent), ``ms`` (as a duration) or any other.
    """
    units = units or {}
    out = Table(
        box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False
    )
    shown = rows[:most] if most else rows
    for place, name in enumerate(columns):
        values = [row[place] for row in shown]
        numeric = any(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        out.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in shown:
        out.add_row(*(cell(v, units.get(name)) for v, name in zip(row, columns, strict=True)))
    if len(shown) < len(rows):
        out.caption = f"{len(shown):,} of {len(rows):,} rows"
        out.caption_justify = "left"
    return out


def cell(value: Any, unit: str | None = None) -> Text:
    """One value for people."""
    if value is None:
        return Text("–", style="dim")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if unit == "ratio":
            return Text(f"{value * 100:.2f}%")
        if unit == "ms":
            return Text(duration(value))
    if isinstance(value, list | tuple):
        return Text(", ".join(map(str, value)))
    if isinstance(value, dict):
        return Text(msgspec.json.encode(value, enc_hook=str).decode())
    return Text(number(value))


def duration(ms: float) -> str:
    """``950 ms``, ``12.5 s``, ``3 min 5 s``, ``16 h 24 min``, ``13 d 2 h``."""
    if abs(ms) < 1000:
        return f"{ms:.0f} ms"
    seconds = abs(ms) / 1000
    sign = "-" if ms < 0 else ""
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    for big, small, name, part in (
        (86_400, 3_600, "d", "h"),
        (3_600, 60, "h", "min"),
        (60, 1, "min", "s"),
    ):
        if seconds >= big:
            whole, rest = divmod(round(seconds / small), big // small)
            return f"{sign}{whole} {name}" + (f" {rest} {part}" if rest else "")
    return f"{sign}{seconds:.1f} s"


def answer(
    result: Result,
    *,
    width: int,
    unicode: bool,
    with_chart: bool = True,
    with_totals: bool = True,
    most: int = 0,
) -> list[RenderableType]:
    """An answer for people: chart, table, and the totals that do not follow from the rows."""
    columns = [column.name for column in result.columns]
    units = {column.name: column.unit for column in result.columns}
    parts: list[RenderableType] = []
    if with_chart:
        drawn = chart(
            str(result.query.get("model", "")), columns, result.rows, width=width, unicode=unicode
        )
        if drawn is not None:
            parts.append(drawn)
    if not result.rows:
        parts.append(Text("no rows: nothing in this range matches"))
        return parts
    names, rows = for_people(columns, result.rows)
    parts.append(table_of(names, rows, units=units, most=most))
    totals = result.totals
    if with_totals and isinstance(totals, dict) and totals.get("rows") and "columns" in totals:
        title = f"over the whole range ({totals.get('kind', 'totals')})"
        names, rows = for_people(totals["columns"], totals["rows"])
        parts.append(table_of(names, rows, units=units, most=most, title=title))
    return parts


def for_people(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows with the flag ``is_other`` written into the groups it speaks of."""
    by = set(group_columns(columns))
    flag = columns.index("is_other") if "is_other" in columns else None
    kept = [place for place in range(len(columns)) if place != flag]

    def value(row: Sequence[Any], place: int) -> Any:
        if columns[place] in by and row[place] is None:
            return OTHER if flag is not None and row[flag] else NO_VALUE
        return row[place]

    return [columns[p] for p in kept], [[value(row, p) for p in kept] for row in rows]


def print_list(rows: list[dict[str, Any]], form: str, *, empty: str) -> None:
    """A list of like records in the chosen form; ``empty`` is said when a table would be empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if form == "json":
        write_text(json_text(rows))
    elif form == "csv":
        write_text(csv_text(columns, [[row.get(c) for c in columns] for row in rows]))
    elif form == "arrow":
        import pyarrow as pa

        write_arrow(pa.Table.from_pylist(rows), None)
    elif not rows:
        console().print(Text(empty))
    else:
        people = [_readable(row) for row in rows]
        names = list(people[0])
        console().print(table_of(names, [[row.get(c) for c in names] for row in people]))


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds become dates in tables."""
    return {
        (k[:-3] if k.endswith("_ms") else k): instant(v)
        if k.endswith("_ms") and isinstance(v, int)
        else v
        for k, v in row.items()
    }


def instant(ms: int) -> str:
    """``2026-10-01 08:00:00Z``."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def json_text(value: Any) -> str:
    """Indented JSON with a line end."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode() + "\n"


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV with a header; lists as JSON, an unknown value as an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            msgspec.json.encode(v, enc_hook=str).decode()
            if isinstance(v, list | dict | tuple)
            else v
            for v in row
        )
    return out.getvalue()


def write_text(text: str, output: Path | None = None) -> None:
    """Text to a file or to standard output, as UTF-8."""
    if output is not None:
        output.write_text(text, "utf-8")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def write_arrow(table: Any, output: Path | None) -> None:
    """An Arrow table as an IPC stream.

    :raises InvalidInput: standard output is a terminal.
    """
    import pyarrow as pa

    if output is None and sys.stdout.isatty():
        raise InvalidInput(
            "Arrow is a binary form: give --output FILE, or send it to another program"
        )
    with pa.OSFile(str(output), "wb") if output else pa.PythonFile(sys.stdout.buffer, "w") as sink:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        if output is None:
            sys.stdout.buffer.flush()


def print_pairs(out: Console, pairs: dict[str, Any], *, title: str | None = None) -> None:
    """Nested key-value pairs, indented."""
    if title:
        out.print(Text(title, style="bold"))
    _print_nested(out.print, pairs, 0)


def _print_nested(put: Callable[[Text], None], value: dict[str, Any], depth: int) -> None:
    width = max((len(str(k)) for k in value), default=0)
    pad = "  " * depth
    for key, item in value.items():
        if isinstance(item, dict) and item:
            put(Text(f"{pad}{key}"))
            _print_nested(put, item, depth + 1)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            put(Text(f"{pad}{key}"))
            for entry in item:
                put(Text(f"{pad}  - " + ", ".join(f"{k}={_plain(k, v)}" for k, v in entry.items())))
        else:
            put(Text(f"{pad}{str(key).ljust(width)}  {_plain(str(key), item)}"))


def _plain(key: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if key.endswith("_ms") and abs(value) > 10**11:
            return instant(value)
        if key == "bytes" or key.endswith("_bytes"):
            return size(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value) or "none"
    return number(value)


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TiB"


def summary(meta: dict[str, Any], seconds: float) -> str:
    """The line under an answer: what was read, how long it took, up to when data is complete."""
    rows = meta.get("rows_read")
    parts = []
    if meta.get("index") and not rows:
        elapsed = float(meta.get("elapsed_ms") or seconds * 1000)
        parts.append(f"answered from the index in {elapsed:,.1f} ms")
    elif isinstance(rows, int):
        elapsed = float(meta.get("elapsed_ms") or seconds * 1000)
        parts.append(f"{rows:,} rows read in {elapsed:,.1f} ms")
        if elapsed > 0 and rows:
            parts.append(f"{rows / elapsed * 1000:,.0f} rows/s")
    if meta.get("bytes_read"):
        parts.append(size(meta["bytes_read"]))
    if meta.get("complete_until"):
        parts.append(f"complete until {meta['complete_until']}")
    if meta.get("truncated"):
        parts.append("truncated")
    return " · ".join(parts)
