"""``GET /v1/users/profile``: who a user is: properties, tags and cohorts, as they are now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.server.accounts.permissions import Action
from zuji.server.api.governing_doc import parameter, route

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.engine.engine import Engine
    from zuji.server.api.app import Api

IDS = ("user_id", "device_id")


class Profiles:
    """Handler."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [Route("/v1/users/profile", self.profile)]

    async def profile(self, request: Request) -> Response:
        """``GET /v1/users/profile?user_id=…`` or ``?device_id=…``."""
        project, _ = self._api.who(request, Action.ASK)
        named = {kind: request.query_params[kind] for kind in IDS if kind in request.query_params}
        if len(named) != 1:
            raise InvalidInput("say whose: ?user_id=… or ?device_id=…")
        found = await asyncio.to_thread(_known, project.engine, named)
        return Response(msgspec.json.encode(found, enc_hook=str), media_type="application/json")


def _known(engine: Engine, named: dict[str, str]) -> dict[str, Any]:
    ((kind, own_id),) = named.items()
    return {
        "properties": engine.people.profile(named),
        "tags": engine.tags.of_user(own_id, id_type=kind),
        "cohorts": [
            one["name"]
            for one in engine.cohorts.all()
            if one["at_ms"] is not None and engine.cohorts.contains(one["name"], named)
        ],
    }


def paths() -> dict[str, Any]:
    """Its part of the OpenAPI document."""
    told = "Properties, tags and cohorts of a user, as they are now"
    parameters = [parameter("user_id", "whose"), parameter("device_id", "or of this device")]
    return {"/v1/users/profile": {"get": route(told, "user_profile", parameters)}}
