"""Taking in batches: decode → dedup → WAL record → bind → memtable, under one lock; then group sync
outside it, then the ack.

I1: what is acknowledged is in the log and synced. I2: a batch id that is in the window is
acknowledged and not stored again. A record that was written and could not be applied closes the
writer: the log has it, memory cannot be trusted. Thread-safe.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.batch import decode_batch
from zuji.engine.errors import StorageFailed
from zuji.engine.quarantine import Kept
from zuji.engine.writer.state import KIND_BATCH, AppendResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.batch.columns import EventBatch
    from zuji.engine.types import U64
    from zuji.engine.writer.flusher import Flusher
    from zuji.engine.writer.state import Growing, State

    Keys = tuple[U64, U64]

_BATCH = struct.Struct("<q")
"""received time in ms UTC, then the msgpack batch as it came."""
MAX_FROZEN = 2


class Intake:
    """Appends batches to a writer's state."""

    def __init__(self, state: State, flusher: Flusher, maintain: Callable[[], None]) -> None:
        self._state = state
        self._flusher = flusher
        self._maintain = maintain

    def append(self, raw: bytes) -> AppendResult:
        """See :meth:`Writer.append_batch`."""
        state = self._state
        with state.lock:
            state.check_open()
            self._await_room()
            assert state.wal is not None
            received = state.now_ms()
            grown = state.active
            batch = self._decode(raw, grown)
            keys = self._batch_keys(batch.batch_id)
            if keys is not None and state.dedup.seen(*keys)[0]:
                state.wal.sync(
                    state.wal.next_seq - 1
                )  # its first copy must be durable before this ack
                return AppendResult(duplicates=batch.n + len(batch.rejected))
            if batch.n == 0 and not batch.rejected:
                return AppendResult()
            seq = state.wal.append(KIND_BATCH, _BATCH.pack(received) + raw)
            try:
                result = self._apply(batch, keys, raw, received, grown)
            except BaseException as problem:
                # The record is in the log and half applied: what is in memory cannot be trusted.
                state.last_error = StorageFailed(f"a batch could not be applied ({problem!r})")
                state.closing = True
                raise
            full = (
                grown.mem.rows >= state.config.memtable_rows
                or grown.mem.nbytes + grown.kept_bytes >= state.config.memtable_bytes
            )
            if full:
                self._flusher.freeze_if_possible()
        state.wal.sync(seq)
        if full:
            self._maintain()
        return result

    def replay(self, payload: bytes) -> int:
        """Applies one WAL record at recovery; returns its events."""
        state = self._state
        received = _BATCH.unpack_from(payload)[0]
        raw = payload[_BATCH.size :]
        batch = self._decode(raw, state.active)
        keys = self._batch_keys(batch.batch_id)
        if keys is not None and state.dedup.seen(*keys)[0]:
            return 0
        return self._apply(batch, keys, raw, received, state.active).accepted

    def _await_room(self) -> None:
        """Waits while the flush is two memtables behind. REQUIRES: the lock."""
        state = self._state
        while len(state.frozen) >= MAX_FROZEN and state.config.background:
            if not state.room.wait(timeout=60) and state.last_error is not None:
                raise state.last_error
            state.check_open()

    def _decode(self, raw: bytes, grown: Growing) -> EventBatch:
        return decode_batch(
            raw,
            limits=self._state.config.limits,
            names=grown.table.names,
            strings=grown.table.strings,
        )

    def _batch_keys(self, batch_id: bytes | None) -> Keys | None:
        if not batch_id:
            return None
        text = b"b" + batch_id
        return self._state.dedup.keys(
            np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)], dtype=np.int64)
        )

    def _apply(
        self, batch: EventBatch, keys: Keys | None, raw: bytes, received: int, grown: Growing
    ) -> AppendResult:
        bound = self._state.binder.bind(batch, grown.table, received, raw)
        if keys is not None:
            self._state.dedup.add(*keys)
        if bound.chunk is not None:
            grown.mem.add(bound.chunk)
        for one in bound.rejected:
            grown.kept.append(Kept(one, received))
            grown.kept_bytes += 200 + len(one.raw)
        rows = 0 if bound.chunk is None else bound.chunk.n
        rejected = tuple(sorted(bound.rejected, key=lambda r: r.index))
        return AppendResult(rows, bound.duplicates, rejected)
