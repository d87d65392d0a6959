"""The quarantine of an open project: what is in it, and taking entries out of it for good.

Entries stand in memory until the flush of the records that they came with, then in files; their ids
do not change by that. Ids grow, and listing is in their order. Taking out: files are written anew
without the entries, and one manifest edit names them in place of the old ones, so that after a
crash all of the entries are there or none. Thread-safe.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from zuji.engine.errors import Corruption, NotFound, ZujiError
from zuji.engine.quarantine import read_quarantine, write_quarantine
from zuji.engine.storage import names
from zuji.engine.storage.manifest import Edit, Manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from zuji.engine.quarantine import Kept, Key
    from zuji.engine.writer.flusher import Flusher
    from zuji.engine.writer.state import State

log = logging.getLogger(__name__)


class Quarantine:
    """The rejected events of a project."""

    def __init__(self, state: State, flusher: Flusher) -> None:
        self._state = state
        self._flusher = flusher

    def in_memory(self) -> list[Kept]:
        """Entries that no file holds yet."""
        state = self._state
        with state.lock:
            return [kept for grown in (*state.frozen, state.active) for kept in grown.kept]

    def entries(self, after: Key = ()) -> Iterator[Kept]:
        """Entries whose keys are greater than ``after``, ascending. O(bytes of the quarantine).

        Raises Corruption when a file is damaged; the entries before the damage come first.
        """
        fresh = self.in_memory()  # before the files: a flush meanwhile moves them there
        looking = True
        while looking:
            looking = False
            for name, _ in self._files():
                try:
                    for kept in read_quarantine(self._state.files, self._state.path(name)):
                        if kept.key > after:
                            after = kept.key
                            yield kept
                except NotFound:
                    if any(name == named for named, _ in self._files()):
                        raise
                    looking = True  # entries were taken out: another file has the rest
                    break
        for kept in fresh:
            if kept.key > after:
                after = kept.key
                yield kept

    def remove(self, keys: Collection[Key]) -> int:
        """Takes entries out; returns how many were there. Durable on return, all or none of them.

        Raises StorageFull, StorageFailed, ReadOnly, EngineClosed. O(bytes of the quarantine).
        """
        state = self._state
        state.check_open()
        if any(kept.key in keys for kept in self.in_memory()):
            self._flusher.flush()
        with state.maintenance:
            state.manifest.check()
            written: list[str] = []
            committing = False
            try:
                files, gone, removed = self._without(keys, written)
                if not gone:
                    return 0
                state.files.sync_dir(state.path(names.QUARANTINE_DIR))
                committing = True
                state.manifest.commit(
                    Edit(next_id=state.next_id, extra_updates={"quarantine": files})
                )
            except BaseException as problem:
                known = state.discard_unless_unknown(written, problem, committing=committing)
                state.failed("a removal from the quarantine", problem, known=known)
                raise
        for name in gone:
            try:
                state.files.remove(state.path(name))
            except ZujiError:
                log.warning("could not remove path=%s", name)  # the next start does
        return removed

    def _without(
        self, keys: Collection[Key], written: list[str]
    ) -> tuple[list[tuple[str, int]], list[str], int]:
        """Files as the manifest is to name them, those that it is to name no more, and the number
        of entries that this takes out.
        """
        state = self._state
        files: list[tuple[str, int]] = []
        gone: list[str] = []
        removed = 0
        for name, count in self._files():
            try:
                there = list(read_quarantine(state.files, state.path(name)))
            except Corruption as problem:
                log.warning("left as it is path=%s: %s", name, problem)
                files.append((name, count))
                continue
            left = [kept for kept in there if kept.key not in keys]
            if len(left) == len(there):
                files.append((name, count))
                continue
            removed += len(there) - len(left)
            gone.append(name)
            if left:
                fresh = state.new(names.rejected(state.number()), written)
                write_quarantine(state.files, state.path(fresh), left)
                files.append((fresh, len(left)))
        return files, gone, removed

    def _files(self) -> Sequence[tuple[str, int]]:
        """File and number of entries, as the manifest names them at this moment."""
        state = self._state
        manifest = state.manifest
        if state.wal is None:  # another process may write
            manifest = Manifest.open(state.files, state.directory, read_only=True)
        return [(name, count) for name, count in manifest.state.extra.get("quarantine", [])]
