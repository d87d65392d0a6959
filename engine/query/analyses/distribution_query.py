"""The distribution model's part of the language: what a user's number is, bands, populations."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct, field

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.checks import BODY, check_events
from zuji.engine.query.measures import Aggregated
from zuji.engine.query.model import (
    BucketEdges,
    Envelope,
    EventPlace,
    Events,
    Label,
    Pick,
    PropertyPlace,
    StepRef,
    place,
)

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

_NUMBERS: Final = {
    "times": ("the number of times", "次数"),
    "active_days": ("the number of active days", "活跃天数"),
    "active_hours": ("the number of active hours", "活跃小时数"),
}
NUMBER_WORDS: Final = ("times", "active_days", "active_hours")


class NumberOfUser(Aggregated):
    """The number of a user and period: ``op`` is a word, or an aggregate of the property ``p``."""

    __slots__ = ("op", "p")
    WORDS = NUMBER_WORDS
    CHOICES = (*NUMBER_WORDS, {"sum": "event.NAME"})

    def __init__(self, op: str = "times", p: str | None = None) -> None:
        self.op = op
        self.p = p


class BandWidth(Struct, frozen=True, forbid_unknown_fields=True):
    """Bands of one width, from multiples of it."""

    width: Annotated[float, Meta(gt=0)]


class DistributionBody(Events, frozen=True, kw_only=True):
    """Body of ``"model": "distribution"``. The period is ``time.grain``."""

    measure: NumberOfUser = field(default_factory=NumberOfUser)
    buckets: Literal["auto"] | BandWidth | BucketEdges = "auto"
    zero: Literal["all", "active", "active_in_range"] | None = None


class DistributionQuery(Envelope, frozen=True, kw_only=True, tag="distribution"):
    """Users by how often, on how many days or how much, period by period."""

    model: ClassVar[Literal["distribution"]] = "distribution"
    body: DistributionBody

    @property
    def steps(self) -> int:
        """A breakdown is read at a user's first row of the period, or the last one."""
        return 1

    def says(self, words: Words) -> str:
        """``how many users did “pay” how many times``."""
        body = self.body
        events, measure = words.events(body), body.measure
        if measure.op in _NUMBERS:
            number = words.of(_NUMBERS[measure.op])
        else:
            number = words.measure(measure)
        text = words(f"users by {number} of {events}", f"按{events}的{number}看用户分布")
        if body.zero is not None:
            text += words(f", with those who have none ({body.zero})", "（含没有做过的用户）")
        return text

    def completed(self) -> Self:
        """The query, checked."""
        body = self.body
        check_events(body, BODY)
        for i, by in enumerate(self.by):
            if isinstance(by.attr, StepRef):
                raise InvalidQuery(
                    "a distribution has no steps; 'first' or 'last' row of the period",
                    f"$.by[{i}].attr",
                )
        edges = body.buckets
        if isinstance(edges, tuple) and any(a >= b for a, b in pairwise(edges)):
            raise InvalidQuery("bucket edges must ascend", f"{BODY}.buckets")
        return self

    def event_places(self) -> list[EventPlace]:
        """The counted rows."""
        return [place(BODY, self.body)]

    def property_places(self) -> list[PropertyPlace]:
        """What is measured."""
        measure = self.body.measure
        if measure.p is None:
            return []
        wants: Literal["any", "number"] = "any" if measure.op == "distinct" else "number"
        return [PropertyPlace(f"{BODY}.measure.{measure.op}", measure.p, wants)]


class DistributionPick(Pick, frozen=True, kw_only=True):
    """Users of a band or of the zero band in a bucket; with neither, all who have a number."""

    bucket: str | None = None
    band: Label | None = None
    is_zero: bool = False

    def completed(self, query: DistributionQuery) -> Self:
        """The pick, checked."""
        if self.is_zero and query.body.zero is None:
            raise InvalidQuery("the query has no zero band", "$.is_zero")
        if self.is_zero and self.band is not None:
            raise InvalidQuery("the zero band has no name", "$.band")
        return self
