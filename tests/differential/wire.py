"""Writes msgpack as no library does: any legal width, repeated keys, broken text, any nesting.

Plain Python values, plus `Pairs` (a map with repeated keys) and `Bytes` (raw msgpack).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random


@dataclass
class Pairs:
    """A map with its pairs in order, repeats allowed."""

    pairs: list[tuple[Any, Any]]


@dataclass
class Text:
    """A str value with these bytes, whether or not they are UTF-8."""

    raw: bytes


@dataclass
class Ext:
    """An extension value."""

    kind: int
    body: bytes


_INTS = [(0xCC, "B"), (0xCD, "H"), (0xCE, "I"), (0xCF, "Q")]
_SIGNED = [(0xD0, "b"), (0xD1, "h"), (0xD2, "i"), (0xD3, "q")]


def _head(n: int, rng: Random, fix: int, fix_room: int, wide: list[tuple[int, str]]) -> bytes:
    forms = [
        bytes([tag]) + struct.pack(">" + fmt, n)
        for tag, fmt in wide
        if n >> 8 * struct.calcsize(fmt) == 0
    ]
    if n < fix_room:
        forms = [bytes([fix | n])] * 4 + forms
    return rng.choice(forms)


def write(value: Any, rng: Random) -> bytes:
    """``value`` in msgpack, its lengths and integers in a width that ``rng`` picks."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        forms = []
        for tag, fmt in _INTS + _SIGNED:
            try:
                forms.append(bytes([tag]) + struct.pack(">" + fmt, value))
            except struct.error:
                continue
        if -32 <= value < 128:
            forms += [struct.pack(">b", value)] * 4
        return rng.choice(forms)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        value = Text(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Text):
        wide = [(0xD9, "B"), (0xDA, "H"), (0xDB, "I")]
        return _head(len(value.raw), rng, 0xA0, 32, wide) + value.raw
    if isinstance(value, bytes):
        return _head(len(value), rng, 0, 0, [(0xC4, "B"), (0xC5, "H"), (0xC6, "I")]) + value
    if isinstance(value, Ext):
        kind = struct.pack(">b", value.kind)
        n = len(value.body)
        if n in (1, 2, 4, 8, 16) and rng.random() < 0.7:
            return bytes([0xD4 + n.bit_length() - 1]) + kind + value.body
        return _head(n, rng, 0, 0, [(0xC7, "B"), (0xC8, "H"), (0xC9, "I")]) + kind + value.body
    if isinstance(value, dict):
        value = Pairs(list(value.items()))
    if isinstance(value, Pairs):
        parts = [write(each, rng) for pair in value.pairs for each in pair]
        return _head(len(value.pairs), rng, 0x80, 16, [(0xDE, "H"), (0xDF, "I")]) + b"".join(parts)
    parts = [write(each, rng) for each in value]
    return _head(len(parts), rng, 0x90, 16, [(0xDC, "H"), (0xDD, "I")]) + b"".join(parts)
