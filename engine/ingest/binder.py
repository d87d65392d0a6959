"""Binder: regular batches natively, all others by column.

A batch is regular when it brings no new name, no new pair of event and property, no value to cast
but int → float, and removes no user property; its ids and strings may be new. After a project's
first batches nearly all are. Thread-safety: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS, Catalog
from zuji.engine.ingest.by_column import ColumnBinder
from zuji.engine.ingest.chunks import Taken
from zuji.engine.ingest.seen import UNBIND, see, see_regular
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.batch.columns import EventBatch
    from zuji.engine.index.dedup import Dedup
    from zuji.engine.index.identity import Identity
    from zuji.engine.index.links import Links
    from zuji.engine.ingest.interned import Interned
    from zuji.engine.limits import Limits
    from zuji.engine.storage.memtable import Memtable
    from zuji.engine.types import I32, Flags


class Binder:
    """Binds batches against one project's catalog, identity index and dedup window."""

    def __init__(
        self, catalog: Catalog, identity: Identity, dedup: Dedup, limits: Limits, links: Links
    ) -> None:
        self._links = links
        self._catalog = catalog
        self._identity = identity
        self._dedup = dedup
        self._by_column = ColumnBinder(catalog, identity, dedup, limits)
        codes = [catalog.event_codes[name] for name in PROFILE_EVENTS]
        self._profile_events: I32 = np.array([-1, *codes], np.int32)

    def bind(
        self,
        table: Interned,
        received_ms: int,
        raw: bytes,
        mem: Memtable,
        *,
        natively: bool = True,
    ) -> Taken:
        """Adds the rows of the batch that ``table`` has decoded to ``mem``. ``raw`` is the batch as
        sent, needed only to keep what is rejected here. ``natively`` False is for tests.
        """
        taken = self._regular(table, received_ms, mem) if natively and table.decoder.n else None
        if taken is not None:
            return taken
        bound = self._by_column.bind(table.decoder.columns(), table, received_ms, raw)
        if bound.chunk is None:
            return Taken(0, bound.rejected, bound.repeated)
        table.adopt(bound.chunk, self._catalog.kind_codes(), mem.strings)
        mem.add(bound.chunk)
        self._see(table, bound.keep)
        return Taken(bound.chunk.n, bound.rejected, bound.repeated)

    def _regular(self, table: Interned, received_ms: int, mem: Memtable) -> Taken | None:
        batch, regular, catalog = table.decoder, table.regular, self._catalog
        events_of, props_of = table.grow_names()
        pairs = catalog.pairs()
        known = (self._profile_events, catalog.kind_codes(), pairs)
        if not regular.codes(events_of, props_of, *known):
            return None
        rows, repeated, keep = batch.n, list[int](), None
        keys = regular.insert_keys(*self._dedup.salts)
        if keys is not None:
            new = self._dedup.add(*keys)
            if regular.drop_repeats(new):
                columns = batch.columns()
                repeated = _positions(columns, new == 0)
                rows -= len(repeated)
                keep = np.ones(batch.n, np.bool_)
                keep[np.flatnonzero(np.diff(columns.insert_start) > 0)[new == 0]] = False
        if rows:
            device = -1
            if both := regular.both_ids():
                device, pairs = catalog.add_prop(DEVICE_ID, Kind.STRING), catalog.pairs()
            table.take(self._identity, mem, received_ms, device, pairs)
            says = both or UNBIND in catalog.event_codes or table.says_typed()
            if says and not see_regular(table, catalog, self._links):
                self._see(table, keep)
        return Taken(rows, batch.rejected, repeated)

    def _see(self, table: Interned, keep: Flags | None) -> None:
        columns = table.decoder.columns()
        kept = np.ones(columns.n, np.bool_) if keep is None else keep
        see(table, columns, kept, self._catalog, self._links)


def _positions(columns: EventBatch, which: Flags) -> list[int]:
    """Positions in the batch as sent of some of the rows that have an insert id."""
    found: list[int] = columns.index[np.diff(columns.insert_start) > 0][which].tolist()
    return found
