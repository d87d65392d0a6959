"""Checks that look at several fields of what all queries share, and the pieces that models check
their own bodies with.

Raises InvalidQuery with the JSON path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import check_names
from zuji.engine.query.model import MAX_WINDOW_MS, By, Envelope, Pick, Session, StepRef, Time
from zuji.engine.query.problems import Problem, unknown
from zuji.engine.query.properties import (
    EVENT,
    NAME_COLUMN,
    RECEIVED_COLUMN,
    SCOPES,
    TIME_COLUMN,
    check_property,
)
from zuji.engine.query.ranges import check_range_text, check_shift

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.query.audience import EventRef
    from zuji.engine.query.model import Events

BODY: Final = "$.body"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_P = TypeVar("_P", bound=Pick)


def complete(query: Envelope) -> Envelope:
    """The query with every default filled in: ``as_of`` and ``attr`` of breakdowns, and what its
    model fills in. Raises InvalidQuery.
    """
    if not query.project:
        raise InvalidQuery("the project's name is empty", "$.project")
    _time(query.time)
    if query.compare is not None:
        if (query.compare.shift is None) == (query.compare.audience is None):
            raise InvalidQuery("compare with a 'shift' in time or with an 'audience'", "$.compare")
        if query.compare.shift is not None:
            located(check_shift, query.compare.shift, "$.compare.shift")
    by = tuple(_by(each, f"$.by[{i}]", query.steps) for i, each in enumerate(query.by))
    distinct([each.p for each in by], "$.by", "p")
    return replace(query, by=by).completed()


def complete_pick(pick: _P, query: Envelope) -> _P:
    """The pick, checked against its query and with what it left open filled in.

    Raises InvalidQuery.
    """
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
    if pick.is_other and not (query.has_groups and query.top.other):
        raise InvalidQuery("the answer has no row 'other'", "$.is_other")
    if pick.range != "current":
        if query.compare is None:
            raise InvalidQuery("the query has no 'compare'", "$.range")
        if pick.range != query.compare.side:
            raise InvalidQuery(f"the other side is called {query.compare.side!r}", "$.range")
    return pick.completed(query)


# ---------------------------------------------------------------------------- pieces for models


def located(check: Callable[[Any], object], value: Any, path: str) -> None:
    """Runs a check; its Problem or ValueError becomes an InvalidQuery at the path."""
    try:
        check(value)
    except Problem as problem:
        raise InvalidQuery(problem.text, path + problem.path) from None
    except ValueError as error:
        raise InvalidQuery(str(error), path) from None


def distinct(names: list[str], path: str, field: str) -> None:
    """Raises InvalidQuery when a name stands twice in a list of objects."""
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InvalidQuery(f"{name!r} stands twice", f"{path}[{i}].{field}")


def check_events(events: Events | EventRef, path: str) -> None:
    """Names of events: not empty, not too many, ``"*"`` alone."""
    located(lambda e: check_names(e, ""), events.e, f"{path}.e")


def check_session(session: Session, path: str) -> None:
    """A session's gap within bounds."""
    if session.gap.ms > MAX_WINDOW_MS:
        raise InvalidQuery("a session's gap is at most 366 days", f"{path}.gap")


def check_named(p: str, path: str, scopes: tuple[str, ...] = SCOPES) -> None:
    """A property of one of the scopes."""
    located(lambda text: check_property(text, "", scopes), p, path)


def check_value_of_event(p: str, path: str, use: str) -> None:
    """An event's property that is not one of its columns; ``use``: what a column cannot be."""
    check_named(p, path, (EVENT,))
    if p in (TIME_COLUMN, RECEIVED_COLUMN, NAME_COLUMN):
        raise InvalidQuery(f"{p!r} cannot be {use}", path)


# ------------------------------------------------------------------------------------ envelope


def _time(time: Time) -> None:
    located(check_range_text, time.from_, "$.time.from")
    located(check_range_text, time.to, "$.time.to")
    if time.tz is not None:
        located(calendars.zone, time.tz, "$.time.tz")
    dates = _DATE.fullmatch(time.from_) and _DATE.fullmatch(time.to)
    if dates and time.to < time.from_:
        raise InvalidQuery(f"{time.to!r} lies before 'from' ({time.from_!r})", "$.time.to")


def _by(by: By, path: str, steps: int) -> By:
    check_named(by.p, f"{path}.p")
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
        raise InvalidQuery("'attr' belongs to queries with steps", f"{path}.attr")
    if isinstance(by.attr, StepRef) and by.attr.step > steps:
        raise InvalidQuery(f"the query has {steps} steps", f"{path}.attr.step")
    return replace(
        by,
        as_of=by.as_of or ("event" if of_event else "now"),
        attr=by.attr or ("first" if steps else None),
    )
