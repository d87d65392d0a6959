# ruff: noqa: TRY301 - a reason is raised where it is found
"""The batch decoder again, slowly, in plain Python, from docs/format/batch.md: for tests only.

It shares nothing with the engine but the limits and the error. `decode_slow` gives plain rows;
`rows_of` turns the engine's columns into the same, so that the two can be compared with ``==``.
"""

from __future__ import annotations

import calendar
import datetime as dt
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

BATCH_KEYS = ("batch_id", "sent_at", "events")
EVENT_KEYS = (
    "type",
    "event",
    "time",
    "user_id",
    "device_id",
    "insert_id",
    "properties",
    "time_free",
)
TYPES = {
    "track": 0,
    "profile_set": 1,
    "profile_unset": 2,
    "profile_set_once": 3,
    "profile_increment": 4,
    "profile_append": 5,
    "profile_delete": 6,
}
RESERVED = ("$name", "$time", "$received", "$device_id")
BOOL, INT, FLOAT, DATETIME, STRING, LIST = 1, 2, 3, 4, 5, 6


class Refused(Exception):
    """The whole batch."""


class Reject(Exception):
    """One event: (reason, path)."""


@dataclass
class Node:
    """One msgpack value: type, content, place, number of values in it, levels of containers."""

    type: str
    value: Any
    start: int
    end: int
    items: int = 1
    depth: int = 0


def read(data: bytes, at: int) -> Node:
    """The value at ``at``, with all that it contains."""

    def take(n: int, fmt: str = "") -> Any:
        nonlocal at
        if len(data) - at < n:
            raise Refused("truncated")
        part = data[at : at + n]
        at += n
        return struct.unpack(">" + fmt, part)[0] if fmt else part

    start = at
    tag = take(1)[0]
    sized = {1: "B", 2: "H", 4: "I"}
    if tag < 0x80:
        return Node("int", tag, start, at)
    if tag >= 0xE0:
        return Node("int", tag - 256, start, at)
    if 0xA0 <= tag < 0xC0:
        return Node("str", take(tag & 31), start, at)
    if tag == 0xC0:
        return Node("nil", None, start, at)
    if tag in (0xC2, 0xC3):
        return Node("bool", tag == 0xC3, start, at)
    if tag in (0xC4, 0xC5, 0xC6):
        width = 1 << (tag - 0xC4)
        return Node("bin", take(take(width, sized[width])), start, at)
    if tag in (0xD9, 0xDA, 0xDB):
        width = 1 << (tag - 0xD9)
        return Node("str", take(take(width, sized[width])), start, at)
    if tag in (0xC7, 0xC8, 0xC9):
        width = 1 << (tag - 0xC7)
        size = take(width, sized[width])
        return Node("ext", (take(1, "b"), take(size)), start, at)
    if 0xD4 <= tag <= 0xD8:
        return Node("ext", (take(1, "b"), take(1 << (tag - 0xD4))), start, at)
    if tag in (0xCA, 0xCB):
        return Node("float", take(4, "f") if tag == 0xCA else take(8, "d"), start, at)
    if 0xCC <= tag <= 0xD3:
        fmt = "BHIQbhiq"[tag - 0xCC]
        return Node("int", take(struct.calcsize(fmt), fmt), start, at)
    if tag == 0xC1:
        raise Refused("malformed")
    is_map = 0x80 <= tag < 0x90 or tag in (0xDE, 0xDF)
    wide = {0xDC: "H", 0xDE: "H", 0xDD: "I", 0xDF: "I"}.get(tag)
    size = take(struct.calcsize(wide), wide) if wide else tag & 15
    node = Node("map" if is_map else "array", [], start, at, 1, 1)
    for _ in range(size * 2 if is_map else size):
        member = read(data, at)
        at = member.end
        node.value.append(member)
        node.items += member.items
        node.depth = max(node.depth, member.depth + 1)
    if is_map:
        node.value = list(zip(node.value[::2], node.value[1::2], strict=True))
    node.end = at
    return node


def text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Reject("bad_utf8") from None


def clock(value: str) -> int:
    """RFC 3339 to ms."""
    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
        r"(?:[Zz]|([+-])(\d\d):(\d\d))",
        value,
        re.ASCII,
    )
    if not found or len(value) > 64:
        raise Reject("bad_time")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, away_h, away_m = found.groups()[6:]
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 60:
        raise Reject("bad_time")
    last = 29 if month == 2 and calendar.isleap(year) else calendar.mdays[month]
    if not 1 <= day <= last or (sign and (int(away_h) > 23 or int(away_m) > 59)):
        raise Reject("bad_time")
    if year == 0:
        raise Reject("time_out_of_range")
    days = dt.date(year, month, day).toordinal() - dt.date(1970, 1, 1).toordinal()
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    if sign:
        seconds -= (1 if sign == "+" else -1) * (int(away_h) * 3600 + int(away_m) * 60)
    return seconds * 1000 + int(((fraction or "") + "000")[:3])


def stamp(kind: int, body: bytes, bad: str) -> int:
    """A msgpack timestamp to ms."""
    if kind != -1:
        raise Reject(bad)
    if len(body) == 4:
        seconds, nanos = struct.unpack(">I", body)[0], 0
    elif len(body) == 8:
        both = struct.unpack(">Q", body)[0]
        seconds, nanos = both & ((1 << 34) - 1), both >> 34
    elif len(body) == 12:
        nanos, seconds = struct.unpack(">Iq", body)
    else:
        raise Reject(bad)
    if nanos > 999_999_999:
        raise Reject(bad)
    return seconds * 1000 + nanos // 1_000_000


def time_of(node: Node, limits: Any) -> int:
    if node.type == "int":
        ms = node.value
    elif node.type == "float":
        if not math.isfinite(node.value):
            raise Reject("bad_time")
        ms = math.floor(node.value)
    elif node.type == "str":
        try:
            ms = clock(node.value.decode("ascii"))
        except UnicodeDecodeError:
            raise Reject("bad_time") from None
    elif node.type == "ext":
        ms = stamp(*node.value, "bad_time")
    else:
        raise Reject("bad_time")
    if not limits.time_min_ms <= ms < limits.time_max_ms:
        raise Reject("time_out_of_range")
    return ms


def name_of(node: Node, limits: Any, *, reserved: tuple[str, ...] = ()) -> str:
    if node.type != "str" or not 0 < len(node.value) <= limits.name_bytes:
        raise Reject("bad_name")
    name = text(node.value)
    if any(ord(c) < 32 or ord(c) == 127 for c in name) or name in reserved:
        raise Reject("bad_name")
    return name


def id_of(node: Node, limits: Any) -> str | None:
    if node.type == "nil":
        return None
    if node.type == "str":
        if len(node.value) > limits.id_bytes:
            raise Reject("id_too_long")
        return text(node.value) or None
    if node.type == "int":
        if len(str(node.value)) > limits.id_bytes:
            raise Reject("id_too_long")
        return str(node.value)
    raise Reject("bad_value")


def string_of(node: Node, limits: Any) -> str:
    if len(node.value) > limits.string_bytes:
        raise Reject("string_too_long")
    return text(node.value)


def value_of(node: Node, limits: Any) -> tuple[int, Any]:
    """(kind, value); kind 0 for null."""
    if node.type == "nil":
        return 0, None
    if node.type == "bool":
        return BOOL, int(node.value)
    if node.type == "int":
        if not -(1 << 63) <= node.value < 1 << 63:
            raise Reject("int_out_of_range")
        return INT, node.value
    if node.type == "float":
        if not math.isfinite(node.value):
            raise Reject("not_finite")
        return FLOAT, struct.pack("<d", node.value)
    if node.type == "str":
        return STRING, string_of(node, limits)
    if node.type == "ext":
        ms = stamp(*node.value, "bad_value")
        if not -62135596800000 <= ms < 253402300800000:
            raise Reject("time_out_of_range")
        return DATETIME, ms
    if node.type == "array":
        if len(node.value) > limits.list_values:
            raise Reject("list_too_long")
        items = []
        for i, item in enumerate(node.value):
            try:
                if item.type != "str":
                    raise Reject("bad_value")
                items.append(string_of(item, limits))
            except Reject as error:
                raise Reject(error.args[0], f"[{i}]") from None
        return LIST, items
    raise Reject("bad_value")


def shown(raw: bytes, limits: Any) -> str:
    return raw[: limits.name_bytes].decode("utf-8", "replace")


def properties_of(node: Node, limits: Any) -> list[tuple[str, int, Any]]:
    if node.type == "nil":
        return []
    if node.type != "map":
        raise Reject("bad_value", "properties")
    if len(node.value) > limits.event_properties:
        raise Reject("too_many_properties", "properties")
    cells: list[tuple[str, int, Any]] = []
    for key, value in node.value:
        path = "properties"
        if key.type == "str":
            path += "." + shown(key.value, limits)
        try:
            name = name_of(key, limits, reserved=RESERVED)
            if any(name == cell[0] for cell in cells):
                raise Reject("duplicate_key")
            cells.append((name, *value_of(value, limits)))
        except Reject as error:
            raise Reject(error.args[0], path + "".join(error.args[1:])) from None
    return cells


def event_of(node: Node, index: int, limits: Any) -> dict[str, Any]:
    if node.depth > limits.event_depth:
        raise Reject("too_deep", "")
    if node.type != "map":
        raise Reject("not_a_map", "")
    row: dict[str, Any] = dict.fromkeys(EVENT_KEYS) | {"index": index, "kind": 0, "properties": []}
    keys = set()
    for key, value in node.value:
        name = key.value.decode("utf-8", "replace") if key.type == "str" else ""
        if name not in EVENT_KEYS:
            raise Reject("unknown_field", shown(key.value, limits) if key.type == "str" else "")
        if name in keys:
            raise Reject("duplicate_key", name)
        keys.add(name)
        try:
            if name == "properties":
                row[name] = properties_of(value, limits)
            elif name in ("user_id", "device_id", "insert_id"):
                row[name] = id_of(value, limits)
            elif value.type == "nil":
                continue
            elif name == "time":
                row[name] = time_of(value, limits)
            elif name == "event":
                row[name] = name_of(value, limits)
            elif name == "time_free":
                if value.type != "bool":
                    raise Reject("bad_value")
            else:
                if value.type != "str" or value.value.decode("utf-8", "replace") not in TYPES:
                    raise Reject("unknown_type")
                row["kind"] = TYPES[value.value.decode()]
        except Reject as error:
            raise Reject(error.args[0], error.args[1] if error.args[1:] else name) from None
    if row["kind"] == 0 and row["event"] is None:
        raise Reject("missing_event", "event")
    if row["kind"] != 0 and row["event"] is not None:
        raise Reject("unknown_field", "event")
    if row["user_id"] is None and row["device_id"] is None:
        raise Reject("missing_id", "user_id")
    if row["time"] is None:
        raise Reject("missing_time", "time")
    row["properties"] = cells_of(row["kind"], row["properties"])
    del row["type"], row["time_free"]
    return row


def cells_of(type_: int, cells: list[tuple[str, int, Any]]) -> list[tuple[str, int, Any]]:
    """What a record of this type keeps of its properties, if it may have them."""
    if type_ == TYPES["profile_delete"] and cells:
        raise Reject("bad_value", "properties")
    for name, kind, value in cells:
        taken = {
            "profile_unset": kind == 0 or (kind, value) == (BOOL, 1),
            "profile_increment": kind in (INT, FLOAT),
            "profile_append": kind in (STRING, LIST),
        }
        if not all(good for key, good in taken.items() if TYPES[key] == type_):
            raise Reject("bad_value", f"properties.{name}")
    if type_ in (TYPES["track"], TYPES["profile_set_once"]):
        return [cell for cell in cells if cell[1]]
    if type_ == TYPES["profile_unset"]:
        return [(name, 0, None) for name, _, _ in cells]
    if type_ == TYPES["profile_append"]:
        return [(name, LIST, v if kind == LIST else [v]) for name, kind, v in cells]
    return cells


def decode_slow(data: bytes, limits: Any) -> dict[str, Any]:
    """Rows, rejects, batch_id, sent_at; or raises Refused."""
    if len(data) > limits.batch_bytes:
        raise Refused("batch_too_large")
    root = read(data, 0)
    if root.end != len(data):
        raise Refused("trailing_bytes")
    return read_document(root, data, limits)


def read_document(root: Node, data: bytes, limits: Any) -> dict[str, Any]:
    """The same, of the tree of a whole batch."""
    if root.items > limits.batch_items:
        raise Refused("too_many_items")
    batch_id = sent_at = events = None
    if root.type == "array":
        events = root.value
    elif root.type == "map":
        keys = [key.value if key.type == "str" else None for key, _ in root.value]
        if sorted(set(keys), key=repr) != sorted(keys, key=repr):
            raise Refused("bad_envelope")
        for key, value in zip(keys, (pair[1] for pair in root.value), strict=True):
            if key == b"events" and value.type == "array":
                events = value.value
            elif key == b"batch_id" and value.type in ("nil", "str"):
                batch_id = value.value
                try:
                    if batch_id is not None:
                        text(batch_id)
                except Reject:
                    raise Refused("bad_envelope") from None
                if batch_id is not None and not 0 < len(batch_id) <= limits.id_bytes:
                    raise Refused("bad_envelope")
            elif key == b"sent_at":
                try:
                    sent_at = None if value.type == "nil" else time_of(value, limits)
                except Reject:
                    raise Refused("bad_envelope") from None
            else:
                raise Refused("bad_envelope")
    if events is None:
        raise Refused("bad_envelope")
    if len(events) > limits.batch_events:
        raise Refused("too_many_events")
    rows, rejected = [], []
    for index, node in enumerate(events):
        try:
            rows.append(event_of(node, index, limits))
        except Reject as error:
            rejected.append((index, *error.args, data[node.start : node.end]))
    return {"rows": rows, "rejected": rejected, "batch_id": batch_id, "sent_at": sent_at}


def rows_of(batch: Any) -> dict[str, Any]:
    """The engine's columns as `decode_slow` gives them."""

    def text_at(table: Any, code: int) -> str | None:
        return None if code == 0xFFFFFFFF else table.get(int(code)).decode()

    def insert_id_at(row: int) -> str | None:
        start, end = batch.insert_start[row : row + 2]
        return batch.insert[start:end].tobytes().decode() if end > start else None

    rows = []
    for i in range(batch.n):
        cells = []
        for c in range(batch.cell_start[i], batch.cell_start[i + 1]):
            kind, value = int(batch.cell_kind[c]), int(batch.cell_value[c])
            shown_value: Any = value
            if kind == 0:
                assert value == 0
                shown_value = None
            elif kind == FLOAT:
                shown_value = struct.pack("<q", value)
            elif kind == STRING:
                shown_value = text_at(batch.strings, value)
            elif kind == LIST:
                part = batch.list_item[batch.list_start[value] : batch.list_start[value + 1]]
                shown_value = [text_at(batch.strings, code) for code in part]
            cells.append((text_at(batch.names, batch.cell_prop[c]), kind, shown_value))
        rows.append(
            {
                "index": int(batch.index[i]),
                "kind": int(batch.kind[i]),
                "event": text_at(batch.names, batch.event[i]),
                "time": int(batch.time[i]),
                "user_id": text_at(batch.strings, batch.user[i]),
                "device_id": text_at(batch.strings, batch.device[i]),
                "insert_id": insert_id_at(i),
                "properties": cells,
            }
        )
    rejected = [(r.index, r.reason, r.path, r.raw) for r in batch.rejected]
    return {
        "rows": rows,
        "rejected": rejected,
        "batch_id": batch.batch_id,
        "sent_at": batch.sent_at,
    }
