"""What every reader gives: chunks of Arrow rows with their place in the file.

A *position* is an integer that only grows and only the reader understands: rows for Parquet,
bytes after decompression for CSV and JSON lines. Reading from a position that a chunk ended at
gives exactly the rows after that chunk. A *row number* is what is shown to people: 1-based, the
line in the file for text formats, the row for Parquet.
Thread-safety: a reader and its iterators belong to one thread at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from zuji.server.importer.changes import Change


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not taken in. ``reason`` is a stable word, ``values`` the row as read."""

    row: int
    reason: str
    message: str
    values: Any = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows. ``end`` is the position after them, ``progress`` bytes of the file.

    ``numbers`` holds the row number of each row of ``table``; None means that they are
    consecutive from ``first_row``. Rows that could not even be parsed are in ``rejects``;
    ``skipped`` counts those that the user wants left out. ``changes`` are lines that are not rows.
    """

    table: pa.Table
    end: int
    progress: int
    first_row: int
    numbers: npt.NDArray[np.int64] | None = None
    rejects: list[Reject] = field(default_factory=list)
    skipped: int = 0
    changes: list[Change] = field(default_factory=list)

    def row_number(self, index: int) -> int:
        """Row number of the ``index``-th row of the table."""
        return self.first_row + index if self.numbers is None else int(self.numbers[index])


def row_values(table: pa.Table, index: int) -> dict[str, Any]:
    """One row for people, without its empty cells."""
    row: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        value = column[index]
        if pa.types.is_timestamp(value.type) and value.type.unit == "ns":
            value = pc.cast(value, pa.timestamp("us", value.type.tz), safe=False)
        if value.is_valid:
            row[name] = value.as_py()
    return row


class Reader(Protocol):
    """A source file."""

    path: Path
    kind: str
    size_bytes: int
    rows_known: int | None
    list_separator: str | None
    """Between the items of a list in one text; None where lists are values of their own."""

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns in file order with the type they are read as; nested ones are flattened."""

    def retype(self, types: dict[str, pa.DataType]) -> None:
        """Reads these columns as the given types from now on; readers of typed files ignore it."""

    def only(self, columns: set[str]) -> None:
        """Other columns need not be read from now on."""

    def in_parcels(self) -> None:
        """Chunks are to be such that parcels can be made of them, from now on."""

    def chunks(self, position: int = 0) -> Iterator[Chunk]:
        """Chunks from a position that an earlier chunk ended at (0 = the start)."""
