"""Lines of native JSON that change users otherwise than by setting properties: as native events.

Columns cannot say what these say (a property that is removed, counted up, put at the end of a
list), so the reader takes them out of its blocks and hands them on as they are. Names, parts and
times are read as those of all other lines. In a block that has such a line every change of a user
is one, so that they keep their order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import pyarrow as pa

from zuji.engine.batch._decode import count_items
from zuji.server.importer.parcels import Packed
from zuji.server.importer.readers.base import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zuji.server.importer.mapping import Resolved
    from zuji.server.importer.times import Clock

KINDS = frozenset(
    {
        *("profile_set", "profile_set_once", "profile_increment", "profile_append"),
        *("profile_unset", "profile_delete"),
    }
)
_OTHERS = re.compile(rb'"profile_(?:set_once|increment|append|unset|delete)"')
_PARTS = (("event", "event"), ("user", "user_id"), ("device", "device_id"), ("time", "time"))
_WITH_VALUES = frozenset({"profile_set", "profile_set_once"})


class Change(NamedTuple):
    """A line. ``number``: 1-based. ``row``: its JSON object, nested ones opened with dots."""

    number: int
    row: dict[str, Any]


def taken_out(
    data: bytes, first: int, read: Callable[[bytes], dict[str, Any] | None]
) -> tuple[bytes, list[Change]]:
    """A block with empty lines where changes were, and these. ``first``: number of its first line.
    ``read``: the flat row of a line; None when it is none. O(bytes) when there are no changes.
    """
    other = _OTHERS.search(data) or (b'"profile_set"' in data and b"null" in data)
    if not other:
        return data, []
    lines = data.split(b"\n")
    found: list[Change] = []
    for place, line in enumerate(lines):
        if b'"profile_' in line:
            row = read(line)
            if row is not None and row.get("type") in KINDS:
                found.append(Change(first + place, row))
                lines[place] = b""
    return b"\n".join(lines), found


def packed_changes(
    changes: list[Change], resolved: Resolved, clock: Clock, now_ms: int, rejects: list[Reject]
) -> Iterator[Packed]:
    """Native events; what cannot become one is added to ``rejects``. Without a time: ``now_ms``."""
    rows = {change.number: change.row for change in changes}
    times = _times([row.get(resolved.time or "time") for row in rows.values()], clock)
    for (number, row), ms in zip(rows.items(), times, strict=True):
        raw = row.get(resolved.time or "time")
        if ms is None and raw is not None:
            message = f"{raw!r} is not a time (see --time-format and --time-unit)"
            rejects.append(Reject(number, "bad_time", message, row))
            continue
        try:
            event = _event(row, resolved, now_ms if ms is None else ms, clock)
            data: bytes = msgpack.packb(event)
        except UnicodeEncodeError:
            rejects.append(Reject(number, "bad_utf8", "half a character", None))
            continue
        yield Packed(number, data, count_items(data), rows.__getitem__, ordered=True)


def _event(row: dict[str, Any], resolved: Resolved, ms: int, clock: Clock) -> dict[str, Any]:
    kind = row["type"]
    event: dict[str, Any] = {"type": kind, "time_free": True}
    taken = {"type"}
    for part, name in (*_PARTS, ("insert_id", "insert_id")):
        column = getattr(resolved, part) or name
        taken.add(column)
        if row.get(column) is not None:
            event[name] = row[column]
    event["time"] = ms
    properties: dict[str, Any] = {}
    for column, value in row.items():
        chosen = None if column in taken else resolved.properties.get(column)
        if chosen is None:
            continue
        name, wanted = chosen
        if wanted == "datetime" and kind in _WITH_VALUES and isinstance(value, str):
            found = clock.to_ms(pa.chunked_array([[value]]))[0].as_py()
            if found is not None:
                value = msgpack.Timestamp.from_unix_nano(found * 1_000_000)
        properties[name] = value
    if properties:
        event["properties"] = properties
    return event


def _times(values: Iterable[Any], clock: Clock) -> list[int | None]:
    """Milliseconds of each value, None where there is none that can be read."""
    values = list(values)
    found: list[int | None] = [None] * len(values)
    numbers = [i for i, v in enumerate(values) if type(v) in (int, float)]
    texts = [i for i, v in enumerate(values) if type(v) is str]
    for places, kind in ((numbers, _number_type(values, numbers)), (texts, pa.string())):
        if places:
            column = pa.chunked_array([pa.array([values[i] for i in places], kind)])
            for place, ms in zip(places, clock.to_ms(column).to_pylist(), strict=True):
                found[place] = ms
    return found


def _number_type(values: list[Any], places: list[int]) -> pa.DataType:
    return pa.int64() if all(type(values[i]) is int for i in places) else pa.float64()
