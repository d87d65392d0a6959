"""File systems for tests: every mutating call goes through one hook that may record, fail or kill.

A *site* is one mutating call (open for writing, write, sync, truncate, rename, remove, sync of a
directory, mkdir). Sites are numbered from 0 in the order they happen, all threads together.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import StorageFailed
from zuji.engine.storage.files import Appender, Files, _engine_error

if TYPE_CHECKING:
    from collections.abc import Callable

SYNCS = frozenset({"sync", "sync_dir"})
GROWS = frozenset({"create", "write", "rename", "mkdir"})  # calls that a full disk refuses


@dataclass(frozen=True, slots=True)
class Op:
    """One mutating call. ``kind`` also is ``mark``: a note of the test (an acknowledgement)."""

    kind: str
    path: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""
    note: Any = None


class HookedAppender(Appender):
    """An appender whose calls go through ``HookedFiles.around``."""

    def __init__(self, files: HookedFiles, path: str, fd: int, size: int) -> None:
        super().__init__(path, fd, size)
        self._files = files

    def _write_once(self, view: memoryview) -> int:
        op = Op("write", self.path, offset=os.fstat(self._fd).st_size, data=bytes(view))
        return self._files.around(op, lambda data: os.write(self._fd, data))

    def _sync_once(self) -> None:
        self._files.around(
            Op("sync", self.path), lambda _: super(HookedAppender, self)._sync_once()
        )

    def _truncate_once(self, size: int) -> None:
        self._files.around(
            Op("truncate", self.path, offset=size), lambda _: os.ftruncate(self._fd, size)
        )


class HookedFiles(Files):
    """Numbers the mutating calls; subclasses decide in ``around`` what happens to each."""

    def __init__(self) -> None:
        self.sites = 0
        self._order = threading.RLock()

    def around(self, op: Op, perform: Callable[[bytes], Any]) -> Any:
        """Do one mutating call. ``perform`` takes the bytes to write (ignored by other calls)."""
        with self._order:
            self.sites += 1
            return perform(op.data)

    def _hook(self, op: Op, perform: Callable[[], Any]) -> Any:
        """As ``around``, for calls that are not an appender's: errors become the engine's."""
        try:
            return self.around(op, lambda _: perform())
        except OSError as error:
            text = f"cannot {op.kind} {op.path}: {error.strerror}"
            if op.kind == "sync_dir":
                raise StorageFailed(text) from error
            raise _engine_error(error, text) from error

    def create(self, path):
        return self._hook(
            Op("create", os.fspath(path)), lambda: super(HookedFiles, self).create(path)
        )

    def rename(self, source, target):
        op = Op("rename", os.fspath(source), target=os.fspath(target))
        self._hook(op, lambda: super(HookedFiles, self).rename(source, target))

    def remove(self, path):
        self._hook(Op("remove", os.fspath(path)), lambda: super(HookedFiles, self).remove(path))

    def sync_dir(self, path):
        self._hook(Op("sync_dir", os.fspath(path)), lambda: super(HookedFiles, self).sync_dir(path))

    def mkdir(self, path):
        self._hook(Op("mkdir", os.fspath(path)), lambda: super(HookedFiles, self).mkdir(path))

    def _appender(self, path, fd, size):
        return HookedAppender(self, path, fd, size)


class RecordingFiles(HookedFiles):
    """Does everything and keeps the list of what was done, in an order that really happened."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []

    def around(self, op, perform):
        with self._order:
            result = perform(op.data)
            self.sites += 1
            self.ops.append(op)
            return result

    def mark(self, note: Any) -> None:
        """Note something that became true now (``("ack", 3)``)."""
        with self._order:
            self.ops.append(Op("mark", note=note))


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens instead of a call: ``errno``, after ``partial`` bytes of a write were taken."""

    errno: int
    partial: int = 0


@dataclass
class FaultyFiles(HookedFiles):
    """Fails calls as ``plan(site, op)`` says; None lets a call through. May change while used."""

    plan: Callable[[int, Op], Fault | None] = lambda _site, _op: None
    hits: list[tuple[int, Op]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def around(self, op, perform):
        with self._order:
            site, self.sites = self.sites, self.sites + 1
            fault = self.plan(site, op)
            if fault is None:
                return perform(op.data)
            self.hits.append((site, op))
            if op.kind == "write" and 0 < fault.partial < len(op.data):
                return perform(op.data[: fault.partial])  # a short write; the next call meets …
            raise OSError(fault.errno, os.strerror(fault.errno))


def fail_at(wanted: int, errno: int, kinds: frozenset[str] | None = None) -> Callable:
    """Plan: the ``wanted``-th call of ``kinds`` (all kinds if None) fails, once."""
    seen = -1

    def plan(_site: int, op: Op) -> Fault | None:
        nonlocal seen
        if kinds is None or op.kind in kinds:
            seen += 1
            if seen == wanted:
                return Fault(errno)
        return None

    return plan


def full_from(wanted: int, errno: int, partial: int = 0) -> tuple[Callable, Callable[[], None]]:
    """(plan, free): from the ``wanted``-th growing call the disk is full, until ``free`` is called.

    The first refused write takes ``partial`` bytes before it is refused.
    """
    state = {"seen": -1, "freed": False, "partial": partial}

    def plan(_site: int, op: Op) -> Fault | None:
        if state["freed"] or op.kind not in GROWS:
            return None
        state["seen"] += 1
        if state["seen"] < wanted:
            return None
        if op.kind == "rename":  # replaces a name: takes no space
            return None
        taken, state["partial"] = state["partial"], 0
        return Fault(errno, taken if op.kind == "write" else 0)

    def free() -> None:
        state["freed"] = True

    return plan, free


class KillFiles(HookedFiles):
    """SIGKILLs its own process at site ``wanted``: before the call, or half way through a write."""

    def __init__(self, wanted: int, *, half: bool = False, armed: bool = True) -> None:
        super().__init__()
        self.wanted = wanted
        self.half = half
        self.armed = armed

    def around(self, op, perform):
        with self._order:
            if not self.armed:
                return perform(op.data)
            site, self.sites = self.sites, self.sites + 1
            if site == self.wanted:
                if self.half and op.kind == "write" and len(op.data) > 1:
                    perform(op.data[: len(op.data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return perform(op.data)


class SneakFiles(HookedFiles):
    """At site ``wanted`` of the armed stretch, lets another thread do something first.

    The call waits for that thread for ``patience_s`` at most: it may need a lock that the caller
    holds, and then goes on beside it. ``finish`` waits for its end and raises what it raised.
    """

    patience_s = 0.05

    def __init__(self, wanted: int, action: Callable[[], object]) -> None:
        super().__init__()
        self.wanted = wanted
        self.armed = False
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._act, args=(action,))

    def around(self, op, perform):
        if self.armed and threading.current_thread() is not self._thread:
            site, self.sites = self.sites, self.sites + 1
            if site == self.wanted:
                self._thread.start()
                self._thread.join(self.patience_s)
        return perform(op.data)

    def finish(self) -> bool:
        """Whether the site was reached, after the other thread has ended."""
        if self._thread.ident is None:
            return False
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return True

    def _act(self, action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:
            self._errors.append(error)


class OverlayFiles(Files):
    """Reads some files from memory: to try many corrupted contents without writing them."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents

    def read(self, path):
        found = self.contents.get(os.fspath(path))
        return super().read(path) if found is None else found

    def map(self, path):
        found = self.contents.get(os.fspath(path))
        return super().map(path) if found is None else memoryview(found)

    def size(self, path):
        found = self.contents.get(os.fspath(path))
        return super().size(path) if found is None else len(found)
