"""The API's routes for virtual events and properties. Reading needs a read key, changing an admin
key.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, read_as

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.server.api.app import Api

BODY_BYTES = 1 << 20


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PATCH /v1/definitions``."""

    events: dict[str, Any] = {}
    properties: dict[str, Any] = {}


class Defining:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/definitions", self.shown),
            Route("/v1/definitions", self.changed, methods=["PATCH"]),
            Route("/v1/definitions", self.removed, methods=["DELETE"]),
        ]

    async def shown(self, request: Request) -> Response:
        """``GET /v1/definitions``: virtual events and properties."""
        project, _ = self._api.who(request, Action.ASK)
        return JSONResponse(project.engine.definitions())

    async def changed(self, request: Request) -> Response:
        """``PATCH /v1/definitions``: adds definitions, or changes those of the same name."""
        project, _ = self._api.who(request, Action.DEFINE)
        given = read_as(
            await body_of(request, BODY_BYTES), Changes, "send {'events': …, 'properties': …}"
        )
        engine = project.engine
        await asyncio.to_thread(engine.define, given.events, given.properties)
        return JSONResponse(engine.definitions())

    async def removed(self, request: Request) -> Response:
        """``DELETE /v1/definitions?name=…``: takes definitions away."""
        project, _ = self._api.who(request, Action.DEFINE)
        names = request.query_params.getlist("name")
        if not names:
            raise InvalidInput("say which: ?name=…, as often as needed")
        await asyncio.to_thread(project.engine.undefine, *names)
        return JSONResponse(project.engine.definitions())
