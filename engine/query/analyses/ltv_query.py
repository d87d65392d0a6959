"""The lifetime value model's part of the language: how users enter, what is worth how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.checks import BODY, check_events, check_named, check_value_of_event
from zuji.engine.query.model import Envelope, EventPlace, Events, Pick, PropertyPlace, place
from zuji.engine.query.problems import one_of
from zuji.engine.query.properties import USER

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_PERIODS: Final = 366
MAX_VALUES: Final = 30
LTV_GRAINS: Final = ("day", "week", "month")


class ValueEvents(Events, frozen=True, kw_only=True):
    """Events that are worth something: ``p`` of each, or 1 without ``p``; ``sign`` -1: refunds."""

    p: str | None = None
    sign: Literal[1, -1] = 1


class LtvBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "ltv"``. The period is ``time.grain``: day, week or month.

    Users enter by their first ``start`` row, or at the instant that the user property ``date``
    names; one of them is given. Parsed: ``cohort`` is None with ``date``, and only then.
    """

    values: Annotated[tuple[ValueEvents, ...], Meta(min_length=1, max_length=MAX_VALUES)]
    start: Events | None = None
    date: str | None = None
    cohort: Literal["first_in_range", "first_ever"] | None = None
    periods: Annotated[int, Meta(ge=1, le=MAX_PERIODS)] = 30
    mode: Literal["calendar", "rolling"] = "calendar"


class LtvQuery(Envelope, frozen=True, kw_only=True, tag="ltv"):
    """What users are worth, period by period after they came."""

    model: ClassVar[Literal["ltv"]] = "ltv"
    body: LtvBody

    def says(self, words: Words) -> str:
        """``what users who first did “open” are worth over 30 days``."""
        body = self.body
        worth = words.joined(
            [
                ("-" if one.sign < 0 else "")
                + words.events(one)
                + (
                    ""
                    if one.p is None
                    else words(" (", "（") + words.property(one.p) + words(")", "）")
                )
                for one in body.values
            ]
        )
        if body.start is not None:
            start = words.events(body.start)
            who = words(f"users who first did {start}", f"首次做{start}的用户")
        else:
            p = words.property(body.date or "")
            who = words(f"users by the date of {p}", f"按{p}分批的用户")
        span = words.number(body.periods, self.time.grain)
        return words(
            f"what {who} are worth over {span}, by {worth}", f"{who}在{span}内的价值（{worth}）"
        )

    def completed(self) -> Self:
        """The query, checked; users enter by the first start of the range unless told otherwise."""
        _check(self)
        body = self.body
        if body.start is not None and body.cohort is None:
            body = replace(body, cohort="first_in_range")
        return replace(self, body=body)

    def event_places(self) -> list[EventPlace]:
        """Start and values."""
        values = [place(f"{BODY}.values[{i}]", v) for i, v in enumerate(self.body.values)]
        start = self.body.start
        return values if start is None else [place(f"{BODY}.start", start), *values]

    def property_places(self) -> list[PropertyPlace]:
        """The date, and what is added up."""
        body = self.body
        found = [
            PropertyPlace(f"{BODY}.values[{i}].p", v.p, "number")
            for i, v in enumerate(body.values)
            if v.p is not None
        ]
        return found if body.date is None else [PropertyPlace(f"{BODY}.date", body.date), *found]


class LtvPick(Pick, frozen=True, kw_only=True):
    """Users of a cohort (``period`` None), or those of it who paid in a period, or (``so_far``) in
    any up to it.
    """

    cohort: str
    period: Annotated[int, Meta(ge=0, le=MAX_PERIODS)] | None = None
    so_far: bool = False

    def completed(self, query: LtvQuery) -> Self:
        """The pick, checked."""
        if self.period is not None and self.period > query.body.periods:
            raise InvalidQuery(f"the answer has periods 0 to {query.body.periods}", "$.period")
        if self.so_far and self.period is None:
            raise InvalidQuery("'so_far' needs a 'period'", "$.so_far")
        return self


def _check(query: LtvQuery) -> None:
    body, grain = query.body, query.time.grain
    if grain not in LTV_GRAINS:
        raise InvalidQuery(
            f"lifetime value has periods of a {one_of(LTV_GRAINS)}, got {grain!r}", "$.time.grain"
        )
    if (body.start is None) == (body.date is None):
        raise InvalidQuery("users enter by 'start' or by 'date': give one of them", BODY)
    if body.start is not None:
        check_events(body.start, f"{BODY}.start")
    for i, value in enumerate(body.values):
        check_events(value, f"{BODY}.values[{i}]")
        if value.p is not None:
            check_value_of_event(value.p, f"{BODY}.values[{i}].p", "added up")
    if body.date is None:
        return
    check_named(body.date, f"{BODY}.date", (USER,))
    if body.cohort is not None:
        raise InvalidQuery("'cohort' says which 'start' counts; a date is one", f"{BODY}.cohort")
    for i, by in enumerate(query.by):
        if not by.p.startswith(f"{USER}."):
            raise InvalidQuery(
                f"users who enter by a date have no event to read {by.p!r} at", f"$.by[{i}].p"
            )
        if by.as_of == "event":
            raise InvalidQuery("users who enter by a date have no event", f"$.by[{i}].as_of")
