"""A table as read becomes the table the engine takes: ids as text, times as ms, plain types.

System columns get the names ``$event $user $device $time $insert_id``, property columns the names
of their properties. A row whose time cannot be read is refused here (``bad_time``); everything
else is for the engine to judge, value by value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.server.importer.readers.base import Chunk, Reject

if TYPE_CHECKING:
    from zuji.server.importer.mapping import PropertyType, Resolved
    from zuji.server.importer.times import Clock

EVENT, USER, DEVICE, TIME, INSERT_ID = "$event", "$user", "$device", "$time", "$insert_id"

_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.string()),
}


def read_types(resolved: Resolved) -> dict[str, pa.DataType]:
    """Types that a text reader must use from the start: ids and names are text, never numbers."""
    ids = (resolved.event, resolved.user, resolved.device, resolved.insert_id)
    types: dict[str, pa.DataType] = dict.fromkeys((c for c in ids if c), pa.string())
    if resolved.time:
        types[resolved.time] = pa.string()
    for column, (_, wanted) in resolved.properties.items():
        if wanted == "datetime":
            types[column] = pa.string()
        elif wanted is not None and wanted != "list":
            types[column] = _ARROW[wanted]
    return types


class Normaliser:
    """Brings chunks of one file into the engine's form. Not thread-safe: the clock learns."""

    def __init__(self, resolved: Resolved, clock: Clock) -> None:
        self._resolved = resolved
        self._clock = clock
        self.unsupported: dict[str, str] = {}

    def table(
        self, chunk: Chunk
    ) -> tuple[pa.Table, list[int] | np.ndarray[Any, Any], list[Reject]]:
        """The engine's table, the row number of each of its rows, and rows refused here."""
        source, resolved = chunk.table, self._resolved
        rows = source.num_rows
        columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        system = (
            (EVENT, resolved.event),
            (USER, resolved.user),
            (DEVICE, resolved.device),
            (INSERT_ID, resolved.insert_id),
        )
        for name, column in system:
            if column is not None:
                columns[name] = _text(_get(source, column))
        rejects: list[Reject] = []
        keep: pa.Array | None = None
        if resolved.time is not None:
            raw = _get(source, resolved.time)
            columns[TIME] = self._clock.to_ms(raw)
            keep = pc.or_(pc.is_valid(columns[TIME]), pc.is_null(raw))
        for column, (name, wanted) in resolved.properties.items():
            if column in source.column_names:
                done = self._property(source.column(column), name, wanted)
                if done is not None:
                    columns[name] = done
        numbers = chunk.numbers
        if numbers is None:
            numbers = np.arange(chunk.first_row, chunk.first_row + rows, dtype=np.int64)
        table = pa.table(columns)
        if keep is not None and not pc.all(keep).as_py():
            bad = np.flatnonzero(
                ~np.asarray(_flat(keep).to_numpy(zero_copy_only=False), dtype=bool)
            )
            shown = _get(source, str(resolved.time))
            for index in bad:
                text = shown[int(index)].as_py()
                rejects.append(
                    Reject(
                        int(numbers[index]),
                        "bad_time",
                        f"{text!r} is not a time (see --time-format and --time-unit)",
                        row_values(source, int(index)),
                    )
                )
            table = table.filter(keep)
            numbers = np.delete(numbers, bad)
        return table, numbers, rejects

    def _property(
        self, column: pa.ChunkedArray, name: str, wanted: PropertyType | None
    ) -> pa.Array | pa.ChunkedArray | None:
        kind = column.type
        if wanted == "datetime":
            return _instants(self._clock.to_ms(column))
        if wanted is not None:
            cast = _try_cast(column, _ARROW[wanted])
            return column if cast is None else cast
        if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
            return column
        if _is_text(kind) or pa.types.is_boolean(kind) or kind in (pa.int64(), pa.float64()):
            return column
        if pa.types.is_null(kind):
            return None
        if pa.types.is_timestamp(kind):
            return _instants(self._clock.instants(_flat(column)))
        if pa.types.is_date(kind):
            return _instants(self._clock.instants(_flat(pc.cast(column, pa.timestamp("ms")))))
        if pa.types.is_integer(kind):
            cast = _try_cast(column, pa.int64())
            return pc.cast(column, pa.string()) if cast is None else cast
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return pc.cast(column, pa.float64(), safe=False)
        if pa.types.is_time(kind) or pa.types.is_dictionary(kind):
            cast = _try_cast(column, pa.string())
            if cast is not None:
                return cast
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            if pa.types.is_null(kind.value_type):
                return pc.cast(column, pa.list_(pa.string()))
            cast = _try_cast(column, pa.list_(pa.string()))
            if cast is not None:
                return cast
        self.unsupported[name] = str(kind)
        return None


def row_values(table: pa.Table, index: int) -> dict[str, Any]:
    """One row for people, without its empty cells."""
    row: dict[str, Any] = table.slice(index, 1).to_pylist()[0]
    return {k: v for k, v in row.items() if v is not None}


def _get(table: pa.Table, column: str) -> pa.ChunkedArray:
    """A column, or nulls where this block of JSON lines has none of it."""
    if column in table.column_names:
        return table.column(column)
    return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids and names as text: 123 and 123.0 are both "123"."""
    kind = column.type
    if _is_text(kind) or (pa.types.is_dictionary(kind) and _is_text(kind.value_type)):
        return column
    if pa.types.is_floating(kind):
        whole = _try_cast(column, pa.int64())
        column = column if whole is None else whole
    cast = _try_cast(column, pa.string())
    return pa.chunked_array([pa.nulls(len(column), pa.string())]) if cast is None else cast


def _try_cast(column: Any, kind: pa.DataType) -> Any:
    try:
        return pc.cast(column, kind)
    except (pa.ArrowException, pa.ArrowNotImplementedError):
        return None


def _instants(ms: pa.Array) -> pa.Array:
    return ms.view(pa.timestamp("ms", "UTC"))


def _flat(column: Any) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
