"""What the OpenAPI document says about erasures, exports of a person and time to live."""

from __future__ import annotations

from typing import Any

from zuji.server.api.governing_doc import body, parameter, route

_PERSON = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "one id: user_id, device_id, or a typed id such as $identity_mobile",
}
_ERASING = {
    "type": "object",
    "required": ["people"],
    "additionalProperties": False,
    "properties": {
        "people": {"type": "array", "items": _PERSON},
        "by": {"type": "string", "description": "who asked; else the key"},
        "reason": {"type": "string"},
        "purge": {"type": "boolean", "description": "remove the bytes before the answer"},
    },
}
_MONTHS = {"type": ["integer", "null"], "minimum": 1}
_TTL = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "months": _MONTHS,
        "events": {"type": "object", "additionalProperties": _MONTHS},
    },
}
_APPLYING = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"by": {"type": "string"}, "dry_run": {"type": "boolean"}},
}
_SETTINGS = {
    "type": "object",
    "required": ["erased_ids"],
    "additionalProperties": False,
    "properties": {"erased_ids": {"enum": ["accept", "refuse"]}},
}
_LINES = "application/x-ndjson"


def paths() -> dict[str, Any]:
    """Paths of the document."""
    return {
        "/v1/erasures": {
            "get": route(
                "The ledger of erasures, oldest first (admin key)",
                "erasures",
                [
                    parameter("after", "number of the last one of the page before", "integer"),
                    parameter("limit", "100 if not given, at most 1,000", "integer"),
                ],
            ),
            "post": route("Erase people (admin key)", "erase", requestBody=body(_ERASING)),
        },
        "/v1/erasures/purge": {
            "post": route("Remove erased people's bytes from all files (admin key)", "purge")
        },
        "/v1/erasures/ledger": {
            "get": route("The ledger, to be kept beside backups", "ledger", kind=_LINES)
        },
        "/v1/erasures/replay": {
            "post": route(
                "Carry out what a ledger says, after a backup was restored (admin key)",
                "replay_ledger",
                requestBody={"content": {_LINES: {"schema": {"type": "string"}}}},
            )
        },
        "/v1/erasures/settings": {
            "get": route("What becomes of erased ids that come again", "erasure_settings"),
            "put": route(
                "Accept erased ids that come again, or refuse them (admin key)",
                "set_erasure_settings",
                requestBody=body(_SETTINGS),
            ),
        },
        "/v1/users/export": {
            "post": route(
                "Everything that is held about a person (admin key)",
                "export_user",
                [parameter("form", "lines (the default) or zip")],
                requestBody=body(_PERSON),
                kind=_LINES,
            )
        },
        "/v1/ttl": {
            "get": route("Time to live: settings, what would go, what went", "ttl"),
            "put": route(
                "Set how many months events live (admin key)", "set_ttl", requestBody=body(_TTL)
            ),
        },
        "/v1/ttl/apply": {
            "post": route(
                "Remove events that have lived for long enough (admin key)",
                "apply_ttl",
                requestBody={**body(_APPLYING), "required": False},
            )
        },
    }
