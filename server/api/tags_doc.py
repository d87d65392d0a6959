"""What the OpenAPI document says about tags."""

from __future__ import annotations

from typing import Any

_ERROR = {"$ref": "#/components/responses/Error"}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_DEFINITION = {
    "type": "object",
    "required": ["name", "rule"],
    "properties": {
        "name": {"type": "string"},
        "rule": {"type": "object", "description": "by 'kind': docs/tags.md"},
        "description": {"type": "string"},
        "else": {"type": ["string", "number", "boolean", "null"]},
        "schedule": {"type": ["object", "null"]},
        "keep_days": {"type": "integer"},
    },
}
_REFRESH = {
    "type": "object",
    "properties": {
        "names": {"type": ["array", "null"], "items": {"type": "string"}},
        "day": {"type": ["string", "null"]},
        "from": {"type": ["string", "null"]},
        "missing": {"type": "boolean"},
        "due": {"type": "boolean"},
    },
}
_GIVE = {
    "type": "object",
    "required": ["users", "who"],
    "properties": {
        "users": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "who": {"type": "string"},
        "id_type": {"type": "string"},
    },
}


def _of(name: str, what: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": what, "schema": {"type": kind}}


_ID = [
    {**_of("id", "of a user"), "required": True},
    _of("id_type", "user_id (if not given), device_id, or a typed id such as mobile"),
]
_DAY = _of("day", "2026-10-01, yesterday, today or -7d")


def _route(
    what: str, name: str, parameters: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
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
    archived = _of("archived", "archived ones, too", "boolean")
    one = "/v1/tags/{name}"
    load = [
        _NAME,
        _of("id_type", "type of the ids; user_id if not given"),
        _of("id_column", "column with the ids; named as their type if not given"),
        _of("value_column", "column with the values; value if not given"),
        _DAY,
        _of("add", "onto the values that there are", "boolean"),
    ]
    return {
        "/v1/tags": {
            "get": _route("Tags", "tags", [archived]),
            "put": _route("Define or change a tag (admin key)", "define_tag", **_body(_DEFINITION)),
        },
        "/v1/tags/refresh": {
            "post": _route("Make values of tags (admin key)", "refresh_tags", **_body(_REFRESH))
        },
        "/v1/graph": {"get": _route("What is made of what", "graph")},
        "/v1/users/tags": {"get": _route("The tags of a user", "tags_of_user", [*_ID, _DAY])},
        one: {
            "get": _route("A tag: its definition, days and dependants", "tag", [_NAME]),
            "delete": _route(
                "Remove a tag and its values (admin key)",
                "delete_tag",
                [_NAME, _of("cascade", "with all that is made of it", "boolean")],
            ),
        },
        f"{one}/values": {
            "get": _route(
                "Users of each value",
                "tag_values",
                [_NAME, _DAY, _of("limit", "100 if not given, at most 10,000", "integer")],
            )
        },
        f"{one}/history": {
            "get": _route("A user's values over time", "tag_history", [_NAME, *_ID])
        },
        f"{one}/give": {
            "post": _route(
                "Give users values of a manual tag (admin key)", "give_tag", [_NAME], **_body(_GIVE)
            )
        },
        f"{one}/load": {
            "post": _route(
                "Load the values of an imported tag (admin key)",
                "load_tag",
                load,
                **_body({"type": "string"}, "text/csv"),
            )
        },
        f"{one}/archive": {
            "post": _route(
                "Take a tag out of refreshes and lists (admin key)",
                "archive_tag",
                [_NAME, _of("back", "undo it", "boolean")],
            )
        },
    }
