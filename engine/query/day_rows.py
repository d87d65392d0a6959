"""Periods as unions of days: which days of which runs make up each period, for kernels over rows of
bits.

The days of all runs that are named are held (and charged) until the rows are dropped. Used by one
thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import BitRows
    from zuji.engine.query.plan import RunRef
    from zuji.engine.types import I64, U8, U64


class DayRows:
    """Day bits of the runs that the rows name by number."""

    def __init__(self, bound: Bound, *, multi: bool) -> None:
        self.bound = bound
        self.multi = multi
        self.days: list[tuple[U64, U64 | None]] = []
        self._numbers: dict[int, int] = {}

    def rows(self, refs: list[RunRef], edges: I64) -> tuple[BitRows, BitRows]:
        """Users of each period as unions of days, and those before the first."""
        periods, runs, days = [], [], []
        for ref in refs:
            index = ref.run.index
            assert index is not None
            at = np.searchsorted(edges, index.edges[:-1], side="right") - 1
            used = np.flatnonzero((index.rows > 0) & (at < len(edges) - 1))
            periods.append(at[used])
            days.append(used)
            runs.append(np.full(len(used), self._number(ref), dtype=np.int32))
        if not periods:
            nothing = np.empty(0, dtype=np.int32)
            return (
                (np.zeros(len(edges), dtype=np.int32), nothing, nothing),
                (np.zeros(2, dtype=np.int32), nothing, nothing),
            )
        period, run, day = (
            np.concatenate(periods),
            np.concatenate(runs),
            np.concatenate(days).astype(np.int32),
        )
        order = np.argsort(period, kind="stable")
        period, run, day = period[order], run[order], day[order]
        bounds = np.searchsorted(period, np.arange(len(edges))).astype(np.int32)
        first = int(bounds[0])
        return (
            (bounds - first, run[first:], day[first:]),
            (np.array([0, first], dtype=np.int32), run[:first], day[:first]),
        )

    def _number(self, ref: RunRef) -> int:
        key = id(ref.run)
        if key not in self._numbers:
            self.bound.context.check()
            self._numbers[key] = len(self.days)
            bits = self.bound.view.day_bits.of(ref.source, ref.run, multi=self.multi)
            self.bound.context.charge(bits.nbytes)  # all are held until the cells are counted
            self.days.append((bits.users, bits.multi))
        return self._numbers[key]


def packed(audience: U8, words: int) -> U64:
    """One byte a user as bits."""
    packed = np.zeros(words * 8, dtype=np.uint8)
    bits = np.packbits(audience, bitorder="little")
    packed[: len(bits)] = bits
    return packed.view(np.uint64)
