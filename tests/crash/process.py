"""Child processes that are killed, and what they said before. All by fork: no imports to wait for.

Forking needs a parent without threads, so engines are opened in children only (``apart``).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Ack = Callable[[int], object]


class Child:
    """A forked process that runs ``work(ack)``; numbers it acknowledges come back by a pipe."""

    def __init__(self, work: Callable[[Ack], object]) -> None:
        self._acks, ours = os.pipe()
        self._errors, errors = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                work(lambda number: os.write(ours, number.to_bytes(8, "little")))
                code = 0
            except BaseException:
                with contextlib.suppress(OSError):
                    os.write(errors, traceback.format_exc().encode()[-60_000:])
            finally:
                os._exit(code)
        os.close(ours)
        os.close(errors)
        self._data = bytearray()
        self.killed = False

    def hear(self, numbers: int) -> bool:
        """Wait for ``numbers`` acknowledgements in all; False when the child ended before."""
        while len(self._data) < 8 * numbers:
            found = os.read(self._acks, 65536)
            if not found:
                return False
            self._data += found
        return True

    def heard(self) -> set[int]:
        """What was acknowledged until now. Does not wait."""
        while select.select([self._acks], [], [], 0)[0]:
            found = os.read(self._acks, 65536)
            if not found:
                break
            self._data += found
        return set(self._numbers())

    def _numbers(self) -> list[int]:
        whole = len(self._data) // 8 * 8
        return [int.from_bytes(self._data[k : k + 8], "little") for k in range(0, whole, 8)]

    def kill(self) -> None:
        """SIGKILL, now."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self, *, killed: bool | None = True, failed: bool = False) -> list[int]:
        """Wait for the end; everything that was acknowledged.

        ``killed``: it must end by SIGKILL (True), by itself (False), or either (None).
        ``failed``: it may also have ended by an error.
        """
        self.hear(1 << 60)
        with os.fdopen(self._errors, "rb") as pipe:
            text = pipe.read().decode()
        os.close(self._acks)
        _, status = os.waitpid(self.pid, 0)
        by_kill = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        by_itself = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        self.killed = by_kill
        good = {True: by_kill, False: by_itself, None: by_kill or by_itself}[killed]
        assert good or failed, f"process ended with status {status}\n{text}"
        return self._numbers()


def run_killed(work: Callable[[Ack], object], *, killed: bool | None = True) -> list[int]:
    """Run ``work(ack)`` in a child that kills itself; the numbers it acknowledged before."""
    return Child(work).end(killed=killed)


def apart(work: Callable[[], Any]) -> Any:
    """Result of ``work()``, run in a child of its own; its failure is raised here with its text."""
    result, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            answer: tuple[bool, Any] = (True, work())
        except BaseException:
            answer = (False, traceback.format_exc())
        try:
            with os.fdopen(ours, "wb") as pipe:
                pipe.write(pickle.dumps(answer))
            code = 0
        finally:
            os._exit(code)
    os.close(ours)
    with os.fdopen(result, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"process ended with status {status}"
    good, value = pickle.loads(data)
    assert good, value
    return value


def pause(seconds: float) -> None:
    """Let a child run on for a while (kill times are random, nothing is waited for)."""
    time.sleep(seconds)
