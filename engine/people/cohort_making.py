"""Who is in a cohort: its rule answered at a moment, exactly, or counted on some of the users.

A rule is answered as the audience of a query is. A rule of other cohorts alone is set algebra on
their bitmaps: no row and no user is looked at. Functions over a pinned view: thread-safe.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pyroaring import BitMap

from zuji.engine.people.cohort_files import bitmap_of
from zuji.engine.people.cohort_kept import nobody
from zuji.engine.people.cohort_rules import Question
from zuji.engine.people.tags.moment import known_by
from zuji.engine.query.audience import AllUsers, AnyUsers, InCohort, NotUsers
from zuji.engine.query.bind import bind
from zuji.engine.query.crowd import members
from zuji.engine.query.model import Time
from zuji.engine.query.ranges import resolve_moment
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.virtual.expand import expanded

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.people.cohort_kept import KeptCohorts
    from zuji.engine.people.cohort_rules import Span
    from zuji.engine.query.audience import Audience
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.context import Context
    from zuji.engine.query.view import View
    from zuji.engine.types import U8

SINCE_EVER: Final = "1900-01-01"
_SURE: Final = 1.96
"""Standard deviations on both sides that hold 95 % of what chance does."""


class Asked:
    """A rule at a moment of a view. ``at_ms`` None: now."""

    def __init__(
        self, view: View, context: Context, rule: Audience, span: Span, at_ms: int | None = None
    ) -> None:
        self.context = context
        self.past = at_ms is not None and at_ms < view.now_ms
        self.at_ms = at_ms if at_ms is not None else view.now_ms
        self.view = view.at(self.at_ms) if self.past else view
        self.rule: Audience = expanded(rule, view.definitions)
        asked = Time(from_=span.from_ or SINCE_EVER, to=span.to, tz=span.tz, grain="all")
        question = Question(body=self.rule, time=asked)
        self.bound: Bound = bind(question, self.view, context, None)
        if self.past:
            self.bound = replace(self.bound, until_ms=self.at_ms + 1)
            own = self.bound.range
            if own.to_ms > self.at_ms + 1:
                cut = replace(own, to_ms=max(self.at_ms + 1, own.from_ms + 1))
                self.bound = replace(self.bound, range=cut)

    def mask(self, shard: int) -> U8:
        """uint8[users] of a shard: 1 = a member."""
        at_ms = self.at_ms if self.past else None
        reader = ShardReader(self.view, shard, self.context, at_ms=at_ms)
        found = members(self.rule, self.bound, reader)
        assert found is not None
        if self.past:
            found &= known_by(self.view, self.context, shard, self.at_ms + 1)
        return found


def members_by_rule(asked: Asked, kept: KeptCohorts) -> list[BitMap]:
    """Members of each shard."""
    shards = range(asked.view.shards)
    algebra = None if asked.past else set_algebra(asked.rule, asked.view, kept)
    if algebra is not None:
        return [algebra(shard) for shard in shards]
    return asked.context.map(lambda shard: bitmap_of(asked.mask(shard)), shards)


def set_algebra(rule: Audience, view: View, kept: KeptCohorts) -> Callable[[int], BitMap] | None:
    """Members of a shard by operations on bitmaps; None for a rule that asks for more."""
    if isinstance(rule, InCohort):
        cohort = kept.get(rule.name)
        at_ms = None
        if rule.as_of is not None:
            at_ms = resolve_moment(rule.as_of, view.now_ms, view.tz, "$.rule.as_of")
        place = cohort.in_force(at_ms)
        if place is None:
            return lambda _: BitMap()
        return lambda shard: kept.members(view, shard, cohort, place)
    if isinstance(rule, NotUsers):
        inner = set_algebra(rule.item, view, kept)
        if inner is None:
            return None
        return lambda shard: _everybody(view, shard) - inner(shard)
    if not isinstance(rule, AllUsers | AnyUsers):
        return None
    parts: list[Any] = [set_algebra(item, view, kept) for item in rule.items]
    if any(part is None for part in parts):
        return None
    if isinstance(rule, AnyUsers):
        return lambda shard: BitMap.union(BitMap(), *(part(shard) for part in parts))
    if not parts:
        return lambda shard: _everybody(view, shard)
    return lambda shard: BitMap.intersection(*(part(shard) for part in parts))


def _everybody(view: View, shard: int) -> BitMap:
    return BitMap(range(view.users[shard])) - nobody(view, shard)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A size. ``exact``: all users were looked at; else ``share`` of them, chosen by the hash of
    their id, and the size lies in ``low`` to ``high`` in 19 of 20 cases.
    """

    users: int
    of: int
    exact: bool
    share: float
    low: int
    high: int


def estimated(asked: Asked, seconds: float, threads: int) -> Estimate:
    """The size of a rule, exact if all shards can be answered within about ``seconds``, else from
    those that were: a shard holds the users of a part of all hashes. At least one is answered.
    """
    began = time.perf_counter()
    view, shards = asked.view, asked.view.shards
    users = [view.users[shard] - len(view.nobody(shard)) for shard in range(shards)]
    found = looked = done = 0
    while done < shards:
        batch = range(done, min(done + threads, shards))
        counts = asked.context.map(lambda shard: int(asked.mask(shard).sum()), batch)
        found += sum(counts)
        looked += sum(users[shard] for shard in batch)
        done = batch.stop
        spent = time.perf_counter() - began
        if spent + spent / done * len(batch) > seconds:
            break
    total = sum(users)
    if done == shards or looked == total:
        return Estimate(found, total, True, 1.0, found, found)
    if not looked:
        return Estimate(0, total, False, 0.0, 0, total)
    share = looked / total
    p = found / looked
    spread = _SURE * math.sqrt(max(p * (1 - p), 1 / looked) / looked * (1 - share)) * total
    size = p * total
    low = max(found, math.floor(size - spread))
    return Estimate(round(size), total, False, share, low, min(total, math.ceil(size + spread)))
