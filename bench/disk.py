"""What the disk itself takes to sync, beside a run that waits for it: appends of 4 KiB to a file of
their own, each synced, a few times a second.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAUSE_S = 0.05
BLOCK = bytes(4096)


@contextmanager
def syncing(folder: Path) -> Iterator[list[float]]:
    """Times in ms of the syncs that are made while the block runs."""
    taken: list[float] = []
    ended = threading.Event()

    def run() -> None:
        file = os.open(folder / "disk.probe", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while not ended.wait(PAUSE_S):
                os.write(file, BLOCK)
                began = time.perf_counter()
                os.fdatasync(file)
                taken.append((time.perf_counter() - began) * 1000)
        finally:
            os.close(file)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield taken
    finally:
        ended.set()
        thread.join()
