"""Binding a query to a view: the range in milliseconds, names checked against the catalog, the
scope put in.

Unknown events and properties are warnings with the nearest names, since they may come tomorrow; a
property of the wrong kind for its use is an error with its JSON path.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.index.catalog import PROFILE_EVENTS, USER_PREFIX, Catalog
from zuji.engine.query.audience import AllUsers
from zuji.engine.query.filter_ast import both
from zuji.engine.query.mark_names import undated
from zuji.engine.query.marks import check_marks, parts_of
from zuji.engine.query.properties import COLUMNS
from zuji.engine.query.properties_used import event_places, measured, used
from zuji.engine.query.ranges import resolve_range, shift_range
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.audience import Audience
    from zuji.engine.query.context import Context
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.model import Envelope
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.ranges import Range
    from zuji.engine.query.scope import Scope
    from zuji.engine.query.view import View

_NUMBERS = (Kind.BOOL, Kind.INT, Kind.FLOAT)


@dataclass(frozen=True, slots=True)
class Bound:
    """A query with everything that the view adds to it. ``until_ms``: nothing that happened then or
    later is looked at, wherever an audience looks (of a moment gone by); None: all is.
    """

    query: Envelope
    view: View
    context: Context
    range: Range
    scope: Scope | None
    until_ms: int | None = None
    scans: dict[int, tuple[Audience, Scan]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What the leaves of audiences read, by the identity of the leaf: planned for all shards at
    once. A bound question made of another one begins with none.
    """

    def where(self, own: Filter | None) -> Filter | None:
        """Filter of rows: the query's, the scope's and the place's own."""
        return both(self.query.where, self.where_in_scope(own))

    def where_in_scope(self, own: Filter | None) -> Filter | None:
        """The place's own filter and the scope's, not the query's: an audience sees all rows."""
        return both(None if self.scope is None else self.scope.where, own)


def other_side(bound: Bound) -> Bound | None:
    """The same question of the other side of its comparison, whichever of the two this is."""
    query, compare = bound.query, bound.query.compare
    if compare is None:
        return None
    if compare.audience is not None:
        own = AllUsers(()) if query.audience is None else query.audience
        swapped = replace(compare, audience=own)
        return dataclasses.replace(
            bound, query=replace(query, audience=compare.audience, compare=swapped)
        )
    now = resolve_range(query.time, bound.view.now_ms, bound.view.tz)
    if bound.range != now:
        return dataclasses.replace(bound, range=now)
    assert compare.shift is not None
    return dataclasses.replace(bound, range=shift_range(now, compare.shift))


def bind(query: Envelope, view: View, context: Context, scope: Scope | None) -> Bound:
    """Checks ``query`` against ``view``.

    Raises:
        InvalidQuery: an empty range, an unknown zone, a masked property, a property of the wrong
            kind.
    """
    places = used(query)
    defined = view.definitions
    for p in [p for p in places if p in defined.properties]:
        for part in defined.closure(p):
            places.setdefault(part, places[p])
    check_marks(view, places)
    for p in list(places):
        for part in parts_of(view, p):
            places.setdefault(part, places[p])
    if scope is not None:
        scope.check(places)
    _warn_events(query, view.catalog, context)
    _warn_properties(places, view.catalog, context)
    for path, p, wants in [*query.property_places(), *measured(query)]:
        kind = kind_of(view.catalog, p)
        if wants == "any" or kind is None or kind in _NUMBERS:
            continue
        if wants == "number" or kind != Kind.DATETIME:
            raise InvalidQuery(f"{p} is a {kind.label}; a number is needed here", path)
    for i, by in enumerate(query.by):
        kind = kind_of(view.catalog, by.p)
        if by.buckets is not None and kind not in (None, Kind.INT, Kind.FLOAT):
            raise InvalidQuery(
                f"{by.p} is a {kind.label if kind else 'text'}; buckets need a number",
                f"$.by[{i}].buckets",
            )
    return Bound(query, view, context, resolve_range(query.time, view.now_ms, view.tz), scope)


def column_kind(p: str) -> Kind | None:
    """Kind of a column that every event has, None of anything else."""
    if p not in COLUMNS:
        return None
    return Kind.STRING if p == "event.$name" else Kind.DATETIME


def kind_of(catalog: Catalog, p: str) -> Kind | None:
    """Kind of a property as named in a query, None when it has not been seen."""
    column = column_kind(p)
    if column is not None:
        return column
    scope, _, name = p.partition(".")
    return catalog.kind_of(USER_PREFIX + undated(name) if scope == "user" else name)


def _warn_events(query: Envelope, catalog: Catalog, context: Context) -> None:
    known = [name for name in catalog.events if name not in PROFILE_EVENTS]
    for path, names, _ in event_places(query):
        for name in names or ():
            if name not in catalog.event_codes or name in PROFILE_EVENTS:
                context.warn(
                    f"event {name!r} has not been seen (at {path}.e){_nearest(name, known)}"
                )


def _warn_properties(places: dict[str, str], catalog: Catalog, context: Context) -> None:
    for p, path in places.items():
        if kind_of(catalog, p) is None:
            scope = p.partition(".")[0]
            known = [
                "user." + stored.removeprefix(USER_PREFIX)
                if stored.startswith(USER_PREFIX)
                else "event." + stored
                for stored in catalog.props
                if stored.startswith(USER_PREFIX) == (scope == "user")
            ]
            context.warn(f"property {p!r} has not been seen (at {path}){_nearest(p, known)}")


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; nearest: {', '.join(map(repr, near))}" if near else ""
