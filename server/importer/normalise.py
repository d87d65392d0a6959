"""A table as read becomes the table the engine takes: ids as text, times as ms, plain types.

System columns get the names ``$event $user $device $time $insert_id``, property columns the names
of their properties. A property has one type in all chunks of a file, so that tables can be joined;
rows whose value does not fit it are refused here (``type_mismatch``), as are rows whose time cannot
be read (``bad_time``). Everything else is for the engine to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.server.importer.readers.base import Chunk, Reject, row_values
from zuji.server.importer.readers.conform import TEXTS, typed_column
from zuji.server.importer.times import Clock

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.server.importer.mapping import PropertyType, Resolved

EVENT, USER, DEVICE, TIME, INSERT_ID = "$event", "$user", "$device", "$time", "$insert_id"
ITEM_ID, ITEM_TYPE = "$item_id", "$item_type"
SYSTEM = frozenset({EVENT, USER, DEVICE, TIME, INSERT_ID, ITEM_ID, ITEM_TYPE})


class Constants(NamedTuple):
    """What is the same in all rows. ``time_ms``: UTC."""

    user: str | None = None
    device: str | None = None
    time_ms: int | None = None
    list_separator: str | None = None


_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list": TEXTS,
}


def read_types(resolved: Resolved) -> dict[str, pa.DataType]:
    """Types that a text reader must use from the start: ids and names are text, never numbers."""
    ids = (resolved.event, resolved.user, resolved.device, resolved.insert_id)
    types: dict[str, pa.DataType] = dict.fromkeys(
        (c for c in (*ids, resolved.item_id, resolved.item_type) if c), pa.string()
    )
    if resolved.time:
        types[resolved.time] = pa.string()
    for column, (_, wanted) in resolved.properties.items():
        if wanted == "datetime":
            types[column] = pa.string()
        elif wanted is not None and wanted != "list":
            types[column] = _ARROW[wanted]
    return types


class Normaliser:
    """Brings chunks of one file into the engine's form. Not thread-safe: the clocks learn.
    ``resolved``: what the columns are; more may become known from chunk to chunk.
    """

    def __init__(self, resolved: Resolved, clock: Clock, same: Constants | None = None) -> None:
        self.resolved = resolved
        self._same = same or Constants()
        self.clock = clock
        self._clocks: dict[str, Clock] = {}
        self.unsupported: dict[str, str] = {}

    def table(self, chunk: Chunk) -> tuple[pa.Table, npt.NDArray[np.int64], list[Reject]]:
        """The engine's table, the row number of each of its rows, and rows refused here."""
        source, resolved = chunk.table, self.resolved
        columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        bad: dict[int, tuple[str, str]] = {}
        system = (
            (EVENT, resolved.event),
            (USER, resolved.user),
            (DEVICE, resolved.device),
            (INSERT_ID, resolved.insert_id),
            (ITEM_ID, resolved.item_id),
            (ITEM_TYPE, resolved.item_type),
        )
        for name, column in system:
            if column is not None:
                columns[name] = _text(_get(source, column))
        if resolved.time is not None:
            raw = _get(source, resolved.time)
            columns[TIME] = self.clock.to_ms(raw)
            for index in _lost(raw, columns[TIME]):
                said = f"{raw[index].as_py()!r} is not a time (see --time-format and --time-unit)"
                bad[index] = ("bad_time", said)
        self._add_constants(columns, source.num_rows)
        for column, (name, wanted) in resolved.properties.items():
            if column in source.column_names:
                done = self._property(source.column(column), name, wanted, bad)
                if done is not None:
                    columns[name] = done
        if resolved.kind == "signup":
            for name in (USER, DEVICE):
                message = f"a sign-up has both ids; {name[1:]} is missing"
                for place in np.flatnonzero(pc.is_null(_flat(columns[name])).to_numpy(False)):
                    bad.setdefault(int(place), ("missing_id", message))
        numbers = chunk.numbers
        if numbers is None:
            first = chunk.first_row
            numbers = np.arange(first, first + source.num_rows, dtype=np.int64)
        table = pa.table(columns)
        if not bad:
            return table, numbers, []
        rejects = [
            Reject(int(numbers[index]), reason, message, row_values(source, index))
            for index, (reason, message) in sorted(bad.items())
        ]
        keep = np.ones(source.num_rows, bool)
        keep[list(bad)] = False
        return table.filter(pa.array(keep)), numbers[keep], rejects

    def _add_constants(self, columns: dict[str, pa.Array | pa.ChunkedArray], rows: int) -> None:
        same = self._same
        for name, value, kind in (
            (USER, same.user, pa.string()),
            (DEVICE, same.device, pa.string()),
            (TIME, same.time_ms, pa.int64()),
        ):
            if value is not None and name not in columns:
                columns[name] = pa.chunked_array([pa.repeat(pa.scalar(value, kind), rows)])

    def _property(
        self,
        column: pa.ChunkedArray,
        name: str,
        wanted: PropertyType | None,
        bad: dict[int, tuple[str, str]],
    ) -> pa.Array | pa.ChunkedArray | None:
        """A property's column in one type for all chunks; None when it has no counterpart."""
        kind = column.type
        if pa.types.is_null(kind):
            return None
        if wanted == "datetime" and not pa.types.is_timestamp(kind) and not pa.types.is_date(kind):
            clock = self._clocks.setdefault(name, Clock(self.clock.tz))
            ms = clock.to_ms(column)
            for index in _lost(column, ms):
                said = f"{name!r} is datetime here: {column[index].as_py()!r} is not a time"
                bad.setdefault(index, ("type_mismatch", said))
            return _instants(ms)
        if pa.types.is_unsigned_integer(kind) and wanted is None:
            wanted = "int64"
        if wanted == "list" and self._same.list_separator and _is_text(kind):
            return pc.split_pattern(column, self._same.list_separator)
        if wanted is not None and wanted != "datetime":
            return _as_wanted(column, name, wanted, bad)
        return self._natural(column, name)

    def _natural(self, column: pa.ChunkedArray, name: str) -> pa.Array | pa.ChunkedArray | None:
        kind = column.type
        if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
            return column
        if _is_text(kind) or pa.types.is_boolean(kind) or kind in (pa.int64(), pa.float64()):
            return column
        if pa.types.is_timestamp(kind):
            return _instants(self.clock.instants(_flat(column)))
        if pa.types.is_date(kind):
            return _instants(self.clock.instants(_flat(pc.cast(column, pa.timestamp("ms")))))
        if pa.types.is_integer(kind):
            return pc.cast(column, pa.int64())
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return pc.cast(column, pa.float64(), safe=False)
        wanted = TEXTS if pa.types.is_list(kind) or pa.types.is_large_list(kind) else pa.string()
        cast = None if pa.types.is_binary(kind) else _try_cast(column, wanted)
        if cast is None:
            self.unsupported[name] = str(kind)
        return cast


def _as_wanted(
    column: pa.ChunkedArray, name: str, wanted: PropertyType, bad: dict[int, tuple[str, str]]
) -> Any:
    target = _ARROW[wanted]
    cast = _try_cast(column, target)
    if cast is not None:
        return cast
    told: dict[int, str] = {}
    array = typed_column(column.to_pylist(), target, name, told)
    for index, message in told.items():
        bad.setdefault(index, ("type_mismatch", message))
    return array


def _lost(raw: pa.ChunkedArray, done: Any) -> list[int]:
    """Indexes of values that became null."""
    if done.null_count == raw.null_count:
        return []
    mask = pc.and_(pc.is_null(_flat(done)), pc.is_valid(_flat(raw)))
    return [int(i) for i in np.flatnonzero(mask.to_numpy(zero_copy_only=False))]


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
