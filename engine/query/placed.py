"""Groups of records, each read at a row: the breakdown of models that count things made of several
rows (a user's number of a period, a pair of events).

Every breakdown may look at a row of its own (``attr``). A list property puts a record in several
groups, each once, so what comes out are (record, group) pairs. Functions only, one shard a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.breakdown import once_a_row, read_by
from zuji.engine.query.users import user_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zuji.engine.query.breakdown import Breakdown, Chosen
    from zuji.engine.query.grouping import Dimension
    from zuji.engine.query.model import By
    from zuji.engine.query.plan import RunRef
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.types import I32, I64, U32, Column

    Place = tuple[I32, U32]
    """Lane and row of each record."""
    Lists = tuple[U32, I64]
    """Flat codes, and offsets int64[records + 1]."""


def groups_at(
    by: Breakdown, reader: ShardReader, refs: Sequence[RunRef], places: Sequence[Place]
) -> tuple[U32, U32]:
    """(record, group) pairs, ascending by record and none twice. O(records + rows of the runs).

    ``places``: one a breakdown; lanes are numbers of ``refs``, and every record has a row.
    """
    lists = [
        _codes_at(item, dimension, reader, refs, place)
        for item, dimension, place in zip(by.by, by.dimensions, places, strict=True)
    ]
    return combined(by, lists)


def groups_of_users(
    by: Breakdown, reader: ShardReader, columns: Mapping[str, Column | None] | None = None
) -> tuple[U32, U32]:
    """(ordinal, group) pairs of all users of the shard, as those are in who have no row: by user
    properties as of now, all else missing; or by ``columns``, a value each ordinal.
    """
    users = reader.users
    lists: list[Lists] = []
    for item, dimension in zip(by.by, by.dimensions, strict=True):
        if columns is not None:
            column = columns[item.p]
        else:
            column = user_column(reader.view, reader.shard, item.p[5:]) if _of_now(item) else None
        codes, offsets = dimension.codes(column, users)
        at = np.arange(users + 1) if offsets is None else offsets.astype(np.int64)
        lists.append(_filled(codes, at))
    return combined(by, lists)


def combined(by: Breakdown, lists: Sequence[Lists]) -> tuple[U32, U32]:
    """(record, group) pairs of all combinations of the codes of each record."""
    count = len(lists[0][1]) - 1
    record = np.arange(count, dtype=np.int64)
    parts: list[U32] = []
    several = False
    for codes, offsets in lists:
        if len(codes) == count and bool((np.diff(offsets) == 1).all()):
            parts.append(codes[record])
            continue
        several = True
        starts = offsets[record]
        lengths = offsets[record + 1] - starts
        repeat = np.repeat(np.arange(len(record)), lengths)
        index = spread(starts, lengths)
        parts = [part[repeat] for part in parts]
        parts.append(codes[index])
        record = record[repeat]
    group = by.groups.of_values(parts) if len(record) else np.empty(0, np.uint32)
    if several and len(record):
        # An item may stand twice in a list.
        order = np.lexsort((group, record))
        record, group = record[order], group[order]
        new = np.ones(len(record), np.bool_)
        new[1:] = (record[1:] != record[:-1]) | (group[1:] != group[:-1])
        record, group = record[new], group[new]
    return record.astype(np.uint32), group


def lines_of(chosen: Chosen, record: U32, group: U32) -> tuple[U32, U32]:
    """(record, line) pairs of the groups shown; a record is in the other line once."""
    line = chosen.table[group]
    if chosen.other:
        line = once_a_row(record, line, len(chosen.shown))
    keep = line < chosen.lines
    if keep.all():
        return record, line
    return record[keep], line[keep]


def spread(starts: I64, lengths: I64) -> I64:
    """``starts[i], starts[i] + 1, …``, ``lengths[i]`` of them, one i after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    index: I64 = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return index


def _of_now(item: By) -> bool:
    return item.p.startswith("user.") and item.as_of != "event"


def _filled(codes: U32, offsets: I64) -> Lists:
    """Lists with the missing value (code 0) in place of nothing."""
    lengths = np.diff(offsets)
    if bool((lengths > 0).all()):
        return codes, offsets
    bounds = np.zeros(len(offsets), np.int64)
    np.cumsum(np.maximum(lengths, 1), out=bounds[1:])
    flat = np.zeros(int(bounds[-1]), np.uint32)
    flat[spread(bounds[:-1], lengths)] = codes[spread(offsets[:-1], lengths)]
    return flat, bounds


def _codes_at(
    item: By, dimension: Dimension, reader: ShardReader, refs: Sequence[RunRef], place: Place
) -> Lists:
    """Codes of a breakdown at the row of each record."""
    lane, row = place
    count = len(lane)
    single = np.zeros(count, np.uint32)
    owners: list[I64] = []
    items: list[U32] = []
    for number, ref in enumerate(refs):
        reader.context.check()
        mine = np.flatnonzero(lane == number)
        if not len(mine):
            continue
        codes, offsets = dimension.codes(read_by(reader, ref, item), ref.run.rows)
        at = row[mine].astype(np.int64)
        if offsets is None:
            single[mine] = codes[at]
            continue
        starts = offsets[at].astype(np.int64)
        lengths = offsets[at + 1].astype(np.int64) - starts
        owners.append(np.repeat(mine, lengths))
        items.append(codes[spread(starts, lengths)])
    if not owners:
        return single, np.arange(count + 1)
    owner, flat = np.concatenate(owners), np.concatenate(items)
    order = np.argsort(owner, kind="stable")
    bounds = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=count), out=bounds[1:])
    return _filled(flat[order], bounds)
