"""One type a column through a whole file of JSON lines, whose values carry types of their own.

The first type seen of a column holds (or the one that the project has for the property): other
values are cast by the engine's rules where nothing is lost, else their row is refused with
``type_mismatch``. Whole columns are cast natively where that means the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.casting import NotCastable, cast
from zuji.engine.types import Kind
from zuji.server.importer.readers.base import Reject, row_values

if TYPE_CHECKING:
    import numpy.typing as npt

TEXTS = pa.list_(pa.string())
_KIND_OF = {
    pa.bool_(): Kind.BOOL,
    pa.int64(): Kind.INT,
    pa.float64(): Kind.FLOAT,
    pa.string(): Kind.STRING,
    TEXTS: Kind.LIST,
}
_PYTHON: tuple[tuple[type, pa.DataType], ...] = (
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (str, pa.string()),
    (list, TEXTS),
)
_EXACT = {(pa.int64(), pa.string()), (pa.bool_(), pa.string()), (pa.int64(), pa.float64())}
"""Casts that Arrow does as the engine does."""


def conform(
    table: pa.Table, numbers: npt.NDArray[np.int64], types: dict[str, pa.DataType]
) -> tuple[pa.Table, npt.NDArray[np.int64], list[Reject]]:
    """``table`` with the columns as ``types`` says; new columns are added to ``types``.

    :returns: the table and row numbers without the rows that were refused, and these.
    """
    bad: dict[int, str] = {}
    source = table
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if pa.types.is_list(column.type) and column.type != TEXTS:
            column = _lists_of_text(column)
            table = table.set_column(place, name, column)
        kind = column.type
        if pa.types.is_null(kind):
            continue
        wanted = types.setdefault(name, kind)
        if wanted == kind or wanted not in _KIND_OF or kind not in _KIND_OF:
            continue
        array = _cast_whole(column, wanted)
        if array is None:
            array = typed_column(column.to_pylist(), wanted, name, bad)
        table = table.set_column(place, name, array)
    if not bad:
        return table, numbers, []
    rejects = [_refusal(source, numbers, index, message) for index, message in sorted(bad.items())]
    keep = np.ones(table.num_rows, bool)
    keep[list(bad)] = False
    return table.filter(pa.array(keep)), numbers[keep], rejects


def typed_column(
    values: list[Any], wanted: pa.DataType | None, name: str, bad: dict[int, str]
) -> pa.Array:
    """A column of Python values as ``wanted`` (None: as the first value's type).

    Values that cannot be cast become null and their index gets a message in ``bad``.
    """
    if wanted is None:
        first = next((v for v in values if v is not None), None)
        wanted = _type_of(first)
    kind = _KIND_OF.get(wanted)
    if kind is None:  # only nulls
        return pa.array(values, wanted)
    done: list[Any] = []
    for index, value in enumerate(values):
        sent = _KIND_OF.get(_type_of(value))
        if value is None or sent == kind != Kind.LIST:
            done.append(value)
            continue
        if sent is None:
            bad.setdefault(index, f"{name!r} is {kind.label} here: {type(value).__name__} is not")
            done.append(None)
            continue
        try:
            plain: Any = _texts(value) if sent == Kind.LIST else value
            done.append(cast(plain, sent, kind))
        except NotCastable as problem:
            bad.setdefault(index, f"{name!r} is {kind.label} here, sent as {sent.label}: {problem}")
            done.append(None)
    if kind == Kind.BOOL:
        done = [None if v is None else bool(v) for v in done]
    return pa.array(done, wanted)


def _type_of(value: Any) -> pa.DataType:
    return next((kind for python, kind in _PYTHON if isinstance(value, python)), pa.null())


def _texts(values: list[Any]) -> list[str]:
    """Items of a list as texts; anything but a string or a number has no place in a property."""
    if any(isinstance(v, list | dict) or v is None for v in values):
        raise NotCastable("a list holds only strings")
    return [
        v if isinstance(v, str) else str(v).lower() if isinstance(v, bool) else str(v)
        for v in values
    ]


def _cast_whole(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray | None:
    if (column.type, wanted) not in _EXACT:
        return None
    try:
        return pc.cast(column, wanted)
    except pa.ArrowException:
        return None


def _lists_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, TEXTS)
    except (pa.ArrowException, pa.ArrowNotImplementedError):
        return column


def _refusal(table: pa.Table, numbers: npt.NDArray[np.int64], index: int, message: str) -> Reject:
    return Reject(int(numbers[index]), "type_mismatch", message, row_values(table, index))
