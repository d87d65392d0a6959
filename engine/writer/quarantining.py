"""The quarantine of an open project: what is in it, and taking entries out of it for good.

Entries stand in memory until the flush of the records that they came with, then in files; their ids
do not change by that. Ids grow, and listing is in their order. Taking out: files are written anew
without the entries, and one manifest edit names them in place of the old ones, so that after a
crash all of the entries are there or none. Thread-safe.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from zuji.engine.errors import Corruption, NotFound, ZujiError
from zuji.engine.quarantine import key_of, read_quarantine, write_quarantine
from zuji.engine.storage import names
from zuji.engine.storage.manifest import Edit, Manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from zuji.engine.quarantine import Kept, Key
    from zuji.engine.writer.flusher import Flusher
    from zuji.engine.writer.state import State

log = logging.getLogger(__name__)


class _File(NamedTuple):
    """A file as the manifest names it. ``last``: id of its last entry, empty when an old release
    wrote it. Files follow each other in the order of their entries.
    """

    name: str
    entries: int
    last: str = ""

    @property
    def until(self) -> Key | None:
        """Key of its last entry, if known."""
        return key_of(self.last) if self.last else None


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
        """Entries whose keys are greater than ``after``, ascending. O(bytes of the files that have
        some of them).

        Raises Corruption when a file is damaged; the entries before the damage come first.
        """
        fresh = self.in_memory()  # before the files: a flush meanwhile moves them there
        looking = True
        while looking:
            looking = False
            for file in self._files():
                if (until := file.until) is not None and until <= after:
                    continue
                try:
                    for kept in read_quarantine(self._state.files, self._state.path(file.name)):
                        if kept.key > after:
                            after = kept.key
                            yield kept
                except NotFound:
                    if any(file.name == now.name for now in self._files()):
                        raise
                    looking = True  # entries were taken out: another file has the rest
                    break
        for kept in fresh:
            if kept.key > after:
                after = kept.key
                yield kept

    def remove(self, keys: Collection[Key]) -> int:
        """Takes entries out; returns how many were there. Durable on return, all or none of them.

        Raises StorageFull, StorageFailed, ReadOnly, EngineClosed. O(bytes of their files).
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
                    Edit(
                        next_id=state.next_id,
                        extra_updates={"quarantine": [list(file) for file in files]},
                    )
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
    ) -> tuple[list[_File], list[str], int]:
        """Files as the manifest is to name them, those that it is to name no more, and the number
        of entries that this takes out.
        """
        state = self._state
        ordered = sorted(keys)
        files: list[_File] = []
        gone: list[str] = []
        removed = seen = 0
        for file in self._files():
            before, until = seen, file.until
            if until is not None:
                seen = bisect_right(ordered, until)
                if seen == before:  # no key between the file before and its last
                    files.append(file)
                    continue
            try:
                there = list(read_quarantine(state.files, state.path(file.name)))
            except Corruption as problem:
                log.warning("left as it is path=%s: %s", file.name, problem)
                files.append(file)
                continue
            left = [kept for kept in there if kept.key not in keys]
            if len(left) == len(there):
                files.append(file)
                continue
            removed += len(there) - len(left)
            gone.append(file.name)
            if left:
                fresh = state.new(names.rejected(state.number()), written)
                write_quarantine(state.files, state.path(fresh), left)
                files.append(_File(fresh, len(left), left[-1].id))
        return files, gone, removed

    def _files(self) -> Sequence[_File]:
        """Files as the manifest names them at this moment."""
        state = self._state
        manifest = state.manifest
        if state.wal is None:  # another process may write
            manifest = Manifest.open(state.files, state.directory, read_only=True)
        return [_File(*one) for one in manifest.state.extra.get("quarantine", [])]
