"""KeptRun: a run of a segment whose arrays are kept for later queries. Read-only arrays.

Merging and checking read the run itself, so that what they read once pushes nothing out.
Thread-safe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.source import Run
    from zuji.engine.types import I64, U16, U32, Column


class KeptRun:
    """The reading part of :class:`zuji.engine.storage.source.Run`, through a cache."""

    __slots__ = ("_cache", "_run", "_serial")

    def __init__(self, run: Run, serial: int, cache: ColumnCache) -> None:
        self._run = run
        self._serial = serial
        self._cache = cache

    def _get(self, what: str, make: Any) -> Any:
        return self._cache.get((self._serial, self._run.event, what), make)

    def users(self) -> tuple[U32, U32]:
        """See :class:`Run`."""
        found: tuple[U32, U32] = self._get("users", self._run.users)
        return found

    def times(self) -> U32:
        """See :class:`Run`."""
        found: U32 = self._get("times", self._run.times)
        return found

    def ties(self) -> U16 | None:
        """See :class:`Run`."""
        found: U16 | None = self._get("ties", self._run.ties)
        return found

    def received(self) -> I64:
        """See :class:`Run`."""
        found: I64 = self._get("received", self._run.received)
        return found

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        found: Column | None = self._get("column " + name, lambda: narrow(self._run.column(name)))
        return found


def narrow(column: Column | None) -> Column | None:
    """A string column with codes of one or two bytes where its dictionary is small: a quarter of
    the memory to keep and to read.
    """
    if column is None or column.kind != Kind.STRING or column.dictionary is None:
        return column
    size = len(column.dictionary)
    if size > 1 << 16:
        return column
    return replace(column, values=column.values.astype(np.uint8 if size <= 256 else np.uint16))
