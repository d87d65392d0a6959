"""The file system, reached through one class so that a test can record, fail or replay every call.

Owns: opening, appending, syncing, renaming and removing files, and the translation of ``OSError``
into the engine's errors. Nothing else in the engine opens a file for writing.
Invariants: one method is one system call (a short write is completed by calling again), so crash
tests can number the calls; a sync that failed is reported and never tried again here, because the
kernel may already have dropped the dirty pages and a second sync would lie.
Errors: no space or quota -> ``StorageFull``; read-only or not permitted -> ``ReadOnly``; missing on
read -> ``NotFound``; everything else, and every failed sync, -> ``StorageFailed``.
Thread-safety: ``Files`` holds no state. An ``Appender`` has one writer at a time; ``sync`` may run
beside ``write`` (it then covers at least what was written before it was called).
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from zuji.engine.errors import NotFound, ProjectLocked, ReadOnly, StorageFailed, StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

PathName = str | os.PathLike[str]
Buffer = bytes | bytearray | memoryview
Names = list[str]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})
_LOCK_TEXT_BYTES = 64


class Appender:
    """A file that grows at its end. ``size`` counts the bytes in it, partial writes too."""

    def __init__(self, path: str, fd: int, size: int) -> None:
        self.path = path
        self.size = size
        self._fd = fd

    def write(self, data: Buffer) -> None:
        """Append all of ``data``.

        Raises ``StorageFull``, ``ReadOnly`` or ``StorageFailed``; some bytes may then be in the
        file (``size`` says how many) and the caller decides whether to cut them off.
        """
        view = memoryview(data).cast("B")
        while view.nbytes:
            try:  # not `_translated`: this is the path of every batch
                written = self._write_once(view)
            except OSError as error:
                message = f"cannot write {self.path}: {error.strerror}"
                raise _engine_error(error, message) from error
            if written <= 0:
                raise StorageFailed(f"cannot write {self.path}: the system took no bytes")
            self.size += written
            view = view[written:]

    def sync(self) -> None:
        """Make the content durable (``fdatasync``). ``StorageFailed`` is final: never again."""
        try:
            self._sync_once()
        except OSError as error:
            raise StorageFailed(f"cannot sync {self.path}: {error.strerror}") from error

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes; later writes go on from there."""
        with _translated("truncate", self.path):
            self._truncate_once(size)
        self.size = size

    def close(self) -> None:
        """Close without syncing. Closing twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with _translated("close", self.path):
                os.close(fd)

    def _write_once(self, view: memoryview) -> int:
        return os.write(self._fd, view)

    def _sync_once(self) -> None:
        os.fdatasync(self._fd)

    def _truncate_once(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LockHandle:
    """A held file lock. ``release`` (or the death of the process) frees it."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def release(self) -> None:
        """Free the lock. The file stays: removing it would let two processes lock two inodes."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Files:
    """The real operating system. Paths are absolute or relative to the working directory."""

    def create(self, path: PathName) -> Appender:
        """Open a new, empty file for appending; an old file of that name is emptied."""
        return self._open(path, os.O_CREAT | os.O_TRUNC)

    def append_open(self, path: PathName) -> Appender:
        """Open an existing file at its end. ``NotFound`` when it is missing."""
        return self._open(path, 0)

    def read(self, path: PathName) -> bytes:
        """Whole content. ``NotFound`` when it is missing."""
        with _translated("read", path), open(path, "rb") as file:
            return file.read()

    def map(self, path: PathName) -> memoryview:
        """Read-only memory map of the whole file, alive as long as a view of it is.

        The file must not be cut while mapped; segments never are.
        """
        with _translated("map", path):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(fd).st_size
                if size == 0:
                    return memoryview(b"")
                return memoryview(_map(fd, size))
            finally:
                os.close(fd)

    def rename(self, source: PathName, target: PathName) -> None:
        """Atomically put ``source`` in the place of ``target``. Durable after ``sync_dir``."""
        with _translated("rename", source):
            os.replace(source, target)

    def remove(self, path: PathName) -> None:
        """Remove a file; one that is already gone is no error. Durable after ``sync_dir``."""
        with _translated("remove", path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return

    def sync_dir(self, path: PathName) -> None:
        """Make the names in a directory durable."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise StorageFailed(f"cannot sync directory {path}: {error.strerror}") from error

    def mkdir(self, path: PathName) -> None:
        """Make a directory with its parents; an existing one is no error."""
        with _translated("make directory", path):
            os.makedirs(path, exist_ok=True)

    def list(self, path: PathName) -> Names:
        """Names in a directory, sorted. ``NotFound`` when it is missing."""
        with _translated("list", path):
            return sorted(os.listdir(path))

    def exists(self, path: PathName) -> bool:
        """Whether there is a file or directory of that name."""
        return os.path.exists(path)

    def size(self, path: PathName) -> int:
        """Length in bytes. ``NotFound`` when it is missing."""
        with _translated("stat", path):
            return os.stat(path).st_size

    def lock(self, path: PathName) -> LockHandle:
        """Take the exclusive lock of a file, or raise ``ProjectLocked`` naming the holder.

        ``flock``: freed by the kernel when the process ends however it ends, and held against a
        second opener in the same process as well. The file's text is the holder's process id.
        """
        with _translated("lock", path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            except BlockingIOError:
                holder = os.pread(fd, _LOCK_TEXT_BYTES, 0).decode("ascii", "replace").strip()
                os.close(fd)
                raise ProjectLocked(
                    f"{path} is held by process {holder or 'unknown'}; close it there, or open "
                    "this project read-only"
                ) from None
            except OSError as error:
                if error.errno in _FULL:  # the pid text is a courtesy: the lock itself is held
                    return LockHandle(os.fspath(path), fd)
                os.close(fd)
                raise
            return LockHandle(os.fspath(path), fd)

    def write_atomic(self, path: PathName, data: Buffer, temporary: PathName) -> None:
        """Replace ``path`` by ``data`` so that a crash leaves the old content or the new.

        write ``temporary`` -> sync -> rename -> sync directory.
        """
        with self.create(temporary) as file:
            file.write(data)
            file.sync()
        self.rename(temporary, path)
        self.sync_dir(os.path.dirname(os.fspath(path)) or ".")

    def _open(self, path: PathName, flags: int) -> Appender:
        with _translated("open", path):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o644)
            return self._appender(os.fspath(path), fd, os.fstat(fd).st_size)

    def _appender(self, path: str, fd: int, size: int) -> Appender:
        return Appender(path, fd, size)


def _map(fd: int, size: int) -> mmap.mmap:
    """Read-only mapping; from Python 3.13 on it keeps no file descriptor of its own."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, size, access=mmap.ACCESS_READ, trackfd=False)
    return mmap.mmap(fd, size, access=mmap.ACCESS_READ)


@contextmanager
def _translated(action: str, path: PathName) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _engine_error(error, f"cannot {action} {path}: {error.strerror}") from error


def _engine_error(error: OSError, message: str) -> Exception:
    kind: Any = StorageFailed
    if error.errno in _FULL:
        kind = StorageFull
    elif error.errno in _DENIED:
        kind = ReadOnly
    elif error.errno in _MISSING:
        kind = NotFound
    failure: Exception = kind(message)
    return failure
