"""Freezing and flushing: how a memtable becomes segments.

Freeze: the WAL rotates and the memtable with everything that its rows changed (catalog, users,
dedup keys, rejects) is set aside at one point of the record order. Flush: segments, ids, keys and
rejects are written and synced, one manifest edit names them and moves the WAL floor, only then is
the WAL trimmed (I4). A failed flush leaves the frozen memtable where it is, readable, and is tried
again; one that may have been committed ends the writer, as its rows would be stored twice.
Thread-safe; one flush at a time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import StorageFull
from zuji.engine.index import unlinking
from zuji.engine.quarantine import write_quarantine
from zuji.engine.storage import names
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.segment_writer import write_frame
from zuji.engine.writer.pace import Loud, Quiet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from zuji.engine.index.erased import Ordinals
    from zuji.engine.index.link_store import Changed
    from zuji.engine.storage.frame import Sliced
    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.writer.state import Growing, State

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Erasing:
    """An erasure that goes with a flush."""

    ordinals: Ordinals
    applied: int

    def after(self, state: State) -> dict[str, Any] | None:
        """What the manifest is to say."""
        erased = state.identity.erased.copy()
        erased.add(self.ordinals, self.applied)
        return erased.dump()

    def done(self, state: State) -> None:
        """It says so. REQUIRES: the lock."""
        unlinking.forget(state.links, self.ordinals)  # first: it asks for their ids
        state.identity.erase(self.ordinals, self.applied)
        state.changes += 1


class Flusher:
    """Flushes a writer's memtables."""

    def __init__(self, state: State) -> None:
        self._state = state

    def freeze_if_possible(self) -> bool:
        """Sets the active memtable aside. A full disk postpones it: the WAL has the rows.

        REQUIRES: the lock.
        """
        try:
            self.freeze()
        except StorageFull as problem:
            self._state.last_error = problem
            log.warning("freeze postponed reason=%s", problem.code)
            return False
        return True

    def freeze(self) -> None:
        """Sets the active memtable aside, unless nothing changed. REQUIRES: the lock."""
        state = self._state
        grown = state.active
        if not grown.logged and not state.catalog.changes:
            return
        assert state.wal is not None
        grown.wal_floor = state.wal.rotate()
        grown.next_seq = state.wal.next_seq
        grown.keys = state.dedup.freeze()
        grown.users = state.identity.unsaved()
        grown.links = state.link_store.freeze()
        state.catalog.changes = 0
        state.frozen = (*state.frozen, grown)
        state.active = state.grow()

    def flush(self) -> None:
        """Writes everything appended so far to segments. Returns when the manifest names them."""
        with self._state.lock:
            self._state.check_open()
            self.freeze()
        self.flush_frozen()

    def flush_frozen(self, *, quietly: bool = False) -> None:
        """Writes the memtables that are set aside, oldest first. ``quietly``: nobody waits for it,
        so appending and queries come first, until the flush is a memtable behind.
        """
        with self._state.maintenance:
            while frozen := self._state.frozen:
                self._flush_one(frozen[0], quietly=quietly and len(frozen) == 1)

    def erase(self, ordinals: Ordinals, applied: int, ids: Collection[str] = ()) -> None:
        """Makes ordinals nobody's and their rows invisible, durable on return, all or nothing.
        ``applied``: number of the entry of the ledger that says so. ``ids``: texts; what was said
        of them by hand is said no more.

        What was appended before is flushed, so that no record that is replayed names an id that is
        no more: most of it first; then, while appending waits, the few rows that came meanwhile.

        Raises:
            StorageFull, Corruption: nobody is erased. StorageFailed: it is not known.
        """
        state = self._state
        with state.maintenance:
            while state.frozen:
                self._flush_one(state.frozen[0], quietly=False)
            with state.lock:
                state.check_open()
                self.freeze()
            while state.frozen:
                self._flush_one(state.frozen[0], quietly=False)
            state.identity.tables()
            with state.lock:
                state.check_open()
                unlinking.unsay(state.link_store, ids)
                self.freeze()
                while len(state.frozen) > 1:
                    self._flush_one(state.frozen[0], quietly=False)
                erasing = _Erasing(ordinals, applied)
                if state.frozen:
                    self._flush_one(state.frozen[0], quietly=False, erasing=erasing)
                else:
                    self._commit_alone(erasing)

    def _commit_alone(self, erasing: _Erasing) -> None:
        state = self._state
        state.manifest.check()
        try:
            links = unlinking.said(state.link_store)
            extra = {"erased": erasing.after(state), "links": links}
            state.manifest.commit(Edit(extra_updates=extra))
            state.link_store.saved(links)
            erasing.done(state)
        except BaseException as problem:
            state.failed("an erasure", problem, known=isinstance(problem, StorageFull))
            raise

    def _flush_one(self, grown: Growing, *, quietly: bool, erasing: _Erasing | None = None) -> None:
        state = self._state
        state.manifest.check()  # else every try leaves files that nobody dares to remove
        written: list[str] = []
        committing = False
        try:
            pace = Quiet(state) if quietly else Loud(state)
            frame = grown.mem.frame() if grown.mem.rows else None
            metas = [] if frame is None else self.write_segments(frame, written, pace=pace)
            before = state.manifest.state.extra.get("items", [])
            extra = self.write_extras(grown, written)
            if erasing is not None:
                extra["erased"] = erasing.after(state)
            state.sync_dirs()
            edit = Edit(
                add=tuple(metas),
                wal_floor=grown.wal_floor,
                next_seq=grown.next_seq,
                next_id=state.next_id,
                extra_updates=extra,
            )
            fresh = tuple(Segment(state.files, state.path(m.file), m) for m in metas)
            committing = True
            state.manifest.commit(edit)
            with state.lock:
                state.segments = state.segments + fresh
                state.frozen = state.frozen[1:]
                state.changes += 1
                state.identity.saved(extra["ids"])
                state.dedup.saved(extra["dedup"])
                old = state.link_store.saved(extra["links"])
                if erasing is not None:
                    erasing.done(state)
                state.last_error = None
                state.flushes += 1
                state.stored_bytes += sum(meta.bytes for meta in metas)
                state.room.notify_all()
        except BaseException as problem:
            known = state.discard_unless_unknown(written, problem, committing=committing)
            state.failed("a flush", problem, known=known)
            raise
        assert state.wal is not None
        state.wal.trim(grown.wal_floor)
        state.let_go(before, extra["items"])
        state.discard(state.path(name) for name in old)

    def write_segments(
        self,
        frame: Sliced,
        written: list[str],
        numbers: Iterator[int] | None = None,
        pace: Loud | None = None,
    ) -> list[SegmentMeta]:
        """Writes a frame as one segment a shard and partition; all synced, none named yet."""
        state = self._state

        def new_file() -> tuple[int, str]:
            number = state.number() if numbers is None else next(numbers)
            return number, state.new(names.segment(number), written)

        return write_frame(
            state.files,
            state.directory,
            frame,
            tz=state.tz,
            new_file=new_file,
            pace=pace or Loud(state),
        )

    def write_extras(self, grown: Growing, written: list[str]) -> dict[str, Any]:
        """Id chunks, dedup keys, links (of a bulk load not: they come last) and rejects of a frozen
        memtable, and what the manifest says of them.
        """
        state = self._state
        with state.lock:  # the tables may not grow while they are read
            new_ids = state.identity.take(grown.users)
            # As it is now: names only grow, and what is stored may be newer than the freeze point.
            catalog = state.catalog.copy()
            generation = state.oldest_generation(without=grown)
            erased = state.identity.erased.dump()  # goes with the ids: one may be among them
        assert grown.keys is not None
        ids = state.identity.save(new_ids, lambda: state.new(names.ids(state.number()), written))
        keys = state.dedup.save(
            grown.keys, lambda: state.new(names.dedup(state.number()), written), generation
        )
        links = self.write_links(grown.links, written) if grown.links is not None else None
        stored = state.manifest.state.extra
        items = state.items.save(
            grown.items,
            stored.get("items", []),
            lambda: state.new(names.items(state.number()), written),
        )
        quarantine = list(stored.get("quarantine", []))
        if grown.kept:
            name = state.new(names.rejected(state.number()), written)
            write_quarantine(state.files, state.path(name), grown.kept)
            quarantine.append([name, len(grown.kept), grown.kept[-1].id])
        return {
            "catalog": catalog.dump(),
            "ids": ids,
            "dedup": keys,
            "erased": erased,
            "generation": generation,
            "items": items,
            "links": links,
            "quarantine": quarantine,
        }

    def write_links(self, links: Changed, written: list[str]) -> dict[str, Any] | None:
        """Files of links, and what the manifest says of them."""
        state = self._state
        return state.link_store.save(links, lambda: state.new(names.links(state.number()), written))
