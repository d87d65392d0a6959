"""The collector: which request is whose, keys, queues, answers.

A request is checked on the loop (path, method, key), prepared and stored on the threads of its
project's queue, and answered when its events are durable. Answers follow what each SDK makes of
them; every one allows other origins, since what a write key may do does not depend on cookies.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from zuji.engine.errors import NotFound, ZujiError
from zuji.server.auth import Kind
from zuji.server.collector.body import inflated
from zuji.server.collector.gather import Reader, Work
from zuji.server.collector.message import TEXT, Answer, problem
from zuji.server.protocols import PROTOCOLS
from zuji.server.protocols.base import parameters

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from zuji.engine.writer import AppendResult
    from zuji.server.auth import Key, KeyRing
    from zuji.server.collector.gather import Outcome
    from zuji.server.collector.http import Connection
    from zuji.server.collector.message import Request, Taken
    from zuji.server.metrics import Metrics
    from zuji.server.projects import Project, Projects
    from zuji.server.protocols.base import Protocol
    from zuji.server.settings import Settings

_OWN = 512
"""Bytes that a waiting request holds beside its body."""


class Collector:
    """Handles the requests of the collector's listener."""

    def __init__(
        self,
        settings: Settings,
        projects: Projects,
        keys: KeyRing,
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._settings = settings
        self._projects = projects
        self._keys = keys
        self._metrics = metrics
        self._routes: dict[str, Protocol] = {}
        self._fixed = {"/livez": _alive, "/readyz": self._ready}
        self._under: dict[str, Callable[[Request], Answer]] = {}
        for protocol in PROTOCOLS:
            for path in protocol.paths:
                assert path not in self._routes, f"two protocols have {path}"
                self._routes[path] = protocol
            for path, fixed in protocol.fixed.items():
                if path.endswith("/*"):
                    self._under[path[:-1]] = fixed
                else:
                    self._fixed[path] = fixed
        self._reader = Reader(settings.queue_bytes, loop)
        self.ready = False

    def handle(self, request: Request, connection: Connection) -> Answer | None:
        """See ``http.Handle``."""
        protocol = self._routes.get(request.path)
        if protocol is None:
            answer = self._other(request)
        elif request.method == "OPTIONS":
            answer = _preflight(request)
        elif request.method not in protocol.paths[request.path]:
            answer = problem(405, "method_not_allowed", "see docs/server.md")
        else:
            try:
                self._take(protocol, request, connection)
            except ZujiError as error:
                self._metrics.refused(protocol.name, error.code)
                answer = protocol.failed(request, error)
            else:
                return None
        return _for_any_origin(request, answer)

    def close(self) -> None:
        """Reads what waits to be read."""
        self._reader.close()

    def _take(self, protocol: Protocol, request: Request, connection: Connection) -> None:
        text = protocol.key(request)
        size = len(request.body) + len(request.query) + _OWN
        if text is not None:
            key, project = self._whose(text)
            bulk = key is not None and key.kind == Kind.ADMIN
            prepare = partial(self._prepared, protocol, request, bulk=bulk)
            done = partial(self._done, protocol, request, connection, project)
            project.gatherer.put(Work(size, prepare, done))
            return

        def read() -> None:
            taken = self._prepared(protocol, request)
            _, project = self._whose(taken.key)
            done = partial(self._done, protocol, request, connection, project)
            project.gatherer.put(Work(size, lambda: taken, done))

        def failed(error: ZujiError) -> None:
            self._metrics.refused(protocol.name, error.code)
            connection.answer(_for_any_origin(request, protocol.failed(request, error)))

        self._reader.put(size, read, failed)

    def _prepared(self, protocol: Protocol, request: Request, *, bulk: bool = False) -> Taken:
        coding = request.header(b"content-encoding")
        if not coding and request.query:
            coding = parameters(request).get("encoding", "")
        body = inflated(request.body, coding, self._settings, bulk=bulk)
        return protocol.convert(request, body, self._settings)

    def _whose(self, text: str) -> tuple[Key | None, Project]:
        key = self._keys.allowed(text, Kind.WRITE)
        project = self._any_project(text) if key is None else self._projects.get(key.project)
        return key, project

    def _done(
        self,
        protocol: Protocol,
        request: Request,
        connection: Connection,
        project: Project,
        outcome: Outcome,
    ) -> None:
        answer = self._answer(protocol, request, project, outcome)
        connection.answer(_for_any_origin(request, answer))

    def _any_project(self, text: str) -> Project:
        """In development mode a key may be the name of a project."""
        try:
            return self._projects.get(text or "default")
        except NotFound:
            return self._projects.all()[0]

    def _answer(
        self, protocol: Protocol, request: Request, project: Project, outcome: Outcome
    ) -> Answer:
        if isinstance(outcome, ZujiError):
            self._metrics.refused(protocol.name, outcome.code)
            return protocol.failed(request, outcome)
        taken, each = outcome
        results: list[AppendResult] = []
        for one in each:
            if isinstance(one, ZujiError):
                self._metrics.refused(protocol.name, one.code)
                return protocol.failed(request, one)
            results.append(one)
        self._metrics.stored(protocol.name, project.name, results, taken.refused)
        return protocol.stored(request, taken, results)

    def _other(self, request: Request) -> Answer:
        fixed = self._fixed.get(request.path)
        for start, under in self._under.items():
            if fixed is None and request.path.startswith(start):
                fixed = under
        if fixed is None:
            return problem(404, "not_found", f"nothing is at {request.path[:100]}")
        if request.method == "OPTIONS":
            return _preflight(request)
        return fixed(request)

    def _ready(self, _request: Request) -> Answer:
        if self.ready:
            return Answer(200, b"ready\n", TEXT)
        return problem(503, "not_ready", "projects are being opened", retry_after=1.0)


def _alive(_request: Request) -> Answer:
    return Answer(200, b"alive\n", TEXT)


def _preflight(request: Request) -> Answer:
    asked = request.headers.get(b"access-control-request-headers", b"*")
    allowed = (
        (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
        (b"Access-Control-Allow-Headers", asked),
        (b"Access-Control-Max-Age", b"86400"),
    )
    return Answer(204, headers=allowed)


def _for_any_origin(request: Request, answer: Answer) -> Answer:
    origin = request.headers.get(b"origin")
    if origin is None:
        return answer
    allowed = (
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"Retry-After"),
        (b"Vary", b"Origin"),
    )
    return replace(answer, headers=(*answer.headers, *allowed))
