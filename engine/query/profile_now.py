"""The present value of a user property for each ordinal of a shard, from profile records.

Segments first: their records of ``set``, ``unset`` and ``delete`` need no order, the last of each
user is what counts; a run gives it in one pass. Users with a record whose effect depends on what
there was (``set_once``, ``increment``, ``append``) are folded (:mod:`profile_records`), only they.
The column so made stands while the segments do; what came since, in memtables or newer segments,
is a few users, who are folded anew and put over it. Codes of texts are of one byte or two where
that is enough. Why so, and figures: ``docs/notes/profiles.md``. Thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.index.catalog import PROFILE_EVENTS
from zuji.engine.query.folding import OPS
from zuji.engine.query.profile_records import Words, folded_records, removals
from zuji.engine.storage._pivot import gather_lists
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.source import MEMTABLE_RANK
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.view import View
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U8, U32, Values

NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Present:
    """A column by ordinal, None when nobody has a value; and its texts, to which more may come."""

    column: Column | None
    words: Words
    sources: tuple[int, ...] = field(default=())
    """Identities of the sources it is made of."""


def present_column(
    view: View, shard: int, stored: str, sources: tuple[Source, ...]
) -> Column | None:
    """Value of each ordinal now; fewer ordinals when the last have none. ``sources``: those of the
    shard with profile records, in their order. O(records of users who changed + users), for new
    segments O(records).
    """
    kind = view.catalog.kind_of(stored)
    if kind is None:
        return None
    firm = tuple(source for source in sources if source.rank < MEMTABLE_RANK)
    fresh = [source for source in sources if source.rank >= MEMTABLE_RANK]
    key = ("firm", shard, stored)
    base: Present = view.profiles.of(
        key, firm, lambda: _of_segments(view, shard, stored, kind, firm)
    )
    touched = _touched(fresh, stored)
    return base.column if not len(touched) else _patched(view, shard, stored, kind, base, touched)


def _touched(sources: Sequence[Source], stored: str, *, building: bool = False) -> U32:
    """Users with a record about the property, ascending. ``building``: only such records whose
    effect depends on what there was.
    """
    found: list[U32] = []
    for source in sources:
        for event in PROFILE_EVENTS:
            run = source.runs.get(event)
            if run is None or (building and OPS[event] <= 1):
                continue
            rows = _rows_about(run, stored)
            if rows is not None and len(rows):
                users, offsets = run.users()
                found.append(users[np.searchsorted(offsets, rows, side="right") - 1])
    return unique(np.concatenate(found)) if found else np.empty(0, np.uint32)


def _rows_about(run: Run, stored: str) -> I64 | None:
    column = run.column(stored) if stored in run.props else None
    removed = removals(run, stored)
    if column is None:
        return removed
    rows = np.arange(run.rows) if column.present is None else np.flatnonzero(column.present)
    return rows if removed is None else np.union1d(rows, removed)


# -- over what is there ----------------------------------------------------------------------------


def _patched(
    view: View, shard: int, stored: str, kind: Kind, base: Present, touched: U32
) -> Column | None:
    """The column of ``base`` with the users ``touched`` folded anew, from all sources."""
    made = folded_records(view, shard, stored, kind, base.words, touched)
    if made is None:
        return base.column
    users, _, values, present = made
    if not len(users):
        return base.column
    ends = np.append(users[1:] != users[:-1], True)
    users, values, present = users[ends], values[ends], present[ends]
    length = max(view.users[shard], int(users[-1]) + 1)
    return _put(_room(base.column, kind, length), users, values, present, base.words)


def _room(column: Column | None, kind: Kind, length: int) -> Column:
    """A copy with ``length`` ordinals and a flag for each."""
    have = 0 if column is None else column.rows
    length = max(length, have)
    present = np.zeros(length, np.uint8)
    if column is not None:
        present[:have] = 1 if column.present is None else column.present
    if kind == Kind.LIST:
        offsets = np.zeros(length + 1, np.uint32)
        if column is not None:
            assert column.offsets is not None
            offsets[: have + 1] = column.offsets
            offsets[have + 1 :] = column.offsets[-1]
        items = np.empty(0, np.uint32) if column is None else column.values
        return Column(kind, items, present, None, offsets)
    values = np.zeros(length, DTYPES[kind] if column is None else column.values.dtype)
    if column is not None:
        values[:have] = column.values
    return Column(kind, values, present)


def _put(column: Column, users: U32, values: Values, present: U8, words: Words) -> Column | None:
    """The column, whose flags and values are its own, with other values for some users."""
    flags = column.present
    assert flags is not None
    flags[users] = present
    dictionary = words.dictionary if column.kind in (Kind.STRING, Kind.LIST) else None
    if column.kind == Kind.LIST:
        return _put_lists(column, users, values, present, words)
    own = column.values
    if column.kind == Kind.STRING and dictionary is not None:
        own = own.astype(_width(len(dictionary)), copy=False)
    own[users] = np.where(present == 1, values, 0).astype(own.dtype)
    if not flags.any():
        return None
    return Column(column.kind, own, None if flags.all() else flags, dictionary)


def _put_lists(
    column: Column, users: U32, values: Values, present: U8, words: Words
) -> Column | None:
    assert column.offsets is not None
    assert column.present is not None
    if not column.present.any():
        return None
    lists = [v if p else v[:0] for v, p in zip(values, present, strict=True)]
    have = len(column.values)
    pool = np.concatenate([column.values, *lists]).astype(np.uint32)
    ends = np.cumsum([len(each) for each in lists]) + have
    # The lists of the column, and behind them those of the users that changed.
    offsets = np.concatenate([column.offsets, ends]).astype(np.uint32)
    index = np.arange(column.rows, dtype=np.uint32)
    index[users] = column.rows + np.arange(len(users), dtype=np.uint32)
    made, items = gather_lists(offsets, np.ascontiguousarray(pool), index)
    flags = None if column.present.all() else column.present
    return Column(Kind.LIST, items, flags, words.dictionary, made)


def _width(texts: int) -> type[np.unsignedinteger]:
    return np.uint8 if texts <= 1 << 8 else np.uint16 if texts <= 1 << 16 else np.uint32


# -- from segments alone ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Last:
    """The last record of each user in a run that sets the property, or (``column`` None) removes
    it: ordinals ascending, times, order keys, rows.
    """

    users: U32
    times: I64
    later: U32
    rows: I64
    column: Column | None


def _of_segments(
    view: View, shard: int, stored: str, kind: Kind, sources: tuple[Source, ...]
) -> Present:
    """Made of what was made before, when that was of fewer segments; else from all records."""
    now = tuple(id(source) for source in sources)
    before: Present | None = view.profiles.last(("firm", shard, stored), sources)
    if before is not None:
        added = [source for source in sources if id(source) not in before.sources]
        touched = _touched(added, stored)
        if not len(touched):
            return replace(before, sources=now)
        only = _without_memtables(view)
        column = _patched(only, shard, stored, kind, before, touched)
        return Present(column, before.words, now)
    words = Words()
    column = _last_values(view, shard, stored, kind, sources, words)
    building = _touched(sources, stored, building=True)
    if len(building):
        only = _without_memtables(view)
        column = _patched(only, shard, stored, kind, Present(column, words), building)
    return Present(column, words, now)


def _without_memtables(view: View) -> View:
    return replace(
        view,
        sources=tuple(
            tuple(source for source in shard if source.rank < MEMTABLE_RANK)
            for shard in view.sources
        ),
        cache={},
    )


def _last_values(
    view: View, shard: int, stored: str, kind: Kind, sources: tuple[Source, ...], words: Words
) -> Column | None:
    """Values by the records that set and remove alone, the last of each user. O(records)."""
    parts = [
        part
        for order, source in enumerate(sources, start=1)
        for event in PROFILE_EVENTS
        if event in source.runs and OPS[event] <= 1
        for part in _last_of(source.runs[event], stored, order)
    ]
    if not any(part.column is not None for part in parts):
        return None
    length = max(view.users[shard], max(int(part.users[-1]) + 1 for part in parts))
    best: I64 = np.full(length, NEVER, np.int64)
    later: U32 = np.zeros(length, np.uint32)
    whose = np.full(length, -1, np.int32)
    where: U32 = np.zeros(length, np.uint32)
    for number, part in enumerate(parts):
        had = best[part.users]
        newer = (part.times > had) | ((part.times == had) & (part.later >= later[part.users]))
        mine = part.users if newer.all() else part.users[newer]
        best[mine] = part.times if mine is part.users else part.times[newer]
        later[mine] = part.later if mine is part.users else part.later[newer]
        where[mine] = (part.rows if mine is part.users else part.rows[newer]).astype(np.uint32)
        whose[mine] = number
    del best, later
    if kind == Kind.LIST:
        return _assembled_lists(parts, whose, where, words)
    values = np.zeros(length, DTYPES[kind])
    present = np.zeros(length, np.uint8)
    for number, part in enumerate(parts):
        if part.column is None:
            continue
        mine = np.flatnonzero(whose == number)
        if len(mine):
            chosen = part.column.values[where[mine]]
            if kind == Kind.STRING:
                chosen = words.codes(part.column.dictionary)[chosen]
            values[mine] = chosen
            present[mine] = 1
    dictionary = words.dictionary if kind == Kind.STRING else None
    if dictionary is not None:
        values = values.astype(_width(len(dictionary)))
    if not present.any():
        return None
    return Column(kind, values, None if present.all() else present, dictionary)


def _last_of(run: Run, stored: str, order: int) -> list[_Last]:
    column = run.column(stored) if stored in run.props else None
    removed = removals(run, stored)
    if column is None and removed is None:
        return []
    users, offsets = run.users()
    found: list[_Last] = []
    for rows, own in ((None, column), (removed, None)):
        if own is None and rows is None:
            continue
        if own is not None and own.present is None:
            last, owners = offsets[1:].astype(np.int64) - 1, users
        elif own is not None and own.present is not None:
            there = np.where(own.present, np.arange(1, run.rows + 1), 0)
            last = np.maximum.reduceat(there, offsets[:-1]) - 1
            owners, last = users[last >= 0], last[last >= 0]
        else:
            if rows is None or not len(rows):
                continue
            of = np.searchsorted(offsets, rows, side="right") - 1
            ends = np.append(of[1:] != of[:-1], True)
            last, owners = rows[ends], users[of[ends]]
        if not len(last):
            continue
        times = run.times()[last].astype(np.int64) + run.base_ms
        later = np.full(len(last), order << 16, np.uint32)
        ties = run.ties()
        if ties is not None:
            later += ties[last]
        found.append(_Last(owners, times, later, last, own))
    return found


def _assembled_lists(
    parts: Sequence[_Last], whose: Values, where: U32, words: Words
) -> Column | None:
    """Lists of each ordinal out of the runs that have them. O(users + items)."""
    index = np.zeros(len(whose), np.uint32)  # 0: no list
    present = np.zeros(len(whose), np.uint8)
    pools: list[U32] = []
    offsets: list[U32] = [np.zeros(2, np.uint32)]
    count, end = 1, 0
    for number, part in enumerate(parts):
        if part.column is None:
            continue
        mine = np.flatnonzero(whose == number)
        if not len(mine):
            continue
        assert part.column.offsets is not None
        codes = np.ascontiguousarray(part.column.values, np.uint32)
        ends, items = gather_lists(part.column.offsets, codes, where[mine])
        pools.append(words.codes(part.column.dictionary)[items] if len(items) else items)
        offsets.append(ends[1:] + np.uint32(end))
        index[mine] = count + np.arange(len(mine), dtype=np.uint32)
        present[mine] = 1
        count, end = count + len(mine), end + int(ends[-1])
    if not present.any():
        return None
    pool = np.concatenate(pools).astype(np.uint32)
    made, items = gather_lists(np.concatenate(offsets), pool, index)
    flags = None if present.all() else present
    return Column(Kind.LIST, items, flags, words.dictionary, made)
