"""Compaction: merges neighbouring segments and puts the result in their place.

A merge is one manifest edit that adds the result and removes its parts; then the old files are
removed, and queries that still read them hold their own mappings. Flushes and loads go on beside
it. Groups are merged beside each other on threads of their own, as many as fit in memory: half of
the threads when it runs by itself, which give way to queries unless merging falls behind, all for
a full compaction. Thread-safe; one pass at a time.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from zuji.engine.errors import Corruption, ZujiError
from zuji.engine.index.resolved import Rows
from zuji.engine.priority import give_way
from zuji.engine.storage import compaction, names
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.writer.state import State

log = logging.getLogger(__name__)

STALE_SHARE = 0.05
"""A segment is written anew when rows of so many of its users belong to somebody else."""
ROUNDS = 3
"""Of a pass, in which segments are written anew for this: links may come without an end."""
BEHIND = 2
"""With more groups a shard than this to merge, merging does not give way to queries."""


class Merger:
    """Merges the segments of a writer."""

    def __init__(self, state: State, flush: Callable[[], None]) -> None:
        self._state = state
        self._flush = flush
        self.turn = threading.Lock()  # held by the pass that runs
        threads = state.config.threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="zuji-merge")
        self._quiet_pool = ThreadPoolExecutor(
            max(1, threads // 2), thread_name_prefix="zuji-merge-quiet", initializer=give_way
        )
        self._rows = 0  # of the merges that run
        self._wanted = 0  # fan-in that somebody asked for since the last pass; 0: nobody did
        self._room = threading.Condition()

    def want(self, fan_in: int = 0) -> None:
        """Notes what the next :meth:`merge_wanted` should do; of several wishes the smallest
        counts.
        """
        fan_in = fan_in or self._state.config.compact_after
        with self._room:
            self._wanted = min(self._wanted or fan_in, fan_in)

    def merge_wanted(self) -> int:
        """:meth:`merge_some` with the fan-in that was asked for."""
        with self._room:
            fan_in, self._wanted = self._wanted, 0
        return self.merge_some(fan_in=fan_in)

    def merge_some(
        self,
        *,
        full: bool = False,
        fan_in: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Merges until nothing is left that is worth merging (or with ``full``, that can be).

        ``fan_in``: segments of similar size that are, 0: as configured.
        """
        state = self._state
        done = rounds = 0
        with self.turn:
            while not state.closing or full:
                groups = compaction.pick(
                    state.segments, full=full, fan_in=fan_in or state.config.compact_after
                )
                if not groups and (stale := self._stale(full=full)) and rounds < ROUNDS:
                    groups, rounds = stale, rounds + 1
                if not groups:
                    break
                for i, part in enumerate(self._merge_all(groups, full=full)):
                    done += 1
                    if progress is not None:
                        progress(i + 1, len(groups))
                    del part
        return done

    def settle(self) -> None:
        """Writes segments anew until all rows stand with their owners, as a full pass does."""
        with self.turn:
            for _ in range(ROUNDS):
                groups = self._stale(full=True)
                if not groups:
                    break
                deque(self._merge_all(groups, full=True), maxlen=0)

    def _stale(self, *, full: bool) -> list[list[Segment]]:
        """Segments with rows of users who are somebody else's: each is written anew, alone."""
        state = self._state
        most = 0.0 if full else STALE_SHARE
        return [[one] for one in state.segments if state.resolved.waiting(one) > most]

    def close(self) -> None:
        """Waits for the merges that run."""
        self._pool.shutdown(wait=True)
        self._quiet_pool.shutdown(wait=True)

    def _merge_all(
        self, groups: Sequence[Sequence[Segment]], *, full: bool
    ) -> Iterable[list[SegmentMeta]]:
        """Merges groups beside each other. A damaged segment is raised when the other groups are
        merged. When this ends, even by an error, none is running.
        """
        threads = self._state.config.threads
        at_once = threads if full else max(1, threads // 2)
        behind = len(groups) > BEHIND * self._state.shards
        pool = self._pool if full or behind else self._quiet_pool
        waiting = deque(groups)
        running: set[Future[list[SegmentMeta]]] = set()
        problem: BaseException | None = None
        try:
            while waiting or running:
                if self._state.closing and not full:
                    waiting.clear()
                while waiting and len(running) < at_once:
                    running.add(pool.submit(self._merge_in_room, waiting.popleft()))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    if (failed := future.exception()) is None:
                        yield future.result()
                    elif isinstance(failed, Corruption):  # of its parts: others can be merged
                        problem = problem or failed
                    else:
                        raise failed
            if problem is not None:
                raise problem
        finally:
            wait(running)

    def _merge_in_room(self, group: Sequence[Segment]) -> list[SegmentMeta]:
        rows = sum(segment.meta.rows for segment in group)
        with self._room:
            while self._rows and self._rows + rows > compaction.MERGING_ROWS:
                self._room.wait()
            self._rows += rows
        try:
            return self._merge_one(group)
        finally:
            with self._room:
                self._rows -= rows
                self._room.notify_all()

    def _merge_one(self, group: Sequence[Segment]) -> list[SegmentMeta]:
        state = self._state
        state.manifest.check()
        rows = self._rows_of(group)
        written: list[str] = []
        committing = False
        try:
            metas = []
            if rows.here:
                number = state.number()
                file = state.new(names.segment(number), written)
                metas.append(
                    compaction.merge(
                        state.files,
                        rows.here,
                        state.path(file),
                        segment_id=number,
                        file=file,
                        tz=state.tz,
                    )
                )
            for gathered in rows.elsewhere:
                number = state.number()
                file = state.new(names.segment(number), written)
                metas.append(
                    compaction.write_gathered(
                        state.files,
                        gathered,
                        state.path(file),
                        segment_id=number,
                        file=file,
                        tz=state.tz,
                    )
                )
            state.files.sync_dir(state.path(names.SEGMENT_DIR))
            merged = [Segment(state.files, state.path(meta.file), meta) for meta in metas]
            if rows.number:  # rows were moved for what the log says: it must be durable before
                assert state.wal is not None
                state.wal.sync(state.wal.next_seq - 1)
            with state.lock:
                committing = True
                self._commit(group, metas, rows.number)
                gone = {s.meta.id for s in group}
                kept = [s for s in state.segments if s.meta.id not in gone]
                state.segments = (*kept, *merged)
                state.changes += 1
                state.compactions += 1
                state.merged_bytes += sum(meta.bytes for meta in metas)
        except BaseException as problem:
            known = state.discard_unless_unknown(written, problem, committing=committing)
            state.failed("a merge", problem, known=known)
            raise
        for old in group:  # queries that still read them hold their own mappings
            try:
                state.files.remove(state.path(old.meta.file))
            except ZujiError:
                log.warning("could not remove path=%s", old.meta.file)
        return metas

    def _commit(self, group: Sequence[Segment], metas: Sequence[SegmentMeta], number: int) -> None:
        """One edit. REQUIRES: the lock."""
        state = self._state
        gone = tuple(s.meta.id for s in group)
        written = state.link_store.written
        linked = {one: n for one, n in written.items() if one not in gone}
        if number:
            linked |= {meta.id: number for meta in metas}
        extra = {} if linked == written else {"linked": {str(k): n for k, n in linked.items()}}
        state.manifest.commit(
            Edit(add=tuple(metas), remove=gone, next_id=state.next_id, extra_updates=extra)
        )
        written.clear()
        written.update(linked)

    def _rows_of(self, group: Sequence[Segment]) -> Rows:
        """The rows of a group, each with its owner. What the rows of a log that is not yet flushed
        say is flushed first: a segment must not name users whom no file of ids knows.
        """
        state = self._state
        while len(state.links):
            rows = state.resolved.of_merge(group)
            with state.lock:
                known = all(
                    state.identity.is_saved(shard, ordinal)
                    for shard, ordinal in rows.newest.items()
                )
            if known:
                return rows
            self._flush()
        return Rows(list(group), [], 0, {})
