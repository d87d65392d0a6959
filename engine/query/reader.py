"""Reading one shard for one query: lanes for kernels, columns, filter masks, audience.

One reader a shard and query, used by one thread at a time. What it reads is charged to the query's
budget, whether it was decoded now or kept from an earlier query, so a query's charge does not
depend on what ran before it. Arrays of kept columns are read-only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query import users as profiles
from zuji.engine.query.filters import Tables, evaluate, fold
from zuji.engine.query.kernels.lane import Lane
from zuji.engine.query.plan import bytes_of
from zuji.engine.query.properties import NAME_COLUMN
from zuji.engine.query.virtual.evaluate import evaluated
from zuji.engine.query.virtual.expression import Joined
from zuji.engine.query.virtual.items import coded
from zuji.engine.storage.segment import shared
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from zuji.engine.query.context import Context
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.plan import RunRef, Scan
    from zuji.engine.query.view import View
    from zuji.engine.query.virtual.items import Coded
    from zuji.engine.types import U8


@dataclass(frozen=True, slots=True)
class Selected:
    """Rows of one run that a scan selected: the lane carries the filter as its mask."""

    ref: RunRef
    lane: Lane

    @property
    def event(self) -> str:
        """Name of the event."""
        return self.ref.run.event


class ShardReader:
    """Decodes rows of one shard. ``at_ms``: properties of users are read as they were at that
    instant, and not as they are now.
    """

    def __init__(
        self, view: View, shard: int, context: Context, *, at_ms: int | None = None
    ) -> None:
        self.view = view
        self.shard = shard
        self.context = context
        self.at_ms = at_ms
        self._profiles: dict[str, Column | None] = {}
        self._lanes: dict[int, Lane] = {}
        self._tables = Tables()
        self._columns: dict[tuple[int, str], Column | None] = {}

    @property
    def users(self) -> int:
        """Number of ordinals of the shard."""
        return self.view.users[self.shard]

    def select(self, scan: Scan) -> list[Selected]:
        """Lanes of the scan's runs. A run in which nothing passes the filter is left out.

        The mask is the filter alone: kernels cut by time themselves.
        """
        selected = []
        for ref in scan.of_shard(self.shard):
            self.context.check()
            lane = self.lane(ref)
            self.context.read(ref.run.rows, bytes_of(ref, scan.columns))
            if scan.where is not None:
                mask = self.mask(ref, scan.where)
                if mask is False:
                    continue
                if mask is not True:
                    lane = Lane(
                        lane.users,
                        lane.offsets,
                        lane.times,
                        lane.base_ms,
                        lane.rank,
                        lane.ties,
                        mask,
                    )
            selected.append(Selected(ref, lane))
        return selected

    def lane(self, ref: RunRef) -> Lane:
        """The run's users, times and ties, decoded once a query."""
        key = id(ref.run)
        lane = self._lanes.get(key)
        if lane is None:
            run = shared(ref.run)
            users, offsets = run.users()
            times = run.times()
            ties = run.ties()
            self.context.charge(users.nbytes + offsets.nbytes + times.nbytes)
            lane = Lane(users, offsets, times, ref.run.base_ms, ref.source.rank, ties)
            self._lanes[key] = lane
        return lane

    def mask(self, ref: RunRef, where: Filter) -> U8 | bool:
        """Rows of a run that pass a filter: uint8[n], or True/False for all or none."""
        folded = fold(where, {NAME_COLUMN: ref.run.event}, now_ms=self.view.now_ms)
        if isinstance(folded, bool):
            return folded
        mask: U8 | bool = evaluate(
            folded,
            ref.run.rows,
            lambda p: self.coded(ref, p),
            now_ms=self.view.now_ms,
            warn=self.context.warn,
            tables=self._tables,
        )
        if isinstance(mask, bool):
            return mask
        if not mask.view(np.bool_).any():
            return False
        return mask

    def coded(self, ref: RunRef, p: str) -> Column | Coded | None:
        """As :meth:`column`; a property of items that a text names stays a function of the text."""
        virtual = self.view.definitions.properties.get(p)
        if virtual is not None and isinstance(virtual.tree, Joined) and p.startswith("event."):
            key = self.column(ref, virtual.tree.key)
            if key is None:
                return None
            if key.kind == Kind.STRING:
                return coded(virtual.tree, key)
        return self.column(ref, p)

    def column(self, ref: RunRef, p: str) -> Column | None:
        """Column ``p`` (as in a query) for the rows of a run; None when no row has it."""
        key = (id(ref.run), p)
        if key not in self._columns:
            column = self._column(ref, p)
            if column is not None:
                self.context.charge(column.values.nbytes)
            self._columns[key] = column
        return self._columns[key]

    def _column(self, ref: RunRef, p: str) -> Column | None:
        run = ref.run
        scope, _, name = p.partition(".")
        virtual = self.view.definitions.properties.get(p)
        if virtual is not None and scope == "event":
            own = partial(self.column, ref)
            return evaluated(virtual.tree, run.rows, own, virtual.kind, self.view.tz)
        if scope == "user":
            lane = self.lane(ref)
            column = self.profile(name)
            return None if column is None else profiles.per_row(column, lane.users, lane.offsets)
        if name == "$name":
            return Column(Kind.STRING, np.zeros(run.rows, np.uint32), None, [run.event])
        if name == "$time":
            return Column(Kind.DATETIME, self.lane(ref).times.astype(np.int64) + run.base_ms)
        if name == "$received":
            return Column(Kind.DATETIME, shared(run).received())
        return shared(run).column(name) if name in run.props else None

    def profile(self, name: str) -> Column | None:
        """User property of each ordinal, None when nobody has it."""
        if self.at_ms is None:
            return profiles.user_column(self.view, self.shard, name)
        if name not in self._profiles:
            self._profiles[name] = profiles.user_column_at(self.view, self.shard, name, self.at_ms)
        return self._profiles[name]

    def as_of(self, ref: RunRef, name: str) -> Column | None:
        """User property of each row's user at the time of the row."""
        return profiles.column_as_of(self.view, self.shard, name, self.lane(ref))

    def user_mask(self, where: Filter) -> U8:
        """Ordinals whose user properties pass a filter, uint8[users]."""
        mask: U8 | bool = evaluate(
            where,
            self.users,
            lambda p: self.profile(p.partition(".")[2]),
            now_ms=self.view.now_ms,
            warn=self.context.warn,
            tables=self._tables,
        )
        if isinstance(mask, bool):
            return np.full(self.users, mask, dtype=np.uint8)
        return mask

    def drop(self) -> None:
        """Forgets decoded columns (a large grouped query between its passes)."""
        self._columns.clear()
