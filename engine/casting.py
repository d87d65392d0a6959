"""Casting a value to the kind its property already has: which casts are exact enough to be stored.

The first kind seen of a property holds. A value of another kind is cast when nothing is lost (an
int64 beyond 2^53 becomes the nearest float64), else the event goes to quarantine with reason
``type_mismatch``. The table stands in ``docs/format/batch.md``. Values are in the transport form of
a batch cell: bool 0/1, int, float, datetime ms, text, list of texts. Pure functions.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from zuji.engine.types import Kind

Plain = int | float | str | list[str]

_INT = re.compile(r"[+-]?\d{1,19}\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class NotCastable(ValueError):
    """The value cannot be stored as the property's kind."""


def check_increment(stored: Kind, *, increment: bool) -> None:
    """Raises NotCastable when an ``increment`` is not of a number."""
    if increment and stored not in (Kind.INT, Kind.FLOAT):
        raise NotCastable("only numbers can be increased")


def cast(value: Plain, sent: Kind, stored: Kind) -> Plain:
    """``value`` of kind ``sent`` as kind ``stored``.

    Raises:
        NotCastable: the cast would lose something.
    """
    if sent == stored:
        return value
    if stored == Kind.STRING:
        return _to_text(value, sent)
    if stored == Kind.LIST:
        if sent == Kind.STRING:
            return [str(value)]
        raise NotCastable(f"{sent.label} is not a list")
    if sent in (Kind.LIST,):
        raise NotCastable("a list is not a single value")
    if stored == Kind.FLOAT:
        return _to_float(value, sent)
    if stored == Kind.INT:
        return _to_int(value, sent)
    if stored == Kind.BOOL:
        return _to_bool(value, sent)
    return _to_datetime(value, sent)


def _to_text(value: Plain, sent: Kind) -> str:
    if sent == Kind.LIST:
        raise NotCastable("a list is not a string")
    if sent == Kind.BOOL:
        return "true" if value else "false"
    if sent == Kind.DATETIME:
        try:
            moment = datetime.fromtimestamp(int(value) / 1000, UTC)  # type: ignore[arg-type]
        except (ValueError, OverflowError, OSError):
            raise NotCastable("the datetime is outside the years 1 to 9999") from None
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return repr(value) if sent == Kind.FLOAT else str(value)


def _to_float(value: Plain, sent: Kind) -> float:
    if sent in (Kind.INT, Kind.BOOL):
        return float(value)  # type: ignore[arg-type]
    if sent == Kind.STRING and _FLOAT.match(str(value)):
        number = float(str(value))
        if math.isfinite(number):
            return number
    raise NotCastable(f"{sent.label} is not a number")


def _to_int(value: Plain, sent: Kind) -> int:
    if sent == Kind.BOOL:
        return int(value)  # type: ignore[arg-type]
    if sent == Kind.FLOAT:
        number = float(value)  # type: ignore[arg-type]
        if number.is_integer() and _INT_MIN <= number < _INT_MAX:
            return int(number)
        raise NotCastable("a fraction is not an int64 (declare the property as float64)")
    if sent == Kind.STRING and _INT.match(str(value)):
        whole = int(str(value))
        if _INT_MIN <= whole <= _INT_MAX:
            return whole
    raise NotCastable(f"{sent.label} is not an int64")


def _to_bool(value: Plain, sent: Kind) -> int:
    if sent in (Kind.INT, Kind.FLOAT) and value in (0, 1):
        return int(value == 1)
    if sent == Kind.STRING and str(value).lower() in ("true", "false"):
        return int(str(value).lower() == "true")
    raise NotCastable(f"{sent.label} is not a bool")


def _to_datetime(value: Plain, sent: Kind) -> int:
    if sent == Kind.INT:
        return int(value)  # type: ignore[arg-type]
    if sent == Kind.STRING:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise NotCastable("the text is not an RFC 3339 date and time") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    raise NotCastable(f"{sent.label} is not a datetime")
