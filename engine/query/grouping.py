"""Groups of an answer: values of the ``by`` properties to dense group numbers, the same in every
shard.

A :class:`Dimension` gives each value of one property a code (0 = missing value); a :class:`Groups`
gives each combination of codes a number. Both grow as shards are read. ``top`` maps groups beyond
the first n to one ``other`` group, by number, so that no value can collide with it. Thread-safe: a
lock around the growing tables.
"""

from __future__ import annotations

import math
import threading
from heapq import nsmallest
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.kernels._events import MAX_MIXED, expand_lists, mix_groups
from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.kernels.lane import NO_CODE, NO_GROUP
from zuji.engine.query.virtual.items import Coded, rows_of
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.texts import Texts
    from zuji.engine.types import F64, I64, U32, Values

MAX_GROUPS = 2_000_000
NUMBERED_AT_ONCE = 1 << 16
"""Keys numbered between two looks at the cancel flag."""
SORTED_AT_ONCE = 1 << 20
"""Rows sorted between two looks at it."""
_DENSE = 1 << 22
_MIXED = (1 << 63) - 1
"""Up to so many combinations, each is one int64."""


class Dimension:
    """Codes of one property's values. Code 0 is the missing value."""

    def __init__(
        self,
        p: str,
        tz: str,
        buckets: Sequence[float] | None = None,
        texts: Texts | None = None,
    ) -> None:
        """``texts``: where strings get their codes, when all values are strings."""
        self.p = p
        self._texts = texts
        self._tz = tz
        self._bounds = None if buckets is None else np.asarray(buckets, dtype=np.float64)
        self._codes: dict[Any, int] = {}
        self._values: list[Any] = [None]
        self._kept: list[str] | None = None
        self._top = 0  # largest code of ``texts`` read here: other queries add more meanwhile
        self._lock = threading.Lock()
        self._maps: dict[int, tuple[Any, U32]] = {}

    @property
    def size(self) -> int:
        """Number of codes, the missing value included."""
        if self._kept is not None:
            return len(self._kept) + 2
        if self._texts is not None and len(self._values) == 1:
            return self._top + 1
        return len(self._values)

    def value(self, code: int) -> Any:
        """The value that a code stands for."""
        if self._kept is not None:
            return self._kept[code - 1] if code else None
        if self._texts is not None and len(self._values) == 1:
            return self._texts.text(code)
        return self._values[code]

    def narrow(self, kept: list[str] | None) -> None:
        """Codes 1 … m stand for these strings, m + 1 for all others; None: every string its own."""
        self._kept = kept

    def codes(self, column: Column | Coded | None, rows: int) -> tuple[U32, U32 | None]:
        """uint32[rows] codes; for a list property flat codes and offsets uint32[rows+1]."""
        groups, offsets = self.coded(column, rows)
        return groups.rows(), offsets

    def coded(self, column: Column | Coded | None, rows: int) -> tuple[RowGroups, U32 | None]:
        """Codes of rows (of list items, with offsets uint32[rows+1]) by way of a table: for
        strings no array is made.
        """
        if column is None:
            return RowGroups(np.zeros(rows, dtype=np.uint8)), None
        if isinstance(column, Coded):
            return self._of_entries(column)
        if column.kind == Kind.LIST:
            return RowGroups(
                np.ascontiguousarray(column.values), self._of_texts(column)
            ), column.offsets
        if column.kind == Kind.STRING:
            codes = np.ascontiguousarray(column.values)
            return RowGroups(codes, self._of_texts(column), column.present, 0), None
        if self._bounds is not None and column.kind in (Kind.INT, Kind.FLOAT):
            codes = self._of_buckets(column.values)
        else:
            codes = self._of_numbers(column.values, column.kind)
        return RowGroups(codes, None, column.present, 0), None

    def _of_entries(self, column: Coded) -> tuple[RowGroups, U32 | None]:
        """Codes by way of the key's: what the item of each text is worth is coded once."""
        if column.entries.kind == Kind.LIST:
            return self.coded(rows_of(column), column.rows)
        known = self._maps.get(id(column.entries))
        if known is None or known[0] is not column.entries:
            table = self._entries(column.entries)
            known = self._maps[id(column.entries)] = (column.entries, table)
        codes = np.ascontiguousarray(column.key.values)
        return RowGroups(codes, known[1], column.key.present, 0), None

    def _entries(self, column: Column) -> U32:
        if column.kind != Kind.STRING or self._texts is None:
            return self.codes(column, column.rows)[0]
        codes = self._texts.entries(column)
        top = int(codes.max(initial=0))
        with self._lock:
            self._top = max(self._top, top)
        return codes

    def _intern(self, values: Sequence[Any]) -> U32:
        with self._lock:
            out = np.empty(len(values), dtype=np.uint32)
            for i, value in enumerate(values):
                code = self._codes.get(value)
                if code is None:
                    code = self._codes[value] = len(self._values)
                    self._values.append(value)
                out[i] = code
            if len(self._values) > MAX_GROUPS:
                raise QueryBudgetExceeded(
                    f"{self.p} has more than {MAX_GROUPS:,} values here; add a filter or group by "
                    "another property"
                )
            return out

    def _of_texts(self, column: Column) -> U32:
        if self._texts is not None:
            codes = self._texts.codes(column.dictionary)
            top = int(codes.max(initial=0))
            with self._lock:
                self._top = max(self._top, top)
            return codes
        dictionary = column.dictionary if column.dictionary is not None else ()
        known = self._maps.get(id(dictionary))
        if known is None or known[0] is not dictionary:
            codes = self._intern(list(dictionary))
            if not len(codes):
                codes = np.zeros(1, dtype=np.uint32)
            known = self._maps[id(dictionary)] = (dictionary, codes)
        return known[1]

    def _of_numbers(self, values: Values, kind: Kind) -> U32:
        found, inverse = _distinct(values)
        texts: list[Any] = found.tolist()
        if kind == Kind.BOOL:
            texts = [bool(v) for v in texts]
        elif kind == Kind.DATETIME:
            texts = [calendars.format_instant(v, self._tz) for v in texts]
        keyed = self._intern(texts)
        coded: U32 = keyed[inverse]
        return coded

    def _of_buckets(self, values: Values) -> U32:
        """Left-closed buckets: ``[b0, b1)``, …, below the first and from the last on."""
        assert self._bounds is not None
        bounds = self._bounds
        labels = bucket_labels(bounds)
        at = np.searchsorted(bounds, values.astype(np.float64), side="right")
        used = np.unique(at)
        table = np.zeros(len(labels), dtype=np.uint32)
        table[used] = self._intern([labels[i] for i in used])
        return table[at]


def _distinct(values: Values) -> tuple[Values, Values]:
    """The different values, ascending, and which of them each is. O(n) for whole numbers that are
    near each other, else O(n log n).
    """
    if len(values) and values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        if high - low < min(_DENSE, 4 * len(values) + 256):
            at = values.astype(np.int64) - low
            seen = np.zeros(high - low + 1, np.bool_)
            seen[at] = True
            number = np.cumsum(seen) - 1
            return (np.flatnonzero(seen) + low).astype(values.dtype), number[at]
    found, inverse = np.unique(values, return_inverse=True)
    return found, inverse.reshape(-1)


def bucket_labels(bounds: Sequence[float] | F64) -> list[str]:
    """Names of the left-closed buckets between and beyond edges: one more than there are edges."""
    inner = [f"[{_short(a)}, {_short(b)})" for a, b in pairwise(bounds)]
    return [f"(-∞, {_short(bounds[0])})", *inner, f"[{_short(bounds[-1])}, ∞)"]


def _short(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))


class _Packed:
    """Numbers of int64 keys, in the order in which they were met first. Not thread-safe."""

    def __init__(self) -> None:
        self._known: I64 = np.empty(0, np.int64)
        self._numbers: U32 = np.empty(0, np.uint32)

    def numbers(self, keys: I64) -> tuple[U32, I64]:
        """Number of each key, and where those stand that were not known, in order of their new
        numbers. O(keys · log known), and O(known) when there are new ones.
        """
        at = np.searchsorted(self._known, keys)
        hit = np.zeros(len(keys), np.bool_)
        inside = at < len(self._known)
        hit[inside] = self._known[at[inside]] == keys[inside]
        out = np.empty(len(keys), np.uint32)
        out[hit] = self._numbers[at[hit]]
        others = np.flatnonzero(~hit)
        if not len(others):
            return out, others
        fresh, first, inverse = np.unique(keys[others], return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty(len(fresh), np.uint32)
        number[order] = len(self._known) + np.arange(len(fresh), dtype=np.uint32)
        out[others] = number[inverse.reshape(-1)]
        places = np.searchsorted(self._known, fresh)
        self._known = np.insert(self._known, places, fresh)
        self._numbers = np.insert(self._numbers, places, number)
        return out, others[first[order]]


class Groups:
    """Group numbers of combinations of dimension codes."""

    def __init__(
        self, dimensions: Sequence[Dimension], check: Callable[[], None] = lambda: None
    ) -> None:
        self.dimensions = tuple(dimensions)
        self._check = check
        self.keys: list[tuple[int, ...]] = []
        self._bits = 63 // max(1, len(self.dimensions))
        self._packed: _Packed | None = _Packed()
        self._numbers: dict[tuple[int, ...], int] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Number of groups seen."""
        if len(self.dimensions) == 1:
            return self.dimensions[0].size
        return max(1, len(self.keys))

    def of_rows(
        self, lane: Lane, columns: Sequence[tuple[U32, U32 | None]]
    ) -> tuple[Lane, U32 | None, U32 | None]:
        """Lane, row numbers in the old lane (None = the same rows) and group of each row.

        List dimensions put a row in several groups, once a distinct value.
        """
        if not columns:
            return lane, None, None
        rows: U32 | None = None
        parts: list[U32] = []
        for codes, offsets in columns:
            if offsets is None:
                parts.append(codes if rows is None else codes[rows])
                continue
            at = offsets
            flat = codes
            if rows is not None:
                flat, at = _gather_lists(codes, offsets, rows)
            lane, picked, items = expand_lists(lane, at, flat)
            parts = [part[picked] for part in parts]
            rows = picked if rows is None else rows[picked]
            parts.append(np.where(items == NO_CODE, 0, items).astype(np.uint32))
        return lane, rows, self._combine(parts)

    def grouped(
        self, lane: Lane, columns: Sequence[tuple[RowGroups, U32 | None]]
    ) -> tuple[Lane, U32 | None, RowGroups | None]:
        """As :meth:`of_rows`, from and to codes with tables."""
        if len(columns) == 1 and columns[0][1] is None:
            return lane, None, columns[0][0]
        sizes = [d.size for d in self.dimensions]
        if columns and math.prod(sizes) <= MAX_MIXED and all(at is None for _, at in columns):
            mixed, used = mix_groups([groups for groups, _ in columns], sizes)
            table = np.full(len(used), NO_GROUP, np.uint32)
            found = np.flatnonzero(used)
            table[found] = self._number(found, sizes)
            return lane, None, RowGroups(mixed, table)
        plain = [(groups.rows(), offsets) for groups, offsets in columns]
        lane, rows, made = self.of_rows(lane, plain)
        return lane, rows, None if made is None else RowGroups(made)

    def of_values(self, columns: Sequence[U32]) -> U32:
        """Group of each element of parallel code arrays."""
        return self._combine(list(columns))

    def _combine(self, parts: list[U32]) -> U32:
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0])
        sizes = [d.size for d in self.dimensions]
        product = math.prod(sizes)
        if product > _MIXED:
            pieces = range(0, max(1, len(parts[0])), SORTED_AT_ONCE)
            return np.concatenate(
                [self._wide([p[at : at + SORTED_AT_ONCE] for p in parts], sizes) for at in pieces]
            )
        mixed = parts[0].astype(np.int64)
        for part, size in zip(parts[1:], sizes[1:], strict=True):
            mixed = mixed * size + part
        if product <= _DENSE:
            seen = np.flatnonzero(np.bincount(mixed, minlength=1))
            table = np.zeros(product, dtype=np.uint32)
            table[seen] = self._number(seen, sizes)
            return table[mixed]
        numbered = []
        for at in range(0, max(1, len(mixed)), SORTED_AT_ONCE):
            self._check()
            found, inverse = np.unique(mixed[at : at + SORTED_AT_ONCE], return_inverse=True)
            numbered.append(self._number(found, sizes)[inverse.reshape(-1)])
        return numbered[0] if len(numbered) == 1 else np.concatenate(numbered)

    def _wide(self, parts: list[U32], sizes: list[int]) -> U32:
        """Where one number does not hold a combination: those of the first dimensions that occur
        are numbered, and mixed with the next ones.
        """
        mixed = parts[0].astype(np.int64)
        most = sizes[0]
        for part, size in zip(parts[1:], sizes[1:], strict=True):
            if most * size > _MIXED:
                self._check()
                found, inverse = np.unique(mixed, return_inverse=True)
                mixed, most = inverse.reshape(-1), len(found)
            mixed = mixed * size + part
            most *= size
        self._check()
        _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        return self._numbered([part[first] for part in parts])[inverse.reshape(-1)]

    def _number(self, mixed: I64, sizes: list[int]) -> U32:
        if len(mixed) > NUMBERED_AT_ONCE:
            pieces = range(0, len(mixed), NUMBERED_AT_ONCE)
            return np.concatenate(
                [self._number(mixed[at : at + NUMBERED_AT_ONCE], sizes) for at in pieces]
            )
        rest = mixed.copy()
        digits = []
        for size in reversed(sizes[1:]):
            digits.append(rest % size)
            rest //= size
        digits.append(rest)
        return self._numbered(digits[::-1])

    def _numbered(self, digits: Sequence[U32 | I64]) -> U32:
        """Number of each combination, one array of codes a dimension."""
        count = len(digits[0])
        if count > NUMBERED_AT_ONCE:
            pieces = range(0, count, NUMBERED_AT_ONCE)
            return np.concatenate(
                [self._numbered([d[at : at + NUMBERED_AT_ONCE] for d in digits]) for at in pieces]
            )
        self._check()
        with self._lock:
            if self._packed is not None and any(d.max(initial=0) >> self._bits for d in digits):
                self._packed = None
                self._numbers = {key: number for number, key in enumerate(self.keys)}
            out = self._one_by_one(digits) if self._packed is None else self._at_once(digits)
            if len(self.keys) > MAX_GROUPS:
                raise QueryBudgetExceeded(
                    f"more than {MAX_GROUPS:,} groups; group by fewer properties or add a filter"
                )
            return out

    def _at_once(self, digits: Sequence[U32 | I64]) -> U32:
        """Numbers of combinations whose codes fit one int64 together."""
        assert self._packed is not None
        mixed = digits[0].astype(np.int64)
        for digit in digits[1:]:
            mixed = mixed << self._bits | digit.astype(np.int64)
        out, new = self._packed.numbers(mixed)
        self.keys.extend(zip(*(digit[new].tolist() for digit in digits), strict=True))
        return out

    def _one_by_one(self, digits: Sequence[U32 | I64]) -> U32:
        keys = list(zip(*(d.tolist() for d in digits), strict=True))
        out = np.empty(len(keys), dtype=np.uint32)
        for i, key in enumerate(keys):
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = len(self.keys)
                self.keys.append(key)
            out[i] = number
        return out

    def values(self, group: int) -> list[Any]:
        """The ``by`` values of a group."""
        if not self.dimensions:
            return []
        if len(self.dimensions) == 1:
            return [self.dimensions[0].value(group)]
        return [d.value(c) for d, c in zip(self.dimensions, self.keys[group], strict=True)]


def _gather_lists(codes: U32, offsets: U32, rows: U32) -> tuple[U32, U32]:
    starts = offsets[rows].astype(np.int64)
    lengths = offsets[rows.astype(np.int64) + 1].astype(np.int64) - starts
    bounds = np.zeros(len(rows) + 1, dtype=np.uint32)
    np.cumsum(lengths, out=bounds[1:])
    index = np.arange(int(bounds[-1])) + np.repeat(starts - bounds[:-1].astype(np.int64), lengths)
    return codes[index], bounds


def sort_key(values: Sequence[Any]) -> tuple[Any, ...]:
    """Order of groups with equal totals: by value, numbers before texts, missing last."""
    return tuple(_value_key(v) for v in values)


def _value_key(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (2, 0.0, "")
    if isinstance(value, bool | int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def ranked(groups: Groups, totals: F64, shown: I64, n: int) -> list[int]:
    """The n group numbers of ``shown`` with the greatest totals, largest first; ties by value.

    Values are looked at only of groups that may be among them.
    """
    if len(shown) > n > 0:
        least = np.partition(totals[shown], len(shown) - n)[len(shown) - n]
        shown = shown[totals[shown] >= least]
    order: list[int] = shown.tolist()
    return nsmallest(n, order, key=lambda g: (-totals[g], sort_key(groups.values(g))))
