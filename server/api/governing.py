"""The API's routes for tracking plans and data quality: who may, what they take and answer.

Reading needs a read key, changing an admin key.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of
from zuji.server.plan.document import MOST_BYTES, decoded
from zuji.server.plan.learn import differences
from zuji.server.plan.quality import counted

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.server.api.app import Api
    from zuji.server.plan.book import Version

_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)


class Governing:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/plan", self.plan),
            Route("/v1/plan", self.put_plan, methods=["PUT"]),
            Route("/v1/plan/history", self.history),
            Route("/v1/quality", self.quality),
        ]

    async def plan(self, request: Request) -> Response:
        """``GET /v1/plan``: the plan that counts, or ``?version=``."""
        project, _ = self._api.who(request, Action.ASK)
        book = project.governor.book
        number = number_of(request, "version")
        if number is None:
            version = await asyncio.to_thread(book.current, project.name)
        else:
            version = await asyncio.to_thread(book.version, project.name, number)
        return JSONResponse({**_head(version), "plan": msgspec.to_builtins(version.plan)})

    async def put_plan(self, request: Request) -> Response:
        """``PUT /v1/plan``: a document; ``?expected=`` the version it was made from, ``?note=``."""
        project, caller = self._api.who(request, Action.PLAN)
        plan = decoded(await body_of(request, MOST_BYTES))
        governor = project.governor
        expected, note = number_of(request, "expected"), request.query_params.get("note", "")
        author = caller.by

        def put() -> Version:
            made = governor.book.put(project.name, plan, author, note, expected)
            governor.refresh()
            return made

        return JSONResponse(_head(await asyncio.to_thread(put)))

    async def history(self, request: Request) -> Response:
        """``GET /v1/plan/history``: all versions, newest first, and what changed with each."""
        project, _ = self._api.who(request, Action.ASK)
        versions = await asyncio.to_thread(project.governor.book.history, project.name)
        older = [*(one.plan for one in versions), _NONE][1:]
        return JSONResponse(
            {
                "versions": [
                    {**_head(one), "changes": differences(before, one.plan)}
                    for one, before in zip(versions, older, strict=True)
                ]
            }
        )

    async def quality(self, request: Request) -> Response:
        """``GET /v1/quality``: counters of days ``?from=`` to ``?to=``."""
        project, _ = self._api.who(request, Action.ASK)
        governor = project.governor
        first, last = _day(request, "from", ""), _day(request, "to", "9999-12-31")

        def read() -> list[dict[str, Any]]:
            governor.quality.flush()
            return [one._asdict() for one in counted(governor.store, project.name, first, last)]

        return JSONResponse({"rows": await asyncio.to_thread(read)})


_NONE = decoded(b"{}")


def _head(version: Version) -> dict[str, Any]:
    return {
        "version": version.version,
        "mode": version.plan.mode,
        "author": version.author,
        "note": version.note,
        "created_ms": version.created_ms,
    }


def _day(request: Request, name: str, default: str) -> str:
    text = request.query_params.get(name, default)
    if text and not _DAY.match(text):
        raise InvalidInput(f"{name} is a day (2026-10-01), got {text[:40]!r}")
    return text
