"""Native part of the page codecs. Use ``codecs.py``; this is what it stands on."""

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from zuji.engine.types import U8, Values

STATUS: tuple[str, ...]
"""Text of each status of ``decode_pages``."""

def set_isa(level: int = 2, *, hardware_crc: int = 1) -> int:
    """For tests: use instruction set ``level`` (0 baseline, 1 AVX2, 2 AVX-512) or the best below it.

    Returns the level in use. Not safe while other threads encode or decode.
    """

def crc32c(data: memoryview | bytes | U8, value: int = 0) -> int:
    """CRC32C of the bytes, going on from ``value``. Releases the GIL from 4 KiB on. O(bytes)."""

@final
class PageEncoder:
    """Scratch memory for encoding pages. One object for one thread at a time."""

    def __new__(cls) -> Self: ...
    def encode(
        self, values: Values, ascending: bool = False
    ) -> tuple[int, int, bytes, int | None, int | None]:
        """(codec, param, bytes, min, max) of one page of 1 to 65,536 values by its smallest codec.

        ``values``: uint8, uint16, uint32, int64 or float64, contiguous. min and max are int64 (for
        floats the bits of the float64, None when the page is not decimal). ``ascending`` also tries
        DELTA. Raises TypeError, ValueError. O(n).
        """

def decode_pages(
    data: memoryview | bytes | U8,
    pages: npt.NDArray[np.void],
    out: npt.NDArray[Any],
    first: int,
    last: int,
    verify: U8 | None = None,
) -> tuple[int, int, int]:
    """Decodes ``pages[first:last]`` to ``out``: (status, page, raw pages left to the caller).

    Status 0 is success, else an index of STATUS and ``page`` is the bad one. Never reads outside
    ``data`` nor writes outside ``out``. Raises TypeError, ValueError. Releases the GIL. O(rows).
    """

def decode_part(
    data: memoryview | bytes | U8,
    pages: npt.NDArray[np.void],
    page: int,
    start: int,
    stop: int,
    dtype: npt.DTypeLike,
    verify: U8 | None = None,
) -> tuple[int, npt.NDArray[Any] | None]:
    """Rows [start, stop) of one page: (status, their values as ``dtype``), of which ``decode_pages``
    would give the same. None: a status that is not 0, or a raw page, which is left to the caller.

    Never reads outside ``data``. Raises TypeError, ValueError. Releases the GIL. O(the rows; of sums and
    runs also those before them).
    """
