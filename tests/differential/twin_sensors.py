"""Sensors Analytics' records to native events once more, in plain Python: slow, and written from
the rules (docs/protocols.md) rather than from ``server/protocols/sensors.h``, which is compared
with it.

Bytes are handled as text of one character a byte (latin-1), so that nothing is decoded that the
native code does not decode.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

EXACT = 1 << 53
RESERVED = ("$name", "$time", "$received", "$device_id")
EVENTS = {"track": "", "track_signup": "$SignUp", "track_id_bind": "$BindID"}
EVENTS["track_id_unbind"] = "$UnbindID"
PROFILES = ("profile_set", "profile_set_once", "profile_increment", "profile_append")
PROFILES += ("profile_unset", "profile_delete")
ITEMS = ("item_set", "item_delete", "detail_set", "detail_delete")
IDS = ("distinct_id", "original_id", "login_id", "anonymous_id")
SCALARS = ("type", "event", "time", *IDS, "token", "project", "time_free", "_track_id")
SCALARS += ("_flush_time", "item_type", "item_id", "version", "schema", "id")
FIELDS = (*SCALARS, "properties", "lib", "identities")
LIFTED = ("$time", "$token", "$project", "distinct_id", "identities", "$is_login_id")
DEVICES = ("$identity_anonymous_id", "$identity_cookie_id", "$identity_android_id")
DEVICES += ("$identity_idfv",)
MANY_PROPERTIES = 255
MANY_FIELDS = 64
MANY_REFUSED = 2000
SKEW_MS = 10_000


class Broken(Exception):
    """The JSON cannot be read on."""


class Fault(Exception):
    """A record is no event: reason, path."""


class Node(NamedTuple):
    """A JSON value: str int float bool null map list; ``raw``: as it stands."""

    kind: str
    value: Any
    raw: str


# -- JSON ----------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \n\t\r]*")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
_NUMBER = re.compile(r"-?(?:0(?![0-9])|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BAD_TAIL = re.compile(r"\.(?![0-9])|[eE](?![+-]?[0-9])")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_WORDS = {"true": ("bool", True), "false": ("bool", False), "null": ("null", None)}
_WORDS |= {"NaN": ("float", math.nan), "Infinity": ("float", math.inf)}
_WORDS |= {"-Infinity": ("float", -math.inf)}
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _bytes(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _unescaped(inner: str) -> str:
    if "\\" not in inner:
        return inner
    out: list[str] = []
    at = 0
    for found in _ESCAPE.finditer(inner):
        if found.start() < at:
            continue
        out.append(inner[at : found.start()])
        at = found.end()
        if found[1] is None:
            out.append(_PLAIN.get(found[2], found[2]))
            continue
        code = int(found[1], 16)
        if 0xD800 <= code < 0xDC00:
            low = _ESCAPE.match(inner, at)
            if low and low[1] and 0xDC00 <= int(low[1], 16) < 0xE000:
                code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
                at = low.end()
        out.append(_bytes(chr(code)))
    out.append(inner[at:])
    return "".join(out)


class Reader:
    """Reads values of a document from ``at`` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def space(self) -> str:
        self.at = _SPACE.match(self.text, self.at).end()
        return self.text[self.at : self.at + 1]

    def string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if not found:
            raise Broken
        self.at = found.end()
        return _unescaped(found[1])

    def members(self, close: str):
        """Steps into a container, at its bracket: yields at each member."""
        self.at += 1
        first = True
        while True:
            char = self.space()
            if char == close:
                self.at += 1
                return
            if not char:
                raise Broken
            if not first:
                if char != ",":
                    raise Broken
                self.at += 1
                self.space()
            first = False
            yield

    def key(self) -> str:
        name = self.string()
        if self.space() != ":":
            raise Broken
        self.at += 1
        return name

    def value(self, depth: int = 0) -> Node:
        char = self.space()
        start = self.at
        if char == '"':
            text = self.string()
            return Node("str", text, self.text[start : self.at])
        if char and char in "{[":
            if depth == 256:
                raise Broken
            members = []
            for _ in self.members("}" if char == "{" else "]"):
                name = self.key() if char == "{" else None
                one = self.value(depth + 1)
                members.append((name, one) if char == "{" else one)
            return Node("map" if char == "{" else "list", members, self.text[start : self.at])
        for word, (kind, value) in _WORDS.items():
            if self.text.startswith(word, start):
                self.at = start + len(word)
                return Node(kind, value, word)
        found = _NUMBER.match(self.text, start)
        if not found or _BAD_TAIL.match(self.text, found.end()):
            raise Broken
        self.at = found.end()
        whole = found[1] is None and found[2] is None
        if whole:
            return Node("int", int(found[0][:400]), found[0])
        return Node("float", float(found[0]), found[0])


def compact(node: Node) -> str:
    if node.kind == "str":
        return '"' + _ESCAPED.sub(_escape, node.value) + '"'
    if node.kind == "map":
        return (
            "{"
            + ",".join(compact(Node("str", k, "")) + ":" + compact(v) for k, v in node.value)
            + "}"
        )
    if node.kind == "list":
        return "[" + ",".join(compact(v) for v in node.value) + "]"
    if node.raw in ("NaN", "Infinity", "-Infinity"):
        raise Fault("not_finite")
    return node.raw


_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if char in '"\\':
        return "\\" + char
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


# -- values --------------------------------------------------------------------------------------

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,3}))?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def date_ms(text: str, offset_ms: int) -> int | None:
    found = _DATE.fullmatch(text)
    if not found:
        return None
    parts = [int(part or 0) for part in found.groups()]
    try:
        moment = datetime(*parts[:6], tzinfo=UTC)
    except ValueError:
        return None
    ms = (moment - _EPOCH) // timedelta(milliseconds=1) + parts[6] - offset_ms
    return ms if -62135596800000 <= ms < 253402300800000 else None


class Moment(NamedTuple):
    """A timestamp, ms."""

    ms: int


def converted(node: Node, dates: bool, offset_ms: int) -> Any:
    """A native value; None for null. Raises Fault."""
    if node.kind == "str":
        ms = date_ms(node.value, offset_ms) if dates else None
        return node.value if ms is None else Moment(ms)
    if node.kind == "int":
        if abs(node.value) <= EXACT:
            return float(node.value)
        if not -(1 << 63) <= node.value < 1 << 63:
            raise Fault("int_out_of_range")
        return node.value
    if node.kind == "float":
        if not math.isfinite(node.value):
            raise Fault("not_finite")
        return node.value
    if node.kind == "list":
        kinds = {one.kind for one in node.value}
        if kinds <= {"str"} or kinds <= {"int", "float"}:
            if not all(math.isfinite(one.value) for one in node.value if one.kind == "float"):
                raise Fault("not_finite")
            if len(node.value) > 500:
                raise Fault("list_too_long")
            return [one.value if one.kind == "str" else one.raw for one in node.value]
    if node.kind in ("list", "map"):
        return compact(node)
    return node.value


# -- records -------------------------------------------------------------------------------------


def ident(node: Node | None) -> str | None:
    """Text of an id."""
    if node is not None and node.kind == "int":
        return node.raw
    if node is not None and node.kind == "str" and node.value:
        return node.value
    return None


class Record:
    """What is read of one record before it is judged."""

    def __init__(self, offset_ms: int, keep_ip: bool, logins: tuple[str, ...]) -> None:
        self.offset_ms = offset_ms
        self.keep_ip = keep_ip
        self.logins = logins
        self.fields: dict[str, Node] = {}
        self.objects: dict[str, Node | None] = {}
        self.lifted: dict[str, Node] = {}
        self.others: list[tuple[str, Node]] = []
        self.made: list[tuple[str, Any]] = []  # properties
        self.fault: tuple[str, str] | None = None

    def blame(self, reason: str, path: str) -> None:
        if self.fault is None:
            self.fault = (reason, path)

    def put(self, name: str, node: Node, dates: bool, where: str) -> None:
        if len(self.made) >= MANY_PROPERTIES:
            self.blame("too_many_properties", "properties")
            return
        try:
            value = converted(node, dates, self.offset_ms)
        except Fault as fault:
            self.blame(fault.args[0], f"{where}.{name}" if where and name else where or name)
            return
        if value is not None:
            self.made.append((name, value))

    def put_new(self, name: str, node: Node, where: str) -> None:
        if all(name != had for had, _ in self.made):
            self.put(name, node, False, where)

    def read(self, reader: Reader) -> None:
        seen = set()
        for _ in reader.members("}"):
            name = reader.key()
            if name in FIELDS and name in seen:
                self.blame("duplicate_key", name)
            seen.add(name)
            if name == "properties" and reader.space() == "{":
                start = reader.at
                self.read_properties(reader)
                self.objects[name] = Node("map", None, reader.text[start : reader.at])
                continue
            value = reader.value()
            if name in SCALARS:
                self.fields[name] = value
            elif name in FIELDS:
                if value.kind != "null":
                    self.objects[name] = value
            elif len(self.others) < MANY_FIELDS:
                self.others.append((name, value))
            else:
                self.blame("too_many_properties", "properties")

    def read_properties(self, reader: Reader) -> None:
        for _ in reader.members("}"):
            name = reader.key()
            value = reader.value()
            if name in LIFTED:
                if name in self.lifted:
                    self.blame("duplicate_key", f"properties.{name}")
                self.lifted[name] = value
                continue
            if name != "$ip" or self.keep_ip:
                self.put(name, value, True, "properties")


def made(record: Record, received_ms: int) -> dict[str, Any]:
    """The event of a record. Raises Fault."""
    f = record.fields
    if record.fault and record.fault[0] == "duplicate_key" and "." not in record.fault[1]:
        raise Fault(*record.fault)
    kind = f["type"].value if "type" in f and f["type"].kind == "str" else None
    if kind not in (*EVENTS, *PROFILES, *ITEMS):
        raise Fault("bad_type", "type")
    properties = record.objects.get("properties")
    if properties and properties.kind != "map":
        raise Fault("bad_properties", "properties")
    if kind in ITEMS:
        group = f.get("item_type", f.get("schema"))
        good = (
            group and group.kind == "str" and group.value and ident(f.get("item_id", f.get("id")))
        )
        raise Fault("kept_item" if good else "no_item", "")
    for name in ("lib", "identities"):
        if record.objects.get(name) and record.objects[name].kind != "map":
            raise Fault("bad_value", name)
    for name in IDS:
        if name in f and f[name].kind not in ("str", "null") and ident(f[name]) is None:
            raise Fault("bad_value", name)
    event: dict[str, Any] = {}
    if kind in EVENTS:
        said = f.get("event")
        if said and said.kind not in ("str", "null"):
            raise Fault("bad_name", "event")
        event["event"] = (said.value if said and said.value else "") or EVENTS[kind]
        if kind == "track_id_unbind":
            event["event"] = "$UnbindID"
        if not event["event"]:
            raise Fault("missing_event", "event")
    else:
        event["type"] = kind
    if "time_free" in f and f["time_free"].value is True:
        event["time_free"] = True
    when = _time(record, event, received_ms)
    _people(record, event, kind, when)
    return event


def _time(record: Record, event: dict[str, Any], received_ms: int) -> str:
    """Sets the time; the part of the insert id that is about it."""
    f = record.fields
    time = record.lifted.get("$time")
    if time is None or time.kind == "null":
        time = f.get("time")
    if time is None or time.kind == "null":
        raise Fault("missing_time", "time")
    if time.kind == "str":
        if len(time.value) > 64:
            raise Fault("bad_time", "time")
        ms = date_ms(time.value, record.offset_ms)
        event["time"] = time.value if ms is None else ms
        return ""
    if time.kind == "int":
        if not -(1 << 63) <= time.value < 1 << 63:
            raise Fault("bad_time", "time")
        ms, flush = time.value, f.get("_flush_time")
        near = flush is not None and flush.kind == "int" and abs(flush.value) // 2 < EXACT
        if near and "time_free" not in event and abs(ms) // 2 < EXACT:
            skew = received_ms - flush.value
            ms += skew if abs(skew) > SKEW_MS else 0
        event["time"] = ms
    elif time.kind == "float" and math.isfinite(time.value):
        event["time"] = time.value
    else:
        raise Fault("bad_time", "time")
    return time.raw if len(time.raw) <= 64 else ""


def _people(record: Record, event: dict[str, Any], kind: str, when: str) -> None:
    f, lifted = record.fields, record.lifted
    identities = record.objects.get("identities")
    if "identities" in lifted:
        if identities is None and lifted["identities"].kind == "map":
            identities = lifted["identities"]
        else:
            record.put_new("identities", lifted["identities"], "")
    distinct = ident(f.get("distinct_id")) or ident(lifted.get("distinct_id"))
    if "distinct_id" in lifted and ("distinct_id" in f or not ident(lifted["distinct_id"])):
        record.put_new("distinct_id", lifted["distinct_id"], "")
    is_login = lifted.get("$is_login_id")
    if is_login is not None and kind in EVENTS:  # no property of a user
        record.put_new("$is_login_id", is_login, "")
    if kind == "profile_unset" and record.objects.get("properties"):
        _unset(record)
    user = (
        _identity(identities, record.logins)
        or _customer(record, ident(f.get("login_id")))
        or _identity(identities, ("$identity_login_id",))
    )
    named = _customer(record, distinct)
    if not user and (
        kind == "track_signup" or named != distinct or (is_login and is_login.value is True)
    ):
        user = named
    device = ident(f.get("anonymous_id")) or _identity(identities, DEVICES)
    if not device and kind == "track_signup":
        device = ident(f.get("original_id"))
    if kind == "track_id_unbind":
        device = _identity(identities, DEVICES) or _other(record, identities)
        if not device and _identity(identities, (*record.logins, "$identity_login_id")):
            device = ident(f.get("anonymous_id"))
    if not device and not user:
        device = distinct
    if not user and not device:
        item = kind in EVENTS and "schema" in f and f["schema"].kind == "str"
        raise Fault("kept_item" if item else "missing_id", "")
    _rest(record, kind, identities, user, device)
    if record.fault:
        raise Fault(*record.fault)
    if user:
        event["user_id"] = user
    if device:
        event["device_id"] = device
    track = ident(f.get("_track_id"))
    if track and len(track) <= 100:
        head = f"{track}:{when}:"
        tail = distinct or ""
        most = 255 - len(head)
        if len(tail) > most:
            tail = tail[len(tail) - most :]
            while tail and 0x80 <= ord(tail[0]) < 0xC0:
                tail = tail[1:]
        event["insert_id"] = head + tail
    event["properties"] = (
        []
        if kind == "profile_delete"
        else [(f"_{name}" if name in RESERVED else name, value) for name, value in record.made]
    )


def _unset(record: Record) -> None:
    record.made = []
    if record.fault and record.fault[0] not in ("too_many_properties", "duplicate_key"):
        record.fault = None
    reader = Reader(record.objects["properties"].raw)
    for _ in reader.members("}"):
        name = reader.key()
        reader.value()
        if name in LIFTED:
            continue
        if len(record.made) >= MANY_PROPERTIES:
            record.blame("too_many_properties", "properties")
            return
        record.made.append((name, None))


def _identity(identities: Node | None, names: tuple[str, ...]) -> str | None:
    if identities is None:
        return None
    for name in names:
        for had, value in identities.value:
            if had == name and ident(value):
                return ident(value)
    return None


def _customer(record: Record, text: str | None) -> str | None:
    """What stands behind the key of a customer and its ``+``, or all of it."""
    for key in record.logins:
        if text and text.startswith(f"{key}+") and len(text) > len(key) + 1:
            return text[len(key) + 1 :]
    return text


def _other(record: Record, identities: Node | None) -> str | None:
    """``key+value`` of the first id that is neither of a customer nor of a device."""
    known = (*record.logins, "$identity_login_id", *DEVICES)
    for name, value in identities.value if identities else ():
        if name not in known and ident(value):
            text = f"{name}+{ident(value)}"
            return text if len(text) <= 512 else None
    return None


def _rest(record: Record, kind: str, identities: Node | None, user: str | None, device: str | None):
    if kind in EVENTS and record.objects.get("lib"):
        for name, value in record.objects["lib"].value:
            record.put_new(name, value, "lib")
    if identities is not None and kind in (*EVENTS, "profile_set", "profile_set_once"):
        for name, value in identities.value:
            record.put_new(name, value, "identities")
    if kind not in EVENTS:
        return
    for name in IDS:
        text = ident(record.fields.get(name))
        if text and text not in (user, device) and _customer(record, text) != user:
            record.put_new(name, Node("str", text, ""), "")
    for name, value in record.others:
        record.put_new(name, value, "")


# -- documents -----------------------------------------------------------------------------------


def transcoded(
    document: bytes,
    received_ms: int,
    offset_ms: int,
    keep_ip: bool = False,
    login_keys: tuple[str, ...] = (),
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str, bytes]], str]:
    """Events, refusals (index, reason, path, raw) and the first token, as ``transcode`` gives."""
    text = document.decode("latin-1")
    reader = Reader(text)
    events: list[dict[str, Any]] = []
    refused: list[tuple[int, str, str, bytes]] = []
    token = ""

    def refuse(index: int, reason: str, path: str, start: int, end: int | None = None) -> None:
        raw = text[start : len(text) if end is None else end].encode("latin-1")
        refused.append((index, reason, path, raw))

    def one(index: int) -> None:
        nonlocal token
        start = reader.at
        if text[start : start + 1] != "{":
            reader.value()
            refuse(index, "not_a_map", "", start, reader.at)
            return
        record = Record(offset_ms, keep_ip, tuple(map(_bytes, login_keys)))
        record.read(reader)
        said = record.fields.get("token")
        if said is None or said.kind != "str":
            said = record.lifted.get("$token")
        if not token and said is not None and said.kind == "str" and len(said.value) <= 256:
            token = said.value
        try:
            events.append(made(record, received_ms))
        except Fault as fault:
            refuse(index, fault.args[0], fault.args[1], start, reader.at)

    char = reader.space()
    if char not in ("{", "["):
        refuse(0, "bad_json", "", reader.at)
        return events, refused, token
    index, start = 0, reader.at
    try:
        if char == "{":
            one(0)
        else:
            members = reader.members("]")
            while True:
                start = reader.at if index else reader.at + 1
                try:
                    next(members)
                except StopIteration:
                    break
                start = reader.at
                if len(refused) >= MANY_REFUSED:
                    refuse(index, "too_many_refused", "", start)
                    return events, refused, token
                one(index)
                index += 1
    except Broken:
        refuse(index, "bad_json", "", start)
        return events, refused, token
    reader.space()
    if reader.at < len(text):
        refuse(-1, "trailing_bytes", "", reader.at)
    return events, refused, token
