"""What the OpenAPI document says about saved analyses and boards."""

from __future__ import annotations

from typing import Any

from zuji.server.api.governing_doc import body, parameter, route

_TEXT = {"type": "string"}
_VERSION = {"type": ["integer", "null"], "description": "the version that it was made from"}
_ID = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
_ANALYSIS = {
    "type": "object",
    "required": ["name", "query"],
    "properties": {
        "name": _TEXT,
        "folder": {"type": "string", "description": "names with / between them"},
        "description": _TEXT,
        "query": {"$ref": "#/components/schemas/Query"},
        "view": {"description": "whatever the console keeps"},
        "expected": _VERSION,
    },
    "additionalProperties": False,
}
_CARD = {
    "type": "object",
    "required": ["id", "kind", "x", "y", "w", "h"],
    "properties": {
        "id": _TEXT,
        "kind": {"enum": ["analysis", "figure", "text"]},
        **{name: {"type": "integer"} for name in ("x", "y", "w", "h")},
        "saved": {"type": ["string", "null"], "description": "id of an analysis"},
        "query": {"anyOf": [{"$ref": "#/components/schemas/Query"}, {"type": "null"}]},
        "view": {},
        "text": {"type": ["string", "null"]},
        "title": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}
_BOARD = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _TEXT,
        "folder": _TEXT,
        "time": {"type": ["object", "null"], "description": "that all cards share"},
        "where": {"type": ["object", "null"], "description": "a filter that all cards share"},
        "refresh_s": {"type": "integer", "description": "0: never"},
        "cards": {"type": "array", "items": _CARD},
        "expected": _VERSION,
    },
    "additionalProperties": False,
}
_LANGUAGE = {
    "type": "object",
    "properties": {"language": {"enum": ["zh", "en"]}},
    "additionalProperties": False,
}


def paths() -> dict[str, Any]:
    """Paths of the document."""
    listing = [
        parameter("q", "text in name, folder or description"),
        parameter("folder", "in this folder"),
        parameter("model", "of this model"),
        parameter("owner", "of this account: its id, or me"),
        parameter("limit", "500 if not given", "integer"),
        parameter("full", "with queries and views", "boolean"),
    ]
    number = {"name": "n", "in": "path", "required": True, "schema": {"type": "integer"}}
    return {
        "/v1/saved": {
            "get": route("Saved analyses, the last changed first", "saved", listing),
            "post": route("Save an analysis", "save", requestBody=body(_ANALYSIS)),
        },
        "/v1/saved/{id}": {
            "get": route("A saved analysis", "saved_analysis", [_ID]),
            "put": route("A new version", "change_saved", [_ID], requestBody=body(_ANALYSIS)),
            "delete": route("Delete it and its versions", "delete_saved", [_ID]),
        },
        "/v1/saved/{id}/versions": {
            "get": route("All versions, newest first", "saved_versions", [_ID])
        },
        "/v1/saved/{id}/versions/{n}/restore": {
            "post": route("An older version, as the newest", "restore_saved", [_ID, number])
        },
        "/v1/boards": {
            "get": route("Boards", "boards"),
            "post": route("Make a board", "make_board", requestBody=body(_BOARD)),
        },
        "/v1/boards/{id}": {
            "get": route("A board, and the analyses that it shows", "board", [_ID]),
            "put": route("Replace a board", "change_board", [_ID], requestBody=body(_BOARD)),
            "delete": route("Delete a board", "delete_board", [_ID]),
        },
        "/v1/board-templates": {"get": route("Boards that can be made", "board_templates")},
        "/v1/board-templates/{name}": {
            "post": route(
                "Make a board from the events that are there",
                "board_from_template",
                [{"name": "name", "in": "path", "required": True, "schema": _TEXT}],
                requestBody=body(_LANGUAGE),
            )
        },
    }
