"""Rows of the engine's table as native events: what goes to a collector, and items.

One Python pass a row over columns that were turned into lists at once; bulk loading into an engine
does not come here.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgpack
import msgspec
import pyarrow as pa

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
from zuji.server.importer.parcels import Packed, kept_item
from zuji.server.importer.readers.base import Reject, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from zuji.server.importer.mapping import Resolved, RowKind

_JSON = msgspec.json.Encoder(enc_hook=lambda one: one.to_datetime().isoformat())
_PART = {
    EVENT: "event",
    USER: "user_id",
    DEVICE: "device_id",
    INSERT_ID: "insert_id",
    ITEM_ID: "item_id",
    ITEM_TYPE: "item_type",
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
    head = {"type": _TYPE[kind], "time_free": True}
    if resolved.event_name is not None and kind != "profile":
        head["event"] = resolved.event_name
    parts = [(_PART[name], table[name].to_pylist()) for name in _PART if name in table.column_names]
    times: Iterable[Any] = repeat(None, table.num_rows)
    if TIME in table.column_names:
        times = table[TIME].to_pylist()
    names = [name for name in table.column_names if name not in SYSTEM]
    columns = [_values(table[name]) for name in names]
    pack = msgpack.Packer(unicode_errors="surrogatepass").pack
    rows = zip(*columns, strict=True) if columns else repeat((), table.num_rows)
    for index, (time, values) in enumerate(zip(times, rows, strict=False)):
        number = int(numbers[index])
        record: dict[str, Any] = dict(head)
        record["time"] = now_ms if time is None and kind in ("profile", "item") else time
        for part, column in parts:
            if column[index] is not None:
                record[part] = column[index]
        if kind == "item" and not (record.get("item_id") and record.get("item_type")):
            message = "an item has an item_id and an item_type"
            values_ = row_values(source, int(places[index]))
            rejects.append(Reject(number, "missing_id", message, values_))
            continue
        properties = {n: v for n, v in zip(names, values, strict=True) if v is not None}
        record["properties"] = properties
        lists = sum(len(v) for v in properties.values() if type(v) is list)
        yield Packed(
            number,
            kept_item(_JSON.encode(record)) if kind == "item" else pack(record),
            1 + 2 * (len(record) + len(properties)) + lists,
            _show(source, int(places[index])),
            kept=kind == "item",
            ordered=kind == "profile",
        )


def _show(source: pa.Table, place: int) -> Callable[[], Any]:
    return lambda: row_values(source, place)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Values as msgpack has them: instants are timestamps of its own."""
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    ms = column.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_pylist()
    return [None if one is None else _instant(one) for one in ms]


def _instant(ms: int) -> msgpack.Timestamp:
    seconds, rest = divmod(ms, 1000)
    return msgpack.Timestamp(seconds, rest * 1_000_000)
