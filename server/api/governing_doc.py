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


def parameter(name: str, what: str, kind: str = "string") -> dict[str, Any]:
    """A parameter of the query string."""
    return {"name": name, "in": "query", "description": what, "schema": {"type": kind}}


def route(
    what: str, name: str, parameters: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """An operation: what it is for and its name."""
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


def body(schema: dict[str, Any]) -> dict[str, Any]:
    """A body of JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_WHICH = [
    parameter("reason", "only those with this code"),
    parameter("from_ms", "received then or later, ms since 1970", "integer"),
    parameter("to_ms", "received before, ms since 1970", "integer"),
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
    days = [parameter("from", "first day, 2026-10-01"), parameter("to", "last day, included")]
    return {
        "/v1/definitions": {
            "get": route("Virtual events and properties", "definitions"),
            "patch": route(
                "Define or change virtual events and properties (admin key)",
                "define",
                requestBody=body(_DEFINITIONS),
            ),
            "delete": route(
                "Remove definitions (admin key)",
                "undefine",
                [parameter("name", "an event, or event.NAME of a property; repeatable")],
            ),
        },
        "/v1/plan": {
            "get": route(
                "The tracking plan that counts",
                "plan",
                [parameter("version", "an older one", "integer")],
            ),
            "put": route(
                "Set the tracking plan (admin key)",
                "set_plan",
                [
                    parameter("expected", "version that it was made from", "integer"),
                    parameter("note", "why, in a line"),
                ],
                requestBody=body(_PLAN),
            ),
        },
        "/v1/plan/history": {
            "get": route("Versions of the plan, newest first, with changes", "plan_history")
        },
        "/v1/quality": {
            "get": route("What was found, by day, SDK and app version", "quality", days)
        },
        "/v1/rejected": {
            "get": route(
                "Events in the quarantine, oldest first",
                "rejected",
                [
                    *_WHICH,
                    parameter("after", "id of the last one of the page before"),
                    parameter("limit", "100 if not given, at most 1,000", "integer"),
                ],
            ),
            "delete": route(
                "Discard events of the quarantine for good (admin key)",
                "discard_rejected",
                [parameter("id", "of one of them; repeatable"), *_WHICH],
            ),
        },
        "/v1/rejected/replay": {
            "post": route(
                "Store events of the quarantine that can be stored now (admin key)",
                "replay_rejected",
                requestBody=body(_REPLAY),
            )
        },
        "/v1/live": {
            "get": route(
                "Events as they are stored or refused, as server-sent events",
                "live",
                [
                    parameter("device", "only events of this device"),
                    parameter("user", "only events of this user"),
                ],
                kind="text/event-stream",
            )
        },
    }
