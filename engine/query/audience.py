"""Audiences: which users a query counts, as a tree over cohorts, tags, properties and behaviour.

The combiners are those of filters (``all any not``); the leaves are ``{"cohort"}``, ``{"tag", "op",
"v"}``, ``{"user": filter}``, ``{"did": …}``, ``{"did_not": …}`` and ``{"sequence": …}``. Owns
reading them from JSON values and writing them back. Nodes are immutable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.query.durations import MAX_DURATION_MS, Duration, duration_from, duration_to
from zuji.engine.query.filter_ast import (
    INT64_MAX,
    INT64_MIN,
    Filter,
    Scalar,
    filter_from,
    filter_to,
    operator_and_value,
    operator_and_value_to,
)
from zuji.engine.query.mark_names import COHORT, TAG
from zuji.engine.query.problems import Problem, array, mapping, nearest, only, shown, unknown, whole
from zuji.engine.query.properties import EVENT, USER, check_property
from zuji.engine.query.ranges import check_range_text

if TYPE_CHECKING:
    from collections.abc import Iterator

Names = str | tuple[str, ...]
COUNT_OPS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "between")
DID_AGGREGATES: Final = ("sum", "avg", "min", "max")
MAX_EVENT_NAMES: Final = 1_000
MAX_SEQUENCE_STEPS: Final = 30
_LEAVES: Final = ("cohort", "tag", "user", "did", "did_not", "sequence")
_KEYS: Final = ("all", "any", "not", *_LEAVES)


class Audience:
    """Base of the nodes; also the type of an ``audience`` field."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AllUsers(Audience):
    """Users for whom every item holds; an empty one is everybody."""

    items: tuple[Audience, ...]


@dataclass(frozen=True, slots=True)
class AnyUsers(Audience):
    """Users for whom at least one item holds; an empty one is nobody."""

    items: tuple[Audience, ...]


@dataclass(frozen=True, slots=True)
class NotUsers(Audience):
    """The known users for whom the item does not hold."""

    item: Audience


@dataclass(frozen=True, slots=True)
class InCohort(Audience):
    """Members of a stored cohort: of its newest version, or of that in force ``as_of``."""

    name: str
    as_of: str | None = None

    @property
    def p(self) -> str:
        """The cohort as a property of users."""
        return f"{USER}.{COHORT}{self.name}" + ("" if self.as_of is None else f"@{self.as_of}")


@dataclass(frozen=True, slots=True)
class HasTag(Audience):
    """Users whose tag satisfies the predicate: its value now, or as of the end of a day."""

    name: str
    op: str
    v: Scalar | tuple[Scalar, ...] | Duration | None
    as_of: str | None = None

    @property
    def p(self) -> str:
        """The tag as a property of users."""
        return f"{USER}.{TAG}{self.name}" + ("" if self.as_of is None else f"@{self.as_of}")


@dataclass(frozen=True, slots=True)
class UserIs(Audience):
    """Users whose properties (``user.*``, as they are now) pass the filter."""

    where: Filter


@dataclass(frozen=True, slots=True)
class EventRef:
    """Events by name (``"*"`` = any) and filter, outside the bodies of models."""

    e: Names
    where: Filter | None = None

    @property
    def names(self) -> tuple[str, ...] | None:
        """The event names, or None for any event."""
        return event_names(self.e)


@dataclass(frozen=True, slots=True)
class Within:
    """Where in time to look: the last ``length`` before the range's end, or a range of its own."""

    length: Duration | None = None
    from_: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Did(Audience):
    """Users whose number of matching events (0 counts) satisfies ``op v``; ``negated``: others.

    ``measure``: instead of the number, the sum, mean, least or greatest value of a property, as
    ``(aggregate, property)``; a user none of whose events has a value does not satisfy it.
    """

    events: EventRef
    op: str = "gte"
    v: float | tuple[float, float] = 1
    within: Within | None = None
    negated: bool = False
    measure: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DidSequence(Audience):
    """Users who did the steps in order, all within ``within`` of the first (None = any length)."""

    steps: tuple[EventRef, ...]
    within: Duration | None = None


def event_names(e: Names) -> tuple[str, ...] | None:
    """The event names of an ``e`` field, or None for ``"*"`` (any event)."""
    if isinstance(e, str):
        return None if e == "*" else (e,)
    return e


def check_names(e: object, path: str) -> Names:
    """Returns a well-formed ``e`` (a name, names, or ``"*"``), else raises Problem."""
    if isinstance(e, str):
        if not e:
            raise Problem("an event name is not empty", path)
        return e
    if not isinstance(e, list | tuple):
        raise Problem(f"expected an event name, an array of names or '*', got {shown(e)}", path)
    if not 1 <= len(e) <= MAX_EVENT_NAMES:
        raise Problem(f"expected 1 to {MAX_EVENT_NAMES:,} event names, got {len(e)}", path)
    for i, name in enumerate(e):
        if not isinstance(name, str) or not name:
            raise Problem(f"expected an event name, got {shown(name)}", f"{path}[{i}]")
        if name == "*":
            raise Problem('\'*\' stands alone: write "e": "*"', f"{path}[{i}]")
    if len(set(e)) != len(e):
        raise Problem("an event name is listed twice", path)
    return tuple(str(name) for name in e)


def audience_from(document: object, path: str = "") -> Audience:
    """Reads an audience from JSON values. Raises Problem with the path inside the document."""
    if not isinstance(document, dict):
        raise Problem(f"expected an audience object, got {shown(document)}", path)
    for key, node in (("all", AllUsers), ("any", AnyUsers)):
        if key in document:
            only(document, (key,), path)
            items = array(document[key], f"{path}.{key}")
            return node(tuple(audience_from(x, f"{path}.{key}[{i}]") for i, x in enumerate(items)))
    if "not" in document:
        only(document, ("not",), path)
        return NotUsers(audience_from(document["not"], f"{path}.not"))
    kind = next((key for key in _LEAVES if key in document), None)
    if kind is None:
        hint = next((nearest(key, _KEYS) for key in document if nearest(key, _KEYS)), "")
        raise Problem(f"an audience has one of {', '.join(map(repr, _KEYS))}{hint}", path)
    if kind == "tag":
        return _tag(document, path)
    if kind == "cohort":
        return _cohort(document, path)
    only(document, (kind,), path)
    inside, value = f"{path}.{kind}", document[kind]
    if kind == "user":
        return UserIs(filter_from(value, (USER,), inside))
    return (
        _sequence(value, inside) if kind == "sequence" else _did(value, inside, kind == "did_not")
    )


def audience_to(node: Audience) -> dict[str, Any]:
    """The JSON values of an audience, with defaults; the inverse of :func:`audience_from`."""
    match node:
        case AllUsers(items):
            return {"all": [audience_to(item) for item in items]}
        case AnyUsers(items):
            return {"any": [audience_to(item) for item in items]}
        case NotUsers(item):
            return {"not": audience_to(item)}
        case InCohort(name, as_of):
            return {"cohort": name, "as_of": as_of}
        case HasTag(name, op, v, as_of):
            return {"tag": name, **operator_and_value_to(op, v), "as_of": as_of}
        case UserIs(where):
            return {"user": filter_to(where)}
        case DidSequence(steps, within):
            return {
                "sequence": {
                    "steps": [event_to(step) for step in steps],
                    "within": None if within is None else duration_to(within),
                }
            }
    assert isinstance(node, Did)
    asked: dict[str, Any] = {
        "op": node.op,
        "v": list(node.v) if isinstance(node.v, tuple) else node.v,
    }
    if node.measure is None:
        asked = {"count": asked}
    else:
        op, p = node.measure
        asked = {"measure": {op: p}, "value": asked}
    within_doc = None if node.within is None else _within_to(node.within)
    document = {**event_to(node.events), **asked, "within": within_doc}
    return {"did_not" if node.negated else "did": document}


def audience_leaves(node: Audience | None) -> Iterator[Audience]:
    """Every leaf of the tree, left to right."""
    if isinstance(node, AllUsers | AnyUsers):
        for item in node.items:
            yield from audience_leaves(item)
    elif isinstance(node, NotUsers):
        yield from audience_leaves(node.item)
    elif node is not None:
        yield node


def event_from(document: dict[str, Any], path: str, more: tuple[str, ...] = ()) -> EventRef:
    """Reads ``e`` and ``where``; fields of ``more`` are allowed beside them."""
    only(document, ("e", "where", *more), path)
    if "e" not in document:
        raise Problem("needs the event 'e'", path)
    where = document.get("where")
    return EventRef(
        check_names(document["e"], f"{path}.e"),
        None if where is None else filter_from(where, path=f"{path}.where"),
    )


def event_to(events: EventRef) -> dict[str, Any]:
    """The JSON values of an event reference."""
    e = list(events.e) if isinstance(events.e, tuple) else events.e
    return {"e": e, "where": None if events.where is None else filter_to(events.where)}


def _name(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise Problem(f"expected a name, got {shown(value)}", path)
    return value


def _tag(document: dict[str, Any], path: str) -> HasTag:
    only(document, ("tag", "op", "v", "as_of"), path)
    name = _name(document["tag"], f"{path}.tag")
    if "@" in name:
        raise Problem("the name of a tag has no '@'; 'as_of' says the day", f"{path}.tag")
    if "op" not in document:
        raise Problem("a tag needs 'op'", path)
    as_of = document.get("as_of")
    if as_of is not None:
        try:
            check_range_text(_name(as_of, ""))
        except Problem as problem:
            raise Problem(problem.text, f"{path}.as_of") from None
    return HasTag(name, *operator_and_value(document, path), as_of)


def _cohort(document: dict[str, Any], path: str) -> InCohort:
    only(document, ("cohort", "as_of"), path)
    name, as_of = _name(document["cohort"], f"{path}.cohort"), document.get("as_of")
    if "@" in name:
        raise Problem("the name of a cohort has no '@'; 'as_of' says when", f"{path}.cohort")
    if as_of is not None:
        try:
            check_range_text(_name(as_of, f"{path}.as_of"))
        except Problem as problem:
            raise Problem(problem.text, f"{path}.as_of") from None
    return InCohort(name, as_of)


def _did(value: object, path: str, negated: bool) -> Did:
    document = mapping(value, path)
    events = event_from(document, path, ("count", "measure", "value", "within"))
    given = document.get("within")
    within = None if given is None else _within(given, f"{path}.within")
    if document.get("measure") is None:
        if document.get("value") is not None:
            raise Problem("'value' says of a 'measure' what 'count' says of the number", path)
        op, v = _count(document.get("count"), f"{path}.count")
        return Did(events, op, v, within, negated)
    if document.get("count") is not None:
        raise Problem("either 'count', or 'measure' with 'value'; two leaves for both", path)
    measure = _measure(document["measure"], f"{path}.measure")
    value_op, bound = _value(document.get("value"), f"{path}.value")
    return Did(events, value_op, bound, within, negated, measure)


def _measure(value: object, path: str) -> tuple[str, str]:
    document = mapping(value, path)
    if len(document) != 1:
        raise Problem("expected one aggregate: {'sum': 'event.NAME'}", path)
    ((op, p),) = document.items()
    if op not in DID_AGGREGATES:
        raise Problem(unknown("aggregate", op, DID_AGGREGATES), path)
    return op, check_property(p, f"{path}.{op}", (EVENT,))


def _value(value: object, path: str) -> tuple[str, float | tuple[float, float]]:
    """What an aggregate must satisfy: ``{"op": "gte", "v": 1000}``."""
    document = mapping(value, path)
    only(document, ("op", "v"), path)
    op = document.get("op", "gte")
    if op not in COUNT_OPS:
        raise Problem(unknown("op", op, COUNT_OPS), f"{path}.op")
    if "v" not in document:
        raise Problem("needs the number 'v'", path)
    v = document["v"]
    if op != "between":
        return op, _number(v, f"{path}.v")
    ends = array(v, f"{path}.v")
    if len(ends) != 2:
        raise Problem("'between' expects [lowest, highest]", f"{path}.v")
    return op, (_number(ends[0], f"{path}.v[0]"), _number(ends[1], f"{path}.v[1]"))


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Problem(f"expected a number, got {shown(value)}", path)
    if not INT64_MIN <= value <= INT64_MAX:
        raise Problem("expected a number that fits in 64 bits", path)
    return value


def _count(value: object, path: str) -> tuple[str, int | tuple[int, int]]:
    if value is None:
        return "gte", 1
    document = mapping(value, path)
    only(document, ("op", "v"), path)
    op = document.get("op", "gte")
    if op not in COUNT_OPS:
        raise Problem(unknown("op", op, COUNT_OPS), f"{path}.op")
    v = document.get("v", 1)
    if op == "between":
        ends = array(v, f"{path}.v")
        if len(ends) != 2:
            raise Problem("'between' expects [lowest, highest]", f"{path}.v")
        return op, (whole(ends[0], f"{path}.v[0]"), whole(ends[1], f"{path}.v[1]"))
    return op, whole(v, f"{path}.v")


def _within(value: object, path: str) -> Within:
    document = mapping(value, path)
    only(document, ("n", "unit", "from", "to"), path)
    if "from" in document or "to" in document:
        if "n" in document or "unit" in document or not {"from", "to"} <= set(document):
            raise Problem("expected 'n' and 'unit', or 'from' and 'to'", path)
        from_, to = document["from"], document["to"]
        for key in ("from", "to"):
            try:
                check_range_text(_name(document[key], f"{path}.{key}"))
            except Problem as problem:
                raise Problem(problem.text, f"{path}.{key}") from None
        return Within(None, from_, to)
    return Within(duration_from(document, path))


def _within_to(within: Within) -> dict[str, Any]:
    if within.length is None:
        return {"from": within.from_, "to": within.to}
    return duration_to(within.length)


def _sequence(value: object, path: str) -> DidSequence:
    document = mapping(value, path)
    only(document, ("steps", "within"), path)
    steps = array(document.get("steps"), f"{path}.steps")
    if not 2 <= len(steps) <= MAX_SEQUENCE_STEPS:
        raise Problem(
            f"expected 2 to {MAX_SEQUENCE_STEPS} steps, got {len(steps)}", f"{path}.steps"
        )
    read = tuple(
        event_from(mapping(step, f"{path}.steps[{i}]"), f"{path}.steps[{i}]")
        for i, step in enumerate(steps)
    )
    within = document.get("within")
    if within is None:
        return DidSequence(read)
    length = duration_from(mapping(within, f"{path}.within"), f"{path}.within")
    if length.ms > MAX_DURATION_MS:
        raise Problem("expected a length of at most 366 days", f"{path}.within")
    return DidSequence(read, length)
