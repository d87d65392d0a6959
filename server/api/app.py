"""The API's routes: what each takes, who may, and what it answers.

Errors are ``{"error": {"code", "message", "path"?}}`` with the status of their code. A query runs
until its client goes away or its budget ends. With ``Accept: text/event-stream`` it tells its
progress as server-sent events: ``progress`` (0…1), then ``result`` or ``error``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound, ZujiError
from zuji.engine.query.context import Cancel
from zuji.server.accounts.permissions import Action
from zuji.server.api.administering import Administering
from zuji.server.api.answers import Answers
from zuji.server.api.asking import Desk
from zuji.server.api.callers import Caller, Callers, allow
from zuji.server.api.cohorts import Grouping
from zuji.server.api.defining import Defining
from zuji.server.api.forms import answered, form_of
from zuji.server.api.governing import Governing
from zuji.server.api.headers import Guarded
from zuji.server.api.identity import Identity
from zuji.server.api.items import ItemRoutes
from zuji.server.api.library import Library
from zuji.server.api.live import Watching
from zuji.server.api.openapi import docs_routes
from zuji.server.api.people import People
from zuji.server.api.problems import WithoutBugs, failed, log_bug, refused, said
from zuji.server.api.profile import Profiles
from zuji.server.api.quarantine import Quarantine
from zuji.server.api.reading import body_of
from zuji.server.api.schema import schema_of
from zuji.server.api.signing import Signing
from zuji.server.api.suggesting import Suggesting
from zuji.server.api.tags import Tagging
from zuji.server.api.timeline import Timelines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from zuji.engine.query.result import Result
    from zuji.server.accounts.sessions import Sessions
    from zuji.server.auth import KeyRing
    from zuji.server.meta import Store
    from zuji.server.metrics import Metrics
    from zuji.server.projects import Project, Projects
    from zuji.server.settings import Settings

QUERY_BYTES = 1 << 20
"""Bytes of a request with a query; the query itself has the engine's limit."""


class Api:
    """State and handlers of the API."""

    def __init__(
        self,
        settings: Settings,
        projects: Projects,
        keys: KeyRing,
        metrics: Metrics,
        store: Store | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        """``store``, ``sessions``: None where nobody signs in and nothing is saved."""
        self.settings = settings
        self._projects = projects
        self._store, self._sessions = store, sessions
        self.callers = Callers(keys, sessions, insecure_cookie=settings.insecure_cookie)
        self._metrics = metrics
        self.desk = Desk(settings, metrics)
        self._signing = Signing(self, store)
        self._answers = Answers()
        self._zones: dict[str, str] = {}
        self.ready = False

    def close(self) -> None:
        """Cancels queries and waits for them."""
        self.desk.close()
        self._signing.close()

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/query", self.query, methods=["POST"]),
            Route("/v1/query/users", self.users, methods=["POST"]),
            Route("/v1/query/explain", self.explain, methods=["POST"]),
            Route("/v1/sql", self.sql, methods=["POST"]),
            *Timelines(self, _document, _gone).routes(),
            Route("/v1/schema", self.schema),
            Route("/v1/status", self.status),
            *Defining(self).routes(),
            *ItemRoutes(self).routes(),
            *Tagging(self, _gone).routes(),
            *Grouping(self, _gone).routes(),
            *Governing(self).routes(),
            *Quarantine(self).routes(),
            *People(self).routes(),
            *Identity(self).routes(),
            *Profiles(self).routes(),
            *Watching(self).routes(),
            *self._signing.routes(),
            *Administering(self).routes(),
            *Library(self).routes(),
            *Suggesting(self, _gone).routes(),
            Route("/livez", _alive),
            Route("/readyz", self.readiness),
            Route("/metrics", self.scraped),
            *docs_routes(),
        ]

    # -- questions -----------------------------------------------------------------------------

    async def query(self, request: Request) -> Response:
        """``POST /v1/query``: a query document, its answer."""
        project = self._project(request, Action.ASK)
        document = await _document(request)
        form = form_of(request)
        cancel = Cancel()
        if "text/event-stream" in request.headers.get("accept", ""):
            told = self._told(request, project, document, cancel)
            return StreamingResponse(told, media_type="text/event-stream")
        result = await self.desk.run(
            lambda: self._answers.ask(
                project.name,
                project.engine,
                document,
                lambda: project.engine.query(document, cancel=cancel),
            ),
            cancel,
            _gone(request),
        )
        return await asyncio.to_thread(answered, result, form, request)

    async def users(self, request: Request) -> Response:
        """``POST /v1/query/users``: ``{"query", "pick"}``, the users behind that cell."""
        project = self._project(request, Action.ASK)
        body = _object(await _document(request))
        query, pick = body.get("query"), body.get("pick")
        if not isinstance(query, dict) or not isinstance(pick, dict) or len(body) != 2:
            raise InvalidQuery('send {"query": {…}, "pick": {…}}')
        form, cancel = form_of(request), Cancel()
        result = await self.desk.run(
            lambda: project.engine.users(query, pick, cancel=cancel), cancel, _gone(request)
        )
        return await asyncio.to_thread(answered, result, form, request)

    async def explain(self, request: Request) -> Response:
        """``POST /v1/query/explain``: what a query would read."""
        project = self._project(request, Action.ASK)
        document, cancel = await _document(request), Cancel()
        found = await self.desk.run(
            lambda: project.engine.explain(document, cancel=cancel), cancel, _gone(request)
        )
        return JSONResponse(found)

    async def sql(self, request: Request) -> Response:
        """``POST /v1/sql``: ``{"sql"}``, a SELECT over the tables of docs/sql.md."""
        project = self._project(request, Action.ASK)
        body = _object(await _document(request))
        text = body.get("sql")
        if not isinstance(text, str) or len(body) != 1:
            raise InvalidQuery('send {"sql": "SELECT …"}')
        form, cancel = form_of(request), Cancel()

        def work() -> Result:
            from zuji.engine.sql import ask  # DuckDB, only where it is used

            return ask(project.engine, text, cancel=cancel)

        result = await self.desk.run(work, cancel, _gone(request))
        return await asyncio.to_thread(answered, result, form, request)

    async def schema(self, request: Request) -> Response:
        """``GET /v1/schema``: all that a query can name."""
        project, cancel = self._project(request, Action.ASK), Cancel()
        found = await self.desk.run(lambda: schema_of(project, cancel), cancel, _gone(request))
        return JSONResponse(found)

    async def status(self, request: Request) -> Response:
        """``GET /v1/status``: sizes and health of the project."""
        project = self._project(request, Action.ASK)
        found = await self.desk.run(project.engine.status, Cancel(), _gone(request))
        return JSONResponse({**found, "upkeep": project.upkeep.done.told()})

    async def _told(
        self, request: Request, project: Project, document: bytes, cancel: Cancel
    ) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        def progress(share: float) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, ("progress", f"{share:.4f}"))

        async def work() -> None:
            try:
                result: Result = await self.desk.run(
                    lambda: self._answers.ask(
                        project.name,
                        project.engine,
                        document,
                        lambda: project.engine.query(document, cancel=cancel, progress=progress),
                    ),
                    cancel,
                    _gone(request),
                )
                steps.put_nowait(("result", result.to_json()))
            except Exception as problem:  # whatever it is, the client waits for an end
                if not isinstance(problem, ZujiError):
                    log_bug(problem)
                steps.put_nowait(("error", msgspec.json.encode(said(problem)).decode()))

        task = asyncio.ensure_future(work())
        try:
            while True:
                name, data = await steps.get()
                yield f"event: {name}\ndata: {data}\n\n"
                if name != "progress":
                    return
        finally:
            cancel.cancel()
            await asyncio.wait((task,))

    # -- health --------------------------------------------------------------------------------

    async def readiness(self, _request: Request) -> Response:
        """``GET /readyz``: whether all projects are open and can be written."""
        failed = await asyncio.to_thread(self._unwritable)
        if self.ready and not failed:
            return Response("ready\n", media_type="text/plain")
        why = f"writing fails: {', '.join(failed)}" if failed else "projects are being opened"
        return JSONResponse({"error": {"code": "not_ready", "message": why}}, 503)

    def _unwritable(self) -> list[str]:
        """Projects that cannot be written; on a thread, since a status may sort new rows."""
        return [p.name for p in self._projects.all() if p.engine.status()["last_error"]]

    async def scraped(self, request: Request) -> Response:
        """``GET /metrics``: counters in Prometheus' form."""
        page = await asyncio.to_thread(self._metrics.page)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    # -- who -----------------------------------------------------------------------------------

    def _project(self, request: Request, need: Action) -> Project:
        return self.who(request, need)[0]

    def who(self, request: Request, need: Action) -> tuple[Project, Caller]:
        """The project that is asked about, and who asks and may do ``need`` there.

        Raises:
            Unauthorized, Forbidden, CrossSite, MustChange, NotFound. InvalidInput: no project is
                named, and there are several.
        """
        caller = self.callers.needed(request, need)
        asked = request.query_params.get("project")
        if caller.project is not None:
            if asked not in (None, caller.project):
                raise NotFound(f"there is no project {asked!r} for this key")
            name = caller.project
        elif asked is not None:
            name = asked
        else:
            name = "default" if caller.account is None else self._only_project()
        allow(caller, need, name)
        return self._projects.get(name), caller

    def caller(self, request: Request, need: Action) -> Caller:
        """Who asks for what belongs to no project.

        Raises:
            Unauthorized, Forbidden, CrossSite, MustChange.
        """
        caller = self.callers.needed(request, need)
        allow(caller, need, None)
        return caller

    def _only_project(self) -> str:
        names = [project.name for project in self._projects.all()]
        if len(names) != 1:
            raise InvalidInput("say which project: ?project=")
        return names[0]

    def make_project(self, name: str, tz: str) -> Project:
        """A new project, open.

        Raises:
            InvalidInput: its name or zone will not do, or it is there.
        """
        return self._projects.make(name, tz)

    def project_list(self) -> list[dict[str, Any]]:
        """Names and time zones of the projects there are."""
        for one in self._projects.all():
            if one.name not in self._zones:  # fixed for good; a status may sort new rows
                self._zones[one.name] = one.engine.status()["tz"]
        return [{"name": one.name, "tz": self._zones[one.name]} for one in self._projects.all()]

    @property
    def store(self) -> Store:
        """The server's database."""
        assert self._store is not None, "this API was made without a database"
        return self._store

    @property
    def sessions(self) -> Sessions:
        """Sessions of those who signed in."""
        assert self._sessions is not None, "this API was made without sessions"
        return self._sessions


async def _alive(_request: Request) -> Response:
    return Response("alive\n", media_type="text/plain")


async def _document(request: Request) -> bytes:
    """The body.

    Raises:
        InvalidQuery: it is too long.
    """
    try:
        return await body_of(request, QUERY_BYTES)
    except InvalidInput:
        raise InvalidQuery(f"a request has at most {QUERY_BYTES:,} bytes") from None


def _object(document: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidQuery(f"the body is not a JSON object: {error}") from None


def _gone(request: Request) -> Callable[[], Awaitable[Any]]:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return gone


def make_api(api: Api, console: ASGIApp | None = None) -> Starlette:
    """The ASGI application. ``console``: what other paths than the API's show."""
    app = Starlette(
        routes=api.routes(),
        middleware=[Middleware(Guarded), Middleware(WithoutBugs)],
        exception_handlers={ZujiError: failed, HTTPException: refused},
    )
    app.router.redirect_slashes = False  # to whatever Host says
    if console is not None:
        app.router.default = console
    return app
