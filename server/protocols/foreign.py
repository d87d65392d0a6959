"""JSON of SDKs that are not ours, as records with native values.

A record that cannot become an event is refused alone, with a reason, and goes to the quarantine as
it came: NaN, numbers past 64 bits, repeated keys, lone surrogates and bytes that are not UTF-8 get
as far as their own record. Only what is no JSON at all, or too much of it, fails the request.
Pure.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from zuji.engine.errors import InvalidEvent
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.errors import BadBody
from zuji.server.protocols.records import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.server.settings import Settings

RESERVED = frozenset({"$name", "$time", "$received", "$device_id"})
"""Columns of the event itself: a property of such a name gets a ``_`` in front."""
MARKS = 131_072
"""Commas and brackets of one body: each can cost 180 bytes once it is an object, so that all of
them together stay below 8 times the largest body.
"""
LIST_VALUES = 20_000
"""Values in all lists of one event: a batch has room for 65,536, keys counted."""
_MARKS = (b",", b"{", b"[")
_LONG_BODY = 32 << 10
_EXACT = 1 << 53
"""Whole numbers up to this are floats without loss."""
_INT64 = range(-(1 << 63), 1 << 63)
_LONG = 40
"""Digits of a number that are read: more are past 64 bits in any case."""


class Repeated(dict[str, Any]):
    """An object in which a key stands twice; the last value is kept to show it."""


def read(body: bytes) -> Any:
    """The JSON value in a body.

    Raises:
        InvalidEvent: it is none. BadBody: it has too many values.
    """
    if marks(body) > MARKS:
        raise BadBody("too many values: send smaller batches", 413)
    text = _text(body).removeprefix("\ufeff")
    try:
        try:
            return json.loads(text, object_pairs_hook=_object)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number of thousands of digits
            return json.loads(text, object_pairs_hook=_object, parse_int=_int)
    except json.JSONDecodeError as problem:
        raise InvalidEvent(f"not JSON: {problem.msg} at {problem.pos}", reason="bad_json") from None
    except RecursionError:
        raise InvalidEvent("JSON that nests too deep", reason="too_deep") from None


def marks(body: bytes) -> int:
    """Commas and opening brackets. O(bytes); of a long body without the GIL, because whoever sends
    a megabyte of brackets would hold everybody up for a millisecond.
    """
    if len(body) < _LONG_BODY:
        return sum(body.count(mark) for mark in _MARKS)
    view = np.frombuffer(body, np.uint8)
    return sum(int(np.count_nonzero(view == mark[0])) for mark in _MARKS)


_PAIR = re.compile(rb"\xed([\xa0-\xaf][\x80-\xbf])\xed([\xb0-\xbf][\x80-\xbf])")


def _text(body: bytes) -> str:
    """Text of a body. Browser SDKs that encode base64 themselves write what lies above U+FFFF as
    two surrogates of three bytes each (CESU-8); other bytes that are no UTF-8 become surrogates.
    """
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _PAIR.sub(_joined, body).decode("utf-8", "surrogateescape")


def _joined(pair: re.Match[bytes]) -> bytes:
    halves = pair[0].decode("utf-8", "surrogatepass")
    return halves.encode("utf-16", "surrogatepass").decode("utf-16").encode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(found)


def _int(text: str) -> int:
    return int(text[:_LONG])


def written(value: Any) -> str:
    """Compact JSON of a value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def refuse(reason: str, message: str) -> NoReturn:
    """The record at hand cannot become an event."""
    raise InvalidEvent(message, reason=reason)


def native(value: Any) -> Any:
    """A value as events have it: nested ones as JSON text, numbers of a list as texts. JSON has one
    kind of number: were 12 an integer, a price of 12.5 could not follow it. Whole numbers that
    floats cannot hold stay integers.

    Raises:
        InvalidEvent: no event can carry it.
    """
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, float) or value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        if value not in _INT64:
            refuse("int_out_of_range", "an integer must fit in 64 bits, signed")
        return float(value) if -_EXACT <= value <= _EXACT else value
    _check(value)
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            return [_short(one) for one in _few(value)]
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            return [_short(written(one)) for one in _few(value)]
    return _short(written(value))


def _short(text: str) -> str:
    """The engine counts bytes; what has too many characters could fill a batch."""
    if len(text) > DEFAULT_LIMITS.string_bytes:
        refuse("string_too_long", f"a text has at most {DEFAULT_LIMITS.string_bytes:,} bytes")
    return text


def _few(values: list[Any]) -> list[Any]:
    if len(values) > DEFAULT_LIMITS.list_values:
        refuse("list_too_long", f"a list has at most {DEFAULT_LIMITS.list_values} values")
    return values


def nested(value: Any) -> str:
    """Any value as JSON text.

    Raises:
        InvalidEvent: a key stands twice in it.
    """
    _check(value)
    return written(value)


def _check(value: Any) -> None:
    """Raises InvalidEvent for a repeated key, however deep."""
    within = [value]
    while within:
        one = within.pop()
        if isinstance(one, Repeated):
            refuse("duplicate_key", "the same key stands twice in one object")
        elif isinstance(one, dict):
            within.extend(one.values())
        elif isinstance(one, list):
            within.extend(one)


def properties(found: Mapping[str, Any], but: Iterable[str] = ()) -> dict[str, Any]:
    """Properties of an event from those of a record, without some that were used otherwise.

    Raises:
        InvalidEvent.
    """
    left_out = frozenset(but)
    if isinstance(found, Repeated):
        refuse("duplicate_key", "the same key stands twice in one object")
    if len(found) > DEFAULT_LIMITS.event_properties + len(left_out):
        _too_many()
    made = {
        f"_{name}" if name in RESERVED else name: native(value)
        for name, value in found.items()
        if name not in left_out
    }
    if len(made) > DEFAULT_LIMITS.event_properties:
        _too_many()
    if any(len(name) > DEFAULT_LIMITS.name_bytes for name in made):
        refuse("bad_name", f"a name has at most {DEFAULT_LIMITS.name_bytes} bytes")
    return made


def _fits(event: dict[str, Any]) -> None:
    """Raises InvalidEvent when an event could fill a batch: the good ones would go with it."""
    found = event["properties"]
    if len(found) > DEFAULT_LIMITS.event_properties:
        _too_many()
    if sum(len(value) for value in found.values() if isinstance(value, list)) > LIST_VALUES:
        refuse("too_many_items", f"the lists of an event have at most {LIST_VALUES:,} values")


def _too_many() -> NoReturn:
    refuse(
        "too_many_properties", f"an event has at most {DEFAULT_LIMITS.event_properties} properties"
    )


def mapping(value: Any, name: str) -> dict[str, Any]:
    """An object; absent and null are an empty one.

    Raises:
        InvalidEvent: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse("bad_value", f"{name} must be an object")
    if isinstance(value, Repeated):
        refuse("duplicate_key", "the same key stands twice in one object")
    return value


def ident(value: Any, name: str) -> str | None:
    """An id as text; absent, null and empty are None.

    Raises:
        InvalidEvent: it is neither text nor a whole number.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        refuse("bad_value", f"{name} must be text or a whole number")
    if len(value) > DEFAULT_LIMITS.id_bytes:
        refuse("id_too_long", f"{name} has at most {DEFAULT_LIMITS.id_bytes} bytes")
    return value


def event_name(value: Any, field: str) -> str:
    """The name of an event.

    Raises:
        InvalidEvent.
    """
    if value is None or value == "":
        refuse("missing_event", f"{field} is missing")
    if not isinstance(value, str):
        refuse("bad_name", f"{field} must be text")
    if len(value) > DEFAULT_LIMITS.name_bytes:
        refuse("bad_name", f"{field} has at most {DEFAULT_LIMITS.name_bytes} bytes")
    return value


def number(value: Any, name: str) -> float | int:
    """A number, or the text of one.

    Raises:
        InvalidEvent.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            refuse("bad_value", f"{name} must be a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse("bad_value", f"{name} must be a number")
    if value != value or value in (float("inf"), float("-inf")):
        refuse("not_finite", f"{name} must be finite")
    return value


def whole(value: Any, name: str) -> int:
    """A whole number, or the text of a number, cut.

    Raises:
        InvalidEvent.
    """
    found = number(value, name)
    if not -1e15 < found < 1e15:
        refuse("int_out_of_range", f"{name} is no number that counts something")
    return int(found)


def milliseconds(value: Any, name: str = "time") -> int:
    """A time as ms since 1970: a number (or its text), of milliseconds.

    Raises:
        InvalidEvent.
    """
    found = number(value, name)
    if not -1e15 < found < 1e15:
        refuse("time_out_of_range", f"{name} lies outside the years 1900 to 2199")
    return int(found // 1)


def changes(kind: str, values: Any, field: str) -> dict[str, Any]:
    """Properties of a profile record of this kind (docs/format/batch.md, Profiles).

    Raises:
        InvalidEvent.
    """
    if kind == "profile_unset":
        names = values if isinstance(values, list) else list(mapping(values, field))
        if not all(isinstance(name, str) for name in names):
            refuse("bad_value", f"{field} must be a list of names")
        if len(names) > DEFAULT_LIMITS.event_properties:
            _too_many()
        return dict.fromkeys((f"_{name}" if name in RESERVED else name for name in names), True)
    found = properties(mapping(values, field))
    if kind == "profile_increment":
        return {name: number(value, f"{field}.{name}") for name, value in found.items()}
    if kind == "profile_append":
        return {name: _listed(value) for name, value in found.items() if value is not None}
    return found


def _listed(value: Any) -> list[str]:
    if isinstance(value, list):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)  # as it stood in the JSON
    return [value if isinstance(value, str) else written(value)]


def addresses(settings: Settings) -> bool:
    """Whether a protocol hands on what it knows of a person's address, as the property ``$ip``:
    nil when none may be taken from the request either. ``server.enrich`` uses it, and takes it
    away unless addresses are stored.
    """
    return settings.store_ip or bool(settings.ip_regions)


class Part(NamedTuple):
    """A part of a record that cannot become an event, while the rest can."""

    reason: str
    message: str
    part: Any


def _check_size(found: Mapping[str, Any]) -> None:
    """Raises InvalidEvent for properties that would not fit into any batch: the engine refuses an
    event alone only when its batch can be read.
    """
    if len(found) > DEFAULT_LIMITS.event_properties:
        refuse("too_many_properties", f"at most {DEFAULT_LIMITS.event_properties} properties")
    items = 2 * len(found)
    for value in found.values():
        if isinstance(value, str):
            if len(value) > DEFAULT_LIMITS.string_bytes:
                refuse("string_too_long", f"at most {DEFAULT_LIMITS.string_bytes:,} bytes of text")
        elif isinstance(value, list):
            items += len(value)
            if len(value) > DEFAULT_LIMITS.list_values:
                refuse("list_too_long", f"at most {DEFAULT_LIMITS.list_values} values in a list")
    if items > DEFAULT_LIMITS.batch_items // 2:
        refuse("too_many_items", f"at most {DEFAULT_LIMITS.batch_items // 2:,} values in an event")


class Records:
    """Native events made of the records of one request, in their order.

    ``hidden``: fields of a record, or of an object in it, that the quarantine does not keep: keys
    of projects, addresses of people.
    """

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        self._hidden = frozenset(hidden)
        self.events: list[dict[str, Any]] = []
        self.of: list[int] = []  # the record that each event was made of
        self.refused: list[Rejected] = []

    def add(
        self,
        records: Sequence[Any],
        make: Callable[[dict[str, Any]], Iterable[dict[str, Any] | Part]],
    ) -> None:
        """Makes the events of each record; one that raises is refused, with all of its events; of
        one that gives a :class:`Part`, only that is.

        Raises:
            BadBody: they are too many.
        """
        if len(records) > DEFAULT_LIMITS.batch_events:
            raise BadBody(f"at most {DEFAULT_LIMITS.batch_events:,} events a request", 413)
        for index, record in enumerate(records):
            try:
                if not isinstance(record, dict):
                    refuse("not_a_map", "an event must be an object")
                made = list(make(mapping(record, "an event")))
                for one in made:
                    if not isinstance(one, Part):
                        _fits(one)
                for one in made:
                    if isinstance(one, dict):
                        _check_size(one.get("properties") or {})
            except InvalidEvent as problem:
                self.refuse(index, problem.reason, str(problem), record)
            except RecursionError:
                self.refuse(index, "too_deep", "the event nests too deep", record)
            else:
                for one in made:
                    if isinstance(one, Part):
                        self.refuse(index, *one)
                    else:
                        self.events.append(one)
                        self.of.append(index)

    def refuse(self, index: int, reason: str, message: str, record: Any) -> None:
        """Puts a record, or a part of one, into the quarantine."""
        if self._hidden and isinstance(record, dict):
            record = {
                name: self._shown(value) if isinstance(value, dict) else value
                for name, value in self._shown(record).items()
            }
        self.refused.append(refused(index, reason, message, raw(record)))

    def _shown(self, record: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in record.items() if name not in self._hidden}


_ESCAPED = re.compile("[\udc80-\udcff]+")


def raw(record: Any) -> bytes:
    """A record as JSON again; bytes that were no UTF-8 are what they were."""
    try:
        text = written(record)
    except (RecursionError, ValueError):
        return b"(nests too deep to be shown)"
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b"".join(
            part.encode("utf-8", "surrogateescape")
            if _ESCAPED.fullmatch(part)
            else part.encode("utf-8", "surrogatepass")
            for part in re.split("([\udc80-\udcff]+)", text)
        )
