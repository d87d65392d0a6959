"""Bulk loads: frames that become durable without the WAL, in turns.

Loads of several threads are bound one after the other (each takes a ticket), written beside each
other, and committed in ticket order: segments and everything else of a load in one manifest edit.
A load that fails takes those bound after it along: they were compared with its keys, and the import
ledger must not move past a hole. Thread-safe.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import StorageFailed, StorageFull, ZujiError
from zuji.engine.index.before import Before
from zuji.engine.storage import names
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.segment import Segment
from zuji.engine.writer.state import Growing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.index.identity import IdChunk
    from zuji.engine.ingest.seen import FrameSays
    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.writer.flusher import Flusher
    from zuji.engine.writer.state import State

BULK_IDS = 3_602
"""Segment numbers set aside for a bulk load, a shard: one for each month of the years that event
times lie in, 1900 to 2199, in any time zone.
"""
CROWDED = 128
"""Segments in one shard and partition after which a bulk load wakes compaction."""
CROWD_FAN_IN = 32
"""Segments that it then merges at least: more at once means that a row is rewritten less often."""
MANY = 512
"""Segments of the project after which it merges as at any other time: each is an open file."""


class Loader:
    """Bulk loads of a writer. ``maintain`` is called after each with the number of segments that
    are worth merging now, 0: none.
    """

    def __init__(self, state: State, flusher: Flusher, maintain: Callable[[int], None]) -> None:
        self._state = state
        self._flusher = flusher
        self._maintain = maintain
        self._tickets = 0
        self._ended = 0  # all tickets below have ended
        self._loading = state.loading  # bound and not yet ended, by ticket
        self._void: dict[int, BaseException] = {}  # those that must fail, and why
        self._finished: set[int] = set()

    def load(
        self,
        make: Callable[[], tuple[FrameSays, dict[str, Any]]],
        bound: Callable[[], object] = lambda: None,
        failed: list[BaseException] | None = None,
    ) -> None:
        """See :meth:`Writer.load`."""
        state = self._state
        with state.lock:
            state.check_open()
            if state.active.logged:
                self._flusher.freeze()
        if state.frozen:
            self._flusher.flush_frozen()
        with state.lock:
            state.check_open()
            state.manifest.check()
            if failed:
                raise _after(failed[0])
            says, more, grown = self._bind(make, failed)
            assert state.wal is not None
            compared = state.wal.next_seq - 1  # with the keys of records up to this one
            ticket = self._tickets
            self._tickets += 1
            self._loading[ticket] = grown
            numbers = iter(range(state.next_id, state.next_id + BULK_IDS * state.shards))
            state.next_id += BULK_IDS * state.shards
        bound()
        written: list[str] = []
        committing = False
        try:
            metas: list[SegmentMeta] = []
            if says.frame.n:
                metas = self._flusher.write_segments(says.frame, written, numbers)
            self._await_turn(ticket)
            # Rows were left out as repeats of logged ones: those must be durable before the rest.
            state.wal.sync(compared)
            with state.maintenance:
                extra = {
                    **self._flusher.write_extras(grown, written),
                    **self._merged_imports(more),
                }
                state.sync_dirs()
                fresh = tuple(Segment(state.files, state.path(m.file), m) for m in metas)
                with state.lock, Before(state.links):
                    # Its links are made here, and nobody sees them before they are stored.
                    says.tell(state.links, state.identity.erased.all)
                    extra |= self._write_links(grown, extra["ids"], written)
                    committing = True
                    edit = Edit(add=tuple(metas), next_id=state.next_id, extra_updates=extra)
                    state.manifest.commit(edit)
                    state.segments = state.segments + fresh
                    state.changes += 1
                    state.identity.saved(extra["ids"])
                    state.dedup.saved(extra["dedup"])
                    old = state.link_store.saved(extra["links"])
                    state.flushes += 1
                    state.stored_bytes += sum(meta.bytes for meta in metas)
                    self._finish_turn(ticket)
        except BaseException as problem:
            known = state.discard_unless_unknown(written, problem, committing=committing)
            with state.lock:
                if failed is not None:
                    failed.append(problem)
                if not known:
                    state.failed("a bulk load", problem, known=False)
                else:
                    # Nothing of the frame is stored. Its names and users stay known, which harms
                    # nobody; its keys must go, or sending it again would be taken for a repeat.
                    # What it says of ids was not said yet, or was taken back.
                    self._forget_from(ticket, problem)
                    if grown.links is not None:
                        state.link_store.thaw(grown.links)  # what others said is among it
                self._finish_turn(ticket)
            raise
        state.discard(state.path(name) for name in old)
        self._maintain(crowd(state.segments, state.config.compact_after))

    def _bind(
        self,
        make: Callable[[], tuple[FrameSays, dict[str, Any]]],
        failed: list[BaseException] | None,
    ) -> tuple[FrameSays, dict[str, Any], Growing]:
        """What ``make`` gives, and what its rows changed. REQUIRES: the lock."""
        state = self._state
        # Keys of batches that only the log holds must not be stored with this frame: after a
        # crash the log would be taken for a repeat.
        of_log = state.dedup.freeze()
        problem: BaseException | None = None
        try:
            says, more = make()
        except BaseException as raised:
            problem = raised
            raise
        finally:
            grown = Growing(state.active.strings, state.active.mem)
            grown.keys = state.dedup.freeze()
            state.dedup.thaw(of_log)
            if problem is not None:
                state.dedup.forget(grown.keys)
                if failed is not None:
                    failed.append(problem)
        grown.users = state.identity.unsaved()
        state.catalog.changes = 0
        return says, more, grown

    def _write_links(
        self, grown: Growing, ids: list[list[IdChunk]], written: list[str]
    ) -> dict[str, Any]:
        """Files of all links as they are now, and of the ids that came since those of the load: a
        file of links must not name users whom no file of ids knows. REQUIRES: the lock.
        """
        state = self._state
        grown.links = state.link_store.freeze()
        assert state.wal is not None
        state.wal.sync(state.wal.next_seq - 1)  # what the log says of ids may be among it
        if not grown.links.parts:
            return {"links": self._flusher.write_links(grown.links, written)}
        known = [sum(chunk[2] for chunk in mine) for mine in ids]
        new = state.identity.take(state.identity.unsaved(), known)
        found = {
            "ids": state.identity.save(
                new, lambda: state.new(names.ids(state.number()), written), ids
            ),
            "links": self._flusher.write_links(grown.links, written),
        }
        state.files.sync_dir(state.path(names.IDS_DIR))
        return found

    def _await_turn(self, ticket: int) -> None:
        state = self._state
        with state.lock:
            while True:
                if (why := self._void.get(ticket)) is not None:
                    raise _after(why)
                if self._ended == ticket:
                    return
                state.check_open()
                state.room.wait(timeout=60)

    def _forget_from(self, ticket: int, why: BaseException) -> None:
        """Takes back the keys of a load that failed and of all bound after it, which fail too.

        REQUIRES: the lock.
        """
        if self._void.pop(ticket, None) is not None:
            return  # done when the load before it failed
        for later, grown in self._loading.items():
            if later >= ticket and later not in self._void:
                self._state.dedup.forget(grown.keys)
                if later > ticket:
                    self._void[later] = why

    def _finish_turn(self, ticket: int) -> None:
        """REQUIRES: the lock."""
        self._loading.pop(ticket, None)
        self._finished.add(ticket)
        while self._ended in self._finished:
            self._finished.discard(self._ended)
            self._ended += 1
        self._state.room.notify_all()

    def _merged_imports(self, more: dict[str, Any]) -> dict[str, Any]:
        """Ledger entries beside those that are there; called in commit order."""
        if "imports" not in more:
            return more
        known = self._state.manifest.state.extra.get("imports", {})
        return {**more, "imports": {**known, **more["imports"]}}


def crowd(segments: Sequence[Segment], compact_after: int) -> int:
    """How many segments should be merged at once, 0 while queries do not suffer.

    Not before there is a crowd: who loads much often asks for a full compaction at the end.
    """
    if len(segments) > MANY:
        return compact_after
    places = Counter((s.shard, s.partition) for s in segments)
    return CROWD_FAN_IN if max(places.values(), default=0) > CROWDED else 0


def _after(why: BaseException) -> ZujiError:
    """Error of a load that is not stored because one before it was not."""
    kind = StorageFull if isinstance(why, StorageFull) else StorageFailed
    return kind(f"not stored, because the table before it was not: {why}")
