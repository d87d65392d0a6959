"""An exclusive lock on a file that the death of its holder releases.

`flock` belongs to the open file, which a forked child shares: a child must close its copy without
unlocking (`abandon`), or it would take the lock from its parent. Unlocking (`release`) is explicit,
so that a copy that a child still holds does not keep the lock.
"""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int, wait: bool) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int, wait: bool) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


_held: set[FileLock] = set()


def abandon_all() -> None:
    """In a forked child: close the copies of every lock that the parent holds."""
    for lock in list(_held):
        lock.abandon()


class FileLock:
    """A lock that is held from `take` to `release`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        _held.add(self)

    @classmethod
    def take(cls, path: str, *, wait: bool) -> FileLock | None:
        """The lock, or None when another holds it and `wait` is False."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            taken = _lock(fd, wait)
        except BaseException:
            os.close(fd)
            raise
        if not taken:
            os.close(fd)
            return None
        return cls(fd)

    def release(self) -> None:
        """Unlock and close."""
        _held.discard(self)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                _unlock(fd)
            finally:
                os.close(fd)

    def abandon(self) -> None:
        """Close a forked child's copy."""
        _held.discard(self)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
