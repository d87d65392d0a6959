"""Streams of a segment, handed out page by page to kernels."""

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from zuji.engine.types import U8

@final
class Scratch:
    """Memory for decoding; shared by the feeds of one thread."""

    def __new__(cls) -> Self: ...

@final
class PageFeed:
    """``rows`` values of ``width`` bytes (unsigned) in all pages of a directory, times ``unit``.

    ``verify``: a flag a page, as in ``decode_ints``. Read once, from the start; by one thread at a
    time. What is not an integer page of the right number of rows is damage. Raises TypeError,
    ValueError.
    """

    def __new__(
        cls,
        data: memoryview | bytes | U8,
        pages: npt.NDArray[np.void],
        verify: U8,
        rows: int,
        width: int,
        scratch: Scratch,
        unit: int = 1,
    ) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def capsule(self) -> Any:
        """``zj_feed`` of ``feed.h``; good as long as the feed."""

    @property
    def damage(self) -> tuple[int, int] | None:
        """Status (see ``codecs``) and page that reading stopped at."""
