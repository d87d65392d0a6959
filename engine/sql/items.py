"""The table of items: a row an item of any type, as they are when the statement begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from zuji.engine.export import ARROW_TYPES, arrow_array
from zuji.engine.sql.tables import Table, fitting
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.items import FrozenItems
    from zuji.engine.items.table import FrozenProperty, FrozenTable
    from zuji.engine.query.context import Context
    from zuji.engine.query.scope import Scope
    from zuji.engine.query.view import View
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.types import I64

BATCH_ROWS: Final = 1 << 18
_OWN: Final = ("type", "id")
_PREFIX: Final = "properties."


class ItemsTable(Table):
    """``type``, ``id``, and a column a property that items of some type have: a text where the
    types do not agree on its kind. Of types that a condition rules out nothing is read.
    """

    def __init__(
        self, items: FrozenItems, view: View, scope: Scope | None, context: Context
    ) -> None:
        self._items = items
        super().__init__(view, scope, context)

    def _columns(self) -> pa.Schema:
        kinds: dict[str, set[Kind]] = {}
        for table in self._items.values():
            for name, kind in table.kinds.items():
                kinds.setdefault(name, set()).add(kind)
        fields = [("type", pa.string()), ("id", pa.string())]
        for name in sorted(kinds):
            kind = Kind.STRING if len(kinds[name]) > 1 else next(iter(kinds[name]))
            fields.append((_column(name), ARROW_TYPES[kind]))
        return pa.schema(fields)

    def _batches(self, schema: pa.Schema, condition: Any) -> Iterator[pa.RecordBatch]:
        names = sorted(self._items)
        facts = [ds.field("type") == name for name in names]
        for at in fitting(self._schema, condition, facts):
            self.context.check()
            yield from self._of_type(names[at], schema)

    def _of_type(self, name: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        table = self._items[name]
        rows: I64 = np.flatnonzero(table.alive)
        texts: dict[str, pa.Array] = {}
        for start in range(0, len(rows), BATCH_ROWS):
            self.context.check()
            mine = rows[start : start + BATCH_ROWS]
            self.context.read(len(mine), 0)
            columns = []
            for field in schema:
                if field.name == "type":
                    column: Any = pa.array([name] * len(mine), pa.string())
                elif field.name == "id":
                    column = _ids(table, mine)
                else:
                    found = table.properties.get(_property(field.name))
                    column = _values(found, mine, field, texts)
                columns.append(column)
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _ids(table: FrozenTable, rows: I64) -> pa.Array:
    first = int(rows[0])
    return _arrow(table.ids(first, int(rows[-1]) + 1)).take(pa.array(rows - first))


def _values(
    found: FrozenProperty | None, rows: I64, field: pa.Field, texts: dict[str, pa.Array]
) -> pa.Array:
    """A property of some rows, of the field's type. ``texts``: dictionaries made before."""
    if found is None:
        return pa.nulls(len(rows), field.type)
    column = found.at(rows)
    if found.kind == Kind.STRING:
        if field.name not in texts:
            texts[field.name] = _arrow(found.dictionary)
        absent = None if column.present is None else column.present == 0
        codes = pa.array(column.values.astype(np.int32), mask=absent)
        return pa.DictionaryArray.from_arrays(codes, texts[field.name])
    made = arrow_array(column, np.arange(len(rows)))
    if made.type == field.type:
        return made
    if found.kind == Kind.LIST:
        made = pa.array([None if one is None else ", ".join(one) for one in made.to_pylist()])
    return made.cast(pa.string()).dictionary_encode()


def _arrow(texts: Dictionary | None) -> pa.Array:
    if texts is None:
        return pa.array([], pa.string())
    offsets, data = pa.py_buffer(texts.offsets.astype(np.int64)), pa.py_buffer(texts.data)
    return pa.LargeStringArray.from_buffers(len(texts), offsets, data).cast(pa.string())


def _column(name: str) -> str:
    """Name of a property's column."""
    return f"{_PREFIX}{name}" if name in _OWN else name


def _property(column: str) -> str:
    """The inverse."""
    name = column.removeprefix(_PREFIX)
    return name if name in _OWN else column
