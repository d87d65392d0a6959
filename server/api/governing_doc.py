"""What the OpenAPI document says about definitions, plans, quality, live view and quarantine."""

from __future__ import annotations

from typing import Any

_ERROR = {"$ref": "#/components/responses/Error"}
_DEFINITIONS = {
    "type": "object",
    "properties": {"events": {"type": "object"}, "properties": {"type": "object"}},
    "additionalProperties": False,
    "description": "virtual events and properties by name: docs/virtual.md",
}
_PLAN = {"type": "object", "description": "a tracking plan: docs/plan.md"}


def _parameter(name: str, what: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": what, "schema": {"type": kind}}


def _route(
    what: str, name: str, parameters: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    kind = more.pop("kind", "application/json")
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    content = {kind: {"schema": schema}}
    return {
        "summary": what,
        "operationId": name,
        "parameters": parameters or [],
        "responses": {"200": {"description": what, "content": content}, "default": _ERROR},
        **more,
    }


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_WHICH = [
    _parameter("reason", "only those with this code"),
    _parameter("from_ms", "received then or later, ms since 1970", "integer"),
    _parameter("to_ms", "received before, ms since 1970", "integer"),
]
_NAMES = {"type": "object", "additionalProperties": {"type": "string"}}
_REPLAY = {
    "type": "object",
    "properties": {
        "ids": {"type": "array", "items": {"type": "string"}},
        "reason": {"type": "string"},
        "from_ms": {"type": "integer"},
        "to_ms": {"type": "integer"},
        "dry_run": {"type": "boolean"},
        "mend": {
            "type": "object",
            "properties": {
                "rename_event": _NAMES,
                "rename_property": _NAMES,
                "drop": {"type": "array", "items": {"type": "string"}},
                "set": {"type": "object"},
                "time_free": {"type": "boolean"},
            },
        },
    },
}


def paths() -> dict[str, Any]:
    """Paths of the document."""
    days = [_parameter("from", "first day, 2026-10-01"), _parameter("to", "last day, included")]
    return {
        "/v1/definitions": {
            "get": _route("Virtual events and properties", "definitions"),
            "patch": _route(
                "Define or change virtual events and properties (admin key)",
                "define",
                requestBody=_body(_DEFINITIONS),
            ),
            "delete": _route(
                "Remove definitions (admin key)",
                "undefine",
                [_parameter("name", "an event, or event.NAME of a property; repeatable")],
            ),
        },
        "/v1/plan": {
            "get": _route(
                "The tracking plan that counts",
                "plan",
                [_parameter("version", "an older one", "integer")],
            ),
            "put": _route(
                "Set the tracking plan (admin key)",
                "set_plan",
                [
                    _parameter("expected", "version that it was made from", "integer"),
                    _parameter("note", "why, in a line"),
                ],
                requestBody=_body(_PLAN),
            ),
        },
        "/v1/plan/history": {
            "get": _route("Versions of the plan, newest first, with changes", "plan_history")
        },
        "/v1/quality": {
            "get": _route("What was found, by day, SDK and app version", "quality", days)
        },
        "/v1/rejected": {
            "get": _route(
                "Events in the quarantine, oldest first",
                "rejected",
                [
                    *_WHICH,
                    _parameter("after", "id of the last one of the page before"),
                    _parameter("limit", "100 if not given, at most 1,000", "integer"),
                ],
            ),
            "delete": _route(
                "Discard events of the quarantine for good (admin key)",
                "discard_rejected",
                [_parameter("id", "of one of them; repeatable"), *_WHICH],
            ),
        },
        "/v1/rejected/replay": {
            "post": _route(
                "Store events of the quarantine that can be stored now (admin key)",
                "replay_rejected",
                requestBody=_body(_REPLAY),
            )
        },
        "/v1/live": {
            "get": _route(
                "Events as they are stored or refused, as server-sent events",
                "live",
                [
                    _parameter("device", "only events of this device"),
                    _parameter("user", "only events of this user"),
                ],
                kind="text/event-stream",
            )
        },
    }
