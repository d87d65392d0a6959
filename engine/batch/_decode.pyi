"""decode_batch, decode_json: a batch of bytes to columns. Format: docs/format/batch.md.

Threads: the GIL is released while bytes are read; the two string tables are written, so the caller
holds a lock over them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from zuji.engine.batch.columns import EventBatch
from zuji.engine.index._strings import StringTable as StringTable
from zuji.engine.limits import Limits

EVENT_CODES: Final[tuple[str, ...]]
BATCH_CODES: Final[tuple[str, ...]]

def decode_batch(
    data: bytes | memoryview, *, limits: Limits, names: StringTable, strings: StringTable
) -> EventBatch:
    """The events of one batch as columns; codes index ``names`` and ``strings``.

    The first byte tells the form: JSON (a document, or lines) or msgpack. Events that are wrong
    are in ``rejected`` and add nothing to the tables. Raises InvalidEvent (index -1, a code of
    ``reasons.BATCH_REASONS``) when the batch as a whole cannot be read; the tables are then as
    they were before. ``data`` must be contiguous and must not change during the call. O(bytes).
    """

def decode_json(
    data: bytes | memoryview, *, limits: Limits, names: StringTable, strings: StringTable
) -> EventBatch:
    """As :func:`decode_batch`, for bytes that are JSON whatever they start with."""

def slice_events(data: bytes | memoryview, indexes: npt.ArrayLike) -> list[bytes]:
    """The bytes of events ``indexes`` (ascending, from 0) of a batch that was decoded, as sent.

    Raises ValueError when it has no such events. O(bytes).
    """

def count_items(data: bytes | memoryview | npt.NDArray[np.uint8]) -> int:
    """Number of msgpack values in one encoded value, as ``Limits.batch_items`` counts them.

    Raises ValueError when ``data`` is not exactly one whole value. O(bytes).
    """
