"""Events in files, which outlive the process.

    folder/
      .lock             held while queues come and go
      <pid>-<random>/   the queue of one process
        .lock           held as long as that process lives
        000000000001.batch, …   one batch each (frames.py); the last one may still fill
        000000000001a.batch, …b.batch   its halves, when the collector found it too large

An event is in the file (in the operating system's hands) when `append` returns. Queues whose lock
nobody holds belong to the dead: `adopt` moves their batches into this process's queue by renaming.

Halves come into being by two renames, `b` before `a`: as soon as `a` exists the whole batch no
longer counts, and before that `b` does not.

Not thread-safe, like every store, but for `adopt`, `sync` and `Batch.load`, which the sending
thread calls without the lock of the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import threading
import uuid
from collections import deque
from typing import TYPE_CHECKING

from zuji_sdk import frames
from zuji_sdk.lock import FileLock
from zuji_sdk.store import Batch, Store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from zuji_sdk.options import Fsync

_log = logging.getLogger(__name__)
_SUFFIX = ".batch"
_LOCK = ".lock"
_QUEUE_NAME = re.compile(r"[0-9]+-[0-9a-f]{12}")  # whatever else lies in the folder is not ours


class DiskBatch(Batch):
    """A file of frames."""

    def __init__(self, batch_id: str, path: str, *, events: int = 0, size: int = 0) -> None:
        super().__init__(batch_id)
        self.path = path
        self.events = events
        self.size = size

    def load(self) -> Sequence[bytes]:
        with open(self.path, "rb") as file:
            contents = frames.read(file.read())
        return contents.events if contents is not None else ()


class DiskStore(Store):
    """One process's queue in a folder that several share."""

    def __init__(
        self,
        folder: str,
        fsync: Fsync,
        batch_events: int,
        batch_bytes: int,
        max_bytes: int,
        tickets: Iterator[int],
    ) -> None:
        super().__init__(batch_events, batch_bytes, max_bytes, tickets)
        self._folder = folder
        self._fsync = fsync
        self._queue: str | None = None  # made with the first batch
        self._lock: FileLock | None = None
        self._numbers = itertools.count(1)
        self._fd = -1  # of the open batch
        self._unsynced: deque[DiskBatch] = deque()
        self._making = threading.Lock()  # of the queue: both threads may be the first to need it

    # Called by the sending thread, without the lock.

    def sync(self) -> None:
        """Make sealed batches survive the machine, as `fsync="batch"` promises."""
        queue = self._queue
        if not self._unsynced or queue is None:
            return
        while self._unsynced:
            with contextlib.suppress(FileNotFoundError):  # given up meanwhile
                _sync(self._unsynced.popleft().path)
        _sync(queue)

    def adopt(self, found: list[DiskBatch]) -> None:
        """Move batches of dead processes here, as many as there is room for; `add` them then."""
        room = self._max_bytes - self.bytes
        if not self._others():
            return
        ours = self._own_queue()  # before the folder is locked, which making one needs as well
        with contextlib.closing(self._orphans()) as orphans:
            for queue in orphans:
                for name in _settled_names(queue):
                    path = os.path.join(queue, name)
                    if os.path.getsize(path) > room:
                        return
                    batch = self._move(path, ours)
                    if batch is not None:
                        found.append(batch)
                        room -= batch.size
                _remove_queue(queue)

    def _move(self, path: str, queue: str) -> DiskBatch | None:
        """Rename another's file into this queue; None (and it is deleted) when nothing is in it."""
        with open(path, "rb") as file:
            data = file.read()
        contents = frames.read(data)
        unreadable = len(data) if contents is None else contents.rest_bytes
        if unreadable:
            _log.warning("torn batch path=%s unreadable_bytes=%d", path, unreadable)
        if contents is None or not contents.events:
            os.unlink(path)
            return None
        ours = self._path(queue)
        os.rename(path, ours)
        return DiskBatch(contents.batch_id, ours, events=len(contents.events), size=len(data))

    def purge_orphans(self) -> int:
        """Delete what dead processes left; how many batches that were."""
        gone = 0
        with contextlib.closing(self._orphans()) as orphans:
            for queue in orphans:
                gone += sum(name.endswith(_SUFFIX) for name in os.listdir(queue))
                _remove_queue(queue)
        return gone

    # Called with the lock.

    def add(self, batches: Sequence[DiskBatch]) -> None:
        """Queue adopted batches."""
        for batch in batches:
            batch.ticket = next(self._tickets)
            self.sealed.append(batch)
            self.bytes += batch.size
            self.events += batch.events

    def close(self) -> None:
        """Leave what was not sent to the next process."""
        self.seal()
        with contextlib.suppress(OSError):
            self.sync()
        lock, self._lock = self._lock, None
        queue, self._queue = self._queue, None
        if lock is None or queue is None:
            return
        if not self.sealed:
            with contextlib.suppress(OSError), self._shared():
                _remove_queue(queue)
        lock.release()

    def abandon(self) -> None:
        """In a forked child: close the parent's file, touch nothing. Locks: lock.abandon_all."""
        self._close_file()

    # What Store asks for.

    def _cost(self, data: bytes) -> int:
        return len(data) + frames.FRAME_BYTES

    def _start(self, batch_id: str) -> Batch:
        head = frames.header(batch_id)
        try:
            path = self._path(self._own_queue())
            fd = _create(path)
        except FileNotFoundError:  # somebody deleted the queue: begin another
            lock, self._lock, self._queue = self._lock, None, None
            if lock is not None:
                lock.release()
            path = self._path(self._own_queue())
            fd = _create(path)
        try:
            _write_whole(fd, head, 0)
            if self._fsync == "always":
                _sync(os.path.dirname(path))  # an event in a file without a name is no event
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
        self._fd = fd
        return DiskBatch(batch_id, path, size=len(head))

    def _write(self, batch: Batch, data: bytes) -> None:
        try:
            _write_whole(self._fd, frames.frame(data), batch.size)
            if self._fsync == "always":
                os.fsync(self._fd)
        except OSError:
            # Nothing more goes into a file whose end may be torn; an empty one is no batch.
            if batch.events:
                self.seal()
            else:
                self.open = None
                self._forget(batch)
            raise

    def _finish(self, batch: Batch) -> None:
        assert isinstance(batch, DiskBatch)
        self._close_file()
        if self._fsync == "batch":
            self._unsynced.append(batch)

    def _halve(self, batch: Batch) -> tuple[Batch, Batch]:
        assert isinstance(batch, DiskBatch)
        events = batch.load()
        middle = len(events) // 2
        stem = batch.path[: -len(_SUFFIX)]
        halves = []
        for letter, digit, part in (("a", "0", events[:middle]), ("b", "1", events[middle:])):
            batch_id = f"{batch.batch_id}.{digit}"
            data = b"".join((frames.header(batch_id), *map(frames.frame, part)))
            path = f"{stem}{letter}{_SUFFIX}"
            with open(path + ".tmp", "wb", opener=_private) as file:
                file.write(data)
                file.flush()
                if self._fsync != "never":
                    os.fsync(file.fileno())
            halves.append(DiskBatch(batch_id, path, events=len(part), size=len(data)))
        for half in reversed(halves):
            os.rename(half.path + ".tmp", half.path)
        if self._fsync != "never":
            _sync(os.path.dirname(batch.path))
        return halves[0], halves[1]

    def _delete(self, batch: Batch) -> None:
        assert isinstance(batch, DiskBatch)
        if self._fd >= 0 and self.open is None and batch.ticket < 0:  # it was the open one
            self._close_file()
        try:
            os.unlink(batch.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            # It may be sent again by the next process: its id makes that a duplicate.
            _log.warning("cannot delete path=%s error=%s", batch.path, error)

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1  # first: a child forked meanwhile must not close it again
        if fd >= 0:
            os.close(fd)

    # The folder.

    def _path(self, queue: str) -> str:
        """A new file's path."""
        return os.path.join(queue, f"{next(self._numbers):012d}{_SUFFIX}")

    def _own_queue(self) -> str:
        """This process's part of the folder; made when there is none."""
        with self._making:
            queue = self._queue
            if queue is None:
                queue = os.path.join(self._folder, f"{os.getpid()}-{uuid.uuid4().hex[:12]}")
                with self._shared():
                    os.mkdir(queue, 0o700)
                    self._lock = FileLock.take(os.path.join(queue, _LOCK), wait=False)
                if self._fsync != "never":
                    _sync(self._folder)
                self._queue = queue
            return queue

    @contextlib.contextmanager
    def _shared(self) -> Iterator[None]:
        """Hold the lock of the folder: no queue comes or goes meanwhile."""
        os.makedirs(self._folder, 0o700, exist_ok=True)
        lock = FileLock.take(os.path.join(self._folder, _LOCK), wait=True)
        assert lock is not None
        try:
            yield
        finally:
            lock.release()

    def _others(self) -> list[str]:
        """Queues of other processes, living or dead."""
        if not os.path.isdir(self._folder):
            return []
        own = self._queue
        with os.scandir(self._folder) as entries:
            return sorted(
                entry.path
                for entry in entries
                if _QUEUE_NAME.fullmatch(entry.name) and entry.path != own
            )

    def _orphans(self) -> Generator[str, None, None]:
        """Queues of dead processes, each locked while the caller looks at it."""
        others = self._others()
        if not others:
            return
        with self._shared():
            for queue in others:
                try:
                    lock = FileLock.take(os.path.join(queue, _LOCK), wait=False)
                except FileNotFoundError:  # adopted by another
                    continue
                if lock is None:
                    continue
                try:
                    yield queue
                finally:
                    lock.release()


def _settled_names(queue: str) -> list[str]:
    """The files that are batches, in their order; what a split left half done is put right."""
    names = set(os.listdir(queue))
    for name in sorted(names):
        stem = name[: -len(_SUFFIX)]
        if name.endswith(".tmp"):
            gone = name
        elif not name.endswith(_SUFFIX) or name not in names:
            continue
        elif f"{stem}a{_SUFFIX}" in names:
            gone = name
        elif f"{stem}b{_SUFFIX}" in names:
            gone = f"{stem}b{_SUFFIX}"
        else:
            continue
        os.unlink(os.path.join(queue, gone))
        names.discard(gone)
    return sorted(
        (name for name in names if name.endswith(_SUFFIX)), key=lambda name: name[: -len(_SUFFIX)]
    )


def _remove_queue(queue: str) -> None:
    for name in sorted(os.listdir(queue), reverse=True):  # the lock last
        os.unlink(os.path.join(queue, name))
    os.rmdir(queue)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _create(path: str) -> int:
    cloexec = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | cloexec, 0o600)


def _write_whole(fd: int, data: bytes, at: int) -> None:
    """Write at the end of the file, whole or not at all."""
    done = 0
    try:
        while done < len(data):
            done += os.write(fd, data[done:] if done else data)
    except OSError:
        # Part of a frame in the middle would hide all that follows.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, at)
            os.lseek(fd, at, os.SEEK_SET)
        raise


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
