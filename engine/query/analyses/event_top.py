"""Which of very many strings can be among the n greatest groups: the others become one group.

A breakdown by a property of very many values needs the users of the few groups that it shows, and
the rest only as a whole. So rows are counted by code first, a number a string of each dictionary,
and no dictionary is joined with another: a string of T rows in all has at least its dictionary's
share of T in some dictionary, so only codes with as many rows can be meant, and only their strings
are looked up in the other dictionaries. Their totals are exact, and all groups that may be shown,
ties included, are kept; what is left out is less than the least of them. Users of a group are no
more than its rows, so the same bound serves a ranking by users, once the users of some have been
counted. O(rows + strings); the users are counted by the caller. Strings of a dictionary differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.index._strings import StringTable
from zuji.engine.query.analyses import event_values
from zuji.engine.query.bind import kind_of
from zuji.engine.query.kernels._events import code_rows
from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.virtual.items import is_joined
from zuji.engine.storage.dictionary import Dictionary, as_dictionary
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.analyses.event_query import Series
    from zuji.engine.query.analyses.event_rows import Part, Prepared
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.context import Context
    from zuji.engine.types import I64, U32, Column

MANY = 1 << 14
"""Strings of all dictionaries together from which on it pays."""
MOST_CANDIDATES = 1 << 20
"""Strings looked up, and MOST_KEPT groups counted; with more of them all groups are counted."""
MOST_KEPT = 1 << 16
MOST_SOUGHT = 4096
"""Strings sought in each dictionary one by one; more are found by going over the dictionary."""
MEASURED = 256
"""Groups counted, at the least, when users decide."""
EVER: I64 = np.array([-(1 << 60), 1 << 60], np.int64)
"""One bucket with every time: kernels then read none."""


def fits(bound: Bound, series: Sequence[Series]) -> bool:
    """Whether one property of strings divides, and rows or users of it rank."""
    first = series[0].measure
    return (
        len(bound.query.by) == 1
        and kind_of(bound.view.catalog, bound.query.by[0].p) == Kind.STRING
        and not is_joined(bound.view.definitions, bound.query.by[0].p)
        and not event_values.gathers(first)
        and first.op in ("count", "users")
        and bound.query.top.n > 0
    )


@dataclass(slots=True)
class _Texts:
    """One dictionary: rows of each code in the scan that ranks (None: not read by it)."""

    texts: Dictionary
    rows: I64 | U32 | None = None
    whole: int = 0
    """Sum of ``rows``."""
    codes: U32 | None = None
    """Of candidates, and which candidate each is."""
    which: I64 | None = None


@dataclass(frozen=True, slots=True)
class Narrow:
    """Groups 1 … m are the strings ``kept``; 0 is no value, m + 1 every other string.

    Every string that is not kept has fewer than ``least`` rows.
    """

    kept: list[str]
    least: int
    tables: dict[int, U32]

    @property
    def rest(self) -> int:
        """Number of the group of all others."""
        return len(self.kept) + 1

    def groups(self, column: Column | None, rows: int) -> RowGroups:
        """Groups of the rows of a run."""
        if column is None:
            return RowGroups(np.zeros(rows, np.uint8))
        table = self.tables[id(column.dictionary)]
        return RowGroups(np.ascontiguousarray(column.values), table, column.present, 0)


def many(prepared: Sequence[Prepared]) -> bool:
    """Whether there are many strings."""
    sizes = {id(c.dictionary): len(c.dictionary or ()) for c in _columns(prepared)}
    return sum(sizes.values()) >= MANY


def narrowed(
    context: Context,
    prepared: Sequence[Prepared],
    scan: int,
    edges: I64,
    n: int,
    floor: int | None = None,
) -> Narrow | None:
    """The groups that may be among the ``n`` with most rows in the range ``edges`` of a scan; or
    all that have ``floor`` rows. None when there are too many, or too few to fill the answer.
    """
    sources, missing = _counted(context, prepared, scan, edges)
    counted = [one for one in sources.values() if one.rows is not None]
    least = floor
    if least is None:
        if len(counted) > 1:
            greatest = context.map(lambda one: (one, _greatest(one.rows, n)), counted)
            seeds = _looked_up(context, greatest, counted)
            least = 0 if seeds is None else _nth(seeds[1], n)
        else:
            least = max((_nth(one.rows, n) for one in counted), default=0)
    whole = sum(one.whole for one in counted)

    bound_of_all = least

    def candidates(one: _Texts) -> tuple[_Texts, U32]:
        share = max(1, -(-bound_of_all * one.whole // max(whole, 1)))
        return one, np.flatnonzero(one.rows >= share).astype(np.uint32)  # type: ignore[operator]

    wanted = context.map(candidates, counted)
    if sum(len(codes) for _, codes in wanted) > MOST_CANDIDATES:
        return None
    found = _looked_up(context, wanted, list(sources.values()))
    if found is None:
        return None
    table, totals = found
    least = max(1, _nth(totals, n) if floor is None else floor)
    keep = np.flatnonzero(totals >= least)
    several = len(prepared) > 0 and len(prepared[0].scans) > 1
    if len(keep) > MOST_KEPT or (several and len(keep) + (missing > 0) < n):
        return None
    number = np.full(len(totals) + 1, len(keep) + 1, np.uint32)
    number[keep] = np.arange(1, len(keep) + 1, dtype=np.uint32)

    def group_of_codes(one: _Texts) -> U32:
        context.charge(4 * len(one.texts))
        lut = np.full(len(one.texts), len(keep) + 1, np.uint32)
        lut[one.codes] = number[one.which]
        return lut

    tables = dict(zip(sources, context.map(group_of_codes, list(sources.values())), strict=True))
    return Narrow([table.get(int(code)).decode() for code in keep], least, tables)


def _columns(prepared: Sequence[Prepared]) -> list[Column]:
    parts = [part for done in prepared for scan in done.scans for part in scan]
    return [part.column for part in parts if part.column is not None]


def _counted(
    context: Context, prepared: Sequence[Prepared], scan: int, edges: I64
) -> tuple[dict[int, _Texts], int]:
    """Every dictionary by its identity, with the rows of its codes; and rows without a value."""

    def count(done: Prepared) -> list[U32]:
        return [_rows_of(context, done, part, edges) for part in done.scans[scan]]

    sources: dict[int, _Texts] = {}
    for column in _columns(prepared):
        if id(column.dictionary) not in sources:
            sources[id(column.dictionary)] = _Texts(as_dictionary(column.dictionary))
    missing = 0
    for done, arrays in zip(prepared, context.map(count, prepared), strict=True):
        for part, rows in zip(done.scans[scan], arrays, strict=True):
            missing += int(rows[-1])
            if part.column is not None:
                one = sources[id(part.column.dictionary)]
                more: Any = rows[:-1]
                one.whole += int(more.sum())
                one.rows = more if one.rows is None else one.rows.astype(np.int64) + more
    return sources, missing


def _rows_of(context: Context, done: Prepared, part: Part, edges: I64) -> U32:
    column, edges = part.column, EVER if part.ref.inside else edges
    if column is None:
        none = np.zeros(part.lane.rows, np.uint8)
        return code_rows(
            part.lane, edges, RowGroups(none, None, none), 0, context.flag, done.allowed
        )
    size = len(column.dictionary or ())
    context.charge(4 * size)
    codes = RowGroups(np.ascontiguousarray(column.values), None, column.present)
    return code_rows(part.lane, edges, codes, size, context.flag, done.allowed)


def _nth(rows: Any, n: int) -> int:
    """The n-th greatest; 0 when there are fewer."""
    if len(rows) < n:
        return 0
    least = _least(rows, n)
    some = rows[rows >= least]
    return int(np.partition(some, len(some) - n)[len(some) - n])


def _greatest(rows: Any, n: int) -> U32:
    """Codes of the n greatest, with others that are as great; of rows that there are."""
    return np.flatnonzero(rows >= max(1, _nth(rows, n))).astype(np.uint32)[: 4 * n]


def _least(rows: Any, n: int) -> int:
    """A number that at least n of the rows reach, and not many more where few are great."""
    least = int(rows.max(initial=0))
    while least > 0 and np.count_nonzero(rows >= least) < n:
        least //= 2
    return least


def _looked_up(
    context: Context, wanted: Sequence[tuple[_Texts, U32]], sources: Sequence[_Texts]
) -> tuple[StringTable, I64] | None:
    """The strings of some codes, and their rows over all ``sources``, whose codes of them are
    noted. None without any.
    """
    table = StringTable()
    for one, codes in wanted:
        picked = one.texts.pick(codes)
        table.intern_bulk(picked.data, picked.offsets)
    if not len(table):
        return None
    texts = None if len(table) > MOST_SOUGHT else table.to_list()

    def find(one: _Texts) -> None:
        context.check()
        if texts is None:
            which = table.find_bulk(one.texts.data, one.texts.offsets)
            codes = np.flatnonzero(which >= 0).astype(np.uint32)
            which = which[codes]
        else:
            flags = one.texts.flags("in", texts)
            assert flags is not None
            codes = np.flatnonzero(flags.view(np.bool_)).astype(np.uint32)
            picked = one.texts.pick(codes)
            which = table.find_bulk(picked.data, picked.offsets)
        one.codes, one.which = codes, which

    context.map(find, sources)
    totals = np.zeros(len(table), np.int64)
    for one in sources:
        if one.rows is not None:
            assert one.which is not None
            np.add.at(totals, one.which, one.rows[one.codes])
    return table, totals
