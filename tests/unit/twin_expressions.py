"""Virtual properties row by row, straight from docs/virtual.md; None is null."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from zuji.engine.query.virtual.expression import Call, Constant, Expression, Read

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def value(tree: Expression, row: dict[str, Any], tz: str) -> Any:
    """Row: values by full name. Instants are aware datetimes."""
    if isinstance(tree, Constant):
        return tree.value
    if isinstance(tree, Read):
        return row.get(tree.p)
    assert isinstance(tree, Call)
    args = [value(each, row, tz) for each in tree.args]
    name = tree.name
    if name == "if":
        return args[1] if args[0] is True else args[2]
    if name == "coalesce":
        return next((each for each in args if each is not None), None)
    if name == "is_set":
        return args[0] is not None
    if name in ("and", "or"):
        decisive = name == "or"
        if decisive in args:
            return decisive
        return None if None in args else not decisive
    if any(each is None for each in args):
        return None
    return plain(name, args, tz)


def whole(number: int) -> int | None:
    return number if -(2**63) <= number < 2**63 else None


def real(number: float) -> float | None:
    return number if math.isfinite(number) else None


def plain(name: str, args: list[Any], tz: str) -> Any:
    if name in ("+", "-", "*", "/", "%"):
        return arithmetic(name, *args)
    if name in ("==", "!=", "<", "<=", ">", ">="):
        a, b = args
        return {
            "==": a == b,
            "!=": a != b,
            "<": a < b,
            "<=": a <= b,
            ">": a > b,
            ">=": a >= b,
        }[name]
    if name in ("year", "month", "day", "hour", "weekday", "date"):
        local = args[0].astimezone(ZoneInfo(tz))
        if name == "date":
            return local.date().isoformat()
        return local.isoweekday() if name == "weekday" else getattr(local, name)
    simple = {
        "negate": lambda a: arithmetic("-", 0.0 if isinstance(a, float) else 0, a),
        "not": lambda a: not a,
        "concat": lambda *parts: "".join(parts),
        "lower": str.lower,
        "upper": str.upper,
        "trim": str.strip,
        "substr": substr,
        "split": split,
        "replace": lambda text, old, new: text.replace(old, new) if old else text,
        "length": len,
        "contains": lambda text, part: part in text,
        "starts_with": str.startswith,
        "ends_with": str.endswith,
        "has": lambda items, one: one in items,
        "number": number,
        "text": lambda one: text(one, tz),
        "abs": lambda a: whole(abs(a)) if isinstance(a, int) else abs(a),
        "floor": lambda a: a if isinstance(a, int) else float(math.floor(a)),
        "ceil": lambda a: a if isinstance(a, int) else float(math.ceil(a)),
        "min": least,
        "max": lambda *args: -least(*(-each for each in args)),
        "days_between": lambda a, b: (b - a) / timedelta(days=1),
    }
    return simple[name](*args)


def arithmetic(op: str, a: Any, b: Any) -> Any:
    if op == "/":
        return None if b == 0 else real(a / b)
    if op == "%":
        if b == 0:
            return None
        return a % b
    made = {"+": a + b, "-": a - b, "*": a * b}[op]
    return real(made) if isinstance(made, float) else whole(made)


def least(*args: Any) -> Any:
    return float(min(args)) if any(isinstance(a, float) for a in args) else min(args)


def substr(text: str, start: Any, count: Any = None) -> str:
    start = int(start)
    at = start - 1 if start > 0 else max(len(text) + start, 0) if start < 0 else 0
    return text[at:] if count is None else text[at : at + max(int(count), 0)]


def split(text: str, by: str, n: Any) -> str | None:
    parts = text.split(by) if by else [text]
    n = int(n)
    if n == 0:
        return parts[0]
    at = n - 1 if n > 0 else len(parts) + n
    return parts[at] if 0 <= at < len(parts) else None


def number(text: str) -> float | None:
    try:
        return real(float(text))
    except ValueError:
        return None


def text(one: Any, tz: str) -> str:
    if isinstance(one, bool):
        return "true" if one else "false"
    if isinstance(one, float):
        return str(int(one)) if one.is_integer() else repr(one)
    if isinstance(one, datetime):
        local = one.astimezone(ZoneInfo(tz))
        return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    return str(one)
