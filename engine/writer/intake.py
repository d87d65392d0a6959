"""Taking in batches: decode → dedup → WAL record → bind → memtable; then group sync, then the ack.

Decoding and compressing need no lock: every appending thread borrows string tables of its own
(:class:`~zuji.engine.ingest.Interned`), which stay warm from batch to batch. From the check for
repeats to the memtable a batch holds the writer's lock, so records and rows have one order.
I1: what is acknowledged is in the log and synced. I2: a batch id that is in the window is
acknowledged and not stored again; one that repeats a bulk load waits for the end of the load. A
record that was written and could not be applied closes the writer: the log has it, memory cannot be
trusted. Events of erased ids that are refused (:mod:`refusing`) never reach the log. Thread-safe.
"""

from __future__ import annotations

import struct
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from zuji.engine.errors import EngineClosed, ReadOnly, StorageFailed, ZujiError
from zuji.engine.ingest import Interned
from zuji.engine.quarantine import opened, packed_rejected, unpacked_rejected
from zuji.engine.storage.log_format import pack, pack_batch
from zuji.engine.writer import saying
from zuji.engine.writer.state import (
    KIND_BATCH,
    KIND_REFUSED,
    KIND_REPLAYED,
    KIND_SAID,
    AppendResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.types import U64
    from zuji.engine.writer.flusher import Flusher
    from zuji.engine.writer.refusing import Refusing
    from zuji.engine.writer.state import Growing, State

    Keys = tuple[U64, U64]
    Record = tuple[bytes, int]
    """Stored payload and flags."""

_BATCH = struct.Struct("<q")
"""received time in ms UTC, then the batch as it came (msgpack or JSON)."""
MAX_FROZEN = 2
TABLE_BYTES = 64 << 20
"""String tables of a decoder larger than this are thrown away: ids and texts that are rare fill
them.
"""


class Intake:
    """Appends batches to a writer's state."""

    def __init__(
        self, state: State, flusher: Flusher, refusing: Refusing, maintain: Callable[[], None]
    ) -> None:
        self._state = state
        self._flusher = flusher
        self._refusing = refusing
        self._maintain = maintain
        self._tables: deque[Interned] = deque()  # idle; the last used is the warmest
        self._frozen = False  # a memtable was set aside, and nobody told the flush yet

    @property
    def nbytes(self) -> int:
        """Bytes of the string tables of idle decoders."""
        return sum(table.nbytes for table in tuple(self._tables))

    def append(self, raw: bytes, kind: int = KIND_BATCH) -> AppendResult:
        """See :meth:`Writer.append_batch`; ``kind`` of its record: KIND_BATCH or KIND_REPLAYED."""
        result, seq = self._write(raw, kind)
        self._acknowledge(seq)
        return result

    def append_many(
        self, raws: Sequence[bytes], refused: Sequence[Rejected]
    ) -> list[AppendResult | ZujiError]:
        """See :meth:`Writer.append_many`."""
        outcomes: list[AppendResult | ZujiError] = []
        last = 0
        if refused:
            last = self._keep(refused)
        for raw in raws:
            try:
                result, seq = self._write(raw)
            except (StorageFailed, EngineClosed, ReadOnly):
                raise  # nothing goes on, and nothing more is acknowledged
            except ZujiError as problem:
                outcomes.append(problem.bare())  # else it holds the batches, and they it
            else:
                outcomes.append(result)
                last = max(last, seq)
        self._acknowledge(last)
        return outcomes

    def _write(self, raw: bytes, kind: int = KIND_BATCH) -> tuple[AppendResult, int]:
        """A batch in the log and visible, not synced: what became of it, and the record that must
        be durable before anybody is told. 0: none.
        """
        state = self._state
        table = self._borrow()
        try:
            batch = table.decoder
            batch.decode(raw)
            keys = self._batch_keys(batch.batch_id)
            received = state.now_ms()
            record = pack_batch(_BATCH.pack(received), raw, batch.marks())
            with state.lock:
                state.check_open()
                self._await_room()
                self._await_loads(table, keys)
                assert state.wal is not None
                if keys is not None and state.dedup.seen(*keys)[0]:
                    repeats = AppendResult(duplicates=batch.n + len(batch.rejected))
                    return repeats, state.wal.next_seq - 1  # its first copy must be durable
                left = self._refusing.left(table, raw)
                aside = 0
                if left is not None:
                    raw = left.raw
                    batch.decode(raw)
                    record = pack_batch(_BATCH.pack(received), raw, batch.marks())
                    if left.lines and kind != KIND_REPLAYED:
                        lines = _refused_record(left.lines, received)
                        aside = self._log_refused(left.lines, lines, received)
                result, seq = AppendResult(), aside
                if batch.n or batch.rejected:
                    seq = state.wal.append_packed(kind, record)
                    with self._applying(len(raw)) as grown:
                        result = self._apply(table, keys, raw, (kind, seq, received), grown)
        finally:
            self._give_back(table)
        return result if left is None else left.told(result), seq

    def say(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Says something of ids by hand (:mod:`saying`); durable on return. What is noted of it."""
        state = self._state
        received = state.now_ms()
        record = pack(_BATCH.pack(received) + bytes(msgpack.packb(entry)))
        with state.lock:
            state.check_open()
            self._await_room()
            assert state.wal is not None
            saying.check(state, entry)
            seq = state.wal.append_packed(KIND_SAID, record)
            with self._applying(len(record[0])):
                saying.apply(state, entry, received, seq)
            noted = state.link_store.log[-1]
        self._acknowledge(seq)
        return noted

    def _keep(self, refused: Sequence[Rejected]) -> int:
        """Refused events in the log and the quarantine, not synced; the record's number."""
        state = self._state
        received = state.now_ms()
        record = _refused_record(refused, received)
        with state.lock:
            state.check_open()
            self._await_room()
            left = [one for one in refused if not self._refusing.refuses(one)]
            if len(left) < len(refused):
                record = _refused_record(left, received)
            return self._log_refused(left, record, received) if left else 0

    def _log_refused(self, refused: Sequence[Rejected], record: Record, received: int) -> int:
        """REQUIRES: the lock."""
        state = self._state
        assert state.wal is not None
        seq = state.wal.append_packed(KIND_REFUSED, record)
        with self._applying(len(record[0])) as grown:
            self._keep_or_take(refused, grown, received, seq)
        return seq

    def _keep_or_take(
        self, refused: Sequence[Rejected], grown: Growing, received: int, seq: int
    ) -> None:
        """Refused events of log record ``seq`` to the quarantine; items among them to theirs."""
        left, items = self._state.items.take(enumerate(refused), received)
        grown.items += items
        grown.keep(left, received, seq)

    @contextmanager
    def _applying(self, logged: int) -> Iterator[Growing]:
        """What a record of ``logged`` bytes changes, which the log has already; then the memtable
        is set aside if it is full. REQUIRES: the lock.
        """
        state = self._state
        grown = state.active
        grown.logged += logged
        try:
            yield grown
        except BaseException as problem:
            # The record is in the log and half applied: memory cannot be trusted.
            state.last_error = StorageFailed(f"a batch could not be applied ({problem!r})")
            state.closing = True
            raise
        if state.full() >= 1 and self._flusher.freeze_if_possible():
            self._frozen = True

    def _acknowledge(self, seq: int) -> None:
        """Returns when records up to ``seq`` are durable; wakes the flush if there is work."""
        assert self._state.wal is not None
        if seq:
            self._state.wal.sync(seq)
        if self._frozen:
            self._frozen = False
            self._maintain()

    def replay(self, seq: int, kind: int, payload: bytes) -> int:
        """Applies WAL record ``seq`` at recovery; returns its events."""
        state = self._state
        received = _BATCH.unpack_from(payload)[0]
        raw = payload[_BATCH.size :]
        if kind == KIND_REFUSED:
            state.active.logged += len(payload)
            self._keep_or_take(unpacked_rejected(raw), state.active, received, seq)
            return 0
        if kind == KIND_SAID:
            state.active.logged += len(payload)
            saying.apply(state, msgpack.unpackb(raw), received, seq)
            return 0
        table = self._borrow()
        try:
            table.decoder.decode(raw)
            keys = self._batch_keys(table.decoder.batch_id)
            state.active.logged += len(payload)
            if keys is not None and state.dedup.seen(*keys)[0]:
                return 0
            return self._apply(table, keys, raw, (kind, seq, received), state.active).accepted
        finally:
            self._give_back(table)

    def _borrow(self) -> Interned:
        try:
            return self._tables.pop()
        except IndexError:
            return Interned(self._state.salt, self._state.config.limits)

    def _give_back(self, table: Interned) -> None:
        table.decoder.release()
        if table.nbytes < TABLE_BYTES:
            self._tables.append(table)

    def _await_room(self) -> None:
        """Waits while the flush is two memtables behind. REQUIRES: the lock."""
        state = self._state
        while len(state.frozen) >= MAX_FROZEN and state.config.background:
            self._maintain()  # a flush that somebody asked for may have failed: nobody goes on
            if not state.room.wait(timeout=60) and state.last_error is not None:
                raise state.last_error.bare()
            state.check_open()

    def _await_loads(self, table: Interned, keys: Keys | None) -> None:
        """Waits while the batch repeats what a bulk load holds that may yet fail: it would be
        acknowledged as a repeat of rows that are not stored. REQUIRES: the lock.
        """
        state = self._state
        while state.loading:
            mine = (keys, table.regular.insert_keys(*state.dedup.salts))
            if not any(self._undecided(*one) for one in mine if one is not None):
                return
            state.room.wait(timeout=60)
            state.check_open()

    def _undecided(self, hi: U64, lo: U64) -> bool:
        """Whether a load that has not ended has one of the keys."""
        dedup, loads = self._state.dedup, self._state.loading.values()
        asked = hi[dedup.seen(hi, lo) == 1]
        parts = [part for load in loads if load.keys is not None for part in load.keys.parts]
        return bool(len(asked)) and any(np.isin(theirs, asked).any() for _, theirs, _ in parts)

    def _batch_keys(self, batch_id: bytes | None) -> Keys | None:
        if not batch_id:
            return None
        text = b"b" + batch_id
        return self._state.dedup.keys(
            np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)], dtype=np.int64)
        )

    def _apply(
        self,
        table: Interned,
        keys: Keys | None,
        raw: bytes,
        record: tuple[int, int, int],
        grown: Growing,
    ) -> AppendResult:
        """Binds a decoded batch; ``record``: kind and number of its log record, time received."""
        kind, seq, received = record
        taken = self._state.binder.bind(table, received, raw, grown.mem)
        if keys is not None:
            self._state.dedup.add(*keys)
        if not taken.rejected:
            repeated = tuple(taken.repeated)
            return AppendResult(taken.rows, len(repeated), (), repeated)
        refused = sorted(opened(taken.rejected), key=lambda r: r.index)
        left, items = self._state.items.take(((one.index, one) for one in refused), received)
        grown.items += items
        rejected = tuple(one for _, one in left)
        if kind != KIND_REPLAYED:
            grown.keep(left, received, seq)
        repeated = tuple(taken.repeated)
        return AppendResult(taken.rows + len(items), len(repeated), rejected, repeated)


def _refused_record(refused: Sequence[Rejected], received: int) -> Record:
    return pack(_BATCH.pack(received) + packed_rejected(refused))
