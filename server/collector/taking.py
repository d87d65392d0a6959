"""One request on its way from the loop to the log and back.

:class:`Taking` is what the queue of a project holds: prepared and answered on its threads, told on
the loop's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zuji.engine.errors import ZujiError
from zuji.engine.writer import AppendResult
from zuji.server.collector.body import inflated
from zuji.server.collector.message import Answer
from zuji.server.collector.standing import sums, units_of_body
from zuji.server.protocols.base import parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.server.collector.gather import Outcome
    from zuji.server.collector.http import Connection
    from zuji.server.collector.message import Events, Request, Taken
    from zuji.server.collector.standing import Standing
    from zuji.server.enrich import Enrich
    from zuji.server.metrics import Metrics
    from zuji.server.protocols.base import Protocol
    from zuji.server.settings import Settings

OWN = 512
"""Bytes that a waiting request holds beside its body."""
_NONE = Answer(500)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What all requests of a protocol have in common. ``own``: the settings of the projects that
    have some of their own.
    """

    protocol: Protocol
    settings: Settings
    metrics: Metrics
    enrich: Enrich | None = None
    standing: Standing | None = None
    own: Mapping[str, Settings] = field(default_factory=dict)

    def settings_of(self, project: str) -> Settings:
        """The settings for what is a project's; "": nobody knows yet whose it is."""
        return self.own.get(project, self.settings)

    def settle(self, request: Request, refused: int, stored: int = 0) -> None:
        """Notes how much of a request was refused; the loop's thread."""
        if self.standing is not None:
            self.standing.settle(request, self.protocol.key(request) or "", refused, stored)


class Taking:
    """A request that brings events. ``project``: its name, ``bulk``: sent with a key that may send
    much, ``judge``: says what the project's plan makes of a batch; set before it is queued. See
    ``gather.Work``.
    """

    __slots__ = (
        "_answer",
        "_connection",
        "_entrance",
        "_refused",
        "_request",
        "_results",
        "_taken",
        "bulk",
        "judge",
        "project",
        "size",
    )
    apart: Sequence[Taking] = ()

    def __init__(self, entrance: Entrance, request: Request, connection: Connection) -> None:
        self.size = len(request.body) + len(request.query) + OWN
        self.project = ""
        self.bulk = False
        self.judge: Callable[[bytes], AppendResult] = _unjudged
        self._entrance = entrance
        self._request = request
        self._connection = connection
        self._taken: Taken | None = None
        self._refused: Sequence[Rejected] = ()
        self._results: Sequence[AppendResult] | ZujiError = ()
        self._answer = _NONE

    def prepare(self) -> Taken:
        """See ``gather.Work``; until it is done, a second call gives the same."""
        if self._taken is None:
            request, entrance = self._request, self._entrance
            coding = request.header(b"content-encoding")
            if not coding and b"encoding=" in request.query:
                coding = parameters(request).get("encoding", "")
            body = request.body
            if coding or len(body) > entrance.settings.body_bytes:
                body = inflated(body, coding, entrance.settings, bulk=self.bulk)
            taken = entrance.protocol.convert(request, body, entrance.settings_of(self.project))
            self._taken = taken if entrance.enrich is None else entrance.enrich(taken, request)
        return self._taken

    def belongs(self, project: str) -> None:
        """It is a project's, as its body told: what was made of it may have to be made again."""
        self.project = project
        if project in self._entrance.own:
            self._taken = None

    def done(self, outcome: Outcome) -> None:
        """See ``gather.Work``."""
        request, protocol = self._request, self._entrance.protocol
        if isinstance(outcome, ZujiError):
            self._results = outcome
        else:
            self._results = _all_of(outcome[1])
        if isinstance(self._results, ZujiError):
            answer = protocol.failed(request, self._results)
        else:
            assert self._taken is not None
            self._refused = self._taken.refused
            judged = [self.judge(as_batch(one)) for one in self._taken.judged]
            answer = protocol.stored(request, self._taken, [*self._results, *judged])
        self._taken = None  # it may be large, and the others of its group are not stored yet
        self._answer = for_any_origin(request, answer)

    def tell(self) -> None:
        """See ``gather.Work``."""
        entrance, results = self._entrance, self._results
        if isinstance(results, ZujiError):
            entrance.metrics.refused(entrance.protocol.name, results.code)
            owed = (units_of_body(self._request, results), 0)
        else:
            name = entrance.protocol.name
            entrance.metrics.stored(name, self.project, results, self._refused)
            owed = sums(results, self._refused)
        if not self.bulk:
            entrance.settle(self._request, *owed)
        self._connection.answer(self._answer)


def _unjudged(_batch: bytes) -> AppendResult:
    return AppendResult()


def as_batch(events: Events) -> bytes:
    """Events as a batch without an id."""
    return b"\xdd" + events.count.to_bytes(4, "big") + events.data


def _all_of(each: Sequence[AppendResult | ZujiError]) -> Sequence[AppendResult] | ZujiError:
    """The results, or the first error."""
    results = []
    for one in each:
        if isinstance(one, ZujiError):
            return one
        results.append(one)
    return results


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
