"""Which properties a query uses, and where: for projection, warnings and masking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.query.audience import Did, UserIs, audience_leaves
from zuji.engine.query.filter_ast import properties_of
from zuji.engine.query.model import EventQuery, Events, FunnelQuery

if TYPE_CHECKING:
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.model import Query


def columns_of(where: Filter | None, *more: str | None) -> frozenset[str]:
    """Properties of a filter and those named."""
    return frozenset(properties_of(where) | {p for p in more if p is not None})


def event_refs(query: Query) -> list[tuple[str, tuple[str, ...] | None, Filter | None]]:
    """(JSON path, event names or None, filter) of every place of the query that names events."""
    found: list[tuple[str, tuple[str, ...] | None, Filter | None]] = []

    def take(path: str, events: Events) -> None:
        found.append((path, events.names, events.where))

    if isinstance(query, EventQuery):
        for i, series in enumerate(query.body.series):
            take(f"$.body.series[{i}]", series)
    elif isinstance(query, FunnelQuery):
        for i, step in enumerate(query.body.steps):
            take(f"$.body.steps[{i}]", step)
        for i, exclusion in enumerate(query.body.exclude):
            take(f"$.body.exclude[{i}]", exclusion)
    else:
        take("$.body.start", query.body.start)
        take("$.body.return", query.body.return_)
        if query.body.measure is not None:
            ref = query.body.measure.events
            found.append(("$.body.measure", ref.names, ref.where))
    found += [
        ("$.audience", leaf.events.names, leaf.events.where)
        for leaf in audience_leaves(query.audience)
        if isinstance(leaf, Did)
    ]
    return found


def used(query: Query) -> dict[str, str]:
    """Every property that the query uses → the JSON path of one place."""
    found: dict[str, str] = {}
    for path, _, where in event_refs(query):
        for p in properties_of(where):
            found.setdefault(p, f"{path}.where")
    for p in properties_of(query.where):
        found.setdefault(p, "$.where")
    for i, by in enumerate(query.by):
        found.setdefault(by.p, f"$.by[{i}].p")
    for leaf in audience_leaves(query.audience):
        if isinstance(leaf, UserIs):
            for p in properties_of(leaf.where):
                found.setdefault(p, "$.audience")
    for p, path in (measured(query) | distinct_measured(query)).items():
        found.setdefault(p, path)
    if isinstance(query, FunnelQuery):
        for i, held in enumerate(query.body.held):
            for name in held:
                if name is not None:
                    found.setdefault(name, f"$.body.hold[{i}]")
    return found


def measured(query: Query) -> dict[str, str]:
    """Properties that are aggregated as numbers (not ``distinct``) → JSON path."""
    found: dict[str, str] = {}
    if isinstance(query, EventQuery):
        for i, series in enumerate(query.body.series):
            if series.measure.p is not None and series.measure.op != "distinct":
                found.setdefault(
                    series.measure.p, f"$.body.series[{i}].measure.{series.measure.op}"
                )
    elif isinstance(query, FunnelQuery):
        for i, measure in enumerate(query.body.measure):
            if measure.p is not None:
                found.setdefault(measure.p, f"$.body.measure[{i}]")
    elif query.body.measure is not None and query.body.measure.p is not None:
        found.setdefault(query.body.measure.p, "$.body.measure")
    return found


def distinct_measured(query: Query) -> dict[str, str]:
    """Properties whose distinct values are counted → JSON path."""
    if not isinstance(query, EventQuery):
        return {}
    return {
        s.measure.p: f"$.body.series[{i}].measure.distinct"
        for i, s in enumerate(query.body.series)
        if s.measure.p is not None and s.measure.op == "distinct"
    }
