"""The funnel model's part of the language: steps, windows, exclusions and what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.analyses.funnel_measures import FUNNEL_ALWAYS, FunnelMeasure
from zuji.engine.query.checks import BODY, check_events, check_session, check_value_of_event
from zuji.engine.query.durations import UNIT_MS
from zuji.engine.query.model import (
    MAX_STEPS,
    MAX_WINDOW_MS,
    Envelope,
    EventPlace,
    Events,
    Label,
    Pick,
    PropertyPlace,
    Session,
    StepNumber,
    place,
)

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_EXCLUSIONS: Final = 30
MAX_HOLD: Final = 5
_COUNTED: Final = {
    "users": ("users", "用户数"),
    "entries": ("attempts", "尝试次数"),
    "sessions": ("sessions", "会话数"),
}
_WINDOWS: Final = {
    "same_day": ("on the same day", "在同一天内"),
    "session": ("within one session", "在同一会话内"),
}
_ORDERS: Final = {
    "ordered": ("in this order", "依次"),
    "strict": ("one right after the other", "紧接着依次"),
    "any_order": ("in any order", "不分先后"),
}


class Step(Events, frozen=True, kw_only=True, rename={"as_": "as"}):
    """A step of a funnel; ``as``: its label, else the event's name."""

    as_: Label | None = None
    optional: bool = False

    @property
    def label(self) -> str:
        """Text of the ``label`` column."""
        return self.as_ or self.title


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """How long after step 1 the last step may come. ``same_day`` and ``session`` have ``n`` 1."""

    n: Annotated[int, Meta(ge=1)] = 1
    unit: Literal["second", "minute", "hour", "day", "week", "same_day", "session"] = "day"

    @property
    def ms(self) -> int | None:
        """Length, inclusive; None for ``same_day`` and ``session``."""
        unit = UNIT_MS.get(self.unit)
        return None if unit is None else self.n * unit


class HoldStep(Struct, frozen=True, forbid_unknown_fields=True):
    """The name that a held property has at one step."""

    step: StepNumber
    p: str


class Exclusion(Events, frozen=True, kw_only=True):
    """Events that break a chain between two steps (1-based). Parsed: ``between`` is set."""

    between: tuple[StepNumber, StepNumber] | None = None
    on: Literal["drop", "remove"] = "drop"


class FunnelBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "funnel"``."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=2, max_length=MAX_STEPS)]
    window: Window = Window(7, "day")
    order: Literal["ordered", "strict", "any_order"] = "ordered"
    entry: Literal["any", "first"] = "any"
    count: Literal["users", "entries", "sessions"] = "users"
    ties: Literal["sequence", "any", "strict"] = "sequence"
    hold: Annotated[tuple[str | tuple[HoldStep, ...], ...], Meta(max_length=MAX_HOLD)] = ()
    exclude: Annotated[tuple[Exclusion, ...], Meta(max_length=MAX_EXCLUSIONS)] = ()
    measure: Annotated[tuple[FunnelMeasure, ...], Meta(max_length=20)] = field(
        default_factory=lambda: tuple(FunnelMeasure(word) for word in FUNNEL_ALWAYS)
    )
    trend: bool = False
    session: Session = Session()

    @property
    def required(self) -> tuple[int, ...]:
        """0-based numbers of the steps that are not optional."""
        return tuple(i for i, step in enumerate(self.steps) if not step.optional)

    @property
    def held(self) -> tuple[tuple[str | None, ...], ...]:
        """Per held item the property of each step; None: the step (optional) is not named."""
        return tuple(self._held(item) for item in self.hold)

    def _held(self, item: str | tuple[HoldStep, ...]) -> tuple[str | None, ...]:
        if isinstance(item, str):
            return (item,) * len(self.steps)
        named = {at.step: at.p for at in item}
        return tuple(named.get(i + 1) for i in range(len(self.steps)))


class FunnelQuery(Envelope, frozen=True, kw_only=True, tag="funnel"):
    """How far users come through a sequence of steps."""

    model: ClassVar[Literal["funnel"]] = "funnel"
    body: FunnelBody

    @property
    def steps(self) -> int:
        """Steps at which a breakdown may be read."""
        return len(self.body.steps)

    def says(self, words: Words) -> str:
        """``how many users come from “view” through “apply” to “pay” within 7 days``."""
        body = self.body
        whom = words.of(_COUNTED[body.count])
        steps = [
            words.events(step) + (words(" (optional)", "（可选）") if step.optional else "")
            for step in body.steps
        ]
        way = words(" → ", " → ").join(steps)
        window = body.window
        if window.ms is None:
            within = words.of(_WINDOWS[window.unit])
        else:
            length = words.number(window.n, window.unit)
            within = words(f"within {length}", f"在{length}内")
        order = words.of(_ORDERS[body.order])
        text = words(
            f"how many {whom} come through {way} {within}, {order}",
            f"{within}{order}完成{way}的{whom}",
        )
        if body.entry == "first":
            text += words(", from their first entry alone", "（只看首次进入）")
        for item in body.hold:
            names = [item] if isinstance(item, str) else [at.p for at in item]
            held = words.joined([words.property(p) for p in dict.fromkeys(names)])
            text += words(f", with one value of {held} along the way", f"，各步{held}相同")
        sums = [words.property(one.p) for one in body.measure if one.p is not None]
        if sums:
            added = words.joined(list(dict.fromkeys(sums)))
            text += words(f", with the sum of {added}", f"，以及{added}之和")
        for each in body.exclude:
            first, last = each.between or (1, len(body.steps))
            events = words.events(each)
            text += words(
                f", without {events} between steps {first} and {last}",
                f"，第{first}步到第{last}步之间没有{events}",
            )
        return text

    def completed(self) -> Self:
        """The query with the steps of its exclusions named."""
        return replace(self, body=_completed(self.body))

    def event_places(self) -> list[EventPlace]:
        """One a step and exclusion."""
        steps = [place(f"{BODY}.steps[{i}]", one) for i, one in enumerate(self.body.steps)]
        return steps + [
            place(f"{BODY}.exclude[{i}]", one) for i, one in enumerate(self.body.exclude)
        ]

    def property_places(self) -> list[PropertyPlace]:
        """What is summed, and what is held."""
        found = [
            PropertyPlace(f"{BODY}.measure[{i}]", measure.p, "number")
            for i, measure in enumerate(self.body.measure)
            if measure.p is not None
        ]
        for i, held in enumerate(self.body.held):
            found += [PropertyPlace(f"{BODY}.hold[{i}]", p) for p in held if p is not None]
        return found


class FunnelPick(Pick, frozen=True, kw_only=True):
    """Users who reached a step, or (``dropped``) reached the step before it and not this one."""

    step: StepNumber
    dropped: bool = False
    bucket: str | None = None

    def completed(self, query: FunnelQuery) -> Self:
        """The pick, checked."""
        body = query.body
        if self.step > len(body.steps):
            raise InvalidQuery(f"the funnel has {len(body.steps)} steps", "$.step")
        if self.dropped and self.step == 1:
            raise InvalidQuery("nobody drops off before step 1", "$.dropped")
        if self.bucket is not None and not body.trend:
            raise InvalidQuery("the funnel has no 'trend', so no buckets", "$.bucket")
        return self


def _completed(body: FunnelBody) -> FunnelBody:
    for i, step in enumerate(body.steps):
        check_events(step, f"{BODY}.steps[{i}]")
    if body.steps[0].optional:
        raise InvalidQuery("the first step cannot be optional", f"{BODY}.steps[0].optional")
    if len(body.required) < 2:
        raise InvalidQuery("a funnel has at least 2 steps that are not optional", f"{BODY}.steps")
    check_session(body.session, f"{BODY}.session")
    _window(body)
    if body.order == "any_order":
        _any_order(body)
    _hold(body)
    last = len(body.steps)
    for i, each in enumerate(body.measure):
        if each.step is not None and each.step > last:
            raise InvalidQuery(f"the funnel has {last} steps", f"{BODY}.measure[{i}].step")
    columns = [each.column for each in body.measure]
    if len(set(columns)) != len(columns):
        raise InvalidQuery("a measure stands twice", f"{BODY}.measure")
    return _exclusions(body)


def _window(body: FunnelBody) -> None:
    window, path = body.window, f"{BODY}.window"
    if window.ms is None and window.n != 1:
        raise InvalidQuery(f"a window of unit {window.unit!r} has no 'n'", f"{path}.n")
    if window.ms is not None and window.ms > MAX_WINDOW_MS:
        raise InvalidQuery("a conversion window is at most 366 days", path)


def _any_order(body: FunnelBody) -> None:
    for i, step in enumerate(body.steps):
        if step.optional:
            raise InvalidQuery(
                "optional steps need an order: 'ordered' or 'strict'",
                f"{BODY}.steps[{i}].optional",
            )
    if body.exclude:
        raise InvalidQuery(
            "an exclusion lies between two steps, so it needs an order: 'ordered' or 'strict'",
            f"{BODY}.exclude",
        )


def _hold(body: FunnelBody) -> None:
    for i, item in enumerate(body.hold):
        path = f"{BODY}.hold[{i}]"
        if isinstance(item, str):
            check_value_of_event(item, path, "held")
            continue
        for j, at in enumerate(item):
            check_value_of_event(at.p, f"{path}[{j}].p", "held")
            if at.step > len(body.steps):
                raise InvalidQuery(f"the funnel has {len(body.steps)} steps", f"{path}[{j}].step")
            if at.step in [before.step for before in item[:j]]:
                raise InvalidQuery(f"step {at.step} stands twice", f"{path}[{j}].step")
        missing = {k + 1 for k in body.required} - {at.step for at in item}
        if missing:
            raise InvalidQuery(
                f"name the property of every step; missing: step {min(missing)}", path
            )


def _exclusions(body: FunnelBody) -> FunnelBody:
    done = []
    ends = (1, body.required[-1] + 1)
    for i, each in enumerate(body.exclude):
        path = f"{BODY}.exclude[{i}]"
        check_events(each, path)
        first, last = each.between or ends
        if not first < last <= len(body.steps):
            raise InvalidQuery(
                f"expected two steps in order, 1 to {len(body.steps)}", f"{path}.between"
            )
        for step in (first, last):
            if body.steps[step - 1].optional:
                raise InvalidQuery(
                    f"step {step} is optional; an exclusion lies between required steps",
                    f"{path}.between",
                )
        done.append(replace(each, between=(first, last)))
    return replace(body, exclude=tuple(done))
