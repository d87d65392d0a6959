"""Documents and structs: JSON of bounded size → values → a struct of any type, and back.

Order of checks: size, JSON, nesting, types and unknown fields (msgspec over the structs). Knows
the grammars of filters, audiences and measures, and no model. Thread-safe: functions only.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any, NoReturn

import msgspec

from zuji.engine.errors import InvalidQuery
from zuji.engine.limits import DEFAULT_LIMITS, Limits
from zuji.engine.query import shapes
from zuji.engine.query.audience import Audience, audience_from, audience_to
from zuji.engine.query.filter_ast import Filter, filter_from, filter_to
from zuji.engine.query.grammar import Written
from zuji.engine.query.problems import SEPARATOR, child

_AT = re.compile(r"^(?P<text>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_QUOTED = re.compile(r"`([^`]*)`")
_SCALARS = (str, int, float, bool)


def load(document: Mapping[str, Any] | str | bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """JSON values of a document of bounded size and nesting. Raises InvalidQuery.

    Beyond JSON itself: no field twice, no NaN or infinity, no lone surrogate. Python values may
    hold tuples, dates and aware datetimes.
    """
    if isinstance(document, Mapping):
        try:
            document = json.dumps(document, ensure_ascii=False, allow_nan=False, default=_text_of)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidQuery(f"the query is not JSON: {error}") from None
    try:
        raw = document.encode() if isinstance(document, str) else bytes(document)
        if len(raw) > limits.query_bytes:
            raise InvalidQuery(
                f"a query has at most {limits.query_bytes:,} bytes, got {len(raw):,}; "
                "a long list of values belongs in a cohort"
            )
        values = json.loads(raw, object_pairs_hook=_fields, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidQuery(f"a query nests at most {limits.query_depth} levels deep") from None
    except (json.JSONDecodeError, UnicodeError) as error:
        raise InvalidQuery(f"the query is not JSON: {error}") from None
    except ValueError as error:
        raise InvalidQuery(str(error)) from None
    if not isinstance(values, dict):
        raise InvalidQuery("a query is a JSON object")
    _check_values(values, "$", limits.query_depth, limits)
    return values


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return out


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the query is not JSON: {name} is not a JSON number")


def _text_of(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise TypeError("a datetime without a zone does not name an instant")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _check_values(value: object, path: str, depth: int, limits: Limits) -> None:
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidQuery("the text is not Unicode: a lone surrogate", path) from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidQuery("the number is too large", path)
    elif isinstance(value, dict | list):
        if depth == 0:
            raise InvalidQuery(f"a query nests at most {limits.query_depth} levels deep", path)
        if isinstance(value, dict):
            for key, item in value.items():
                _check_values(key, path, depth, limits)
                _check_values(item, child(path, key), depth - 1, limits)
        else:
            if len(value) > limits.query_list_values:
                raise InvalidQuery(
                    f"a list has at most {limits.query_list_values:,} values; "
                    "a longer one is a cohort",
                    path,
                )
            for i, item in enumerate(value):
                _check_values(item, f"{path}[{i}]", depth - 1, limits)


# -------------------------------------------------------------------------- msgspec and its errors


_prepared: set[Any] = set()
_preparing = threading.Lock()


def _prepare(model: Any) -> None:
    """Lets msgspec look at a type in one thread: two that do so at once crash the process."""
    with _preparing:
        if model not in _prepared:
            with suppress(msgspec.ValidationError):
                msgspec.convert({}, model, dec_hook=_read)
            _prepared.add(model)


def convert(values: dict[str, Any], model: Any) -> Any:
    """JSON values as a struct of the type. Raises InvalidQuery that says what was expected."""
    if model not in _prepared:
        _prepare(model)
    try:
        return msgspec.convert(values, model, dec_hook=_read)
    except msgspec.ValidationError as error:
        raise _explained(str(error), values, model) from None


def _read(wanted: type, value: object) -> object:
    if wanted is Filter:
        return filter_from(value)
    if wanted is Audience:
        return audience_from(value)
    assert issubclass(wanted, Written)
    return wanted.read(value)


def _explained(message: str, values: dict[str, Any], model: Any) -> InvalidQuery:
    """An InvalidQuery that says what was expected, with the nearest name, from msgspec's error."""
    match = _AT.match(message)
    assert match is not None
    text, path = match["text"], match["path"] or "$"
    if SEPARATOR in text:
        text, _, inside = text.rpartition(SEPARATOR)
        return InvalidQuery(text, path + inside)
    quoted = _QUOTED.findall(text)
    spot = shapes.at(model, values, path)
    if text.startswith("Object contains unknown field"):
        return InvalidQuery(shapes.unknown_field(spot, quoted[0]), child(path, quoted[0]))
    if text.startswith("Object missing required field"):
        return InvalidQuery(
            f"the field {quoted[0]!r} is missing{shapes.choices(spot, quoted[0])}", path
        )
    if text.startswith(("Invalid enum value", "Invalid value")):
        return InvalidQuery(shapes.unknown_value(spot, path), path)
    plain = _QUOTED.sub(lambda found: shapes.json_type(found[1]), text)
    plain = plain.replace("Expected object", f"Expected object{shapes.wanted(spot)}", 1)
    return InvalidQuery(plain[:1].lower() + plain[1:], path)


# ------------------------------------------------------------------------------------------- echo


def plain(value: Any) -> Any:
    """A struct, filter, audience, measure or tuple of them as JSON values."""
    if value is None or type(value) in _SCALARS:
        return value
    if isinstance(value, Filter):
        return filter_to(value)
    if isinstance(value, Audience):
        return audience_to(value)
    if isinstance(value, Written):
        return value.write()
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        out = {} if config.tag is None else {str(config.tag_field): config.tag}
        for name, key in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            out[key] = plain(getattr(value, name))
        return out
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return dict(value) if isinstance(value, dict) else value
