"""Reading a project back out as Arrow tables: every event as it is stored, or every user's profile.

Streams one run at a time, so memory is bounded by the largest run (one event of one shard and
month). All tables of one read have one schema: ``event, time, user_id, device_id`` and a column a
property; a property of one of these four names is called ``properties.NAME``. Reads a pinned view:
what happens meanwhile does not show. Order: shard, partition, then event, user and time within it.
Complexity: O(rows · properties of the project).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS, UNSET_LIST, USER_PREFIX
from zuji.engine.query.users import user_column
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.engine.engine import Engine
    from zuji.engine.query.view import View
    from zuji.engine.storage.source import Run
    from zuji.engine.types import U32

SYSTEM = ("event", "time", "user_id", "device_id")
_INSTANT = pa.timestamp("ms", "UTC")
_TEXT = pa.dictionary(pa.int32(), pa.string())
ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.DATETIME: _INSTANT,
    Kind.STRING: _TEXT,
    Kind.LIST: pa.list_(pa.string()),
}


def column_name(prop: str) -> str:
    """Name of a property's column."""
    return f"properties.{prop}" if prop in SYSTEM else prop


def event_schema(engine: Engine, events: Sequence[str] | None = None) -> pa.Schema:
    """Schema of :func:`read_events`; only properties that one of ``events`` has."""
    return _schema(engine._pin(), events)


def read_events(
    engine: Engine,
    events: Sequence[str] | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> Iterator[pa.Table]:
    """Tables of events. ``events``: names (None = all); ``[from_ms, to_ms)`` UTC, open where None.

    Raises:
        Corruption: a page fails its checksum.
    """
    view = engine._pin()
    schema = _schema(view, events)
    for shard, sources in enumerate(view.sources):
        for source in sources:
            for name, run in source.runs.items():
                if name in PROFILE_EVENTS or (events is not None and name not in events):
                    continue
                if (from_ms is not None and run.max_ms < from_ms) or (
                    to_ms is not None and run.min_ms >= to_ms
                ):
                    continue
                table = _run_table(view, shard, run, schema, from_ms, to_ms)
                if table.num_rows:
                    yield table


def read_profiles(engine: Engine) -> Iterator[pa.Table]:
    """Tables of users that have a property: ``user_id, device_id`` and a column a user property."""
    view = engine._pin()
    props = _user_props(view)
    for shard in range(view.shards):
        found = {name: user_column(view, shard, name) for name in props}
        having = np.zeros(view.users[shard], np.uint8)
        for column in found.values():
            if column is not None:
                having |= 1 if column.present is None else column.present
        rows = np.flatnonzero(having).astype(np.int64)
        if not len(rows):
            continue
        users, devices = ids_of(view, shard, rows.astype(np.uint32))
        columns: list[Any] = [users, devices]
        for name, kind in props.items():
            column = found[name]
            columns.append(
                pa.nulls(len(rows), ARROW_TYPES[kind])
                if column is None
                else arrow_array(column, rows)
            )
        yield pa.Table.from_arrays(columns, schema=profile_schema(engine))


def profile_schema(engine: Engine) -> pa.Schema:
    """Schema of :func:`read_profiles`."""
    fields: list[tuple[str, pa.DataType]] = [("user_id", pa.string()), ("device_id", pa.string())]
    fields += [(column_name(n), ARROW_TYPES[k]) for n, k in _user_props(engine._pin()).items()]
    return pa.schema(fields)


def _user_props(view: View) -> dict[str, Kind]:
    catalog = view.catalog
    return {
        stored.removeprefix(USER_PREFIX): Kind(kind)
        for stored, kind in zip(catalog.props, catalog.kinds, strict=True)
        if stored.startswith(USER_PREFIX) and stored != UNSET_LIST
    }


def _schema(view: View, events: Sequence[str] | None) -> pa.Schema:
    catalog = view.catalog
    fields: list[tuple[str, pa.DataType]] = [
        ("event", _TEXT),
        ("time", _INSTANT),
        ("user_id", pa.string()),
        ("device_id", pa.string()),
    ]
    for stored, kind in zip(catalog.props, catalog.kinds, strict=True):
        if stored.startswith(USER_PREFIX) or stored == DEVICE_ID:
            continue
        if events is None or not set(events).isdisjoint(catalog.events_of(stored)):
            fields.append((column_name(stored), ARROW_TYPES[Kind(kind)]))
    return pa.schema(fields)


def _run_table(
    view: View, shard: int, run: Run, schema: pa.Schema, from_ms: int | None, to_ms: int | None
) -> pa.Table:
    times = run.times().astype(np.int64) + run.base_ms
    keep = np.ones(len(times), bool)
    if from_ms is not None:
        keep &= times >= from_ms
    if to_ms is not None:
        keep &= times < to_ms
    rows = np.flatnonzero(keep)
    ordinals, offsets = run.users()
    users, devices = ids_of(view, shard, ordinals)
    of_row = np.repeat(np.arange(len(ordinals)), np.diff(offsets).astype(np.int64))[rows]
    device_of_row = devices.take(pa.array(of_row))
    raw = run.column(DEVICE_ID)
    if raw is not None:
        device_of_row = pc.coalesce(arrow_array(raw, rows).cast(pa.string()), device_of_row)
    event = pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), [run.event])
    columns: list[Any] = [
        event,
        pa.array(times[rows], _INSTANT),
        users.take(pa.array(of_row)),
        device_of_row,
    ]
    for item in list(schema)[len(SYSTEM) :]:
        column = run.column(
            item.name.removeprefix("properties.") if _is_system(item.name) else item.name
        )
        columns.append(
            pa.nulls(len(rows), item.type) if column is None else arrow_array(column, rows)
        )
    return pa.Table.from_arrays(columns, schema=schema)


def _is_system(name: str) -> bool:
    return name.startswith("properties.") and name.removeprefix("properties.") in SYSTEM


def ids_of(view: View, shard: int, ordinals: U32) -> tuple[pa.Array, pa.Array]:
    """user ids and device ids of ordinals."""
    pairs = view.names(shard, ordinals)
    return pa.array([u for u, _ in pairs], pa.string()), pa.array(
        [d for _, d in pairs], pa.string()
    )


def arrow_column(column: Column | None, rows: Any, kind: pa.DataType) -> pa.Array:
    """The ``rows`` of a column as Arrow; nulls of the type where there is none."""
    return pa.nulls(len(rows), kind) if column is None else arrow_array(column, rows)


def arrow_array(column: Column, rows: Any) -> pa.Array:
    """The ``rows`` of a column as Arrow."""
    if column.kind == Kind.LIST:
        assert column.offsets is not None
        texts = list(column.dictionary or ())
        present = column.present
        return pa.array(
            [
                [texts[c] for c in column.values[column.offsets[r] : column.offsets[r + 1]]]
                if present is None or present[r]
                else None
                for r in rows.tolist()
            ],
            pa.list_(pa.string()),
        )
    values = column.values[rows]
    absent = None if column.present is None else column.present[rows] == 0
    if column.kind == Kind.STRING:
        texts = pa.array(list(column.dictionary or ()), pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int32), mask=absent), texts)
    if column.kind == Kind.BOOL:
        return pa.array(values.astype(bool), mask=absent)
    return pa.array(values, ARROW_TYPES[column.kind], mask=absent)
