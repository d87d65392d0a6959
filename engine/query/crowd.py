"""The audience of a query in one shard: which ordinals count, as one byte each.

Leaves: user properties, did, did_not. A user of the project is anybody with an ordinal; "not" and
"did_not" are complements within them. Sequences, cohorts and tags have their place here and say
clearly that they are not there yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import (
    AllUsers,
    AnyUsers,
    Audience,
    Did,
    HasTag,
    InCohort,
    NotUsers,
    UserIs,
    audience_leaves,
)
from zuji.engine.query.kernels._bits import add_rows
from zuji.engine.query.kernels._events import count_by_user
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.ranges import resolve_within
from zuji.engine.storage.segment import shared

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.engine.query.bind import Bound
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.types import U8, U32


def check_audience(audience: Audience | None) -> None:
    """Raises InvalidQuery for leaves that cannot be answered."""
    for leaf in audience_leaves(audience):
        if isinstance(leaf, InCohort):
            raise InvalidQuery(
                f"there is no cohort {leaf.name!r}: this release has no stored cohorts",
                "$.audience",
            )
        if isinstance(leaf, HasTag):
            raise InvalidQuery(
                f"there is no tag {leaf.name!r}: this release has no tags", "$.audience"
            )
        if not isinstance(leaf, UserIs | Did):
            raise InvalidQuery(
                "this release has no 'sequence' audiences; use 'did' and 'did_not'", "$.audience"
            )


def allowed(bound: Bound, reader: ShardReader) -> U8 | None:
    """uint8[users] of the shard, 1 = counts; None when everybody does."""
    if bound.query.audience is None:
        return None
    return np.ascontiguousarray(_mask(bound.query.audience, bound, reader), dtype=np.uint8)


def audience_scan(leaf: Did, bound: Bound) -> Scan:
    """The scan of a ``did`` leaf."""
    span = resolve_within(leaf.within, bound.range, bound.view.now_ms, "$.audience")
    where = bound.where_in_scope(leaf.events.where)
    return planned(
        Scan("audience", leaf.events.names, span.from_ms, span.to_ms, where, columns_of(where)),
        bound.view,
    )


def _mask(node: Audience, bound: Bound, reader: ShardReader) -> U8:
    if isinstance(node, AllUsers):
        out = np.ones(reader.users, dtype=np.uint8)
        for item in node.items:
            out &= _mask(item, bound, reader)
        return out
    if isinstance(node, AnyUsers):
        out = np.zeros(reader.users, dtype=np.uint8)
        for item in node.items:
            out |= _mask(item, bound, reader)
        return out
    if isinstance(node, NotUsers):
        return _mask(node.item, bound, reader) ^ np.uint8(1)
    if isinstance(node, UserIs):
        return reader.user_mask(node.where)
    assert isinstance(node, Did)
    return _did(node, bound, reader)


def _did(node: Did, bound: Bound, reader: ShardReader) -> U8:
    scan = audience_scan(node, bound)
    counts = _counts(scan, reader)
    v = node.v
    hit: npt.NDArray[np.bool_] = (
        (counts >= v[0]) & (counts <= v[1])
        if isinstance(v, tuple)
        else _COMPARE[node.op](counts, v)
    )
    return (hit ^ node.negated).view(np.uint8)


_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
}


def _counts(scan: Scan, reader: ShardReader) -> U32:
    """Rows of the scan by ordinal, uint32[users].

    A run that lies in the range as a whole, without a filter, says in its offsets how many rows
    each user has: its rows are not read.
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
        counts += count_by_user(
            lanes, scan.from_ms, scan.to_ms, reader.users, cancel=reader.context.flag
        )
    return counts
