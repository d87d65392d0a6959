"""Compaction: which segments to merge, and merging them.

Only neighbours in rank of one shard and partition are merged, so that older rows stay before newer
ones at the same instant; the result takes the rank of its oldest part. Tiered: a run of neighbours
of similar size (within :data:`SIMILAR` of its largest) is merged when it is ``fan_in`` long, so a
row is rewritten O(log_fan_in) times, and segments near :data:`TIER_ROWS` are left alone. A full
compaction, which somebody asked for, goes on to :data:`FULL_ROWS`. No merge makes a segment above
its limit: merging takes memory by the row, and a segment is rewritten as a whole. Segments of one
rank hold rows that were moved there from one other; nobody knows their order, so a group has all of
a rank, or none but those. Pure but for the one file that :func:`merge` writes. Thread-safe.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeVar

from zuji.engine.storage.blocks import WholeRows
from zuji.engine.storage.cache import machine_bytes
from zuji.engine.storage.merge import MergedRows
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.segment_writer import write_segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.storage.fewer import Fewer
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.gathered import Gathered
    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.storage.segment import Source

FAN_IN = 4
SIMILAR = 4
"""Segments are of similar size when the largest is at most this many times the sum of the others'
mean.
"""
TIER_ROWS = 1 << 24
"""Rows of the largest segment that merging by itself makes."""
FULL_ROWS = 1 << 30
"""Rows of the largest segment that a full compaction makes."""
MAX_SOURCES = 255
"""Of a group; a merge reads one more, of rows that belong to somebody else than they did."""
ROW_BYTES = 8
"""Memory that merging takes by the row, about: 3 for where it comes from, up to 5 for who was
active on which day.
"""
MERGING_SHARE = 4
"""Merges take at most one part in so many of the machine's memory."""


def merging_rows(memory_bytes: int) -> int:
    """Rows of all merges that may run beside each other in a machine of so much memory; one merge
    alone may have more.
    """
    return min(1 << 30, memory_bytes // (MERGING_SHARE * ROW_BYTES))


MERGING_ROWS = merging_rows(machine_bytes())


class _HasMeta(Protocol):
    @property
    def meta(self) -> SegmentMeta: ...


S = TypeVar("S", bound="_HasMeta")


def pick(
    segments: Sequence[S],
    *,
    full: bool = False,
    fan_in: int = FAN_IN,
    max_rows: int | None = None,
) -> list[list[S]]:
    """Groups worth merging, each of one shard and partition, oldest first; groups share no segment.

    ``full``: merge all neighbours that fit ``max_rows``, whatever their size. ``max_rows``: else
    :data:`TIER_ROWS`, :data:`FULL_ROWS` with ``full``. O(n log n).
    """
    if max_rows is None:
        max_rows = FULL_ROWS if full else TIER_ROWS
    places: dict[tuple[int, int], list[S]] = {}
    for segment in segments:
        meta = segment.meta
        places.setdefault((meta.shard, meta.partition), []).append(segment)
    groups = []
    for place in sorted(places):
        mine = sorted(places[place], key=lambda s: s.meta.rank)
        groups += _all(mine, max_rows) if full else _tiers(mine, max(fan_in, 2), max_rows)
    return groups


def _all(mine: list[S], max_rows: int) -> list[list[S]]:
    groups: list[list[S]] = [[]]
    rows = 0
    for _, one_rank in groupby(mine, key=lambda s: s.meta.rank):
        alike = list(one_rank)
        size = sum(s.meta.rows for s in alike)
        if rows + size > max_rows or len(groups[-1]) + len(alike) > MAX_SOURCES:
            groups.append([])
            rows = 0
        if len(alike) == 1 or (size <= max_rows and len(alike) <= MAX_SOURCES):
            groups[-1] += alike
            rows += size
        else:  # some of them, but nothing else with them
            groups += [alike[:MAX_SOURCES] if size <= max_rows else [], []]
            rows = 0
    return [group for group in groups if len(group) > 1]


def _tiers(mine: list[S], fan_in: int, max_rows: int) -> list[list[S]]:
    """From the newest back: the longest run in which no segment outweighs the rest by far."""
    end = len(mine)
    while end >= fan_in:
        start, rows, best = end, 0, end
        while start > 0 and end - start < MAX_SOURCES:
            size = mine[start - 1].meta.rows
            if rows + size > max_rows or (end - start and size * (end - start) > SIMILAR * rows):
                break
            start -= 1
            rows += size
            if _has_whole_ranks(mine, start, end):
                best = start
        if end - best >= fan_in:
            return [mine[best:end]]
        end -= 1
    return []


def _has_whole_ranks(mine: list[S], start: int, end: int) -> bool:
    """Whether a run of neighbours has all segments of a rank, or none but those."""
    ranks = [s.meta.rank for s in (mine[start], mine[end - 1])]
    before = start > 0 and mine[start - 1].meta.rank == ranks[0]
    after = end < len(mine) and mine[end].meta.rank == ranks[1]
    return ranks[0] == ranks[1] or not (before or after)


def merge(
    files: Files,
    group: Sequence[Source | Fewer],
    path: str,
    *,
    segment_id: int,
    file: str,
    tz: str,
) -> SegmentMeta:
    """Writes the rows of ``group`` (from :func:`pick`) as one segment at ``path``; the sources
    stay.

    The file is synced and renamed; the caller syncs its directory.

    Raises:
        Corruption: a source is damaged; nothing is written.
        StorageFull, StorageFailed, ReadOnly.
    """
    first = group[0]
    partition = Partition(first.partition, first.base_ms, first.end_ms)
    return write_segment(
        files,
        path,
        MergedRows(group),
        shard=first.shard,
        partition=partition,
        day_edges=day_edges(tz, partition.start_ms, partition.end_ms),
        segment_id=segment_id,
        file=file,
        rank=min(source.rank for source in group),
    )


def write_gathered(
    files: Files, rows: Gathered, path: str, *, segment_id: int, file: str, tz: str
) -> SegmentMeta:
    """Writes rows that were gathered from several sources as one segment at ``path``, as old as
    the oldest of them; as :func:`merge`.
    """
    partition = rows.partition
    return write_segment(
        files,
        path,
        WholeRows(rows.sorted()),
        shard=rows.shard,
        partition=partition,
        day_edges=day_edges(tz, partition.start_ms, partition.end_ms),
        segment_id=segment_id,
        file=file,
        rank=min(part.age for part in rows.picked),
    )
