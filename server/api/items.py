"""The API's routes for items and for the properties that name them. Reading needs a read key,
changing an admin key.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.engine.writer import AppendResult
    from zuji.server.api.app import Api

BODY_BYTES = 16 << 20
_ERROR = {"$ref": "#/components/responses/Error"}


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PATCH /v1/items/{type}``: properties by id, and since when (ms UTC)."""

    items: dict[str, dict[str, Any]]
    time: int | None = None


class ItemRoutes:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        one = "/v1/items/{type}"
        return [
            Route("/v1/items", self.types),
            Route(one, self.listed),
            Route(one, self.changed, methods=["PATCH"]),
            Route(one, self.deleted, methods=["DELETE"]),
            Route("/v1/joins", self.joins),
            Route("/v1/joins", self.joined, methods=["PATCH"]),
            Route("/v1/joins", self.unjoined, methods=["DELETE"]),
        ]

    async def types(self, request: Request) -> Response:
        """``GET /v1/items``: types, how many items each has, and their properties."""
        project, _ = self._api.who(request, Action.ASK)
        return JSONResponse(await asyncio.to_thread(project.engine.items.types))

    async def listed(self, request: Request) -> Response:
        """``GET /v1/items/{type}``: a page, ``?after=``, ``?limit=``; or ``?id=``: that item."""
        project, _ = self._api.who(request, Action.ASK)
        items, name = project.engine.items, request.path_params["type"]
        wanted, after = request.query_params.get("id"), request.query_params.get("after")
        limit = number_of(request, "limit")

        def work() -> dict[str, Any]:
            if wanted is not None:
                return {"id": wanted, "properties": items.get(name, wanted)}
            page = items.page(name, after=after, limit=100 if limit is None else limit)
            return {"items": [{"id": item_id, "properties": one} for item_id, one in page]}

        return _json(await asyncio.to_thread(work))

    async def changed(self, request: Request) -> Response:
        """``PATCH /v1/items/{type}``: sets properties of items; those that are not named stay."""
        project, _ = self._api.who(request, Action.ITEMS)
        given = read_as(await body_of(request, BODY_BYTES), Changes, "send {'items': {id: {…}}}")
        name = request.path_params["type"]
        items = project.engine.items
        done = await asyncio.to_thread(
            lambda: items.set(name, given.items, time=given.time)  # durable when it returns
        )
        return _told(done)

    async def deleted(self, request: Request) -> Response:
        """``DELETE /v1/items/{type}?id=…``: deletes items, as often as ``id`` is given."""
        project, _ = self._api.who(request, Action.ITEMS)
        ids = request.query_params.getlist("id")
        if not ids:
            raise InvalidInput("say which: ?id=…, as often as needed")
        name, time = request.path_params["type"], number_of(request, "time")
        items = project.engine.items
        return _told(await asyncio.to_thread(lambda: items.delete(name, ids, time=time)))

    async def joins(self, request: Request) -> Response:
        """``GET /v1/joins``: the properties that name items, and the type of these."""
        project, _ = self._api.who(request, Action.ASK)
        return JSONResponse(project.engine.items.joins())

    async def joined(self, request: Request) -> Response:
        """``PATCH /v1/joins``: ``{"event.product_id": "product"}``."""
        project, _ = self._api.who(request, Action.ITEMS)
        given = read_as(
            await body_of(request, BODY_BYTES), dict[str, str], "send {'event.NAME': 'type'}"
        )
        items = project.engine.items
        for p, item_type in given.items():
            await asyncio.to_thread(items.join, p, item_type)
        return JSONResponse(items.joins())

    async def unjoined(self, request: Request) -> Response:
        """``DELETE /v1/joins?p=…``: takes joins back; the items stay."""
        project, _ = self._api.who(request, Action.ITEMS)
        names = request.query_params.getlist("p")
        if not names:
            raise InvalidInput("say which: ?p=event.NAME, as often as needed")
        items = project.engine.items
        for p in names:
            await asyncio.to_thread(items.unjoin, p)
        return JSONResponse(items.joins())


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _told(done: AppendResult) -> Response:
    rejected = [
        {"index": r.index, "code": r.reason, "path": r.path, "message": r.message}
        for r in done.rejected
    ]
    return JSONResponse({"accepted": done.accepted, "rejected": rejected})


# -- the OpenAPI document --------------------------------------------------------------------------


def item_paths() -> dict[str, Any]:
    """Paths of the document."""
    path_type = {"name": "type", "in": "path", "required": True, "schema": {"type": "string"}}
    changes = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "object", "additionalProperties": {"type": "object"}},
            "time": {"type": ["integer", "null"]},
        },
    }
    names = {"type": "object", "additionalProperties": {"type": "string"}}
    page = [
        path_type,
        _asked("id", "one item"),
        _asked("after", "id of the item before the page"),
        _asked("limit", "items of the page, 100 if not given", "integer"),
    ]
    gone = [path_type, _asked("id", "of an item; repeated"), _asked("time", "ms UTC", "integer")]
    return {
        "/v1/items": {"get": _route("Types of items", "items")},
        "/v1/items/{type}": {
            "get": _route("Items of a type", "itemsOfType", page),
            "patch": _route("Set properties of items", "setItems", [path_type], changes),
            "delete": _route("Delete items", "deleteItems", gone),
        },
        "/v1/joins": {
            "get": _route("Properties that name items", "joins"),
            "patch": _route("Say that properties name items", "join", None, names),
            "delete": _route("Take joins back", "unjoin", [_asked("p", "a property; repeated")]),
        },
    }


def _asked(name: str, what: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": what, "schema": {"type": kind}}


def _route(
    what: str,
    name: str,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {}}}
    found: dict[str, Any] = {
        "summary": what,
        "operationId": name,
        "parameters": parameters or [],
        "responses": {"200": {"description": what, "content": content}, "default": _ERROR},
    }
    if body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return found
