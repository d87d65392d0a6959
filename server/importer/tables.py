"""Files that are read as tables (CSV, Parquet, JSON lines, access logs), as parcels of events.

A chunk of the reader is cut by row numbers, so that the same rows always make the same parcel,
whatever was refused among them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zuji.server.importer.appending import by_type
from zuji.server.importer.changes import packed_changes
from zuji.server.importer.packing import packed_rows
from zuji.server.importer.parcels import PARCEL_ROWS, Parcel, parcels_of
from zuji.server.importer.run import normaliser_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.server.importer.mapping import RowKind
    from zuji.server.importer.parcels import Packed
    from zuji.server.importer.readers.base import Chunk, Reject
    from zuji.server.importer.run import Plan


class TableSource:
    """A planned file as a source of parcels. Not thread-safe: clocks and types learn."""

    def __init__(self, plan: Plan) -> None:
        self.path = plan.path
        self.size_bytes = plan.reader.size_bytes
        self.rows_known = plan.reader.rows_known
        plan.reader.in_parcels()
        self._plan = plan
        self._normaliser, self._columns = normaliser_of(plan), plan.columns()

    @property
    def unsupported(self) -> dict[str, str]:
        """Columns that were left out, and their types."""
        return self._normaliser.unsupported

    @property
    def later(self) -> list[str]:
        """Columns that the first lines had not."""
        return self._columns.later

    def parcels(self, key: str, position: int) -> Iterator[Parcel]:
        """See ``shipping.Source``."""
        for chunk in self._plan.reader.chunks(position):
            yield from self._of_chunk(key, chunk)

    def _of_chunk(self, key: str, chunk: Chunk) -> Iterator[Parcel]:
        rejects: list[Reject] = list(chunk.rejects)
        events = self._events(chunk, rejects)
        first = chunk.first_row
        last = max([first, *(e.number for e in events[-1:]), *(r.row for r in rejects)])
        starts = range(first, last + 1, PARCEL_ROWS)
        event_at, reject_at = 0, 0
        rejects.sort(key=lambda reject: reject.row)
        for start in starts:
            stop = start + PARCEL_ROWS
            mine = event_at
            while event_at < len(events) and events[event_at].number < stop:
                event_at += 1
            bad = reject_at
            while reject_at < len(rejects) and rejects[reject_at].row < stop:
                reject_at += 1
            whole = stop > last
            for parcel in parcels_of(
                key,
                start,
                events[mine:event_at],
                end=chunk.end,
                progress=chunk.progress,
                rows=event_at - mine + reject_at - bad,
                rejects=rejects[bad:reject_at],
                skipped=chunk.skipped if whole else 0,
            ):
                yield parcel if whole else _inside(parcel)

    def _events(self, chunk: Chunk, rejects: list[Reject]) -> list[Packed]:
        """Events of a chunk by row number; what cannot become one is added to ``rejects``."""
        resolved = self._columns.seen(chunk.table.column_names)
        self._normaliser.resolved = resolved
        now_ms = time.time_ns() // 1_000_000
        events: list[Packed] = []
        for part, profile in by_type(chunk, resolved, rejects):
            table, numbers, bad = self._normaliser.table(part)
            rejects += bad
            kind: RowKind = "profile" if profile else resolved.kind
            if profile != resolved.profile:
                kind = "profile" if profile else "event"
            before = part.numbers
            if before is None:
                before = np.arange(part.first_row, part.first_row + part.table.num_rows)
            places = np.searchsorted(before, numbers)
            events += packed_rows(
                table, numbers, resolved, kind, now_ms, part.table, places, rejects
            )
        if chunk.changes:
            resolved = self._columns.seen(name for one in chunk.changes for name in one.row)
            clock = self._normaliser.clock
            events += packed_changes(chunk.changes, resolved, clock, now_ms, rejects)
        events.sort(key=lambda event: event.number)
        return events


def _inside(parcel: Parcel) -> Parcel:
    """The same, after which an import cannot go on: the chunk goes on."""
    return replace(parcel, end=None)
