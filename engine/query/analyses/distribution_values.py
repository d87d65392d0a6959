"""The number of each user and period, in one shard, and where each user is read.

Rows, distinct days or hours, sums, means, least and greatest values come from one pass of the
kernel; how many rows users have in all, from the offsets of runs, without reading a row.
Percentiles and distinct values need the rows: those are gathered, and put beside the kernel's
records, which come in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.query.analyses.event_values import distinct_codes
from zuji.engine.query.crowd import allowed, numbers_of
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._bits import add_rows
from zuji.engine.query.kernels._distribution import user_values
from zuji.engine.query.kernels._events import bucketize, expand_users
from zuji.engine.query.placed import groups_at
from zuji.engine.query.reader import ShardReader
from zuji.engine.storage.segment import shared

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Breakdown
    from zuji.engine.query.context import Context
    from zuji.engine.query.kernels.lane import Lane, UserValues
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.ranges import Range
    from zuji.engine.query.reader import Selected
    from zuji.engine.types import F64, I32, I64, U8, U32

RECORD_BYTES = 16
PLACE_BYTES = 8
GATHERED_BYTES = 20
_KERNEL_OPS = {"sum": "sum", "avg": "avg", "min": "min", "max": "max"}
_SPANS = {"active_days": "day", "active_hours": "hour"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured: ``op`` a word or an aggregate of property ``p``; ``quantile`` of one."""

    op: str
    p: str | None
    quantile: float | None

    @property
    def whole(self) -> bool:
        """Whether all numbers are whole, and not below 0."""
        return self.p is None or self.op == "distinct"


@dataclass(slots=True)
class Numbers:
    """One shard. ``user``, ``period``, ``value`` by (user, period), each pair once.

    ``record``, ``group``: (record, group) pairs by record; None without breakdown.
    """

    reader: ShardReader
    allowed: U8 | None
    user: U32
    period: I32
    value: F64
    record: U32 | None
    group: U32 | None


def spans(asked: Asked, r: Range, edges: I64) -> tuple[I64, I32]:
    """Instants that cut the range so that each span lies in one period and is one thing to count,
    and the period of each span.
    """
    cuts = edges
    if asked.op in _SPANS:
        grain: Any = _SPANS[asked.op]
        inner = calendars.edges(r.tz, r.from_ms, r.to_ms, grain, r.week_start)
        inner = inner[(inner > edges[0]) & (inner < edges[-1])]
        cuts = np.union1d(edges, inner)
    at = np.searchsorted(edges, cuts[:-1], side="right") - 1
    return np.ascontiguousarray(cuts, np.int64), at.astype(np.int32)


class Reading:
    """How the shards of one range are read; shared by them."""

    def __init__(self, bound: Bound, asked: Asked, plan: Scan, edges: I64, by: Breakdown) -> None:
        self.bound, self.asked, self.plan, self.edges, self.by = bound, asked, plan, edges, by
        self.cuts, self.periods = spans(asked, bound.range, edges)
        bound.context.charge(16 * len(self.cuts))
        self._dimension = Dimension(asked.p or "", bound.range.tz)

    def shard(self, number: int) -> Numbers:
        """Numbers of one shard, with the groups of their users."""
        context = self.bound.context
        reader = ShardReader(self.bound.view, number, context)
        audience = allowed(self.bound, reader)
        if self._is_offsets(number):
            user, times = self._offsets(reader, audience)
            period = np.zeros(len(user), np.int32)
            return Numbers(reader, audience, user, period, times, None, None)
        selected = reader.select(self.plan)
        gathered = None
        if self.asked.op == "distinct" or self.asked.quantile is not None:
            selected, gathered = self._gathered(reader, selected, audience)
        wanted = [_attr(item) for item in self.by.by]
        found = {attr: self._records(reader, selected, audience, attr) for attr in set(wanted)}
        first = found[wanted[0]] if wanted else self._records(reader, selected, audience, None)
        value = first.value if gathered is None else gathered
        record = group = None
        if wanted:
            places = [(found[attr].lane, found[attr].row) for attr in wanted]
            record, group = groups_at(self.by, reader, [s.ref for s in selected], places)
            context.charge(record.nbytes + group.nbytes)
        return Numbers(reader, audience, first.user, first.period, value, record, group)

    def _is_offsets(self, shard: int) -> bool:
        """Whether rows need not be read: all rows of all runs count, in one period."""
        return (
            self.asked.op == "times"
            and not self.by.by
            and self.plan.where is None
            and len(self.edges) == 2
            and all(ref.inside for ref in self.plan.of_shard(shard))
        )

    def _offsets(self, reader: ShardReader, audience: U8 | None) -> tuple[U32, F64]:
        """Users with rows and how many, ascending: as the offsets of runs say. O(users)."""
        counts: U32 | None = None
        refs = self.plan.of_shard(reader.shard)
        for ref in refs:
            reader.context.check()
            users, offsets = shared(ref.run).users()
            reader.context.charge(users.nbytes + offsets.nbytes)
            reader.context.read(0, users.nbytes + offsets.nbytes)
            if len(refs) == 1:
                times = offsets[1:] - offsets[:-1]
                if audience is None and times.min(initial=1):
                    return users, times.astype(np.float64)
                keep = times > 0
                if audience is not None:
                    keep &= audience[users] == 1
                return users[keep], times[keep].astype(np.float64)
            if counts is None:
                counts = np.zeros(reader.users, np.uint32)
            add_rows(users, offsets, counts)
        if counts is None:
            return np.empty(0, np.uint32), np.empty(0)
        if audience is not None:
            counts *= audience
        found = np.flatnonzero(counts)
        return found.astype(np.uint32), counts[found].astype(np.float64)

    def _records(
        self, reader: ShardReader, selected: list[Selected], audience: U8 | None, place: Any
    ) -> UserValues:
        asked, context = self.asked, self.bound.context
        op: Any = _KERNEL_OPS.get(asked.op, "spans" if asked.op in _SPANS else "rows")
        values = masks = None
        if op in _KERNEL_OPS:
            pairs = [_values(reader, chosen, asked.p or "") for chosen in selected]
            values, masks = [v for v, _ in pairs], [m for _, m in pairs]
        size = RECORD_BYTES + (PLACE_BYTES if place else 0)
        found = user_values(
            [chosen.lane for chosen in selected],
            self.cuts,
            self.periods,
            op,
            values=values,
            value_masks=masks,
            place=place,
            most=room(context, self.bound.view.shards) // size,
            cancel=context.flag,
            allowed=audience,
        )
        context.charge(size * len(found.user))
        return found

    def _gathered(
        self, reader: ShardReader, selected: list[Selected], audience: U8 | None
    ) -> tuple[list[Selected], F64]:
        """Lanes without the rows that have no value, and the number of each user and period."""
        asked, periods = self.asked, len(self.edges) - 1
        keys: list[I64] = []
        values: list[Any] = []
        kept: list[Selected] = []
        for chosen in selected:
            value: Any
            reader.context.check()
            if asked.op == "distinct":
                rows, value, lane = self._codes(reader, chosen)
            else:
                column, mask = _values(reader, chosen, asked.p or "")
                if column is None:
                    continue
                lane = chosen.lane if mask is None else _masked(chosen.lane, mask)
                rows, value = np.arange(lane.rows), column
            kept.append(replace(chosen, lane=lane))
            bucket = bucketize(lane.times, lane.base_ms, self.edges)
            counts = bucket >= 0
            if lane.mask is not None:
                counts &= lane.mask == 1
            if audience is not None:
                counts &= expand_users(lane.users, lane.offsets, audience) == 1
            take = counts[rows]
            rows = rows[take]
            owner = np.repeat(lane.users, np.diff(lane.offsets)).astype(np.int64)
            keys.append(owner[rows] * periods + bucket[rows])
            values.append(value[take])
            reader.context.charge(GATHERED_BYTES * len(rows))
        if not keys:
            return kept, np.empty(0)
        key, number = np.concatenate(keys), np.concatenate(values)
        if asked.quantile is None:
            return kept, _distinct(key, number)
        return kept, _quantiles(key, number.astype(np.float64), asked.quantile)

    def _codes(self, reader: ShardReader, chosen: Selected) -> tuple[Any, U32, Lane]:
        """Row and code of each value, and the lane of the rows that have one."""
        n = chosen.lane.rows
        column = reader.column(chosen.ref, self.asked.p or "")
        codes, offsets = self._dimension.codes(column, n)
        found = distinct_codes(None, codes, offsets)
        has = np.zeros(n, np.uint8)
        if found.ndim == 2:
            rows, value = found[0].astype(np.int64), found[1]
            has[rows] = 1
        else:
            rows = np.flatnonzero(found != 0)
            value = found[rows]
            has[rows] = 1
        return rows, value, _masked(chosen.lane, has)


def room(context: Context, shards: int) -> int:
    """Bytes that one shard of several may take of what the query has left."""
    return max(context.memory_bytes - context.charged, 0) // max(shards, 1)


def _attr(item: Any) -> Any:
    return "last" if item.attr == "last" else "first"


def _masked(lane: Lane, mask: U8) -> Lane:
    own = mask if lane.mask is None else lane.mask & mask
    return replace(lane, mask=np.ascontiguousarray(own))


def _values(reader: ShardReader, chosen: Selected, p: str) -> tuple[F64 | None, U8 | None]:
    """Numbers of the rows of a lane, and which rows have one; None when no row has."""
    return numbers_of(reader.column(chosen.ref, p))


def _distinct(key: I64, code: U32) -> F64:
    """Distinct codes of each key, by key."""
    order = np.lexsort((code, key))
    key, code = key[order], code[order]
    new = np.ones(len(key), np.bool_)
    new[1:] = (key[1:] != key[:-1]) | (code[1:] != code[:-1])
    return np.unique(key[new], return_counts=True)[1].astype(np.float64)


def _quantiles(key: I64, values: F64, q: float) -> F64:
    """Percentile of the values of each key, by key; linear between neighbours (rank q·(n−1))."""
    order = np.lexsort((values, key))
    key, values = key[order], values[order]
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    at = q * (count - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    below, above = values[first + low], values[first + high]
    found: F64 = below + (above - below) * (at - low)
    return found
