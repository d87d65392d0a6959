"""The ``by`` of a query over rows: dimension codes for rows of a run, groups chosen by total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.bind import kind_of
from zuji.engine.query.combinations import Groups, ranked
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.texts import texts_of
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.groups import RowGroups
    from zuji.engine.query.model import By
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.query.texts import Texts
    from zuji.engine.query.virtual.items import Coded
    from zuji.engine.types import F64, I64, U32, Column


class Breakdown:
    """Dimensions and groups of one query; shared by its shards."""

    def __init__(self, bound: Bound) -> None:
        self.by: tuple[By, ...] = bound.query.by
        self.dimensions = [
            Dimension(by.p, bound.range.tz, by.buckets, _texts(bound, by.p)) for by in self.by
        ]
        self.groups = Groups(self.dimensions, bound.context.check)

    @property
    def columns(self) -> tuple[str, ...]:
        """Properties read from rows."""
        return tuple(by.p for by in self.by if by.p.startswith("event."))

    def codes(self, reader: ShardReader, ref: RunRef) -> list[tuple[U32, U32 | None]]:
        """Codes (and list offsets) of each dimension for the rows of a run."""
        return [
            dimension.codes(read_by(reader, ref, by), ref.run.rows)
            for by, dimension in zip(self.by, self.dimensions, strict=True)
        ]

    def coded(self, reader: ShardReader, ref: RunRef) -> list[tuple[RowGroups, U32 | None]]:
        """As :meth:`codes`, by way of tables."""
        return [
            dimension.coded(read_by(reader, ref, by), ref.run.rows)
            for by, dimension in zip(self.by, self.dimensions, strict=True)
        ]


def _texts(bound: Bound, p: str) -> Texts | None:
    """Where the strings of a property have their codes; None when it has other values."""
    kind = kind_of(bound.view.catalog, p)
    return texts_of(bound.view, p) if kind in (Kind.STRING, Kind.LIST) else None


def read_by(reader: ShardReader, ref: RunRef, by: By) -> Column | Coded | None:
    """Column of one breakdown for the rows of a run, for a :class:`Dimension`."""
    if by.p.startswith("user.") and by.as_of == "event":
        return reader.as_of(ref, by.p[5:])
    return reader.coded(ref, by.p)


class Chosen:
    """The groups of an answer: the n greatest in order, and whether the rest follow as one."""

    def __init__(self, shown: Sequence[int], other: bool, size: int) -> None:
        self.shown = list(shown)
        self.other = other
        table = np.full(max(size, 1), len(self.shown) if other else 0xFFFFFFFF, dtype=np.uint32)
        table[self.shown] = np.arange(len(self.shown), dtype=np.uint32)
        self.table: U32 = table

    @property
    def lines(self) -> int:
        """Number of lines: shown groups and the other one."""
        return len(self.shown) + self.other


def choose(
    bound: Bound,
    groups: Groups,
    totals: Sequence[float] | F64,
    seen: Sequence[int] | I64,
    rest: int | None = None,
) -> Chosen:
    """Top n of the groups that were seen. O(groups + n log n).

    ``rest``: a group of several, none of which can be among them.
    """
    top = bound.query.top
    given = np.asarray(seen, np.int64)
    own = given if rest is None else given[given != rest]
    order = ranked(groups, np.asarray(totals, np.float64), own, top.n)
    return Chosen(order, len(given) > top.n and top.other, groups.size)


def line_values(bound: Bound, groups: Groups, chosen: Chosen, line: int) -> list[Any]:
    """``by`` values and ``is_other`` of one line; nothing without ``by``."""
    if not bound.query.by:
        return []
    if line >= len(chosen.shown):
        return [None] * len(bound.query.by) + [True]
    return [*groups.values(chosen.shown[line]), False]


def one_line() -> Chosen:
    """Without ``by``: one group, shown."""
    return Chosen([0], False, 1)


def once_a_row(rows: U32 | None, group: U32, other: int) -> U32:
    """Group of each row after merging: a row that a list put twice into ``other`` counts there
    once.
    """
    if rows is None:
        return group
    hits = np.flatnonzero(group == other)
    if len(hits) < 2:
        return group
    again = hits[1:][rows[hits[1:]] == rows[hits[:-1]]]
    if len(again):
        group = group.copy()
        group[again] = 0xFFFFFFFF
    return group
