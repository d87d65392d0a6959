"""Writes JSON as no library does: any escape, white space anywhere, repeated keys, broken text.

The same values as `wire.write`; what JSON has not becomes something that it has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.differential.wire import Ext, Pairs, Text

if TYPE_CHECKING:
    from random import Random

SHORT = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: '"', 47: "/", 92: "\\"}


def _gap(rng: Random) -> bytes:
    return b"" if rng.random() < 0.85 else rng.choice([b" ", b"\t ", b"\r", b"  "])


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _text(value: Text, rng: Random) -> bytes:
    often = rng.choice([0.0, 0.0, 0.0, 0.1, 1.0])
    out = b""
    for char in value.raw.decode("utf-8", "surrogateescape"):
        if 0xDC80 <= ord(char) < 0xDD00:
            out += bytes([ord(char) - 0xDC00])
        elif ord(char) in SHORT and (char != "/" or rng.random() < 0.2) and rng.random() < 0.8:
            out += b"\\" + SHORT[ord(char)].encode()
        elif char in '"\\' or char < " " or rng.random() < often:
            escape = _escaped(char)
            out += (escape.upper().replace("\\U", "\\u") if rng.random() < 0.3 else escape).encode()
        else:
            out += char.encode()
    return b'"' + out + b'"'


def _float(value: float, rng: Random) -> str:
    if value != value or value in (float("inf"), -float("inf")):
        return json.dumps(value)
    text = repr(value)
    if "." not in text and "e" not in text:
        return text + rng.choice([".0", "e0", "E+0", ".000"])
    return rng.choice([text, text, text.replace("e", "E"), f"{value:.25e}", f"{value:.17g}e0"])


def _key(key: Any, rng: Random) -> bytes:
    if not isinstance(key, str | Text):
        key = repr(key)
    return write_json(key, rng)


def write_json(value: Any, rng: Random) -> bytes:
    """``value`` in JSON."""
    if value is None or isinstance(value, bool):
        return json.dumps(value).encode()
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        text = _float(value, rng)
        return (text if text.count("e") + text.count("E") < 2 else repr(value)).encode()
    if isinstance(value, str):
        if any("\ud800" <= c < "\ue000" for c in value):
            return b'"' + "".join(map(_escaped, value)).encode() + b'"'
        value = Text(value.encode())
    if isinstance(value, Text):
        return _text(value, rng)
    if isinstance(value, bytes | Ext):
        return rng.choice([b'"2026-10-01T13:00:05.250+08:00"', b"1e400", b"-0", b"[[]]", b"2e3"])
    if isinstance(value, dict):
        value = Pairs(list(value.items()))
    if isinstance(value, Pairs):
        parts = [
            _key(k, rng) + _gap(rng) + b":" + _gap(rng) + write_json(v, rng) for k, v in value.pairs
        ]
        ends = b"{}"
    else:
        parts, ends = [write_json(each, rng) for each in value], b"[]"
    inner = b",".join(_gap(rng) + part + _gap(rng) for part in parts) or _gap(rng)
    return ends[:1] + inner + ends[1:]


def write_lines(events: list[Any], rng: Random) -> bytes:
    """JSON lines; now and then an empty one, and with or without the last line feed."""
    lines = []
    for event in events:
        lines.append(_gap(rng) + write_json(event, rng) + _gap(rng))
        if rng.random() < 0.1:
            lines.append(_gap(rng))
    return b"\n".join(lines) + rng.choice([b"", b"\n", b"\r\n"])
