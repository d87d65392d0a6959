"""The API's routes for accounts, projects and keys. All need an account (or development mode): a
key can make neither.

Keys and one-time passwords are in the answer that makes them, and in no other.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import NotFound
from zuji.server.accounts.book import (
    Account,
    change_account,
    list_accounts,
    make_account,
    reset_password,
)
from zuji.server.accounts.permissions import Action, Role
from zuji.server.api.governing_doc import body as doc_body
from zuji.server.api.governing_doc import route
from zuji.server.api.reading import body_of, read_as
from zuji.server.api.signing import shown
from zuji.server.api.signing_doc import ACCOUNT
from zuji.server.auth import Kind, list_keys, make_key, revoke_key
from zuji.server.library.templates import make_all

if TYPE_CHECKING:
    from starlette.requests import Request

    from zuji.server.api.app import Api
    from zuji.server.auth import Key

log = logging.getLogger(__name__)

BODY_BYTES = 16 << 10


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/accounts``. ``name``: the login if not given."""

    login: str
    role: Role = Role.VIEWER
    name: str = ""
    language: str = "zh"


class ChangedAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PATCH /v1/accounts/{id}``. ``new_password``: makes a one-time password."""

    role: Role | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    language: str | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    new_password: bool = False


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/projects``."""

    name: str
    tz: str = "Asia/Shanghai"


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/keys``."""

    kind: Kind
    note: str = ""


class Administering:
    """Handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/accounts", self.accounts),
            Route("/v1/accounts", self.make_account, methods=["POST"]),
            Route("/v1/accounts/{id}", self.change_account, methods=["PATCH"]),
            Route("/v1/projects", self.projects),
            Route("/v1/projects", self.make_project, methods=["POST"]),
            Route("/v1/keys", self.keys),
            Route("/v1/keys", self.make_key, methods=["POST"]),
            Route("/v1/keys/{id}", self.revoke_key, methods=["DELETE"]),
        ]

    async def accounts(self, request: Request) -> Response:
        """``GET /v1/accounts``: all accounts by login."""
        self._api.caller(request, Action.ACCOUNTS)
        found = await asyncio.to_thread(list_accounts, self._api.store)
        return JSONResponse({"accounts": [_whole(one) for one in found]})

    async def make_account(self, request: Request) -> Response:
        """``POST /v1/accounts``: a new account and its one-time password."""
        caller = self._api.caller(request, Action.ACCOUNTS)
        asked: NewAccount = read_as(await body_of(request, BODY_BYTES), NewAccount)

        def work() -> tuple[Account, str]:
            return make_account(
                self._api.store, asked.login, asked.role, name=asked.name, language=asked.language
            )

        account, password = await asyncio.to_thread(work)
        log.info("account=%s role=%s made by=%s", account.id, account.role, caller.by)
        return JSONResponse({"account": _whole(account), "password": password})

    async def change_account(self, request: Request) -> Response:
        """``PATCH /v1/accounts/{id}``: what is given; a role counts with the next request."""
        caller = self._api.caller(request, Action.ACCOUNTS)
        asked: ChangedAccount = read_as(await body_of(request, BODY_BYTES), ChangedAccount)
        name, store = request.path_params["id"], self._api.store
        given = {
            field: value
            for field, value in msgspec.structs.asdict(asked).items()
            if value is not msgspec.UNSET and field != "new_password"
        }

        def work() -> dict[str, Any]:
            account = change_account(store, name, **given)
            if not asked.new_password:
                return {"account": _whole(account)}
            account, password = reset_password(store, name)
            return {"account": _whole(account), "password": password}

        told = await asyncio.to_thread(work)
        self._api.sessions.changed()
        what = ",".join([*given, *(["password"] if asked.new_password else [])])
        log.info("account=%s changed=%s by=%s", name, what or "-", caller.by)
        return JSONResponse(told)

    async def projects(self, request: Request) -> Response:
        """``GET /v1/projects``: the projects there are; for a key, its own."""
        caller = self._api.caller(request, Action.ASK)
        found = await asyncio.to_thread(self._api.project_list)
        return JSONResponse(
            {"projects": [one for one in found if caller.project in (None, one["name"])]}
        )

    async def make_project(self, request: Request) -> Response:
        """``POST /v1/projects``: a new project, with the boards of the templates."""
        caller = self._api.caller(request, Action.PROJECTS)
        asked: NewProject = read_as(await body_of(request, BODY_BYTES), NewProject)

        def work() -> dict[str, Any]:
            made = self._api.make_project(asked.name, asked.tz)
            language = "zh" if caller.account is None else caller.account.language
            make_all(self._api.store, made.name, language, [], caller.by)
            return {"name": made.name, "tz": asked.tz}

        told = await asyncio.to_thread(work)
        log.info("project=%s made by=%s", asked.name, caller.by)
        return JSONResponse(told)

    async def keys(self, request: Request) -> Response:
        """``GET /v1/keys``: keys of the project, oldest first, without their secrets."""
        project, _ = self._api.who(request, Action.KEYS)
        found = await asyncio.to_thread(list_keys, self._api.store, project.name)
        return JSONResponse({"keys": [_key(one) for one in found]})

    async def make_key(self, request: Request) -> Response:
        """``POST /v1/keys``: a new key of the project, and its text, this once."""
        project, caller = self._api.who(request, Action.KEYS)
        asked: NewKey = read_as(await body_of(request, BODY_BYTES), NewKey)
        key, text = await asyncio.to_thread(
            make_key, self._api.store, project.name, asked.kind, asked.note
        )
        log.info("key=%s project=%s kind=%s made by=%s", key.id, key.project, key.kind, caller.by)
        return JSONResponse({"key": _key(key), "text": text})

    async def revoke_key(self, request: Request) -> Response:
        """``DELETE /v1/keys/{id}``: takes a key of the project back."""
        project, caller = self._api.who(request, Action.KEYS)
        name, store = request.path_params["id"], self._api.store

        def work() -> Key:
            if name not in {one.id for one in list_keys(store, project.name)}:
                raise NotFound(f"there is no key {name!r} in this project")
            return revoke_key(store, name)

        key = await asyncio.to_thread(work)
        log.info("key=%s project=%s revoked by=%s", key.id, key.project, caller.by)
        return JSONResponse({"key": _key(key)})


def _whole(account: Account) -> dict[str, Any]:
    return {
        **shown(account),
        "disabled": account.disabled,
        "must_change": account.must_change,
        "created_ms": account.created_ms,
        "signed_in_ms": account.signed_in_ms,
    }


def _key(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "project": key.project,
        "kind": str(key.kind),
        "note": key.note,
        "created_ms": key.created_ms,
        "revoked_ms": key.revoked_ms,
    }


# -- the OpenAPI document --------------------------------------------------------------------------


def paths() -> dict[str, Any]:
    """Paths of the document."""
    properties = ACCOUNT["properties"]
    made = {
        "type": "object",
        "required": ["login"],
        "properties": {name: properties[name] for name in ("login", "role", "name", "language")},
        "additionalProperties": False,
    }
    changed = {
        "type": "object",
        "properties": {
            **{name: properties[name] for name in ("role", "name", "language")},
            "disabled": {"type": "boolean"},
            "new_password": {"type": "boolean"},
        },
        "additionalProperties": False,
    }
    project = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "tz": {"type": "string"}},
        "additionalProperties": False,
    }
    key = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": [str(k) for k in Kind]}, "note": {"type": "string"}},
        "additionalProperties": False,
    }
    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {
        "/v1/accounts": {
            "get": route("Accounts (administrators)", "accounts"),
            "post": route(
                "Make an account; its one-time password is told this once",
                "make_account",
                requestBody=doc_body(made),
            ),
        },
        "/v1/accounts/{id}": {
            "patch": route(
                "Change an account (administrators)",
                "change_account",
                one,
                requestBody=doc_body(changed),
            )
        },
        "/v1/projects": {
            "get": route("Projects", "projects"),
            "post": route(
                "Make a project (administrators)", "make_project", requestBody=doc_body(project)
            ),
        },
        "/v1/keys": {
            "get": route("Keys of the project (administrators)", "keys"),
            "post": route(
                "Make a key; its text is told this once", "make_key", requestBody=doc_body(key)
            ),
        },
        "/v1/keys/{id}": {"delete": route("Take a key back (administrators)", "revoke_key", one)},
    }
