"""Rows of the engine's table as native events: what goes to a collector, and items.

Columns become events natively, as those of a columnar batch that a collector gets. Bulk loading
into an engine does not come here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pyarrow as pa

from zuji.engine.batch._decode import count_items
from zuji.engine.errors import InvalidInput
from zuji.server.importer.normalise import (
    DEVICE,
    EVENT,
    INSERT_ID,
    ITEM_ID,
    ITEM_TYPE,
    SYSTEM,
    TIME,
    USER,
)
from zuji.server.importer.parcels import Packed
from zuji.server.importer.readers.base import Reject, row_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from zuji.server.importer.mapping import Resolved, RowKind

_MOST_BYTES = 1 << 30
"""Of the events of a chunk; chunks of parcels are a megabyte of text, or 262,144 rows."""
_PART = {
    EVENT: "event",
    USER: "user_id",
    DEVICE: "device_id",
    INSERT_ID: "insert_id",
}
_TYPE: dict[RowKind, str] = {
    "event": "track",
    "signup": "track",
    "profile": "profile_set",
    "item": "item_set",
}


def packed_rows(
    table: pa.Table,
    numbers: npt.NDArray[np.int64],
    resolved: Resolved,
    kind: RowKind,
    now_ms: int,
    source: pa.Table,
    places: npt.NDArray[np.int64],
    rejects: list[Reject],
) -> Iterator[Packed]:
    """Native events of the rows of ``table``.

    ``source`` and ``places``: the table as read, and the index in it of each row, for messages.
    Items without an id or a type are added to ``rejects``.
    """
    if not table.num_rows:
        return
    show = _Shown(source, numbers, places)
    if kind == "item":
        for number, raw in zip(numbers.tolist(), _items(table, now_ms), strict=True):
            if raw is None:
                message = "an item has an item_id and an item_type"
                rejects.append(Reject(number, "missing_id", message, show(number)))
            else:
                yield Packed(number, raw, count_items(raw), show)
        return
    data, ends, items = _packed(_batch(table, resolved, kind, now_ms))
    ordered = kind == "profile"
    start = 0
    for number, end, its in zip(numbers.tolist(), ends.tolist(), items.tolist(), strict=True):
        yield Packed(number, data[start:end], its, show, ordered=ordered)
        start = end


def _batch(table: pa.Table, resolved: Resolved, kind: RowKind, now_ms: int) -> pa.RecordBatch:
    """The rows in the columns of a columnar batch (docs/server.md)."""
    rows = table.num_rows
    columns: dict[str, Any] = {"type": pa.repeat(_TYPE[kind], rows)}
    columns["time_free"] = pa.repeat(True, rows)
    if resolved.event_name is not None and kind != "profile":
        columns["event"] = pa.repeat(resolved.event_name, rows)
    for name, part in _PART.items():
        if name in table.column_names:
            columns[part] = table[name]
    if TIME in table.column_names:
        columns["time"] = table[TIME].cast(pa.int64())
        if kind == "profile":
            columns["time"] = columns["time"].fill_null(now_ms)
    elif kind == "profile":
        columns["time"] = pa.repeat(now_ms, rows)
    names = [name for name in table.column_names if name not in SYSTEM]
    plain = {name: _one(column) for name, column in columns.items()}
    if names:
        properties = [_one(table[name]) for name in names]
        plain["properties"] = pa.StructArray.from_arrays(properties, names)
    return pa.RecordBatch.from_pydict(plain)


def _packed(batch: pa.RecordBatch) -> tuple[bytes, Any, Any]:
    """Events end to end, where each ends, the msgpack values of each; as the collector does it.

    :raises InvalidInput: what the server needs is not installed.
    """
    try:
        from zuji.server.protocols.columnar import packed_rows as of_collector
    except ImportError as error:
        raise InvalidInput(
            f"sending needs the parts of the server ({error}): pip install 'zuji[server]'"
        ) from error
    return of_collector(batch, _MOST_BYTES)


def _one(column: Any) -> pa.Array:
    """A column in one piece; lists without the nulls in them."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
    if pa.types.is_list(column.type) and column.values.null_count:
        lists = [None if v is None else [x for x in v if x is not None] for v in column.to_pylist()]
        column = pa.array(lists, column.type)
    return column


def _items(table: pa.Table, now_ms: int) -> Iterator[bytes | None]:
    """Records of items (docs/format/batch.md); None where one lacks an id or a type."""
    names = [name for name in table.column_names if name not in SYSTEM]
    for row in table.to_pylist():
        if not (row[ITEM_ID] and row[ITEM_TYPE]):
            yield None
            continue
        time = row.get(TIME)
        yield msgpack.packb(
            {
                "type": _TYPE["item"],
                "time": now_ms if time is None else time,
                "item_type": row[ITEM_TYPE],
                "item_id": row[ITEM_ID],
                "properties": {name: row[name] for name in names if row[name] is not None},
            },
            datetime=True,
            default=_plain,
        )


def _plain(value: Any) -> Any:
    """A value that msgpack does not carry: a date at midnight UTC, a datetime without a zone as one
    of UTC, any other as text.
    """
    if isinstance(value, datetime):
        return msgpack.Timestamp.from_datetime(value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return msgpack.Timestamp.from_datetime(datetime(*value.timetuple()[:3], tzinfo=UTC))
    return float(value) if isinstance(value, Decimal) else str(value)


class _Shown:
    """The values of a row, by its number."""

    def __init__(
        self,
        source: pa.Table,
        numbers: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
    ) -> None:
        self._of = (source, numbers, places)

    def __call__(self, number: int) -> Any:
        source, numbers, places = self._of
        return row_values(source, int(places[np.searchsorted(numbers, number)]))
