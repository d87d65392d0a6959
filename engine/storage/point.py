"""Some rows of a run, without reading the others: only pages that hold them are looked at, and of
those the blocks with the rows are decoded.

For looking at one user: of a run of millions of rows, a page of users, and a part of a page or two
of each other stream. Ascending streams are searched by the smallest and largest values of their
pages. Where a value of a property stands that not every row has, the presence of all rows before
says; how many rows of a page have one is kept with the segment. Runs in memory are sliced.
Functions over immutable sources: thread-safe. O(log users + pages of the rows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.storage.format import RECEIVED_FEW, RECEIVED_ONE
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.segment import SegmentRun
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from zuji.engine.storage.segment import Run
    from zuji.engine.types import I64, U16, U32


def rows_of_user(run: Run, ordinal: int) -> tuple[int, int]:
    """First row and end of a user's rows; equal when there are none.

    Raises:
        Corruption.
    """
    if not isinstance(run, SegmentRun):
        users, offsets = run.users()
        at = int(np.searchsorted(users, ordinal))
        there = at < len(users) and users[at] == ordinal
        return (int(offsets[at]), int(offsets[at + 1])) if there else (0, 0)
    owner, meta = run.owner, run.meta
    first, pages = meta.user_list
    table = owner.page_table()[first : first + pages]
    page = int(table["max"].searchsorted(ordinal))
    if page >= len(table) or table["min"][page] > ordinal:
        return 0, 0
    before = int(table["rows"][:page].sum())
    count = int(table["rows"][page])
    users = owner.between(meta.user_list, before, before + count, np.uint32)
    at = int(np.searchsorted(users, ordinal))
    if at >= count or users[at] != ordinal:
        return 0, 0
    start, end = owner.between(meta.offsets, before + at, before + at + 2, np.uint32).tolist()
    if not start <= end <= run.rows:
        raise owner.damage("users do not add up to the rows", meta.offsets)
    return start, end


def times_of(run: Run, start: int, end: int) -> I64:
    """ms UTC of rows [start, end)."""
    if not isinstance(run, SegmentRun):
        return run.times()[start:end].astype(np.int64) + run.base_ms
    times = run.owner.between(run.meta.times, start, end, np.uint32).astype(np.int64)
    found: I64 = times * run.meta.time_unit + run.base_ms
    return found


def ties_of(run: Run, start: int, end: int) -> U16:
    """Ties of rows [start, end), uint16."""
    if isinstance(run, SegmentRun) and run.meta.ties[1]:
        ties: U16 = run.owner.between(run.meta.ties, start, end, np.uint16)
        return ties
    given = None if isinstance(run, SegmentRun) else run.ties()
    return np.zeros(end - start, np.uint16) if given is None else given[start:end]


def received_of(run: Run, start: int, end: int) -> I64:
    """When rows [start, end) were received, ms UTC."""
    if not isinstance(run, SegmentRun):
        return run.received()[start:end]
    stored, owner = run.meta.received, run.owner
    if stored.mode == RECEIVED_ONE:
        return np.full(end - start, stored.value, np.int64)
    if stored.mode == RECEIVED_FEW:
        codes = owner.between(stored.codes, start, end, np.uint32)
        first, pages = stored.values
        size = int(owner.page_table()["rows"][first : first + pages].sum())
        values: I64 = owner.ints(stored.values, np.empty(size, np.int64))
        if len(codes) and codes.max() >= size:
            raise owner.damage("a code is outside the list of receive times", stored.codes)
        found: I64 = values[codes]
        return found
    lag: I64 = owner.between(stored.codes, start, end, np.int64)
    return lag + times_of(run, start, end)


def column_of(run: Run, name: str, start: int, end: int) -> Column | None:
    """A property of rows [start, end); None when no row of the run has it."""
    if name not in run.props:
        return None
    if not isinstance(run, SegmentRun):
        whole = run.column(name)
        return None if whole is None else _sliced(whole, start, end)
    owner, meta, kind = run.owner, run.column_meta(name), run.props[name]
    assert meta is not None
    first, last, present = start, end, None
    if meta.presence[1]:
        present = owner.between(meta.presence, start, end, np.uint8)
        first = owner.ones(meta.presence, start)
        last = first + int(np.count_nonzero(present))
    offsets: U32 | None = None
    if kind == Kind.LIST:
        bounds = owner.between(meta.offsets, first, last + 1, np.uint32)
        first, last = int(bounds[0]), int(bounds[-1])
        if not (np.diff(bounds.astype(np.int64)) >= 0).all() or last > meta.items:
            raise owner.damage("lists do not add up to their items", meta.offsets)
        lengths = np.diff(bounds)
        if present is not None:
            spread = np.zeros(end - start, np.uint32)
            spread[present != 0] = lengths
            lengths = spread
        offsets = np.zeros(end - start + 1, np.uint32)
        np.cumsum(lengths, out=offsets[1:])
    values: Any = owner.between(meta.values, first, last, DTYPES[kind])
    if meta.unit != 1:
        values = values * values.dtype.type(meta.unit)
    if present is not None and offsets is None:
        wide = np.zeros(end - start, values.dtype)
        wide[present != 0] = values
        values = wide
    dictionary = owner.dictionary(name) if kind in (Kind.STRING, Kind.LIST) else None
    if dictionary is not None and len(values) and int(values.max()) >= len(dictionary):
        raise owner.damage(f"a code of {name!r} is outside its dictionary", meta.values)
    return Column(kind, values, present, dictionary, offsets)


def _sliced(whole: Column, start: int, end: int) -> Column:
    present = None if whole.present is None else whole.present[start:end]
    if whole.offsets is None:
        return Column(whole.kind, whole.values[start:end], present, whole.dictionary)
    bounds = whole.offsets[start : end + 1]
    values = whole.values[bounds[0] : bounds[-1]]
    return Column(whole.kind, values, present, whole.dictionary, bounds - bounds[0])


def with_own_texts(column: Column) -> Column:
    """The same with a dictionary of the strings that occur: a predicate looks at all of one."""
    if column.dictionary is None:
        return column
    codes, values = np.unique(column.values, return_inverse=True)
    texts = [column.dictionary[int(code)] for code in codes]
    values = values.reshape(-1).astype(np.uint32)
    if not texts:
        texts, values = [""], np.zeros(len(column.values), np.uint32)
    return Column(column.kind, values, column.present, texts, column.offsets)
