"""Keeping freed memory: glibc gives large blocks back to the system at every free, and the next
query pays for getting the same pages again (17 % of a five-step funnel at 20 M rows).

:func:`keep_freed_memory` tells it to keep up to 512 MiB. It is a setting of the whole process, made
once, when a project is opened with ``Config.keep_freed_memory`` (the default); elsewhere than on
glibc it does nothing. Arrow's own allocator gives back as eagerly, which is a quarter of the time
of a bulk load: :func:`keep_freed_tables` lets Arrow take its memory from glibc.
"""

from __future__ import annotations

import ctypes
import functools
import os

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEEP_BYTES = 512 << 20
MMAP_BYTES = 32 << 20
"""The largest threshold that glibc takes."""


@functools.cache
def keep_freed_memory() -> bool:
    """Sets the thresholds; True when the C library took them. Idempotent."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  (AttributeError elsewhere than on glibc)
        kept = library.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        return bool(kept and library.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))
    except (OSError, AttributeError):
        return False


def give_back() -> bool:
    """Gives freed memory to the system now: what opening a project took only for a while would stay
    beside what it holds (two thirds of its ids' bytes). True when the C library did.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):  # elsewhere than on glibc
        return False


@functools.cache
def keep_freed_tables() -> bool:
    """Arrow's memory is glibc's from now on, where that keeps what is freed; True when it is.

    Idempotent. Buffers that are there stay where they are; a pool that the environment names
    (``ARROW_DEFAULT_MEMORY_POOL``) is left alone.
    """
    if not keep_freed_memory() or os.environ.get("ARROW_DEFAULT_MEMORY_POOL"):
        return False
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    return True
