"""Which properties a query uses, and where: for projection, warnings and masking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.query.audience import (
    Did,
    DidSequence,
    HasTag,
    InCohort,
    UserIs,
    audience_leaves,
)
from zuji.engine.query.filter_ast import properties_of
from zuji.engine.query.model import EventPlace, PropertyPlace

if TYPE_CHECKING:
    from zuji.engine.query.audience import Audience
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.model import Envelope


def columns_of(where: Filter | None, *more: str | None) -> frozenset[str]:
    """Properties of a filter and those named."""
    return frozenset(properties_of(where) | {p for p in more if p is not None})


def audiences(query: Envelope) -> list[tuple[str, Audience]]:
    """(JSON path, audience) of every audience of the query."""
    own = [] if query.audience is None else [("$.audience", query.audience)]
    if query.compare is not None and query.compare.audience is not None:
        own.append(("$.compare.audience", query.compare.audience))
    return [*own, *query.audience_places()]


def event_places(query: Envelope) -> list[EventPlace]:
    """Every place of the query that names events."""
    found = query.event_places()
    for path, audience in audiences(query):
        for leaf in audience_leaves(audience):
            refs = [leaf.events] if isinstance(leaf, Did) else []
            refs += leaf.steps if isinstance(leaf, DidSequence) else []
            found += [EventPlace(path, ref.names, ref.where) for ref in refs]
    return found


def measured(query: Envelope) -> list[PropertyPlace]:
    """The properties that audiences aggregate."""
    return [
        PropertyPlace(path, leaf.measure[1], "number")
        for path, audience in audiences(query)
        for leaf in audience_leaves(audience)
        if isinstance(leaf, Did) and leaf.measure is not None
    ]


def used(query: Envelope) -> dict[str, str]:
    """Every property that the query uses → the JSON path of one place."""
    found: dict[str, str] = {}
    for path, _, where in event_places(query):
        for p in properties_of(where):
            found.setdefault(p, f"{path}.where")
    for p in properties_of(query.where):
        found.setdefault(p, "$.where")
    for i, by in enumerate(query.by):
        found.setdefault(by.p, f"$.by[{i}].p")
    for path, audience in audiences(query):
        for leaf in audience_leaves(audience):
            if isinstance(leaf, UserIs):
                for p in properties_of(leaf.where):
                    found.setdefault(p, path)
            elif isinstance(leaf, Did) and leaf.measure is not None:
                found.setdefault(leaf.measure[1], path)
            elif isinstance(leaf, HasTag | InCohort):
                found.setdefault(leaf.p, path)
    for at in query.property_places():
        found.setdefault(at.p, at.path)
    return found
