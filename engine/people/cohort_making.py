"""Who is in a cohort: its rule answered at a moment.

A rule is answered as the audience of a query is. A rule of other cohorts alone is set algebra on
their bitmaps: no row and no user is looked at. Functions over a pinned view: thread-safe.
"""

from __future__ import annotations

from dataclasses import replace
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

    def mask(self, shard: int, among: U8 | None = None) -> U8:
        """uint8[users] of a shard: 1 = a member, and one of those ``among`` whom it is asked."""
        at_ms = self.at_ms if self.past else None
        reader = ShardReader(self.view, shard, self.context, at_ms=at_ms)
        found = members(self.rule, self.bound, reader, among)
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
