"""Codes of one ``by`` property's values, the same in every shard; 0 is the missing value.

Codes grow as shards are read; combinations of them are groups (:mod:`combinations`). Thread-safe: a
lock around the growing tables.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.distinct import unique
from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.virtual.items import Coded, rows_of
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.texts import Texts
    from zuji.engine.types import F64, U32, Values

MAX_GROUPS = 2_000_000
_DENSE = 1 << 22


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
        used = unique(at)
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
