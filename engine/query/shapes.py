"""What a query may look like at a place: the types of ``model.py`` walked along a JSON path.

Serves error messages only: msgspec says what is wrong and where, this says what was expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from msgspec import inspect

from zuji.engine.query.problems import nearest, one_of, shown

_JSON_TYPES = {"str": "string", "int": "whole number", "float": "number", "bool": "boolean"}
_TOKEN = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place: the types that may stand there, and the value that does."""

    types: tuple[inspect.Type, ...]
    value: Any


@lru_cache(maxsize=16)
def _type_info(model: Any) -> inspect.Type:
    return inspect.type_info(model)


def json_type(text: str) -> str:
    """JSON's words for msgspec's ``str | array``."""
    return " or ".join(_JSON_TYPES.get(name, name) for name in text.split(" | "))


def at(model: Any, values: Any, path: str) -> Spot:
    """The place of ``path`` (``$.body.steps[1]``) in a document of that model."""
    spot = Spot(_alternatives(_type_info(model)), values)
    for name, index in _TOKEN.findall(path):
        spot = _field(spot, name) if name else _item(spot, index)
    return spot


def unknown_field(spot: Spot, name: str) -> str:
    """Text for a field that the object does not have."""
    names = _field_names(spot)
    return f"unknown field {name!r}, expected {one_of(names)}{nearest(name, names)}"


def unknown_value(spot: Spot, path: str) -> str:
    """Text for a value that is not one of the allowed ones."""
    options: list[object] = []
    for each in spot.types:
        if isinstance(each, inspect.LiteralType):
            options += each.values
        elif isinstance(each, inspect.StructType) and path.endswith(f".{each.tag_field}"):
            options.append(each.tag)
    if not options:
        return f"unexpected {shown(spot.value)}"
    return (
        f"unexpected {shown(spot.value)}, expected {one_of(options)}{nearest(spot.value, options)}"
    )


def choices(spot: Spot, name: str) -> str:
    """``, one of 'event', 'funnel' …`` when the field of that name is a tag."""
    tags = [
        each.tag
        for each in spot.types
        if isinstance(each, inspect.StructType) and each.tag_field == name
    ]
    return f", one of {one_of(tags)}" if tags else ""


def wanted(spot: Spot) -> str:
    """What a struct wants when something else stood there, else nothing."""
    structs = [each for each in spot.types if isinstance(each, inspect.StructType)]
    if not structs or isinstance(spot.value, dict):
        return ""
    required = [field.encode_name for field in structs[0].fields if field.required]
    return f" with {one_of(required)}" if required else ""


def _alternatives(wanted_type: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(wanted_type, inspect.Metadata):
        return _alternatives(wanted_type.type)
    if isinstance(wanted_type, inspect.UnionType):
        return tuple(part for each in wanted_type.types for part in _alternatives(each))
    return (wanted_type,)


def _structs(spot: Spot) -> list[inspect.StructType]:
    found = [each for each in spot.types if isinstance(each, inspect.StructType)]
    tagged = [
        each
        for each in found
        if isinstance(spot.value, dict) and spot.value.get(each.tag_field) == each.tag
    ]
    return tagged or found


def _field(spot: Spot, name: str) -> Spot:
    value = spot.value.get(name) if isinstance(spot.value, dict) else None
    for struct in _structs(spot):
        for field in struct.fields:
            if field.encode_name == name:
                return Spot(_alternatives(field.type), value)
        if struct.tag_field == name:
            return Spot(spot.types, value)
    return Spot((), value)


def _item(spot: Spot, index: str) -> Spot:
    position = int(index) if index.isdigit() else -1
    values = spot.value if isinstance(spot.value, list) else []
    value = values[position] if 0 <= position < len(values) else None
    for each in spot.types:
        if isinstance(each, inspect.VarTupleType):
            return Spot(_alternatives(each.item_type), value)
        if isinstance(each, inspect.TupleType) and 0 <= position < len(each.item_types):
            return Spot(_alternatives(each.item_types[position]), value)
        if isinstance(each, inspect.DictType):
            return Spot(_alternatives(each.value_type), value)
    return Spot((), value)


def _field_names(spot: Spot) -> list[str]:
    names: dict[str, None] = {}
    for struct in _structs(spot):
        if struct.tag_field is not None:
            names[struct.tag_field] = None
        names.update(dict.fromkeys(field.encode_name for field in struct.fields))
    return list(names)
