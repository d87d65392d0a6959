"""JSON Schema (draft 2020-12) of a query, made from the structs: one source for code and documents.

What msgspec cannot see is written out: the grammars of filters and audiences here, measures by
their classes; a
test checks that every operator, unit and word of the code stands in the schema. Checks across
fields (a step that an exclusion names must exist) are the parser's and not in the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from zuji.engine.query.audience import (
    COUNT_OPS,
    DID_AGGREGATES,
    MAX_EVENT_NAMES,
    MAX_SEQUENCE_STEPS,
    Audience,
)
from zuji.engine.query.documents import plain
from zuji.engine.query.durations import UNIT_MS
from zuji.engine.query.filter_ast import (
    MAX_LIST_VALUES,
    MAX_PATTERN_CHARS,
    OPS,
    Filter,
)
from zuji.engine.query.grammar import (
    EVENT_PROPERTY,
    Written,
    events_fields,
    nullable,
    object_of,
    ref,
)
from zuji.engine.query.parse import QUERY
from zuji.engine.query.properties import MAX_NAME_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a query document. A fresh object each time."""
    written: dict[str, type[Written]] = {}

    def custom(kind: type) -> dict[str, Any]:
        if kind in (Filter, Audience):
            return ref(kind.__name__)
        if not issubclass(kind, Written):
            raise NotImplementedError(kind)
        written[kind.__name__] = kind
        return ref(kind.__name__)

    (schema,), components = msgspec.json.schema_components(
        [QUERY], schema_hook=custom, ref_template="#/$defs/{name}"
    )
    by_name = structs(QUERY)
    for name, component in components.items():
        _write_defaults(by_name[name], component)
    own = {name: kind.schema() for name, kind in written.items()}
    return {
        "$schema": DRAFT,
        "title": "Query",
        **schema,
        "$defs": {**components, **_grammars(), **own},
    }


def structs(kind: Any) -> dict[str, type[msgspec.Struct]]:
    """Every struct within a type, by name."""
    return {
        part.cls.__name__: part.cls
        for part in parts(msgspec.inspect.type_info(kind))
        if isinstance(part, msgspec.inspect.StructType)
    }


def parts(whole: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """A type and all types within it, structs once."""
    seen: set[type] = set()
    waiting: list[Any] = [whole]
    while waiting:
        one = waiting.pop()
        if isinstance(one, tuple):
            waiting += one
        elif isinstance(one, msgspec.inspect.Field):
            waiting.append(one.type)
        elif isinstance(one, msgspec.inspect.Type):
            if isinstance(one, msgspec.inspect.StructType):
                if one.cls in seen:
                    continue
                seen.add(one.cls)
            yield one
            waiting += [getattr(one, name) for name in one.__struct_fields__]


def _write_defaults(struct: type[msgspec.Struct], component: dict[str, Any]) -> None:
    """Puts the default of every optional field into the struct's schema, as JSON values."""
    for field in msgspec.structs.fields(struct):
        if field.default is not msgspec.NODEFAULT:
            component["properties"][field.encode_name]["default"] = plain(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            component["properties"][field.encode_name]["default"] = plain(field.default_factory())


def _property(scopes: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({scopes})\\.[\\s\\S]{{1,{MAX_NAME_CHARS}}}$"}


def _values() -> dict[str, dict[str, Any] | None]:
    """What ``v`` is for each shape of ``filter_ast.OPS``; None: no ``v``."""
    scalar = {"type": ["string", "number", "boolean"]}
    ordered = {"type": ["string", "number"]}
    text = {"type": "string"}
    return {
        "scalar": scalar,
        "scalars": {"type": "array", "items": scalar, "maxItems": MAX_LIST_VALUES},
        "ordered": ordered,
        "pair": {"type": "array", "items": ordered, "minItems": 2, "maxItems": 2},
        "text": text,
        "pattern": {"type": "string", "maxLength": MAX_PATTERN_CHARS},
        "texts": {"type": "array", "items": text, "maxItems": MAX_LIST_VALUES},
        "duration": ref("Length"),
        "nothing": None,
    }


def _predicates(
    subject: dict[str, Any], more: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One object schema a shape: the subject with the operators that want this ``v``; ``more``:
    fields that may be left out.
    """
    found = []
    for shape, v in _values().items():
        ops = [op for op, wanted in OPS.items() if wanted == shape]
        own = {"op": {"enum": ops}, "v": {"type": "null"} if v is None else v}
        properties = {**subject, **own, **(more or {})}
        required = [*subject, "op"] + ([] if v is None else ["v"])
        found.append(object_of(properties, required))
    return found


def _combiners(name: str) -> list[dict[str, Any]]:
    items = {"type": "array", "items": ref(name)}
    return [object_of({"all": items}), object_of({"any": items}), object_of({"not": ref(name)})]


def _aggregate() -> dict[str, Any]:
    """``{"sum": "event.amount"}``."""
    return {"anyOf": [object_of({op: ref(EVENT_PROPERTY)}) for op in DID_AGGREGATES]}


def _number_wanted() -> dict[str, Any]:
    """``{"op": "gte", "v": 1000}``."""
    number = {"type": "number"}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    simple = [op for op in COUNT_OPS if op != "between"]
    return {
        "anyOf": [
            object_of({"op": {"enum": simple}, "v": number}, ["v"]),
            object_of({"op": {"enum": ["between"]}, "v": pair}),
        ]
    }


def _grammars() -> dict[str, Any]:
    events = events_fields()
    count = {
        "op": {"enum": list(COUNT_OPS)},
        "v": {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        },
    }
    text = {"type": "string", "minLength": 1}
    within = nullable(ref("Within"))
    did = {
        "anyOf": [
            object_of({**events, "count": nullable(object_of(count, [])), "within": within}, ["e"]),
            object_of(
                {**events, "measure": _aggregate(), "value": _number_wanted(), "within": within},
                ["e", "measure", "value"],
            ),
        ]
    }
    steps = {
        "type": "array",
        "items": object_of(events, ["e"]),
        "minItems": 2,
        "maxItems": MAX_SEQUENCE_STEPS,
    }
    sequence = object_of({"steps": steps, "within": nullable(ref("Length"))}, ["steps"])
    audience = [
        *_combiners("Audience"),
        object_of({"cohort": text, "as_of": nullable(text)}, ["cohort"]),
        *_predicates({"tag": {"type": "string", "pattern": "^[^@]+$"}}, {"as_of": nullable(text)}),
        object_of({"user": ref("UserFilter")}),
        object_of({"did": did}),
        object_of({"did_not": did}),
        object_of({"sequence": sequence}),
    ]
    of_user = _property("user")
    return {
        "Filter": {"anyOf": [*_combiners("Filter"), *_predicates({"p": _property("event|user")})]},
        "UserFilter": {"anyOf": [*_combiners("UserFilter"), *_predicates({"p": of_user})]},
        "Audience": {"anyOf": audience},
        "EventNames": {
            "anyOf": [
                text,
                {"type": "array", "items": text, "minItems": 1, "maxItems": MAX_EVENT_NAMES},
            ]
        },
        "Length": object_of(
            {"n": {"type": "integer", "minimum": 1}, "unit": {"enum": list(UNIT_MS)}}
        ),
        "Within": {"anyOf": [ref("Length"), object_of({"from": text, "to": text})]},
        EVENT_PROPERTY: _property("event"),
    }
