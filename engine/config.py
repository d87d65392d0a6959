"""Settings of an open project, in one frozen struct. The table of docs/operations.md is made from
these fields.
"""

from __future__ import annotations

import os

import msgspec

from zuji.engine.limits import Limits

DEFAULT_TZ = "Asia/Shanghai"
DEFAULT_SHARDS = 4


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an engine works. What a project *is* (zone, shards) is fixed at its creation and not
    here.

    Attributes:
        memtable_rows: rows after which the memtable is flushed to segments.
        memtable_bytes: bytes after which it is flushed, whichever comes first.
        background: flush, compact and sort memtables on threads of the engine; False does it inside
            ``append`` and queries.
        compact_after: segments of similar size in one shard and partition that start a compaction.
        threads: threads of queries, flushes and compactions.
        query_seconds: default time budget of a query.
        query_bytes: default memory budget of a query.
        queries_bytes: memory of all running queries together; more of them wait for each other.
        cache_bytes: decoded columns kept for later queries; -1 is a fifth of the memory, 0 none.
        dedup_window: keys (batch ids and insert ids) that are surely remembered.
        keep_freed_memory: let the process keep up to 512 MiB of freed memory (glibc), for speed;
            after a bulk load Arrow's default memory pool is glibc's.
        limits: limits of what is taken in.
    """

    memtable_rows: int = 1_000_000
    memtable_bytes: int = 256 << 20
    background: bool = True
    compact_after: int = 4
    threads: int = max(1, min(16, os.cpu_count() or 1))
    query_seconds: float = 10.0
    query_bytes: int = 4 << 30
    queries_bytes: int = 8 << 30
    cache_bytes: int = -1
    dedup_window: int = 4_000_000
    keep_freed_memory: bool = True
    limits: Limits = Limits()
