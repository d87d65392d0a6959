"""Slices of a column of numbers (:class:`~zuji.engine.types.Slices`): made, and filtered by.

A filter over eight bytes a user is bound by memory: 280 MB of 35 M users. With slices it reads two
bytes a user, or one where there are few different values; whether a value passes follows from its
slice, but for the slices in which an end of the asked range lies, at most two, whose values are
read. Slices are cut at quantiles of a sample,
so each holds about the same number of rows, and a value that many rows have is a slice of its own.
The C is in slices.h. Functions only: thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.query import _slices
from zuji.engine.types import Kind, Slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.types import F64, I64, U8, Column

MOST: Final = 4_094
"""Slices. Of 35 M values 9,000 lie in one: looking at those of two costs next to nothing; with 254
it cost as much as all else. Where a slice begins stands in the first cache, 32 kB.
"""
SAMPLE: Final = 1 << 17
"""Values that quantiles are taken of."""


def code_type(slices: int) -> Any:
    """The type of codes of so many slices."""
    return np.uint8 if slices <= np.iinfo(np.uint8).max - 1 else np.uint16


def sliced(columns: Sequence[Column | None]) -> list[Slices | None]:
    """Slices of columns of one kind, cut at the same numbers: int64 (also of instants) or float64.
    O(rows · log slices).
    """
    starts = _starts(columns)
    least, greatest = _outermost(starts.dtype, len(starts))
    wide = code_type(len(starts))
    codes: list[Any] = []
    for column in columns:
        if column is None:
            codes.append(None)
            continue
        codes.append(np.empty(column.rows, wide))
        values: Any = np.ascontiguousarray(column.values, starts.dtype)
        _slices.cut(values, column.present, starts, least, greatest, codes[-1])
    used = least <= greatest
    narrow = code_type(int(used.sum()))
    if not used.all() or narrow != wide:
        table = np.zeros(np.iinfo(wide).max + 1, narrow)
        table[1 : 1 + len(used)] = np.cumsum(used) * used
        table[-1] = np.iinfo(narrow).max
        least, greatest = least[used], greatest[used]
        codes = [None if mine is None else table[mine] for mine in codes]
    return [None if mine is None else Slices(mine, least, greatest) for mine in codes]


def between(slices: Slices, values: I64 | F64, low: float, high: float) -> U8:
    """``low <= values <= high`` as uint8[n]; rows without a value are 0. O(n)."""
    whole = (slices.least >= low) & (slices.greatest <= high)
    touched = (slices.greatest >= low) & (slices.least <= high)
    inside = np.flatnonzero(whole) + 1
    first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (1, 0)
    edges = (np.flatnonzero(touched & ~whole) + 1).tolist()
    one, two = (*edges, 0, 0)[:2]
    return _slices.within(slices.codes, values, first, last, one, two, low, high)


def _starts(columns: Sequence[Column | None]) -> Any:
    """Where slices begin: at most MOST numbers, ascending.

    A number at which two quantiles lie is frequent: the next slice begins right after it. It took
    two of the quantiles, so there is room for both.
    """
    there = [column for column in columns if column is not None and column.rows]
    parts = [_sample(column, SAMPLE // len(there)) for column in there]
    floats = any(column.kind == Kind.FLOAT for column in there)
    dtype = np.float64 if floats else np.int64
    drawn = np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)
    drawn = np.sort(drawn[~np.isnan(drawn)])
    if not len(drawn):
        return np.zeros(1, dtype)
    quantiles = drawn[np.arange(MOST) * len(drawn) // MOST]
    starts, times = np.unique(quantiles, return_counts=True)
    frequent = starts[times > 1]
    if floats:
        with np.errstate(over="ignore"):  # after the greatest one comes infinity
            after = np.nextafter(frequent, np.inf)
    else:
        after = frequent[frequent < np.iinfo(np.int64).max] + 1
    return np.union1d(starts, after)


def _sample(column: Column, most: int) -> Any:
    """At most so many of the values that are there, evenly spread over the rows."""
    values: Any = column.values
    if column.present is not None:
        values = values[column.present == 1]
    return values[:: max(1, -(-len(values) // max(1, most)))].copy()


def _outermost(dtype: Any, slices: int) -> tuple[Any, Any]:
    """Ends that any value narrows."""
    if dtype == np.float64:
        return np.full(slices, np.inf), np.full(slices, -np.inf)
    span = np.iinfo(np.int64)
    return np.full(slices, span.max, np.int64), np.full(slices, span.min, np.int64)
