"""Every limit that a batch must keep, as collectors have it by default, and why.

Lengths of text are bytes of UTF-8. A collector may be set to other limits; what goes beyond those
it refuses with 413 (a batch) or event by event (in its answer).
"""

from __future__ import annotations

BATCH_EVENTS = 2000  # events in one request
WIRE_BYTES = 1 << 20  # one request as sent, compressed
BATCH_BYTES = WIRE_BYTES - 4096  # the same before compression: then no data is too hard to compress
BATCH_ITEMS = (
    60_000  # msgpack values in a batch, keys and containers counted: 65,536, less a margin
)
EVENT_BYTES = BATCH_BYTES - 1024  # an event must fit into a batch of its own

INFLATE_RATIO = 64  # what inflates more than 100-fold is taken for a bomb; alike events may

EVENT_PROPERTIES = 255  # every property is a column
STRING_BYTES = 8192
NAME_BYTES = 100
ID_BYTES = 255
LIST_VALUES = 500

TIME_MIN_MS = -2_208_988_800_000  # 1900-01-01: an earlier time is a wrong unit
TIME_MAX_MS = 7_258_118_400_000  # 2200-01-01, exclusive: microseconds sent as milliseconds

RESERVED_NAMES = frozenset({"$name", "$time", "$received", "$device_id"})
