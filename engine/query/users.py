"""User properties at query time: from profile records in the segments to one value per ordinal.

A profile record is a row of ``$profile_set``, ``$profile_increment``, …; its columns are
``$user.NAME``; a removal is the list ``$user.$unset``. The value of a user at a moment is what the
records at or before it make in the order (time, arrival): :mod:`folding`.
The present values (:mod:`profile_now`) need no history; one is built where a moment is asked for,
once for the sources that hold profile records: a view that differs only in other sources, as beside
an ingest of events, goes on with those of the view before. Thread-safety:
pure functions over immutable sources; the caches have their own locks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.index.catalog import PROFILE_EVENTS, USER_PREFIX
from zuji.engine.query.kernels._events import expand_users
from zuji.engine.query.kernels._streams import asof
from zuji.engine.query.mark_names import mark_of
from zuji.engine.query.marks import mark_column, mark_rows
from zuji.engine.query.profile_now import present_column
from zuji.engine.query.profile_records import EMPTY, Words, folded_records
from zuji.engine.query.virtual.evaluate import evaluated
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.view import View
    from zuji.engine.storage.segment import Source
    from zuji.engine.types import I64, U8, U32, Values


@dataclass(frozen=True, slots=True)
class History:
    """One user property in one shard after each record, by (ordinal, time, order of arrival)."""

    kind: Kind
    users: U32
    times: I64
    values: Values
    present: U8
    dictionary: Sequence[str] | None


def history(view: View, shard: int, name: str) -> History | None:
    """History of user property ``name`` in a shard, None when no record has it."""
    found: History | None = view.cached(
        ("history", shard, name),
        lambda: view.profiles.of(
            ("history", shard, name),
            _profile_sources(view, shard),
            lambda: _history(view, shard, name),
        ),
    )
    return found


def user_column(view: View, shard: int, name: str) -> Column | None:
    """Present value of each ordinal of a shard, None when no user has the property."""
    mark = mark_of(name)
    if mark is not None:
        return mark_column(view, shard, mark, None)
    virtual = view.definitions.properties.get(f"user.{name}")
    if virtual is not None:
        tree, kind = virtual.tree, virtual.kind
        made: Column | None = view.cached(
            ("virtual", shard, name),
            lambda: evaluated(tree, view.users[shard], partial(_named, view, shard), kind, view.tz),
        )
        return made
    column: Column | None = view.cached(
        ("now", shard, name),
        lambda: view.profiles.of(
            ("now", shard, name),
            _profile_sources(view, shard),
            lambda: present_column(view, shard, USER_PREFIX + name, _profile_sources(view, shard)),
        ),
    )
    return None if column is None else fitted(column, view.users[shard])


def user_column_at(view: View, shard: int, name: str, at_ms: int) -> Column | None:
    """Value of each ordinal of a shard after the records up to an instant, ms UTC; None when no
    record has the property. O(records + users).
    """
    mark = mark_of(name)
    if mark is not None:
        return mark_column(view, shard, mark, at_ms)
    virtual = view.definitions.properties.get(f"user.{name}")
    if virtual is not None:
        return evaluated(
            virtual.tree,
            view.users[shard],
            lambda p: user_column_at(view, shard, p.partition(".")[2], at_ms),
            virtual.kind,
            view.tz,
        )
    past = history(view, shard, name)
    if past is None:
        return None
    if len(past.times) and int(past.times.max()) <= at_ms:
        return user_column(view, shard, name)
    until = np.flatnonzero(past.times <= at_ms)
    last = np.full(view.users[shard], -1, dtype=np.int64)
    last[past.users[until]] = until  # sorted: the last assignment of a user stays
    return pick(past, last)


def column_as_of(view: View, shard: int, name: str, lane: Lane) -> Column | None:
    """Value of each row's user at the time of the row."""
    mark = mark_of(name)
    if mark is not None and mark.moment is None:
        return mark_rows(view, shard, mark, lane)
    if mark is not None:
        column = mark_column(view, shard, mark, None)
        return None if column is None else per_row(column, lane.users, lane.offsets)
    virtual = view.definitions.properties.get(f"user.{name}")
    if virtual is not None:
        return evaluated(
            virtual.tree,
            lane.rows,
            lambda p: column_as_of(view, shard, p.partition(".")[2], lane),
            virtual.kind,
            view.tz,
        )
    past = history(view, shard, name)
    if past is None:
        return None
    return pick(past, asof(past.users, past.times, lane))


def per_row(column: Column, users: U32, offsets: U32) -> Column:
    """A column by ordinal as a column by row."""
    if column.kind == Kind.LIST:
        return _lists_per_row(column, users, offsets)
    present = None if column.present is None else expand_users(users, offsets, column.present)
    return Column(
        column.kind, expand_users(users, offsets, column.values), present, column.dictionary
    )


def _lists_per_row(column: Column, users: U32, offsets: U32) -> Column:
    assert column.offsets is not None
    row_users = np.repeat(users, np.diff(offsets)).astype(np.int64)
    starts = column.offsets[row_users].astype(np.int64)
    lengths = column.offsets[row_users + 1].astype(np.int64) - starts
    bounds = np.zeros(len(row_users) + 1, dtype=np.uint32)
    np.cumsum(lengths, out=bounds[1:])
    total = int(bounds[-1])
    index = np.arange(total) + np.repeat(starts - bounds[:-1], lengths)
    present = None if column.present is None else column.present[row_users]
    return Column(Kind.LIST, column.values[index], present, column.dictionary, bounds)


def _named(view: View, shard: int, p: str) -> Column | None:
    return user_column(view, shard, p.partition(".")[2])


def _profile_sources(view: View, shard: int) -> tuple[Source, ...]:
    """Sources with profile records, in their order."""
    return tuple(
        source
        for source in view.sources[shard]
        if any(event in source.runs for event in PROFILE_EVENTS)
    )


def fitted(column: Column, users: int) -> Column:
    """The column with users who came after it was made, who have no value; or without those whom an
    older view does not have.
    """
    more = users - column.rows
    if more == 0:
        return column
    if more < 0:
        return _shorter(column, users)
    present = np.ones(column.rows, np.uint8) if column.present is None else column.present
    present = np.concatenate([present, np.zeros(more, np.uint8)])
    if column.offsets is not None:
        ends = np.full(more, column.offsets[-1], column.offsets.dtype)
        offsets = np.concatenate([column.offsets, ends])
        return Column(column.kind, column.values, present, column.dictionary, offsets)
    values = np.concatenate([column.values, np.zeros(more, column.values.dtype)])
    slices = column.slices
    if slices is not None:
        codes = np.concatenate([slices.codes, np.zeros(more, slices.codes.dtype)])
        slices = replace(slices, codes=codes)
    return Column(column.kind, values, present, column.dictionary, slices=slices)


def _shorter(column: Column, users: int) -> Column:
    present = None if column.present is None else column.present[:users]
    if column.offsets is None:
        slices = column.slices
        if slices is not None:
            slices = replace(slices, codes=slices.codes[:users])
        values = column.values[:users]
        return Column(column.kind, values, present, column.dictionary, slices=slices)
    offsets = column.offsets[: users + 1]
    return Column(column.kind, column.values[: offsets[-1]], present, column.dictionary, offsets)


def pick(past: History, index: I64) -> Column:
    """What was after each of some records; -1: nothing."""
    known = index >= 0
    at = np.where(known, index, 0)
    present = (known & (past.present[at] == 1)).astype(np.uint8)
    if past.kind == Kind.LIST:
        return _pick_lists(past, at, present)
    values = np.where(present == 1, past.values[at], 0).astype(past.values.dtype)
    return Column(past.kind, values, None if present.all() else present, past.dictionary)


def _pick_lists(past: History, at: I64, present: U8) -> Column:
    lists = past.values  # object array of uint32 arrays
    chosen = [lists[i] if p else EMPTY for i, p in zip(at, present, strict=True)]
    offsets = np.zeros(len(chosen) + 1, dtype=np.uint32)
    np.cumsum([len(c) for c in chosen], out=offsets[1:])
    values = np.concatenate(chosen).astype(np.uint32) if chosen else EMPTY
    return Column(Kind.LIST, values, None if present.all() else present, past.dictionary, offsets)


def _history(view: View, shard: int, name: str) -> History | None:
    stored = USER_PREFIX + name
    kind = view.catalog.kind_of(stored)
    words = Words()
    made = None if kind is None else folded_records(view, shard, stored, kind, words)
    if made is None or kind is None:
        return None
    texts = words.dictionary if kind in (Kind.STRING, Kind.LIST) else None
    return History(kind, *made, texts)
