"""The tables of what is kept about users: the members of cohorts, and the values of tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from zuji.engine.export import ARROW_TYPES, arrow_column, ids_of
from zuji.engine.query.mark_names import COHORT, TAG
from zuji.engine.query.marks import parts_of
from zuji.engine.sql.tables import USER_KEY, Users, column_name, fitting, key_of, property_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.query.marks import Marks

_IDS = [("user_id", pa.string()), ("device_id", pa.string()), (USER_KEY, pa.int64())]


class Cohorts(Users):
    """A row a member of a cohort, by the version in force. Of cohorts that a condition rules out
    nothing is read.
    """

    def _columns(self) -> pa.Schema:
        return pa.schema([("cohort", pa.string()), *_IDS])

    def _batches(self, schema: pa.Schema, condition: Any) -> Iterator[pa.RecordBatch]:
        kept = self.view.marks.get(COHORT)
        names = [] if kept is None else [n for n in sorted(kept.kinds) if self.may(COHORT, n)]
        facts = [ds.field("cohort") == name for name in names]
        names = [names[at] for at in fitting(self._schema, condition, facts)]
        if kept is None or not names:
            return
        for shard in range(self.view.shards):
            seen = self.visible(shard)
            for name in names:
                self.context.check()
                rows = self._members(kept, shard, name, seen)
                users, devices = ids_of(self.view, shard, rows.astype(np.uint32))
                columns = {
                    "cohort": pa.array([name] * len(rows), pa.string()),
                    "user_id": users,
                    "device_id": devices,
                    USER_KEY: pa.array(key_of(shard, rows)),
                }
                yield pa.RecordBatch.from_arrays([columns[f.name] for f in schema], schema=schema)

    def _members(self, kept: Marks, shard: int, name: str, seen: Any) -> Any:
        column = kept.column(self.view, shard, name, self.view.now_ms)
        if column is None:
            return seen[:0]
        has = column.values != 0
        if column.present is not None:
            has &= column.present != 0
        return seen[has[seen]]

    def may(self, prefix: str, name: str) -> bool:
        """Whether the caller may use a mark, and all that it is made of."""
        p = f"user.{prefix}{name}"
        return all(map(self._may, {p, *parts_of(self.view, p)}))


class Tags(Cohorts):
    """A row a user, and a column a tag: its value in force. Only tags that are named are read."""

    def _columns(self) -> pa.Schema:
        kept = self.view.marks.get(TAG)
        kinds = {} if kept is None else kept.kinds
        mine = [
            (column_name(name), ARROW_TYPES[kinds[name]])
            for name in sorted(kinds)
            if self.may(TAG, name)
        ]
        return pa.schema([*_IDS, *mine])

    def _batches(self, schema: pa.Schema, _condition: Any) -> Iterator[pa.RecordBatch]:
        kept = self.view.marks.get(TAG)
        for shard in range(self.view.shards):
            self.context.check()
            rows = self.visible(shard)
            users, devices = ids_of(self.view, shard, rows.astype(np.uint32))
            own = {"user_id": users, "device_id": devices, USER_KEY: pa.array(key_of(shard, rows))}
            columns = []
            for field in schema:
                if field.name in own:
                    columns.append(own[field.name])
                    continue
                assert kept is not None
                name = property_name(field.name)
                found = kept.column(self.view, shard, name, self.view.now_ms)
                columns.append(arrow_column(found, rows, field.type))
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
