"""Many requests on their way from a lane to the log and back, as one work of the queue.

What the native reader is not sure of goes apart, each request for itself (:mod:`.taking`), in the
same group; so does, afterwards, what turned out to be no batch. Nothing is decided here: answers
and errors are those of the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from zuji.engine.errors import InvalidEvent, ZujiError
from zuji.server.collector.message import Events, Request, Taken
from zuji.server.collector.taking import Taking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.gather import Outcome
    from zuji.server.collector.http import Connection
    from zuji.server.collector.message import Answer
    from zuji.server.collector.taking import Entrance
    from zuji.server.projects import Project
    from zuji.server.protocols._lane import Cut, Lane

    Stored = AppendResult | ZujiError

_NOTHING = Taken()


class Many:
    """The requests of a cut. See ``gather.Work``."""

    __slots__ = ("_cut", "_entrance", "_lane", "_outcome", "_project", "_unsure", "apart", "size")

    def __init__(self, entrance: Entrance, project: Project, lane: Lane, cut: Cut) -> None:
        self.size = cut.size
        self.apart: Sequence[Taking] = ()
        self._entrance = entrance
        self._project = project
        self._lane = lane
        self._cut = cut
        self._unsure: frozenset[int] = frozenset()
        self._outcome: Sequence[Stored] | ZujiError = ()

    def prepare(self) -> Taken:
        """See ``gather.Work``."""
        parts = self._lane.events(self._cut)
        unsure = self._cut.unsure()
        if unsure:
            self._unsure = frozenset(unsure)
            self.apart = [self._alone(i, 0) for i in unsure]
        return Taken(events=[Events(*part) for part in parts])

    def done(self, outcome: Outcome) -> None:
        """See ``gather.Work``."""
        self._outcome = outcome if isinstance(outcome, ZujiError) else outcome[1]

    def tell(self) -> None:
        """See ``gather.Work``."""
        results = self._outcome
        if isinstance(results, ZujiError) or any(isinstance(one, ZujiError) for one in results):
            self._tell_apart(results)
            return
        cut, told = self._cut, _answers(self._entrance)
        self._count(cast("Sequence[AppendResult]", results), cut.count - len(self._unsure))
        for i, connection in enumerate(cut.connections):
            if i not in self._unsure:
                cast("Connection", connection).answer(told[cut.is_post(i)])

    def _tell_apart(self, results: Sequence[Stored] | ZujiError) -> None:
        """Not everything was stored: each request is told what became of its own parts."""
        good = 0
        for i, connection in enumerate(self._cut.connections):
            if i in self._unsure:
                continue
            first, end = self._cut.parts_of(i)
            mine = (results,) if isinstance(results, ZujiError) else results[first:end]
            problem = next((one for one in mine if isinstance(one, ZujiError)), None)
            if isinstance(problem, InvalidEvent):
                problem = self._again(i)
                if problem is None:
                    continue
            request = self._request(i)
            if problem is None:
                answer = self._entrance.protocol.stored(request, _NOTHING, ())
                good += 1
            else:
                self._entrance.metrics.refused(self._entrance.protocol.name, problem.code)
                answer = self._entrance.protocol.failed(request, problem)
            cast("Connection", connection).answer(answer)
        if not isinstance(results, ZujiError):
            self._count([one for one in results if not isinstance(one, ZujiError)], good)

    def _count(self, results: Sequence[AppendResult], requests: int) -> None:
        name = self._entrance.protocol.name
        self._entrance.metrics.stored(name, self._project.name, results, requests=requests)

    def _again(self, i: int) -> ZujiError | None:
        """A request is queued for itself: it or another of its batch is not what it should be."""
        work = self._alone(i, None)
        try:
            self._project.gatherer.put(work)
        except ZujiError as problem:
            return problem
        return None

    def _alone(self, i: int, size: int | None) -> Taking:
        connection = cast("Connection", self._cut.connections[i])
        work = Taking(self._entrance, self._request(i), connection)
        work.project = self._project.name
        if size is not None:
            work.size = size
        return work

    def _request(self, i: int) -> Request:
        method, path, query, body, received_ms = self._cut.sent(i)
        return Request(method, path, query, {}, body, "", received_ms)


def _answers(entrance: Entrance) -> tuple[Answer, Answer]:
    """What a GET and a POST are told when all is stored."""
    asked = [Request(method, "/sa", b"", {}, b"", "", 0) for method in ("GET", "POST")]
    get, post = [entrance.protocol.stored(one, _NOTHING, ()) for one in asked]
    return get, post
