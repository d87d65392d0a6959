"""What the OpenAPI document says about signing in."""

from __future__ import annotations

from typing import Any

from zuji.server.api.governing_doc import body, route

ACCOUNT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "login": {"type": "string"},
        "name": {"type": "string"},
        "role": {"enum": ["administrator", "analyst", "viewer"]},
        "language": {"enum": ["zh", "en"]},
    },
}
_SIGN_IN = {
    "type": "object",
    "required": ["login", "password"],
    "properties": {"login": {"type": "string"}, "password": {"type": "string"}},
    "additionalProperties": False,
}
_PASSWORD = {
    "type": "object",
    "required": ["old", "new"],
    "properties": {"old": {"type": "string"}, "new": {"type": "string"}},
    "additionalProperties": False,
}
_MINE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "language": {"enum": ["zh", "en"]}},
    "additionalProperties": False,
}


def paths() -> dict[str, Any]:
    """Paths of the document."""
    return {
        "/v1/auth/sign-in": {
            "post": route(
                "Sign in: a session in a cookie, and the csrf of its pages",
                "sign_in",
                requestBody=body(_SIGN_IN),
                security=[],
            )
        },
        "/v1/auth/sign-out": {"post": route("End this session", "sign_out")},
        "/v1/auth/sign-out-everywhere": {
            "post": route("End all sessions of the account", "sign_out_everywhere")
        },
        "/v1/auth/me": {
            "get": route("Who is signed in, what they may do, and the projects", "me"),
            "patch": route("The own name and language", "change_me", requestBody=body(_MINE)),
        },
        "/v1/auth/password": {
            "post": route(
                "Set a password: the other sessions end",
                "set_password",
                requestBody=body(_PASSWORD),
            )
        },
    }
