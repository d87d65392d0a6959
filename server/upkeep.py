"""What projects forget by themselves, once a day: the bytes of erased people, and events that have
lived past their time to live.

At a time of day of the project's zone, and soon after the start when the last such time may have
been missed. Both are cut off anywhere without harm: what was done stays done, and the next look
goes on. What fails is logged with its code and tried again after :data:`AGAIN_S`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from zuji.engine import calendars
from zuji.engine.errors import EngineClosed, QueryCancelled, ZujiError
from zuji.server.rounds import Rounds
from zuji.server.settings import minutes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.engine import Engine
    from zuji.server.projects import Project

log = logging.getLogger(__name__)

AGAIN_S: Final = 600.0
BY: Final = "upkeep"
"""Who applied the time to live, in its notes."""
_DAY: Final = timedelta(days=1)


@dataclass(slots=True)
class Done:
    """What the upkeep of a project did since the server started. ``last_ms``: when it last ended,
    None: not yet; ``error``: the code of what went wrong then.
    """

    last_ms: int | None = None
    runs: int = 0
    failures: int = 0
    purged_users: int = 0
    purged_rows: int = 0
    expired_rows: int = 0
    error: str | None = None

    def told(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Upkeep:
    """The upkeep of one project. ``at``: "HH:MM", local; "": only by hand. One thread uses it;
    ``done`` may be read by any.
    """

    def __init__(self, engine: Engine, at: str, now_ms: Callable[[], int] | None = None) -> None:
        self._engine = engine
        self._at = minutes_of(at)
        self._tz = str(engine.status()["tz"])
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._wanted_ms = 0  # the last time of day that was seen to
        self._not_before = 0.0
        self.done = Done()

    def look(self, ending: Callable[[], bool] = lambda: False) -> None:
        """Does what is due; gives up between two segments once ``ending``."""
        wanted = self._last_time()
        if wanted is None or wanted <= self._wanted_ms or time.monotonic() < self._not_before:
            return
        try:
            self._work(ending)
        except (EngineClosed, QueryCancelled):
            return
        except Exception as problem:
            code = problem.code if isinstance(problem, ZujiError) else type(problem).__name__
            if not isinstance(problem, ZujiError):  # a bug must not end the upkeep of others
                log.exception("upkeep project=%s", self._engine.project)
            log.warning("upkeep project=%s code=%s", self._engine.project, code)
            self.done.failures += 1
            self.done.error = code
            self._not_before = time.monotonic() + AGAIN_S
        else:
            self.done.runs += 1
            self.done.error = None
            self._wanted_ms = wanted
        self.done.last_ms = self._now_ms()

    def _work(self, ending: Callable[[], bool]) -> None:
        def go_on(_done: int, _of: int) -> None:
            if ending():
                raise QueryCancelled("the server is stopping")

        people = self._engine.people
        status = people.status()
        if status["waiting"] or status["open"]:
            purged = people.purge(go_on)
            self.done.purged_users += purged.users
            self.done.purged_rows += purged.rows
        if people.ttl.plan()["rows"]:
            self.done.expired_rows += int(people.ttl.apply(by=BY)["rows"])

    def _last_time(self) -> int | None:
        """The newest time of day that has come, ms UTC."""
        if self._at is None:
            return None
        now, tz = self._now_ms(), self._tz
        today = calendars.local_date(now, tz)
        found = calendars.day_start(today, tz) + self._at * 60_000
        return found if found <= now else calendars.day_start(today - _DAY, tz) + self._at * 60_000


class Keeping(Rounds):
    """The thread that looks after the upkeep of all open projects."""

    name = "zuji-upkeep"

    def look(self, project: Project) -> None:
        """Does what is due in one project."""
        project.upkeep.look(self.ending)
