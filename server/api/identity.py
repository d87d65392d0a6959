"""The API's routes about identity: whose an id is, and saying otherwise by hand. Looking needs a
read key, saying an admin key.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.calendars import parse_instant
from zuji.engine.errors import InvalidInput
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.engine.people.identities import Identities
    from zuji.server.api.app import Api

BODY_BYTES = 64 << 10
LISTED = 100
MOST_LISTED = 1_000


class Saying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/identity``. ``time``: ms UTC or RFC 3339; now when it is not given. An
    unbind without ``user_id`` parts the device from everybody. ``by``: else the key.
    """

    what: Literal["bind", "unbind", "undo"]
    device_id: str
    user_id: str | None = None
    time: int | str | None = None
    by: str = ""
    why: str = ""


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /v1/identity/settings``."""

    shared_device: str
    by: str = ""


class Identity:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/identity", self.shown),
            Route("/v1/identity", self.said, methods=["POST"]),
            Route("/v1/identity/log", self.log),
            Route("/v1/identity/conflicts", self.conflicts),
            Route("/v1/identity/settings", self.settings),
            Route("/v1/identity/settings", self.set, methods=["PUT"]),
        ]

    async def shown(self, request: Request) -> Response:
        """``GET /v1/identity?id=…``: what is known of an id; of a typed one ``&type=…``."""
        project, _ = self._api.who(request, Action.ASK)
        asked = request.query_params.get("id")
        if not asked:
            raise InvalidInput("say which: ?id=…")
        typed = request.query_params.get("type")
        return JSONResponse(await asyncio.to_thread(project.engine.identity.of, asked, typed))

    async def said(self, request: Request) -> Response:
        """``POST /v1/identity``: binds, unbinds or undoes; the entry of the log."""
        project, caller = self._api.who(request, Action.IDENTITY)
        asked = read_as(await body_of(request, BODY_BYTES), Saying)
        by = asked.by or caller.by
        return JSONResponse(await asyncio.to_thread(say, project.engine.identity, asked, by))

    async def log(self, request: Request) -> Response:
        """``GET /v1/identity/log``: what was said by hand, oldest first; ``?after=N&limit=N``."""
        project, _ = self._api.who(request, Action.ASK)
        after, limit = number_of(request, "after") or 0, _limit(request)
        rows = await asyncio.to_thread(project.engine.identity.log, after=after, limit=limit)
        return JSONResponse({"rows": rows})

    async def conflicts(self, request: Request) -> Response:
        """``GET /v1/identity/conflicts``: moments at which a device came to be shared; of one
        ``?device_id=``.
        """
        project, _ = self._api.who(request, Action.ASK)
        device, limit = request.query_params.get("device_id"), _limit(request)

        def read() -> dict[str, Any]:
            found = [
                one
                for one in project.engine.identity.conflicts()
                if device is None or one["device_id"] == device
            ]
            return {"rows": found[:limit], "count": len(found)}

        return JSONResponse(await asyncio.to_thread(read))

    async def settings(self, request: Request) -> Response:
        """``GET /v1/identity/settings``."""
        project, _ = self._api.who(request, Action.ASK)
        return JSONResponse({"shared_device": project.engine.identity.shared_device})

    async def set(self, request: Request) -> Response:
        """``PUT /v1/identity/settings``: whose the events of shared devices are."""
        project, caller = self._api.who(request, Action.IDENTITY)
        asked = read_as(await body_of(request, BODY_BYTES), Setting)
        identity, by = project.engine.identity, asked.by or caller.by
        await asyncio.to_thread(identity.set_shared_device, asked.shared_device, by=by)
        return JSONResponse({"shared_device": identity.shared_device})


def say(identity: Identities, asked: Saying, by: str) -> dict[str, Any]:
    """Says it; the entry of the log.

    Raises:
        InvalidInput: the time is none, or an id is missing. NotFound: there is nothing to undo.
    """
    noted = {"by": by or None, "why": asked.why or None}
    if asked.what == "unbind":
        return identity.unbind(asked.user_id, asked.device_id, _moment(asked.time), **noted)
    if asked.user_id is None:
        raise InvalidInput(f"to {asked.what}, say whom: user_id")
    if asked.what == "bind":
        return identity.bind(asked.user_id, asked.device_id, _moment(asked.time), **noted)
    if asked.time is not None:
        raise InvalidInput("an undo has no time: it forgets all that was said of the two")
    return identity.undo(asked.user_id, asked.device_id, **noted)


def _moment(time: int | str | None) -> int | None:
    if not isinstance(time, str):
        return time
    try:
        return parse_instant(time)
    except ValueError as problem:
        raise InvalidInput(f"time: {problem}") from None


def _limit(request: Request) -> int:
    asked = number_of(request, "limit")
    return LISTED if asked is None else min(asked, MOST_LISTED)
