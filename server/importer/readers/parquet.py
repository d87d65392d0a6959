"""Parquet files: record batches with dictionaries kept, so that strings are never copied.

Position = rows. Skipping uses the row-group sizes of the file's footer. Row groups are read one
at a time, columns on Arrow's threads.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from zuji.engine.errors import InvalidInput
from zuji.server.importer.readers.base import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK_ROWS = 262_144


class ParquetReader:
    """Reads one Parquet file."""

    kind = "Parquet"
    list_separator: str | None = None

    def __init__(self, path: Path, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size
        self._chunk_rows = chunk_rows
        self._aligned = False
        self._wanted: list[str] | None = None
        try:
            plain = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(
                f"{path}: not a readable Parquet file: {_first_line(error)}"
            ) from error
        self.rows_known: int | None = plain.metadata.num_rows
        self._row_bytes = self.size_bytes / max(1, plain.metadata.num_rows)
        schema = plain.schema_arrow
        strings = [
            f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        plain.close()
        self._file = pq.ParquetFile(path, read_dictionary=strings)
        self._schema = flat_schema(self._file.schema_arrow)

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the footer's schema."""
        return dict(self._schema)

    def retype(self, types: dict[str, pa.DataType]) -> None:
        """A Parquet file has its types; casts happen afterwards."""

    def only(self, columns: set[str]) -> None:
        """Reads just these columns from now on (top-level names of flattened ones)."""
        top = [f.name for f in self._file.schema_arrow]
        self._wanted = [
            n for n in top if n in columns or any(c.startswith(n + ".") for c in columns)
        ]

    def in_parcels(self) -> None:
        """Makes chunks that are the same from whichever of their ends reading goes on."""
        self._aligned = True

    def chunks(self, position: int = 0) -> Iterator[Chunk]:
        """Chunks from row ``position``."""
        metadata = self._file.metadata
        first, skip = 0, 0
        groups: list[int] = []
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if first + rows > position:
                if not groups:
                    skip = position - first
                groups.append(group)
            first += rows
        row = position - skip
        if not groups:
            return
        batches = chain.from_iterable(
            self._file.iter_batches(
                batch_size=self._chunk_rows, row_groups=part, columns=self._wanted, use_threads=True
            )
            for part in ([[group] for group in groups] if self._aligned else [groups])
        )
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise InvalidInput(
                    f"{self.path}: damaged Parquet data after row {row:,}: {_first_line(error)}"
                ) from error
            if batch is None:
                return
            start, row = row, row + batch.num_rows
            if row <= position:
                continue
            if start < position:
                batch, start = batch.slice(position - start), position
            table = flatten(pa.Table.from_batches([batch]))
            yield Chunk(table, end=row, progress=int(row * self._row_bytes), first_row=start + 1)


def flat_schema(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Names and types with structs opened: ``properties.x`` and ``a.b``."""
    found: list[tuple[str, pa.DataType]] = []
    for item in schema:
        if pa.types.is_struct(item.type):
            found += [
                (f"{item.name}.{name}", kind) for name, kind in flat_schema(pa.schema(item.type))
            ]
        else:
            found.append((item.name, item.type))
    return found


def flatten(table: pa.Table) -> pa.Table:
    """A table without struct columns."""
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    return table


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
