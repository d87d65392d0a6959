"""What the OpenAPI document says about identity."""

from __future__ import annotations

from typing import Any

from zuji.server.api.governing_doc import body, parameter, route

_SAYING = {
    "type": "object",
    "required": ["what", "device_id"],
    "additionalProperties": False,
    "properties": {
        "what": {"enum": ["bind", "unbind", "undo"]},
        "device_id": {"type": "string", "description": "or a typed id: $identity_mobile+138"},
        "user_id": {
            "type": ["string", "null"],
            "description": "the customer; an unbind without one parts everybody",
        },
        "time": {
            "type": ["integer", "string", "null"],
            "description": "from when on: ms since 1970 or RFC 3339; now if not given",
        },
        "by": {"type": "string", "description": "who says so; else the key"},
        "why": {"type": "string"},
    },
}
_SETTING = {
    "type": "object",
    "required": ["shared_device"],
    "additionalProperties": False,
    "properties": {
        "shared_device": {"enum": ["device", "first_owner", "last_login"]},
        "by": {"type": "string"},
    },
}
_LIMIT = parameter("limit", "100 if not given, at most 1,000", "integer")


def paths() -> dict[str, Any]:
    """Paths of the document."""
    return {
        "/v1/identity": {
            "get": route(
                "Whose an id is: its customers or devices, since when",
                "identity",
                [parameter("id", "an id of a customer or a device")],
            ),
            "post": route(
                "Bind, unbind or undo by hand (admin key)",
                "say_identity",
                requestBody=body(_SAYING),
            ),
        },
        "/v1/identity/log": {
            "get": route(
                "What was said by hand, oldest first",
                "identity_log",
                [parameter("after", "n of the last one of the page before", "integer"), _LIMIT],
            )
        },
        "/v1/identity/conflicts": {
            "get": route(
                "Moments at which a device came to be shared",
                "identity_conflicts",
                [parameter("device_id", "of this device alone"), _LIMIT],
            )
        },
        "/v1/identity/settings": {
            "get": route("Whose the events of shared devices are", "identity_settings"),
            "put": route(
                "Change whose they are (admin key)",
                "set_identity",
                requestBody=body(_SETTING),
            ),
        },
    }
