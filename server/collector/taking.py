"""One request on its way from the loop to the log and back.

:class:`Taking` is what the queue of a project holds: prepared and answered on its threads, told on
the loop's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.engine.errors import ZujiError
from zuji.server.collector.body import inflated
from zuji.server.collector.message import Answer
from zuji.server.protocols.base import parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.gather import Outcome
    from zuji.server.collector.http import Connection
    from zuji.server.collector.message import Request, Taken
    from zuji.server.metrics import Metrics
    from zuji.server.projects import Project
    from zuji.server.protocols.base import Protocol
    from zuji.server.settings import Settings

OWN = 512
"""Bytes that a waiting request holds beside its body."""


class Taking:
    """A request that brings events. ``bulk``: sent with a key that may send much. ``taken``: what
    it brings, when that is known already. See ``gather.Work``.
    """

    __slots__ = (
        "_answer",
        "_bulk",
        "_connection",
        "_error",
        "_metrics",
        "_project",
        "_protocol",
        "_request",
        "_results",
        "_settings",
        "_taken",
        "size",
    )

    def __init__(
        self,
        protocol: Protocol,
        request: Request,
        connection: Connection,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.size = len(request.body) + len(request.query) + OWN
        self._protocol = protocol
        self._request = request
        self._connection = connection
        self._settings = settings
        self._metrics = metrics
        self._project = ""
        self._bulk = False
        self._taken: Taken | None = None
        self._results: Sequence[AppendResult] = ()
        self._error: ZujiError | None = None
        self._answer = _NONE

    def belongs(self, project: Project, *, bulk: bool) -> None:
        """Whose it is is known."""
        self._project, self._bulk = project.name, bulk

    def prepare(self) -> Taken:
        """See ``gather.Work``; a second call gives the same."""
        if self._taken is None:
            request = self._request
            coding = request.header(b"content-encoding")
            if not coding and b"encoding=" in request.query:
                coding = parameters(request).get("encoding", "")
            body = request.body
            if coding or len(body) > self._settings.body_bytes:
                body = inflated(body, coding, self._settings, bulk=self._bulk)
            self._taken = self._protocol.convert(request, body, self._settings)
        return self._taken

    def done(self, outcome: Outcome) -> None:
        """See ``gather.Work``."""
        if isinstance(outcome, ZujiError):
            self._error = outcome
        else:
            taken, each = outcome
            results = []
            for one in each:
                if isinstance(one, ZujiError):
                    self._error = one
                    break
                results.append(one)
            else:
                self._results = results
                self._answer = self._protocol.stored(self._request, taken, results)
        if self._error is not None:
            self._answer = self._protocol.failed(self._request, self._error)
        self._answer = for_any_origin(self._request, self._answer)

    def tell(self) -> None:
        """See ``gather.Work``."""
        if self._error is not None:
            self._metrics.refused(self._protocol.name, self._error.code)
        else:
            assert self._taken is not None
            self._metrics.stored(
                self._protocol.name, self._project, self._results, self._taken.refused
            )
        self._connection.answer(self._answer)


_NONE = Answer(500)


def for_any_origin(request: Request, answer: Answer) -> Answer:
    """The answer, for pages of whatever origin the request names."""
    origin = request.headers.get(b"origin")
    if origin is None:
        return answer
    allowed = (
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"Retry-After"),
        (b"Vary", b"Origin"),
    )
    return Answer(
        answer.status, answer.body, answer.kind, (*answer.headers, *allowed), answer.close
    )
