"""Tags and cohorts made on schedule: what is due in each open project, looked for every minute.

What cannot be made is logged with its error's code and tried again later; the others go on.
Stopping ends a refresh at once: what was made by then is durable.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from zuji.engine.errors import QueryCancelled, ZujiError
from zuji.engine.query.context import Cancel
from zuji.server.rounds import LOOK_S, Rounds

if TYPE_CHECKING:
    from zuji.server.projects import Project, Projects

log = logging.getLogger(__name__)

AGAIN_S = 600.0
"""A project in which something failed is looked at again after so long."""


class Refreshing(Rounds):
    """The rounds that make tags and cohorts."""

    name = "zuji-refreshing"

    def __init__(self, projects: Projects, look_s: float = LOOK_S) -> None:
        super().__init__(projects, look_s)
        self._cancel = Cancel()
        self._not_before: dict[str, float] = {}

    def stop(self) -> None:
        """Ends what is being made, and waits for it."""
        self._cancel.cancel()
        super().stop()

    def look(self, project: Project) -> None:
        """Makes what the schedules of one project want by now."""
        if time.monotonic() < self._not_before.get(project.name, 0.0):
            return
        try:
            made = project.engine.tags.refresh_due(self._cancel)
            self._cohorts(project)
        except QueryCancelled:
            return
        except ZujiError as error:
            log.warning("tags project=%s code=%s", project.name, error.code)
            self._not_before[project.name] = time.monotonic() + AGAIN_S
            return
        except Exception:  # a bug must not end the schedule of all other projects
            log.exception("tags project=%s", project.name)
            self._not_before[project.name] = time.monotonic() + AGAIN_S
            return
        for one in made:
            if "error" in one:
                code = one["error"]["code"]
                log.warning("tag=%s day=%s code=%s", one["tag"], one["day"], code)
                self._not_before[project.name] = time.monotonic() + AGAIN_S
            else:
                log.info("tag=%s day=%s users=%d", one["tag"], one["day"], one["users"])

    def _cohorts(self, project: Project) -> None:
        for one in project.engine.cohorts.refresh_due(self._cancel):
            if "code" in one:
                log.warning("cohort=%s code=%s", one["cohort"], one["code"])
                self._not_before[project.name] = time.monotonic() + AGAIN_S
            else:
                log.info("cohort=%s users=%d", one["cohort"], one["users"])
