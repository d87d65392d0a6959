"""The tables of a statement as Arrow datasets, so that filters and columns reach the engine.

Each run (one event of one source) is known to Arrow by what all of its rows have in common: the
event's name and a span of time. Arrow's own simplification of filters tells which runs cannot
matter; of the others only the columns that are named are decoded, run by run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from zuji.engine.export import ARROW_TYPES, SYSTEM, arrow_array, arrow_column, ids_of
from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS, UNSET_LIST, USER_PREFIX
from zuji.engine.query.filter_ast import properties_of
from zuji.engine.query.kernels._events import expand_users
from zuji.engine.query.plan import RunRef
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.users import user_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.engine.query.context import Context
    from zuji.engine.query.scope import Scope
    from zuji.engine.query.view import View

USER_KEY = "user_key"
"""One number a user, the same in both tables of one statement."""
_INSTANT = pa.timestamp("ms", "UTC")
_TEXT = pa.dictionary(pa.int32(), pa.string())
_KEY_SHIFT = 32
_TAKEN = frozenset((*SYSTEM, USER_KEY))
_PREFIX = "properties."
_FORMAT = ds.IpcFileFormat()
_FILES = LocalFileSystem()


class Table(ds.Dataset):  # type: ignore[misc]
    """A dataset whose scans are made by the engine. ``schema``: all of its columns."""

    def __init__(self, view: View, scope: Scope | None, context: Context) -> None:
        self.view, self.scope, self.context = view, scope, context
        self._schema = self._columns()

    @property
    def schema(self) -> pa.Schema:
        """All columns that the caller may use."""
        return self._schema

    def scanner(
        self, columns: Sequence[str] | None = None, filter: Any = None, **_options: Any
    ) -> ds.Scanner:
        """Rows that pass, of these columns."""
        wanted = list(self._schema.names if columns is None else columns)
        read = list(dict.fromkeys([*wanted, *_named(filter, self._schema.names)]))
        schema = pa.schema([self._schema.field(name) for name in read])
        batches = self._batches(schema, filter)
        return ds.Scanner.from_batches(batches, schema=schema, columns=wanted, filter=filter)

    def _columns(self) -> pa.Schema:
        raise NotImplementedError

    def _batches(self, schema: pa.Schema, condition: Any) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def _may(self, p: str) -> bool:
        if self.scope is None:
            return True
        return self.scope.masked.isdisjoint(self.view.definitions.closure(p))


def fitting(schema: pa.Schema, condition: Any, facts: Sequence[Any]) -> list[int]:
    """Places of the parts of a table in which a row may pass a filter. ``facts``: what all rows of
    each have in common.
    """
    if condition is None or not facts:
        return list(range(len(facts)))
    fragments = [_FORMAT.make_fragment(str(i), _FILES, fact) for i, fact in enumerate(facts)]
    known = ds.FileSystemDataset(fragments, schema, _FORMAT, _FILES)
    return sorted(int(one.path) for one in known.get_fragments(filter=condition))


def _named(condition: Any, names: list[str]) -> list[str]:
    """Columns that a filter may read: those whose name stands in its text."""
    if condition is None:
        return []
    text = str(condition)
    plain = re.sub(r"\\(.)", r"\1", text)  # as Arrow escapes dots and brackets
    return [name for name in names if name in text or name in plain]


class Events(Table):
    """A row an event."""

    def _columns(self) -> pa.Schema:
        catalog, virtual = self.view.catalog, self.view.definitions.properties
        fields: list[tuple[str, pa.DataType]] = [
            ("event", _TEXT),
            ("time", _INSTANT),
            ("user_id", pa.string()),
            ("device_id", pa.string()),
            (USER_KEY, pa.int64()),
        ]
        stored = {
            name: kind
            for name, kind in zip(catalog.props, catalog.kinds, strict=True)
            if not name.startswith(USER_PREFIX) and name != DEVICE_ID
        }
        made = {p[6:]: one.kind for p, one in virtual.items() if p.startswith("event.")}
        for name, kind in {**stored, **made}.items():
            if self._may(f"event.{name}"):
                fields.append((column_name(name), ARROW_TYPES[kind]))
        return pa.schema(fields)

    def _batches(self, schema: pa.Schema, condition: Any) -> Iterator[pa.RecordBatch]:
        for ref in self._runs(condition):
            self.context.check()
            held = self.context.charged
            reader = ShardReader(self.view, ref.shard, self.context)
            batch = self._batch(reader, ref, schema)
            self.context.read(ref.run.rows, 0)
            if batch.num_rows:
                yield batch
            self.context.release(self.context.charged - held)

    def _runs(self, condition: Any) -> list[RunRef]:
        """Runs in which a row may pass the filter."""
        refs = [
            RunRef(shard, source, run, inside=True)
            for shard, sources in enumerate(self.view.sources)
            for source in sources
            for name, run in source.runs.items()
            if name not in PROFILE_EVENTS
        ]
        event, time = ds.field("event"), ds.field("time")
        facts = [
            (event == ref.run.event)
            & (time >= pa.scalar(ref.run.min_ms, _INSTANT))
            & (time <= pa.scalar(ref.run.max_ms, _INSTANT))
            for ref in refs
        ]
        return [refs[at] for at in fitting(self._schema, condition, facts)]

    def _batch(self, reader: ShardReader, ref: RunRef, schema: pa.Schema) -> pa.RecordBatch:
        run, rows = ref.run, np.arange(ref.run.rows)
        if self.scope is not None and self.scope.where is not None:
            mask = reader.mask(ref, self.scope.where)
            if mask is False:
                rows = rows[:0]
            elif mask is not True:
                rows = np.flatnonzero(mask)
        lane = reader.lane(ref)
        columns = []
        for field in schema:
            if field.name == "event":
                codes = np.zeros(len(rows), np.int32)
                column: Any = pa.DictionaryArray.from_arrays(codes, [run.event])
            elif field.name == "time":
                column = pa.array((lane.times.astype(np.int64) + run.base_ms)[rows], _INSTANT)
            elif field.name in ("user_id", "device_id"):
                column = self._ids(reader, ref, field.name, rows)
            elif field.name == USER_KEY:
                users = expand_users(lane.users, lane.offsets, np.arange(reader.users))
                column = pa.array(key_of(ref.shard, users[rows]))
            else:
                found = reader.column(ref, f"event.{property_name(field.name)}")
                column = arrow_column(found, rows, field.type)
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _ids(self, reader: ShardReader, ref: RunRef, name: str, rows: Any) -> pa.Array:
        lane = reader.lane(ref)
        users, devices = ids_of(self.view, ref.shard, lane.users)
        of_row = np.repeat(np.arange(len(lane.users)), np.diff(lane.offsets).astype(np.int64))[rows]
        if name == "user_id":
            return users.take(pa.array(of_row))
        own = devices.take(pa.array(of_row))
        raw = ref.run.column(DEVICE_ID)
        return own if raw is None else pc.coalesce(arrow_array(raw, rows).cast(pa.string()), own)


class Users(Table):
    """A row a user, with the profile as it is now."""

    def _columns(self) -> pa.Schema:
        fields: list[tuple[str, pa.DataType]] = [
            ("user_id", pa.string()),
            ("device_id", pa.string()),
            (USER_KEY, pa.int64()),
        ]
        catalog = self.view.catalog
        kinds = {
            name.removeprefix(USER_PREFIX): kind
            for name, kind in zip(catalog.props, catalog.kinds, strict=True)
            if name.startswith(USER_PREFIX) and name != UNSET_LIST
        }
        virtual = self.view.definitions.properties
        kinds |= {p[5:]: one.kind for p, one in virtual.items() if p.startswith("user.")}
        for name, kind in kinds.items():
            if self._may(f"user.{name}"):
                fields.append((column_name(name), ARROW_TYPES[kind]))
        return pa.schema(fields)

    def _batches(self, schema: pa.Schema, _condition: Any) -> Iterator[pa.RecordBatch]:
        for shard in range(self.view.shards):
            self.context.check()
            rows = self.visible(shard)
            users, devices = ids_of(self.view, shard, rows.astype(np.uint32))
            columns = []
            for field in schema:
                if field.name in ("user_id", "device_id"):
                    column: Any = users if field.name == "user_id" else devices
                elif field.name == USER_KEY:
                    column = pa.array(key_of(shard, rows))
                else:
                    found = user_column(self.view, shard, property_name(field.name))
                    column = arrow_column(found, rows, field.type)
                columns.append(column)
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def visible(self, shard: int) -> Any:
        """Ordinals of the users that the caller may see."""
        reader = ShardReader(self.view, shard, self.context)
        where = None if self.scope is None else self.scope.where
        rows: Any = np.arange(reader.users)
        if where is not None:
            # Rows of events decide who belongs to a caller, unless profiles alone do.
            of_users = all(p.startswith("user.") for p in properties_of(where))
            rows = np.flatnonzero(reader.user_mask(where)) if of_users else self._seen(reader)
        return np.setdiff1d(rows, self.view.nobody(shard), assume_unique=True)

    def _seen(self, reader: ShardReader) -> Any:
        """Users with an event that the caller may see."""
        assert self.scope is not None
        assert self.scope.where is not None
        seen = np.zeros(reader.users, bool)
        for source in self.view.sources[reader.shard]:
            for name, run in source.runs.items():
                if name in PROFILE_EVENTS:
                    continue
                ref = RunRef(reader.shard, source, run, inside=True)
                mask = reader.mask(ref, self.scope.where)
                lane = reader.lane(ref)
                if mask is False:
                    continue
                of_row = np.repeat(lane.users, np.diff(lane.offsets).astype(np.int64))
                seen[of_row if mask is True else of_row[mask.astype(bool)]] = True
        return np.flatnonzero(seen)


def column_name(name: str) -> str:
    """Name of a property's column."""
    return f"{_PREFIX}{name}" if name in _TAKEN else name


def property_name(column: str) -> str:
    """The inverse."""
    name = column.removeprefix(_PREFIX)
    return name if name in _TAKEN else column


def key_of(shard: int, ordinals: Any) -> Any:
    return ordinals.astype(np.int64) + (shard << _KEY_SHIFT)
