"""The native batch format: msgpack or JSON bytes to columns, Python events to msgpack bytes.

Format, reasons and limits: ``docs/format/batch.md``.
"""

from zuji.engine.batch._decode import Decoder, decode_batch, decode_json, slice_events
from zuji.engine.batch.columns import (
    NONE,
    PROFILE_APPEND,
    PROFILE_DELETE,
    PROFILE_INCREMENT,
    PROFILE_SET,
    PROFILE_SET_ONCE,
    PROFILE_UNSET,
    TRACK,
    UNSET,
    EventBatch,
    Rejected,
)
from zuji.engine.batch.encode import encode_events
from zuji.engine.batch.reasons import BATCH_REASONS, EVENT_REASONS

__all__ = [
    "BATCH_REASONS",
    "EVENT_REASONS",
    "NONE",
    "PROFILE_APPEND",
    "PROFILE_DELETE",
    "PROFILE_INCREMENT",
    "PROFILE_SET",
    "PROFILE_SET_ONCE",
    "PROFILE_UNSET",
    "TRACK",
    "UNSET",
    "Decoder",
    "EventBatch",
    "Rejected",
    "decode_batch",
    "decode_json",
    "encode_events",
    "slice_events",
]
