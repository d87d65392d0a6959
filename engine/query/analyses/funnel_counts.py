"""Counts of plain funnels by group and bucket of the start, from a kernel that makes no records.

For ordered funnels over users that ask for counts alone, with a trend or broken down by a property
of the row of step 1. A user whose rows of one instant only their ties tell apart is counted from
the record of the chain kernel; so is every user of a shard whose runs do not go together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.analyses import funnel_records
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import choose, one_line
from zuji.engine.query.kernels._funnel import funnel_cells
from zuji.engine.query.model import StepRef
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.analyses.funnel_query import FunnelBody
    from zuji.engine.query.analyses.funnel_records import Cells, ShardRows
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Breakdown, Chosen
    from zuji.engine.query.kernels.groups import RowGroups
    from zuji.engine.query.model import By
    from zuji.engine.query.ranges import Buckets
    from zuji.engine.types import F64, I64, U8, U32

    Counted = tuple[U32, I64, I64]
    """Cells that are not empty: group uint32[n], ``bucket * (k + 1) + best level`` int64[n], and
    users int64[n]. A cell may be there twice."""

MAX_CELLS = 1 << 23
"""Cells of one shard; above, records are cheaper than cells that are mostly empty."""


def is_counted(bound: Bound, body: FunnelBody) -> bool:
    """Whether counts by best level are all that is asked, of an ordered funnel over users."""
    return (
        not body.hold
        and not body.exclude
        and body.order == "ordered"
        and body.entry == "any"
        and body.count == "users"
        and body.window.ms is not None
        and not any(step.optional for step in body.steps)
        and not any(m.op.startswith("ttc") or m.p is not None for m in body.measure)
        and all(_of_first_row(bound, by) for by in bound.query.by)
    )


def _of_first_row(bound: Bound, by: By) -> bool:
    first = by.attr == "first" or (isinstance(by.attr, StepRef) and by.attr.step == 1)
    return first and kind_of(bound.view.catalog, by.p) != Kind.LIST


def of_shard(
    bound: Bound, body: FunnelBody, buckets: Buckets | None, by: Breakdown, rows: ShardRows
) -> Counted:
    """Counts of one shard."""
    k = len(body.steps)
    edges = None if buckets is None else buckets.edges
    groups, table = _groups(by, rows)
    size = 1 if groups is None else by.groups.size if table is None else max(1, len(table))
    cells = (size, 1 if buckets is None else len(buckets.labels), k + 1)
    found = None
    if np.prod(cells) <= MAX_CELLS:
        bound.context.charge(8 * int(np.prod(cells)))
        found = funnel_cells(
            rows.lanes,
            rows.steps,
            k,
            body.window.ms or 0,
            body.ties,
            bound.range.from_ms,
            bound.range.to_ms,
            edges,
            groups,
            size,
            cancel=bound.context.flag,
            allowed=rows.allowed,
        )
    if found is None:
        return _from_records(bound, body, buckets, by, rows, rows.allowed)
    counts, leftover = found
    seen, cell = np.nonzero(counts.reshape(size, -1))
    bound.context.charge(32 * len(seen))
    users = counts.reshape(size, -1)[seen, cell]
    part = (seen.astype(np.uint32) if table is None else table[seen], cell, users)
    if not len(leftover):
        return part
    only = np.zeros(int(leftover[-1]) + 1, np.uint8)
    only[leftover] = 1  # they are in the audience
    return _joined([part, _from_records(bound, body, buckets, by, rows, only)])


def _groups(by: Breakdown, rows: ShardRows) -> tuple[list[U32 | None] | None, U32 | None]:
    """Per lane the group of each row that may start, and a table that they still have to go
    through (None = they are groups).
    """
    if not by.by:
        return None, None
    coded: list[RowGroups | None] = []
    for ref, lane, steps in zip(rows.refs, rows.lanes, rows.steps, strict=True):
        if isinstance(steps, int) and not steps & 1:
            coded.append(None)
            continue
        coded.append(by.groups.grouped(lane, by.coded(rows.reader, ref))[2])
    starts = [one for one in coded if one is not None]
    if len(starts) == 1 and starts[0].present is None and starts[0].lut is not None:
        table = starts[0].lut
        if len(table):
            own = [
                None if one is None else one.codes.astype(np.uint32, copy=False) for one in coded
            ]
            return own, table
    return [None if one is None else one.rows() for one in coded], None


def _from_records(
    bound: Bound,
    body: FunnelBody,
    buckets: Buckets | None,
    by: Breakdown,
    rows: ShardRows,
    only: U8 | None,
) -> Counted:
    """The same from the records of the users in ``only``, uint8[]."""
    own = funnel_records.ShardRows(
        rows.reader, only, rows.refs, rows.lanes, rows.steps, rows.exclusions
    )
    hold = funnel_records.Hold(bound, body)
    chains = funnel_records.chains(bound, body, buckets, own, hold, None)
    bound.context.charge(chains.step_row.nbytes * 3)
    records = funnel_records.with_groups(bound, by, own, chains)
    bound.context.charge(48 * len(records.record))
    width = len(body.steps) + 1
    cells = width * (1 if buckets is None else len(buckets.labels))
    cell = records.bucket[records.record].astype(np.int64) * width
    cell += np.bitwise_count(records.reached[records.record])
    bound.context.check()
    key, users = np.unique(records.group.astype(np.int64) * cells + cell, return_counts=True)
    return (key // cells).astype(np.uint32), key % cells, users


def _joined(parts: list[Counted]) -> Counted:
    groups, cells, users = zip(*parts, strict=True)
    return np.concatenate(groups), np.concatenate(cells), np.concatenate(users)


def lines(
    bound: Bound, by: Breakdown, parts: list[Counted], buckets: int, steps: int
) -> tuple[Chosen, list[list[Cells]]]:
    """The groups with the most entries, and the numbers of each line and bucket."""
    context = bound.context
    context.charge(32 * sum(len(part[0]) for part in parts))
    groups, cell, users = _joined(parts)
    chosen = one_line()
    if by.by:
        size = by.groups.size
        context.charge(24 * size)
        entered = np.where(cell % (steps + 1) > 0, users, 0)
        totals: F64 = np.bincount(groups, weights=entered, minlength=size).astype(np.float64)
        chosen = choose(bound, by.groups, totals, np.flatnonzero(totals))
    shape = (chosen.lines, buckets, steps + 1)
    # Sums, their copies, and an object and an array for each line and bucket.
    context.charge(40 * math.prod(shape) + 300 * chosen.lines * buckets)
    line = chosen.table[groups]
    shown = line < chosen.lines
    at = line[shown].astype(np.int64) * math.prod(shape[1:]) + cell[shown]
    levels = np.bincount(at, weights=users[shown], minlength=math.prod(shape))
    levels = levels.astype(np.int64).reshape(shape)  # whole numbers below 2 ** 53
    reached = levels[:, :, :0:-1].cumsum(axis=2)[:, :, ::-1]  # users by step reached
    found = []
    for row in reached:
        context.check()
        found.append([funnel_records.Cells.of_counts(counts) for counts in row])
    return chosen, found
