"""Joining: the events of many small requests as few batches, and the results taken apart again.

A batch costs more than the event in it. Whole native batches stay what they are, since they may
have an id; loose events are put one after the other until a batch is full.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zuji.engine.errors import ZujiError
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.server.collector.message import Events, Taken

    Stored = AppendResult | ZujiError

_LIMITS = DEFAULT_LIMITS


class Joined:
    """Batches of several requests."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self.batches: list[bytes] = []
        # a part of a request: its batch, and where its events begin there (None: all of it)
        self._parts: list[list[tuple[int, int, int] | int]] = []
        self._open: list[Events] = []
        self._waiting: list[tuple[list[tuple[int, int, int] | int], int, int, int]] = []
        self._count = self._items = self._size = 0
        for one in taken:
            parts: list[tuple[int, int, int] | int] = []
            self._parts.append(parts)
            for batch in one.batches:
                parts.append(len(self.batches))
                self.batches.append(batch)
            for events in one.events:
                self._add(parts, events)
        self._close()

    def _add(self, parts: list[tuple[int, int, int] | int], events: Events) -> None:
        if (
            self._count + events.count > _LIMITS.batch_events
            or self._items + events.items + 1 > _LIMITS.batch_items
            or self._size + len(events.data) + 3 > _LIMITS.batch_bytes
        ):
            self._close()
        parts.append((0, self._count, events.count))
        self._waiting.append((parts, len(parts) - 1, self._count, events.count))
        self._open.append(events)
        self._count += events.count
        self._items += events.items
        self._size += len(events.data)

    def _close(self) -> None:
        if self._open:
            head = b"\xdc" + self._count.to_bytes(2, "big")
            for parts, at, first, count in self._waiting:
                parts[at] = (len(self.batches), first, count)
            self.batches.append(head + b"".join(events.data for events in self._open))
        self._open, self._waiting = [], []
        self._count = self._items = self._size = 0

    def apart(self, stored: Sequence[Stored]) -> list[tuple[Stored, ...]]:
        """Results of each request's parts, in order, from those of the batches."""
        return [
            tuple(
                stored[at] if isinstance(at, int) else _of_part(stored[at[0]], *at[1:])
                for at in parts
            )
            for parts in self._parts
        ]


def _of_part(result: Stored, first: int, count: int) -> Stored:
    """The result of ``count`` events from ``first`` on."""
    if isinstance(result, ZujiError):
        return result
    rejected = tuple(
        replace(r, index=r.index - first)
        for r in result.rejected
        if first <= r.index < first + count
    )
    return AppendResult(count - len(rejected), 0, rejected)
