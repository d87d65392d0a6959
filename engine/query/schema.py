"""JSON Schema (draft 2020-12) of a query, made from the structs: one source for code and documents.

What msgspec cannot see, the grammars of filters, audiences and measures, is written out here; a
test checks that every operator, unit and word of the code stands in the schema. Checks across
fields (a step that an exclusion names must exist) are the parser's and not in the schema.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from zuji.engine.query import model
from zuji.engine.query.audience import COUNT_OPS, MAX_EVENT_NAMES, MAX_SEQUENCE_STEPS, Audience
from zuji.engine.query.durations import UNIT_MS
from zuji.engine.query.filter_ast import (
    MAX_LIST_VALUES,
    MAX_PATTERN_CHARS,
    OPS,
    Filter,
)
from zuji.engine.query.measures import (
    EVENT_AGGREGATES,
    EVENT_WORDS,
    FUNNEL_WORDS,
    RETENTION_AGGREGATES,
    FunnelMeasure,
    Measure,
    RetentionMeasure,
)
from zuji.engine.query.model import Query
from zuji.engine.query.parse import plain
from zuji.engine.query.properties import MAX_NAME_CHARS

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_QUANTILE: Final = "p[1-9][0-9]?"


def json_schema() -> dict[str, Any]:
    """The schema of a query document. A fresh object each time."""
    (schema,), components = msgspec.json.schema_components(
        [Query], schema_hook=_custom, ref_template="#/$defs/{name}"
    )
    for name, component in components.items():
        _write_defaults(getattr(model, name), component)
    definitions = {**components, **_grammars()}
    return {"$schema": DRAFT, "title": "Query", **schema, "$defs": definitions}


def _custom(kind: type) -> dict[str, Any]:
    names = {
        Filter: "Filter",
        Audience: "Audience",
        Measure: "Measure",
        FunnelMeasure: "FunnelMeasure",
        RetentionMeasure: "RetentionMeasure",
    }
    if kind not in names:
        raise NotImplementedError(kind)
    return {"$ref": f"#/$defs/{names[kind]}"}


def _write_defaults(struct: type[msgspec.Struct], component: dict[str, Any]) -> None:
    """Puts the default of every optional field into the struct's schema, as JSON values."""
    for field in msgspec.structs.fields(struct):
        if field.default is not msgspec.NODEFAULT:
            component["properties"][field.encode_name]["default"] = plain(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            component["properties"][field.encode_name]["default"] = plain(field.default_factory())


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


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
        "duration": _ref("Length"),
        "nothing": None,
    }


def _predicates(subject: dict[str, Any]) -> list[dict[str, Any]]:
    """One object schema a shape: the subject with the operators that want this ``v``."""
    found = []
    for shape, v in _values().items():
        ops = [op for op, wanted in OPS.items() if wanted == shape]
        properties = {**subject, "op": {"enum": ops}, "v": {"type": "null"} if v is None else v}
        required = [*subject, "op"] + ([] if v is None else ["v"])
        found.append(_object(properties, required))
    return found


def _combiners(name: str) -> list[dict[str, Any]]:
    items = {"type": "array", "items": _ref(name)}
    return [_object({"all": items}), _object({"any": items}), _object({"not": _ref(name)})]


def _grammars() -> dict[str, Any]:
    events = {"e": _ref("EventNames"), "where": _nullable(_ref("Filter"))}
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
    did = _object(
        {**events, "count": _nullable(_object(count, [])), "within": _nullable(_ref("Within"))},
        ["e"],
    )
    steps = {
        "type": "array",
        "items": _object(events, ["e"]),
        "minItems": 2,
        "maxItems": MAX_SEQUENCE_STEPS,
    }
    sequence = _object({"steps": steps, "within": _nullable(_ref("Length"))}, ["steps"])
    audience = [
        *_combiners("Audience"),
        _object({"cohort": text}),
        *_predicates({"tag": text}),
        _object({"user": _ref("UserFilter")}),
        _object({"did": did}),
        _object({"did_not": did}),
        _object({"sequence": sequence}),
    ]
    event_property, user_property = _property("event"), _property("user")
    aggregates = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": {"pattern": f"^({'|'.join(EVENT_AGGREGATES)}|{_QUANTILE})$"},
        "additionalProperties": event_property,
    }
    words = {"type": "string", "pattern": f"^({'|'.join(FUNNEL_WORDS)}|ttc_{_QUANTILE})$"}
    step_sum = _object(
        {"sum": event_property, "step": _nullable({"type": "integer", "minimum": 1})}, ["sum"]
    )
    metric = [_object({"count": _object(events, ["e"])})] + [
        _object({op: event_property, **events}, [op, "e"])
        for op in RETENTION_AGGREGATES
        if op != "count"
    ]
    return {
        "Filter": {"anyOf": [*_combiners("Filter"), *_predicates({"p": _property("event|user")})]},
        "UserFilter": {"anyOf": [*_combiners("UserFilter"), *_predicates({"p": user_property})]},
        "Audience": {"anyOf": audience},
        "EventNames": {
            "anyOf": [
                text,
                {"type": "array", "items": text, "minItems": 1, "maxItems": MAX_EVENT_NAMES},
            ]
        },
        "Length": _object(
            {"n": {"type": "integer", "minimum": 1}, "unit": {"enum": list(UNIT_MS)}}
        ),
        "Within": {"anyOf": [_ref("Length"), _object({"from": text, "to": text})]},
        "Measure": {"anyOf": [{"enum": list(EVENT_WORDS)}, aggregates]},
        "FunnelMeasure": {"anyOf": [words, step_sum]},
        "RetentionMeasure": {"anyOf": metric},
    }
