"""The API's routes for cohorts. Reading needs a read key, changing an admin key."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.engine.people.cohort_members import ids_of_csv
from zuji.engine.query.context import Cancel
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from zuji.engine.people.cohorts import Cohorts
    from zuji.server.api.app import Api

BODY_BYTES = 1 << 20
FILE_BYTES = 1 << 28
"""Bytes of a file of ids."""


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/cohorts/refresh``."""

    name: str | None = None
    as_of: str | None = None
    parts: bool = False
    due: bool = False


class Save(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/cohorts/save``: the users behind a cell of an answer."""

    name: str
    query: dict[str, Any]
    pick: dict[str, Any]
    description: str = ""


class Overlap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/cohorts/overlap``."""

    cohorts: tuple[str, ...]
    as_of: str | None = None


class Grouping:
    """Handlers. ``gone``: waits until a request's client has gone away."""

    def __init__(self, api: Api, gone: Any) -> None:
        self._api = api
        self._gone = gone

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        one = "/v1/cohorts/{name}"
        return [
            Route("/v1/cohorts", self.listed),
            Route("/v1/cohorts", self.defined, methods=["PUT"]),
            Route("/v1/cohorts/estimate", self.estimated, methods=["POST"]),
            Route("/v1/cohorts/refresh", self.refreshed, methods=["POST"]),
            Route("/v1/cohorts/save", self.saved, methods=["POST"]),
            Route("/v1/cohorts/overlap", self.overlapping, methods=["POST"]),
            Route(one, self.shown),
            Route(one, self.deleted, methods=["DELETE"]),
            Route(f"{one}/members", self.members),
            Route(f"{one}/export", self.exported),
            Route(f"{one}/contains", self.contains),
            Route(f"{one}/load", self.loaded, methods=["POST"]),
        ]

    def _cohorts(self, request: Request, need: Action) -> Cohorts:
        return self._api.who(request, need)[0].engine.cohorts

    async def listed(self, request: Request) -> Response:
        """``GET /v1/cohorts``: all cohorts."""
        cohorts = self._cohorts(request, Action.ASK)
        return JSONResponse({"cohorts": await asyncio.to_thread(cohorts.all)})

    async def defined(self, request: Request) -> Response:
        """``PUT /v1/cohorts``: defines a cohort by a rule, or changes it, and makes a version."""
        cohorts, body = self._cohorts(request, Action.GROUP), await body_of(request, BODY_BYTES)
        return JSONResponse(await asyncio.to_thread(cohorts.define, body))

    async def estimated(self, request: Request) -> Response:
        """``POST /v1/cohorts/estimate``: how many users a rule has."""
        cohorts, body = self._cohorts(request, Action.ASK), await body_of(request, BODY_BYTES)
        cancel = Cancel()
        found = await self._api.desk.run(
            lambda: cohorts.estimate(body, cancel=cancel), cancel, self._gone(request)
        )
        return JSONResponse(found)

    async def refreshed(self, request: Request) -> Response:
        """``POST /v1/cohorts/refresh``: makes a version; ends when the client goes away."""
        cohorts = self._cohorts(request, Action.GROUP)
        asked: Refresh = read_as(await body_of(request, BODY_BYTES), Refresh)
        if asked.due == (asked.name is not None) or (asked.due and asked != Refresh(due=True)):
            raise InvalidInput("say which: {'name': …}, or {'due': true} alone")
        cancel = Cancel()

        def work() -> list[dict[str, Any]]:
            if asked.name is None:
                return cohorts.refresh_due(cancel)
            made = cohorts.refresh(asked.name, as_of=asked.as_of, parts=asked.parts, cancel=cancel)
            return [{"cohort": asked.name, **made}]

        return JSONResponse({"made": await self._until_gone(request, work, cancel)})

    async def _until_gone(self, request: Request, work: Callable[[], Any], cancel: Cancel) -> Any:
        """Runs on a thread of its own: a refresh takes long and is no query of the desk's."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        gone = asyncio.ensure_future(self._gone(request)())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                cancel.cancel()
            return await task
        finally:
            gone.cancel()

    async def saved(self, request: Request) -> Response:
        """``POST /v1/cohorts/save``: the users behind a cell of an answer, as a fixed list."""
        cohorts = self._cohorts(request, Action.GROUP)
        asked: Save = read_as(await body_of(request, BODY_BYTES), Save)
        shown = await asyncio.to_thread(
            cohorts.save, asked.name, asked.query, asked.pick, description=asked.description
        )
        return JSONResponse(shown)

    async def overlapping(self, request: Request) -> Response:
        """``POST /v1/cohorts/overlap``: how cohorts lie to each other."""
        cohorts = self._cohorts(request, Action.ASK)
        asked: Overlap = read_as(await body_of(request, BODY_BYTES), Overlap)
        found = await asyncio.to_thread(cohorts.overlap, asked.cohorts, as_of=asked.as_of)
        return JSONResponse(found)

    async def shown(self, request: Request) -> Response:
        """``GET /v1/cohorts/{name}``: definition, versions, what it reads, what is made of it."""
        cohorts = self._cohorts(request, Action.ASK)
        return JSONResponse(await asyncio.to_thread(cohorts.show, request.path_params["name"]))

    async def deleted(self, request: Request) -> Response:
        """``DELETE /v1/cohorts/{name}``: ``?cascade=true`` with all that is made of it."""
        cohorts = self._cohorts(request, Action.GROUP)
        text = request.query_params.get("cascade", "false")
        if text not in ("true", "false"):
            raise InvalidInput(f"cascade is true or false, got {text[:40]!r}")
        name = request.path_params["name"]
        gone = await asyncio.to_thread(cohorts.delete, name, cascade=text == "true")
        return JSONResponse({"removed": gone})

    async def members(self, request: Request) -> Response:
        """``GET /v1/cohorts/{name}/members``: a page; ``?after=``, ``&limit=``, ``&id_type=``,
        ``&as_of=``.
        """
        cohorts, asked = self._cohorts(request, Action.ASK), request.query_params
        limit = number_of(request, "limit")
        page = await asyncio.to_thread(
            cohorts.members,
            request.path_params["name"],
            as_of=asked.get("as_of"),
            after=asked.get("after"),
            limit=1_000 if limit is None else limit,
            id_type=asked.get("id_type", "user_id"),
        )
        return JSONResponse(page)

    async def exported(self, request: Request) -> Response:
        """``GET /v1/cohorts/{name}/export``: the ids of all members, one a line under the type's
        name; ``?id_type=``, ``&as_of=``.
        """
        cohorts, asked = self._cohorts(request, Action.ASK), request.query_params
        name, id_type = request.path_params["name"], asked.get("id_type", "user_id")
        ids = cohorts.export(name, as_of=asked.get("as_of"), id_type=id_type)
        first = await asyncio.to_thread(next, ids, None)  # what is wrong is told before any line

        def lines() -> Iterator[str]:
            yield f"{id_type}\n"
            if first is not None:
                yield _cell(first)
                yield from map(_cell, ids)

        return StreamingResponse(lines(), media_type="text/csv")

    async def contains(self, request: Request) -> Response:
        """``GET /v1/cohorts/{name}/contains?id=…``: ``&id_type=``, ``&as_of=``."""
        cohorts, asked = self._cohorts(request, Action.ASK), request.query_params
        if not asked.get("id"):
            raise InvalidInput("say who: ?id=…")
        found = await asyncio.to_thread(
            cohorts.contains,
            request.path_params["name"],
            {asked.get("id_type", "user_id"): asked["id"]},
            as_of=asked.get("as_of"),
        )
        return JSONResponse({"contains": found})

    async def loaded(self, request: Request) -> Response:
        """``POST /v1/cohorts/{name}/load``: a CSV body with a line of names; ``?id_type=``,
        ``&column=``, ``&how=replace|add|remove``, ``&description=``.
        """
        cohorts, asked = self._cohorts(request, Action.GROUP), request.query_params
        body = await body_of(request, FILE_BYTES)
        id_type = asked.get("id_type", "user_id")

        def work() -> dict[str, Any]:
            try:
                text = body.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise InvalidInput(f"the file is not UTF-8: {error}") from None
            ids = ids_of_csv(io.StringIO(text, newline=""), asked.get("column"), id_type)
            return cohorts.load(
                request.path_params["name"],
                ids,
                id_type,
                how=asked.get("how", "replace"),
                description=asked.get("description", ""),
            )

        return JSONResponse(await asyncio.to_thread(work))


def _cell(text: str) -> str:
    """A line of one CSV cell."""
    if any(c in text for c in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text + "\n"
