"""Rounds: one thread that looks at all open projects, again some time after it last did."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zuji.server.projects import Project, Projects

LOOK_S = 60.0


class Rounds:
    """Call :meth:`start` once all projects are open and :meth:`stop` before they are closed."""

    name = "zuji-rounds"

    def __init__(self, projects: Projects, look_s: float = LOOK_S) -> None:
        self._projects = projects
        self._look_s = look_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the rounds, and waits for the look that is on."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def ending(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._ending.is_set()

    def _run(self) -> None:
        while not self._ending.wait(self._look_s):
            for project in self._projects.all():
                if not self._ending.is_set():
                    self.look(project)

    def look(self, project: Project) -> None:
        """What is done at each project. Does not raise."""
        raise NotImplementedError
