"""Sources of a shard as walks of the path kernel, and the paths of all sessions of a range.

Partitions that the range touches are read, and those within one gap of its ends: what lies before
them cannot change which sessions begin in the range, and kernels say when a session may go on in
what lies after them. What fits well in the cache of decoded columns is laid out in the order of
users once, and kept there; more than that is decoded page by page along the walk, for it would push
out everything else and still not be there the next time. Thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zuji.engine.index.catalog import PROFILE_EVENTS
from zuji.engine.query.kernels._paths import (
    IGNORED,
    PathCounts,
    lay_out,
    session_paths,
    top_paths,
)
from zuji.engine.query.kernels.lane import Lane
from zuji.engine.query.kernels.walk import FedLane, LaidOut
from zuji.engine.storage.feeds import SCRATCH_BYTES, Feeds, feed_bytes
from zuji.engine.storage.segment import Segment, shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.query.context import Context
    from zuji.engine.query.kernels.walk import Feed, Steps, Walk
    from zuji.engine.query.view import View
    from zuji.engine.storage.segment import Source
    from zuji.engine.types import U8, U16, U32

BYTES_A_ROW = 8
"""Read of a row: interleave, time, and its share in users and offsets."""
CACHE_SHARE = 2
"""Streams of one query take at most one part in so many of the cache."""
NARROW_RUNS = 256
"""Up to so many runs, a row of the interleave takes a byte."""
PATHS_SHARE = 0.75
"""Of a query's memory, for the paths that were met."""


NEVER_MS = 1 << 62
"""Later than any row."""


@dataclass(frozen=True, slots=True)
class Around:
    """The sources to read for the sessions of a range. ``reach_ms``: rows from then on are not
    among them. ``keep``: they are laid out in the order of users, and kept so.
    """

    shards: list[list[Source]]
    reach_ms: int
    keep: bool


def around(view: View, from_ms: int, until_ms: int, gap_ms: int) -> Around:
    """Sources with rows that may belong to a session that starts at ``from_ms`` or later, up to
    one gap after ``until_ms``.
    """
    near = [
        [s for s in sources if s.end_ms > from_ms - gap_ms and _is_behaviour(s)]
        for sources in view.sources
    ]
    last_ms = until_ms + gap_ms
    later = [s.base_ms for sources in near for s in sources if s.base_ms > last_ms]
    shards = [[s for s in sources if s.base_ms <= last_ms] for sources in near]
    keep = _fits_cache([source for sources in shards for source in sources])
    return Around(shards, min(later, default=NEVER_MS), keep)


def _is_behaviour(source: Source) -> bool:
    return not all(name in PROFILE_EVENTS for name in source.runs)


def walk_of(source: Source, codes: Mapping[str, int | Steps], feeds: Feeds, *, keep: bool) -> Walk:
    """One source; ``codes`` says what the rows of each event are, profile records are ignored.
    ``keep``: its rows are laid out in the order of users, and kept so.
    """
    numbers = [IGNORED if name in PROFILE_EVENTS else codes[name] for name in source.runs]
    if not isinstance(source, Segment):
        interleave, _names = source.interleave()
        return interleave, [_lane(source, name) for name in source.runs], numbers, source.partition
    if keep and source.cache is not None:
        interleave, users, ends, times = source.cache.get(
            (source.serial, "", "in order"), lambda: _laid_out(source, feeds)
        )
        runs = [0 if name in PROFILE_EVENTS else run.rows for name, run in source.runs.items()]
        laid = LaidOut(users, ends, times, source.base_ms, runs)
        return interleave, laid, numbers, source.partition
    return *_fed(source, feeds), numbers, source.partition


def _fed(source: Segment, feeds: Feeds) -> tuple[Feed, list[FedLane]]:
    """Interleave and runs, to be read page by page."""
    lanes = []
    for run in source.runs.values():
        meta = run.meta
        users = feeds.of(source, meta.user_list, meta.users, 4)
        offsets = feeds.of(source, meta.offsets, meta.users + 1, 4)
        times = feeds.of(source, meta.times, meta.rows, 4, meta.time_unit)
        lanes.append(FedLane(users, offsets, times, run.base_ms))
    width = 1 if len(lanes) <= NARROW_RUNS else 2
    return feeds.of(source, source.footer.interleave, source.rows, width), lanes


def _laid_out(source: Segment, feeds: Feeds) -> tuple[U8 | U16, U32, U32, U32]:
    try:
        return lay_out(*_fed(source, feeds), [name in PROFILE_EVENTS for name in source.runs])
    except ValueError:
        feeds.check()
        raise


def _lane(source: Source, name: str) -> Lane:
    run = shared(source.runs[name])
    users, offsets = run.users()
    return Lane(users, offsets, run.times(), source.runs[name].base_ms, source.rank)


def walk_bytes(source: Source, *, keep: bool) -> int:
    """Memory that a walk of a source holds."""
    if keep or not isinstance(source, Segment):
        return 6 * source.rows + sum(8 * run.user_count for run in source.runs.values())
    pages = sum(
        feed_bytes(run.rows, 4) + 2 * feed_bytes(run.user_count, 4) for run in source.runs.values()
    )
    return pages + feed_bytes(source.rows, 2)


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
    given = around(view, from_ms, to_ms, gap_ms)
    shards, keep = given.shards, given.keep

    def work(shard: int) -> PathCounts:
        feeds = Feeds()
        held = SCRATCH_BYTES + sum(walk_bytes(source, keep=keep) for source in shards[shard])
        context.charge(held)
        walks = []
        for source in shards[shard]:
            context.check()
            context.read(source.rows, BYTES_A_ROW * source.rows)
            walks.append(walk_of(source, view.catalog.event_codes, feeds, keep=keep))
        try:
            counts = session_paths(
                walks,
                users=view.users[shard],
                n_codes=len(view.catalog.events),
                gap_ms=gap_ms,
                steps=steps,
                from_ms=from_ms,
                to_ms=to_ms,
                collapse=collapse,
                memory_bytes=int(context.memory_bytes * PATHS_SHARE) // view.shards,
                cancel=context.flag,
            )
        except ValueError:
            feeds.check()
            raise
        context.charge(counts.nbytes)
        context.release(held)
        return counts

    return context.map(work, list(range(view.shards)))


def _fits_cache(sources: list[Source]) -> bool:
    """Whether what is decoded of the sources would stay in the cache."""
    segments = [source for source in sources if isinstance(source, Segment)]
    budget = max((s.cache.budget for s in segments if s.cache is not None), default=0)
    return sum(walk_bytes(source, keep=True) for source in segments) <= budget // CACHE_SHARE


def most_frequent(
    view: View, context: Context, counts: list[PathCounts], n: int
) -> list[tuple[tuple[str, ...], int]]:
    """The n most frequent paths as names of events, with their sessions."""
    names = view.catalog.events
    return [
        (tuple(names[code] for code in path), sessions)
        for path, sessions in top_paths(counts, n, context.flag, context.map)
    ]
