"""The collector: which request is whose, keys, queues, answers.

A request is checked on the loop (path, method, key), prepared and stored on the threads of its
project's queue, and answered when its events are durable. Answers follow what each SDK makes of
them; every one allows other origins, since what a write key may do does not depend on cookies.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from zuji.engine.errors import NotFound, ZujiError
from zuji.server.auth import Kind
from zuji.server.collector.gather import Gatherer, Reader
from zuji.server.collector.many import Many
from zuji.server.collector.message import TEXT, Answer, Request, problem
from zuji.server.collector.standing import Standing, Throttled, units_of_body
from zuji.server.collector.taking import Entrance, Taking, for_any_origin
from zuji.server.enrich import enricher
from zuji.server.protocols import PROTOCOLS
from zuji.server.protocols._lane import Door
from zuji.server.settings import of_projects

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from zuji.server.auth import Key, KeyRing
    from zuji.server.collector.http import Connection
    from zuji.server.metrics import Metrics
    from zuji.server.projects import Project, Projects
    from zuji.server.protocols._lane import Lane
    from zuji.server.protocols.base import Protocol
    from zuji.server.settings import Settings

KNOWN_MS = 10
"""So long a token that was right is right without a look at the keys, which are looked at for
changes every 50 ms.
"""
LATE_SHARE = 8
"""Those who wait behind all others have a queue of this part of the bytes."""


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
        enrich = enricher(settings)
        self.standing = Standing(settings.refused_rate, settings.trusted_proxies)
        self._projects = projects
        self._keys = keys
        self._metrics = metrics
        self._routes: dict[str, Entrance] = {}
        self._fixed: dict[str, Callable[[Request], Answer]] = {
            "/livez": _alive,
            "/readyz": self._ready,
        }
        self._under: dict[str, Callable[[Request], Answer]] = {}
        own = of_projects(settings)
        for protocol in PROTOCOLS:
            entrance = Entrance(protocol, settings, metrics, enrich, self.standing, own)
            for path in protocol.paths:
                assert path not in self._routes, f"two protocols have {path}"
                self._routes[path] = entrance
            for path, fixed in protocol.fixed.items():
                if path.endswith("/*"):
                    self._under[path[:-1]] = fixed
                else:
                    self._fixed[path] = fixed
        self._reader = Reader(settings.queue_bytes, loop)
        self._late_reader = Reader(settings.queue_bytes // LATE_SHARE, loop, 1)
        self._late: dict[str, Gatherer] = {}  # by project
        self._making = threading.Lock()
        self._loop = loop
        self._settings = settings
        self._lanes: dict[str, Lane] = {}  # by project
        self._door = Door(
            settings.uri_bytes,
            settings.header_fields,
            settings.header_bytes,
            settings.body_bytes,
            KNOWN_MS,
        )
        self.quickly = self._door.take
        self.ready = False

    def handle(self, request: Request, connection: Connection) -> Answer | None:
        """See ``http.Handle``."""
        entrance = self._routes.get(request.path)
        if entrance is None:
            answer = self._other(request)
        elif request.method == "OPTIONS":
            answer = _preflight(request)
        elif request.method not in entrance.protocol.paths[request.path]:
            fixed = self._fixed.get(request.path)  # it may be for the methods that bring no events
            no = problem(405, "method_not_allowed", "see docs/server.md")
            answer = no if fixed is None else fixed(request)
        else:
            try:
                late = False
                if request.peer in self.standing.wary:
                    key = entrance.protocol.key(request) or ""
                    late = self.standing.check(request, key)
                self._take(entrance, request, connection, late=late)
            except ZujiError as error:
                answer = self._failed(entrance.protocol, request, error)
            else:
                return None
        return for_any_origin(request, answer)

    def close(self) -> None:
        """Reads what waits to be read, and stores what waits behind all others."""
        self._reader.close()
        self._late_reader.close()
        for gatherer in self._late.values():
            gatherer.close()

    def early(
        self, method: str, target: bytes, fields: Mapping[bytes, bytes], peer: str
    ) -> Answer | None:
        """The answer to a request whose body need not be read; None: read it."""
        path, _, query = target.partition(b"?")
        entrance = self._routes.get(path.decode("latin-1"))
        if entrance is None or peer not in self.standing.wary:
            return None
        request = Request(method, path.decode("latin-1"), query, dict(fields), b"", peer, 0)
        try:
            self.standing.check(request, entrance.protocol.key(request) or "")
        except Throttled as error:
            return for_any_origin(request, self._failed(entrance.protocol, request, error))
        return None

    def _take(
        self, entrance: Entrance, request: Request, connection: Connection, *, late: bool
    ) -> None:
        work = Taking(entrance, request, connection)
        text = entrance.protocol.key(request)
        if text is not None:
            key = self._keys.allowed(text, Kind.WRITE)
            project = self._opened(key, text)
            if project is not None:
                if entrance.protocol.lane is not None and entrance.enrich is None:
                    self._door.open(text.encode("latin-1"), self._lane(entrance, project))
                self._queue(work, project, key, late=late)
                return

        def read() -> None:  # on a thread: reading a body or opening a project takes its time
            said = work.prepare().key if text is None else text
            key = self._keys.allowed(said, Kind.WRITE)
            self._queue(work, self._project(key, said), key, late=late)

        def failed(error: ZujiError) -> None:
            entrance.settle(request, units_of_body(request, error))
            answer = self._failed(entrance.protocol, request, error)
            connection.answer(for_any_origin(request, answer))

        reader = self._late_reader if late else self._reader
        reader.put(work.size, read, failed)

    def _queue(self, work: Taking, project: Project, key: Key | None, *, late: bool) -> None:
        work.belongs(project.name)
        work.bulk = key is not None and key.kind is Kind.ADMIN
        work.judge = project.governor.judged
        gatherer = self._late_one(project) if late and not work.bulk else project.gatherer
        gatherer.put(work)

    def _late_one(self, project: Project) -> Gatherer:
        """The queue of a project for those who wait behind all others."""
        with self._making:
            gatherer = self._late.get(project.name)
            if gatherer is None:
                most = self._settings.queue_bytes // LATE_SHARE
                gatherer = self._late[project.name] = Gatherer(
                    f"{project.name}-late", project.governor.append, self._loop, most, 1
                )
            return gatherer

    def _lane(self, entrance: Entrance, project: Project) -> Lane:
        """The lane into a project's queue; its requests need no key asked for a moment."""
        lane = self._lanes.get(project.name)
        if lane is None:
            assert entrance.protocol.lane is not None
            gatherer = project.gatherer
            settings = entrance.settings_of(project.name)
            made = entrance.protocol.lane(settings, settings.queue_bytes, gatherer.see)
            gatherer.widen(made, lambda cut: Many(entrance, project, made, cut))
            lane = self._lanes[project.name] = made
        return lane

    def _failed(self, protocol: Protocol, request: Request, error: ZujiError) -> Answer:
        self._metrics.refused(protocol.name, error.code)
        return protocol.failed(request, error)

    def _opened(self, key: Key | None, text: str) -> Project | None:
        """The project of a key when it is open already."""
        return self._projects.opened(key.project if key is not None else text or "default")

    def _project(self, key: Key | None, text: str) -> Project:
        """The project of a key; in development mode a key may be the name of a project."""
        if key is not None:
            return self._projects.get(key.project)
        try:
            return self._projects.get(text or "default")
        except NotFound:
            return self._projects.all()[0]

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
