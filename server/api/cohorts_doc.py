"""What the OpenAPI document says about cohorts."""

from __future__ import annotations

from typing import Any

_ERROR = {"$ref": "#/components/responses/Error"}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_DEFINITION = {
    "type": "object",
    "required": ["name", "rule"],
    "properties": {
        "name": {"type": "string"},
        "rule": {"type": "object", "description": "an audience: docs/query.md"},
        "description": {"type": "string"},
        "schedule": {"type": ["object", "null"]},
        "time": {"type": "object"},
        "versions": {"type": "integer"},
    },
}
_REFRESH = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"]},
        "as_of": {"type": ["string", "null"]},
        "parts": {"type": "boolean"},
        "due": {"type": "boolean"},
    },
}
_SAVE = {
    "type": "object",
    "required": ["name", "query", "pick"],
    "properties": {
        "name": {"type": "string"},
        "query": {"type": "object"},
        "pick": {"type": "object"},
        "description": {"type": "string"},
    },
}
_OVERLAP = {
    "type": "object",
    "required": ["cohorts"],
    "properties": {
        "cohorts": {"type": "array", "items": {"type": "string"}},
        "as_of": {"type": ["string", "null"]},
    },
}
_RULE = {"type": "object", "description": "an audience, or a definition with 'rule' and 'time'"}


def _of(name: str, what: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": what, "schema": {"type": kind}}


_ID_TYPE = _of("id_type", "user_id (if not given), device_id or a typed id: $identity_mobile")
_AS_OF = _of("as_of", "the version in force at a date or instant; the newest if not given")


def _route(
    what: str,
    name: str,
    parameters: list[dict[str, Any]] | None = None,
    answer: str = "application/json",
    **more: Any,
) -> dict[str, Any]:
    kind = "object" if answer == "application/json" else "string"
    content = {answer: {"schema": {"type": kind}}}
    return {
        "summary": what,
        "operationId": name,
        "parameters": parameters or [],
        "responses": {"200": {"description": what, "content": content}, "default": _ERROR},
        **more,
    }


def _body(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}


def paths() -> dict[str, Any]:
    """Paths of the document."""
    one = "/v1/cohorts/{name}"
    page = [
        _NAME,
        _of("after", "cursor: 'next' of the page before"),
        _of("limit", "1,000 if not given, at most 10,000", "integer"),
        _ID_TYPE,
        _AS_OF,
    ]
    load = [
        _NAME,
        _ID_TYPE,
        _of("column", "column with the ids; named as their type, or the only one, if not given"),
        _of("how", "replace (if not given), add or remove"),
        _of("description", "of a new list"),
    ]
    return {
        "/v1/cohorts": {
            "get": _route("Cohorts", "cohorts"),
            "put": _route(
                "Define or change a cohort (admin key)", "define_cohort", **_body(_DEFINITION)
            ),
        },
        "/v1/cohorts/estimate": {
            "post": _route("Users of a rule, for an editor", "estimate_cohort", **_body(_RULE))
        },
        "/v1/cohorts/refresh": {
            "post": _route("Make a version (admin key)", "refresh_cohort", **_body(_REFRESH))
        },
        "/v1/cohorts/save": {
            "post": _route(
                "Save the users behind a cell of an answer (admin key)",
                "save_cohort",
                **_body(_SAVE),
            )
        },
        "/v1/cohorts/overlap": {
            "post": _route("How cohorts lie to each other", "overlap", **_body(_OVERLAP))
        },
        one: {
            "get": _route("A cohort: its definition, versions, dependants", "cohort", [_NAME]),
            "delete": _route(
                "Remove a cohort and its versions (admin key)",
                "delete_cohort",
                [_NAME, _of("cascade", "with all that is made of it", "boolean")],
            ),
        },
        f"{one}/members": {"get": _route("A page of members", "cohort_members", page)},
        f"{one}/export": {
            "get": _route(
                "Ids of all members", "export_cohort", [_NAME, _ID_TYPE, _AS_OF], "text/csv"
            )
        },
        f"{one}/contains": {
            "get": _route(
                "Whether somebody is a member",
                "in_cohort",
                [_NAME, {**_of("id", "of a user"), "required": True}, _ID_TYPE, _AS_OF],
            )
        },
        f"{one}/load": {
            "post": _route(
                "Make or change a fixed list of ids (admin key)",
                "load_cohort",
                load,
                **_body({"type": "string"}, "text/csv"),
            )
        },
    }
