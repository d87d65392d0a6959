"""The day index: for each local day its rows, its distinct users, and which of them have two rows
or more.

:class:`Days` is what queries read, :func:`encode_day` and :func:`decode_users` how a segment
stores one day. A sparse day is a list of ascending integers (7–9 bits a user); a dense one a
Roaring bitmap, which loads ten times faster and is no larger there. Runs of few rows store
nothing: the index is made from the rows when asked for. Immutable after construction.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pyroaring import BitMap

from zuji.engine.distinct import unique
from zuji.engine.storage._rows import days_of
from zuji.engine.types import PROFILE_EVENTS

if TYPE_CHECKING:
    from zuji.engine.storage.source import Source
    from zuji.engine.types import I64, U8, U32

DENSE_SHARE = 1 / 24
"""From this share of the span of ordinals on, a bitmap is tried."""
INDEX_ROWS = 8_192
"""Runs with fewer rows store no day index; it is made from the rows in under 50 µs."""
BITMAP_SLACK = 1.25
"""A bitmap may be this much larger than the list: it loads ten times faster."""


class Days(Protocol):
    """Day index of one run, or of all events of a source.

    ``edges`` int64[n+1] ms UTC; ``rows`` int64[n]; ``cards`` uint32[n] distinct users.
    """

    @property
    def edges(self) -> I64: ...
    @property
    def rows(self) -> I64: ...
    @property
    def cards(self) -> U32: ...

    def users(self, day: int) -> BitMap:
        """Users with a row on the day, a new bitmap at each call."""

    def multi(self, day: int) -> BitMap:
        """Users with two rows or more on the day, a new bitmap at each call."""

    def user_list(self, day: int) -> U32:
        """Ascending users of :meth:`users`."""

    def people(self, day: int) -> BitMap | U32:
        """Users of :meth:`users` in the form they are kept in."""

    def multi_list(self, day: int) -> U32:
        """Ascending users of :meth:`multi`."""


@dataclass(frozen=True, slots=True)
class ListedDays:
    """Day index made from rows: day d owns ``starts[d]:starts[d+1]`` of ``pairs`` and ``more``."""

    edges: I64
    rows: I64
    cards: U32
    starts: I64
    pairs: U32
    more: U8

    def users(self, day: int) -> BitMap:
        """See :class:`Days`."""
        return bitmap(self.user_list(day))

    def multi(self, day: int) -> BitMap:
        """See :class:`Days`."""
        return bitmap(self.multi_list(day))

    def people(self, day: int) -> BitMap | U32:
        """See :class:`Days`."""
        return self.user_list(day)

    def user_list(self, day: int) -> U32:
        """Ascending users of the day."""
        return self.pairs[self.starts[day] : self.starts[day + 1]]

    def multi_list(self, day: int) -> U32:
        """Ascending users with two rows or more on the day."""
        return self.user_list(day)[self.flags(day).view(np.bool_)]

    def flags(self, day: int) -> U8:
        """1 for each of :meth:`user_list` with two rows or more."""
        return self.more[self.starts[day] : self.starts[day + 1]]


def days_from_rows(ordinal: U32, time: U32, base_ms: int, edges: I64) -> ListedDays:
    """Day index of rows in (ordinal, time) order, ``time`` in ms after ``base_ms``. O(rows)."""
    rows, starts, users, multi = days_of(ordinal, time, edges - base_ms)
    return ListedDays(edges, rows, np.diff(starts).astype(np.uint32), starts, users, multi)


class BuiltDays:
    """Day index made from rows that are given in parts, in (ordinal, time) order.

    Memory: 5 bytes for each user of each day. Used by one thread.
    """

    def __init__(self, base_ms: int, edges: I64) -> None:
        self._edges = edges - base_ms
        days = len(edges) - 1
        self.rows: I64 = np.zeros(days, np.int64)
        self._users: list[list[U32]] = [[] for _ in range(days)]
        self._flags: list[list[U8]] = [[] for _ in range(days)]

    def add(self, ordinal: U32, time: U32) -> None:
        """The next rows, ``time`` in ms after the base."""
        rows, starts, users, flags = days_of(ordinal, time, self._edges)
        self.rows += rows
        cuts = starts.tolist()
        for day, held in enumerate(self._users):
            a, b = cuts[day], cuts[day + 1]
            if a == b:
                continue
            if held and held[-1][-1] == users[a]:  # the user has more rows on the day
                self._flags[day][-1][-1] = 1
                a += 1
            if a < b:
                held.append(users[a:b].copy())
                self._flags[day].append(flags[a:b].copy())

    def user_list(self, day: int) -> U32:
        """Ascending users of the day."""
        users: U32 = _joined(self._users[day], np.uint32)
        return users

    def flags(self, day: int) -> U8:
        """1 for each of :meth:`user_list` with two rows or more."""
        flags: U8 = _joined(self._flags[day], np.uint8)
        return flags


def _joined(parts: list[Any], dtype: Any) -> Any:
    if not parts:
        return np.empty(0, dtype)
    if len(parts) > 1:
        parts[:] = [np.concatenate(parts)]
    return parts[0]


def users_of_runs(source: Source) -> U32:
    """Ascending users of all runs of a source but profile records."""
    lists = [run.users()[0] for name, run in source.runs.items() if name not in PROFILE_EVENTS]
    if len(lists) < 2:
        return lists[0] if lists else np.empty(0, np.uint32)
    top = max(int(users[-1]) for users in lists)
    if top > 64 * sum(map(len, lists)):
        return unique(np.concatenate(lists))
    seen = np.zeros(top + 1, np.bool_)
    for users in lists:
        seen[users] = True
    return np.flatnonzero(seen).astype(np.uint32)


def bitmap(users: U32) -> BitMap:
    """A bitmap of ascending integers."""
    return BitMap(array.array("I", np.ascontiguousarray(users).tobytes()))


def dense(users: U32) -> bool:
    """Whether a bitmap is worth trying."""
    return len(users) > 0 and len(users) >= DENSE_SHARE * (int(users[-1]) - int(users[0]) + 1)
