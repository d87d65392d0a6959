"""The API's routes for the quarantine: list, send again (mended if wanted), discard.

Listing needs a read key, and an admin key to see values of properties; the rest needs an admin key.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput
from zuji.server.accounts.permissions import Action
from zuji.server.api.reading import body_of, number_of, read_as
from zuji.server.plan.live import plain, shown
from zuji.server.plan.mending import Mend, Which

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.server.api.app import Api

LISTED = 100
MOST_LISTED = 1_000
BODY_BYTES = 1 << 20


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/rejected/replay``. ``dry_run``: only say what would become of events."""

    ids: tuple[str, ...] | None = None
    reason: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    mend: Mend | None = None
    dry_run: bool = False

    @property
    def which(self) -> Which:
        """Which events."""
        which = Which(self.ids, self.reason, self.from_ms, self.to_ms)
        which.check()
        return which


class Quarantine:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/rejected", self.listed),
            Route("/v1/rejected", self.discard, methods=["DELETE"]),
            Route("/v1/rejected/replay", self.replay, methods=["POST"]),
        ]

    async def listed(self, request: Request) -> Response:
        """``GET /v1/rejected``: oldest first; ``?after=ID&limit=N`` page by page."""
        project, caller = self._api.who(request, Action.ASK)
        values = caller.may(Action.VALUES, project.name)
        which = _which(request)
        asked = number_of(request, "limit")
        limit = LISTED if asked is None else min(asked, MOST_LISTED)
        after = request.query_params.get("after")

        def read() -> list[dict[str, Any]]:
            found = project.engine.rejected(
                reason=which.reason,
                from_ms=which.from_ms,
                to_ms=which.to_ms,
                after=after,
                limit=limit,
            )
            return [{**one, "event": shown(one["event"], values)} for one in found]

        return _json({"rows": await asyncio.to_thread(read)})

    async def replay(self, request: Request) -> Response:
        """``POST /v1/rejected/replay``: stores what can be stored now; what cannot stays."""
        project, _ = self._api.who(request, Action.QUARANTINE)
        asked = read_as(await body_of(request, BODY_BYTES), Replay, "the body is wrong")
        which, governor = asked.which, project.governor

        def run() -> dict[str, Any]:
            if asked.dry_run:
                return {"rows": governor.forecast(which, asked.mend, MOST_LISTED)}
            return governor.replay(which, asked.mend)

        return _json(await asyncio.to_thread(run))

    async def discard(self, request: Request) -> Response:
        """``DELETE /v1/rejected``: ``?id=`` (repeatable), or ``reason``, ``from_ms``, ``to_ms``."""
        project, _ = self._api.who(request, Action.QUARANTINE)
        which = _which(request)
        which.check()
        gone = await asyncio.to_thread(
            project.engine.discard_rejected,
            which.ids,
            reason=which.reason,
            from_ms=which.from_ms,
            to_ms=which.to_ms,
        )
        return _json({"discarded": gone})


def _which(request: Request) -> Which:
    asked = request.query_params
    ids = tuple(asked.getlist("id")) or None
    times = (_ms(request, "from_ms"), _ms(request, "to_ms"))
    return Which(ids, asked.get("reason"), *times)


def _ms(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise InvalidInput(f"{name} is in milliseconds since 1970, got {text[:40]!r}")
    return int(text)


def _json(value: dict[str, Any]) -> Response:
    body = msgspec.json.encode(value, enc_hook=plain)
    return Response(body, media_type="application/json")
