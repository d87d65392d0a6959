"""Opening projects for commands: the one place where the command line meets the engine.

Reading commands open read-only and so never wait for a writer. Engine modules are imported here,
inside functions, so that ``--help`` stays fast.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zuji.engine.engine import Engine
    from zuji.server.meta import Store


@contextmanager
def reading(data: Path, project: str) -> Iterator[Engine]:
    """The project, read-only.

    :raises NotFound: no such project.
    """
    import zuji

    engine = zuji.open(str(data), project, mode="r")
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def writing(data: Path, project: str, *, make: bool = False) -> Iterator[Engine]:
    """The project, for writing; with ``make`` it is made when it is not there.

    :raises NotFound: no such project. :raises ProjectLocked: another process writes.
    """
    import zuji

    if not make and not (data / project).is_dir():
        zuji.open(str(data), project, mode="r").close()
    engine = zuji.open(str(data), project)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def at_hand(data: Path | None, project: str, *, write: bool) -> Iterator[Engine]:
    """The project of a command that a server could be asked instead, for reading or writing.

    :raises InvalidInput: no directory was given either. ProjectLocked: a server may have it.
    """
    from zuji.engine.errors import InvalidInput, ProjectLocked

    if data is None:
        raise InvalidInput("give --data DIR, or --url of a running server")
    if not write:
        with reading(data, project) as engine:
            yield engine
        return
    try:
        with writing(data, project) as engine:
            yield engine
    except ProjectLocked as problem:
        raise ProjectLocked(f"{problem}; a server? then give --url and an admin --key") from None


@contextmanager
def database_of(data: Path, url: str) -> Iterator[Store]:
    """The server's database: of the directory, or at ``url``.

    :raises InvalidInput: the URL is none. StorageFailed.
    """
    from zuji.server.meta import open_store

    store = open_store(str(data), url)
    try:
        yield store
    finally:
        store.close()
