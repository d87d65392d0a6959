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


class WrongPassword(ZujiError):
    """The login is unknown, disabled, or its password is another: which is not told."""

    code = "wrong_password"


class LockedOut(ZujiError):
    """Too many sign-ins failed: the next one may begin after ``retry_after`` seconds."""

    code = "locked_out"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CrossSite(ZujiError):
    """A change that did not come from a page of this server."""

    code = "cross_site"


class TlsNeeded(ZujiError):
    """Signing in over a network without TLS."""

    code = "tls_needed"


class MustChange(ZujiError):
    """A one-time password was used: nothing else before a new one is set."""

    code = "must_change"


class Conflict(ZujiError):
    """Somebody else changed it meanwhile, or the name is taken."""

    code = "conflict"
