"""One item record as it was sent: ``{"type": "item_set", "item_type", "item_id", "time",
"properties"}``, or ``item_delete`` without properties; msgpack or JSON.

The decoder of batches refuses such records, as they are no events; the writer hands it every
refused record that may be one. Fields of other names are passed over, and ``schema`` and ``id``
stand for ``item_type`` and ``item_id``: so a record of Sensors Analytics is taken as it is. A null
leaves a property as it is. Values, their kinds and their limits are those of an event's properties.
Pure functions.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgpack

from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.casting import Plain

SET: Final = "item_set"
DELETE: Final = "item_delete"
REASON: Final = "kept_item"
"""Reason with which collectors and importers mark the records of Sensors Analytics."""
MAX_TYPES: Final = 200
MAX_PROPERTIES: Final = 1_000
"""Of one type."""
MAX_ITEMS: Final = 50_000_000
"""Of one type, deleted ones counted."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT64 = range(-(2**63), 2**63)

Value = tuple[Kind, "Plain"]
"""Kind and value in the form of a batch cell."""


class BadItem(ValueError):
    """A record that cannot be stored. ``reason``: a stable code. ``path``: the wrong place."""

    def __init__(self, reason: str, path: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.path, self.message = reason, path, message


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """What is said of one item at ``time`` (ms UTC). ``properties``: None for a deletion."""

    type: str
    id: str
    time: int
    properties: Mapping[str, Value] | None


def may_be_item(reason: str, raw: bytes) -> bool:
    """Whether a refused record is worth a closer look. O(bytes)."""
    return reason == REASON or b"item_set" in raw or b"item_delete" in raw


def read_item(raw: bytes, received_ms: int) -> ItemRecord | None:
    """The item record in some bytes; None when they hold something else.

    ``received_ms``: the time of a record that has none. Raises :class:`BadItem`.
    """
    try:
        if len(raw) > 1 and raw[0] < 0x80:  # in msgpack an integer of one byte
            found = json.loads(raw)
        else:
            found = msgpack.unpackb(raw, timestamp=3)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return None
    if not isinstance(found, dict) or found.get("type") not in (SET, DELETE):
        return None
    return item_from(found, received_ms)


def item_from(found: Mapping[str, Any], received_ms: int) -> ItemRecord:
    """The record that a mapping says. Raises :class:`BadItem`."""
    item_type = _name(found.get("item_type", found.get("schema")), "item_type")
    item_id = _id(found.get("item_id", found.get("id")))
    time = _time(found.get("time"), received_ms)
    given = found.get("properties")
    if found["type"] == DELETE:
        return ItemRecord(item_type, item_id, time, None)
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise BadItem("bad_value", "properties", "properties is a map")
    if len(given) > DEFAULT_LIMITS.event_properties:
        raise BadItem(
            "too_many_properties",
            "properties",
            f"an item has at most {DEFAULT_LIMITS.event_properties} properties",
        )
    properties = {}
    for name, value in given.items():
        path = f"properties.{name}"
        if _name(name, path) and value is not None:
            properties[name] = _value(value, path)
    return ItemRecord(item_type, item_id, time, properties)


def _name(value: object, path: str) -> str:
    if value is None and path == "item_type":
        raise BadItem("no_item", path, "an item needs an item_type and an item_id")
    limit = DEFAULT_LIMITS.name_bytes
    if not isinstance(value, str) or not 0 < len(_utf8(value, path)) <= limit:
        raise BadItem("bad_name", path, f"a name is a text of 1 to {limit} bytes")
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise BadItem("bad_name", path, "a name has no control characters")
    return value


def _id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value in (None, ""):
        raise BadItem("no_item", "item_id", "an item needs an item_type and an item_id")
    if not isinstance(value, str):
        raise BadItem("bad_value", "item_id", "an item_id is a text or a whole number")
    if len(_utf8(value, "item_id")) > DEFAULT_LIMITS.id_bytes:
        raise BadItem(
            "id_too_long", "item_id", f"an id has at most {DEFAULT_LIMITS.id_bytes} bytes"
        )
    return value


def _time(value: object, received_ms: int) -> int:
    if value is None:
        return received_ms
    if isinstance(value, datetime):
        ms = _ms(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        ms = math.floor(value)
    elif isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise BadItem("bad_time", "time", "a time in text is RFC 3339 with its offset")
        ms = _ms(at)
    else:
        raise BadItem("bad_time", "time", "time is milliseconds since 1970 UTC, or RFC 3339 text")
    if not DEFAULT_LIMITS.time_min_ms <= ms < DEFAULT_LIMITS.time_max_ms:
        raise BadItem("time_out_of_range", "time", "times lie in the years 1900 to 2199")
    return ms


def _value(value: object, path: str) -> Value:
    if isinstance(value, bool):
        return Kind.BOOL, int(value)
    if isinstance(value, int):
        if value not in _INT64:
            raise BadItem("int_out_of_range", path, "an integer must fit in 64 bits, signed")
        return Kind.INT, value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadItem("not_finite", path, "NaN and infinity are not values")
        return Kind.FLOAT, value
    if isinstance(value, datetime):
        return Kind.DATETIME, _ms(value)
    if isinstance(value, str):
        return Kind.STRING, _text(value, path)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        if len(value) > DEFAULT_LIMITS.list_values:
            raise BadItem(
                "list_too_long", path, f"a list has at most {DEFAULT_LIMITS.list_values} values"
            )
        return Kind.LIST, [_text(each, path) for each in value]
    raise BadItem("bad_value", path, "values are text, number, bool, timestamp or a list of texts")


def _text(value: str, path: str) -> str:
    if len(_utf8(value, path)) > DEFAULT_LIMITS.string_bytes:
        raise BadItem(
            "string_too_long", path, f"a text has at most {DEFAULT_LIMITS.string_bytes} bytes"
        )
    return value


def _utf8(value: str, path: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise BadItem("bad_utf8", path, "text must be valid UTF-8") from None


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
