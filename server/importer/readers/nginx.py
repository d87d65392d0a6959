"""Access logs of nginx: a regular expression over columns of lines, no Python object a line.

Columns are the variables of the log format (``log_format.NAMES`` renames some), ``time``, and of
the request ``method``, ``path``, ``query`` and ``protocol``. Only when they are named: addresses,
cookies and the query; ``arg_NAME`` of the query, ``cookie_NAME`` of ``$http_cookie``, and
``client_id`` of an expression of the user's. ``-`` is no value. Lines that do not fit are refused
(``bad_line``, ``bad_utf8``, ``bad_time``); paths that the user leaves out, or that no rule names,
are counted as skipped. Position = bytes after decompression; the row number is the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.errors import InvalidInput
from zuji.server.importer.readers.base import Chunk, Reject
from zuji.server.importer.readers.blocks import BLOCK_BYTES, PARCEL_BLOCK_BYTES, Block, read_blocks
from zuji.server.importer.readers.log_format import (
    DECIMAL,
    NAMES,
    ON_REQUEST,
    TIMES,
    WHOLE,
    compiled,
    unescaped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SHOWN = 300
_REQUEST = r"^(?P<method>[A-Za-z]+) (?P<target>\S+)(?: (?P<protocol>\S+))?$"
_TARGET = r"^(?P<path>[^?]*)(?:\?(?P<query>.*))?$"


@dataclass(frozen=True, slots=True)
class LogRules:
    """What the user says about an access log.

    ``asked``: columns that are named somewhere. ``client_id``: an expression with a group ``id``,
    looked for in the whole line. ``events``: (expression, event) of paths, the first that is found;
    ``otherwise``: the event of other paths, None leaves them out. ``skip``: expressions of paths
    that are left out.
    """

    log_format: str = "combined"
    asked: frozenset[str] = frozenset()
    client_id: str | None = None
    events: tuple[tuple[str, str], ...] = ()
    otherwise: str | None = None
    skip: tuple[str, ...] = ()


class NginxReader:
    """Reads one access log."""

    kind = "access log"
    list_separator: str | None = "|"

    def __init__(self, path: Path, rules: LogRules, *, block_bytes: int = BLOCK_BYTES) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size
        self.rows_known: int | None = None
        self._rules = rules
        self._block_bytes = block_bytes
        self._pattern, self._variables = compiled(rules.log_format)
        self._check_expressions()
        first = next(read_blocks(path, block_bytes=block_bytes), None)
        if first is None:
            raise InvalidInput(f"{path}: the file is empty")
        chunk = self._chunk(first)
        bad = next((r for r in chunk.rejects if r.reason == "bad_line"), None)
        if not chunk.table.num_rows and bad is not None and not chunk.skipped:
            raise InvalidInput(
                f"{path}: no line fits the log format; give yours with --log-format "
                f"(line {bad.row}: {str(bad.values)[:100]!r})"
            )
        self._columns = {field.name: field.type for field in chunk.table.schema}

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the log format, and those that were asked for."""
        return dict(self._columns)

    def retype(self, types: dict[str, pa.DataType]) -> None:
        """Types are those of the variables; casts happen afterwards."""

    def only(self, columns: set[str]) -> None:
        """All fields are matched; those that are not wanted are dropped later."""

    def in_parcels(self) -> None:
        """Makes chunks small, since parcels are noted a chunk at a time."""
        self._block_bytes = min(self._block_bytes, PARCEL_BLOCK_BYTES)

    def chunks(self, position: int = 0) -> Iterator[Chunk]:
        """One chunk a block."""
        for block in read_blocks(self.path, position, block_bytes=self._block_bytes):
            yield self._chunk(block)

    def _check_expressions(self) -> None:
        rules = self._rules
        mine = [*(pattern for pattern, _ in rules.events), *rules.skip]
        for pattern in [*mine, *([rules.client_id] if rules.client_id else [])]:
            try:
                pc.match_substring_regex(pa.array([""]), pattern)
            except pa.ArrowException as error:
                raise InvalidInput(f"{pattern!r} is no regular expression (RE2): {error}") from None
        if rules.client_id and "(?P<id>" not in rules.client_id:
            raise InvalidInput("--client-id is an expression with a group (?P<id>…)")

    # -- one block -----------------------------------------------------------------------------

    def _chunk(self, block: Block) -> Chunk:
        rejects: list[Reject] = []
        lines, numbers = _lines(block, rejects)
        found = pc.extract_regex(lines, self._pattern)
        fits = found.is_valid().to_numpy(zero_copy_only=False)
        for place in np.flatnonzero(~fits):
            text = lines[int(place)].as_py().rstrip("\r\n")
            if text.strip():
                message = "the line does not fit the log format"
                rejects.append(Reject(int(numbers[place]), "bad_line", message, text[:_SHOWN]))
        lines, numbers = lines.filter(pa.array(fits)), numbers[fits]
        table, bad_time = self._table(found.filter(pa.array(fits)), lines)
        for place in np.flatnonzero(bad_time):
            text = lines[int(place)].as_py().rstrip("\r\n")
            message = "its time cannot be read"
            rejects.append(Reject(int(numbers[place]), "bad_time", message, text[:_SHOWN]))
        table, wanted = self._ruled(table)
        skipped = int((~wanted & ~bad_time).sum())
        keep = wanted & ~bad_time
        return Chunk(
            table.filter(pa.array(keep)),
            end=block.end,
            progress=block.progress,
            first_row=block.first_line,
            numbers=numbers[keep],
            rejects=sorted(rejects, key=lambda reject: reject.row),
            skipped=skipped,
        )

    def _table(self, found: pa.StructArray, lines: pa.Array) -> tuple[pa.Table, np.ndarray]:
        """Columns of the variables, and the rows whose time cannot be read."""
        raw = {name: _clean(found.field(name)) for name in self._variables}
        columns: dict[str, pa.Array] = {}
        times = next(name for name in TIMES if name in raw)
        columns["time"] = _instants(raw[times], times)
        bad = (columns["time"].is_null()).to_numpy(zero_copy_only=False)
        for name, values in raw.items():
            if name in TIMES:
                continue
            if name == "request":
                _open_request(values, columns)
            elif name == "request_uri":
                _open_target(values, columns)
            else:
                column = NAMES.get(name, name)
                columns.setdefault(column, _typed(values, column))
        self._derive(columns, lines)
        for name in ON_REQUEST - self._rules.asked:
            columns.pop(name, None)
        return pa.table(columns), bad

    def _derive(self, columns: dict[str, pa.Array], lines: pa.Array) -> None:
        for name in sorted(self._rules.asked):
            part, _, rest = name.partition("_")
            if name in columns or not rest:
                continue
            if part == "arg" and "query" in columns:
                pattern = rf"(?:^|&){re.escape(rest)}=(?P<v>[^&]*)"
                values = pc.extract_regex(columns["query"], pattern).field("v")
                columns[name] = _each(values, r"[%+]", unquote_plus)
            elif part == "cookie" and "http_cookie" in columns:
                pattern = rf"(?:^|;\s*){re.escape(rest)}=(?P<v>[^;]*)"
                values = pc.extract_regex(columns["http_cookie"], pattern).field("v")
                columns[name] = _nothing_is_null(values)
        if self._rules.client_id:
            values = pc.extract_regex(lines, self._rules.client_id).field("id")
            columns["client_id"] = _clean(values)

    def _ruled(self, table: pa.Table) -> tuple[pa.Table, np.ndarray]:
        """The table with its events, and the rows that are wanted."""
        rules, rows = self._rules, table.num_rows
        wanted = np.ones(rows, bool)
        path = table["path"] if "path" in table.column_names else pa.nulls(rows, pa.string())

        def has(pattern: str) -> pa.Array:
            return pc.fill_null(pc.match_substring_regex(path, pattern), False)

        for pattern in rules.skip:
            wanted &= ~np.asarray(has(pattern).to_numpy(zero_copy_only=False), dtype=bool)
        if rules.events:
            event = pa.repeat(pa.scalar(rules.otherwise, pa.string()), rows)
            for pattern, name in reversed(rules.events):
                event = pc.if_else(has(pattern), pa.scalar(name), event)
            wanted &= np.asarray(event.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
            table = table.append_column("event", event)
        return table, wanted


def _lines(block: Block, rejects: list[Reject]) -> tuple[pa.Array, np.ndarray]:
    """The lines of a block as a text column, and their numbers; those not in UTF-8 are refused."""
    data = np.frombuffer(block.data, np.uint8)
    ends = np.flatnonzero(data == 10) + 1
    if not len(ends) or ends[-1] != len(data):
        ends = np.append(ends, len(data))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    numbers = np.arange(block.first_line, block.first_line + len(ends), dtype=np.int64)
    lines = pa.StringArray.from_buffers(
        len(ends), pa.py_buffer(offsets.tobytes()), pa.py_buffer(block.data)
    )
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        good = np.ones(len(ends), bool)
        texts: list[str] = []
        for place, line in enumerate(block.data.split(b"\n")[: len(ends)]):
            try:
                texts.append(line.decode())
            except UnicodeDecodeError as error:
                good[place] = False
                message = f"byte {error.start + 1} is not UTF-8"
                shown = line[:_SHOWN].decode(errors="replace").rstrip("\r\n")
                rejects.append(Reject(int(numbers[place]), "bad_utf8", message, shown))
        return pa.array(texts, pa.string()), numbers[good]
    return lines, numbers


def _open_request(values: pa.Array, columns: dict[str, pa.Array]) -> None:
    parts = pc.extract_regex(values, _REQUEST)
    columns.setdefault("method", _nothing_is_null(parts.field("method")))
    _open_target(_nothing_is_null(parts.field("target")), columns)
    columns.setdefault("protocol", _nothing_is_null(parts.field("protocol")))


def _open_target(values: pa.Array, columns: dict[str, pa.Array]) -> None:
    parts = pc.extract_regex(values, _TARGET)
    columns.setdefault("path", _nothing_is_null(parts.field("path")))
    columns.setdefault("query", _nothing_is_null(parts.field("query")))


def _clean(values: pa.Array) -> pa.Array:
    """Values without ``-`` and without nginx's escapes."""
    values = pc.if_else(pc.equal(values, "-"), pa.scalar(None, pa.string()), values)
    return _nothing_is_null(_each(values, r"\\x[0-9A-Fa-f]{2}", unescaped))


def _nothing_is_null(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def _each(values: pa.Array, pattern: str, change: Callable[[str], str]) -> pa.Array:
    """Distinct values that have the pattern, changed one by one."""
    marked = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    if not pc.any(marked).as_py():
        return _nothing_is_null(values)
    distinct = pc.unique(values.filter(marked))
    changed = pa.array([change(text) for text in distinct.to_pylist()], pa.string())
    done = changed.take(pc.index_in(values, distinct))
    return _nothing_is_null(pc.if_else(marked, done, values))


def _typed(values: pa.Array, column: str) -> pa.Array:
    """Numbers where a variable is one; what is none there (``0.1, 0.2``) becomes no value."""
    if column in WHOLE:
        whole = pc.match_substring_regex(values, r"^\d{1,18}$")
        return pc.cast(pc.if_else(whole, values, pa.scalar(None, pa.string())), pa.int64())
    if column in DECIMAL:
        decimal = pc.match_substring_regex(values, r"^\d+(\.\d+)?$")
        return pc.cast(pc.if_else(decimal, values, pa.scalar(None, pa.string())), pa.float64())
    return values


def _instants(values: pa.Array, variable: str) -> pa.Array:
    kind = pa.timestamp("ms", "UTC")
    if variable == "msec":
        seconds = _typed(values, "request_time")
        return pc.cast(pc.round(pc.multiply(seconds, 1000.0)), pa.int64()).cast(kind)
    if variable == "time_iso8601":
        form = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"
        good = pc.match_substring_regex(values, form)
        try:
            return pc.cast(pc.if_else(good, values, pa.scalar(None, pa.string())), kind)
        except pa.ArrowException:  # a thirteenth month
            return pa.nulls(len(values), kind)
    parsed = pc.strptime(values, format="%d/%b/%Y:%H:%M:%S %z", unit="s", error_is_null=True)
    if parsed.type.tz is None:  # older releases of pyarrow
        parsed = pc.assume_timezone(parsed, "UTC")
    return pc.cast(parsed, kind)
