"""What the OpenAPI document says about plans, data quality, the live view and the quarantine."""

from __future__ import annotations

from typing import Any

_ERROR = {"$ref": "#/components/responses/Error"}
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


def paths() -> dict[str, Any]:
    """Paths of the document."""
    days = [_parameter("from", "first day, 2026-10-01"), _parameter("to", "last day, included")]
    return {
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
