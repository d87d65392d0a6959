"""Rewriting: a segment written anew without some of its rows. Thread-safe: no state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.storage.merge import MergedRows
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.segment_writer import write_segment

if TYPE_CHECKING:
    from zuji.engine.storage.fewer import Fewer
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.manifest import SegmentMeta


def rewrite(
    files: Files, fewer: Fewer, path: str, *, segment_id: int, file: str, tz: str
) -> SegmentMeta:
    """Writes the rows that are left, byte for byte as if there had never been others, at the rank
    of the source. The file is synced and renamed; the caller syncs its directory.

    REQUIRES: a row is left.

    Raises:
        Corruption: the source is damaged; nothing is written.
        StorageFull, StorageFailed, ReadOnly.
    """
    partition = Partition(fewer.partition, fewer.base_ms, fewer.end_ms)
    return write_segment(
        files,
        path,
        MergedRows([fewer]),
        shard=fewer.shard,
        partition=partition,
        day_edges=day_edges(tz, partition.start_ms, partition.end_ms),
        segment_id=segment_id,
        file=file,
        rank=fewer.rank,
    )
