"""The projects that a server serves: engines opened for writing, each with its queue.

All projects of the data directory are opened at the start (that is their recovery) and closed,
flushed, at the end; one that is made meanwhile is opened when a request first names it.
Thread-safe.
"""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import zuji
from zuji.engine.config import Config
from zuji.engine.engine import create_project
from zuji.engine.errors import NotFound, ZujiError
from zuji.engine.storage import names
from zuji.server.collector.gather import Gatherer
from zuji.server.plan.governor import Governor, Keeper
from zuji.server.upkeep import Upkeep

if TYPE_CHECKING:
    import asyncio

    from zuji.engine.engine import Engine
    from zuji.server.meta import Store
    from zuji.server.settings import Settings

log = logging.getLogger(__name__)

NAME = re.compile(r"[\w-]{1,64}\Z")


class Project:
    """An open project, what waits to be stored in it, past its plan (``governor``), and its
    ``upkeep``.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        store: Store,
    ) -> None:
        self.name = name
        self.engine = engine
        self.governor = Governor(name, engine, store, settings.data)
        self.upkeep = Upkeep(engine, settings.upkeep)
        self.gatherer = Gatherer(name, self.governor.append, loop, settings.queue_bytes)

    def close(self) -> None:
        """Stores what waits and closes the engine."""
        self.gatherer.close()
        self.engine.close()


class Projects:
    """Open projects by name. ``store``: has their plans."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._settings = settings
        self._loop = loop
        self._store = store
        self._keeper = Keeper(store)
        self._open: dict[str, Project] = {}
        self._lock = threading.Lock()
        self._only = {name.strip() for name in settings.projects.split(",") if name.strip()}

    def open_all(self) -> None:
        """Opens every project there is; in development mode makes ``default``.

        Raises:
            ZujiError: one cannot be opened; says which.
        """
        data = Path(self._settings.data)
        data.mkdir(parents=True, exist_ok=True)
        there = sorted(p.name for p in data.iterdir() if (p / names.CURRENT).exists())
        if self._settings.dev and not there:
            there = ["default"]
        for name in there:
            if not self._only or name in self._only:
                self._open_one(name, make=self._settings.dev)

    def opened(self, name: str) -> Project | None:
        """The project of this name, if it is open. Never waits."""
        return self._open.get(name)

    def get(self, name: str) -> Project:
        """The project of this name, opened if need be: that may take its time.

        Raises:
            NotFound. ZujiError: it was made meanwhile and cannot be opened.
        """
        found = self._open.get(name)
        if found is not None:
            return found
        if not NAME.match(name):  # it becomes a path
            raise NotFound("there is no such project")
        self._check_served(name)
        return self._open_one(name, make=False)

    def make(self, name: str, tz: str) -> Project:
        """A new project.

        Raises:
            InvalidInput: its name or zone will not do, or it is there. NotFound: this server serves
                others only.
        """
        self._check_served(name)
        create_project(self._settings.data, name, tz)
        return self._open_one(name, make=False)

    def _check_served(self, name: str) -> None:
        if self._only and name not in self._only:
            raise NotFound(f"this server does not serve the project {name!r}")

    def all(self) -> list[Project]:
        """Open projects by name."""
        return [self._open[name] for name in sorted(self._open)]

    def close(self) -> None:
        """Closes all; what was taken in is stored."""
        with self._lock:
            for project in self.all():
                try:
                    project.close()
                except ZujiError as problem:  # what was acknowledged is in the log
                    log.warning("closing project=%s failed: %s", project.name, problem)
            self._open = {}
        self._keeper.close()

    def _open_one(self, name: str, *, make: bool) -> Project:
        with self._lock:
            found = self._open.get(name)
            if found is not None:
                return found
            there = (Path(self._settings.data) / name / names.CURRENT).exists()
            if not there and not make:
                raise NotFound(f"there is no project {name!r}; make one with `zuji init`")
            config = Config(query_seconds=self._settings.query_seconds)
            engine = zuji.open(self._settings.data, name, config=config)
            try:
                project = Project(name, engine, self._loop, self._settings, self._store)
            except ZujiError:  # its plan cannot be read: nothing is taken without it
                engine.close()
                raise
            self._keeper.add(project.governor)
            self._open = {**self._open, name: project}
            log.info("opened project=%s rows=%d", name, engine.status()["rows"])
            return project
