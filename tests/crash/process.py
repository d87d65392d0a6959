"""Run something in a child process that is killed, and hear what it acknowledged before."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Ack = Callable[[int], object]


def run_killed(
    work: Callable[[Callable[[int], None]], None], *, may_end: bool = False
) -> list[int]:
    """Fork, run ``work(ack)`` in the child until SIGKILL; the numbers it acknowledged.

    A child that ends by itself, or with an error, fails the test (``may_end`` allows the former).
    """
    acks, child = os.pipe()
    errors, child_errors = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.close(acks)
            work(lambda number: os.write(child, number.to_bytes(8, "little")))
            code = 0
        except BaseException:
            with contextlib.suppress(OSError):
                os.write(child_errors, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(child)
    os.close(child_errors)
    with os.fdopen(acks, "rb") as pipe:
        data = pipe.read()
    with os.fdopen(errors, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    ended = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
    assert killed or (may_end and ended), f"status {status}\n{text}"
    return [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data) - 7, 8)]
