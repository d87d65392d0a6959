"""From bound columns to what is stored: the chunk of the kept rows, and the rejected events.

Pure functions over columns; :class:`Lists` grows while values are cast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.batch import slice_events
from zuji.engine.batch.columns import EventBatch, Rejected
from zuji.engine.storage.row_log import BoundChunk

if TYPE_CHECKING:
    from zuji.engine.types import I64, U16, U32, Flags


@dataclass(slots=True)
class Taken:
    """What became of a batch: rows added to the memtable, rejected events, and the positions in the
    batch of repeats, which were dropped.
    """

    rows: int
    rejected: list[Rejected] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Bound:
    """A batch bound by column: rows to store (or None), rejected events, positions of repeats, and
    which rows of the batch are stored, bool[n] (None without rows).
    """

    chunk: BoundChunk | None
    rejected: list[Rejected] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    keep: Flags | None = None


class Lists:
    """The lists of a batch plus those that casting adds."""

    __slots__ = ("_items", "_start", "_tail", "_tail_start")

    def __init__(self, batch: EventBatch) -> None:
        self._start = batch.list_start
        self._items = batch.list_item
        self._tail: list[int] = []
        self._tail_start: list[int] = []

    def add(self, items: list[int]) -> int:
        self._tail.extend(items)
        self._tail_start.append(len(self._items) + len(self._tail))
        return len(self._start) - 2 + len(self._tail_start)

    def arrays(self) -> tuple[I64, U32]:
        """``list_start`` int64[lists+1] and ``list_item`` uint32[items]."""
        if not self._tail_start:
            return self._start, self._items
        return (
            np.concatenate([self._start, np.array(self._tail_start, dtype=np.int64)]),
            np.concatenate([self._items, np.array(self._tail, dtype=np.uint32)]),
        )


def chunk_of(
    batch: EventBatch,
    keep: Flags,
    cell_keep: Flags,
    row_of_cell: I64,
    shard: U16,
    ordinal: U32,
    event: I64,
    prop: I64,
    values: I64,
    lists: Lists,
    received_ms: int,
) -> BoundChunk:
    if keep.all() and cell_keep.all():
        starts = batch.cell_start
    else:
        per_row = np.bincount(row_of_cell[cell_keep], minlength=batch.n)[keep]
        starts = np.zeros(len(per_row) + 1, dtype=np.int64)
        np.cumsum(per_row, out=starts[1:])
    list_start, list_item = lists.arrays()
    return BoundChunk(
        n=len(shard),
        shard=shard,
        ordinal=ordinal,
        event=event[keep].astype(np.uint16),
        time=batch.time[keep],
        received=received_ms,
        cell_start=starts,
        cell_prop=prop[cell_keep].astype(np.uint16),
        cell_value=values[cell_keep],
        list_start=list_start,
        list_item=list_item,
    )


def with_devices(chunk: BoundChunk, rows: I64, code: int, devices: U32) -> BoundChunk:
    """``chunk`` with one more cell, the raw device id, on each of ``rows``."""
    at = chunk.cell_start[rows + 1]
    extra = np.zeros(chunk.n, dtype=np.int64)
    extra[rows] = 1
    starts = chunk.cell_start.copy()
    starts[1:] += np.cumsum(extra)
    return BoundChunk(
        n=chunk.n,
        shard=chunk.shard,
        ordinal=chunk.ordinal,
        event=chunk.event,
        time=chunk.time,
        received=chunk.received,
        cell_start=starts,
        cell_prop=np.insert(chunk.cell_prop, at, np.uint16(code)),
        cell_value=np.insert(chunk.cell_value, at, devices.astype(np.int64)),
        list_start=chunk.list_start,
        list_item=chunk.list_item,
    )


def rejects(
    batch: EventBatch, refused: dict[int, tuple[str, str, str]], raw: bytes
) -> list[Rejected]:
    """Rejected events with their bytes as sent, cut from the document."""
    if not refused:
        return []
    rows = sorted(refused)
    indexes = [int(batch.index[row]) for row in rows]
    return [
        Rejected(index, *refused[row], raw=kept)
        for row, index, kept in zip(rows, indexes, slice_events(raw, indexes), strict=True)
    ]
