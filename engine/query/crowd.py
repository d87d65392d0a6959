"""The audience of a query in one shard: which ordinals count, as one byte each.

Leaves: user properties, tags and cohorts (read as properties), did, did_not, sequence. A user of
the project is anybody with an ordinal, but for those whom nobody is any more; "not" and "did_not"
are complements within them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.audience import (
    AllUsers,
    AnyUsers,
    Audience,
    Did,
    DidSequence,
    HasTag,
    InCohort,
    NotUsers,
    UserIs,
    audience_leaves,
)
from zuji.engine.query.filter_ast import Leaf
from zuji.engine.query.kernels._bits import add_rows
from zuji.engine.query.kernels._funnel import funnel_chains
from zuji.engine.query.kernels._of_users import completed, counts_of, values_of
from zuji.engine.query.plan import Scan, bytes_of, planned
from zuji.engine.query.properties_used import audiences, columns_of
from zuji.engine.query.ranges import resolve_within
from zuji.engine.query.step_bits import step_bits
from zuji.engine.storage.segment import shared
from zuji.engine.types import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.types import F64, U8, U32, Column

_VALUE_BYTES = 20


def allowed(bound: Bound, reader: ShardReader) -> U8 | None:
    """uint8[users] of the shard, 1 = counts; None when everybody does."""
    return members(bound.query.audience, bound, reader)


def members(
    audience: Audience | None, bound: Bound, reader: ShardReader, among: U8 | None = None
) -> U8 | None:
    """As :func:`allowed`, of any audience of the query. ``among`` uint8[users]: only of these; what
    others did is not looked at where that saves something.
    """
    if audience is None:
        return None
    mask = _own(audience, _mask(audience, bound, reader, among))
    if among is not None:
        mask &= among
    nobody = bound.view.nobody(reader.shard)
    if len(nobody):
        mask[nobody] = 0
    return mask


def everybody(bound: Bound, reader: ShardReader) -> U8:
    """uint8[users] of the shard: 1 for those who are users, rows or not."""
    mask = np.ones(reader.users, np.uint8)
    mask[bound.view.nobody(reader.shard)] = 0
    return mask


def audience_scans(bound: Bound) -> list[Scan]:
    """The scans of all leaves that look at events."""
    leaves = [leaf for _, audience in audiences(bound.query) for leaf in audience_leaves(audience)]
    return [_scan(leaf, bound) for leaf in leaves if isinstance(leaf, Did | DidSequence)]


def rows_looked_at(audience: Audience, bound: Bound) -> int:
    """About how many rows answering an audience reads, of all shards; a user of a run whose rows
    need no look counts as one.
    """
    rows = 0
    for leaf in audience_leaves(audience):
        if not isinstance(leaf, Did | DidSequence):
            continue
        scan = _scan(leaf, bound)
        counted = isinstance(leaf, Did) and leaf.measure is None and scan.where is None
        for ref in scan.runs or ():
            rows += ref.run.user_count if counted and ref.inside else ref.run.rows
    return rows


def _scan(leaf: Did | DidSequence, bound: Bound) -> Scan:
    """What a leaf reads of all shards. Two threads may plan it at once; the plans are the same."""
    known = bound.scans.get(id(leaf))
    if known is None:
        made = _did_scan(leaf, bound) if isinstance(leaf, Did) else _sequence_scan(leaf, bound)
        known = bound.scans.setdefault(id(leaf), (leaf, made))
    return known[1]


def _sequence_scan(leaf: DidSequence, bound: Bound) -> Scan:
    r, names = bound.range, [step.names for step in leaf.steps]
    every = None if None in names else tuple(dict.fromkeys(n for some in names for n in some or ()))
    columns: frozenset[str] = frozenset()
    for step in leaf.steps:
        columns |= columns_of(bound.where_in_scope(step.where))
    scan = Scan("audience", every, r.from_ms, r.to_ms, None, columns)
    return planned(scan, bound.view)


def _did_scan(leaf: Did, bound: Bound) -> Scan:
    span = resolve_within(leaf.within, bound.range, bound.view.now_ms, "$.audience")
    to_ms = span.to_ms if bound.until_ms is None else min(span.to_ms, bound.until_ms)
    where = bound.where_in_scope(leaf.events.where)
    columns = columns_of(where, None if leaf.measure is None else leaf.measure[1])
    from_ms = min(span.from_ms, to_ms)
    return planned(Scan("audience", leaf.events.names, from_ms, to_ms, where, columns), bound.view)


def _mask(node: Audience, bound: Bound, reader: ShardReader, among: U8 | None = None) -> U8:
    """uint8[users]; of users who are not ``among`` those given it says nothing that counts. That of
    a cohort belongs to the cache (:func:`_own`).
    """
    if isinstance(node, AllUsers):
        out = None if among is None else among.copy()
        for item in sorted(node.items, key=_cost):
            if out is None:
                out = _own(item, _mask(item, bound, reader))
            elif out.view(np.bool_).any():
                out &= _mask(item, bound, reader, out)
        return np.ones(reader.users, dtype=np.uint8) if out is None else out
    if isinstance(node, AnyUsers):
        left = np.ones(reader.users, dtype=np.uint8) if among is None else among.copy()
        out = np.zeros(reader.users, dtype=np.uint8)
        for item in sorted(node.items, key=_cost):
            found = _mask(item, bound, reader, left) & left
            out |= found
            left ^= found
        return out
    if isinstance(node, NotUsers):
        return _mask(node.item, bound, reader, among) ^ np.uint8(1)
    if isinstance(node, UserIs):
        return reader.user_mask(node.where)
    if isinstance(node, InCohort):
        member = reader.profile(node.p.partition(".")[2])
        return np.zeros(reader.users, np.uint8) if member is None else member.values.view(np.uint8)
    if isinstance(node, HasTag):
        return reader.user_mask(Leaf(node.p, node.op, node.v))
    if isinstance(node, DidSequence):
        return _sequence(node, bound, reader, among)
    assert isinstance(node, Did)
    return _did(node, bound, reader, among)


def _own(node: Audience, mask: U8) -> U8:
    """The mask of a node as one that may be changed."""
    return mask.copy() if isinstance(node, InCohort) else mask


def _cost(node: Audience) -> int:
    """Leaves that look at few things come first, so that the others look at fewer users."""
    if isinstance(node, AllUsers | AnyUsers):
        return max(map(_cost, node.items), default=0)
    if isinstance(node, NotUsers):
        return _cost(node.item)
    if isinstance(node, DidSequence):
        return 4
    if isinstance(node, Did):
        return 3 if node.measure is not None else 1 if node.events.where is None else 2
    return 0


def _sequence(node: DidSequence, bound: Bound, reader: ShardReader, among: U8 | None) -> U8:
    """Who did the steps in order, all in the range: the last step of the best chain."""
    scan = _scan(node, bound)
    lanes: list[Lane] = []
    bits: list[int | U32] = []
    for ref in scan.of_shard(reader.shard):
        reader.context.check()
        lane = reader.lane(ref)
        reader.context.read(ref.run.rows, bytes_of(ref, scan.columns))
        masks: list[U8 | bool] = []
        for step in node.steps:
            where = bound.where_in_scope(step.where)
            if step.names is not None and ref.run.event not in step.names:
                masks.append(False)
            else:
                masks.append(True if where is None else reader.mask(ref, where))
        if all(mask is False for mask in masks):
            continue
        if not ref.inside:
            within = lane.times.astype(np.int64) + lane.base_ms < scan.to_ms
            lane = replace(lane, mask=within.astype(np.uint8))
        lanes.append(lane)
        bits.append(step_bits(masks, lane.rows))
    last = len(node.steps) - 1
    length = scan.to_ms - scan.from_ms if node.within is None else node.within.ms
    found = completed(
        lanes,
        bits,
        last + 1,
        length,
        scan.from_ms,
        scan.to_ms,
        reader.users,
        reader.context.flag,
        among,
    )
    if found is not None:
        return found
    chains = funnel_chains(
        lanes,
        bits,
        *(None, None, None, 0),
        k=last + 1,
        order="ordered",
        entry="any",
        count="users",
        ties="sequence",
        window=("ms", length),
        day_edges=None,
        sessions=None,
        from_ms=scan.from_ms,
        to_ms=scan.to_ms,
        trend_edges=None,
        cancel=reader.context.flag,
        allowed=among,
    )
    found = np.zeros(reader.users, dtype=np.uint8)
    found[chains.user[(chains.reached >> np.uint32(last)) & 1 == 1]] = 1
    return found


def _did(node: Did, bound: Bound, reader: ShardReader, among: U8 | None) -> U8:
    scan = _scan(node, bound)
    if node.measure is not None:
        numbers, values = _values(scan, *node.measure, reader, among)
        hit = _satisfied(node, values) & (numbers > 0)
    else:
        hit = _satisfied(node, _counts(scan, reader, among))
    return (hit ^ node.negated).view(np.uint8)


def _satisfied(node: Did, numbers: U32 | F64) -> npt.NDArray[np.bool_]:
    v = node.v
    if isinstance(v, tuple):
        return (numbers >= v[0]) & (numbers <= v[1])
    found: npt.NDArray[np.bool_] = _COMPARE[node.op](numbers, v)
    return found


def _values(scan: Scan, op: str, p: str, reader: ShardReader, among: U8 | None) -> tuple[U32, F64]:
    """By ordinal, how many values of ``p`` there are in the scan, and their aggregate."""
    context = reader.context
    context.charge(_VALUE_BYTES * reader.users)
    selected = reader.select(scan)
    columns = [numbers_of(reader.column(chosen.ref, p)) for chosen in selected]
    aggregate: Any = op
    return values_of(
        [chosen.lane for chosen in selected],
        scan.from_ms,
        scan.to_ms,
        reader.users,
        aggregate,
        [values for values, _ in columns],
        [present for _, present in columns],
        context.flag,
        among,
    )


def numbers_of(column: Column | None) -> tuple[F64 | None, U8 | None]:
    """Values of a column as numbers, and which rows have one; None when no row has."""
    if column is None or column.kind not in (Kind.BOOL, Kind.INT, Kind.FLOAT):
        return None, None
    return np.ascontiguousarray(column.values, np.float64), column.present


_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
}


def _counts(scan: Scan, reader: ShardReader, among: U8 | None) -> U32:
    """Rows of the scan by ordinal, uint32[users].

    A run that lies in the range as a whole, without a filter, says in its offsets how many rows
    each user has: its rows are not read, and who is not ``among`` counts, too.
    """
    counts = np.zeros(reader.users, dtype=np.uint32)
    rest = []
    for ref in scan.of_shard(reader.shard):
        if scan.where is not None or not ref.inside:
            rest.append(ref)
            continue
        reader.context.check()
        users, offsets = shared(ref.run).users()
        reader.context.charge(users.nbytes + offsets.nbytes)
        reader.context.read(0, users.nbytes + offsets.nbytes)
        add_rows(users, offsets, counts)
    if rest:
        lanes = [s.lane for s in reader.select(replace(scan, runs=tuple(rest)))]
        counts += counts_of(
            lanes, scan.from_ms, scan.to_ms, reader.users, reader.context.flag, among
        )
    return counts
