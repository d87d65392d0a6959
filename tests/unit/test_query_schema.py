"""The JSON Schema says what the parser says."""

import json
import re

import pytest

from tests.unit.test_query_parse import EVENT, FUNNEL, REFUSED, RETENTION, changed
from zuji.engine.query.analyses import ANALYSES
from zuji.engine.query.filter_ast import OPS
from zuji.engine.query.schema import json_schema, structs

SCHEMA = json_schema()


def valid(value, schema):
    """As much of draft 2020-12 as the schema uses; an unknown keyword is a failure."""
    known = {
        "$ref",
        "anyOf",
        "enum",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "pattern",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "title",
        "description",
        "default",
        "discriminator",
        "$schema",
        "$defs",
    }
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema and not valid(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]):
        return False
    if "anyOf" in schema and not any(valid(value, each) for each in schema["anyOf"]):
        return False
    if "enum" in schema and not any(value == e and type(value) is type(e) for e in schema["enum"]):
        return False
    if "type" in schema and not has_type(value, schema["type"]):
        return False
    if isinstance(value, dict):
        return valid_object(value, schema)
    if isinstance(value, list):
        return valid_array(value, schema)
    if isinstance(value, str):
        return (
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9)
            and re.search(schema.get("pattern", ""), value) is not None
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return schema.get("minimum", -(10**30)) <= value <= schema.get("maximum", 10**30)
    return True


def has_type(value, names):
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    for name in [names] if isinstance(names, str) else names:
        fits = isinstance(value, kinds[name])
        if fits and not (isinstance(value, bool) and name in ("integer", "number")):
            return True
    return False


def valid_object(value, schema):
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties", True)
    return (
        set(schema.get("required", ())) <= set(value)
        and schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 10**9)
        and all(valid(key, schema.get("propertyNames", {})) for key in value)
        and all(
            valid(item, properties[key])
            if key in properties
            else extra is not False and (extra is True or valid(item, extra))
            for key, item in value.items()
        )
    )


def valid_array(value, schema):
    first = schema.get("prefixItems", [])
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
        return False
    for i, item in enumerate(value):
        wanted = first[i] if i < len(first) else schema.get("items", {})
        if wanted is False or not valid(item, wanted):
            return False
    return True


@pytest.mark.parametrize("document", [FUNNEL, EVENT, RETENTION])
def test_good_queries_are_valid(document):
    assert valid(document, SCHEMA)


@pytest.mark.parametrize("document", [FUNNEL, EVENT, RETENTION])
def test_echoed_queries_are_valid(document):
    from zuji.engine.query.parse import echo, parse

    assert valid(echo(parse(document)), SCHEMA)


# What only the parser sees: checks across fields, dates, zones, patterns, names.
CROSS = (
    "month",
    "before 'from'",
    "expected a date",
    "Asia/Shanghai",
    "1900",
    "RE2",
    "both",
    "64 bits",
    "time.grain",
    "twice",
    "3 steps",
    "at the event",
    "ascend",
    "with steps",
    "or with an 'audience'",
    "'-1M'",
    "stands alone",
    "first step",
    "in order",
    "needs an order",
    "366 days",
    "no 'n'",
    "missing: step 2",
    "'event.NAME'",
    "cannot be held",
    "1 to 3",
    "is taken",
    "unknown series",
    "'week' or 'month'",
    "0 to 30",
    "empty",
    "takes no 'v'",
    "event names",
)


@pytest.mark.parametrize(("document", "at", "value", "path", "text"), REFUSED)
def test_refused_queries_are_invalid_where_a_schema_can_say_so(document, at, value, path, text):
    if not any(word in text for word in CROSS):
        assert not valid(changed(document, at, value), SCHEMA)


def test_every_reference_resolves_and_every_operator_is_named():
    text = json.dumps(SCHEMA)
    for name in re.findall(r'"#/\$defs/(\w+)"', text):
        assert name in SCHEMA["$defs"]
    for op in OPS:
        assert f'"{op}"' in text
    for model in ANALYSES.values():
        assert set(structs(model.query)) <= set(SCHEMA["$defs"])


def test_every_optional_field_states_its_default():
    for name in ("EventQuery", "FunnelBody", "RetentionBody", "Series", "Time", "By", "Top"):
        definition = SCHEMA["$defs"][name]
        for field, schema in definition["properties"].items():
            assert field in definition["required"] or "default" in schema, (name, field)
    assert SCHEMA["$defs"]["FunnelBody"]["properties"]["measure"]["default"] == [
        "count",
        "rate",
        "step_rate",
        "dropped",
    ]
    json.dumps(SCHEMA, allow_nan=False)
