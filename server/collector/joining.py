"""Joining: the events of many small requests as few batches, and the results taken apart again.

A batch costs more than the event in it. Whole native batches stay what they are, since they may
have an id; loose events are put one after the other until a batch is full. O(bytes + parts).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from zuji.engine.errors import InvalidEvent, ZujiError
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zuji.server.collector.message import Events, Taken

    Stored = AppendResult | ZujiError

_LIMITS = DEFAULT_LIMITS
_HEAD_BYTES = 3
_index = attrgetter("index")


class _Part(Struct, frozen=True, gc=False):
    """Where a part of a request is: its batch; in a joined one the position of its first event,
    the number of its events, and which of the parts it is.
    """

    batch: int
    first: int = 0
    events: int = -1
    nth: int = 0


class Joined:
    """Batches of several requests: ``batches``, in which each request has its parts."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self.batches: list[bytes] = []
        self._made: dict[int, list[Events]] = {}  # those that were joined, by batch
        self._open: list[Events] = []
        self._at = -1  # batch that is being joined
        self._count = self._items = self._size = 0
        self._parts = [self._parts_of(one) for one in taken]
        self._close()

    def _parts_of(self, taken: Taken) -> list[_Part]:
        parts = []
        for batch in taken.batches:
            parts.append(_Part(len(self.batches)))
            self.batches.append(batch)
        for events in taken.events:
            if self._at < 0 or self._is_full_for(events):
                self._begin()
            parts.append(_Part(self._at, self._count, events.count, len(self._open)))
            self._open.append(events)
            self._count += events.count
            self._items += events.items
            self._size += len(events.data)
        return parts

    def _is_full_for(self, events: Events) -> bool:
        return (
            self._count + events.count > _LIMITS.batch_events
            or self._items + events.items + 1 > _LIMITS.batch_items
            or self._size + len(events.data) + _HEAD_BYTES > _LIMITS.batch_bytes
        )

    def _begin(self) -> None:
        self._close()
        self._at = len(self.batches)
        self.batches.append(b"")
        self._open = self._made[self._at] = []
        self._count = self._items = self._size = 0

    def _close(self) -> None:
        if self._at >= 0:
            self.batches[self._at] = _batch(self._count, self._open)

    def spoiled(self, stored: Sequence[Stored]) -> dict[int, list[bytes]]:
        """Joined batches that could not be read as a whole, and their parts as batches: one part
        was not what it should be, and the others must not suffer from it.
        """
        return {
            at: [_batch(one.count, (one,)) for one in made]
            for at, made in self._made.items()
            if isinstance(stored[at], InvalidEvent)
        }

    def apart(
        self, stored: Sequence[Stored], alone: Mapping[int, Sequence[Stored]]
    ) -> list[tuple[Stored, ...]]:
        """Results of each request's parts, in order, from those of the batches; ``alone``: results
        of each part of batches that had to be stored part by part.
        """
        if not alone:
            return [tuple([_of_part(stored[p.batch], p) for p in parts]) for parts in self._parts]
        return [
            tuple(
                alone[part.batch][part.nth]
                if part.batch in alone
                else _of_part(stored[part.batch], part)
                for part in parts
            )
            for parts in self._parts
        ]


def _batch(count: int, events: Sequence[Events]) -> bytes:
    return b"\xdc" + count.to_bytes(2, "big") + b"".join([one.data for one in events])


def _of_part(result: Stored, part: _Part) -> Stored:
    if part.events < 0 or isinstance(result, ZujiError):
        return result
    if not result.rejected and not result.repeated:
        return _accepted(part.events)
    first, end = part.first, part.first + part.events
    rejected = result.rejected[
        bisect_left(result.rejected, first, key=_index) : bisect_left(
            result.rejected, end, key=_index
        )
    ]
    repeated = result.repeated[
        bisect_left(result.repeated, first) : bisect_left(result.repeated, end)
    ]
    return AppendResult(
        part.events - len(rejected) - len(repeated),
        len(repeated),
        tuple(replace(one, index=one.index - first) for one in rejected),
        tuple(index - first for index in repeated),
    )


@lru_cache(maxsize=4096)
def _accepted(count: int) -> AppendResult:
    return AppendResult(count)
