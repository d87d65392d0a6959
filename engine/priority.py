"""Threads that give way: work that nobody waits for runs at a lower priority than queries and
appending.

On Linux the priority ("nice") is a thread's own; elsewhere it is the process's, so nothing is done.
A thread that may not raise it again keeps the lower one: only threads that do nothing else give
way.
"""

from __future__ import annotations

import os
import sys
import threading

MERGING_NICE = 5
"""A third of the share of a thread that does not give way, when all cores are busy."""


def give_way(by: int = MERGING_NICE) -> bool:
    """Lowers the priority of the calling thread, relative to the process; False when the system
    does not do that.
    """
    if sys.platform != "linux":
        return False
    try:
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, min(19, os.getpriority(os.PRIO_PROCESS, 0) + by))
    except OSError:
        return False
    return True
