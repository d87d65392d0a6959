"""The queue between callers and the sending thread: consent, bounds, disk and memory, flushing.

Without consent nothing gets in and nothing gets out. With a folder, events go to disk, and to
memory only while the disk takes none. Everything here is guarded by one lock, `changed`; callbacks
of flushes run under it and must be quick.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Callable

from zuji_sdk.disk import DiskBatch, DiskStore
from zuji_sdk.errors import Closed, QueueFull, StorageError
from zuji_sdk.stats import Stats
from zuji_sdk.store import Batch, MemoryStore, Store
from zuji_sdk.transport import Unwanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji_sdk.errors import ZujiError
    from zuji_sdk.event import Record
    from zuji_sdk.options import Options

_log = logging.getLogger(__name__)


class Flush:
    """Somebody waits until all batches up to `ticket` are gone."""

    def __init__(self, done: Callable[[bool], object]) -> None:
        self.ticket: int | None = None  # not known before orphans were looked for
        self.done = done


class Queue:
    """Thread-safe."""

    def __init__(
        self,
        options: Options,
        folder: str | None,
        consent: bool | None,
        report: Callable[[ZujiError], object],
    ) -> None:
        self._options, self._folder, self._report = options, folder, report
        self.consent = consent
        self.begin()

    def begin(self) -> None:
        """Empty, with locks of its own: at first, and in a forked child."""
        options = self._options
        self.changed = threading.Condition(threading.RLock())
        self.stats = Stats()
        self.halted = False  # the collector does not know the key
        self.stopping = False
        self.not_before = 0.0  # no request until then (time.monotonic)
        self._tickets = itertools.count()
        self._flushes: list[Flush] = []
        self._disk_works = True
        self._held: deque[Record] = deque()  # from before consent was decided
        self._held_bytes = 0
        self.purges = 0
        self.memory = MemoryStore(
            options.batch_events, options.batch_bytes, options.max_memory_bytes, self._tickets
        )
        self.disk: DiskStore | None = None
        if self._folder is not None:
            self.disk = DiskStore(
                self._folder,
                options.fsync,
                options.batch_events,
                options.batch_bytes,
                options.max_disk_bytes,
                self._tickets,
            )
        self.adopted = self.disk is None  # orphans were looked for once

    @property
    def _stores(self) -> tuple[Store, ...]:
        return (self.memory,) if self.disk is None else (self.disk, self.memory)

    @property
    def sending(self) -> bool:
        """Whether consent is given."""
        return self.consent is True

    def put(self, record: Record) -> None:
        """Take an event. Raises QueueFull, as the options say, and Closed."""
        with self.changed:
            if self.stopping:
                raise Closed("the client was closed")
            trouble = None
            if self.sending:
                trouble = self._store(record)
            else:
                self._hold(record)
        if trouble is not None:
            self._report(trouble)

    def _hold(self, record: Record) -> None:
        if self.consent is False or self._options.before_consent == "discard":
            if self.consent is None and not self.stats.discarded:
                _log.warning("events are discarded until consent is given: set_consent(True)")
            self.stats.discarded += 1
            return
        self._held.append(record)
        self._held_bytes += len(record.data)
        while (
            len(self._held) > self._options.held_events
            or self._held_bytes > self._options.max_memory_bytes
        ):
            self._held_bytes -= len(self._held.popleft().data)
            self.stats.discarded += 1

    def _store(self, record: Record) -> StorageError | None:
        """Put it where there is room; what is wrong with the disk, when that is news."""
        trouble = None
        if self.disk is not None:
            if not self._make_room(self.disk, record.data):
                return None
            try:
                self._append(self.disk, record)
            except OSError as error:
                self.stats.disk_errors += 1
                if self._disk_works:
                    self._disk_works = False
                    trouble = StorageError(f"cannot write to {self._folder}: {error}")
            else:
                self._disk_works = True
                return None
        if self._make_room(self.memory, record.data):
            self._append(self.memory, record)
        return trouble

    def _append(self, store: Store, record: Record) -> None:
        before = store.open
        store.append(record.data, record.items)
        if store.open is not before or before is None:
            self.changed.notify_all()

    def _make_room(self, store: Store, data: bytes) -> bool:
        """False when the event shall not be kept after all: consent went while it waited."""
        options = self._options
        until = None
        if options.block_seconds is not None:
            until = time.monotonic() + options.block_seconds
        while not store.room_for(data):
            if options.full == "drop_oldest":
                lost = store.drop_oldest() or 1  # nothing to give up: this event, then
                self.stats.dropped_full += lost
                _log.warning("queue full dropped_events=%d", lost)
                self._tell_flushes()
                if store.events == 0 and not store.room_for(data):
                    return False
                continue
            if options.full == "block" and not store.never_room_for(data):
                store.seal()  # a queue that is full of one open batch would wait for its age
                self.changed.notify_all()
                left = None if until is None else until - time.monotonic()
                if left is None or left > 0:
                    self.changed.wait(left)
                    if self.stopping:
                        raise Closed("the client was closed")
                    if not self.sending:
                        self.stats.discarded += 1
                        return False
                    continue
            self.stats.dropped_full += 1
            raise QueueFull(f"the queue holds {store.bytes} bytes")
        return True

    # For the sending thread.

    def take(self, until: float) -> Batch | None:
        """Wait for a batch that may be sent now; None at `until` (time.monotonic) or the end."""
        with self.changed:
            while not self.stopping:
                if self.sending and not self.adopted:
                    return None
                now = time.monotonic()
                wake = until
                if self.sending and not self.halted:
                    wake = min(wake, self._seal_old(now))
                    heads = [store.head() for store in self._stores]
                    batch = min(
                        (head for head in heads if head is not None),
                        key=lambda head: head.ticket,
                        default=None,
                    )
                    if batch is not None:
                        if now >= self.not_before:
                            for store, head in zip(self._stores, heads):
                                store.in_flight = batch if head is batch else None
                            return batch
                        wake = min(wake, self.not_before)
                if wake <= now:
                    return None
                self.changed.wait(min(wake - now, threading.TIMEOUT_MAX))
            return None

    def _seal_old(self, now: float) -> float:
        """Seal open batches that are old enough; when the next one will be."""
        wake = float("inf")
        for store in self._stores:
            if store.open is not None:
                due = store.open.opened_at + self._options.batch_seconds
                if due <= now:
                    store.seal()
                else:
                    wake = min(wake, due)
        return wake

    def remove(self, batch: Batch) -> bool:
        """A batch is done with. False when it was purged meanwhile."""
        with self.changed:
            here = any(store.remove(batch) for store in self._stores)
            self._tell_flushes()
            self.changed.notify_all()
            return here

    def split(self, batch: Batch) -> bool:
        """Put halves in its place. Raises OSError."""
        with self.changed:
            return any(store.split(batch) for store in self._stores)

    def release(self) -> None:
        """No batch is being sent."""
        with self.changed:
            for store in self._stores:
                store.in_flight = None

    def holds(self, batch: Batch) -> bool:
        """Whether it is still here: it may have been purged while it was being sent."""
        with self.changed:
            return any(batch in store.sealed for store in self._stores)

    def check_wanted(self, batch: Batch) -> None:
        """Raises Unwanted when it may not leave: consent may have gone since it was taken."""
        with self.changed:
            if not self.sending or self.stopping or not self.holds(batch):
                raise Unwanted

    def add(self, batches: Sequence[DiskBatch], purges: int) -> None:
        """Orphans were looked for, and these found. `purges`: how many there had been before."""
        with self.changed:
            if self.disk is not None:
                self.disk.add(batches)
                if purges == self.purges:
                    self.stats.adopted += sum(batch.events for batch in batches)
                else:  # they are older than the withdrawal
                    for batch in batches:
                        self.disk.remove(batch)
            self.adopted = True
            self._tell_flushes()

    # For the client.

    def flush(self, done: Callable[[bool], object]) -> Flush:
        """Send everything now; `done(True)` when it has gone, `done(False)` when it cannot go."""
        flush = Flush(done)
        with self.changed:
            for store in self._stores:
                store.seal()
            self._flushes.append(flush)
            self.changed.notify_all()
            self._tell_flushes()
        return flush

    def forget(self, flush: Flush) -> None:
        """Nobody waits for it any more."""
        with self.changed:
            if flush in self._flushes:
                self._flushes.remove(flush)

    def _tell_flushes(self) -> None:
        if not self._flushes:
            return
        heads = [store.head() for store in self._stores]
        first = min((head.ticket for head in heads if head is not None), default=None)
        last = max((store.sealed[-1].ticket for store in self._stores if store.sealed), default=-1)
        waiting = []
        for flush in self._flushes:
            if not self.sending or self.halted or self.stopping:
                flush.done(first is None and self.adopted)
                continue
            if flush.ticket is None and self.adopted:
                flush.ticket = last
            if flush.ticket is None or (first is not None and first <= flush.ticket):
                waiting.append(flush)
            else:
                flush.done(True)
        self._flushes = waiting

    def set_consent(self, consent: bool | None) -> None:
        """True lets events through, those held before as well; False deletes everything, on disk
        what dead processes left as well; None keeps it unsent. Raises StorageError."""
        with self.changed:
            self.consent = consent
            held = list(self._held)
            if consent is not None:
                self._held.clear()
                self._held_bytes = 0
            if consent is False:
                self.purges += 1
                self.stats.purged += len(held) + sum(store.purge() for store in self._stores)
            self._tell_flushes()
            self.changed.notify_all()
        if consent is True:
            for record in held:
                self.put(record)
        elif consent is False and self.disk is not None:
            try:
                self.disk.purge_orphans()
            except OSError as error:
                raise StorageError(f"cannot purge {self._folder}: {error}") from error

    def halt(self, halted: bool) -> None:
        """Stop sending until told otherwise: the key is wrong."""
        with self.changed:
            self.halted = halted
            if not halted:
                self.not_before = 0.0
            self._tell_flushes()
            self.changed.notify_all()

    def stop(self) -> None:
        """Take nothing more and give nothing out."""
        with self.changed:
            self.stopping = True
            self._tell_flushes()
            self.changed.notify_all()

    def close(self) -> int:
        """Leave the folder to the next process; how many events were in memory and are lost."""
        with self.changed:
            lost = self.memory.purge()
            self.stats.dropped_at_close += lost
            if self.disk is not None:
                self.disk.close()
            return lost

    def snapshot(self) -> Stats:
        """The counts of now."""
        with self.changed:
            return replace(
                self.stats,
                queued=sum(store.events for store in self._stores),
                queued_bytes=sum(store.bytes for store in self._stores),
            )

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's, begin anew."""
        disk = self.disk
        self.begin()
        if disk is not None:
            disk.abandon()
