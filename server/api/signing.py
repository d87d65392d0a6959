"""The API's routes for signing in: ``/v1/auth/…``.

The cookie has no end of its own: browsers drop it when they close, the server when the session
ends. A sign-in always makes a new session and ends the one that the browser had, so nobody can lay
one out for somebody else.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import zuji
from zuji.engine.errors import Overloaded
from zuji.server.accounts.book import (
    Account,
    change_account,
    normal_login,
    set_password,
    signed_in,
)
from zuji.server.accounts.lockout import Lockout
from zuji.server.accounts.permissions import Action, Role, may
from zuji.server.accounts.sessions import csrf_of, digest
from zuji.server.api.callers import (
    COOKIE,
    DEV,
    PLAIN_COOKIE,
    check_here,
    check_origin,
    protected,
)
from zuji.server.api.reading import body_of, read_as
from zuji.server.auth import bearer
from zuji.server.errors import CrossSite, TlsNeeded, Unauthorized, WrongPassword

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from zuji.server.accounts.sessions import Session
    from zuji.server.api.app import Api
    from zuji.server.meta import Store

log = logging.getLogger(__name__)

BODY_BYTES = 16 << 10
HASHING = 2
"""Passwords that are worked on at once: each takes 64 MiB."""
WAITING = 32


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/auth/sign-in``."""

    login: str
    password: str


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/auth/password``."""

    old: str
    new: str


class Mine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PATCH /v1/auth/me``."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    language: str | msgspec.UnsetType = msgspec.UNSET


class Signing:
    """Handlers. ``store``: has failed sign-ins over a restart; None: nobody signs in here."""

    def __init__(self, api: Api, store: Store | None) -> None:
        self._api = api
        self._lockout = Lockout(store=store)
        self._pool = ThreadPoolExecutor(HASHING, thread_name_prefix="zuji-passwords")
        self._there = 0

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/auth/sign-in", self.sign_in, methods=["POST"]),
            Route("/v1/auth/sign-out", self.sign_out, methods=["POST"]),
            Route("/v1/auth/sign-out-everywhere", self.sign_out_everywhere, methods=["POST"]),
            Route("/v1/auth/me", self.me),
            Route("/v1/auth/me", self.change_me, methods=["PATCH"]),
            Route("/v1/auth/password", self.password, methods=["POST"]),
        ]

    async def sign_in(self, request: Request) -> Response:
        """``POST /v1/auth/sign-in``: a session, in a cookie."""
        if self._api.settings.dev:
            check_here(request)
            return JSONResponse(_answer(_DEV, ""))
        check_origin(request)
        if not _is_json(request):  # else a form of any page could send one
            raise CrossSite("send Content-Type: application/json")
        asked: SignIn = read_as(await body_of(request, BODY_BYTES), SignIn)
        name = self._cookie_name(request)
        login = normal_login(asked.login)[:200]
        address = request.client.host if request.client is not None else ""
        self._check_room()
        self._lockout.begin(login, address)
        try:
            account = await self._hash(
                lambda: signed_in(self._api.store, asked.login, asked.password)
            )
        except WrongPassword:
            log.info("sign-in refused address=%s", address)  # the login may be a password
            raise
        self._lockout.succeeded(login, address)
        before = self._api.callers.token(request)
        response = await self._started(account, name, before)
        log.info("sign-in account=%s login=%s address=%s", account.id, account.login, address)
        return response

    async def sign_out(self, request: Request) -> Response:
        """``POST /v1/auth/sign-out``: ends this session."""
        token = self._api.callers.token(request)
        if token:
            try:
                session = self._api.callers.session(request, token)
            except Unauthorized:
                pass
            else:
                await asyncio.to_thread(self._api.sessions.end, session.digest)
        return _without_cookie({"signed_out": True})

    async def sign_out_everywhere(self, request: Request) -> Response:
        """``POST /v1/auth/sign-out-everywhere``: ends all sessions of the account."""
        _, session = self._session(request)
        await asyncio.to_thread(self._api.sessions.end_all, session.account.id)
        return _without_cookie({"signed_out": True})

    async def me(self, request: Request) -> Response:
        """``GET /v1/auth/me``: who this is, what they may do, and the projects there are."""
        if self._api.settings.dev and not bearer(request.headers.get("authorization", "")):
            check_here(request)
            return JSONResponse(await self._whole(_DEV, "", dev=True))
        token, session = self._session(request)
        return JSONResponse(await self._whole(session.account, csrf_of(token), dev=False))

    async def change_me(self, request: Request) -> Response:
        """``PATCH /v1/auth/me``: the own name and language."""
        asked: Mine = read_as(await body_of(request, BODY_BYTES), Mine)
        if self._api.settings.dev:
            check_here(request)
            check_origin(request)
            return JSONResponse({"account": shown(_DEV)})
        _, session = self._session(request)
        changes = msgspec.structs.asdict(asked)
        given = {name: value for name, value in changes.items() if value is not msgspec.UNSET}
        account = await asyncio.to_thread(
            change_account, self._api.store, session.account.id, **given
        )
        self._api.sessions.changed()
        return JSONResponse({"account": shown(account)})

    async def password(self, request: Request) -> Response:
        """``POST /v1/auth/password``: a new password; all other sessions end."""
        token, session = self._session(request)
        asked: NewPassword = read_as(await body_of(request, BODY_BYTES), NewPassword)
        name = self._cookie_name(request)
        account, store = session.account, self._api.store
        # whoever found a browser signed in may not guess, either
        self._lockout.begin(f"{account.login} changes", "")
        await self._hash(lambda: set_password(store, account.id, asked.old, asked.new))
        self._lockout.succeeded(f"{account.login} changes", "")
        log.info("password changed account=%s", account.id)
        return await self._started(replace(account, must_change=False), name, token)

    async def _started(self, account: Account, cookie: str, before: str) -> Response:
        """A new session in place of that of the token ``before``."""
        sessions = self._api.sessions

        def work() -> str:
            if before:
                sessions.end(digest(before))
            return sessions.start(account)

        token = await asyncio.to_thread(work)
        response = JSONResponse(_answer(account, csrf_of(token)))
        response.set_cookie(
            cookie, token, path="/", secure=cookie == COOKIE, httponly=True, samesite="strict"
        )
        return response

    async def _whole(self, account: Account, csrf: str, *, dev: bool) -> dict[str, Any]:
        must_change = account.must_change
        return {
            **_answer(account, csrf),
            "permissions": [] if must_change else [a for a in Action if may(account, a, None)],
            "projects": [] if must_change else await asyncio.to_thread(self._api.project_list),
            "version": zuji.__version__,
            "dev": dev,
        }

    def _session(self, request: Request) -> tuple[str, Session]:
        token = self._api.callers.token(request)
        if not token:
            raise Unauthorized("nobody is signed in")
        return token, self._api.callers.session(request, token)

    def _cookie_name(self, request: Request) -> str:
        if protected(request):
            return COOKIE
        if self._api.settings.insecure_cookie:
            return PLAIN_COOKIE
        raise TlsNeeded(
            "signing in over a network needs TLS: give the server tls_cert and tls_key, or let "
            "a proxy that trusted_proxies names say X-Forwarded-Proto: https"
        )

    def _check_room(self) -> None:
        """Raises:
        Overloaded: many wait; that is no failure of whoever signs in.
        """
        if self._there >= WAITING:
            raise Overloaded("too many sign-ins wait for their turn", 2.0)

    async def _hash(self, call: Callable[[], Any]) -> Any:
        """Runs what works on passwords: few at once."""
        self._there += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._there -= 1

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown(wait=True)
        self._lockout.close()


_DEV = Account(DEV, DEV, DEV, Role.ADMINISTRATOR, "zh", False, False, 0, None)


def shown(account: Account) -> dict[str, Any]:
    """What others see of an account."""
    return {
        "id": account.id,
        "login": account.login,
        "name": account.name,
        "role": str(account.role),
        "language": account.language,
    }


def _answer(account: Account, csrf: str) -> dict[str, Any]:
    return {"account": shown(account), "csrf": csrf, "must_change": account.must_change}


def _without_cookie(body: dict[str, Any]) -> Response:
    response = JSONResponse(body)
    for name, secure in ((COOKIE, True), (PLAIN_COOKIE, False)):
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")
    return response


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == "application/json"
