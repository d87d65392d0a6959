"""One engine in a process of its own, asked over a pipe. The parent decides whose turn it is.

Requests are ``(method, arguments)``; answers ``("ok", value)`` or ``("error", traceback)``. Timing
is done inside the worker, so the pipe costs nothing that is measured.
"""

from __future__ import annotations

import multiprocessing as mp
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

_SPAWN = mp.get_context("spawn")


def _serve(make: Callable[..., Any], arguments: tuple[Any, ...], pipe: Connection) -> None:
    try:
        target = make(*arguments)
        pipe.send(("ok", None))
    except Exception:
        pipe.send(("error", traceback.format_exc()))
        return
    while True:
        method, values = pipe.recv()
        if method is None:
            target.close()
            return
        try:
            pipe.send(("ok", getattr(target, method)(*values)))
        except Exception:
            pipe.send(("error", traceback.format_exc()))


def _once(function: Callable[..., Any], arguments: tuple[Any, ...], pipe: Connection) -> None:
    try:
        pipe.send(("ok", function(*arguments)))
    except Exception:
        pipe.send(("error", traceback.format_exc()))


class Worker:
    """A living object in another process; ``call`` runs one of its methods there."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(make, arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()
        _unwrap(self._pipe)

    def call(self, method: str, *arguments: Any) -> Any:
        """Result of ``method(*arguments)`` in the worker."""
        self._pipe.send((method, arguments))
        return _unwrap(self._pipe)

    def close(self) -> None:
        """Ends the worker."""
        try:
            self._pipe.send((None, ()))
        except OSError:
            return  # it has died; whoever asked it has been told
        self._process.join(30)


def run_alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a function run in a fresh process; None when the process ended itself on
    purpose.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_once, args=(function, arguments, theirs))
    process.start()
    theirs.close()
    try:
        return _unwrap(ours)
    except EOFError:
        process.join()
        if process.exitcode:
            raise RuntimeError(
                f"{function.__name__} ended with exit code {process.exitcode}"
            ) from None
        return None
    finally:
        process.join()


def _unwrap(pipe: Connection) -> Any:
    state, value = pipe.recv()
    if state == "error":
        raise RuntimeError(value)
    return value
