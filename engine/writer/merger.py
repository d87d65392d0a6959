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
from zuji.engine.priority import give_way
from zuji.engine.storage import compaction, names
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.writer.state import State

log = logging.getLogger(__name__)

BEHIND = 2
"""With more groups a shard than this to merge, merging does not give way to queries."""


class Merger:
    """Merges the segments of a writer."""

    def __init__(self, state: State) -> None:
        self._state = state
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
        done = 0
        with self.turn:
            while not state.closing or full:
                groups = compaction.pick(
                    state.segments, full=full, fan_in=fan_in or state.config.compact_after
                )
                if not groups:
                    break
                for i, part in enumerate(self._merge_all(groups, full=full)):
                    done += 1
                    if progress is not None:
                        progress(i + 1, len(groups))
                    del part
        return done

    def close(self) -> None:
        """Waits for the merges that run."""
        self._pool.shutdown(wait=True)
        self._quiet_pool.shutdown(wait=True)

    def _merge_all(
        self, groups: Sequence[Sequence[Segment]], *, full: bool
    ) -> Iterable[SegmentMeta]:
        """Merges groups beside each other. A damaged segment is raised when the other groups are
        merged. When this ends, even by an error, none is running.
        """
        threads = self._state.config.threads
        at_once = threads if full else max(1, threads // 2)
        behind = len(groups) > BEHIND * self._state.shards
        pool = self._pool if full or behind else self._quiet_pool
        waiting = deque(groups)
        running: set[Future[SegmentMeta]] = set()
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

    def _merge_in_room(self, group: Sequence[Segment]) -> SegmentMeta:
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

    def _merge_one(self, group: Sequence[Segment]) -> SegmentMeta:
        state = self._state
        state.manifest.check()
        number = state.number()
        file = names.segment(number)
        path = state.path(file)
        gone = {s.meta.id for s in group}
        committing = False
        try:
            meta = compaction.merge(
                state.files, group, path, segment_id=number, file=file, tz=state.tz
            )
            state.files.sync_dir(state.path(names.SEGMENT_DIR))
            merged = Segment(state.files, path, meta)
            with state.lock:
                committing = True
                state.manifest.commit(Edit(add=(meta,), remove=tuple(gone), next_id=state.next_id))
                kept = [s for s in state.segments if s.meta.id not in gone]
                state.segments = (*kept, merged)
                state.changes += 1
                state.compactions += 1
                state.merged_bytes += meta.bytes
        except BaseException as problem:
            known = state.discard_unless_unknown([path], problem, committing=committing)
            state.failed("a merge", problem, known=known)
            raise
        for old in group:  # queries that still read them hold their own mappings
            try:
                state.files.remove(state.path(old.meta.file))
            except ZujiError:
                log.warning("could not remove path=%s", old.meta.file)
        return meta
