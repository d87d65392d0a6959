"""The event model's part of the language: series, formulas, and the cells of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.checks import BODY, check_events, check_session
from zuji.engine.query.formula import Expression, letter, parse_formula
from zuji.engine.query.measures import Measure
from zuji.engine.query.model import (
    Envelope,
    EventPlace,
    Events,
    Label,
    Pick,
    PropertyPlace,
    Session,
    Time,
    place,
)
from zuji.engine.query.problems import Problem, one_of, unknown

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_SERIES: Final = 26
CUMULATIVE: Final = ("count", "users", "sessions", "sum", "distinct")
"""Measures of an event series that have a running total."""


class Series(Events, frozen=True, kw_only=True, rename={"as_": "as"}):
    """One line of an event analysis. ``as``: its name in rows and formulas, else its letter."""

    measure: Measure = field(default_factory=Measure)
    as_: Label | None = None
    cumulative: bool = False
    moving_average: Annotated[int, Meta(ge=2, le=366)] | None = None


class Formula(Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """A series computed from others. ``as``: its name in rows, else the expression."""

    expr: str
    as_: Label | None = None


class EventBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "event"``. Parsed: every ``as_`` is set."""

    series: Annotated[tuple[Series, ...], Meta(min_length=1, max_length=MAX_SERIES)]
    formula: Annotated[tuple[Formula, ...], Meta(max_length=MAX_SERIES)] = ()
    session: Session = Session()


class EventQuery(Envelope, frozen=True, kw_only=True, tag="event"):
    """Counts and aggregates of events over time."""

    model: ClassVar[Literal["event"]] = "event"
    body: EventBody

    def says(self, words: Words) -> str:
        """``the number of users of “pay”``."""
        parts = []
        for series in self.body.series:
            measure, events = words.measure(series.measure), words.events(series)
            text = words(f"{measure} of {events}", f"{events}的{measure}")
            if series.cumulative:
                text += words(", added up", "（累计）")
            if series.moving_average is not None:
                n = series.moving_average
                text += words(f", averaged over {n} periods", f"（{n}期移动平均）")
            parts.append(text)
        names = [words.quoted(formula.expr) for formula in self.body.formula]
        if names:
            made = words.joined(names)
            parts.append(words(f"{made} of these", f"由它们算出的{made}"))
        return words.joined(parts)

    def completed(self) -> Self:
        """The query with its series and formulas named."""
        return replace(self, body=_completed(self.body, self.time))

    def event_places(self) -> list[EventPlace]:
        """One a series."""
        return [place(f"{BODY}.series[{i}]", one) for i, one in enumerate(self.body.series)]

    def property_places(self) -> list[PropertyPlace]:
        """What series aggregate."""
        found = []
        for i, series in enumerate(self.body.series):
            op, p = series.measure.op, series.measure.p
            if p is not None:
                found.append(PropertyPlace(f"{BODY}.series[{i}].measure.{op}", p, _wants(op)))
        return found


class EventPick(Pick, frozen=True, kw_only=True):
    """Users of a series in a bucket (None: in the whole range)."""

    series: str | None = None
    bucket: str | None = None

    def completed(self, query: EventQuery) -> Self:
        """The pick with its series named."""
        names = [str(each.as_) for each in query.body.series]
        if self.series is None:
            if len(names) > 1:
                raise InvalidQuery(f"name the series: {one_of(names)}", "$.series")
            return replace(self, series=names[0])
        if self.series in [each.as_ for each in query.body.formula]:
            raise InvalidQuery("a formula counts no users; pick one of its series", "$.series")
        if self.series not in names:
            raise InvalidQuery(unknown("series", self.series, names), "$.series")
        return self


def _wants(op: str) -> Literal["any", "number", "ordered"]:
    if op == "distinct":
        return "any"
    return "ordered" if op in ("min", "max") else "number"


def formulas(body: EventBody) -> tuple[Expression, ...]:
    """The formulas of an event body as trees over its series."""
    names = _series_names(body)
    found = []
    for i, formula in enumerate(body.formula):
        try:
            found.append(parse_formula(formula.expr, names))
        except Problem as problem:
            raise InvalidQuery(problem.text, f"{BODY}.formula[{i}].expr") from None
    return tuple(found)


def _completed(body: EventBody, time: Time) -> EventBody:
    check_session(body.session, f"{BODY}.session")
    series = []
    for i, each in enumerate(body.series):
        path = f"{BODY}.series[{i}]"
        check_events(each, path)
        if each.cumulative and each.measure.op not in CUMULATIVE:
            raise InvalidQuery(
                f"measure {each.measure.op!r} has no running total; {one_of(CUMULATIVE)} have one",
                f"{path}.cumulative",
            )
        if each.cumulative and each.moving_average is not None:
            raise InvalidQuery("a series is cumulative or averaged, not both", path)
        if time.grain == "all" and (each.cumulative or each.moving_average is not None):
            raise InvalidQuery(
                "a running total or moving average needs more than one bucket", "$.time.grain"
            )
        series.append(replace(each, as_=each.as_ or letter(i)))
    formula = tuple(replace(each, as_=each.as_ or each.expr.strip()[:200]) for each in body.formula)
    done = replace(body, series=tuple(series), formula=formula)
    formulas(done)
    names = [str(each.as_) for each in series] + [str(each.as_) for each in formula]
    for i, name in enumerate(names):
        if name in names[:i]:
            kind, at = ("series", i) if i < len(series) else ("formula", i - len(series))
            raise InvalidQuery(
                f"the name {name!r} is taken; give each series and formula its own 'as' "
                "(the default of a series is its letter)",
                f"{BODY}.{kind}[{at}].as",
            )
    return done


def _series_names(body: EventBody) -> dict[str, int]:
    names = {letter(i): i for i in range(len(body.series))}
    for i, each in enumerate(body.series):
        if each.as_ is not None and each.as_.isidentifier():
            names[each.as_] = i
    return names
