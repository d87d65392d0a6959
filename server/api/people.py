"""The API's routes about people: erasing them, what is held about one, time to live.

All need an admin key: who asks names a person, or decides what the project forgets.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.engine.people.holding import write_zip
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from zuji.server.api.app import Api

BODY_BYTES = 64 << 20
LEDGER_BYTES = 256 << 20
LISTED = 100
MOST_LISTED = 1_000
LINES = "application/x-ndjson"


class Erasing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/erasures``: each of ``people`` is one id, ``{"user_id": "c-1"}``.
    ``purge``: the bytes, too, before the answer.
    """

    people: tuple[dict[str, str], ...]
    by: str = ""
    reason: str = ""
    purge: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /v1/erasures/settings``."""

    erased_ids: str


class Ttl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /v1/ttl``, in months; null keeps for ever."""

    months: int | None = None
    events: dict[str, int | None] = {}


class Applying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/ttl/apply``. ``dry_run``: only say what would go."""

    by: str = ""
    dry_run: bool = False


class People:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/erasures", self.erasures),
            Route("/v1/erasures", self.erase, methods=["POST"]),
            Route("/v1/erasures/purge", self.purge, methods=["POST"]),
            Route("/v1/erasures/ledger", self.ledger),
            Route("/v1/erasures/replay", self.replay, methods=["POST"]),
            Route("/v1/erasures/settings", self.settings),
            Route("/v1/erasures/settings", self.set_settings, methods=["PUT"]),
            Route("/v1/users/export", self.export, methods=["POST"]),
            Route("/v1/ttl", self.ttl),
            Route("/v1/ttl", self.set_ttl, methods=["PUT"]),
            Route("/v1/ttl/apply", self.apply_ttl, methods=["POST"]),
        ]

    async def erase(self, request: Request) -> Response:
        """``POST /v1/erasures``: erases people; who asked is the key when ``by`` is not said."""
        project, caller = self._api.who(request, Action.PEOPLE)
        asked = read_as(await body_of(request, BODY_BYTES), Erasing)
        people = project.engine.people

        def run() -> dict[str, Any]:
            done = people.erase(*asked.people, by=asked.by or caller.by, reason=asked.reason)
            return {**done, "purged": asdict(people.purge())} if asked.purge else done

        return JSONResponse(await asyncio.to_thread(run))

    async def erasures(self, request: Request) -> Response:
        """``GET /v1/erasures``: the ledger, oldest first; ``?after=NUMBER&limit=N``."""
        project, _ = self._api.who(request, Action.PEOPLE)
        after, asked = number_of(request, "after") or 0, number_of(request, "limit")
        limit = LISTED if asked is None else min(asked, MOST_LISTED)
        people = project.engine.people

        def read() -> dict[str, Any]:
            told = {"erased_ids": people.erased_ids, "refused": people.refused}
            return {"rows": people.erasures(after, limit), **people.status(), **told}

        return JSONResponse(await asyncio.to_thread(read))

    async def purge(self, request: Request) -> Response:
        """``POST /v1/erasures/purge``: removes the bytes of erased people from all files."""
        project, _ = self._api.who(request, Action.PEOPLE)
        return JSONResponse(asdict(await asyncio.to_thread(project.engine.people.purge)))

    async def ledger(self, request: Request) -> Response:
        """``GET /v1/erasures/ledger``: to be kept beside backups."""
        project, _ = self._api.who(request, Action.PEOPLE)
        text = await asyncio.to_thread(project.engine.people.ledger)
        return Response(text, media_type=LINES)

    async def replay(self, request: Request) -> Response:
        """``POST /v1/erasures/replay``: the body is a ledger, or empty for the project's own."""
        project, _ = self._api.who(request, Action.PEOPLE)
        text = await body_of(request, LEDGER_BYTES)
        done = await asyncio.to_thread(project.engine.people.replay_ledger, text or None)
        return JSONResponse(done)

    async def settings(self, request: Request) -> Response:
        """``GET /v1/erasures/settings``: what becomes of erased ids that come again."""
        project, _ = self._api.who(request, Action.PEOPLE)
        return JSONResponse({"erased_ids": project.engine.people.erased_ids})

    async def set_settings(self, request: Request) -> Response:
        """``PUT /v1/erasures/settings``: ``{"erased_ids": "accept" | "refuse"}``."""
        project, _ = self._api.who(request, Action.PEOPLE)
        asked = read_as(await body_of(request, BODY_BYTES), Settings)
        people = project.engine.people
        await asyncio.to_thread(people.set_erased_ids, asked.erased_ids)
        return JSONResponse({"erased_ids": people.erased_ids})

    async def export(self, request: Request) -> Response:
        """``POST /v1/users/export``: everything about the person that the body names, as JSON
        lines; with ``?form=zip`` as an archive.
        """
        project, _ = self._api.who(request, Action.PEOPLE)
        form = request.query_params.get("form", "lines")
        if form not in ("lines", "zip"):
            raise InvalidInput(f"form is lines or zip, got {form[:40]!r}")
        person = read_as(await body_of(request, BODY_BYTES), dict[str, str])
        things = await asyncio.to_thread(project.engine.people.export, person)
        if form == "lines":
            return StreamingResponse(_lines(things), media_type=LINES)
        out = io.BytesIO()
        await asyncio.to_thread(write_zip, things, out)
        return Response(out.getvalue(), media_type="application/zip")

    async def ttl(self, request: Request) -> Response:
        """``GET /v1/ttl``: settings, what would go now, and what went."""
        project, _ = self._api.who(request, Action.PEOPLE)
        ttl = project.engine.people.ttl

        def read() -> dict[str, Any]:
            plan = ttl.plan()
            return {"settings": plan.pop("settings"), "plan": plan, "applied": ttl.applied()}

        return JSONResponse(await asyncio.to_thread(read))

    async def set_ttl(self, request: Request) -> Response:
        """``PUT /v1/ttl``: replaces the settings; nothing goes yet."""
        project, _ = self._api.who(request, Action.PEOPLE)
        asked = read_as(await body_of(request, BODY_BYTES), Ttl)
        made = await asyncio.to_thread(project.engine.people.ttl.set, asked.months, asked.events)
        return JSONResponse(made.to_dict())

    async def apply_ttl(self, request: Request) -> Response:
        """``POST /v1/ttl/apply``: removes what has lived for long enough."""
        project, caller = self._api.who(request, Action.PEOPLE)
        asked = read_as(await body_of(request, BODY_BYTES) or b"{}", Applying)
        ttl = project.engine.people.ttl
        if asked.dry_run:
            return JSONResponse(await asyncio.to_thread(ttl.plan))
        return JSONResponse(await asyncio.to_thread(ttl.apply, asked.by or caller.by))


def _lines(things: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    for thing in things:
        yield msgspec.json.encode(thing, enc_hook=str) + b"\n"
