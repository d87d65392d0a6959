"""A rule as a question, so that it is bound and checked as every query is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zuji.engine.people.tags.rules import Aggregate, Derived, Layers, ScoreTag, Taken, tree_of
from zuji.engine.query.model import Envelope, EventPlace, PropertyPlace, place
from zuji.engine.query.virtual.expression import reads

if TYPE_CHECKING:
    from zuji.engine.people.tags.rules import AnyRule
    from zuji.engine.query.audience import Audience

_RULE = "$.rule"


class Question(Envelope, frozen=True, kw_only=True, tag="tag"):
    """``body``: the rule, or None."""

    model: ClassVar[Literal["tag"]] = "tag"
    body: Any = None

    def event_places(self) -> list[EventPlace]:
        """The events that a number or value is made of."""
        rule: AnyRule = self.body
        if isinstance(rule, Taken | Aggregate):
            return [place(f"{_RULE}.events", rule.events)]
        return [place(f"{_RULE}.event", rule.event)] if isinstance(rule, ScoreTag) else []

    def property_places(self) -> list[PropertyPlace]:
        """What is taken, summed, read."""
        rule: AnyRule = self.body
        if isinstance(rule, Taken):
            return [PropertyPlace(f"{_RULE}.p", rule.p)]
        if isinstance(rule, ScoreTag):
            return [PropertyPlace(f"{_RULE}.monetary", rule.monetary, "number")]
        if isinstance(rule, Derived):
            return [PropertyPlace(f"{_RULE}.as", p) for p in reads(tree_of(rule))]
        if not isinstance(rule, Aggregate) or rule.measure.p is None:
            return []
        op = rule.measure.op
        wants: Any = {"distinct": "any", "min": "ordered", "max": "ordered"}.get(op, "number")
        return [PropertyPlace(f"{_RULE}.measure.{op}", rule.measure.p, wants)]

    def audience_places(self) -> list[tuple[str, Audience]]:
        """The layers."""
        rule: AnyRule = self.body
        if not isinstance(rule, Layers):
            return []
        return [(f"{_RULE}.layers[{i}].if", layer.if_) for i, layer in enumerate(rule.layers)]
