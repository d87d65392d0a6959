"""CSV: Arrow's parser a block at a time, with types fixed from the first block.

Every block is read with the same types; a block that does not fit is read as text, and its values
are cast one by one by the engine's rules or their row is refused (``type_mismatch``). Lines with a
wrong number of fields are refused (``wrong_field_count``), as is text that is not in the file's
encoding (``bad_utf8``).
Whole numbers with a leading zero (phone numbers, branch codes) stay text.
Position = bytes after decompression; the row number is the line in the file.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from zuji.engine.errors import InvalidInput
from zuji.server.importer.readers.base import Chunk, Reject, row_values
from zuji.server.importer.readers.blocks import BLOCK_BYTES, PARCEL_BLOCK_BYTES, Block, read_blocks
from zuji.server.importer.readers.conform import typed_column

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NULLS = ("", "NULL", "null", "\\N")
_DELIMITERS = (",", "\t", ";", "|")
_BOM = b"\xef\xbb\xbf"
_SHOWN = 200
_LONGEST_RECORD = 1 << 20


class CsvReader:
    """Reads one CSV file. ``names``: of its columns, when it has no header line. ``quote``: the
    character that fields are quoted with, "" when they are not.
    """

    kind = "CSV"
    list_separator: str | None = "|"

    def __init__(
        self,
        path: Path,
        *,
        delimiter: str | None = None,
        encoding: str = "utf-8",
        nulls: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        quote: str = '"',
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.path = path
        self._quote = quote
        self.size_bytes = path.stat().st_size
        self.rows_known: int | None = None
        self._encoding = (
            "utf-8" if encoding.lower().replace("_", "-") in {"utf8", "utf-8-sig"} else encoding
        )
        self._nulls = [*NULLS, *nulls]
        self._block_bytes = block_bytes
        first = next(read_blocks(path, quote=quote.encode(), block_bytes=block_bytes), None)
        if first is None or not first.data.strip():
            raise InvalidInput(f"{path}: the file is empty; a CSV file needs a header line")
        header_bytes = _header_length(first.data, quote.encode())
        text = self._decode(first.data[:header_bytes])
        self._delimiter = delimiter or max(_DELIMITERS, key=text.count)
        if names:
            header_bytes = len(_BOM) if first.data.startswith(_BOM) else 0
            self._names = list(names)
            self._check_names(text)
        else:
            fields: list[str] = next(self._fields(text), [])
            self._names = _header(path, fields)
        self._header_end = header_bytes
        self._types = self._infer(first.data[header_bytes:])

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the header with the types of the first block."""
        return dict(self._types)

    def retype(self, types: dict[str, pa.DataType]) -> None:
        """Reads columns as these types (text for ids, what the mapping asks for)."""
        self._types.update({k: v for k, v in types.items() if k in self._types})

    def only(self, columns: set[str]) -> None:
        """All fields are read; those that are not wanted are dropped later."""

    def in_parcels(self) -> None:
        """Makes chunks small, since parcels are noted a chunk at a time."""
        self._block_bytes = min(self._block_bytes, PARCEL_BLOCK_BYTES)

    def chunks(self, position: int = 0) -> Iterator[Chunk]:
        """One chunk a block."""
        start = max(position, self._header_end)
        for block in read_blocks(
            self.path, start, quote=self._quote.encode(), block_bytes=self._block_bytes
        ):
            yield self._chunk(block)

    # -- parsing ------------------------------------------------------------------------------

    def _fields(self, text: str) -> Any:
        """Records of a text, by Python's parser."""
        return csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self._delimiter,
            quotechar=self._quote or None,
            quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
        )

    def _check_names(self, text: str) -> None:
        there = len(next(self._fields(text), []))
        if there != len(self._names):
            raise InvalidInput(
                f"{self.path}: its first line has {there} fields, but --columns names "
                f"{len(self._names)} (--delimiter is {self._delimiter!r})"
            )

    def _decode(self, data: bytes) -> str:
        try:
            return data.removeprefix(_BOM).decode(self._encoding)
        except LookupError as error:
            raise InvalidInput(
                f"unknown encoding {self._encoding!r}; try gb18030, big5 or latin-1"
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{self.path}: the header is not {self._encoding}: byte {error.start + 1}; "
                "say the file's encoding with --encoding (Chinese Windows files: gb18030)"
            ) from error

    def _read(
        self, data: bytes, types: dict[str, pa.DataType] | None, bad: list[pcsv.InvalidRow]
    ) -> pa.Table:
        if not data.strip():
            kinds = types or {}
            return pa.table({n: pa.array([], kinds.get(n, pa.string())) for n in self._names})
        if self._encoding == "utf-8":
            _check_text(data)

        def on_invalid(row: pcsv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        return pcsv.read_csv(
            pa.BufferReader(data),
            read_options=pcsv.ReadOptions(
                column_names=self._names,
                use_threads=False,
                encoding=self._encoding,
                block_size=max(1 << 20, min(len(data) + 1, (1 << 31) - 1)),
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=self._delimiter,
                quote_char=self._quote or False,
                newlines_in_values=True,
                invalid_row_handler=on_invalid,
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=types,
                null_values=self._nulls,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _infer(self, data: bytes) -> dict[str, pa.DataType]:
        if not data.strip():
            return dict.fromkeys(self._names, pa.string())
        text_only = dict.fromkeys(self._names, pa.string())
        try:
            self._read(data, text_only, [])
        except (pa.ArrowException, UnicodeError):  # a bad byte somewhere: guess without it
            data = data.decode(self._encoding, errors="ignore").encode(self._encoding)
        try:
            text = self._read(data, text_only, [])
            guessed = self._read(data, None, []).schema
        except (pa.ArrowException, UnicodeError):
            return text_only
        types: dict[str, pa.DataType] = {}
        for item in guessed:
            kind = item.type
            if pa.types.is_null(kind) or pa.types.is_time(kind) or pa.types.is_binary(kind):
                kind = pa.string()
            elif pa.types.is_integer(kind):
                zeros = pc.any(pc.match_substring_regex(text[item.name], r"^[+-]?0\d")).as_py()
                kind = pa.string() if zeros else pa.int64()
            elif pa.types.is_floating(kind):
                # 18- and 20-digit numbers are labels, not measurements: a float would lose digits
                labels = pc.any(
                    pc.match_substring_regex(text[item.name], r"^[+-]?(0\d|\d{16,}$)")
                ).as_py()
                kind = pa.string() if labels else pa.float64()
            types[item.name] = kind
        return types

    def _chunk(self, block: Block) -> Chunk:
        bad: list[pcsv.InvalidRow] = []
        rejects: list[Reject] = []
        try:
            table = self._read(block.data, self._types, bad)
        except (pa.ArrowException, UnicodeError):
            bad.clear()
            table, rejects = self._as_text(block, bad)
        numbers = None
        if bad or table.num_rows != block.data.count(b"\n") or rejects:
            lines = self._record_lines(block)
            wrong = {row.number - 1 for row in bad if row.number is not None}
            refused = {reject.row for reject in rejects}
            rejects += [
                Reject(
                    lines[row.number - 1]
                    if row.number and row.number <= len(lines)
                    else block.first_line,
                    "wrong_field_count",
                    f"{row.actual_columns} fields where the header has {row.expected_columns}",
                    row.text[:_SHOWN],
                )
                for row in bad
            ]
            kept = [n for i, n in enumerate(lines) if i not in wrong and n not in refused]
            if len(kept) != table.num_rows:  # the two parsers disagree on quoting: count records
                kept = list(range(block.first_line, block.first_line + table.num_rows))
            numbers = np.array(kept, np.int64)
        if numbers is None:
            numbers = np.arange(block.first_line, block.first_line + table.num_rows)
        table, numbers, misfits = self._conformed(table, numbers)
        rejects += misfits
        return Chunk(
            table,
            end=block.end,
            progress=block.progress,
            first_row=block.first_line,
            numbers=numbers,
            rejects=sorted(rejects, key=lambda r: r.row),
        )

    def _as_text(self, block: Block, bad: list[pcsv.InvalidRow]) -> tuple[pa.Table, list[Reject]]:
        """All columns as text, then each as its type where every value allows it."""
        rejects: list[Reject] = []
        data = block.data
        try:
            table = self._read(data, dict.fromkeys(self._names, pa.string()), bad)
        except (pa.ArrowException, UnicodeError):
            bad.clear()
            data, rejects = self._without_bad_text(block)
            table = self._read(data, dict.fromkeys(self._names, pa.string()), bad)
            bad.clear()  # row numbers no longer fit; such lines were refused above
        for place, name in enumerate(self._names):
            try:
                column = pc.cast(table.column(place), self._types[name])
            except pa.ArrowException:
                continue
            table = table.set_column(place, name, column)
        return table, rejects

    def _conformed(self, table: pa.Table, numbers: Any) -> tuple[pa.Table, Any, list[Reject]]:
        """Values that are not of their column's type are cast one by one, or their row refused."""
        source = table
        told: dict[int, str] = {}
        for place, name in enumerate(self._names):
            wanted = self._types[name]
            column = table.column(place)
            if column.type == wanted:
                continue
            if pa.types.is_temporal(wanted):
                array = _times_one_by_one(column, wanted, name, told)
            else:
                array = typed_column(column.to_pylist(), wanted, name, told)
            table = table.set_column(place, name, array)
        if not told:
            return table, numbers, []
        rejects = []
        for index, message in sorted(told.items()):
            number = int(numbers[index])
            rejects.append(Reject(number, "type_mismatch", message, row_values(source, index)))
        keep = np.ones(table.num_rows, bool)
        keep[list(told)] = False
        return table.filter(pa.array(keep)), numbers[keep], rejects

    def _without_bad_text(self, block: Block) -> tuple[bytes, list[Reject]]:
        good, rejects = [], []
        fields = len(self._names)
        for number, record in _records(block, self._quote.encode()):
            reason = None
            try:
                row: list[str] = next(self._fields(record.decode(self._encoding)), [])
                if row and len(row) != fields:
                    reason, message = (
                        "wrong_field_count",
                        f"{len(row)} fields where the header has {fields}",
                    )
            except UnicodeError:
                reason, message = "bad_utf8", f"the line is not {self._encoding}; see --encoding"
            except csv.Error as error:
                reason, message = "bad_csv", str(error)
            if reason is None:
                good.append(record)
                continue
            shown = record[:_SHOWN].decode(self._encoding, errors="replace").rstrip("\r\n")
            rejects.append(Reject(number, reason, message, shown))
        return b"".join(good), rejects

    def _record_lines(self, block: Block) -> list[int]:
        """Line number at which each record of the block starts."""
        text = block.data.decode(self._encoding, errors="replace")
        lines: list[int] = []
        reader = self._fields(text)
        start = 0
        try:
            for row in reader:
                if row:
                    lines.append(block.first_line + start)
                start = reader.line_num
        except csv.Error:
            return []
        return lines


def _check_text(data: bytes) -> None:
    """Raises ArrowInvalid for what is no UTF-8: Arrow's parser complains to standard error of such
    lines when they also have a wrong number of fields.
    """
    bounds = pa.py_buffer(np.array([0, len(data)], np.int64).tobytes())
    text = pa.LargeStringArray.from_buffers(1, bounds, pa.py_buffer(data))
    text.validate(full=True)


def _records(block: Block, quote: bytes) -> Iterator[tuple[int, bytes]]:
    """Line number and bytes of each record; a quoted field may hold line ends."""
    held, first, number = b"", block.first_line, block.first_line
    for line in block.data.splitlines(keepends=True):
        held += line
        number += line.endswith(b"\n")
        if not quote or held.count(quote) % 2 == 0 or len(held) > _LONGEST_RECORD:
            yield first, held
            held, first = b"", number
    if held:
        yield first, held


def _times_one_by_one(
    column: pa.ChunkedArray, wanted: pa.DataType, name: str, told: dict[int, str]
) -> pa.Array:
    done: list[Any] = []
    for index, text in enumerate(column.to_pylist()):
        value = None
        if text is not None:
            try:
                value = pc.cast(pa.array([text]), wanted)[0]
            except pa.ArrowException:
                told.setdefault(index, f"{name!r} is {wanted} here: {text!r} is not")
        done.append(pa.scalar(None, wanted) if value is None else value)
    return pa.array(done, wanted)


def _header_length(data: bytes, quote: bytes) -> int:
    end, quotes = 0, 0
    while True:
        stop = data.find(b"\n", end) + 1 or len(data)
        quotes += data.count(quote, end, stop) if quote else 0
        end = stop
        if quotes % 2 == 0 or end >= len(data):
            return end


def _header(path: Path, fields: list[str]) -> list[str]:
    names = [name.strip() for name in fields]
    if not any(names):
        raise InvalidInput(f"{path}: the first line holds no column names")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"{path}: the header names {', '.join(map(repr, twice))} more than once")
    return [name or f"column_{place + 1}" for place, name in enumerate(names)]
