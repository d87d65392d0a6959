"""_Columns to native events in msgpack, row by row. Thread-safe; the GIL is released while it writes."""

from typing import Any

from zuji.engine.types import I64, U8

_Column = tuple[bytes, int, Any, U8 | None, I64 | None, I64 | None]
"""Name in msgpack; kind (0 int64, 1 uint64 as int64, 2 float64, 3 bool as uint8, 4 int64 ms UTC,
5 text, 6 list of texts); values, of texts their bytes end to end; uint8[rows] whether a row has one,
None: all; where texts start, int64[texts+1]; where lists start among the texts, int64[rows+1].
"""

def pack_rows(
    rows: int, own: list[_Column], properties: list[_Column], most: int
) -> tuple[bytes, I64, I64] | None:
    """The events end to end, where each ends, and the msgpack values of each.

    ``own``: fields of the event itself, at most 8; ``properties``: what goes into them. None: it may
    take more than ``most`` bytes. REQUIRES: rows > 0, texts are UTF-8. O(cells + bytes).

    Raises:
        ValueError: arrays do not fit each other.
    """
