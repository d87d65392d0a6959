"""Opening projects for commands: the one place where the command line meets the engine.

Reading commands open read-only and so never wait for a writer. Engine modules are imported here,
inside functions, so that ``--help`` stays fast.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zuji.engine.engine import Engine


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
def writing(data: Path, project: str, config: Any = None) -> Iterator[Engine]:
    """The project, for writing; the default project is made when it is not there.

    :raises ProjectLocked: another process writes.
    """
    import zuji

    engine = zuji.open(str(data), project, config=config)
    try:
        yield engine
    finally:
        engine.close()
