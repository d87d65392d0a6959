"""Values of a virtual property for the rows of a run, or for the users of a shard.

Null in, null out, but for ``coalesce``, ``if`` (a null condition is not so), ``is_set``, ``and``
and ``or`` (as in SQL). Division by zero, whole numbers beyond 64 bits and texts that are no number
are null. Functions of texts run once a dictionary entry. Dates are those of the project's zone.
O(rows · nodes + dictionary entries).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.virtual.expression import Call, Constant, Expression, Joined, Read
from zuji.engine.query.virtual.items import spread
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.types import Flags

_DAY_MS = 86_400_000
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0 here


@dataclass(slots=True)
class Vector:
    """Values of n rows: BOOL bool, INT int64, FLOAT float64, DATETIME int64, STRING codes into
    ``texts``, LIST codes with ``offsets``. ``known``: bool[n], false where the value is null.
    """

    kind: Kind
    values: Any
    known: Flags
    texts: Sequence[str] = ()
    offsets: Any = None


def evaluated(
    tree: Expression,
    rows: int,
    column: Callable[[str], Column | None],
    kind: Kind,
    tz: str,
) -> Column | None:
    """The column of an expression in the declared kind; None when no row has a value.

    ``column``: of a property by its full name, None when no row has it.
    """
    if isinstance(tree, Joined):
        key = column(tree.key)
        return None if key is None else spread(tree, key)
    vector = _Evaluation(rows, column, tz).of(tree)
    if vector is None:
        return None
    vector = _as(vector, kind)
    if not vector.known.any():
        return None
    known = None if vector.known.all() else vector.known.astype(np.uint8)
    if kind == Kind.STRING:
        codes = np.where(vector.known, vector.values, 0).astype(np.uint32)
        return Column(kind, codes, known, vector.texts)
    types = {Kind.BOOL: np.uint8, Kind.INT: np.int64, Kind.FLOAT: np.float64}
    values = np.where(vector.known, vector.values, 0).astype(types.get(kind, np.int64))
    return Column(kind, values, known)


def _as(vector: Vector, kind: Kind) -> Vector:
    """The vector in the declared kind: numbers either way, anything else as it is."""
    if vector.kind == kind:
        return vector
    if kind == Kind.FLOAT and vector.kind == Kind.INT:
        return Vector(kind, vector.values.astype(np.float64), vector.known)
    if kind == Kind.INT and vector.kind == Kind.FLOAT:
        whole = vector.known & (np.abs(vector.values) < 2.0**63)
        return Vector(kind, np.where(whole, vector.values, 0).astype(np.int64), whole)
    raise InvalidQuery(
        f"a virtual property of kind {kind.label} has values of kind {vector.kind.label}"
    )


class _Evaluation:
    def __init__(self, rows: int, column: Callable[[str], Column | None], tz: str) -> None:
        self._rows, self._column, self._tz = rows, column, tz

    def of(self, tree: Expression) -> Vector | None:
        """None: null in every row, of no kind."""
        if isinstance(tree, Constant):
            return self._constant(tree.value)
        if isinstance(tree, Read):
            column = self._column(tree.p)
            return None if column is None else _vector(column)
        assert isinstance(tree, Call)  # a join is a property of its own, which expressions read
        return self._called(tree)

    def _constant(self, value: str | int | float | bool) -> Vector:
        every = np.ones(self._rows, dtype=bool)
        if isinstance(value, bool):
            return Vector(Kind.BOOL, np.full(self._rows, value), every)
        if isinstance(value, str):
            return Vector(Kind.STRING, np.zeros(self._rows, np.uint32), every, [value])
        kind = Kind.INT if isinstance(value, int) else Kind.FLOAT
        return Vector(kind, np.full(self._rows, value), every)

    def _called(self, call: Call) -> Vector | None:
        name, args = call.name, [self.of(each) for each in call.args]
        if name == "if":
            return self._if(args)
        if name == "coalesce":
            return self._coalesce(args)
        if name == "is_set":
            known = np.zeros(self._rows, bool) if args[0] is None else args[0].known
            return Vector(Kind.BOOL, known, np.ones(self._rows, bool))
        if name in ("and", "or"):
            return self._junction(args, name == "or")
        given = [each for each in args if each is not None]
        if len(given) < len(args):
            return None
        known = np.logical_and.reduce([each.known for each in given])
        return _APPLY[name](given, known, self._tz)

    def _if(self, args: list[Vector | None]) -> Vector | None:
        condition, then, otherwise = args
        so = (
            np.zeros(self._rows, bool)
            if condition is None
            else condition.known & condition.values.astype(bool)
        )
        return self._mixed(so, then, otherwise)

    def _coalesce(self, args: list[Vector | None]) -> Vector | None:
        found = args[0]
        for each in args[1:]:
            known = np.zeros(self._rows, bool) if found is None else found.known
            found = self._mixed(known, found, each)
        return found

    def _mixed(self, first: Flags, a: Vector | None, b: Vector | None) -> Vector | None:
        """Rows of ``a`` where ``first``, else of ``b``."""
        if a is None and b is None:
            return None
        if a is None or b is None:
            one = a if b is None else b
            assert one is not None
            where = first if b is None else ~first
            return Vector(one.kind, one.values, one.known & where, one.texts)
        known = np.where(first, a.known, b.known)
        if a.kind == Kind.STRING:
            texts, left, right = _joined(a, b)
            return Vector(a.kind, np.where(first, left, right), known, texts)
        kind = Kind.FLOAT if {a.kind, b.kind} == {Kind.INT, Kind.FLOAT} else a.kind
        return Vector(kind, np.where(first, a.values, b.values), known)

    def _junction(self, args: list[Vector | None], decisive: bool) -> Vector:
        """``or`` (decisive: true) and ``and`` (decisive: false) with nulls as in SQL."""
        decided = np.zeros(self._rows, bool)
        every = np.ones(self._rows, bool)
        for each in args:
            if each is None:
                every[:] = False
                continue
            truth = each.values.astype(bool)
            decided |= each.known & (truth == decisive)
            every &= each.known
        values = decided if decisive else ~decided
        return Vector(Kind.BOOL, values, every | decided)


def _vector(column: Column) -> Vector:
    known = np.ones(column.rows, bool) if column.present is None else column.present.astype(bool)
    values = column.values.astype(bool) if column.kind == Kind.BOOL else column.values
    return Vector(column.kind, values, known, column.dictionary or (), column.offsets)


def _joined(a: Vector, b: Vector) -> tuple[list[str], Any, Any]:
    """Two texts over one table."""
    codes: dict[str, int] = {}

    def moved(vector: Vector) -> Any:
        own = [codes.setdefault(text, len(codes)) for text in vector.texts] or [0]
        return np.array(own, np.uint32)[vector.values]

    left, right = moved(a), moved(b)
    return list(codes) or [""], left, right


def _combined(vectors: list[Vector], make: Callable[..., Any]) -> tuple[Any, list[Any]]:
    """``make`` of each different row of texts: (number of the result by row, results)."""
    mixed = np.zeros(len(vectors[0].values), np.int64)
    for vector in vectors:
        _, mixed = np.unique(
            mixed * max(len(vector.texts), 1) + vector.values.astype(np.int64), return_inverse=True
        )
    _, first = np.unique(mixed, return_index=True)
    results = [
        make(*(vector.texts[int(vector.values[row])] for vector in vectors)) for row in first
    ]
    return mixed, results


def _texts(vectors: list[Vector], known: Flags, make: Callable[..., str | None]) -> Vector:
    """A text of texts, made once for each different row of them."""
    if not len(known) or not known.any():
        return Vector(
            Kind.STRING, np.zeros(len(known), np.uint32), np.zeros(len(known), bool), [""]
        )
    numbers, results = _combined(vectors, make)
    codes: dict[str, int] = {}
    table = np.array(
        [0 if each is None else codes.setdefault(each, len(codes)) for each in results], np.uint32
    )
    there = np.array([each is not None for each in results])
    return Vector(Kind.STRING, table[numbers], known & there[numbers], list(codes) or [""])


def _of_texts(vectors: list[Vector], known: Flags, make: Callable[..., Any], kind: Kind) -> Vector:
    """A number or truth of texts; None is null."""
    types = {Kind.BOOL: bool, Kind.INT: np.int64, Kind.FLOAT: np.float64}
    if not len(known) or not known.any():
        return Vector(kind, np.zeros(len(known), types[kind]), np.zeros(len(known), bool))
    numbers, results = _combined(vectors, make)
    table = np.array([0 if each is None else each for each in results], types[kind])
    there = np.array([each is not None for each in results])
    return Vector(kind, table[numbers], known & there[numbers])


# ------------------------------------------------------------------------------- one each


def _arithmetic(op: str) -> Callable[..., Vector]:
    def apply(args: list[Vector], known: Flags, _tz: str) -> Vector:
        a, b = args
        if op == "/" or Kind.FLOAT in (a.kind, b.kind):
            return _real(op, a.values.astype(np.float64), b.values.astype(np.float64), known)
        return _whole(op, a.values.astype(np.int64), b.values.astype(np.int64), known)

    return apply


def _real(op: str, x: Any, y: Any, known: Flags) -> Vector:
    with np.errstate(all="ignore"):
        if op in "/%":
            known = known & (y != 0)
        values = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.mod}[op](
            x, y
        )
    return Vector(Kind.FLOAT, values, known & np.isfinite(values))


def _whole(op: str, x: Any, y: Any, known: Flags) -> Vector:
    with np.errstate(all="ignore"):
        if op == "%":
            known = known & (y != 0)
            return Vector(Kind.INT, np.mod(x, np.where(y == 0, 1, y)), known)
        values = {"+": np.add, "-": np.subtract, "*": np.multiply}[op](x, y)
        near = {"+": np.add, "-": np.subtract, "*": np.multiply}[op](
            x.astype(np.float64), y.astype(np.float64)
        )
    fits = np.abs(near) < 2.0**63
    if op == "*":  # a product just beyond 64 bits may look as if it fits
        safe = np.where(x == 0, 1, x)
        fits &= (x == 0) | ((values // safe == y) & (values % safe == 0))
    else:
        over = ((x ^ values) & ((y if op == "+" else ~y) ^ values)) < 0
        fits = ~over
    return Vector(Kind.INT, values, known & fits)


def _negated(args: list[Vector], known: Flags, tz: str) -> Vector:
    zero = Vector(args[0].kind, np.zeros_like(args[0].values), known)
    return _arithmetic("-")([zero, args[0]], known, tz)


def _not(args: list[Vector], known: Flags, _tz: str) -> Vector:
    return Vector(Kind.BOOL, ~args[0].values.astype(bool), known)


_COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _comparison(op: str) -> Callable[..., Vector]:
    compare: Callable[[Any, Any], Any] = _COMPARE[op]

    def apply(args: list[Vector], known: Flags, _tz: str) -> Vector:
        a, b = args
        if a.kind == Kind.STRING:
            return _of_texts(args, known, compare, Kind.BOOL)
        return Vector(Kind.BOOL, compare(a.values, b.values), known)

    return apply


def _concat(args: list[Vector], known: Flags, _tz: str) -> Vector:
    return _texts(args, known, lambda *parts: "".join(parts))


def _text_function(make: Callable[[str], str]) -> Callable[..., Vector]:
    return lambda args, known, _tz: _texts(args, known, make)


def _truth_function(make: Callable[[str, str], bool]) -> Callable[..., Vector]:
    return lambda args, known, _tz: _of_texts(args, known, make, Kind.BOOL)


def _as_texts(vector: Vector, shown: Callable[[Any], str]) -> Vector:
    """Any values as texts, so that they can stand beside texts."""
    found, codes = np.unique(vector.values, return_inverse=True)
    return Vector(Kind.STRING, codes, vector.known, [shown(each) for each in found.tolist()])


def _substr(args: list[Vector], known: Flags, _tz: str) -> Vector:
    """Characters from a position (1 is the first; negative from the end), as many as said."""

    def cut(text: str, start: str, count: str | None = None) -> str:
        at = int(float(start))
        at = at - 1 if at > 0 else max(len(text) + at, 0) if at < 0 else 0
        return text[at:] if count is None else text[at : at + max(int(float(count)), 0)]

    return _texts([args[0], *(_as_texts(each, repr) for each in args[1:])], known, cut)


def _split(args: list[Vector], known: Flags, _tz: str) -> Vector:
    """Part number n (1 is the first; negative from the end), null when there is none."""

    def part(text: str, by: str, n: str) -> str | None:
        parts, at = text.split(by) if by else [text], int(float(n))
        at = at - 1 if at > 0 else at
        return parts[at] if -len(parts) <= at < len(parts) else None

    return _texts([*args[:2], _as_texts(args[2], repr)], known, part)


def _replace(args: list[Vector], known: Flags, _tz: str) -> Vector:
    return _texts(args, known, lambda text, old, new: text.replace(old, new) if old else text)


def _length(args: list[Vector], known: Flags, _tz: str) -> Vector:
    (one,) = args
    if one.kind == Kind.LIST:
        return Vector(Kind.INT, np.diff(one.offsets.astype(np.int64)), known)
    return _of_texts(args, known, len, Kind.INT)


def _has(args: list[Vector], known: Flags, _tz: str) -> Vector:
    one, wanted = args
    owners = np.repeat(np.arange(len(known)), np.diff(one.offsets.astype(np.int64)))
    texts = np.array(wanted.texts, dtype=object)[wanted.values[owners]]
    items = np.array(one.texts or [""], dtype=object)[one.values]
    hit = np.zeros(len(known), bool)
    hit[owners[items == texts]] = True
    return Vector(Kind.BOOL, hit, known)


def _number(args: list[Vector], known: Flags, _tz: str) -> Vector:
    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    return _of_texts(args, known, read, Kind.FLOAT)


def _text(args: list[Vector], known: Flags, tz: str) -> Vector:
    (one,) = args
    if one.kind == Kind.STRING:
        return one
    shown: Callable[[Any], str] = repr
    if one.kind == Kind.BOOL:
        shown = lambda value: "true" if value else "false"  # noqa: E731
    elif one.kind == Kind.DATETIME:
        shown = lambda ms: calendars.format_instant(ms, tz)  # noqa: E731
    elif one.kind == Kind.FLOAT:
        shown = lambda value: str(int(value)) if value.is_integer() else repr(value)  # noqa: E731
    made = _as_texts(one, shown)
    return Vector(Kind.STRING, made.values, known, made.texts)


def _rounding(function: Callable[[Any], Any]) -> Callable[..., Vector]:
    def apply(args: list[Vector], known: Flags, _tz: str) -> Vector:
        (one,) = args
        return Vector(one.kind, function(one.values), known)

    return apply


def _round(args: list[Vector], known: Flags, _tz: str) -> Vector:
    """Half away from zero, as people round."""
    one = args[0]
    scale = 10.0 ** np.clip(args[1].values.astype(np.float64), -15, 15) if len(args) > 1 else 1.0
    values = one.values.astype(np.float64)
    with np.errstate(all="ignore"):
        values = np.copysign(np.floor(np.abs(values) * scale + 0.5), values) / scale
    known = known & np.isfinite(values)
    if one.kind == Kind.INT:
        return _as(Vector(Kind.FLOAT, values, known), Kind.INT) if len(args) > 1 else one
    return Vector(Kind.FLOAT, values, known)


def _extreme(choose: Callable[[Any, Any], Any]) -> Callable[..., Vector]:
    def apply(args: list[Vector], known: Flags, _tz: str) -> Vector:
        values, kind = args[0].values, args[0].kind
        for each in args[1:]:
            values = choose(values, each.values)
            kind = Kind.FLOAT if Kind.FLOAT in (kind, each.kind) else kind
        return Vector(kind, values, known)

    return apply


def _abs(args: list[Vector], known: Flags, _tz: str) -> Vector:
    (one,) = args
    if one.kind == Kind.INT:
        known = known & (one.values != np.iinfo(np.int64).min)
    return Vector(one.kind, np.abs(one.values), known)


def _local(args: list[Vector], tz: str) -> Any:
    return calendars.to_local(args[0].values.astype(np.int64), tz)


def _calendar(part: str) -> Callable[..., Vector]:
    def apply(args: list[Vector], known: Flags, tz: str) -> Vector:
        local = _local(args, tz)
        days = local // _DAY_MS
        if part == "hour":
            values = local % _DAY_MS // 3_600_000
        elif part == "weekday":
            values = (days + _EPOCH_WEEKDAY) % 7 + 1
        else:
            dates = days.astype("datetime64[D]")
            months = dates.astype("datetime64[M]").astype(np.int64)
            values = {
                "year": months // 12 + 1970,
                "month": months % 12 + 1,
                "day": (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1,
            }[part]
        return Vector(Kind.INT, values, known)

    return apply


def _date(args: list[Vector], known: Flags, tz: str) -> Vector:
    days, codes = np.unique(_local(args, tz) // _DAY_MS, return_inverse=True)
    texts = np.datetime_as_string(days.astype("datetime64[D]")).tolist()
    return Vector(Kind.STRING, codes, known, texts or [""])


def _days_between(args: list[Vector], known: Flags, _tz: str) -> Vector:
    a, b = (each.values.astype(np.int64) for each in args)
    return Vector(Kind.FLOAT, (b - a) / _DAY_MS, known)


_APPLY: dict[str, Callable[..., Vector]] = {
    **{op: _arithmetic(op) for op in "+-*/%"},
    **{op: _comparison(op) for op in _COMPARE},
    "negate": _negated,
    "not": _not,
    "concat": _concat,
    "lower": _text_function(str.lower),
    "upper": _text_function(str.upper),
    "trim": _text_function(str.strip),
    "substr": _substr,
    "split": _split,
    "replace": _replace,
    "length": _length,
    "contains": _truth_function(lambda text, part: part in text),
    "starts_with": _truth_function(str.startswith),
    "ends_with": _truth_function(str.endswith),
    "has": _has,
    "number": _number,
    "text": _text,
    "abs": _abs,
    "floor": _rounding(np.floor),
    "ceil": _rounding(np.ceil),
    "round": _round,
    "min": _extreme(np.minimum),
    "max": _extreme(np.maximum),
    **{part: _calendar(part) for part in ("year", "month", "day", "hour", "weekday")},
    "date": _date,
    "days_between": _days_between,
}
