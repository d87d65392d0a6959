"""Feeds of segments: streams that are decoded where they are walked along, a page at a time.

For what reads whole segments once: their decoded streams fit neither a cache nor the memory of a
query. One object a thread and walk; see ``feed.h`` for the other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.storage._codecs import STATUS
from zuji.engine.storage._feed import PageFeed, Scratch
from zuji.engine.storage.codecs import PAGE_ROWS, CodecError

if TYPE_CHECKING:
    from zuji.engine.storage.format import Stream
    from zuji.engine.storage.segment import Segment
    from zuji.engine.storage.segment_file import SegmentFile

SCRATCH_BYTES = 1 << 20
"""About what decoding a page takes beside the page."""


def feed_bytes(rows: int, width: int) -> int:
    """Memory that the reader of a feed needs: a page."""
    return min(rows, PAGE_ROWS) * width


class Feeds:
    """Feeds that one thread reads. Their scratch memory is shared."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._given: list[tuple[SegmentFile, Stream, PageFeed]] = []

    def of(
        self, segment: Segment, stream: Stream, rows: int, width: int, unit: int = 1
    ) -> PageFeed:
        """``rows`` values of an integer stream, ``width`` bytes each, times ``unit``.

        Raises:
            Corruption: the stream lies outside the file. Damage of a page ends the feed early:
                whoever misses rows calls :meth:`check`.
        """
        file = segment.file
        first, last = file._bounds(stream)
        pages, verified = file._pages[first:last], file._verified[first:last]
        feed = PageFeed(file._view, pages, verified, rows, width, self._scratch, unit)
        self._given.append((file, stream, feed))
        return feed

    def check(self) -> None:
        """Raises Corruption, with its place, when a feed met damage."""
        for file, (first, _pages), feed in self._given:
            if feed.damage is not None:
                status, page = feed.damage
                raise file._located(CodecError(STATUS[status], page, 0), first)
