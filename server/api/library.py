"""The API's routes for saved analyses and boards. Looking needs what asking needs, changing
``save``; deleting what is somebody else's, an administrator.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.accounts.book import LANGUAGES
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as, truth_of
from zuji.server.errors import Forbidden
from zuji.server.library import boards, saved, templates

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.server.api.app import Api
    from zuji.server.api.callers import Caller

BODY_BYTES = 1 << 20


class Making(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/board-templates/{name}``."""

    language: str = "zh"


class Library:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        one, board = "/v1/saved/{id}", "/v1/boards/{id}"
        return [
            Route("/v1/saved", self.listed),
            Route("/v1/saved", self.save, methods=["POST"]),
            Route(one, self.shown),
            Route(one, self.changed, methods=["PUT"]),
            Route(one, self.removed, methods=["DELETE"]),
            Route(f"{one}/versions", self.versions),
            Route(f"{one}/versions/{{n}}/restore", self.restored, methods=["POST"]),
            Route("/v1/boards", self.boards),
            Route("/v1/boards", self.make_board, methods=["POST"]),
            Route(board, self.board),
            Route(board, self.change_board, methods=["PUT"]),
            Route(board, self.remove_board, methods=["DELETE"]),
            Route("/v1/board-templates", self.templates),
            Route("/v1/board-templates/{name}", self.from_template, methods=["POST"]),
        ]

    async def listed(self, request: Request) -> Response:
        """``GET /v1/saved``: ``?q=``, ``?folder=``, ``?model=``, ``?owner=`` (an id, or me),
        ``?limit=``; ``?full=true`` with queries and views.
        """
        project, caller = self._api.who(request, Action.ASK)
        given, limit = request.query_params, number_of(request, "limit")
        owner = given.get("owner")
        asked = saved.Asked(
            given.get("q", "")[:200],
            given.get("folder"),
            given.get("model"),
            _owner(caller) if owner == "me" else owner,
            saved.LISTED if limit is None else limit,
            truth_of(request, "full"),
        )
        return await self._answer(saved.listed, project.name, asked)

    async def save(self, request: Request) -> Response:
        """``POST /v1/saved``: a new one."""
        project, caller = self._api.who(request, Action.SAVE)
        asked: saved.Analysis = read_as(await body_of(request, BODY_BYTES), saved.Analysis)
        return await self._answer(saved.make, project.name, asked, _owner(caller), caller.by)

    async def shown(self, request: Request) -> Response:
        """``GET /v1/saved/{id}``: one, whole."""
        project, _ = self._api.who(request, Action.ASK)
        return await self._answer(saved.show, project.name, request.path_params["id"])

    async def changed(self, request: Request) -> Response:
        """``PUT /v1/saved/{id}``: a new version of it."""
        project, caller = self._api.who(request, Action.SAVE)
        asked: saved.Analysis = read_as(await body_of(request, BODY_BYTES), saved.Analysis)
        name = request.path_params["id"]
        return await self._answer(saved.change, project.name, name, asked, caller.by)

    async def removed(self, request: Request) -> Response:
        """``DELETE /v1/saved/{id}``: with all its versions."""
        project, caller = self._api.who(request, Action.SAVE)
        name, store = request.path_params["id"], self._api.store

        def work() -> None:
            owner = saved.show(store, project.name, name)["owner"]
            _check_own(caller, "" if owner is None else owner["id"])
            saved.remove(store, project.name, name)

        await asyncio.to_thread(work)
        return JSONResponse({"removed": name})

    async def versions(self, request: Request) -> Response:
        """``GET /v1/saved/{id}/versions``: all versions, newest first, whole."""
        project, _ = self._api.who(request, Action.ASK)
        name = request.path_params["id"]
        found = await asyncio.to_thread(saved.versions, self._api.store, project.name, name)
        return JSONResponse({"versions": found})

    async def restored(self, request: Request) -> Response:
        """``POST /v1/saved/{id}/versions/{n}/restore``: an older version, as the newest."""
        project, caller = self._api.who(request, Action.SAVE)
        name, number = request.path_params["id"], request.path_params["n"]
        if not number.isdecimal() or not number.isascii() or len(number) > 9:
            raise NotFound(f"there is no version {number[:20]!r} of it")
        return await self._answer(saved.restore, project.name, name, int(number), caller.by)

    # -- boards --------------------------------------------------------------------------------

    async def boards(self, request: Request) -> Response:
        """``GET /v1/boards``: all boards by folder and name, without their cards."""
        project, _ = self._api.who(request, Action.ASK)
        found = await asyncio.to_thread(boards.listed, self._api.store, project.name)
        return JSONResponse({"boards": found})

    async def make_board(self, request: Request) -> Response:
        """``POST /v1/boards``: a new one."""
        project, caller = self._api.who(request, Action.SAVE)
        asked: boards.Board = read_as(await body_of(request, BODY_BYTES), boards.Board)
        return await self._answer(boards.make, project.name, asked, _owner(caller), caller.by)

    async def board(self, request: Request) -> Response:
        """``GET /v1/boards/{id}``: one, and the saved analyses that it shows."""
        project, _ = self._api.who(request, Action.ASK)
        return await self._answer(boards.show, project.name, request.path_params["id"])

    async def change_board(self, request: Request) -> Response:
        """``PUT /v1/boards/{id}``: replaces it."""
        project, caller = self._api.who(request, Action.SAVE)
        asked: boards.Board = read_as(await body_of(request, BODY_BYTES), boards.Board)
        name = request.path_params["id"]
        return await self._answer(boards.change, project.name, name, asked, caller.by)

    async def remove_board(self, request: Request) -> Response:
        """``DELETE /v1/boards/{id}``: the analyses on it stay."""
        project, caller = self._api.who(request, Action.SAVE)
        name, store = request.path_params["id"], self._api.store

        def work() -> None:
            _check_own(caller, boards.owner(store, project.name, name))
            boards.remove(store, project.name, name)

        await asyncio.to_thread(work)
        return JSONResponse({"removed": name})

    async def templates(self, request: Request) -> Response:
        """``GET /v1/board-templates``: boards that can be made of what a project has."""
        self._api.who(request, Action.ASK)
        return JSONResponse({"templates": templates.told()})

    async def from_template(self, request: Request) -> Response:
        """``POST /v1/board-templates/{name}``: makes one, from the events that are there."""
        project, caller = self._api.who(request, Action.SAVE)
        asked: Making = read_as(await body_of(request, BODY_BYTES) or b"{}", Making)
        if asked.language not in LANGUAGES:
            raise InvalidInput(f"language is one of {', '.join(LANGUAGES)}")
        name, store = request.path_params["name"], self._api.store

        def work() -> dict[str, Any]:
            return templates.make(
                store,
                project.name,
                name,
                asked.language,
                project.engine.events(),
                tz=project.engine.status()["tz"],
                owner=_owner(caller),
                by=caller.by,
            )

        return JSONResponse(await asyncio.to_thread(work))

    async def _answer(self, call: Any, *arguments: Any) -> Response:
        return JSONResponse(await asyncio.to_thread(call, self._api.store, *arguments))


def _owner(caller: Caller) -> str:
    return "" if caller.account is None else caller.account.id


def _check_own(caller: Caller, owner: str) -> None:
    """Raises:
    Forbidden: it is somebody else's, and this is no administrator.
    """
    if owner not in ("", _owner(caller)) and not caller.may(Action.ACCOUNTS, None):
        raise Forbidden("somebody else made it: ask them, or an administrator, to delete it")
