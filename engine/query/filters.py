"""What filters mean: predicates over decoded columns, and over zone maps.

A missing property satisfies only ``is_not_set``, ``ne``, ``not_in`` and ``not_contains``; ``not``
is a plain complement. A value of a type that cannot be compared with the property's is never equal
to it, and a warning says so. String predicates are evaluated once a dictionary entry, then looked
up by code; loops over rows are native and release the GIL. Regular expressions are RE2 (linear
time). Thread-safe: functions only; a :class:`Tables` may be shared by threads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine import calendars
from zuji.engine.query import _filter, slices
from zuji.engine.query.durations import Duration
from zuji.engine.query.filter_ast import AllOf, AnyOf, Filter, Leaf, Not, Scalar
from zuji.engine.query.problems import shown
from zuji.engine.query.virtual.items import Coded
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zuji.engine.types import F64, I64, U8, U32, Slices

Mask = Any
"""uint8[n] of 0/1, or True / False when all rows agree."""
Zone = tuple[Any, Any, bool]
"""(least, greatest, some row has no value) of a property over some rows that have it at all."""

NEGATIONS: Final = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "is_not_set": "is_set",
}
"""Operators that a missing property satisfies: each is the complement of another."""
TEXT_OPS: Final = ("contains", "starts_with", "ends_with", "matches")
LIST_OPS: Final = ("has", "has_any", "has_all")
EXACT_OPS: Final = ("eq", "in", *LIST_OPS)
"""Operators that only the very texts they name satisfy."""
FEW_CODES: Final = 3
"""So many codes are looked for one by one: comparing takes a ninth of the time of a look-up."""
_INT64: Final = (-(2**63), 2**63 - 1)


class Tables:
    """Lookup tables of string predicates, kept for the dictionaries that several runs share.

    Holds on to filters and dictionaries, so that their identities stay theirs: lives as long as
    one query. Thread-safe: two threads may make the same table, one is kept.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[Leaf, Sequence[str], U8]] = {}

    def table(self, leaf: Leaf, dictionary: Sequence[str], make: Callable[[], U8]) -> U8:
        """The table of a predicate over a dictionary."""
        key = (id(leaf), id(dictionary))
        known = self._made.get(key)
        if known is None:
            known = self._made.setdefault(key, (leaf, dictionary, make()))
        return known[2]


def evaluate(
    where: Filter,
    rows: int,
    column: Callable[[str], Column | Coded | None],
    *,
    now_ms: int = 0,
    warn: Callable[[str], None] | None = None,
    tables: Tables | None = None,
) -> Mask:
    """Rows that pass a filter.

    ``column`` gives the column of a property by its full name (``event.city``), or None when no
    row has it. Returns a fresh uint8[rows] of 0/1, or True/False when all rows agree. O(rows ·
    predicates + dictionary entries).
    """
    return _Evaluation(rows, column, now_ms, warn, tables).of(where)


def fold(where: Filter, constants: Mapping[str, Scalar | None], *, now_ms: int = 0) -> Any:
    """The filter with predicates over known values (None: missing) decided: a Filter or a bool.

    Serves planning: ``{"event.$name": "pay", "event.os": None}`` of a run without ``os``.
    """
    if isinstance(where, Leaf):
        if where.p not in constants:
            return where
        value = constants[where.p]
        mask = evaluate(
            where, 1, lambda _: None if value is None else _constant(value), now_ms=now_ms
        )
        return mask if isinstance(mask, bool) else bool(mask[0])
    if isinstance(where, Not):
        item = fold(where.item, constants, now_ms=now_ms)
        return (not item) if isinstance(item, bool) else Not(item)
    assert isinstance(where, AllOf | AnyOf)
    decisive = isinstance(where, AnyOf)
    left: list[Filter] = []
    for each in where.items:
        item = fold(each, constants, now_ms=now_ms)
        if item is decisive:
            return decisive
        if not isinstance(item, bool):
            left.append(item)
    if not left:
        return not decisive
    return left[0] if len(left) == 1 else type(where)(tuple(left))


def _constant(value: Scalar) -> Column:
    if isinstance(value, str):
        return Column(Kind.STRING, np.zeros(1, np.uint32), None, [value])
    if isinstance(value, bool):
        return Column(Kind.BOOL, np.array([value], np.uint8))
    if isinstance(value, int):
        return Column(Kind.INT, np.array([value], np.int64))
    return Column(Kind.FLOAT, np.array([value], np.float64))


# ---------------------------------------------------------------------------------- over columns


class _Evaluation:
    """One evaluation: where columns come from, the time, and where warnings go."""

    def __init__(
        self,
        rows: int,
        column: Callable[[str], Column | Coded | None],
        now_ms: int,
        warn: Callable[[str], None] | None,
        tables: Tables | None,
    ) -> None:
        self.rows = rows
        self.column = column
        self.now_ms = now_ms
        self.warn = warn
        self.tables = tables or Tables()

    def of(self, where: Filter) -> Mask:
        if isinstance(where, Leaf):
            return self.leaf(where)
        if isinstance(where, Not):
            return _inverted(self.of(where.item))
        assert isinstance(where, AllOf | AnyOf)
        decisive = isinstance(where, AnyOf)
        combined: U8 | None = None
        for item in where.items:
            mask = self.of(item)
            if isinstance(mask, bool):
                if mask is decisive:
                    return decisive
            elif combined is None:
                combined = mask
            elif decisive:
                _filter.or_into(combined, mask)
            else:
                _filter.and_into(combined, mask)
        return (not decisive) if combined is None else combined

    def leaf(self, leaf: Leaf) -> Mask:
        negated = leaf.op in NEGATIONS
        column = self.column(leaf.p)
        if column is None:
            return negated
        op = NEGATIONS.get(leaf.op, leaf.op)
        if isinstance(column, Coded):
            mask = self.by_entry(leaf, op, column)
        else:
            mask = self.positive(leaf, op, column)
        return _inverted(mask) if negated else mask

    def by_entry(self, leaf: Leaf, op: str, column: Coded) -> Mask:
        """The predicate once for each text of the key's dictionary."""

        def table() -> U8:
            mask = self.positive(leaf, op, column.entries)
            return np.full(column.entries.rows, mask, np.uint8) if isinstance(mask, bool) else mask

        return self.looked_up(leaf, column.key, table)

    def positive(self, leaf: Leaf, op: str, column: Column) -> Mask:
        if op == "is_set":
            return True if column.present is None else np.array(column.present, np.uint8)
        if op == "is_empty":
            return self.empty(leaf, column)
        if column.kind == Kind.LIST:
            return self.list(leaf, op, column)
        if op in LIST_OPS:
            return self.never(leaf, column, "is not a list")
        if column.kind == Kind.STRING:
            return self.string(leaf, op, column)
        if op in TEXT_OPS:
            return self.never(leaf, column, "is not a string")
        if op == "within_last" and column.kind != Kind.DATETIME:
            return self.never(leaf, column, "is not a datetime")
        if column.kind == Kind.BOOL:
            return self.boolean(leaf, op, column)
        return self.number(leaf, op, column)

    def never(self, leaf: Leaf, column: Column, why: str) -> bool:
        """Nothing holds, and the caller should know why."""
        if self.warn is not None:
            self.warn(f"{leaf.p} ({column.kind.label}) {why}: op {leaf.op!r} does not apply to it")
        return False

    def comparable(self, leaf: Leaf, column: Column) -> list[Any]:
        """The values of ``v`` in the property's type; those of another type are left out."""
        values = leaf.v if isinstance(leaf.v, tuple) else (leaf.v,)
        found = []
        for value in values:
            own = _as_kind(value, column.kind)
            if own is not None:
                found.append(own)
            elif self.warn is not None:
                self.warn(
                    f"{leaf.p} is of type {column.kind.label} and never equals {shown(value)}"
                )
        return found

    # ---- strings

    def string(self, leaf: Leaf, op: str, column: Column) -> Mask:
        if op == "within_last":
            return self.never(leaf, column, "is not a datetime")
        wanted = self.comparable(leaf, column)
        if not wanted or (op == "between" and len(wanted) < 2):
            return False
        dictionary = column.dictionary if column.dictionary is not None else ()
        return self.looked_up(leaf, column, lambda: _text_table(op, wanted, dictionary))

    def looked_up(self, leaf: Leaf, column: Column, make: Callable[[], U8]) -> Mask:
        dictionary = column.dictionary if column.dictionary is not None else ()
        table = self.tables.table(leaf, dictionary, make)
        hits = int(np.count_nonzero(table))
        if hits == 0:
            return False
        if hits == len(table) and column.present is None:
            return True
        codes: Any = np.ascontiguousarray(column.values)  # of 1, 2 or 4 bytes
        if hits <= FEW_CODES and len(table) <= np.iinfo(codes.dtype).max:
            first, *others = np.flatnonzero(table).tolist()
            mask = _filter.equal(codes, column.present, first)
            for code in others:
                _filter.or_into(mask, _filter.equal(codes, column.present, code))
            return mask
        return _filter.lookup(codes, column.present, table)

    def empty(self, leaf: Leaf, column: Column) -> Mask:
        if column.kind == Kind.LIST:
            assert column.offsets is not None
            return _filter.list_empty(column.offsets, column.present)
        if column.kind != Kind.STRING:
            return self.never(leaf, column, "has no empty value")
        dictionary = column.dictionary if column.dictionary is not None else ()
        return self.looked_up(leaf, column, lambda: _text_table("eq", [""], dictionary))

    # ---- lists

    def list(self, leaf: Leaf, op: str, column: Column) -> Mask:
        if op not in LIST_OPS:
            return self.never(leaf, column, "is a list")
        assert column.offsets is not None
        wanted = set(leaf.v) if isinstance(leaf.v, tuple) else {leaf.v}
        texts = [text for text in wanted if isinstance(text, str)]
        dictionary = column.dictionary if column.dictionary is not None else ()
        codes: U32 = np.ascontiguousarray(column.values, np.uint32)
        if op == "has_all" and len(wanted) != 1:
            if not wanted:
                return True if column.present is None else np.array(column.present, np.uint8)
            place = np.zeros(len(dictionary), np.uint32)
            hits = np.flatnonzero(_text_table("in", texts, dictionary))
            if len(hits) < len(wanted):
                return False
            place[hits] = np.arange(1, len(hits) + 1, dtype=np.uint32)
            return _filter.list_all(codes, column.offsets, column.present, place, len(hits))
        table = self.tables.table(leaf, dictionary, lambda: _text_table("in", texts, dictionary))
        if not table.any():
            return False
        return _filter.list_any(codes, column.offsets, column.present, table)

    # ---- numbers, datetimes, bools

    def boolean(self, leaf: Leaf, op: str, column: Column) -> Mask:
        if op not in ("eq", "in"):
            return self.never(leaf, column, "has no order")
        wanted = set(self.comparable(leaf, column))
        if not wanted:
            return False
        if len(wanted) == 2:
            return True if column.present is None else np.array(column.present, np.uint8)
        values: U8 = np.ascontiguousarray(column.values, np.uint8)
        return _filter.equal(values, column.present, int(wanted.pop()))

    def number(self, leaf: Leaf, op: str, column: Column) -> Mask:
        floats = column.kind == Kind.FLOAT
        if op == "within_last":
            assert isinstance(leaf.v, Duration)
            wanted: list[Any] = [self.now_ms - leaf.v.ms + 1, self.now_ms]
            op = "between"
        else:
            wanted = self.comparable(leaf, column)
        if op == "in":
            return _member(wanted, column)
        if not wanted or (op == "between" and len(wanted) < 2):
            return False
        bounds = _float_bounds(op, wanted) if floats else _int_bounds(op, wanted)
        if bounds is None:
            return False
        if column.slices is not None:
            values: Any = column.values
            return slices.between(column.slices, values, *bounds)
        if floats:
            return _filter.between_f64(
                np.ascontiguousarray(column.values, np.float64), column.present, *bounds
            )
        return _filter.between_i64(
            np.ascontiguousarray(column.values, np.int64), column.present, *bounds
        )


def _inverted(mask: Mask) -> Mask:
    if isinstance(mask, bool):
        return not mask
    _filter.invert(mask)
    return mask


def _flags(values: Iterable[bool]) -> U8:
    return np.fromiter(values, np.uint8)


def _text_table(op: str, wanted: list[str], dictionary: Sequence[str]) -> U8:
    """Which dictionary entries a string predicate holds for, uint8[entries]."""
    if isinstance(dictionary, Dictionary):
        flags = dictionary.flags(op, wanted)
        if flags is not None:
            return flags
    if op in ("eq", "in"):
        chosen = set(wanted)
        return _flags(text in chosen for text in dictionary)
    first = wanted[0]
    if op == "contains":
        return _flags(first in text for text in dictionary)
    if op == "starts_with":
        return _flags(text.startswith(first) for text in dictionary)
    if op == "ends_with":
        return _flags(text.endswith(first) for text in dictionary)
    if op == "matches":
        return _matching(first, dictionary)
    # Python compares by code point, which is the order of the UTF-8 bytes.
    if op == "between":
        return _flags(first <= text <= wanted[1] for text in dictionary)
    if op == "gt":
        return _flags(text > first for text in dictionary)
    if op == "gte":
        return _flags(text >= first for text in dictionary)
    if op == "lt":
        return _flags(text < first for text in dictionary)
    assert op == "lte", op
    return _flags(text <= first for text in dictionary)


def _matching(pattern: str, dictionary: Sequence[str]) -> U8:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(dictionary, Dictionary):
        buffers = [None, pa.py_buffer(dictionary.offsets), pa.py_buffer(dictionary.data)]
        texts = pa.Array.from_buffers(pa.large_string(), len(dictionary), buffers)
    else:
        texts = pa.array(list(dictionary), pa.large_string())
    found = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.uint8)


def _as_kind(value: object, kind: Kind) -> Any:
    """``value`` of a query in the type of a property, or None when they cannot be compared."""
    if isinstance(value, bool):
        return value if kind == Kind.BOOL else None
    if isinstance(value, int | float):
        return value if kind in (Kind.INT, Kind.FLOAT, Kind.DATETIME) else None
    if isinstance(value, str):
        if kind == Kind.STRING:
            return value
        if kind == Kind.DATETIME:
            try:
                return calendars.parse_instant(value)
            except ValueError:
                return None
    return None


def _int_bounds(op: str, wanted: list[Any]) -> tuple[int, int] | None:
    """The inclusive int64 range that a predicate allows, None when it is empty. Exact."""
    low, high = _INT64
    first, last = wanted[0], wanted[-1]
    if op in ("eq", "gte", "between"):
        low = math.ceil(first)
    elif op == "gt":
        low = math.floor(first) + 1
    if op in ("eq", "lte", "between"):
        high = math.floor(last)
    elif op == "lt":
        high = math.ceil(last) - 1
    low, high = max(low, _INT64[0]), min(high, _INT64[1])
    return (low, high) if low <= high else None


def _float_bounds(op: str, wanted: list[Any]) -> tuple[float, float] | None:
    """The inclusive float64 range that a predicate allows. Exact: an int between two floats too."""
    low, high = -math.inf, math.inf
    first, last = wanted[0], wanted[-1]
    near_first, near_last = float(first), float(last)
    if op in ("eq", "gte", "between"):
        low = near_first if near_first >= first else math.nextafter(near_first, math.inf)
    elif op == "gt":
        low = near_first if near_first > first else math.nextafter(near_first, math.inf)
    if op in ("eq", "lte", "between"):
        high = near_last if near_last <= last else math.nextafter(near_last, -math.inf)
    elif op == "lt":
        high = near_last if near_last < last else math.nextafter(near_last, -math.inf)
    return (low, high) if low <= high else None


def _member(wanted: list[Any], column: Column) -> Mask:
    if column.slices is not None and len(wanted) <= FEW_CODES:
        return _one_of_few(wanted, column, column.slices)
    if column.kind == Kind.FLOAT:
        exact = sorted({float(value) for value in wanted if float(value) == value})
        floats: F64 = np.array(exact, np.float64)
        values: F64 = np.ascontiguousarray(column.values, np.float64)
        return _filter.member_f64(values, column.present, floats) if exact else False
    whole = sorted({int(v) for v in wanted if v == int(v) and _INT64[0] <= v <= _INT64[1]})
    ints: I64 = np.array(whole, np.int64)
    own: I64 = np.ascontiguousarray(column.values, np.int64)
    return _filter.member_i64(own, column.present, ints) if whole else False


def _one_of_few(wanted: list[Any], column: Column, stretches: Slices) -> Mask:
    mask = np.zeros(column.rows, np.uint8)
    bounds_of: Any = _float_bounds if column.kind == Kind.FLOAT else _int_bounds
    values: Any = column.values
    for value in wanted:
        bounds = bounds_of("eq", [value])
        if bounds is not None:
            _filter.or_into(mask, slices.between(stretches, values, *bounds))
    return mask


# -------------------------------------------------------------------------------- over zone maps


def may_match(
    where: Filter,
    zone: Callable[[str], Zone | None],
    *,
    now_ms: int | None = None,
    holds: Callable[[str, str], bool] | None = None,
) -> bool:
    """Whether some row may pass, judged by zone maps and dictionaries alone; True when they cannot
    tell.

    ``zone(p)``: (least, greatest, some row has no value), or None when unknown. Exact ends only: a
    zone of cut strings must be given as None. ``holds(p, text)``: whether some row may have that
    very text, or a list with it.
    """
    return _outcomes(where, zone, now_ms, holds)[0]


def _outcomes(
    where: Filter,
    zone: Callable[[str], Zone | None],
    now_ms: int | None,
    holds: Callable[[str, str], bool] | None,
) -> tuple[bool, bool]:
    """(some row may pass, some row may fail)."""
    if isinstance(where, Leaf):
        if holds is not None and not _held(where, holds):
            return (True, False) if where.op in NEGATIONS else (False, True)
        known = zone(where.p)
        return (True, True) if known is None else _leaf_outcomes(where, known, now_ms)
    if isinstance(where, Not):
        passes, fails = _outcomes(where.item, zone, now_ms, holds)
        return fails, passes
    assert isinstance(where, AllOf | AnyOf)
    found = [_outcomes(item, zone, now_ms, holds) for item in where.items]
    if isinstance(where, AllOf):
        return all(passes for passes, _ in found), any(fails for _, fails in found)
    return any(passes for passes, _ in found), all(fails for _, fails in found)


def _held(leaf: Leaf, holds: Callable[[str, str], bool]) -> bool:
    """Whether some row may have the texts that a predicate names; True of all other predicates."""
    op = NEGATIONS.get(leaf.op, leaf.op)
    if op not in EXACT_OPS:
        return True
    texts = leaf.v if isinstance(leaf.v, tuple) else (leaf.v,)
    found = (not isinstance(text, str) or holds(leaf.p, text) for text in texts)
    return all(found) if op == "has_all" else any(found)


def _leaf_outcomes(leaf: Leaf, zone: Zone, now_ms: int | None) -> tuple[bool, bool]:
    least, greatest, missing = zone
    op = NEGATIONS.get(leaf.op, leaf.op)
    if op == "is_set":
        outcomes = (True, missing)
    else:
        # A zone does not tell the property's type, and a value of another type never compares:
        # so "all rows pass" cannot be concluded, only "none does".
        outcomes = (_may_hold(op, leaf.v, least, greatest, now_ms), True)
    return (outcomes[1], outcomes[0]) if leaf.op in NEGATIONS else outcomes


def _may_hold(op: str, v: object, least: Any, greatest: Any, now_ms: int | None) -> bool:
    """Whether some value of [least, greatest] may satisfy a predicate that is no negation."""
    if op == "within_last":
        if now_ms is None or not isinstance(v, Duration):
            return True
        op, v = "between", (now_ms - v.ms + 1, now_ms)
    given = v if isinstance(v, tuple) else (v,)
    values = [_beside(value, least) for value in given]
    if any(value is None for value in values):
        return True
    if op in ("eq", "in"):
        return any(least <= value <= greatest for value in values)
    if op == "between":
        return bool(least <= values[1] and greatest >= values[0])
    if op == "starts_with":
        prefix = values[0]
        return not isinstance(least, str) or least[: len(prefix)] <= prefix <= greatest
    if op in ("gt", "gte"):
        return bool(greatest > values[0] or (op == "gte" and greatest == values[0]))
    if op in ("lt", "lte"):
        return bool(least < values[0] or (op == "lte" and least == values[0]))
    return True


def _beside(value: object, least: object) -> Any:
    """``value`` if it compares with a zone's end (texts beside numbers are instants), else None."""
    if isinstance(least, str):
        return value if isinstance(value, str) else None
    if isinstance(value, str):
        return _as_kind(value, Kind.DATETIME)
    return value if isinstance(value, int | float) else None
