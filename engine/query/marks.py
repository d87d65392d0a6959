"""Marks: what a project keeps of its users beside their profiles, such as tags, as queries see it.

A mark is read like a property of users (:mod:`mark_names`), and has a value a user and date: that
of the moment in its name, else that in force now. A view has the marks of each kind by its prefix
(:attr:`View.marks`); who keeps them is no concern of a query. Functions only: thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.mark_names import PREFIXES, mark_of
from zuji.engine.query.problems import Problem, nearest
from zuji.engine.query.properties import USER
from zuji.engine.query.ranges import check_range_text, resolve_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.mark_names import Mark
    from zuji.engine.query.view import View
    from zuji.engine.types import Column, Kind


class Marks(Protocol):
    """The marks of one kind in a pinned state. Immutable and thread-safe."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Kind of the values by name of the mark; the same object while nothing changes."""

    def reads(self, name: str) -> Iterable[str]:
        """Properties (``event.city``) and marks (``user.$tag.x``) that a mark is made of."""

    def column(self, view: View, shard: int, name: str, at_ms: int) -> Column | None:
        """Value of each ordinal of a shard, as many as the view has, that is in force at an
        instant; None when nobody has one.
        """

    def rows(self, view: View, shard: int, name: str, lane: Lane) -> Column | None:
        """Value of each row's user that was in force at the row's time."""


def stored_kinds(marks: Mapping[str, Marks], user_prefix: str) -> dict[str, Kind]:
    """Kinds of all marks by the names that a catalog would store."""
    return {
        f"{user_prefix}{prefix}{name}": kind
        for prefix, kept in marks.items()
        for name, kind in kept.kinds.items()
    }


def check_marks(view: View, places: Mapping[str, str]) -> None:
    """``places``: property → JSON path.

    Raises:
        InvalidQuery: there is no such mark, or its moment cannot be read.
    """
    for p, path in places.items():
        scope, _, name = p.partition(".")
        mark = mark_of(name) if scope == USER else None
        if mark is None:
            continue
        kept = view.marks.get(mark.prefix)
        known = () if kept is None else kept.kinds
        if mark.name not in known:
            hint = nearest(mark.name, known)
            raise InvalidQuery(f"there is no {PREFIXES[mark.prefix]} {mark.name!r}{hint}", path)
        if mark.moment is not None:
            try:
                check_range_text(mark.moment)
            except Problem as problem:
                raise InvalidQuery(f"{problem.text} after '@'", path) from None


def parts_of(view: View, p: str) -> set[str]:
    """All that a property is made of by way of marks: properties, and marks without moments."""
    found: set[str] = set()
    waiting = [p]
    while waiting:
        scope, _, name = waiting.pop().partition(".")
        mark = mark_of(name) if scope == USER else None
        kept = None if mark is None else view.marks.get(mark.prefix)
        if mark is None or kept is None or mark.name not in kept.kinds:
            continue
        for part in kept.reads(mark.name):
            if part not in found:
                found.add(part)
                waiting.append(part)
    return found


def mark_column(view: View, shard: int, mark: Mark, at_ms: int | None) -> Column | None:
    """Value of each ordinal of a shard at an instant, ms UTC; None: now. The name's own moment
    comes before both.
    """
    kept = view.marks.get(mark.prefix)
    if kept is None or mark.name not in kept.kinds:
        return None
    return kept.column(view, shard, mark.name, _moment(view, mark, at_ms))


def mark_rows(view: View, shard: int, mark: Mark, lane: Lane) -> Column | None:
    """Value of each row's user at the time of the row. REQUIRES: the mark has no moment."""
    kept = view.marks.get(mark.prefix)
    if kept is None or mark.name not in kept.kinds:
        return None
    return kept.rows(view, shard, mark.name, lane)


def _moment(view: View, mark: Mark, at_ms: int | None) -> int:
    if mark.moment is not None:
        return resolve_moment(mark.moment, view.now_ms, view.tz, f"user.{mark.prefix}{mark.name}")
    return view.now_ms if at_ms is None else at_ms
