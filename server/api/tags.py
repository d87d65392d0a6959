"""The API's routes for tags. Reading needs a read key, changing an admin key."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.engine.people.tags.loading import rows_of_csv
from zuji.engine.query.context import Cancel
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from zuji.engine.people.tags.tags import Tags
    from zuji.server.api.app import Api

BODY_BYTES = 1 << 20
FILE_BYTES = 1 << 28
"""Bytes of a CSV file that is loaded."""


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Body of ``POST /v1/tags/refresh``."""

    names: tuple[str, ...] | None = None
    day: str | None = None
    from_: str | None = None
    missing: bool = False
    due: bool = False


class Give(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/tags/{name}/give``: ``users`` by id → value, null takes it back."""

    users: dict[str, str | int | float | bool | None]
    who: str
    id_type: str = "user_id"


class Tagging:
    """Handlers."""

    def __init__(self, api: Api, gone: Any) -> None:
        self._api = api
        self._gone = gone

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        one = "/v1/tags/{name}"
        return [
            Route("/v1/tags", self.listed),
            Route("/v1/tags", self.defined, methods=["PUT"]),
            Route("/v1/graph", self.graph),
            Route("/v1/tags/refresh", self.refreshed, methods=["POST"]),
            Route("/v1/users/tags", self.of_user),
            Route(one, self.shown),
            Route(one, self.deleted, methods=["DELETE"]),
            Route(f"{one}/values", self.values),
            Route(f"{one}/history", self.history),
            Route(f"{one}/give", self.given, methods=["POST"]),
            Route(f"{one}/load", self.loaded, methods=["POST"]),
            Route(f"{one}/archive", self.archived, methods=["POST"]),
        ]

    def _tags(self, request: Request, need: Action) -> Tags:
        return self._api.who(request, need)[0].engine.tags

    async def listed(self, request: Request) -> Response:
        """``GET /v1/tags``: all tags; ``?archived=true``: archived ones, too."""
        tags, archived = self._tags(request, Action.ASK), _truth(request, "archived")
        return JSONResponse({"tags": await asyncio.to_thread(tags.all, archived=archived)})

    async def defined(self, request: Request) -> Response:
        """``PUT /v1/tags``: defines a tag, or changes it."""
        tags, body = self._tags(request, Action.GROUP), await body_of(request, BODY_BYTES)
        return JSONResponse(await asyncio.to_thread(tags.define, body))

    async def graph(self, request: Request) -> Response:
        """``GET /v1/graph``: what is made of what."""
        return JSONResponse(await asyncio.to_thread(self._tags(request, Action.ASK).graph))

    async def refreshed(self, request: Request) -> Response:
        """``POST /v1/tags/refresh``: makes values; ends when the client goes away."""
        tags = self._tags(request, Action.GROUP)
        asked = read_as(await body_of(request, BODY_BYTES) or b"{}", Refresh)
        if asked.due and asked != Refresh(due=True):
            raise InvalidInput("'due' asks the schedules: it stands alone")
        cancel = Cancel()

        def work() -> list[dict[str, Any]]:
            if asked.due:
                return tags.refresh_due(cancel)
            return tags.refresh(
                asked.names,
                day=asked.day,
                from_=asked.from_,
                missing=asked.missing,
                cancel=cancel,
            )

        return JSONResponse({"made": await self._until_gone(request, work, cancel)})

    async def _until_gone(self, request: Request, work: Any, cancel: Cancel) -> Any:
        """Runs on a thread of its own: a refresh takes minutes and is no query of the desk's."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        gone = asyncio.ensure_future(self._gone(request)())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                cancel.cancel()
            return await task
        finally:
            gone.cancel()

    async def of_user(self, request: Request) -> Response:
        """``GET /v1/users/tags?id=…``: the tags of a user; ``&id_type=``, ``&day=``."""
        tags, asked = self._tags(request, Action.ASK), request.query_params
        found = await asyncio.to_thread(
            tags.of_user,
            _needed(request, "id"),
            id_type=asked.get("id_type", "user_id"),
            day=asked.get("day"),
        )
        return JSONResponse({"tags": found})

    async def shown(self, request: Request) -> Response:
        """``GET /v1/tags/{name}``: definition, days, what it reads and what is made of it."""
        tags = self._tags(request, Action.ASK)
        return JSONResponse(await asyncio.to_thread(tags.show, request.path_params["name"]))

    async def deleted(self, request: Request) -> Response:
        """``DELETE /v1/tags/{name}``: ``?cascade=true`` with all that is made of it."""
        tags, cascade = self._tags(request, Action.GROUP), _truth(request, "cascade")
        name = request.path_params["name"]
        gone = await asyncio.to_thread(tags.delete, name, cascade=cascade)
        return JSONResponse({"removed": gone})

    async def values(self, request: Request) -> Response:
        """``GET /v1/tags/{name}/values``: users of each value; ``?day=``, ``&limit=``."""
        tags, limit = self._tags(request, Action.ASK), number_of(request, "limit")
        found = await asyncio.to_thread(
            tags.values,
            request.path_params["name"],
            day=request.query_params.get("day"),
            limit=100 if limit is None else min(limit, 10_000),
        )
        return JSONResponse(found)

    async def history(self, request: Request) -> Response:
        """``GET /v1/tags/{name}/history?id=…``: one user's values over time."""
        tags, asked = self._tags(request, Action.ASK), request.query_params
        rows = await asyncio.to_thread(
            tags.history,
            request.path_params["name"],
            _needed(request, "id"),
            id_type=asked.get("id_type", "user_id"),
        )
        return JSONResponse({"rows": rows})

    async def given(self, request: Request) -> Response:
        """``POST /v1/tags/{name}/give``: values of a manual tag, user by user."""
        tags = self._tags(request, Action.GROUP)
        asked = read_as(await body_of(request, BODY_BYTES), Give)
        count = await asyncio.to_thread(
            tags.give,
            request.path_params["name"],
            list(asked.users.items()),
            asked.who,
            id_type=asked.id_type,
        )
        return JSONResponse({"users": count})

    async def loaded(self, request: Request) -> Response:
        """``POST /v1/tags/{name}/load``: a CSV body with a line of names; ``?day=``, ``&id_type=``,
        ``&id_column=``, ``&value_column=``, ``&add=true``.
        """
        tags, asked = self._tags(request, Action.GROUP), request.query_params
        body = await body_of(request, FILE_BYTES)
        id_type = asked.get("id_type", "user_id")
        add = _truth(request, "add")

        def work() -> dict[str, Any]:
            rows = rows_of_csv(
                _lines(body),
                asked.get("id_column", id_type),
                asked.get("value_column", "value"),
            )
            name = request.path_params["name"]
            loaded = tags.load(name, rows, id_type=id_type, day=asked.get("day"), add=add)
            return {
                "users": loaded.users,
                "cleared": loaded.cleared,
                "unknown": loaded.unknown,
                "unknown_ids": loaded.unknown_ids,
            }

        return JSONResponse(await asyncio.to_thread(work))

    async def archived(self, request: Request) -> Response:
        """``POST /v1/tags/{name}/archive``: takes it out of refreshes; ``?back=true`` undoes it."""
        tags, back = self._tags(request, Action.GROUP), _truth(request, "back")
        name = request.path_params["name"]
        return JSONResponse(await asyncio.to_thread(tags.archive, name, back=back))


def _lines(body: bytes) -> Iterator[str]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the file is not UTF-8: {error}") from None
    return iter(io.StringIO(text, newline=""))


def _truth(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidInput(f"{name} is true or false, got {text[:40]!r}")
    return text == "true"


def _needed(request: Request, name: str) -> str:
    text = request.query_params.get(name)
    if not text:
        raise InvalidInput(f"say which: ?{name}=…")
    return text
