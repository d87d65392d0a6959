"""The collector: which request is whose, keys, queues, answers.

A request is checked on the loop (path, method, key), prepared and stored on the threads of its
project's queue, and answered when its events are durable. Answers follow what each SDK makes of
them; every one allows other origins, since what a write key may do does not depend on cookies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.errors import NotFound, ZujiError
from zuji.server.auth import Kind
from zuji.server.collector.gather import Reader
from zuji.server.collector.many import Many
from zuji.server.collector.message import TEXT, Answer, problem
from zuji.server.collector.taking import Entrance, Taking, for_any_origin
from zuji.server.enrich import enricher
from zuji.server.protocols import PROTOCOLS
from zuji.server.protocols._lane import Door

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from zuji.server.auth import Key, KeyRing
    from zuji.server.collector.http import Connection
    from zuji.server.collector.message import Request
    from zuji.server.metrics import Metrics
    from zuji.server.projects import Project, Projects
    from zuji.server.protocols._lane import Lane
    from zuji.server.protocols.base import Protocol
    from zuji.server.settings import Settings

KNOWN_MS = 10
"""So long a token that was right is right without a look at the keys, which are looked at for
changes every 50 ms.
"""


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
        self._projects = projects
        self._keys = keys
        self._metrics = metrics
        self._routes: dict[str, Entrance] = {}
        self._fixed: dict[str, Callable[[Request], Answer]] = {
            "/livez": _alive,
            "/readyz": self._ready,
        }
        self._under: dict[str, Callable[[Request], Answer]] = {}
        for protocol in PROTOCOLS:
            entrance = Entrance(protocol, settings, metrics, enrich)
            for path in protocol.paths:
                assert path not in self._routes, f"two protocols have {path}"
                self._routes[path] = entrance
            for path, fixed in protocol.fixed.items():
                if path.endswith("/*"):
                    self._under[path[:-1]] = fixed
                else:
                    self._fixed[path] = fixed
        self._reader = Reader(settings.queue_bytes, loop)
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
                self._take(entrance, request, connection)
            except ZujiError as error:
                answer = self._failed(entrance.protocol, request, error)
            else:
                return None
        return for_any_origin(request, answer)

    def close(self) -> None:
        """Reads what waits to be read."""
        self._reader.close()

    def _take(self, entrance: Entrance, request: Request, connection: Connection) -> None:
        work = Taking(entrance, request, connection)
        text = entrance.protocol.key(request)
        if text is not None:
            key = self._keys.allowed(text, Kind.WRITE)
            project = self._opened(key, text)
            if project is not None:
                if entrance.protocol.lane is not None and entrance.enrich is None:
                    self._door.open(text.encode("latin-1"), self._lane(entrance, project))
                _queue(work, project, key)
                return

        def read() -> None:  # on a thread: reading a body or opening a project takes its time
            said = work.prepare().key if text is None else text
            key = self._keys.allowed(said, Kind.WRITE)
            _queue(work, self._project(key, said), key)

        def failed(error: ZujiError) -> None:
            answer = self._failed(entrance.protocol, request, error)
            connection.answer(for_any_origin(request, answer))

        self._reader.put(work.size, read, failed)

    def _lane(self, entrance: Entrance, project: Project) -> Lane:
        """The lane into a project's queue; its requests need no key asked for a moment."""
        lane = self._lanes.get(project.name)
        if lane is None:
            assert entrance.protocol.lane is not None
            gatherer = project.gatherer
            made = entrance.protocol.lane(self._settings, self._settings.queue_bytes, gatherer.see)
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


def _queue(work: Taking, project: Project, key: Key | None) -> None:
    work.project, work.bulk = project.name, key is not None and key.kind is Kind.ADMIN
    work.judge = project.governor.judged
    project.gatherer.put(work)


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
