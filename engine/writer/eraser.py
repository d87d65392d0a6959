"""Eraser: erased users out of sight at once, and out of all files with the next compaction.

Erasing is one manifest edit (:meth:`Flusher.erase`): from then on the ordinals are nobody's, and
who reads sees their rows no more (:meth:`Eraser.seen`). Purging writes every segment that has such
rows anew without them, the chunks of ids that have their ids, and lets whoever else keeps
something by ordinal forget (``forgets``); the last edit says that no file has them any more. Cut
off anywhere, the next purge does the rest. Thread-safe; one purge at a time, and none beside a
merge.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from zuji.engine.errors import Corruption, ZujiError
from zuji.engine.index import unlinking
from zuji.engine.storage import names
from zuji.engine.storage.fewer import Fewer, has_any
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.rewriting import rewrite
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.without import Without

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from zuji.engine.index.erased import Ordinals
    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.storage.source import Source
    from zuji.engine.types import U32
    from zuji.engine.writer.flusher import Flusher
    from zuji.engine.writer.merger import Merger
    from zuji.engine.writer.state import State

log = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Segments that are written anew beside each other."""


class Forgets(Protocol):
    """Somebody who keeps something by ordinal: members of cohorts, values of tags."""

    def forget(self, ordinals: Ordinals) -> int:
        """Lets go of all that is kept of these ordinals, in every version; how many things. Durable
        on return, and nothing is left in a file. Called again with the same after a crash.
        """


@dataclass(slots=True)
class Purged:
    """What a purge did. ``damaged``: copies of damaged bytes, which nobody can search, removed.
    ``bytes``: how much smaller the segments are.
    """

    users: int = 0
    rows: int = 0
    segments: int = 0
    id_files: int = 0
    kept_things: int = 0
    damaged: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Seen:
    """What a segment is without the users who were erased up to a version."""

    version: int
    source: Source | None  # None: it has none of their rows


class Eraser:
    """Erases users of a writer's state."""

    def __init__(self, state: State, flusher: Flusher, merger: Merger) -> None:
        self._state = state
        self._flusher = flusher
        self._merger = merger
        self._loads: set[int] = set()  # that may bring rows of users erased while they ran
        self._seen: dict[bool, dict[int, tuple[Source, _Seen]]] = {}  # of the sources given last
        self.forgets: list[Forgets] = []

    # -- at once -------------------------------------------------------------------------------

    def erase(self, ordinals: Ordinals, applied: int, ids: Collection[str]) -> None:
        """See :meth:`Flusher.erase`."""
        self._flusher.erase(ordinals, applied, ids)
        with self._state.lock:
            self._loads |= set(self._state.loading)

    def seen(
        self, sources: Iterable[Sequence[Source]], *, gathered: bool = False
    ) -> list[list[Source]]:
        """Sources by shard without the rows of erased users. O(1) a source that was asked for
        before and since which nobody was erased. ``gathered``: they were resolved, so that rows
        in memory may be theirs, too; else a memtable is flushed before its users are erased.
        """
        with self._state.lock:
            erased = self._state.identity.erased
            hidden, version = erased.hidden(), erased.version
        found = []
        before = self._seen.get(gathered, {})
        looked: dict[int, tuple[Source, _Seen]] = {}
        for shard, mine in enumerate(sources):
            gone = hidden.get(shard)
            if gone is None:
                found.append(list(mine))
                continue
            kinds = (Segment, MemorySource) if gathered else (Segment,)
            shown = []
            for source in mine:
                if isinstance(source, kinds):
                    known = _seen_of(source, gone, version, before.get(id(source)))
                    looked[id(source)] = source, known
                    source = known.source or source
                if source.rows:
                    shown.append(source)
            found.append(shown)
        self._seen[gathered] = looked
        return found

    # -- out of all files ----------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Erased users who may still have rows in files."""
        with self._state.lock:
            return sum(len(mine) for mine in self._state.identity.erased.hidden().values())

    def purge(self, progress: Callable[[int, int], None] | None = None) -> Purged:
        """Removes everything of erased users from all files. ``progress``: segments done, of all
        that may have their rows.

        Raises:
            Corruption: a segment is damaged; the others are done, and the users wait on.
            StorageFull, StorageFailed, ReadOnly, EngineClosed: what was done by then stays done.
        """
        state, done = self._state, Purged()
        with state.lock:
            state.check_open()
            ordinals = state.identity.erased.hidden()
            loads = set(self._loads)
        if not ordinals:
            return done
        self._flusher.flush_frozen()
        self._await(loads)
        with state.lock:
            shared = unlinking.belongings(state.links, unlinking.places_in(ordinals))[1]
        if shared:  # rows that are theirs by a device that others are on, too
            self._merger.settle()
        with self._merger.turn:
            self._rewrite_segments(ordinals, done, progress)
        for keeper in self.forgets:
            done.kept_things += keeper.forget(ordinals)
        self._remove_damaged(done)
        self._rewrite_ids(ordinals, done)
        with state.lock:
            self._loads -= loads
        done.users = sum(map(len, ordinals.values()))
        log.info(
            "purged users=%d rows=%d segments=%d bytes=%d",
            done.users,
            done.rows,
            done.segments,
            done.bytes,
        )
        return done

    def _await(self, loads: set[int]) -> None:
        """Waits for bulk loads that were bound before their users were erased."""
        state = self._state
        with state.lock:
            while loads & set(state.loading):
                state.check_open()
                state.room.wait(timeout=60)

    def _rewrite_segments(
        self, ordinals: Ordinals, done: Purged, progress: Callable[[int, int], None] | None
    ) -> None:
        mine = [s for s in self._state.segments if s.shard in ordinals]
        problem: ZujiError | None = None
        with ThreadPoolExecutor(min(AT_ONCE, self._state.config.threads)) as pool:
            work = [pool.submit(self._without, s, ordinals[s.shard], done) for s in mine]
            try:
                for number, future in enumerate(work):
                    try:
                        future.result()
                    except Corruption as raised:  # others can be written
                        problem = problem or raised
                    if progress is not None:
                        progress(number + 1, len(mine))
            finally:
                for future in work:
                    future.cancel()
        if problem is not None:
            raise problem

    def _without(self, segment: Segment, users: U32, done: Purged) -> None:
        if has_any(segment, users):
            self._replace(segment, Fewer(segment, users), done)

    def _replace(self, segment: Segment, fewer: Fewer, done: Purged) -> None:
        """Puts what is left of a segment in its place."""
        state = self._state
        state.manifest.check()
        written: list[str] = []
        committing = False
        try:
            meta: SegmentMeta | None = None
            if fewer.rows:
                number = state.number()
                file = state.new(names.segment(number), written)
                path = state.path(file)
                meta = rewrite(state.files, fewer, path, segment_id=number, file=file, tz=state.tz)
                state.files.sync_dir(state.path(names.SEGMENT_DIR))
            with state.lock:
                committing = True
                state.replace([(segment, meta)])
        except BaseException as problem:
            known = state.discard_unless_unknown(written, problem, committing=committing)
            state.failed("a purge", problem, known=known)
            raise
        self._remove([segment.meta.file])
        with state.lock:
            done.segments += 1
            done.rows += fewer.dropped
            done.bytes += segment.meta.bytes - (0 if meta is None else meta.bytes)

    def _remove_damaged(self, done: Purged) -> None:
        """Copies of damaged bytes may hold anybody's."""
        files = self._state.files
        folder = self._state.path(names.QUARANTINE_DIR)
        for file in files.list(folder):
            if file.endswith(names.DAMAGED_SUFFIX):
                files.remove(names.path(folder, file))
                done.damaged += 1

    def _rewrite_ids(self, ordinals: Ordinals, done: Purged) -> None:
        """Chunks of ids, files of links and the manifest itself without erased users; then an edit
        that says that all is done.
        """
        state = self._state
        written: list[str] = []
        committing = False
        with state.maintenance:
            try:
                chunks, gone = state.identity.rewritten(
                    ordinals, lambda: state.new(names.ids(state.number()), written)
                )
                links, unlinked = unlinking.rewritten(
                    state.link_store,
                    ordinals,
                    lambda: state.new(names.links(state.number()), written),
                )
                state.files.sync_dir(state.path(names.IDS_DIR))
                with state.lock:
                    committing = True
                    extra = {"ids": chunks, "links": links}
                    state.manifest.commit(Edit(next_id=state.next_id, extra_updates=extra))
                    state.identity.saved(chunks)
                    state.link_store.saved(links)
            except BaseException as problem:
                known = state.discard_unless_unknown(written, problem, committing=committing)
                state.failed("a purge", problem, known=known)
                raise
            self._remove([*gone, *unlinked])
            state.manifest.renew()  # its edits may name ids that were said by hand
            with state.lock:
                erased = state.identity.erased.copy()
                erased.gone(ordinals)
                state.manifest.commit(Edit(extra_updates={"erased": erased.dump()}))
                state.identity.erased.gone(ordinals)
                unlinking.part(state.links, ordinals)
                state.changes += 1
        done.id_files = len(gone) + len(unlinked)

    def _remove(self, files: Iterable[str]) -> None:
        for file in files:  # queries that still read them hold their own mappings
            try:
                self._state.files.remove(self._state.path(file))
            except ZujiError:
                log.warning("could not remove path=%s", file)  # the next opening does


def by_shard(places: Iterable[tuple[int, int]]) -> Ordinals:
    """(shard, ordinal) pairs as arrays by shard, ascending, each once."""
    found: dict[int, set[int]] = {}
    for shard, ordinal in places:
        found.setdefault(shard, set()).add(ordinal)
    return {shard: np.array(sorted(mine), np.uint32) for shard, mine in found.items()}


def _seen_of(source: Source, gone: U32, version: int, known: tuple[Source, _Seen] | None) -> _Seen:
    if known is not None and known[0] is source and known[1].version == version:
        return known[1]
    return _Seen(version, Without(source, gone) if has_any(source, gone) else None)
