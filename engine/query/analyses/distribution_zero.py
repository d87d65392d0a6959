"""Those of a population who have no number: the zero band.

A population is fixed over the periods (all users, users active in the range), or each period's own
(users active in it). Everybody with a number belongs to it, so the zero band of a period is what
the numbers leave over, and both add up to the population. One object a shard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import structs

from zuji.engine.query.active import ActiveUsers, unpacked
from zuji.engine.query.crowd import everybody
from zuji.engine.query.placed import groups_of_users, lines_of, spread
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of

if TYPE_CHECKING:
    from zuji.engine.query.active import Active
    from zuji.engine.query.analyses.distribution_values import Numbers
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Breakdown, Chosen
    from zuji.engine.types import I64, U8, U32

Zero = Literal["all", "active", "active_in_range"]


def active_scan(bound: Bound) -> Scan:
    """Any event in the range, in the scope; the query's own filter does not count."""
    where, r = bound.where_in_scope(None), bound.range
    columns = columns_of(where)
    scan = Scan("active", None, r.from_ms, r.to_ms, where, columns, index_wanted=where is None)
    return planned(scan, bound.view)


def populations(
    bound: Bound, zero: Zero, edges: I64, numbers: list[Numbers], by: Breakdown
) -> list[Population]:
    """The population of each shard."""
    shards: list[Active | None] = [None] * len(numbers)
    if zero != "all":
        plain = replace(bound, query=structs.replace(bound.query, by=()))
        shards = list(ActiveUsers(plain, active_scan(bound), edges).shards)

    def work(number: int) -> Population:
        mine, active = numbers[number], shards[number]
        users = mine.reader.users
        bound.context.charge(2 * users)
        fixed = None
        if active is None:
            fixed = everybody(bound, mine.reader) if mine.allowed is None else mine.allowed
        elif zero == "active_in_range":
            fixed = unpacked(active.bits(0, len(edges) - 1), users)
        made = Population(mine, active, fixed, len(edges) - 1)
        if by.by:
            made.user, made.group = groups_of_users(by, mine.reader)
            bound.context.charge(made.user.nbytes + made.group.nbytes)
        return made

    return bound.context.map(work, list(range(len(numbers))), light=not by.by)


@dataclass(slots=True)
class Population:
    """One shard. ``fixed`` uint8[users], None: each period has its own. ``user``, ``group``: (user,
    group) pairs by user, of users without a row.
    """

    numbers: Numbers
    active: Active | None
    fixed: U8 | None
    periods: int
    user: U32 | None = None
    group: U32 | None = None

    def left(self, period: int) -> U8:
        """Users of the zero band of a period, uint8[users]."""
        out = self._all(period).copy()
        out[self.numbers.user[self.numbers.period == period]] = 0
        return out

    def counts(self) -> I64:
        """Users of the zero band by period, without breakdown."""
        numbered: I64 = (
            np.array([len(self.numbers.period)], np.int64)
            if self.periods == 1
            else np.bincount(self.numbers.period, minlength=self.periods)
        )
        if self.fixed is not None:
            return int(np.count_nonzero(self.fixed)) - numbered
        assert self.active is not None
        people = [
            int(np.bitwise_count(self.active.bits(p, p + 1)).sum()) for p in range(self.periods)
        ]
        return np.array(people, np.int64) - numbered

    def totals(self, groups: int) -> I64:
        """Users of the zero band by group, summed over periods."""
        assert self.user is not None
        assert self.group is not None
        return self._labelled(self.user, self.group, groups, 1)[:, 0]

    def lines(self, chosen: Chosen) -> I64:
        """Users of the zero band, int64[lines, periods]."""
        assert self.user is not None
        assert self.group is not None
        user, line = lines_of(chosen, self.user, self.group)
        return self._labelled(user, line, chosen.lines, self.periods)

    def of_line(self, chosen: Chosen, line: int) -> U8:
        """Users of a line, as they are grouped without a row, uint8[users]."""
        assert self.user is not None
        assert self.group is not None
        out = np.zeros(self.numbers.reader.users, np.uint8)
        out[self.user[chosen.table[self.group] == line]] = 1
        return out

    def _all(self, period: int) -> U8:
        if self.fixed is not None:
            return self.fixed
        assert self.active is not None
        return unpacked(self.active.bits(period, period + 1), self.numbers.reader.users)

    def _labelled(self, user: U32, label: U32, size: int, columns: int) -> I64:
        """Pairs of the zero band by label and period (``columns`` 1: over all periods)."""
        out = np.zeros((size, columns), np.int64)
        if self.fixed is None:
            for period in range(self.periods):
                self.numbers.reader.context.check()
                mine = label[self.left(period)[user] == 1]
                out[:, period if columns > 1 else 0] += np.bincount(mine, minlength=size)
            return out
        everybody = np.bincount(label[self.fixed[user] == 1], minlength=size)
        out += everybody[:, None] * (1 if columns > 1 else self.periods)
        # Less those who have a number: the pairs of the user of each record.
        bounds = np.searchsorted(user, np.arange(self.numbers.reader.users + 1))
        who = self.numbers.user
        lengths = bounds[who + 1] - bounds[who]
        at = label[spread(bounds[who], lengths)].astype(np.int64)
        if columns > 1:
            at = at * columns + np.repeat(self.numbers.period, lengths)
        out -= np.bincount(at, minlength=size * columns).reshape(size, columns)
        return out
