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
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U8, U64


class DayRows:
    """Day bits of the runs that the rows name by number."""

    def __init__(self, bound: Bound, *, multi: bool) -> None:
        self.bound = bound
        self.multi = multi
        self.days: list[tuple[U64, U64 | None]] = []
        self._numbers: dict[tuple[int, str | None], int] = {}

    def rows(
        self, refs: list[RunRef], edges: I64, *, any_event: bool = False
    ) -> tuple[BitRows, BitRows]:
        """Users of each period as unions of days, and those before the first.

        ``any_event``: the runs are those of every event, so that the index of their source over
        all of them serves where there is one.
        """
        periods, numbers, days = [], [], []
        for source, run in _indexed(refs, any_event=any_event):
            index = source.index if run is None else run.index
            assert index is not None
            at = np.searchsorted(edges, index.edges[:-1], side="right") - 1
            used = np.flatnonzero((index.rows > 0) & (at < len(edges) - 1))
            if not len(used):
                continue
            periods.append(at[used])
            days.append(used)
            numbers.append(np.full(len(used), self._number(source, run), dtype=np.int32))
        if not periods:
            nothing = np.empty(0, dtype=np.int32)
            return (
                (np.zeros(len(edges), dtype=np.int32), nothing, nothing),
                (np.zeros(2, dtype=np.int32), nothing, nothing),
            )
        period, number, day = (
            np.concatenate(periods),
            np.concatenate(numbers),
            np.concatenate(days).astype(np.int32),
        )
        order = np.argsort(period, kind="stable")
        period, number, day = period[order], number[order], day[order]
        bounds = np.searchsorted(period, np.arange(len(edges))).astype(np.int32)
        first = int(bounds[0])
        return (
            (bounds - first, number[first:], day[first:]),
            (np.array([0, first], dtype=np.int32), number[:first], day[:first]),
        )

    def _number(self, source: Source, run: Run | None) -> int:
        key = (id(source), None if run is None else run.event)
        if key not in self._numbers:
            self.bound.context.check()
            self._numbers[key] = len(self.days)
            bits = self.bound.view.day_bits.of(source, run, multi=self.multi)
            self.bound.context.charge(bits.nbytes)  # all are held until the cells are counted
            self.days.append((bits.users, bits.multi))
        return self._numbers[key]


def _indexed(refs: list[RunRef], *, any_event: bool) -> list[tuple[Source, Run | None]]:
    """What has a day index of its own: runs, or sources (run None) over all of their runs."""
    held: dict[int, list[RunRef]] = {}
    for ref in refs:
        held.setdefault(id(ref.source), []).append(ref)
    found: list[tuple[Source, Run | None]] = []
    for mine in held.values():
        source = mine[0].source
        if any_event and len(mine) > 1 and source.index is not None:
            found.append((source, None))
        else:
            found += [(source, ref.run) for ref in mine]
    return found


def packed(audience: U8, words: int) -> U64:
    """One byte a user as bits."""
    packed = np.zeros(words * 8, dtype=np.uint8)
    bits = np.packbits(audience, bitorder="little")
    packed[: len(bits)] = bits
    return packed.view(np.uint64)
