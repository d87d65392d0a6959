"""The server's database: SQLite in the data directory, or any other by URL.

Opening it brings its tables up to date (alembic). :meth:`Store.changed` says cheaply whether
another process wrote, so that a key which ``zuji key revoke`` takes back stops working in a running
server. Thread-safe: a session is made for each use.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util.exc import CommandError
from sqlalchemy import create_engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from zuji.engine.errors import InvalidInput, StorageFailed, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

FILE = "server.db"
POLL_S = 1.0
"""How often a database that is no file is asked again."""


class Watch:
    """Tells one listener whether anybody wrote. ``file``: of SQLite, None for other databases."""

    def __init__(self, file: Path | None) -> None:
        self._asking = None if file is None else sqlite3.connect(file, check_same_thread=False)
        self._lock = threading.Lock()
        self._seen = -1
        self._asked = 0.0

    def changed(self) -> bool:
        """Whether anybody may have written since the last call. Microseconds for SQLite.

        Raises:
            StorageFailed.
        """
        with self._lock:
            if self._asking is None:
                now = time.monotonic()
                if now - self._asked < POLL_S:
                    return False
                self._asked = now
                return True
            try:
                version = self._asking.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error as problem:
                raise StorageFailed(f"the server's database: {problem}") from None
            if version == self._seen:
                return False
            self._seen = version
            return True

    def close(self) -> None:
        """Lets go of the file."""
        if self._asking is not None:
            self._asking.close()


class Store:
    """An open database whose tables are up to date."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self._engine = engine
        self._file = file
        self._watch = Watch(file)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed at the end, taken back by an error.

        Raises:
            StorageFailed: the database cannot be reached or written.
        """
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except SQLAlchemyError as problem:
            raise StorageFailed(f"the server's database: {_short(problem)}") from problem

    def changed(self) -> bool:
        """As :meth:`Watch.changed`, for whoever asks here; others take a watch of their own."""
        return self._watch.changed()

    def watch(self) -> Watch:
        """Another listener; it closes it."""
        return Watch(self._file)

    def close(self) -> None:
        """Lets go of the connections."""
        self._watch.close()
        self._engine.dispose()


def open_store(data: str, url: str = "") -> Store:
    """Opens the database of a data directory, made when it is not there.

    Raises:
        InvalidInput: the URL is none, or its driver is not installed.
        UnsupportedFormat: a newer release wrote it. StorageFailed.
    """
    file = None if url else Path(data) / FILE
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        engine = create_engine(url or f"sqlite:///{file}")
    except (ArgumentError, ModuleNotFoundError) as problem:
        raise InvalidInput(f"database: {_short(problem)}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _as_sqlite)
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as problem:
        raise UnsupportedFormat(
            f"the server's database was written by a newer release ({_short(problem)}): upgrade"
        ) from None
    except SQLAlchemyError as problem:
        raise StorageFailed(f"the server's database: {_short(problem)}") from problem
    return Store(engine, file)


def _as_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _short(problem: Exception) -> str:
    return str(problem).splitlines()[0][:200]
