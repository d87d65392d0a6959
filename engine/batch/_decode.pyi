"""decode_batch, decode_json: a batch of bytes to columns. Format: docs/format/batch.md.

Threads: the GIL is released while bytes are read; the two string tables are written, so the caller
holds a lock over them.
"""

from typing import Final, Self, final

import numpy as np
import numpy.typing as npt

from zuji.engine.batch.columns import EventBatch, Rejected
from zuji.engine.index._strings import StringTable as StringTable
from zuji.engine.limits import Limits
from zuji.engine.types import U32

EVENT_CODES: Final[tuple[str, ...]]
BATCH_CODES: Final[tuple[str, ...]]

@final
class Decoder:
    """Decodes batches one after the other into its two tables; its buffers are used again.

    Holds the columns of the batch that was decoded last, for ``ingest._bind``. Threads: whoever
    uses it has it, and its tables, for itself.
    """

    def __new__(cls, limits: Limits, names: StringTable, strings: StringTable) -> Self: ...
    @property
    def n(self) -> int:
        """Rows of the batch."""
    @property
    def rejected(self) -> list[Rejected]: ...
    @property
    def batch_id(self) -> bytes | None: ...
    @property
    def sent_at(self) -> int | None: ...
    @property
    def names(self) -> StringTable: ...
    @property
    def strings(self) -> StringTable: ...
    def decode(self, data: bytes | memoryview) -> None:
        """As :func:`decode_batch`; the batch before is given up."""

    def columns(self) -> EventBatch:
        """A copy of the columns."""

    def marks(self) -> tuple[U32, U32] | None:
        """Where the keys of rows stand in the bytes, ascending uint32[m], and the first of each row,
        uint32[n+1]. Not a copy: good until the next batch. None without rows.
        """

    def release(self) -> None:
        """Gives the batch up, and buffers that are larger than 4 MiB."""

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
