"""The JSON form again, slowly, in plain Python, from docs/format/batch.md: for tests only.

It makes the same tree of `Node` that the msgpack twin reads, so the rules on events are the twin's.
`test_json_twin.py` also compares its trees with `json.loads`.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from tests.differential.twin_decode import Node, Refused, Reject, event_of, read_document

sys.set_int_max_str_digits(0)

SPACE = b" \t\n\r"
LEVELS = 256
NUMBER = re.compile(rb"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
WORDS = {
    b"true": ("bool", True),
    b"false": ("bool", False),
    b"null": ("nil", None),
    b"NaN": ("float", float("nan")),
    b"Infinity": ("float", float("inf")),
    b"-Infinity": ("float", -float("inf")),
}
PLAIN = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def is_json(data: bytes) -> bool:
    return data[:1] in (b"{", b"[", b" ", b"\t", b"\n", b"\r")


def space(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in SPACE:
        at += 1
    return at


def string(data: bytes, at: int) -> tuple[bytes, int]:
    """The text whose opening quote is at ``at``, and the place after its closing quote."""
    out = b""
    at += 1
    while True:
        char = data[at : at + 1]
        if not char or char < b" ":
            raise Refused("malformed")
        at += 1
        if char == b'"':
            return out, at
        if char != b"\\":
            out += char
            continue
        escape = data[at : at + 1].decode("latin-1")
        at += 1
        if escape in PLAIN:
            out += PLAIN[escape].encode()
            continue
        unit = code_unit(data, at - 2)
        at += 4
        if 0xD800 <= unit < 0xDC00 and data[at : at + 2] == b"\\u":
            low = code_unit(data, at)
            if 0xDC00 <= low < 0xE000:
                unit = 0x10000 + ((unit - 0xD800) << 10) + low - 0xDC00
                at += 6
        out += chr(unit).encode("utf-8", "surrogatepass")


def code_unit(data: bytes, at: int) -> int:
    found = re.fullmatch(rb"\\u([0-9a-fA-F]{4})", data[at : at + 6])
    if not found:
        raise Refused("malformed")
    return int(found[1], 16)


def read_json(data: bytes, at: int, level: int = 1) -> Node:
    """The value at ``at``, white space before it left out, with all that it contains."""
    start = at = space(data, at)
    first = data[at : at + 1]
    if first == b'"':
        value, at = string(data, at)
        return Node("str", value, start, at)
    if first and first in b"[{":
        if level > LEVELS:
            raise Refused("malformed")
        return container(data, start, level)
    for word, (kind, meaning) in WORDS.items():
        if data.startswith(word, at):
            return Node(kind, meaning, start, at + len(word))
    found = NUMBER.match(data, at)
    if not found:
        raise Refused("malformed")
    if found[2] or found[3]:
        return Node("float", float(found[0]), start, found.end())
    return Node("int", int(found[0]), start, found.end())


def container(data: bytes, start: int, level: int) -> Node:
    is_map = data[start : start + 1] == b"{"
    close = b"}" if is_map else b"]"
    node = Node("map" if is_map else "array", [], start, start, 1, 1)
    at = space(data, start + 1)
    while data[at : at + 1] != close:
        if node.value:
            if data[at : at + 1] != b",":
                raise Refused("malformed")
            at = space(data, at + 1)
        if is_map:
            if data[at : at + 1] != b'"':
                raise Refused("malformed")
            key = read_json(data, at)
            at = space(data, key.end)
            if data[at : at + 1] != b":":
                raise Refused("malformed")
            at += 1
            node.items += 1
        member = read_json(data, at, level + 1)
        node.value.append((key, member) if is_map else member)
        node.items += member.items
        node.depth = max(node.depth, member.depth + 1)
        at = space(data, member.end)
    node.end = at + 1
    return node


def is_envelope(data: bytes, at: int) -> bool:
    at = space(data, at + 1)
    if data[at : at + 1] != b'"':
        return False
    try:
        return string(data, at)[0] in (b"batch_id", b"sent_at", b"events")
    except Refused:
        return False


def decode_json_slow(data: bytes, limits: Any) -> dict[str, Any]:
    """Rows, rejects, batch_id, sent_at; or raises Refused."""
    if len(data) > limits.batch_bytes:
        raise Refused("batch_too_large")
    at = space(data, 0)
    if data[at : at + 1] == b"{" and not is_envelope(data, at):
        return lines(data, limits)
    # The event is level 1, as in `Limits.event_depth`.
    root = read_json(data, at, -1 if data[at : at + 1] == b"{" else 0)
    if space(data, root.end) != len(data):
        raise Refused("trailing_bytes")
    return read_document(root, data, limits)


def lines(data: bytes, limits: Any) -> dict[str, Any]:
    rows: list[Any] = []
    rejected: list[Any] = []
    items, index = 1, 0
    at = 0
    for line in data.split(b"\n"):
        start, at = at, at + len(line) + 1
        if not line.strip(SPACE):
            continue
        if index == limits.batch_events:
            raise Refused("too_many_events")
        raw = line.strip(SPACE)
        try:
            node = read_json(line, 0)
            whole = space(line, node.end) == len(line)
        except Refused:
            whole = False
        if not whole:
            items += 1
            rejected.append((index, "bad_json", "", raw))
        else:
            items += node.items
            try:
                rows.append(event_of(node, index, limits))
            except Reject as error:
                rejected.append((index, *error.args, raw))
        if items > limits.batch_items:
            raise Refused("too_many_items")
        index += 1
        assert data[start:].startswith(line)
    return {"rows": rows, "rejected": rejected, "batch_id": None, "sent_at": None}
