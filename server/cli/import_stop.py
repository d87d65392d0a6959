"""Stopping an import: the first Ctrl-C or SIGTERM sets an event, the second breaks off."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

from zuji.server.cli.outcome import say

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Sets the event on the first Ctrl-C or SIGTERM; the second one breaks off at once."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("stopping after this append … (once more to break off)")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
