"""Errors as answers: ``{"error": {"code", "message", "path"?}}`` with the status of their code.

A bug is answered too, as ``internal``. Its text may hold contents of events, so neither the answer
nor the log has it: the log has the kind of the error and where it was raised.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from zuji.engine.errors import InvalidQuery, Overloaded, ZujiError
from zuji.server.errors import LockedOut
from zuji.server.logs import bug_of
from zuji.server.protocols.native import STATUS as OF_COLLECTOR

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

INTERNAL = "internal"
STATUS: dict[str, int] = {
    **{code: status for code, status in OF_COLLECTOR.items() if code != "throttled"},
    "bad_body": 400,
    "wrong_password": 401,
    "cross_site": 403,
    "must_change": 403,
    "tls_needed": 403,
    "conflict": 409,
    "locked_out": 429,
    "invalid_query": 400,
    "query_budget_exceeded": 422,
    "query_cancelled": 499,
    "project_locked": 503,
    "corruption": 500,
    "unsupported_format": 500,
    "error": 500,
    INTERNAL: 500,
}
"""HTTP status of each code; ``docs/server.md`` repeats it and a test compares them."""
_OF_HTTP = {404: "not_found", 405: "method_not_allowed"}


def said(problem: Exception) -> dict[str, Any]:
    """What a client is told of an error."""
    if not isinstance(problem, ZujiError):
        message = "a bug in the server: its log says where"
        return {"error": {"code": INTERNAL, "message": message}}
    error = {"code": problem.code, "message": str(problem)}
    if isinstance(problem, InvalidQuery):
        error["path"] = problem.path
    return {"error": error}


def log_bug(problem: Exception) -> None:
    """Writes down where a bug is, without what it met."""
    log.error("internal error %s", bug_of(problem))


async def failed(_request: Request, problem: Exception) -> Response:
    """The answer to an error raised on purpose."""
    assert isinstance(problem, ZujiError)
    headers = {}
    if isinstance(problem, Overloaded | LockedOut):
        headers["Retry-After"] = str(max(1, round(problem.retry_after)))
    return JSONResponse(said(problem), STATUS.get(problem.code, 500), headers)


async def refused(_request: Request, problem: Exception) -> Response:
    """The answer to what HTTP or the routes refuse."""
    assert isinstance(problem, HTTPException)
    code = _OF_HTTP.get(problem.status_code, "bad_request")
    text = {"error": {"code": code, "message": problem.detail}}
    return JSONResponse(text, problem.status_code, problem.headers)


class WithoutBugs:
    """Middleware that answers bugs, inside of the framework's own, which would log their text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as problem:  # the last stop before the client
            log_bug(problem)
            if begun:  # cut off: the client sees that the answer is not whole
                raise ConnectionResetError("the answer could not be ended") from None
            await JSONResponse(said(problem), STATUS[INTERNAL])(scope, receive, send)
