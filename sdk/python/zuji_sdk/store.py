"""Events that wait: one open batch that fills, and sealed ones in the order in which they go out.

`Store` counts and orders; where the bytes lie is its subclasses' business: `MemoryStore` here,
`DiskStore` in disk.py. Not thread-safe, except that `Batch.load` may be called without the lock
that guards the rest. Every batch has a ticket: numbers that grow in the order of sealing, over all
stores that share `tickets`; halves of a batch keep its ticket.
"""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from zuji_sdk import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ENVELOPE_BYTES = 320  # batch_id and what stands around the events
_MEMORY_OVERHEAD = 64  # an event's bytes object and its place in a list


class Batch(ABC):
    """A batch on its way: an id that never changes, and how much it holds."""

    def __init__(self, batch_id: str) -> None:
        self.batch_id = batch_id
        self.ticket = -1
        self.events = 0
        self.size = 0  # bytes that it takes in its store
        self.opened_at = time.monotonic()

    @abstractmethod
    def load(self) -> Sequence[bytes]:
        """Its packed events. Raises OSError when they cannot be read."""


class Store(ABC):
    """REQUIRES: callers hold one lock, except for `Batch.load`."""

    def __init__(
        self, batch_events: int, batch_bytes: int, max_bytes: int, tickets: Iterator[int]
    ) -> None:
        self._batch_events, self._batch_bytes = batch_events, batch_bytes
        self._max_bytes = max_bytes
        self._tickets = tickets
        self.sealed: deque[Batch] = deque()
        self.in_flight: Batch | None = None  # it is being sent: never given up to make room
        self.open: Batch | None = None
        self._open_bytes = 0
        self._open_items = 0
        self.bytes = 0
        self.events = 0

    def room_for(self, data: bytes) -> bool:
        """Whether the event fits into the bounds of the store."""
        return self.bytes + self._cost(data) <= self._max_bytes

    def never_room_for(self, data: bytes) -> bool:
        """Whether the event would not even fit into an empty store."""
        return self._cost(data) + _ENVELOPE_BYTES > self._max_bytes

    def append(self, data: bytes, items: int) -> None:
        """Take an event. It may seal the open batch before or after."""
        if self.open is not None and (
            self._open_bytes + len(data) + _ENVELOPE_BYTES > self._batch_bytes
            or self._open_items + items > limits.BATCH_ITEMS
        ):
            self.seal()
        batch = self.open
        if batch is None:
            batch = self._start(str(uuid.uuid4()))
            self.open = batch
            self.bytes += batch.size
        self._write(batch, data)
        cost = self._cost(data)
        batch.events += 1
        batch.size += cost
        self._open_bytes += len(data)
        self._open_items += items
        self.events += 1
        self.bytes += cost
        if batch.events >= self._batch_events or self._open_bytes >= self._batch_bytes:
            self.seal()

    def seal(self) -> None:
        """The open batch takes no more events and may be sent."""
        batch, self.open = self.open, None
        self._open_bytes = self._open_items = 0
        if batch is None:
            return
        self._finish(batch)
        batch.ticket = next(self._tickets)
        self.sealed.append(batch)

    def head(self) -> Batch | None:
        """The sealed batch that goes next."""
        return self.sealed[0] if self.sealed else None

    def remove(self, batch: Batch) -> bool:
        """Forget a sealed batch: delivered or given up. False when it is not here any more."""
        if batch not in self.sealed:  # batches are equal when they are the same
            return False
        self.sealed.remove(batch)
        self._forget(batch)
        return True

    def split(self, batch: Batch) -> bool:
        """Put two halves in the batch's place. False when it is not here any more.

        REQUIRES: it holds two events or more. Halves have ids that follow from the batch's, so
        that splitting again after a crash gives the same two.
        """
        if batch not in self.sealed:
            return False
        place = self.sealed.index(batch)
        halves = self._halve(batch)
        for half in halves:
            half.ticket = batch.ticket
            self.bytes += half.size
            self.events += half.events
        self.remove(batch)
        for half in reversed(halves):
            self.sealed.insert(place, half)
        return True

    def drop_oldest(self) -> int:
        """Give up the oldest batch that is not being sent; how many events that were."""
        for batch in self.sealed:
            if batch is not self.in_flight:
                self.remove(batch)
                return batch.events
        batch_open, self.open = self.open, None
        self._open_bytes = self._open_items = 0
        if batch_open is None:
            return 0
        self._forget(batch_open)
        return batch_open.events

    def purge(self) -> int:
        """Forget everything, also what is being sent; how many events that were."""
        gone = self.events
        self.in_flight = None
        while self.sealed or self.open is not None:
            self.drop_oldest()
        return gone

    def _forget(self, batch: Batch) -> None:
        self.bytes -= batch.size
        self.events -= batch.events
        if self.in_flight is batch:
            self.in_flight = None
        self._delete(batch)

    @abstractmethod
    def _cost(self, data: bytes) -> int:
        """Bytes that an event takes here."""

    @abstractmethod
    def _start(self, batch_id: str) -> Batch:
        """A new, empty batch; its ``size`` is what it takes when empty."""

    @abstractmethod
    def _write(self, batch: Batch, data: bytes) -> None:
        """Add an event, whole or (when it raises) not at all."""

    @abstractmethod
    def _finish(self, batch: Batch) -> None:
        """No more events come to it."""

    @abstractmethod
    def _halve(self, batch: Batch) -> tuple[Batch, Batch]:
        """Two batches with its events, stored beside it."""

    @abstractmethod
    def _delete(self, batch: Batch) -> None:
        """Give its bytes back. Does not raise."""


class MemoryBatch(Batch):
    """A list of packed events."""

    def __init__(self, batch_id: str, frames: Sequence[bytes] = ()) -> None:
        super().__init__(batch_id)
        self.frames = list(frames)
        self.events = len(self.frames)
        self.size = sum(len(data) + _MEMORY_OVERHEAD for data in self.frames)

    def load(self) -> Sequence[bytes]:
        return self.frames


class MemoryStore(Store):
    """Events that live as long as the process."""

    def _cost(self, data: bytes) -> int:
        return len(data) + _MEMORY_OVERHEAD

    def _start(self, batch_id: str) -> Batch:
        return MemoryBatch(batch_id)

    def _write(self, batch: Batch, data: bytes) -> None:
        assert isinstance(batch, MemoryBatch)
        batch.frames.append(data)

    def _finish(self, batch: Batch) -> None:
        pass

    def _halve(self, batch: Batch) -> tuple[Batch, Batch]:
        frames = batch.load()
        middle = len(frames) // 2
        return (
            MemoryBatch(f"{batch.batch_id}.0", frames[:middle]),
            MemoryBatch(f"{batch.batch_id}.1", frames[middle:]),
        )

    def _delete(self, batch: Batch) -> None:
        pass
