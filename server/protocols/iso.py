"""Times of SDKs that write them as ISO 8601 text, or as milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidEvent
from zuji.server.protocols.foreign import milliseconds, refuse
from zuji.server.protocols.records import by_our_clock

if TYPE_CHECKING:
    from zuji.server.collector.message import Request

_START = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def instant(value: Any, name: str) -> int:
    """Milliseconds since 1970 of ISO 8601 text (UTC where it has no offset), or of a number.

    Raises:
        InvalidEvent.
    """
    if not isinstance(value, str):
        return milliseconds(value, name)
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        found = None
    if found is None:
        try:
            return milliseconds(value, name)
        except InvalidEvent:
            refuse("bad_time", f"{name} must be ISO 8601 text or milliseconds since 1970")
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return (found - _START) // _MS


def sent(*values: Any) -> int | None:
    """When a request was sent: the first of these that is a time."""
    for value in values:
        if value is None or value == "":
            continue
        try:
            return instant(value, "sent")
        except InvalidEvent:
            continue
    return None


def happened(value: Any, name: str, sent_ms: int | None, request: Request) -> int:
    """When an event happened, by our clock; without a time it is when it came.

    Raises:
        InvalidEvent.
    """
    if value is None or value == "":
        return request.received_ms
    return by_our_clock(instant(value, name), sent_ms, request.received_ms)
