"""Profile records of one property in one shard: of all users, or of some.

A record is what one row of a profile event does to the property (:mod:`folding`), with the key that
orders the records of a user: its time, and of one time the order of arrival. Texts get codes of one
table, :class:`Words`. Pure functions over immutable sources; Words has a lock.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.index._strings import StringTable
from zuji.engine.index.catalog import PROFILE_EVENTS, UNSET_LIST
from zuji.engine.query.folding import NOTHING, OPS, folded
from zuji.engine.storage.dictionary import Dictionary, as_dictionary
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import PROFILE_DELETE, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.view import View
    from zuji.engine.storage.source import Run
    from zuji.engine.types import I64, U8, U32, Values

EMPTY: U32 = np.empty(0, dtype=np.uint32)
Part = tuple["U32", "I64", "U32", "Values", "U8"]
"""Records: ordinals, times, order keys, values, what they do (:mod:`folding`)."""
Folded = tuple["U32", "I64", "Values", "U8"]
"""After each record, by (ordinal, time, order): ordinals, times, values, whether there is one."""


class Words:
    """Texts of a property and their codes, the same for all sources. Codes stay."""

    def __init__(self) -> None:
        self._table = StringTable()
        self._lock = threading.Lock()
        self._dictionary: Dictionary | None = None

    def codes(self, dictionary: Sequence[str] | None) -> U32:
        """Code of each text of a dictionary. O(bytes)."""
        own = as_dictionary(dictionary)
        with self._lock:
            return self._table.intern_bulk(own.data, own.offsets)

    @property
    def dictionary(self) -> Dictionary:
        """Texts by code; the same object while none comes."""
        with self._lock:
            held = self._dictionary
            if held is None or len(held) != len(self._table):
                held = self._dictionary = Dictionary(*self._table.dump())
            return held


def folded_records(
    view: View, shard: int, stored: str, kind: Kind, words: Words, only: U32 | None = None
) -> Folded | None:
    """The records of a property folded; None when there is none. ``only``: ordinals, ascending;
    the rows of others are not read. O(r log r) for r records, and O(rows) of lists.
    """
    parts: list[Part] = []
    for order, source in enumerate(view.sources[shard], start=1):
        for event in PROFILE_EVENTS:
            run = source.runs.get(event)
            if run is not None:
                parts += _records(run, stored, kind, order, words, only)
    if not parts:
        return None
    users = np.concatenate([p[0] for p in parts])
    times = np.concatenate([p[1] for p in parts])
    later = np.concatenate([p[2] for p in parts])
    values = np.concatenate([p[3] for p in parts])
    ops = np.concatenate([p[4] for p in parts])
    rank = np.lexsort((later, times, users))
    users = users[rank]
    values, present = folded(kind, users, ops[rank], values[rank])
    return users, times[rank], values, present


def _records(
    run: Run, stored: str, kind: Kind, order: int, words: Words, only: U32 | None
) -> list[Part]:
    value_column = run.column(stored) if stored in run.props else None
    removed = removals(run, stored)
    if value_column is None and removed is None:
        return []
    run_users, offsets = run.users()
    chosen = None if only is None else rows_of_users(run_users, offsets, only)
    if chosen is not None and not len(chosen):
        return []
    times, ties = run.times(), run.ties()
    parts: list[Part] = []

    def add(rows: I64, values: Values, op: int) -> None:
        if not len(rows):  # a run may name what only rows had that are somebody else's
            return
        owners = run_users[np.searchsorted(offsets, rows, side="right") - 1]
        later = np.full(len(rows), order << 16, dtype=np.uint32)
        if ties is not None:
            later += ties[rows]
        at = times[rows].astype(np.int64) + run.base_ms
        parts.append((owners, at, later, values, np.full(len(rows), op, np.uint8)))

    if value_column is not None:
        rows = np.arange(run.rows) if chosen is None else chosen
        if value_column.present is not None:
            rows = rows[value_column.present[rows] == 1]
        add(rows, _values(value_column, rows, words), OPS[run.event])
    if removed is not None:
        if chosen is not None:
            removed = np.intersect1d(removed, chosen)
        add(removed, _nothing(kind, len(removed)), NOTHING)
    return parts


def removals(run: Run, stored: str) -> I64 | None:
    """Rows of a run that remove the property, ascending; None when it has none."""
    if run.event == PROFILE_DELETE:
        return np.arange(run.rows)
    column = run.column(UNSET_LIST) if UNSET_LIST in run.props else None
    if column is None or column.offsets is None:
        return None
    name = stored.partition(".")[2]
    dictionary = as_dictionary(column.dictionary)
    code = dictionary.find(name)
    if code < 0:
        return None
    hits = np.flatnonzero(column.values == code)
    return unique(np.searchsorted(column.offsets, hits, side="right") - 1)


def rows_of_users(run_users: U32, offsets: U32, only: U32) -> I64:
    """Rows of some users in a run, ascending. O(users asked for · log users of the run + rows)."""
    at = np.searchsorted(run_users, only)
    at = at[at < len(run_users)]
    mine = np.intersect1d(only, run_users[at], assume_unique=False)
    groups = np.searchsorted(run_users, mine)
    starts = offsets[groups].astype(np.int64)
    lengths = offsets[groups + 1].astype(np.int64) - starts
    ends = np.cumsum(lengths)
    rows: I64 = np.arange(int(ends[-1]) if len(ends) else 0)
    rows += np.repeat(starts - (ends - lengths), lengths)
    return rows


def _nothing(kind: Kind, rows: int) -> Any:
    if kind == Kind.LIST:
        return np.array([EMPTY] * rows + [None], dtype=object)[:-1]
    return np.zeros(rows, dtype=DTYPES[kind])


def _values(column: Column, rows: I64, words: Words) -> Any:
    """Values of some rows; string codes are those of ``words``."""
    if column.kind not in (Kind.STRING, Kind.LIST):
        return column.values[rows]
    own = words.codes(column.dictionary)
    if column.kind == Kind.STRING:
        return own[column.values[rows]]
    assert column.offsets is not None
    lists: Any = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows.tolist()):
        lists[i] = own[column.values[column.offsets[row] : column.offsets[row + 1]]]
    return lists
