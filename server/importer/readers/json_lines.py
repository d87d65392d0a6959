"""JSON lines: Arrow's parser a block at a time; what it refuses is narrowed down to single lines.

A column keeps its first type (module ``conform``); text that looks like a time stays text. When a
block does not parse with the types known, it is tried with types of its own, then cut into
sixteen, and the last small piece is read line by line with Python's parser, which gives each bad
line its reason: ``bad_json``, ``not_a_map``, ``duplicate_key``, ``not_finite``,
``int_out_of_range``, ``bad_utf8``, ``type_mismatch``. Position = bytes after decompression.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from zuji.engine.errors import InvalidInput
from zuji.server.importer.changes import Change, taken_out
from zuji.server.importer.readers.base import Chunk, Reject
from zuji.server.importer.readers.blocks import BLOCK_BYTES, PARCEL_BLOCK_BYTES, read_blocks
from zuji.server.importer.readers.conform import conform, typed_column
from zuji.server.importer.readers.parquet import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

PIECES = 16
SMALL_BYTES = 64 << 10
_INT64_EDGE = 2.0**63
_ROWS = "$rows"
_SHOWN = 200  # characters of a bad line that are kept


class JsonLinesReader:
    """Reads one file of JSON lines. ``changes``: lines of native JSON that change users otherwise
    than by setting properties are no rows (see ``importer.changes``).
    """

    kind = "JSON lines"
    list_separator: str | None = None

    def __init__(
        self, path: Path, *, block_bytes: int = BLOCK_BYTES, changes: bool = False
    ) -> None:
        self.path = path
        self._changes = changes
        self.size_bytes = path.stat().st_size
        self.rows_known: int | None = None
        self._block_bytes = block_bytes
        self._natural: dict[str, pa.DataType] = {}  # as parsed, structs closed
        self._types: dict[str, pa.DataType] = {}  # as given, structs opened
        first = next(read_blocks(path, block_bytes=block_bytes), None)
        names: dict[str, None] = {}
        if first is not None:
            data, taken = self._taken_out(first.data, first.first_line)
            table, _, rejects = self._parse(data, first.first_line)
            names = dict.fromkeys(table.column_names)
            for change in taken:
                names |= dict.fromkeys((*change.row, "event"))
            if not table.num_rows and not taken and rejects:
                raise InvalidInput(
                    f"{path}: no line of the first {len(first.data):,} bytes is a JSON object "
                    f"(line {rejects[0].row}: {rejects[0].message})"
                )
        self._names = list(names)

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the first block."""
        return {name: self._types.get(name, pa.null()) for name in self._names}

    def retype(self, types: dict[str, pa.DataType]) -> None:
        """Gives these columns as these types from now on; what cannot be cast is refused."""
        self._types.update(types)

    def only(self, columns: set[str]) -> None:
        """All fields are parsed; those that are not wanted are dropped later."""

    def in_parcels(self) -> None:
        """Makes chunks small, since parcels are noted a chunk at a time."""
        self._block_bytes = min(self._block_bytes, PARCEL_BLOCK_BYTES)

    def chunks(self, position: int = 0) -> Iterator[Chunk]:
        """One chunk a block."""
        for block in read_blocks(self.path, position, block_bytes=self._block_bytes):
            data, taken = self._taken_out(block.data, block.first_line)
            table, numbers, rejects = self._parse(data, block.first_line)
            yield Chunk(
                table,
                end=block.end,
                progress=block.progress,
                first_row=block.first_line,
                numbers=numbers,
                rejects=sorted(rejects, key=lambda reject: reject.row),
                changes=taken,
            )

    def _taken_out(self, data: bytes, first: int) -> tuple[bytes, list[Change]]:
        return taken_out(data, first, _flat_line) if self._changes else (data, [])

    # -- parsing ------------------------------------------------------------------------------

    def _parse(self, data: bytes, line: int) -> tuple[pa.Table, Numbers, list[Reject]]:
        for known in (self._natural, {}):
            table = _native(data, known)
            if table is None:
                continue
            numbers = _line_numbers(data, line, table.num_rows)
            if numbers is None:
                continue
            for item in table.schema:
                if not pa.types.is_null(item.type):
                    self._natural.setdefault(item.name, item.type)
            return conform(flatten(table), numbers, self._types)
        if len(data) <= SMALL_BYTES:
            return self._by_line(data, line)
        tables, rows, rejects = [], [], []
        for piece in _split(data):
            table, numbers, bad = self._parse(piece, line)
            rejects += bad
            line += piece.count(b"\n")
            if table.num_rows:
                tables.append(table)
                rows.append(numbers)
        return _joined(tables), np.concatenate([np.zeros(0, np.int64), *rows]), rejects

    def _by_line(self, data: bytes, first: int) -> tuple[pa.Table, Numbers, list[Reject]]:
        rows, lines, rejects = _read_lines(data, first)
        names = dict.fromkeys(name for row in rows for name in row)
        bad: dict[int, str] = {}
        columns = {}
        for name in names:
            values = [row.get(name) for row in rows]
            column = typed_column(values, self._types.get(name), name, bad)
            if not pa.types.is_null(column.type):
                self._types.setdefault(name, column.type)
            columns[name] = column
        table = pa.table(columns) if columns else _without_columns(len(rows))
        numbers = np.array(lines, np.int64)
        if bad:
            keep = np.ones(len(rows), bool)
            keep[list(bad)] = False
            rejects += [
                Reject(lines[i], "type_mismatch", message, rows[i]) for i, message in bad.items()
            ]
            table, numbers = table.filter(pa.array(keep)), numbers[keep]
        return table, numbers, rejects


def _split(data: bytes) -> list[bytes]:
    size = max(SMALL_BYTES // 2, len(data) // PIECES)
    pieces, start = [], 0
    while start < len(data):
        end = data.find(b"\n", min(len(data), start + size)) + 1 or len(data)
        pieces.append(data[start:end])
        start = end
    return pieces


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table; columns that one of them lacks are null there."""
    if not tables:
        return pa.table({})
    # Arrow forgets the rows of tables without columns (lines of ``{}``) when it joins them.
    lengths = [pa.nulls(t.num_rows) for t in tables]
    tables = [t.append_column(_ROWS, n) for t, n in zip(tables, lengths, strict=True)]
    return pa.concat_tables(tables, promote_options="default").drop_columns([_ROWS])


def _native(data: bytes, known: dict[str, pa.DataType]) -> pa.Table | None:
    """The block by Arrow's parser, or None when it refuses or would lose something."""
    types = dict(known)
    for _ in range(2):
        options = pj.ParseOptions(
            explicit_schema=pa.schema(list(types.items())) if types else None,
            newlines_in_values=False,
            unexpected_field_behavior="infer",
        )
        try:
            table = pj.read_json(
                pa.BufferReader(data),
                read_options=pj.ReadOptions(block_size=max(1 << 20, len(data)), use_threads=False),
                parse_options=options,
            )
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        as_text = {
            f.name: _without_times(f.type) for f in table.schema if _without_times(f.type) != f.type
        }
        if not as_text:
            return None if _lost_digits(table) else table
        types |= as_text
    return None


def _without_times(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([f.with_type(_without_times(f.type)) for f in kind])
    if pa.types.is_list(kind):
        return pa.list_(_without_times(kind.value_type))
    return kind


def _lost_digits(table: pa.Table) -> bool:
    """Arrow reads whole numbers beyond int64 as floats: such lines need a look each."""
    for column in flatten(table).columns:
        if pa.types.is_floating(column.type) and len(column) > column.null_count:
            ends = pc.min_max(column)
            if max(abs(ends["min"].as_py()), abs(ends["max"].as_py())) >= _INT64_EDGE:
                return True
    return False


def _line_numbers(data: bytes, first: int, rows: int) -> Any:
    """Row numbers of a natively parsed block; None when objects and lines do not match up."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if lines == rows:
        return np.arange(first, first + rows, dtype=np.int64)
    filled = [first + i for i, line in enumerate(data.split(b"\n")) if line.strip()]
    return np.array(filled, np.int64) if len(filled) == rows else None


class _Refused(ValueError):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _no_constant(text: str) -> NoReturn:
    raise _Refused("not_finite", f"{text} is not a number that can be stored")


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise _Refused("int_out_of_range", f"{text} does not fit into 64 bits")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise _Refused("duplicate_key", f"the key {twice!r} occurs twice")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_whole
)


def _decode(line: bytes) -> dict[str, Any]:
    value = _DECODER.decode(line.decode())
    if not isinstance(value, dict):
        raise _Refused("not_a_map", "the line is not a JSON object")
    return value


def _read_lines(data: bytes, first: int) -> tuple[list[dict[str, Any]], list[int], list[Reject]]:
    """Flat rows, their line numbers, and the lines that are no rows."""
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    for place, line in enumerate(data.split(b"\n")):
        if not line.strip():
            continue
        number = first + place
        try:
            value = _decode(line)
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} is not UTF-8"
            rejects.append(_reject(number, "bad_utf8", message, line))
        except _Refused as error:
            rejects.append(_reject(number, error.reason, str(error), line))
        except (ValueError, RecursionError) as error:
            rejects.append(_reject(number, "bad_json", str(error), line))
        else:
            rows.append(flat_row(value))
            numbers.append(number)
    return rows, numbers, rejects


def _without_columns(rows: int) -> pa.Table:
    empty = pa.array([{}] * rows, pa.struct([]))
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(empty)])


def _reject(number: int, reason: str, message: str, line: bytes) -> Reject:
    return Reject(number, reason, message, line[:_SHOWN].decode(errors="replace"))


def _flat_line(line: bytes) -> dict[str, Any] | None:
    """The flat row of a line; None: it is none, and reading its block says why."""
    try:
        return flat_row(_decode(line))
    except (ValueError, RecursionError):
        return None


def flat_row(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested maps opened with dotted names, as Arrow's flatten does."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            flat |= flat_row(item, f"{prefix}{name}.")
        else:
            flat[prefix + name] = item
    return flat
