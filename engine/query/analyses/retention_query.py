"""The retention model's part of the language: start and return, periods, criteria, a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import EventRef, event_from, event_to
from zuji.engine.query.checks import BODY, check_events
from zuji.engine.query.grammar import EVENT_PROPERTY, Written, events_fields, object_of, ref
from zuji.engine.query.model import Envelope, EventPlace, Events, Pick, PropertyPlace, place
from zuji.engine.query.problems import Problem, mapping, one_of, only
from zuji.engine.query.properties import EVENT, check_property

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_PERIODS: Final = 366
RETENTION_AGGREGATES: Final = ("count", "sum", "avg")
RETENTION_GRAINS: Final = ("day", "week", "month")
_COHORTS: Final = {
    "first_in_range": ("for the first time in the range", "期间首次"),
    "first_ever": ("for the first time ever", "有史以来首次"),
    "recurring": ("in each period", "每期都算"),
}
_CRITERIA: Final = {
    "on": ("in each later period", "每一期"),
    "on_or_after": ("in a later period or after it", "当期或之后"),
    "on_or_before": ("by a later period", "当期或之前"),
    "consecutive": ("in every period until then", "连续每期"),
    "bracket": ("in groups of later periods", "各时段"),
}
_METRICS: Final = {
    "count": ("the number", "次数"),
    "sum": ("the sum of {}", "{}之和"),
    "avg": ("the average of {}", "{}的平均值"),
}


class RetentionMeasure(Written):
    """A third metric of each retention cell: ``op`` over ``events`` (and their property ``p``)."""

    __slots__ = ("events", "op", "p")

    def __init__(self, op: str, events: EventRef, p: str | None = None) -> None:
        self.op = op
        self.events = events
        self.p = p

    @property
    def column(self) -> str:
        """Name of the answer's column: ``metric_count``, ``sum(event.amount)``."""
        return "metric_count" if self.p is None else f"{self.op}({self.p})"

    @classmethod
    def read(cls, value: object) -> RetentionMeasure:
        """From ``{"count": {"e", "where"}}`` or ``{"sum": p, "e", "where"}``. Raises Problem."""
        document: dict[str, Any] = mapping(value, "")
        op = next((key for key in RETENTION_AGGREGATES if key in document), None)
        if op is None:
            raise Problem(
                "expected {'count': {'e': …}}, {'sum': 'event.NAME', 'e': …} or "
                "{'avg': 'event.NAME', 'e': …}"
            )
        if op == "count":
            only(document, ("count",), "")
            return cls(op, event_from(mapping(document["count"], ".count"), ".count"))
        p = check_property(document[op], f".{op}", (EVENT,))
        only(document, (op, "e", "where"), "")
        rest = {key: item for key, item in document.items() if key != op}
        return cls(op, event_from(rest, ""), p)

    def write(self) -> object:
        """The JSON value."""
        events = event_to(self.events)
        return {"count": events} if self.p is None else {self.op: self.p, **events}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the form."""
        events = events_fields()
        sums = [
            object_of({op: ref(EVENT_PROPERTY), **events}, [op, "e"])
            for op in RETENTION_AGGREGATES
            if op != "count"
        ]
        return {"anyOf": [object_of({"count": object_of(events, ["e"])}), *sums]}


class Bracket(Struct, frozen=True, forbid_unknown_fields=True):
    """Returned at least once in periods a..b, for each ``[a, b]``."""

    bracket: Annotated[tuple[tuple[int, int], ...], Meta(min_length=1, max_length=100)]


class RetentionBody(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"return_": "return"}
):
    """Body of ``"model": "retention"``. The period is ``time.grain``: day, week or month."""

    start: Events
    return_: Events
    periods: Annotated[int, Meta(ge=1, le=MAX_PERIODS)] = 7
    cohort: Literal["first_in_range", "first_ever", "recurring"] = "first_in_range"
    mode: Literal["calendar", "rolling"] = "calendar"
    criterion: Literal["on", "on_or_after", "on_or_before", "consecutive"] | Bracket = "on"
    churn: bool = False
    measure: RetentionMeasure | None = None


class RetentionQuery(Envelope, frozen=True, kw_only=True, tag="retention"):
    """How many users come back, period by period."""

    model: ClassVar[Literal["retention"]] = "retention"
    body: RetentionBody

    def says(self, words: Words) -> str:
        """``of the users who did “open”, how many did “pay” …``."""
        body = self.body
        start, back = words.events(body.start), words.events(body.return_)
        who = words.of(_COHORTS[body.cohort])
        span = words.number(body.periods, self.time.grain)
        criterion = "bracket" if isinstance(body.criterion, Bracket) else body.criterion
        how = words.of(_CRITERIA[criterion])
        did = words("did not do", "没有做") if body.churn else words("did", "做了")
        text = words(
            f"of the users who did {start} ({who}), how many {did} {back} {how}, up to {span} on",
            f"做了{start}（{who}）的用户中，此后{span}内{how}{did}{back}的人数",
        )
        if body.mode == "rolling":
            text += words(" (periods of 24 hours)", "（按24小时滚动）")
        if body.measure is not None:
            metric = words.events(body.measure.events)
            p = "" if body.measure.p is None else words.property(body.measure.p)
            op = words.of(_METRICS[body.measure.op]).format(p)
            text += words(f", and {op} of {metric}", f"，以及{metric}的{op}")
        return text

    def completed(self) -> Self:
        """The query, checked."""
        _check(self)
        return self

    def event_places(self) -> list[EventPlace]:
        """Start, return and the metric."""
        body = self.body
        found = [place(f"{BODY}.start", body.start), place(f"{BODY}.return", body.return_)]
        if body.measure is not None:
            events = body.measure.events
            found.append(EventPlace(f"{BODY}.measure", events.names, events.where))
        return found

    def property_places(self) -> list[PropertyPlace]:
        """What the metric adds up."""
        measure = self.body.measure
        if measure is None or measure.p is None:
            return []
        return [PropertyPlace(f"{BODY}.measure", measure.p, "number")]


class RetentionPick(Pick, frozen=True, kw_only=True):
    """Users of a cohort (``period`` None), or those of it who returned (or not) in a period."""

    cohort: str
    period: Annotated[int, Meta(ge=0, le=MAX_PERIODS)] | None = None
    churned: bool = False

    def completed(self, query: RetentionQuery) -> Self:
        """The pick, checked."""
        periods = query.body.periods
        if isinstance(query.body.criterion, Bracket):
            periods = len(query.body.criterion.bracket) - 1
        if self.period is not None and self.period > periods:
            raise InvalidQuery(f"the answer has periods 0 to {periods}", "$.period")
        if self.churned and self.period is None:
            raise InvalidQuery("'churned' needs a 'period'", "$.churned")
        return self


def _check(query: RetentionQuery) -> None:
    body, grain = query.body, query.time.grain
    check_events(body.start, f"{BODY}.start")
    check_events(body.return_, f"{BODY}.return")
    if grain not in RETENTION_GRAINS:
        raise InvalidQuery(
            f"retention has periods of a {one_of(RETENTION_GRAINS)}, got {grain!r}",
            "$.time.grain",
        )
    if isinstance(body.criterion, Bracket):
        for i, (first, last) in enumerate(body.criterion.bracket):
            if not 0 <= first <= last <= body.periods:
                raise InvalidQuery(
                    f"expected two periods in order, 0 to {body.periods} ('periods')",
                    f"{BODY}.criterion.bracket[{i}]",
                )
    if body.measure is not None:
        check_events(body.measure.events, f"{BODY}.measure")
