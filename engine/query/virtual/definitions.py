"""What a project defines, checked: virtual events and properties by name, as one immutable value.

A virtual event names a union of filtered events, which may be virtual themselves; a virtual
property an expression, which may read other virtual ones. Neither may lead back to itself. A name
that an SDK already sends cannot be defined; should one come later, the definition counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.errors import InvalidInput
from zuji.engine.index.catalog import USER_PREFIX
from zuji.engine.query.audience import EventRef, event_from, event_to
from zuji.engine.query.filter_ast import properties_of
from zuji.engine.query.problems import Problem
from zuji.engine.query.properties import COLUMNS, MAX_NAME_CHARS, USER
from zuji.engine.query.virtual.expression import ANY, TYPE_OF, Expression, checked, parsed, reads
from zuji.engine.types import KIND_BY_LABEL, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

MAX_DEFINITIONS: Final = 1_000
MAX_MEMBERS: Final = 100
MAX_DEPTH: Final = 10
"""Definitions over definitions."""


@dataclass(frozen=True, slots=True)
class VirtualEvent:
    """A name for any of some filtered events."""

    name: str
    of: tuple[EventRef, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class VirtualProperty:
    """A name (``event.NAME`` or ``user.NAME``) for an expression with values of a kind."""

    p: str
    kind: Kind
    text: str
    tree: Expression
    description: str = ""


@dataclass(frozen=True, slots=True)
class Definitions:
    """All of a project. ``events`` by name, ``properties`` by full name; ``items``: the type of the
    items that a property names (``event.product_id``), by its full name.
    """

    events: Mapping[str, VirtualEvent] = field(default_factory=dict)
    properties: Mapping[str, VirtualProperty] = field(default_factory=dict)
    items: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Kinds by the name that the catalog would store."""
        return {stored_name(p): one.kind for p, one in self.properties.items()}

    def closure(self, p: str) -> set[str]:
        """The stored and virtual properties that a property is made of, itself included."""
        found: set[str] = set()
        waiting = [p]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                if one in self.properties:
                    waiting += reads(self.properties[one].tree)
        return found

    def used(self) -> dict[str, set[str]]:
        """What each definition is made of, by name: events, properties, also those in filters."""
        found = {
            name: {n for ref in one.of for n in (*(ref.names or ()), *properties_of(ref.where))}
            for name, one in self.events.items()
        }
        return {**found, **{p: set(reads(one.tree)) for p, one in self.properties.items()}}

    def dump(self) -> dict[str, Any]:
        """As JSON values; what :func:`loaded` reads."""
        joins = {"items": dict(self.items)} if self.items else {}
        return {
            **joins,
            "events": {
                name: {"of": [event_to(ref) for ref in one.of], "description": one.description}
                for name, one in self.events.items()
            },
            "properties": {
                p: {"type": one.kind.label, "as": one.text, "description": one.description}
                for p, one in self.properties.items()
            },
        }


def loaded(
    document: object,
    kind_of: Callable[[str], Kind | None],
    sent: Callable[[str], bool],
) -> Definitions:
    """Definitions of a document, checked. ``kind_of``: of a sent property by its full name, None
    when nobody sent it; ``sent``: whether an event of that name was.

    Raises:
        InvalidInput: says what is wrong and where.
    """
    document = _object(document, "$", ("events", "properties", "items"))
    events = _object(document.get("events", {}), "$.events", None)
    properties = _object(document.get("properties", {}), "$.properties", None)
    items = _object(document.get("items", {}), "$.items", None)
    if len(events) + len(properties) + len(items) > MAX_DEFINITIONS:
        raise InvalidInput(f"a project has at most {MAX_DEFINITIONS:,} definitions")
    made = Definitions(
        {name: _event(name, one, sent) for name, one in events.items()},
        {p: _property(p, one, kind_of) for p, one in properties.items()},
        {p: _join(p, one, properties) for p, one in items.items()},
    )
    for name in made.events:
        _no_circle(name, lambda n: _members(made, n), f"$.events.{name}")
    for p in made.properties:
        _no_circle(p, lambda n: _parts(made, n), f"$.properties.{p}")
    for one in made.properties.values():
        _typed(one, made, kind_of)
    return made


def _event(name: str, document: object, sent: Callable[[str], bool]) -> VirtualEvent:
    path = f"$.events.{name}"
    _named(name, path)
    if name.startswith("$") or name == "*":
        raise InvalidInput(f"{path}: the name of a virtual event does not begin with '$'")
    if sent(name):
        raise InvalidInput(f"{path}: events of that name are sent; take another name")
    fields = _object(document, path, ("of", "description"))
    members = fields.get("of")
    if not isinstance(members, list) or not 0 < len(members) <= MAX_MEMBERS:
        raise InvalidInput(f"{path}.of: expected 1 to {MAX_MEMBERS} events, each with 'e'")
    try:
        refs = tuple(
            event_from(one if isinstance(one, dict) else {"e": one}, f".of[{i}]")
            for i, one in enumerate(members)
        )
    except Problem as problem:
        raise InvalidInput(f"{path}{problem.path}: {problem.text}") from None
    if any(ref.names is None for ref in refs):
        raise InvalidInput(f"{path}.of: name the events; '*' is any event already")
    return VirtualEvent(name, refs, _described(fields, path))


def _property(p: str, document: object, kind_of: Callable[[str], Kind | None]) -> VirtualProperty:
    path = f"$.properties.{p}"
    scope, dot, name = p.partition(".")
    if not dot or scope not in ("event", "user"):
        raise InvalidInput(f"{path}: expected 'event.NAME' or 'user.NAME'")
    _named(name, path)
    if name.startswith("$"):
        raise InvalidInput(f"{path}: the name of a virtual property does not begin with '$'")
    if kind_of(p) is not None:
        raise InvalidInput(f"{path}: a property of that name is sent; take another name")
    fields = _object(document, path, ("type", "as", "description"))
    kind = KIND_BY_LABEL.get(fields.get("type", ""))
    if kind is None or kind == Kind.LIST:
        raise InvalidInput(f"{path}.type: expected string, int64, float64, bool or datetime")
    text = fields.get("as")
    if not isinstance(text, str):
        raise InvalidInput(f"{path}.as: expected an expression")
    try:
        tree = parsed(text)
    except Problem as problem:
        raise InvalidInput(f"{path}.as: {problem.text}") from None
    if scope == USER and any(not read.startswith("user.") for read in reads(tree)):
        raise InvalidInput(f"{path}.as: a property of users reads properties of users alone")
    return VirtualProperty(p, kind, text, tree, _described(fields, path))


def _join(p: str, item_type: object, virtual: Container[str]) -> str:
    path = f"$.items.{p}"
    scope, dot, name = p.partition(".")
    if not dot or scope not in ("event", "user"):
        raise InvalidInput(f"{path}: expected 'event.NAME' or 'user.NAME'")
    _named(name, path)
    if p in COLUMNS or p in virtual:
        raise InvalidInput(f"{path}: items are named by a property that is sent")
    if not isinstance(item_type, str):
        raise InvalidInput(f"{path}: expected the name of an item type")
    _named(item_type, path)
    return item_type


def _typed(one: VirtualProperty, made: Definitions, kind_of: Callable[[str], Kind | None]) -> None:
    def kind(p: str) -> Kind | None:
        return made.properties[p].kind if p in made.properties else kind_of(p)

    path = f"$.properties.{one.p}.as"
    try:
        got = checked(one.tree, kind)
    except Problem as problem:
        raise InvalidInput(f"{path}: {problem.text}") from None
    if got not in (ANY, TYPE_OF[one.kind]):
        raise InvalidInput(f"{path}: gives a {got}, but the type is {one.kind.label}")


def _members(made: Definitions, name: str) -> list[str]:
    one = made.events.get(name)
    return [] if one is None else [n for ref in one.of for n in ref.names or ()]


def _parts(made: Definitions, p: str) -> list[str]:
    one = made.properties.get(p)
    return [] if one is None else list(reads(one.tree))


def _no_circle(name: str, parts: Callable[[str], list[str]], path: str) -> None:
    layer = {name}
    for _ in range(MAX_DEPTH):
        layer = {part for one in layer for part in parts(one)}
        if name in layer:
            raise InvalidInput(f"{path}: leads back to itself")
        if not layer:
            return
    raise InvalidInput(f"{path}: more than {MAX_DEPTH} definitions stand on each other")


def _object(value: object, path: str, known: tuple[str, ...] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{path}: expected an object")
    for key in value:
        if known is not None and key not in known:
            raise InvalidInput(f"{path}: unknown field {key!r}, expected {', '.join(known)}")
    return value


def _named(name: str, path: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise InvalidInput(f"{path}: a name has 1 to {MAX_NAME_CHARS} printable characters")


def _described(fields: dict[str, Any], path: str) -> str:
    text = fields.get("description", "")
    if not isinstance(text, str) or len(text) > 2_000:
        raise InvalidInput(f"{path}.description: expected a text of at most 2,000 characters")
    return text


def stored_name(p: str) -> str:
    """The name under which the catalog has a property, by its full name."""
    scope, _, name = p.partition(".")
    return USER_PREFIX + name if scope == USER else name
