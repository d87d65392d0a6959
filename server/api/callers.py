"""Who asks: a key of a project, a signed-in account, or anybody in development mode.

A cookie is sent by browsers on their own, so what it authorises to change must come from a page of
this server: the page's secret in ``X-Zuji-CSRF``, and no sign of another site in ``Origin`` or
``Sec-Fetch-Site``. In development mode nobody signs in; there the same signs are looked at, and
``Host`` must name this machine, or a page on the internet that points its own name here could ask.
Used on the loop's thread.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zuji.server.accounts.permissions import OF_KEYS, OF_PEOPLE, Action, Role, kind_for, may
from zuji.server.accounts.sessions import csrf_of
from zuji.server.auth import Kind, bearer
from zuji.server.errors import CrossSite, Forbidden, MustChange, Unauthorized
from zuji.server.settings import LOOPBACK

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.server.accounts.book import Account
    from zuji.server.accounts.sessions import Session, Sessions
    from zuji.server.auth import KeyRing

CSRF_HEADER = "x-zuji-csrf"
COOKIE = "__Host-zuji"
"""Browsers take it over TLS or from this machine only, from this host only, for all its paths."""
PLAIN_COOKIE = "zuji"
"""With the setting ``insecure_cookie``."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
DEV = "dev"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks. ``by``: their name in logs. ``project``: the only one that a key is for.
    ``account``: None for keys and in development mode.
    """

    by: str
    actions: frozenset[Action]
    project: str | None = None
    account: Account | None = None

    def may(self, action: Action, project: str | None) -> bool:
        """Whether they may do this."""
        if self.account is not None:
            return may(self.account, action, project)
        return action in self.actions


_DEV = Caller(DEV, frozenset(Action))


class Callers:
    """Finds out. ``sessions``: None where nobody can sign in."""

    def __init__(self, keys: KeyRing, sessions: Sessions | None, *, insecure_cookie: bool) -> None:
        self._keys = keys
        self._sessions = sessions
        self._insecure_cookie = insecure_cookie

    def needed(self, request: Request, need: Action) -> Caller:
        """Who asks, and may do ``need`` somewhere (where is looked at with the project).

        Raises:
            Unauthorized, Forbidden, CrossSite, MustChange.
        """
        text = bearer(request.headers.get("authorization", ""))
        token = "" if text else self.token(request)
        if token:
            session = self.session(request, token)
            if session.account.must_change:
                raise MustChange("set a password of your own first: POST /v1/auth/password")
            return Caller(session.account.login, frozenset(), account=session.account)
        key = self._keys.allowed(text, kind_for(need))
        if key is None:
            check_here(request)
            if request.method not in SAFE:
                check_origin(request)
            return _DEV
        if need in OF_PEOPLE:
            raise Forbidden("a key may not do this: sign in as an administrator")
        return Caller(f"key {key.id}", OF_KEYS[Kind(key.kind)], key.project)

    def session(self, request: Request, token: str) -> Session:
        """The session of a request's cookie.

        Raises:
            Unauthorized: it has ended. CrossSite: the request changes something and is no page's.
        """
        found = self._sessions.find(token) if self._sessions is not None else None
        if found is None:
            raise Unauthorized("the session has ended: sign in")
        if request.method not in SAFE:
            check_origin(request)
            given = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(given.encode(), csrf_of(token).encode()):
                raise CrossSite("send X-Zuji-CSRF with what `GET /v1/auth/me` calls csrf")
        return found

    def still(self, request: Request) -> bool:
        """Whether whoever began a long answer may still have it: the key was not taken back, the
        session has not ended.
        """
        text = bearer(request.headers.get("authorization", ""))
        token = "" if text else self.token(request)
        if token and self._sessions is not None:
            return self._sessions.find(token, use=False) is not None
        try:
            self._keys.allowed(text, Kind.READ)
        except (Unauthorized, Forbidden):
            return False
        return True

    def token(self, request: Request) -> str:
        """The token in a request's cookie; "" when there is none that counts."""
        if self._sessions is None:
            return ""
        found = request.cookies.get(COOKIE, "")
        if not found and self._insecure_cookie:
            found = request.cookies.get(PLAIN_COOKIE, "")
        return found


def allow(caller: Caller, need: Action, project: str | None) -> None:
    """Lets the caller do it.

    Raises:
        Forbidden.
    """
    if not caller.may(need, project):
        least = Role.ANALYST if may(_Analyst, need, project) else Role.ADMINISTRATOR
        raise Forbidden(f"your role may not do this: it needs {least}")


class _Analyst:
    role = Role.ANALYST


# -- where a request came from -------------------------------------------------------------------


def check_origin(request: Request) -> None:
    """Refuses what a browser sends for a page of another site.

    Raises:
        CrossSite.
    """
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise CrossSite("this came from a page of another site")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != _host(request):
        raise CrossSite(
            "Origin is not the Host of this server (a proxy must pass Host on as it was)"
        )


def check_here(request: Request) -> None:
    """Development mode: the browser's address must be this machine's.

    Raises:
        CrossSite.
    """
    if _host(request) and not names_loopback(request):
        raise CrossSite("development mode answers to localhost, 127.0.0.1 and [::1] only")


def names_loopback(request: Request) -> bool:
    """Whether ``Host`` is this machine for whoever asks."""
    try:
        return (urlsplit(f"//{_host(request)}").hostname or "") in LOOPBACK
    except ValueError:
        return False


def protected(request: Request) -> bool:
    """Whether nobody on a network reads along: TLS, or a browser on this machine."""
    if request.scope.get("scheme") == "https":
        return True
    try:
        near = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        near = False
    return near and names_loopback(request)


def _host(request: Request) -> str:
    return request.headers.get("host", "").lower()
