"""User properties: users by what their profiles say, and one audience beside another (persona).

Semantics: docs/models/user_property.md. A user is counted by ordinal, events or not; profiles are
read once a shard, as columns with a value an ordinal, now or as they were at an instant. O(users of
the project · properties), and of the events only what makes users active or visible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.analyses.distribution_bands import fitted
from zuji.engine.query.analyses.event_values import picked_line
from zuji.engine.query.analyses.user_property_query import (
    END,
    UserPropertyPick,
    UserPropertyQuery,
)
from zuji.engine.query.analyses.user_property_values import (
    aggregated,
    codes_of,
    joined,
    numbers_of,
    written,
)
from zuji.engine.query.answer import Answer, Model, by_columns
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, one_line
from zuji.engine.query.crowd import allowed, members
from zuji.engine.query.crowd import everybody as project_users
from zuji.engine.query.entries import Entries
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._events import count_by_user
from zuji.engine.query.model import By, Pick
from zuji.engine.query.placed import groups_of_users
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.ranges import resolve_moment
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.texts import texts_of
from zuji.engine.query.users import user_column, user_column_at
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.analyses.user_property_query import UserMeasure, UserPropertyBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.types import I64, U8, U32, Column

EARLIEST_MS, LATEST_MS = -(1 << 60), 1 << 60
PAIR_BYTES = 40
"""Charged for each user and property that is grouped."""


def scans(bound: Bound) -> list[Scan]:
    """Events that make users active, or visible to a caller of limited scope; mostly none."""
    body, r = _body(bound), bound.range
    if body.active is not None:
        where = bound.where(body.active.where)
        columns = columns_of(where)
        scan = Scan("active", body.active.names, r.from_ms, r.to_ms, where, columns)
        return [planned(scan, bound.view)]
    where = bound.where_in_scope(None)
    if where is None:
        return []
    # A row policy is about rows, and a profile needs none: its user counts with a row in sight.
    scan = Scan("visible", None, EARLIEST_MS, LATEST_MS, where, columns_of(where))
    return [planned(scan, bound.view)]


def answer(bound: Bound) -> Answer:
    """Rows: by…, users, share, measures; of a persona: property, value, is_other, users and shares
    of both sides, tgi.
    """
    work = _Work(bound)
    return _counted(work) if work.body.persona is None else _compared(work)


def users(bound: Bound, pick: UserPropertyPick) -> list[U32]:
    """Ordinals of a group, or of a side of a persona."""
    work = _Work(bound)
    if work.body.persona is None:
        if not bound.query.by:
            return [np.flatnonzero(shard.everybody).astype(np.uint32) for shard in work.shards]
        lines = _Lines(work, work.by)
        line = picked_line(lines.bound, lines.groups, lines.choose(), pick)
        return [lines.of(number, line, shard.everybody) for number, shard in enumerate(work.shards)]
    sides = [shard.group if pick.side == "group" else shard.base for shard in work.shards]
    if pick.property is None:
        return [np.flatnonzero(side).astype(np.uint32) for side in sides]
    lines = _Lines(work, tuple(by for by in work.by if by.p == pick.property))
    wanted = Pick(by=None if pick.is_other else {pick.property: pick.value}, is_other=pick.is_other)
    line = picked_line(lines.bound, lines.groups, lines.choose(), wanted)
    return [lines.of(number, line, side) for number, side in enumerate(sides)]


def _body(bound: Bound) -> UserPropertyBody:
    assert isinstance(bound.query, UserPropertyQuery)
    return bound.query.body


# --------------------------------------------------------------------------------------- reading


@dataclass(slots=True)
class _Shard:
    """Columns by property, a value an ordinal, and uint8[users] masks: who counts at all, and who
    is on the sides of a persona (without one: everybody).
    """

    reader: ShardReader
    columns: dict[str, Column | None]
    everybody: U8
    group: U8
    base: U8


class _Work:
    """Profiles and users of all shards, read once. ``by``: the properties that make groups, with
    fitted buckets.
    """

    def __init__(self, bound: Bound) -> None:
        self.bound, self.body, self.context = bound, _body(bound), bound.context
        persona = self.body.persona
        traits = () if persona is None else persona.properties
        self.by = bound.query.by or tuple(By(t.p, None, "now", t.buckets) for t in traits)
        self._check_buckets()
        self.plan = scans(bound)
        self.at_ms = self._moment()
        names = [by.p for by in self.by] + [one.p for one in self.body.measures]
        self.names = list(dict.fromkeys(names))
        self.shards = self.context.map(self._read, list(range(bound.view.shards)))
        self.by = tuple(self._fitted(by) for by in self.by)

    def _check_buckets(self) -> None:
        body, catalog = self.body, self.bound.view.catalog
        places = {p: f"$.body.auto_buckets[{i}]" for i, p in enumerate(body.auto_buckets)}
        if body.persona is not None:
            for i, trait in enumerate(body.persona.properties):
                if trait.buckets is not None:
                    places[trait.p] = f"$.body.persona.properties[{i}].buckets"
        for p, path in places.items():
            kind = kind_of(catalog, p)
            if kind not in (None, Kind.INT, Kind.FLOAT):
                raise InvalidQuery(f"{p} is a {kind.label}; buckets need a number", path)

    def _moment(self) -> int | None:
        as_of, r = self.body.as_of, self.bound.range
        if as_of is None:
            return None
        if as_of == END:
            return r.to_ms - 1
        return resolve_moment(as_of, self.bound.view.now_ms, r.tz, "$.body.as_of")

    def _read(self, shard: int) -> _Shard:
        bound, context = self.bound, self.context
        reader = ShardReader(bound.view, shard, context)
        context.charge(4 * reader.users)
        everybody = project_users(bound, reader)
        for scan in self.plan:
            lanes = [chosen.lane for chosen in reader.select(scan)]
            flag = context.flag
            rows = count_by_user(lanes, scan.from_ms, scan.to_ms, reader.users, cancel=flag)
            everybody = (rows > 0).astype(np.uint8)
        crowd = allowed(bound, reader)
        if crowd is not None:
            everybody &= crowd
        group = base = everybody
        if self.body.persona is not None:
            group = _within(everybody, members(self.body.persona.group, bound, reader))
            base = _within(everybody, members(self.body.persona.base, bound, reader))
        columns: dict[str, Column | None] = {}
        for p in self.names:
            context.check()
            columns[p] = column = self._column(shard, p.partition(".")[2])
            if column is not None:
                context.charge(column.values.nbytes)
                context.read(0, column.values.nbytes)
        return _Shard(reader, columns, everybody, group, base)

    def _column(self, shard: int, name: str) -> Column | None:
        if self.at_ms is None:
            return user_column(self.bound.view, shard, name)
        return user_column_at(self.bound.view, shard, name, self.at_ms)

    def _fitted(self, by: By) -> By:
        """The breakdown with buckets that fit the numbers of those who are counted."""
        if by.p not in self.body.auto_buckets:
            return by
        lows: list[float] = []
        highs: list[float] = []
        whole = True
        for shard in self.shards:
            column = shard.columns[by.p]
            if column is None:
                continue
            keep = (shard.group | shard.base) == 1
            if column.present is not None:
                keep &= column.present == 1
            values = column.values[keep].astype(np.float64)
            if len(values):
                lows.append(float(values.min()))
                highs.append(float(values.max()))
            whole &= column.kind == Kind.INT
        if not lows:
            return by
        edges = fitted(min(lows), max(highs), whole=whole).edges.tolist()
        return msgspec.structs.replace(by, buckets=tuple(edges))

    @property
    def buckets(self) -> dict[str, list[float]]:
        """The edges that were fitted."""
        fit = [by for by in self.by if by.p in self.body.auto_buckets]
        return {by.p: list(by.buckets or ()) for by in fit}


def _within(everybody: U8, audience: U8 | None) -> U8:
    return everybody if audience is None else everybody & audience


class _Lines:
    """Groups of users by some properties, and those of them that are shown."""

    def __init__(self, work: _Work, by: tuple[By, ...]) -> None:
        self.work = work
        query = msgspec.structs.replace(work.bound.query, by=by)
        self.bound = replace(work.bound, query=query)
        self.breakdown = Breakdown(self.bound)
        self.groups = self.breakdown.groups
        self.entries = work.context.map(self._entries, work.shards)
        self.chosen = one_line()
        self.counts: tuple[I64, I64] = np.empty(0, np.int64), np.empty(0, np.int64)

    def _entries(self, shard: _Shard) -> Entries:
        self.work.context.charge(PAIR_BYTES * len(self.breakdown.by) * shard.reader.users)
        owner, group = groups_of_users(self.breakdown, shard.reader, shard.columns)
        keep = (shard.group | shard.base)[owner] == 1
        return Entries(owner[keep], group[keep])

    def choose(self) -> Chosen:
        """The groups with the most users; of a persona with the most of ``group``, then of
        ``base``.
        """
        size, most = self.groups.size, 0
        self.work.context.charge(64 * size)
        counts = np.zeros(4 * size, np.int64)  # by the side: 1 group, 2 base, 3 both
        for shard, entries in zip(self.work.shards, self.entries, strict=True):
            sides = shard.group + np.uint8(2) * shard.base
            at = entries.groups.astype(np.int64) * 4 + sides[entries.users]
            counts += np.bincount(at, minlength=4 * size)
            most += int(shard.base.sum())
        _, own, others, both = counts.reshape(size, 4).T
        self.counts = own + both, others + both
        group, base = self.counts
        seen = np.flatnonzero(group + base)
        self.chosen = choose(self.bound, self.groups, group.astype(float) * (most + 1) + base, seen)
        return self.chosen

    def pairs(self, number: int, mask: U8) -> tuple[U32, I64]:
        """(ordinal, line) of a shard's users in ``mask``."""
        entries = self.entries[number]
        _, lines, count = entries.lines(self.chosen, len(mask))
        keep = (lines < count) & (mask[entries.users] == 1)
        return entries.users[keep], lines[keep].astype(np.int64)

    def sizes(self, side: int) -> list[int]:
        """Users of each line, on the side ``group`` (0) or ``base`` (1)."""
        shown = self.chosen.shown
        found = [int(n) for n in self.counts[side][shown]]
        if self.chosen.other:
            # A user of several of its groups is in the rest once.
            masks = [(shard.group, shard.base)[side] for shard in self.work.shards]
            rest = (self.of(number, len(shown), mask) for number, mask in enumerate(masks))
            found.append(sum(len(users) for users in rest))
        return found

    def of(self, number: int, line: int, mask: U8) -> U32:
        """Ordinals of a line (-1: of any) in ``mask``."""
        if line >= 0:
            mask = mask & self.entries[number].of_line(self.chosen, line, len(mask))
        return np.flatnonzero(mask).astype(np.uint32)


# --------------------------------------------------------------------------------------- answers


def _counted(work: _Work) -> Answer:
    bound, measures = work.bound, work.body.measures
    masks = [shard.everybody for shard in work.shards]
    own = [ColumnInfo(one.column, _type(work, one), None) for one in measures]
    everybody = sum(int(mask.sum()) for mask in masks)
    alone = [np.flatnonzero(mask).astype(np.uint32) for mask in masks]
    together = [(who, np.zeros(len(who), np.int64)) for who in alone]
    overall = [everybody, *(_measured(work, one, together, 1)[0] for one in measures)]
    totals = {"columns": ["users", *(one.column for one in measures)], "rows": [overall]}
    told = {**totals, "buckets": work.buckets}
    counts = [ColumnInfo("users", "int64", "users"), ColumnInfo("share", "float64", "ratio"), *own]
    if not bound.query.by:
        share = _ratio(everybody, everybody)
        return Answer(counts, [[everybody, share, *overall[1:]]], told)
    lines = _Lines(work, work.by)
    chosen = lines.choose()
    bound.context.charge(100 * chosen.lines * (2 + len(measures)))
    sizes = lines.sizes(0)
    pairs = [lines.pairs(number, mask) for number, mask in enumerate(masks)] if measures else []
    columns = [_measured(work, one, pairs, chosen.lines) for one in measures]
    rows = [
        [
            *line_values(lines.bound, lines.groups, chosen, g),
            size,
            _ratio(size, everybody),
            *(column[g] for column in columns),
        ]
        for g, size in enumerate(sizes)
    ]
    return Answer([*by_columns(lines.bound), *counts], rows, told)


def _type(work: _Work, measure: UserMeasure) -> str:
    kind = kind_of(work.bound.view.catalog, measure.p)
    if measure.op == "distinct":
        return "int64"
    if measure.op in ("min", "max") and kind in (Kind.DATETIME, Kind.INT, Kind.BOOL):
        return "datetime" if kind == Kind.DATETIME else "int64"
    return "float64"


def _measured(
    work: _Work, measure: UserMeasure, pairs: list[tuple[U32, I64]], lines: int
) -> list[Any]:
    """The measure of each line over its (ordinal, line) pairs."""
    bound, p = work.bound, measure.p
    kind = kind_of(bound.view.catalog, p)
    texts = kind in (Kind.STRING, Kind.LIST)
    dimension = Dimension(p, bound.range.tz, None, texts_of(bound.view, p)) if texts else None
    parts = []
    for shard, (who, line) in zip(work.shards, pairs, strict=True):
        work.context.charge(32 * len(who))
        column = shard.columns[p]
        if dimension is None:
            parts.append(numbers_of(column, who, line))
        else:
            parts.append(codes_of(dimension, column, shard.reader.users, who, line))
    instants = kind == Kind.DATETIME and measure.op in ("min", "max")
    moment = written(bound.range.tz) if instants else None
    return aggregated(measure.op, joined(parts), lines, moment, work.context.check)


def _compared(work: _Work) -> Answer:
    columns = [
        ColumnInfo("property", "string", None),
        ColumnInfo("value", "any", None),
        ColumnInfo("is_other", "bool", None),
        ColumnInfo("group_users", "int64", "users"),
        ColumnInfo("group_share", "float64", "ratio"),
        ColumnInfo("base_users", "int64", "users"),
        ColumnInfo("base_share", "float64", "ratio"),
        ColumnInfo("tgi", "float64", None),
    ]
    masks = [shard.group for shard in work.shards], [shard.base for shard in work.shards]
    group, base = (sum(int(mask.sum()) for mask in side) for side in masks)
    rows: list[list[Any]] = []
    for by in work.by:
        lines = _Lines(work, (by,))
        chosen = lines.choose()
        work.context.charge(200 * chosen.lines)
        for line, (mine, theirs) in enumerate(zip(lines.sizes(0), lines.sizes(1), strict=True)):
            value, is_other = line_values(lines.bound, lines.groups, chosen, line)
            cells = [mine, _ratio(mine, group), theirs, _ratio(theirs, base)]
            rows.append([by.p, value, is_other, *cells, _tgi(mine, group, theirs, base)])
    totals = {"columns": ["group_users", "base_users"], "rows": [[group, base]]}
    return Answer(columns, rows, {**totals, "buckets": work.buckets})


def _tgi(mine: int, group: int, theirs: int, base: int) -> float | None:
    """Share in the group ÷ share in the base × 100, divided once."""
    return 100 * mine * base / (group * theirs) if group and theirs else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


MODEL = Model(UserPropertyQuery, UserPropertyPick, scans, answer, users)
