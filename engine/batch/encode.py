"""Python events → native batches: what ``Engine.append`` and importers of plain objects use.

One dict an event costs what it costs (0.2–0.4 M events/s); bulk data goes through Arrow tables.
Values become what the format has: aware datetimes and dates (midnight UTC) timestamps, numpy
scalars their Python value, ``Decimal`` a float, ``UUID`` text, tuples and sets lists (sets sorted).
What is merely wrong (an event without a time) is encoded as it is, and the decoder says why it is
refused; only what msgpack cannot carry raises here. No state: thread-safe.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgpack
import numpy as np

from zuji.engine.batch._decode import count_items
from zuji.engine.errors import InvalidEvent
from zuji.engine.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENVELOPE_BYTES = 5
_MS_PER_DAY = 86_400_000
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()


def encode_events(
    events: Iterable[Mapping[str, Any]], *, limits: Limits = DEFAULT_LIMITS
) -> list[bytes]:
    """Batches of at most ``batch_events`` events, ``batch_bytes`` bytes, ``batch_items`` values.

    The events of the batches, end to end, are the events given, in order. Raises
    :class:`InvalidEvent` with the index of the first event that cannot be encoded, or that is by
    itself larger than a batch. O(bytes).
    """
    packer = msgpack.Packer(default=_plain, datetime=True)
    batches: list[bytes] = []
    part: list[bytes] = []
    part_bytes = _ENVELOPE_BYTES
    part_items = 1
    for index, event in enumerate(events):
        raw = _encode(packer, event, index)
        items = count_items(raw)
        if len(raw) + _ENVELOPE_BYTES > limits.batch_bytes or items + 1 > limits.batch_items:
            raise InvalidEvent(
                f"event {index} is larger than a batch may be "
                f"({limits.batch_bytes} bytes, {limits.batch_items} values)",
                index,
                "batch_too_large",
            )
        if (
            len(part) == limits.batch_events
            or part_bytes + len(raw) > limits.batch_bytes
            or part_items + items > limits.batch_items
        ):
            batches.append(_batch(packer, part))
            part, part_bytes, part_items = [], _ENVELOPE_BYTES, 1
        part.append(raw)
        part_bytes += len(raw)
        part_items += items
    if part:
        batches.append(_batch(packer, part))
    return batches


def _batch(packer: msgpack.Packer, events: list[bytes]) -> bytes:
    head: bytes = packer.pack_array_header(len(events))
    return head + b"".join(events)


def _encode(packer: msgpack.Packer, event: Mapping[str, Any], index: int) -> bytes:
    if not isinstance(event, Mapping):
        raise InvalidEvent(
            f"event {index} is a {type(event).__name__}, not a mapping", index, "not_a_map"
        )
    try:
        raw: bytes = packer.pack(event)
    except InvalidEvent as error:
        error.index = index
        error.args = (f"event {index}: {error}",)
        raise
    except UnicodeEncodeError as error:
        raise InvalidEvent(f"event {index}: {error}", index, "bad_utf8") from error
    except OverflowError as error:
        raise InvalidEvent(f"event {index}: {error}", index, "int_out_of_range") from error
    except (TypeError, ValueError) as error:
        raise InvalidEvent(f"event {index}: {error}", index, "bad_value") from error
    return raw


def _plain(value: Any) -> Any:
    """Called by msgpack for a value that it cannot write itself."""
    if isinstance(value, int):
        raise InvalidEvent(f"the integer {value} does not fit in 64 bits", -1, "int_out_of_range")
    if isinstance(value, dt.datetime):
        return _instant(value)
    if isinstance(value, dt.date):
        return msgpack.Timestamp((value.toordinal() - _EPOCH_ORDINAL) * 86_400)
    if isinstance(value, np.datetime64):
        return (
            None
            if np.isnat(value)
            else _timestamp(int(value.astype("datetime64[ms]").astype(np.int64)))
        )
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.tolist()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidEvent(f"a value of type {type(value).__name__} cannot be stored", -1, "bad_value")


def _instant(value: dt.datetime) -> msgpack.Timestamp | None:
    if value != value:  # pandas.NaT is a datetime that differs from itself
        return None
    if value.tzinfo is None:
        raise InvalidEvent(
            f"the datetime {value} has no time zone; give it one (tzinfo=…) or send milliseconds",
            -1,
            "bad_time",
        )
    return msgpack.Timestamp.from_datetime(value)


def _timestamp(ms: int) -> msgpack.Timestamp:
    seconds, rest = divmod(ms, 1000)
    return msgpack.Timestamp(seconds, rest * 1_000_000)
