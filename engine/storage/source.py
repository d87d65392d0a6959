"""What queries and compaction read: :class:`Source` and its :class:`Run` s, of segments and
memtable views alike.

A source holds the rows of one shard and one partition; a run the rows of one event in it, sorted by
(ordinal, time, tie). All arrays handed out are new or immutable. Thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyroaring import BitMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.storage.build import Packed
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.types import I64, U16, U32, Column, Kind

Zone = tuple[bool | int | float | str, bool | int | float | str]
"""Smallest and largest value."""
MEMTABLE_RANK = 1 << 40
"""Rank of the oldest memtable; newer ones count up from here, segments stay below."""


class Run(Protocol):
    """The rows of one event in one source. ``day_*`` are None when the source has no local days."""

    @property
    def event(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def base_ms(self) -> int:
        """What ``times()`` count from, ms UTC."""

    @property
    def min_ms(self) -> int:
        """Time of the earliest row, ms UTC."""

    @property
    def max_ms(self) -> int:
        """Time of the latest row, ms UTC."""

    @property
    def user_count(self) -> int:
        """Distinct users."""

    @property
    def props(self) -> Mapping[str, Kind]:
        """Properties that at least one row has."""

    @property
    def received_at(self) -> int | None:
        """When all rows were received, None when it differs."""

    @property
    def index(self) -> Days | None:
        """The day index; made from the rows when it is not stored."""

    @property
    def days(self) -> I64 | None:
        """Edges of the partition's local days, int64[n+1] ms UTC."""

    @property
    def day_rows(self) -> I64 | None:
        """Rows of each day, int64[n]."""

    @property
    def day_cards(self) -> U32 | None:
        """Distinct users of each day, uint32[n]."""

    def day_users(self, day: int) -> BitMap:
        """Users with a row on the day."""

    def day_multi(self, day: int) -> BitMap:
        """Users with two rows or more on the day."""

    def users(self) -> tuple[U32, U32]:
        """(users uint32[nu] ascending, offsets uint32[nu+1])."""

    def times(self) -> U32:
        """ms after ``base_ms``, uint32[rows]."""

    def ties(self) -> U16 | None:
        """uint16[rows], None when all are 0."""

    def received(self) -> I64:
        """ms UTC, int64[rows]."""

    def column(self, name: str) -> Column | None:
        """Values over all rows; None when no row has the property."""

    def packed(self, name: str) -> Packed | None:
        """Values of the rows that have one; None when no row has the property."""

    def presence_count(self, name: str) -> int:
        """Rows that have a value."""

    def zone(self, name: str) -> Zone | None:
        """Smallest and largest value, None when not known (lists, absent properties)."""

    def nbytes(self, name: str | None) -> int:
        """Stored bytes of a property, or of users and times when None."""


class Source(Protocol):
    """Rows of one shard and partition.

    Of two rows at one instant, that of the lower rank is older.
    """

    @property
    def shard(self) -> int: ...
    @property
    def partition(self) -> int:
        """``year * 12 + month - 1`` in the project's time zone."""

    @property
    def base_ms(self) -> int:
        """Start of the partition, ms UTC."""

    @property
    def end_ms(self) -> int:
        """End of the partition, exclusive, ms UTC."""

    @property
    def rank(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def runs(self) -> Mapping[str, Run]:
        """Runs by event name."""

    @property
    def index(self) -> Days | None:
        """Day index over all events but profile records; None when there are no local days, or
        when an old file does not store it and has too many rows to make it.
        """

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest row that is no profile record, ms UTC; None when there is none."""

    @property
    def user_count(self) -> int:
        """Distinct users over all events but profile records."""

    def user_list(self) -> U32:
        """Ascending ordinals of the same users."""

    def interleave(self) -> tuple[U16, list[str]]:
        """Event of each row in (ordinal, time, tie) order, as an index into the names."""

    def dictionary(self, prop: str) -> Dictionary | None:
        """Strings that codes of a property stand for; None when it has none."""

    def close(self) -> None:
        """Drops the source's memory; arrays handed out stay good."""


class DayViews:
    """The ``day_*`` members of a run, from its ``index``."""

    __slots__ = ()

    @property
    def index(self) -> Days | None:
        """The day index."""
        raise NotImplementedError

    @property
    def days(self) -> I64 | None:
        """See :class:`Run`."""
        index = self.index
        return None if index is None else index.edges

    @property
    def day_rows(self) -> I64 | None:
        """See :class:`Run`."""
        index = self.index
        return None if index is None else index.rows

    @property
    def day_cards(self) -> U32 | None:
        """See :class:`Run`."""
        index = self.index
        return None if index is None else index.cards

    def day_users(self, day: int) -> BitMap:
        """See :class:`Run`."""
        index = self.index
        return BitMap() if index is None else index.users(day)

    def day_multi(self, day: int) -> BitMap:
        """See :class:`Run`."""
        index = self.index
        return BitMap() if index is None else index.multi(day)
