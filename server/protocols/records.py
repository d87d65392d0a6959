"""Native events made of dicts: what protocols in Python hand on, and what they refuse."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgpack

from zuji.engine.batch.columns import Rejected
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.message import Events

if TYPE_CHECKING:
    from collections.abc import Iterable

RAW_BYTES = 8_192
"""Bytes that the quarantine keeps of what could not be read."""


def packed(records: Iterable[dict[str, Any]]) -> list[Events]:
    """Native events of records, in their order, in parts that a batch can hold.

    A record that msgpack cannot carry must have been refused before.
    """
    return parts(
        (items_of(record), msgpack.packb(record, unicode_errors="surrogatepass"))
        for record in records
    )


def parts(events: Iterable[tuple[int, bytes]]) -> list[Events]:
    """Native events, each with its number of values, in parts that a batch can hold."""
    found: list[Events] = []
    count = items = 0
    data: list[bytes] = []
    size = 0
    for its, one in events:
        if count and (
            count == DEFAULT_LIMITS.batch_events
            or items + its > DEFAULT_LIMITS.batch_items
            or size + len(one) > DEFAULT_LIMITS.batch_bytes - 64
        ):
            found.append(Events(count, items, b"".join(data)))
            count = items = size = 0
            data = []
        data.append(one)
        count, items, size = count + 1, items + its, size + len(one)
    if count:
        found.append(Events(count, items, b"".join(data)))
    return found


def items_of(value: Any) -> int:
    """Number of msgpack values in a value, keys and containers counted."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(items_of, value.values()))
    if isinstance(value, list | tuple):
        return 1 + sum(map(items_of, value))
    return 1


def refused(index: int, reason: str, message: str, raw: bytes, path: str = "") -> Rejected:
    """What cannot become an event, for the quarantine. ``raw``: as it came."""
    return Rejected(index, reason, path, message, raw[:RAW_BYTES])


def once(*parts: object) -> str:
    """An insert id of these parts: the same event sent again has the same."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(repr(part).encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()


def present(properties: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Properties that have a value."""
    return {name: value for name, value in properties if value is not None}


SKEW_MS = 10_000
"""A client's clock that is wrong by less is taken for right: the rest is the way here."""


def by_our_clock(time_ms: int, sent_ms: int | None, received_ms: int) -> int:
    """A client's time corrected by what its clock was wrong by when it sent (``sent_ms``)."""
    if sent_ms is None or abs(received_ms - sent_ms) <= SKEW_MS:
        return time_ms
    return time_ms + received_ms - sent_ms
