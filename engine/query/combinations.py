"""Groups of an answer: a number for each combination of codes of its ``by`` properties, the same in
every shard.

Numbers grow as shards are read. A combination is one int64 where its codes fit, which is what is
kept of it; values are looked up for groups that are shown. ``top`` maps groups beyond the first n
to one ``other`` group, by number, so that no value can collide with it. Thread-safe: a lock around
the growing tables.
"""

from __future__ import annotations

import math
import threading
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.grouping import MAX_GROUPS
from zuji.engine.query.kernels._events import MAX_MIXED, expand_lists, mix_groups
from zuji.engine.query.kernels._key_numbers import KeyNumbers
from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.kernels.lane import NO_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.grouping import Dimension
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.types import F64, I64, U32

NUMBERED_AT_ONCE = 1 << 16
"""Keys numbered between two looks at the cancel flag."""
ROWS_AT_ONCE = 1 << 20
"""Rows whose combinations are told apart between two looks at it."""
_MIXED = (1 << 63) - 1
"""Up to so many combinations, each is one int64."""


class Groups:
    """Group numbers of combinations of dimension codes."""

    def __init__(
        self, dimensions: Sequence[Dimension], check: Callable[[], None] = lambda: None
    ) -> None:
        self.dimensions = tuple(dimensions)
        self._check = check
        self._bits = 63 // max(1, len(self.dimensions))
        self._packed: KeyNumbers | None = KeyNumbers()
        self._wide: dict[tuple[int, ...], int] = {}
        """Numbers by codes, once there are some that do not fit one int64."""
        self._wide_keys: list[tuple[int, ...]] = []
        self._lock = threading.Lock()

    @property
    def keys(self) -> list[tuple[int, ...]]:
        """Codes of each group, by number. O(groups) where codes fit."""
        if self._packed is None:
            return self._wide_keys
        return list(map(self._unpacked, self._packed.keys().tolist()))

    @property
    def size(self) -> int:
        """Number of groups seen."""
        if len(self.dimensions) == 1:
            return self.dimensions[0].size
        return max(1, len(self._wide_keys if self._packed is None else self._packed))

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
            numbers, found = mix_groups([groups for groups, _ in columns], sizes)
            return lane, None, RowGroups(numbers, self._number(found, sizes))
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
        if math.prod(sizes) > _MIXED:
            return self._of_many(parts, sizes)
        mixed = parts[0].astype(np.int64)
        for part, size in zip(parts[1:], sizes[1:], strict=True):
            mixed = mixed * size + part
        own, numbers = self._different(mixed)
        return self._number(own, sizes)[numbers]

    def _of_many(self, parts: list[U32], sizes: list[int]) -> U32:
        """Where one number does not hold a combination: those of the first dimensions that occur
        are numbered, and mixed with the next ones.
        """
        mixed = parts[0].astype(np.int64)
        most = sizes[0]
        for part, size in zip(parts[1:], sizes[1:], strict=True):
            if most * size > _MIXED:
                own, numbers = self._different(mixed)
                mixed, most = numbers.astype(np.int64), len(own)
            mixed = mixed * size + part
            most *= size
        own, numbers = self._different(mixed)
        first = np.zeros(len(own), np.int64)
        first[numbers[::-1]] = np.arange(len(numbers))[::-1]
        return self._numbered([part[first] for part in parts])[numbers]

    def _different(self, mixed: I64) -> tuple[I64, U32]:
        """The different ones, and which of them each is."""
        known = KeyNumbers()
        numbers = np.empty(len(mixed), np.uint32)
        for at in range(0, len(mixed), ROWS_AT_ONCE):
            self._check()
            numbers[at : at + ROWS_AT_ONCE] = known.numbers(mixed[at : at + ROWS_AT_ONCE])
        return known.keys(), numbers

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
                self._wide_keys = self.keys
                self._wide = {key: number for number, key in enumerate(self._wide_keys)}
                self._packed = None
            out = self._one_by_one(digits) if self._packed is None else self._at_once(digits)
            if self.size > MAX_GROUPS:
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
        return self._packed.numbers(mixed)

    def _one_by_one(self, digits: Sequence[U32 | I64]) -> U32:
        keys = list(zip(*(d.tolist() for d in digits), strict=True))
        out = np.empty(len(keys), dtype=np.uint32)
        for i, key in enumerate(keys):
            number = self._wide.get(key)
            if number is None:
                number = self._wide[key] = len(self._wide_keys)
                self._wide_keys.append(key)
            out[i] = number
        return out

    def _unpacked(self, mixed: int) -> tuple[int, ...]:
        mask = (1 << self._bits) - 1
        shifts = range(self._bits * (len(self.dimensions) - 1), -1, -self._bits)
        return tuple(mixed >> shift & mask for shift in shifts)

    def values(self, group: int) -> list[Any]:
        """The ``by`` values of a group."""
        if not self.dimensions:
            return []
        if len(self.dimensions) == 1:
            return [self.dimensions[0].value(group)]
        if self._packed is None:
            key = self._wide_keys[group]
        else:
            key = self._unpacked(self._packed.key(group))
        return [d.value(c) for d, c in zip(self.dimensions, key, strict=True)]


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
