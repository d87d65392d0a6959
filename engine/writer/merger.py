"""Compaction: merges neighbouring segments and puts the result in their place.

A merge is one manifest edit that adds the result and removes its parts; then the old files are
removed, and queries that still read them hold their own mappings. Groups are merged beside each
other on the writer's pool, as many as fit in memory. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING

from zuji.engine.errors import ZujiError
from zuji.engine.storage import compaction, names
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.writer.state import State

log = logging.getLogger(__name__)


class Merger:
    """Merges the segments of a writer."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rows = 0  # of the merges that run
        self._room = threading.Condition()

    def merge_some(
        self, *, full: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Merges until nothing is left that is worth merging (or with ``full``, that can be)."""
        state = self._state
        done = 0
        with state.maintenance:
            while not state.closing or full:
                groups = compaction.pick(
                    state.segments, full=full, fan_in=state.config.compact_after
                )
                if not groups:
                    break
                for i, part in enumerate(self._merge_all(groups)):
                    done += 1
                    if progress is not None:
                        progress(i + 1, len(groups))
                    del part
        return done

    def _merge_all(self, groups: Sequence[Sequence[Segment]]) -> Iterable[SegmentMeta]:
        """Merges groups beside each other. When this ends, even by an error, none is running."""
        futures = [self._state.pool.submit(self._merge_in_room, group) for group in groups]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

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
        except ZujiError as problem:
            state.discard_unless_unknown([path], problem, committing=committing)
            state.last_error = problem
            raise
        for old in group:  # queries that still read them hold their own mappings
            try:
                state.files.remove(state.path(old.meta.file))
            except ZujiError:
                log.warning("could not remove path=%s", old.meta.file)
        return meta
