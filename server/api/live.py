"""``GET /v1/live``: events as they are stored or refused, as server-sent events.

``event`` with what became of it, ``missed`` when more came than are shown, ``end`` before the
server ends the stream (the reader was too slow or is signed out, or the server stops). Comments
keep idle streams open.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from zuji.server.accounts.permissions import Action

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from zuji.server.api.app import Api
    from zuji.server.plan.live import Live, Watcher

LOOK_S = 1.0
"""How often a stream looks whether the server stops, or its reader may not read any more."""
KEEP_S = 15


class Watching:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [Route("/v1/live", self.live)]

    async def live(self, request: Request) -> Response:
        """``GET /v1/live``: ``?device=``, ``?user=``: only theirs. Values need an admin key."""
        project, caller = self._api.who(request, Action.ASK)
        asked = request.query_params
        view = project.governor.live
        values = caller.may(Action.VALUES, project.name)
        watcher = view.watch(asked.get("device", ""), asked.get("user", ""), values=values)
        return StreamingResponse(
            self._told(view, watcher, request),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    async def _told(self, view: Live, watcher: Watcher, request: Request) -> AsyncIterator[bytes]:
        idle = 0.0
        try:
            yield b": watching\n\n"
            while self._api.ready:
                with suppress(TimeoutError):
                    await asyncio.wait_for(watcher.came.wait(), LOOK_S)
                watcher.came.clear()
                if not self._api.callers.still(request):
                    yield b'event: end\ndata: {"code": "signed_out"}\n\n'
                    return
                waiting = list(watcher.waiting)
                watcher.waiting.clear()
                idle = 0.0 if waiting else idle + LOOK_S
                if waiting:
                    yield b"".join(waiting)
                elif idle >= KEEP_S:
                    idle = 0.0
                    yield b": still here\n\n"
                if watcher.slow:
                    yield b'event: end\ndata: {"code": "too_slow"}\n\n'
                    return
            yield b'event: end\ndata: {"code": "stopping"}\n\n'
        finally:
            view.leave(watcher)
