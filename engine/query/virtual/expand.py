"""Puts the meaning of virtual events into a query: each name becomes the events that it stands
for, with their filters. Virtual properties stay as they are; readers make them.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import EventRef
from zuji.engine.query.filter_ast import AllOf, AnyOf, Filter, Leaf, both
from zuji.engine.query.grammar import Written
from zuji.engine.query.properties import NAME_COLUMN

if TYPE_CHECKING:
    from zuji.engine.query.virtual.definitions import Definitions

T = TypeVar("T")


def expanded(query: T, definitions: Definitions) -> T:
    """The query over events that are sent. The query itself when it names no virtual event."""
    if not definitions.events:
        return query
    found: T = _of(query, definitions)
    return found


def _of(value: Any, known: Definitions) -> Any:
    """The value with every place of events in it expanded; the same object when there is none."""
    if isinstance(value, EventRef) or "e" in getattr(value, "__struct_fields__", ()):
        return _place(value, known)
    if isinstance(value, tuple):
        items = tuple(_of(item, known) for item in value)
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if isinstance(value, msgspec.Struct):
        return _changed(value, value.__struct_fields__, known, msgspec.structs.replace)
    if isinstance(value, Filter):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _changed(value, tuple(f.name for f in fields(value)), known, replace)
    if isinstance(value, Written):
        parts = {name: getattr(value, name) for name in value.__slots__}
        made = {name: _of(part, known) for name, part in parts.items()}
        same = all(made[name] is parts[name] for name in parts)
        return value if same else type(value)(**made)
    return value


def _changed(value: Any, names: tuple[str, ...], known: Definitions, made: Any) -> Any:
    changes = {}
    for name in names:
        before = getattr(value, name)
        after = _of(before, known)
        if after is not before:
            changes[name] = after
    return made(value, **changes) if changes else value


def _place(place: Any, known: Definitions) -> Any:
    """A place that names events, over those that are sent.

    Raises:
        InvalidQuery: the place has no filter, and a virtual event with one is named.
    """
    names = place.names
    if names is None or not any(name in known.events for name in names):
        return place
    meant = _meant(names, known)
    where = _any_of(meant)
    changes: dict[str, Any] = {"e": tuple(dict.fromkeys(n for some, _ in meant for n in some))}
    if hasattr(place, "where"):
        changes["where"] = both(where, place.where)
    elif where is not None:
        virtual = next(name for name in names if name in known.events)
        raise InvalidQuery(
            f"{virtual!r} is a virtual event with a filter, and there is no place for one here; "
            "name the events themselves",
            "$.body",
        )
    if isinstance(place, EventRef):
        return replace(place, **changes)
    if "as_" in place.__struct_fields__ and place.as_ is None:
        changes["as_"] = place.title[:200]
    return msgspec.structs.replace(place, **changes)


def _meant(
    names: tuple[str, ...], known: Definitions
) -> list[tuple[tuple[str, ...], Filter | None]]:
    """Sent events with their filters."""
    found: list[tuple[tuple[str, ...], Filter | None]] = []
    for name in names:
        virtual = known.events.get(name)
        if virtual is None:
            found.append(((name,), None))
            continue
        for ref in virtual.of:
            found += [
                (some, both(where, ref.where)) for some, where in _meant(ref.names or (), known)
            ]
    return found


def _any_of(meant: list[tuple[tuple[str, ...], Filter | None]]) -> Filter | None:
    if all(where is None for _, where in meant):
        return None
    return AnyOf(
        tuple(both(Leaf(NAME_COLUMN, "in", some), where) or AllOf(()) for some, where in meant)
    )
