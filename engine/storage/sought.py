"""Where some users are in runs, and their rows there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.storage.segment import shared

if TYPE_CHECKING:
    from zuji.engine.storage.source import Run
    from zuji.engine.types import I64, U32

FEW = 32
"""Up to one in so many is sought one by one."""
Ranges = tuple["I64", "I64"]
"""First row and end of each range, ascending."""


class Sought:
    """Some users, uint32[] ascending, and where they are in runs: each run is looked through once,
    whoever asks. Thread-safe: found idempotently.
    """

    __slots__ = ("_at", "users")

    def __init__(self, users: U32) -> None:
        self.users = users
        self._at: dict[int, tuple[Run, I64]] = {}

    def at(self, run: Run) -> I64:
        """Places of those whom the run has, ascending."""
        known = self._at.get(id(run))
        if known is None:
            known = self._at[id(run)] = (run, places_of(shared(run).users()[0], self.users))
        return known[1]

    def ranges(self, run: Run) -> Ranges:
        """Their rows, user by user."""
        offsets, at = shared(run).users()[1], self.at(run)
        return offsets[at].astype(np.int64), offsets[at + 1].astype(np.int64)


def places_of(users: U32, some: U32) -> I64:
    """Places in ``users`` of those who are among some others, both ascending. O(the shorter · log),
    or O(ordinals) when that is less.
    """
    if not len(users) or not len(some):
        return np.empty(0, np.int64)
    if len(some) * FEW > len(users):
        flags = np.zeros(int(users[-1]) + 1, np.bool_)
        flags[some[: np.searchsorted(some, users[-1], side="right")]] = True
        found: I64 = np.flatnonzero(flags[users])
        return found
    at = np.searchsorted(users, some)
    at = at[at < len(users)]
    there: I64 = at[users[at] == some[: len(at)]].astype(np.int64)
    return there


def rows_in(ranges: Ranges) -> I64:
    """Numbers of the rows in ranges, end to end. O(rows of the ranges)."""
    starts, ends = ranges
    counts = ends - starts
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    rows: I64 = np.arange(total, dtype=np.int64) + np.repeat(starts - before, counts)
    return rows
