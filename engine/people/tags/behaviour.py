"""Values of tags that come from events: numbers of a user's rows, and the first, last or most
frequent value of a property.

One shard a call; what comes out is a column by ordinal. Rows are read and reduced natively.
O(rows of the events in the range + users).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from zuji.engine.query.crowd import numbers_of
from zuji.engine.query.grouping import bucket_labels
from zuji.engine.query.kernels._distribution import user_values
from zuji.engine.query.kernels._events import count_by_user
from zuji.engine.query.kernels._user_keys import user_keys
from zuji.engine.query.kernels._user_rows import user_rows
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted, sort_used
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.people.tags.moment import Moment
    from zuji.engine.people.tags.rules import Aggregate, Taken
    from zuji.engine.query.model import Events
    from zuji.engine.query.reader import Selected, ShardReader
    from zuji.engine.types import I64, U8, U32

RECORD_BYTES = 16
USER_BYTES = 24
"""Charged for each ordinal of a shard while its rows are read."""
_Op = Literal["sum", "avg", "min", "max"]


def scan_of(events: Events, days: int | None, moment: Moment, p: str | None) -> Scan:
    """The rows of some events in the last days."""
    columns = columns_of(events.where, p)
    span = moment.begin_ms(days), moment.end_ms
    return planned(Scan("tag", events.names, *span, events.where, columns), moment.view)


# ------------------------------------------------------------------------------------- aggregates


def aggregated(rule: Aggregate, kind: Kind, moment: Moment, shard: int) -> Column | None:
    """A number of each user's rows, or its bucket; users without a value have none."""
    op, p = rule.measure.op, rule.measure.p
    reader = moment.reader(shard)
    context = moment.context
    context.charge(USER_BYTES * reader.users)
    scan = scan_of(rule.events, rule.days, moment, p)
    selected = reader.select(scan)
    lanes = [chosen.lane for chosen in selected]
    has: U8
    values: Any
    if op == "count":
        counts = count_by_user(lanes, scan.from_ms, scan.to_ms, reader.users, cancel=context.flag)
        values, has = counts, (counts > 0).view(np.uint8)
    elif op == "distinct":
        values = _keyed(reader, selected, scan, p or "", "distinct")[0]
        has = (values > 0).view(np.uint8)
    elif kind == Kind.INT and op in ("min", "max") and rule.buckets is None:
        values, has = _least(
            reader, selected, scan, p or "", np.minimum if op == "min" else np.maximum
        )
    else:
        columns = [_numbers(reader.column(chosen.ref, p or "")) for chosen in selected]
        found = user_values(
            lanes,
            np.array([scan.from_ms, scan.to_ms], np.int64),
            np.zeros(1, np.int32),
            cast("_Op", op),
            values=[numbers for numbers, _ in columns],
            value_masks=[present for _, present in columns],
            cancel=context.flag,
        )
        context.charge(RECORD_BYTES * len(found.user))
        values = np.zeros(reader.users)
        has = np.zeros(reader.users, np.uint8)
        values[found.user], has[found.user] = found.value, 1
    if not has.any():
        return None
    if rule.buckets is None:
        return Column(kind, values.astype(DTYPES[kind]), None if has.all() else has)
    labels = list(rule.labels or bucket_labels(rule.buckets))
    at = np.searchsorted(np.asarray(rule.buckets, np.float64), values, side="right")
    return Column(Kind.STRING, (at * has).astype(np.uint8), None if has.all() else has, labels)


def _least(
    reader: ShardReader, selected: Sequence[Selected], scan: Scan, p: str, better: np.ufunc
) -> tuple[I64, U8]:
    """Least or greatest whole number of each user, exact beyond 2^53, and who has one."""
    values: I64 = np.zeros(reader.users, np.int64)
    has: U8 = np.zeros(reader.users, np.uint8)
    for chosen in selected:
        reader.context.check()
        column = reader.column(chosen.ref, p)
        if column is None or column.kind not in (Kind.BOOL, Kind.INT):
            continue
        lane = _having(chosen, column).lane
        times = lane.times.astype(np.int64) + lane.base_ms
        counts = (times >= scan.from_ms) & (times < scan.to_ms)
        if lane.mask is not None:
            counts &= lane.mask == 1
        rows = np.flatnonzero(counts)
        if not len(rows):
            continue
        owner = np.repeat(lane.users, np.diff(lane.offsets))[rows]
        first = np.flatnonzero(np.diff(owner, prepend=np.int64(-1)))
        best = better.reduceat(column.values[rows].astype(np.int64), first)
        users = owner[first]
        values[users] = np.where(has[users] == 1, better(values[users], best), best)
        has[users] = 1
    return values, has


def _numbers(column: Column | None) -> tuple[Any, Any]:
    """Values of a column as numbers, instants among them."""
    if column is not None and column.kind == Kind.DATETIME:
        return column.values.astype(np.float64), column.present
    return numbers_of(column)


# ----------------------------------------------------------------------- first, last, most frequent


def taken(rule: Taken, kind: Kind, moment: Moment, shard: int) -> Column | None:
    """The first, last or most frequent value of a property in each user's rows."""
    reader = moment.reader(shard)
    moment.context.charge(USER_BYTES * reader.users)
    scan = scan_of(rule.events, rule.days, moment, rule.p)
    selected = reader.select(scan)
    if rule.take == "most_frequent":
        number, most, texts = _keyed(reader, selected, scan, rule.p, "most_frequent")
        return _of_keys(kind, number, most, texts)
    with_value: list[tuple[Selected, Column]] = []
    for chosen in selected:
        column = reader.column(chosen.ref, rule.p)
        if column is not None and column.kind == kind:
            with_value.append((_having(chosen, column), column))
    found = user_rows(
        [chosen.lane for chosen, _ in with_value],
        scan.from_ms,
        scan.to_ms,
        reader.users,
        last=rule.take == "last",
        cancel=moment.context.flag,
    )
    has = (found.lane >= 0).view(np.uint8)
    if not has.any():
        return None
    values: Any = np.zeros(reader.users, np.uint32 if kind == Kind.STRING else DTYPES[kind])
    places: list[tuple[I64, U32]] = []
    for place, (_, column) in enumerate(with_value):
        moment.context.check()
        mine = np.flatnonzero(found.lane == place)
        picked = column.values[found.row[mine]]
        places.append((mine, picked.astype(np.uint32)) if kind == Kind.STRING else (mine, mine))  # type: ignore[arg-type]
        if kind != Kind.STRING:
            values[mine] = picked
    present = None if has.all() else has
    if kind != Kind.STRING:
        return Column(kind, values, present)
    dictionary = _joined([column for _, column in with_value], places, values)
    return Column(kind, values, present, dictionary)


def _having(chosen: Selected, column: Column) -> Selected:
    """The lane with only its rows that have a value."""
    if column.present is None:
        return chosen
    lane = chosen.lane
    mask = column.present if lane.mask is None else lane.mask & column.present
    return replace(chosen, lane=replace(lane, mask=np.ascontiguousarray(mask)))


def _joined(
    columns: Sequence[Column], places: Sequence[tuple[I64, U32]], values: U32
) -> Dictionary:
    """Writes codes of one dictionary for codes of several; the dictionary."""
    parts, tables = [], []
    for column, (_, codes) in zip(columns, places, strict=True):
        used = np.zeros(len(column.dictionary or ()), np.uint8)
        used[codes] = 1
        part, table = sort_used(as_dictionary(column.dictionary), used)
        parts.append(part)
        tables.append(table)
    merged, renamed = merge_sorted(parts)
    for table, new, (mine, codes) in zip(tables, renamed, places, strict=True):
        if len(mine):
            values[mine] = new[table[codes]]
    return merged


def _keyed(
    reader: ShardReader,
    selected: Sequence[Selected],
    scan: Scan,
    p: str,
    op: Literal["distinct", "most_frequent"],
) -> tuple[U32, I64, Dictionary]:
    """Number and key of each ordinal, and the texts that keys of texts are codes of."""
    columns = [reader.column(chosen.ref, p) for chosen in selected]
    own: dict[int, Dictionary] = {}
    for column in columns:
        if column is not None and column.dictionary is not None:
            own.setdefault(id(column.dictionary), as_dictionary(column.dictionary))
    texts, tables = merge_sorted(list(own.values()))
    table_of = dict(zip(own, tables, strict=True))
    keys: list[I64 | None] = []
    present: list[U8 | None] = []
    offsets: list[U32 | None] = []
    for column in columns:
        keys.append(None if column is None else _keys(column, table_of))
        present.append(None if column is None else column.present)
        offsets.append(None if column is None else column.offsets)
        reader.context.charge(0 if column is None else 8 * len(column.values))
    number, most = user_keys(
        [chosen.lane for chosen in selected],
        keys,
        scan.from_ms,
        scan.to_ms,
        reader.users,
        op,
        present=present,
        offsets=offsets,
        cancel=reader.context.flag,
    )
    return number, most, texts


def _keys(column: Column, table_of: dict[int, U32]) -> I64:
    """A number that equal values share."""
    if column.dictionary is not None:
        table = table_of[id(column.dictionary)]
        if not len(table):
            return np.zeros(len(column.values), np.int64)
        codes: I64 = table[column.values].astype(np.int64)
        return codes
    if column.kind == Kind.FLOAT:
        bits: I64 = (column.values.astype(np.float64) + 0.0).view(np.int64)  # -0.0 is 0.0
        return bits
    return np.ascontiguousarray(column.values, np.int64)


def _of_keys(kind: Kind, number: U32, most: I64, texts: Dictionary) -> Column | None:
    has = (number > 0).view(np.uint8)
    if not has.any():
        return None
    present = None if has.all() else has
    if kind == Kind.STRING:
        return Column(kind, most.astype(np.uint32), present, texts)
    values: Any = most.view(np.float64) if kind == Kind.FLOAT else most.astype(DTYPES[kind])
    return Column(kind, values, present)
