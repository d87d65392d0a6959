"""Binder: regular batches natively, all others by column.

A batch is regular when it brings no new name, no new pair of event and property, no value to cast
but int → float, and removes no user property; its ids and strings may be new. After a project's
first batches nearly all are. Thread-safety: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.batch.columns import NONE, EventBatch
from zuji.engine.index.catalog import DEVICE_ID, PROFILE_SET, Catalog
from zuji.engine.ingest._bind import bind_codes, compact
from zuji.engine.ingest.by_column import ColumnBinder
from zuji.engine.ingest.chunks import Bound
from zuji.engine.ingest.interned import drop_repeats
from zuji.engine.storage.row_log import BoundChunk
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.index._strings import StringTable
    from zuji.engine.index.dedup import Dedup
    from zuji.engine.index.identity import Identity
    from zuji.engine.ingest.interned import Interned
    from zuji.engine.limits import Limits
    from zuji.engine.types import U8


class Binder:
    """Binds batches against one project's catalog, identity index and dedup window."""

    def __init__(self, catalog: Catalog, identity: Identity, dedup: Dedup, limits: Limits) -> None:
        self._catalog = catalog
        self._identity = identity
        self._dedup = dedup
        self._by_column = ColumnBinder(catalog, identity, dedup, limits)
        self._kinds: U8 = np.empty(0, np.uint8)

    def bind(
        self,
        batch: EventBatch,
        table: Interned,
        received_ms: int,
        raw: bytes,
        strings: StringTable,
        *,
        natively: bool = True,
    ) -> Bound:
        """Rows of ``batch``, their string codes those of ``strings``. ``raw`` is the batch as sent,
        needed only to keep what is rejected here. ``natively`` False is for tests.
        """
        bound = self._regular(batch, table, received_ms) if natively and batch.n else None
        if bound is None:
            bound = self._by_column.bind(batch, table, received_ms, raw)
        if bound.chunk is not None:
            table.adopt(bound.chunk, self._prop_kinds(), strings)
        return bound

    def _prop_kinds(self) -> U8:
        if len(self._kinds) != len(self._catalog.kinds):
            self._kinds = np.array(self._catalog.kinds, dtype=np.uint8)
        return self._kinds

    def _regular(self, batch: EventBatch, table: Interned, received_ms: int) -> Bound | None:
        events_of, props_of = table.grow_names()
        pairs = self._catalog.pairs()
        codes = bind_codes(
            batch.kind,
            batch.event,
            batch.cell_start,
            batch.cell_prop,
            batch.cell_kind,
            batch.cell_value,
            events_of,
            props_of[0],
            props_of[1],
            self._catalog.event_codes[PROFILE_SET],
            self._prop_kinds(),
            pairs,
            Kind.INT,
            Kind.FLOAT,
        )
        if codes is None:
            return None
        event, prop, value = codes
        keep: U8 | None = None
        rows, duplicates = batch.n, 0
        if (batch.insert != NONE).any():
            wanted = np.ones(rows, dtype=bool)
            duplicates = drop_repeats(self._dedup, batch, table, wanted)
            if duplicates:
                keep, rows = wanted.view(np.uint8), rows - duplicates
        if not rows:
            return Bound(None, list(batch.rejected), duplicates)
        shard, ordinal = table.users(self._identity, batch.user, batch.device, keep)
        time, start = batch.time, batch.cell_start
        both = (batch.device != NONE) & (batch.user != NONE)
        if keep is not None:
            both &= keep.view(np.bool_)
        extra = int(np.count_nonzero(both))
        if extra or keep is not None:
            device = -1
            if extra:
                device = self._catalog.add_prop(DEVICE_ID, Kind.STRING)
                self._catalog.pairs()[event[both], device] = 1
            event, time, start, prop, value = compact(
                batch.user,
                batch.device,
                keep,
                rows,
                extra,
                start,
                device,
                event,
                time,
                prop,
                value,
            )
        chunk = BoundChunk(
            n=rows,
            shard=shard,
            ordinal=ordinal,
            event=event,
            time=time,
            received=received_ms,
            cell_start=start,
            cell_prop=prop,
            cell_value=value,
            list_start=batch.list_start,
            list_item=batch.list_item,
        )
        return Bound(chunk, list(batch.rejected), duplicates)
