"""The answer of a query: tidy rows, a row a cell, and the ways to take them elsewhere.

Ratios are floats 0..1; what is not known is None, never 0 and never NaN. :meth:`Result.to_dict` is
the wire form of ``docs/query.md``. pandas and pyarrow are imported only when asked for.
Thread-safety: nothing changes after construction, as long as the caller leaves the lists alone.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

COLUMN_TYPES: Final = ("string", "int64", "float64", "bool", "date", "datetime", "object", "any")
_TEXT_ROWS: Final = 20
_HTML_ROWS: Final = 50
_CELL_WIDTH: Final = 32


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of an answer: ``type`` of :data:`COLUMN_TYPES`, ``unit`` as ``users ratio ms``."""

    name: str
    type: str
    unit: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """Rows of an answer with their columns.

    ``totals``: values that do not follow from adding rows (users over the whole range), by model.
    ``meta``: range, complete_until, watermark, rows_read, bytes_read, elapsed_ms, truncated,
    total_kind, warnings. ``query``: the query with every default written out.
    """

    columns: list[ColumnInfo]
    rows: list[list[Any]]
    totals: Any = None
    meta: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> list[Any]:
        """Values of one column. Raises KeyError."""
        if name not in self.names:
            raise KeyError(f"no column {name!r}; the columns are {', '.join(self.names)}")
        at = self.names.index(name)
        return [row[at] for row in self.rows]

    def to_dicts(self) -> list[dict[str, Any]]:
        """A dict a row."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """The wire form: ``v query columns rows totals meta``, JSON values only."""
        return {
            "v": 1,
            "query": self.query,
            "columns": [{"name": c.name, "type": c.type, "unit": c.unit} for c in self.columns],
            "rows": [[_finite(value) for value in row] for row in self.rows],
            "totals": _finite(self.totals),
            "meta": _finite(self.meta),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """The wire form as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_csv(self) -> str:
        """RFC 4180 text with a header; None is an empty field."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(self.names)
        for row in self.rows:
            writer.writerow(["" if value is None else _text_or_json(value) for value in row])
        return out.getvalue()

    def to_arrow(self) -> pa.Table:
        """A pyarrow table: dates are date32, hours and instants timestamps of the query's zone."""
        import pyarrow as pa

        arrays = [self._arrow(i, column.type) for i, column in enumerate(self.columns)]
        return pa.table(arrays, names=self.names)

    def to_pandas(self) -> pd.DataFrame:
        """A pandas frame; whole numbers with gaps are ``Int64``."""
        import pandas as pd

        frame = pd.DataFrame(self.rows, columns=pd.Index(self.names))
        types = {"int64": "Int64", "float64": "float64", "bool": "boolean"}
        for column in self.columns:
            if column.type in types:
                frame = frame.astype({column.name: types[column.type]})
            elif column.type == "date":
                frame[column.name] = pd.to_datetime(frame[column.name])
            elif column.type == "datetime":
                frame[column.name] = pd.to_datetime(frame[column.name], utc=True).dt.tz_convert(
                    self._zone()
                )
        return frame

    def _zone(self) -> str:
        time = self.query.get("time")
        return (time.get("tz") if isinstance(time, dict) else None) or "UTC"

    def _arrow(self, at: int, kind: str) -> pa.Array:
        import pyarrow as pa

        values = [row[at] for row in self.rows]
        if kind == "date":
            return pa.array([v and date.fromisoformat(v) for v in values], pa.date32())
        if kind == "datetime":
            instants = [v and datetime.fromisoformat(v) for v in values]
            return pa.array(instants, pa.timestamp("ms", tz=self._zone()))
        plain = {
            "string": pa.string(),
            "int64": pa.int64(),
            "float64": pa.float64(),
            "bool": pa.bool_(),
        }
        if kind in plain:
            return pa.array([_finite(v) for v in values], plain[kind])
        texts = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
        return pa.array(texts, pa.string())

    def __repr__(self) -> str:
        return self._text()

    def _text(self) -> str:
        shown = [[_cell(value) for value in row] for row in self.rows[:_TEXT_ROWS]]
        lines = [self.names, *shown]
        widths = [
            max((_width(line[i]) for line in lines), default=0) for i in range(len(self.names))
        ]
        numeric = [column.type in ("int64", "float64") for column in self.columns]
        out = []
        for line in lines:
            cells = [
                " " * (width - _width(cell)) + cell
                if right
                else cell + " " * (width - _width(cell))
                for cell, width, right in zip(line, widths, numeric, strict=True)
            ]
            out.append("  ".join(cells).rstrip())
        out.insert(1, "  ".join("-" * width for width in widths))
        if len(self.rows) > _TEXT_ROWS:
            out.append(f"… {len(self.rows):,} rows in all")
        out += [f"warning: {warning}" for warning in self.meta.get("warnings") or ()]
        return "\n".join(out)

    def _repr_html_(self) -> str:
        """For notebooks: the first rows, and a line of each series of an event answer."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
            for row in self.rows[:_HTML_ROWS]
        )
        more = len(self.rows) - _HTML_ROWS
        note = f"<p>… {len(self.rows):,} rows in all</p>" if more > 0 else ""
        warnings = "".join(
            f"<p>⚠ {html.escape(str(warning))}</p>" for warning in self.meta.get("warnings") or ()
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div>{self._sparkline()}{table}{note}{warnings}</div>"

    def _sparkline(self) -> str:
        """One small line chart of the first series of an event answer without breakdowns."""
        names = self.names
        if names[:2] != ["series", "bucket"] or "value" not in names or "is_other" in names:
            return ""
        if not self.rows:
            return ""
        first, at = self.rows[0][0], names.index("value")
        values = [_finite(row[at]) for row in self.rows if row[0] == first]
        known = [value for value in values if value is not None]
        if len(values) < 2 or not known:
            return ""
        low, high = min(0, *known), max(*known, min(0, *known) + 1e-12)
        step = 320 / (len(values) - 1)
        runs: list[list[str]] = [[]]
        for i, value in enumerate(values):
            if value is None:  # a gap, never zero
                runs.append([])
            else:
                runs[-1].append(f"{i * step:.1f},{44 - 40 * (value - low) / (high - low):.1f}")
        lines = "".join(
            f'<polyline points="{" ".join(run)}" fill="none" stroke="currentColor"/>'
            for run in runs
            if run
        )
        title = html.escape(str(first))
        return f'<svg width="320" height="48" role="img" aria-label="{title}">{lines}</svg>'


def _finite(value: Any) -> Any:
    """``value`` with NaN and infinities, which JSON does not have, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _text_or_json(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _cell(value: Any) -> str:
    """A value for people: a dash for what is not known, floats to four digits, cut when long."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "".join(c if c.isprintable() else "·" for c in text)
    return text if len(text) <= _CELL_WIDTH else text[: _CELL_WIDTH - 1] + "…"


def _width(text: str) -> int:
    """Columns of a terminal that the text takes: two a wide (Chinese, Japanese, Korean) sign."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
