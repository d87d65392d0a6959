"""Errors of requests, beside the engine's (``zuji.engine.errors``)."""

from __future__ import annotations

from zuji.engine.errors import ZujiError


class BadBody(ZujiError):
    """A body that cannot be read. ``status``: of HTTP."""

    code = "bad_body"

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Unauthorized(ZujiError):
    """No key, or one that is not known."""

    code = "unauthorized"


class Forbidden(ZujiError):
    """A key that may not do this."""

    code = "forbidden"
