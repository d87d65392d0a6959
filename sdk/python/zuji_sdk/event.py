"""One record: checked by the collector's rules and packed at once.

Packing at once freezes the event: what the caller changes later in its dictionaries is not sent.
Codes and paths of errors are those that the collector would answer with (docs/format/batch.md of
the engine). All functions are pure and thread-safe. O(bytes of the event).
"""

from __future__ import annotations

import math
import time as clock
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from numbers import Integral
from typing import Any, NamedTuple, Union

import msgpack

from zuji_sdk import limits
from zuji_sdk.errors import InvalidEvent

Id = Union[str, int]
Time = Union[datetime, int, float]
Properties = Mapping[str, Any]

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_good_names: set[str] = set()  # names repeat: each is checked once, up to as many as this may hold
_GOOD_NAMES = 10_000


class Record(NamedTuple):
    """A packed record and how many msgpack values it is made of."""

    data: bytes
    items: int


def track(
    event: str,
    properties: Properties | None,
    user_id: Id | None,
    device_id: Id | None,
    time: Time | None,
    insert_id: Id | None,
) -> Record:
    """Something happened."""
    fields = _who_and_when(user_id, device_id, time, insert_id)
    fields["event"] = _name(event, "event", missing="missing_event")
    values, items = _properties(properties, keep_none=False)
    return _pack(fields, values, items)


def profile_set(
    properties: Properties,
    user_id: Id | None,
    device_id: Id | None,
    time: Time | None,
    insert_id: Id | None,
) -> Record:
    """Properties of the user, from now on. None removes one."""
    fields = _who_and_when(user_id, device_id, time, insert_id)
    fields["type"] = "profile_set"
    values, items = _properties(properties, keep_none=True)
    return _pack(fields, values, items)


def profile_unset(
    names: Iterable[str],
    user_id: Id | None,
    device_id: Id | None,
    time: Time | None,
    insert_id: Id | None,
) -> Record:
    """Properties that the user no longer has."""
    if isinstance(names, str):
        raise InvalidEvent("bad_value", "properties", "give a list of names, not one text")
    fields = _who_and_when(user_id, device_id, time, insert_id)
    fields["type"] = "profile_unset"
    values, items = _properties(dict.fromkeys(names), keep_none=True)
    return _pack(fields, values, items)


def other(
    type_: str,
    fields: Mapping[str, Any],
    user_id: Id | None,
    device_id: Id | None,
    time: Time | None,
    insert_id: Id | None,
) -> Record:
    """A record of a type that this version has no function for: ``fields`` go as they are."""
    record = _who_and_when(user_id, device_id, time, insert_id)
    clash = (record.keys() | {"type"}) & fields.keys()
    if clash:
        raise InvalidEvent("duplicate_key", min(clash), "is an argument of its own")
    record["type"] = _name(type_, "type", missing="unknown_type")
    return _pack({**record, **fields}, None, _count(fields))


def _who_and_when(
    user_id: Id | None,
    device_id: Id | None,
    time: Time | None,
    insert_id: Id | None,
) -> dict[str, Any]:
    fields: dict[str, Any] = {"time": _time(time)}
    for name, value in (("user_id", user_id), ("device_id", device_id), ("insert_id", insert_id)):
        if value is None or value == "":
            continue
        fields[name] = _id(value, name)
    if "user_id" not in fields and "device_id" not in fields:
        raise InvalidEvent("missing_id", "", "an event needs a user_id or a device_id")
    return fields


def _id(value: Any, path: str) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, uuid.UUID) or (
        isinstance(value, Integral) and not isinstance(value, bool)
    ):
        text = str(value)
    else:
        raise InvalidEvent("bad_value", path, f"an id is text or an integer, not {_kind(value)}")
    if _utf8(text, path) > limits.ID_BYTES:
        raise InvalidEvent("id_too_long", path, f"an id has at most {limits.ID_BYTES} bytes")
    return text


def _time(value: Any) -> int:
    if value is None:
        return clock.time_ns() // 1_000_000
    if isinstance(value, datetime):
        ms = _instant(value, "time")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise InvalidEvent("bad_time", "time", "must be finite")
        ms = math.floor(value)
    else:
        raise InvalidEvent("bad_time", "time", "is a datetime, or milliseconds since 1970 UTC")
    if not limits.TIME_MIN_MS <= ms < limits.TIME_MAX_MS:
        raise InvalidEvent(
            "time_out_of_range", "time", f"{ms} ms lies outside 1900 to 2199; is the unit wrong?"
        )
    return ms


def _instant(value: datetime, path: str) -> int:
    if value.utcoffset() is None:
        raise InvalidEvent(
            "bad_time" if path == "time" else "bad_value",
            path,
            "a datetime needs its time zone, e.g. datetime.now(timezone.utc)",
        )
    past = value - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1000 + past.microseconds // 1000


def _name(value: Any, path: str, *, missing: str = "bad_name") -> str:
    if isinstance(value, str) and value in _good_names:
        return value
    if value is None or value == "":
        raise InvalidEvent(missing, path, "needs a name that is not empty")
    if not isinstance(value, str):
        raise InvalidEvent("bad_name", path, f"a name is text, not {_kind(value)}")
    if _utf8(value, path) > limits.NAME_BYTES:
        raise InvalidEvent("bad_name", path, f"a name has at most {limits.NAME_BYTES} bytes")
    if any(letter < " " or letter == "\x7f" for letter in value):
        raise InvalidEvent("bad_name", path, "a name has no control characters")
    if len(_good_names) < _GOOD_NAMES:
        _good_names.add(value)
    return value


def _properties(properties: Properties | None, *, keep_none: bool) -> tuple[dict[str, Any], int]:
    """The values as they will be packed, and how many msgpack values those are, keys counted."""
    if properties is None:
        return {}, 0
    if not isinstance(properties, Mapping):
        raise InvalidEvent("bad_value", "properties", f"are a mapping, not {_kind(properties)}")
    values: dict[str, Any] = {}
    items = 0
    for name, value in properties.items():
        if name in limits.RESERVED_NAMES:
            raise InvalidEvent("bad_name", f"properties.{name}", "is a reserved name")
        _name(name, f"properties.{name}")
        if value is None:
            if keep_none:
                values[name] = None
                items += 2
            continue
        kept = _value(value, name)
        values[name] = kept
        items += 2 + (len(kept) if type(kept) is list else 0)
    if len(values) > limits.EVENT_PROPERTIES:
        raise InvalidEvent(
            "too_many_properties",
            "properties",
            f"an event has at most {limits.EVENT_PROPERTIES} properties, not {len(values)}",
        )
    return values, items


def _value(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return _text(value, f"properties.{name}")
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        number = int(value)
        if not _INT64_MIN <= number <= _INT64_MAX:
            raise InvalidEvent(
                "int_out_of_range", f"properties.{name}", "an integer has at most 64 bits, signed"
            )
        return number
    if isinstance(value, (float, Decimal)):
        real = float(value)
        if not math.isfinite(real):
            raise InvalidEvent("not_finite", f"properties.{name}", "NaN and infinity are no values")
        return real
    if isinstance(value, datetime):
        ms = _instant(value, f"properties.{name}")
        return msgpack.Timestamp(ms // 1000, ms % 1000 * 1_000_000)
    if isinstance(value, (list, tuple)):
        if len(value) > limits.LIST_VALUES:
            raise InvalidEvent(
                "list_too_long",
                f"properties.{name}",
                f"a list has at most {limits.LIST_VALUES} values, not {len(value)}",
            )
        texts = []
        for place, text in enumerate(value):
            path = f"properties.{name}[{place}]"
            if not isinstance(text, str):
                raise InvalidEvent("bad_value", path, f"lists hold text, not {_kind(text)}")
            texts.append(_text(text, path))
        return texts
    if isinstance(value, uuid.UUID):
        return str(value)
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # a scalar of numpy
        return _value(value.item(), name)
    raise InvalidEvent(
        "bad_value",
        f"properties.{name}",
        f"values are text, numbers, bool, datetime or a list of texts, not {_kind(value)}",
    )


def _text(value: str, path: str) -> str:
    # A character has at most 4 bytes: short texts need no count.
    if len(value) * 4 > limits.STRING_BYTES and _utf8(value, path) > limits.STRING_BYTES:
        raise InvalidEvent(
            "string_too_long", path, f"a text has at most {limits.STRING_BYTES} bytes"
        )
    return value


def _utf8(value: str, path: str) -> int:
    """Bytes of the text in UTF-8."""
    try:
        return len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise InvalidEvent("bad_utf8", path, "has a lone surrogate: not valid Unicode") from None


def _pack(fields: dict[str, Any], properties: dict[str, Any] | None, items: int) -> Record:
    if properties:
        fields["properties"] = properties
    items += 2 * len(fields) + 1
    try:
        data: bytes = msgpack.packb(fields, use_bin_type=True)
    except UnicodeEncodeError:
        for name, value in (properties or {}).items():
            for text in value if isinstance(value, list) else (value,):
                if isinstance(text, str):
                    _utf8(text, f"properties.{name}")
        raise InvalidEvent("bad_utf8", "", "has a lone surrogate: not valid Unicode") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidEvent("bad_value", "", str(error)) from error
    if len(data) > limits.EVENT_BYTES:
        raise InvalidEvent("event_too_large", "", f"{len(data)} bytes do not fit into a batch")
    if items > limits.BATCH_ITEMS:
        raise InvalidEvent("too_many_items", "", f"{items} values do not fit into a batch")
    return Record(data, items)


def _count(value: Any) -> int:
    """msgpack values in what goes out unchecked; a container counts for itself too."""
    if isinstance(value, Mapping):
        return 1 + sum(1 + _count(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return 1 + sum(map(_count, value))
    return 1


def _kind(value: Any) -> str:
    return type(value).__name__
