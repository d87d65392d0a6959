"""Checks of a query that look at several fields, and the defaults that depend on others.

Filled in: names of series and formulas, ``as_of`` and ``attr`` of breakdowns, ``between`` of
exclusions, the series of a pick. One function a model, raising InvalidQuery with the JSON path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import check_names
from zuji.engine.query.formula import Expression, letter, parse_formula
from zuji.engine.query.measures import CUMULATIVE
from zuji.engine.query.model import (
    MAX_WINDOW_MS,
    AnyPick,
    Bracket,
    By,
    EventBody,
    EventPick,
    EventQuery,
    Events,
    FunnelBody,
    FunnelPick,
    FunnelQuery,
    Query,
    RetentionBody,
    RetentionPick,
    RetentionQuery,
    Session,
    StepRef,
    Time,
)
from zuji.engine.query.problems import Problem, one_of, unknown
from zuji.engine.query.properties import (
    EVENT,
    NAME_COLUMN,
    RECEIVED_COLUMN,
    TIME_COLUMN,
    check_property,
)
from zuji.engine.query.ranges import check_range_text, check_shift

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BODY: Final = "$.body"
RETENTION_GRAINS: Final = ("day", "week", "month")


def complete(query: Query) -> Query:
    """The query with every default filled in. Raises InvalidQuery."""
    if not query.project:
        raise InvalidQuery("the project's name is empty", "$.project")
    _time(query.time)
    if query.compare is not None:
        _located(check_shift, query.compare.shift, "$.compare.shift")
    steps = len(query.body.steps) if isinstance(query, FunnelQuery) else 0
    by = tuple(_by(each, f"$.by[{i}]", steps) for i, each in enumerate(query.by))
    _distinct([each.p for each in by], "$.by", "p")
    if isinstance(query, EventQuery):
        return replace(query, by=by, body=_event(query.body, query.time))
    if isinstance(query, FunnelQuery):
        return replace(query, by=by, body=_funnel(query.body))
    return replace(query, by=by, body=_retention(query.body, query.time))


def formulas(body: EventBody) -> tuple[Expression, ...]:
    """The formulas of an event body as trees over its series."""
    names = _series_names(body)
    found = []
    for i, formula in enumerate(body.formula):
        try:
            found.append(parse_formula(formula.expr, names))
        except Problem as problem:
            raise InvalidQuery(problem.text, f"{_BODY}.formula[{i}].expr") from None
    return tuple(found)


# ------------------------------------------------------------------------------------ envelope


def _located(check: Callable[[str], object], text: str, path: str) -> None:
    try:
        check(text)
    except Problem as problem:
        raise InvalidQuery(problem.text, path + problem.path) from None
    except ValueError as error:
        raise InvalidQuery(str(error), path) from None


def _distinct(names: list[str], path: str, field: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InvalidQuery(f"{name!r} stands twice", f"{path}[{i}].{field}")


def _time(time: Time) -> None:
    _located(check_range_text, time.from_, "$.time.from")
    _located(check_range_text, time.to, "$.time.to")
    if time.tz is not None:
        _located(calendars.zone, time.tz, "$.time.tz")
    dates = _DATE.fullmatch(time.from_) and _DATE.fullmatch(time.to)
    if dates and time.to < time.from_:
        raise InvalidQuery(f"{time.to!r} lies before 'from' ({time.from_!r})", "$.time.to")


def _by(by: By, path: str, steps: int) -> By:
    _located(check_property, by.p, f"{path}.p")
    if by.p in (TIME_COLUMN, RECEIVED_COLUMN) and by.buckets is None:
        raise InvalidQuery(
            f"{by.p!r} has a value a row; use 'time.grain', or give 'buckets'", f"{path}.p"
        )
    if by.buckets is not None:
        if any(a >= b for a, b in zip(by.buckets, by.buckets[1:], strict=False)):
            raise InvalidQuery("bucket edges must ascend", f"{path}.buckets")
        if by.p == NAME_COLUMN:
            raise InvalidQuery("a name has no buckets", f"{path}.buckets")
    of_event = by.p.startswith(f"{EVENT}.")
    if of_event and by.as_of == "now":
        raise InvalidQuery("an event's property is read at the event", f"{path}.as_of")
    if by.attr is not None and not steps:
        raise InvalidQuery("'attr' belongs to funnels", f"{path}.attr")
    if isinstance(by.attr, StepRef) and by.attr.step > steps:
        raise InvalidQuery(f"the funnel has {steps} steps", f"{path}.attr.step")
    return replace(
        by,
        as_of=by.as_of or ("event" if of_event else "now"),
        attr=by.attr or ("first" if steps else None),
    )


def _events(events: Events, path: str) -> None:
    _located(lambda _: check_names(events.e, ""), "", f"{path}.e")


def _session(session: Session, path: str) -> None:
    if session.gap.ms > MAX_WINDOW_MS:
        raise InvalidQuery("a session's gap is at most 366 days", f"{path}.gap")


# --------------------------------------------------------------------------------------- event


def _event(body: EventBody, time: Time) -> EventBody:
    _session(body.session, f"{_BODY}.session")
    series = []
    for i, each in enumerate(body.series):
        path = f"{_BODY}.series[{i}]"
        _events(each, path)
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
                f"{_BODY}.{kind}[{at}].as",
            )
    return done


def _series_names(body: EventBody) -> dict[str, int]:
    names = {letter(i): i for i in range(len(body.series))}
    for i, each in enumerate(body.series):
        if each.as_ is not None and each.as_.isidentifier():
            names[each.as_] = i
    return names


# -------------------------------------------------------------------------------------- funnel


def _funnel(body: FunnelBody) -> FunnelBody:
    for i, step in enumerate(body.steps):
        _events(step, f"{_BODY}.steps[{i}]")
    if body.steps[0].optional:
        raise InvalidQuery("the first step cannot be optional", f"{_BODY}.steps[0].optional")
    if len(body.required) < 2:
        raise InvalidQuery("a funnel has at least 2 steps that are not optional", f"{_BODY}.steps")
    _session(body.session, f"{_BODY}.session")
    _window(body)
    if body.order == "any_order":
        _any_order(body)
    _hold(body)
    last = len(body.steps)
    for i, each in enumerate(body.measure):
        if each.step is not None and each.step > last:
            raise InvalidQuery(f"the funnel has {last} steps", f"{_BODY}.measure[{i}].step")
    columns = [each.column for each in body.measure]
    if len(set(columns)) != len(columns):
        raise InvalidQuery("a measure stands twice", f"{_BODY}.measure")
    return _exclusions(body)


def _window(body: FunnelBody) -> None:
    window, path = body.window, f"{_BODY}.window"
    if window.ms is None and window.n != 1:
        raise InvalidQuery(f"a window of unit {window.unit!r} has no 'n'", f"{path}.n")
    if window.ms is not None and window.ms > MAX_WINDOW_MS:
        raise InvalidQuery("a conversion window is at most 366 days", path)


def _any_order(body: FunnelBody) -> None:
    for i, step in enumerate(body.steps):
        if step.optional:
            raise InvalidQuery(
                "optional steps need an order: 'ordered' or 'strict'",
                f"{_BODY}.steps[{i}].optional",
            )
    if body.exclude:
        raise InvalidQuery(
            "an exclusion lies between two steps, so it needs an order: 'ordered' or 'strict'",
            f"{_BODY}.exclude",
        )


def _hold(body: FunnelBody) -> None:
    for i, item in enumerate(body.hold):
        path = f"{_BODY}.hold[{i}]"
        if isinstance(item, str):
            _held_property(item, path)
            continue
        for j, at in enumerate(item):
            _held_property(at.p, f"{path}[{j}].p")
            if at.step > len(body.steps):
                raise InvalidQuery(f"the funnel has {len(body.steps)} steps", f"{path}[{j}].step")
            if at.step in [before.step for before in item[:j]]:
                raise InvalidQuery(f"step {at.step} stands twice", f"{path}[{j}].step")
        missing = {k + 1 for k in body.required} - {at.step for at in item}
        if missing:
            raise InvalidQuery(
                f"name the property of every step; missing: step {min(missing)}", path
            )


def _held_property(p: str, path: str) -> None:
    _located(lambda text: check_property(text, "", (EVENT,)), p, path)
    if p in (TIME_COLUMN, RECEIVED_COLUMN, NAME_COLUMN):
        raise InvalidQuery(f"{p!r} cannot be held", path)


def _exclusions(body: FunnelBody) -> FunnelBody:
    done = []
    ends = (1, body.required[-1] + 1)
    for i, each in enumerate(body.exclude):
        path = f"{_BODY}.exclude[{i}]"
        _events(each, path)
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


# ----------------------------------------------------------------------------------- retention


def _retention(body: RetentionBody, time: Time) -> RetentionBody:
    _events(body.start, f"{_BODY}.start")
    _events(body.return_, f"{_BODY}.return")
    if time.grain not in RETENTION_GRAINS:
        raise InvalidQuery(
            f"retention has periods of a {one_of(RETENTION_GRAINS)}, got {time.grain!r}",
            "$.time.grain",
        )
    if isinstance(body.criterion, Bracket):
        for i, (first, last) in enumerate(body.criterion.bracket):
            if not 0 <= first <= last <= body.periods:
                raise InvalidQuery(
                    f"expected two periods in order, 0 to {body.periods} ('periods')",
                    f"{_BODY}.criterion.bracket[{i}]",
                )
    if body.measure is not None:
        _located(lambda _: check_names(body.measure and body.measure.events.e, ""), "", _BODY)
    return body


# ---------------------------------------------------------------------------------------- pick


def complete_pick(pick: AnyPick, query: Query) -> AnyPick:
    """The pick, checked against its query and with its series named. Raises InvalidQuery."""
    names = [each.p for each in query.by]
    if pick.by is not None:
        for p in pick.by:
            if p not in names:
                text = unknown("breakdown", p, names) if names else "the query has no 'by'"
                raise InvalidQuery(text, "$.by")
        for p in names:
            if p not in pick.by:
                raise InvalidQuery(f"the value of {p!r} is missing", "$.by")
        if pick.is_other:
            raise InvalidQuery("the row 'other' has no values", "$.by")
    if pick.is_other and not (names and query.top.other):
        raise InvalidQuery("the answer has no row 'other'", "$.is_other")
    if pick.range == "previous" and query.compare is None:
        raise InvalidQuery("the query has no 'compare'", "$.range")
    if isinstance(query, EventQuery):
        assert isinstance(pick, EventPick)
        return _event_pick(pick, query.body)
    if isinstance(query, FunnelQuery):
        assert isinstance(pick, FunnelPick)
        return _funnel_pick(pick, query.body)
    assert isinstance(query, RetentionQuery)
    assert isinstance(pick, RetentionPick)
    periods = query.body.periods
    if isinstance(query.body.criterion, Bracket):
        periods = len(query.body.criterion.bracket) - 1
    if pick.period is not None and pick.period > periods:
        raise InvalidQuery(f"the answer has periods 0 to {periods}", "$.period")
    if pick.churned and pick.period is None:
        raise InvalidQuery("'churned' needs a 'period'", "$.churned")
    return pick


def _event_pick(pick: EventPick, body: EventBody) -> EventPick:
    names = [str(each.as_) for each in body.series]
    if pick.series is None:
        if len(names) > 1:
            raise InvalidQuery(f"name the series: {one_of(names)}", "$.series")
        return replace(pick, series=names[0])
    if pick.series in [each.as_ for each in body.formula]:
        raise InvalidQuery("a formula counts no users; pick one of its series", "$.series")
    if pick.series not in names:
        raise InvalidQuery(unknown("series", pick.series, names), "$.series")
    return pick


def _funnel_pick(pick: FunnelPick, body: FunnelBody) -> FunnelPick:
    if pick.step > len(body.steps):
        raise InvalidQuery(f"the funnel has {len(body.steps)} steps", "$.step")
    if pick.dropped and pick.step == 1:
        raise InvalidQuery("nobody drops off before step 1", "$.dropped")
    if pick.bucket is not None and not body.trend:
        raise InvalidQuery("the funnel has no 'trend', so no buckets", "$.bucket")
    return pick
