"""Sources of a shard as walks of the path kernel, and the paths of all sessions of a range.

The seam that the path model builds on. Partitions that the range touches are read, and those within
one gap of its ends, so that sessions over its ends are whole; a session that goes on without a gap
for longer than the partition before the range counts as begun there. Thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.index.catalog import PROFILE_EVENTS
from zuji.engine.query.kernels._paths import IGNORED, PathCounts, session_paths, top_paths
from zuji.engine.query.kernels.lane import Lane
from zuji.engine.storage.segment import shared

if TYPE_CHECKING:
    from zuji.engine.query.context import Context
    from zuji.engine.query.kernels.lane import Walk
    from zuji.engine.query.view import View
    from zuji.engine.storage.segment import Source

BYTES_A_ROW = 8
"""Interleave, time, and the share of a row in users and offsets."""


def walk_of(source: Source, codes: dict[str, int]) -> Walk:
    """One source; ``codes`` names each event's code, profile records are ignored."""
    interleave, names = source.interleave()
    lanes = []
    for name in names:
        run = source.runs[name]
        kept = shared(run)
        users, offsets = kept.users()
        lanes.append(Lane(users, offsets, kept.times(), run.base_ms, source.rank))
    numbers = [IGNORED if name in PROFILE_EVENTS else codes[name] for name in names]
    return interleave, lanes, numbers, source.partition


def paths_of_sessions(
    view: View,
    context: Context,
    *,
    gap_ms: int,
    steps: int,
    from_ms: int,
    to_ms: int,
    collapse: bool = False,
) -> list[PathCounts]:
    """Paths of the sessions that start in [from_ms, to_ms), a table a shard; codes are the
    catalog's.
    """

    def work(shard: int) -> PathCounts:
        walks = []
        for source in view.sources[shard]:
            if source.end_ms <= from_ms - gap_ms or source.base_ms > to_ms + gap_ms:
                continue
            context.check()
            context.charge(BYTES_A_ROW * source.rows)
            context.read(source.rows, BYTES_A_ROW * source.rows)
            walks.append(walk_of(source, view.catalog.event_codes))
        return session_paths(
            walks,
            users=view.users[shard],
            n_codes=len(view.catalog.events),
            gap_ms=gap_ms,
            steps=steps,
            from_ms=from_ms,
            to_ms=to_ms,
            collapse=collapse,
            memory_bytes=context.memory_bytes // view.shards,
            cancel=context.flag,
        )

    return context.map(work, list(range(view.shards)))


def most_frequent(
    view: View, context: Context, counts: list[PathCounts], n: int
) -> list[tuple[tuple[str, ...], int]]:
    """The n most frequent paths as names of events, with their sessions."""
    names = view.catalog.events
    return [
        (tuple(names[code] for code in path), sessions)
        for path, sessions in top_paths(counts, n, context.flag)
    ]
