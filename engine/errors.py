"""Every error the engine raises on purpose. Each class has a stable ``code``: servers map codes,
not classes.

Asserts are for programmers' errors only. Messages say what was expected and what to do.
"""

from __future__ import annotations

from typing import ClassVar, Self


class ZujiError(Exception):
    """Base of all errors raised on purpose. ``code`` is stable across releases."""

    code: ClassVar[str] = "error"

    @property
    def message(self) -> str:
        """Human-readable text."""
        return str(self)

    def bare(self) -> Self:
        """This error without the frames that it came through, and what came before it: for whoever
        keeps it. Frames hold what they worked on, such as a whole request; when that holds the
        error, both would stay until the garbage collector looks, which it seldom does.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class InvalidQuery(ZujiError):
    """The query document is wrong. ``path``: JSON path of the place (``$.body.steps[1].e``)."""

    code = "invalid_query"

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return f"{self.args[0]} (at {self.path})"


class InvalidEvent(ZujiError):
    """An event or batch that cannot be taken in. ``index`` in its batch, or -1 for all of it."""

    code = "invalid_event"

    def __init__(self, message: str, index: int = -1, reason: str = "malformed") -> None:
        super().__init__(message)
        self.index = index
        self.reason = reason


class InvalidInput(ZujiError):
    """A file, mapping or option given to the importer or CLI is wrong."""

    code = "invalid_input"


class Corruption(ZujiError):
    """Stored bytes fail their checksum or structure. Names the file and the byte offset."""

    code = "corruption"

    def __init__(self, message: str, path: str, offset: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.args[0]} ({self.path} at byte {self.offset})"


class UnsupportedFormat(ZujiError):
    """A file of a format version this release does not read."""

    code = "unsupported_format"


class StorageFull(ZujiError):
    """The disk is full. Nothing acknowledged is lost; free space and go on."""

    code = "storage_full"


class StorageFailed(ZujiError):
    """A write or sync failed. The engine refuses further writes; close and reopen to recover."""

    code = "storage_failed"


class ReadOnly(ZujiError):
    """A write on a project opened read-only, or in a directory that cannot be written."""

    code = "read_only"


class ProjectLocked(ZujiError):
    """Another process has the project open for writing."""

    code = "project_locked"


class NotFound(ZujiError):
    """A project, cohort, event or file that is not there."""

    code = "not_found"


class Overloaded(ZujiError):
    """Back-pressure: try again after ``retry_after`` seconds."""

    code = "overloaded"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueryCancelled(ZujiError):
    """The caller cancelled the query."""

    code = "query_cancelled"


class QueryBudgetExceeded(ZujiError):
    """The query ran past its time or memory budget. The message says what to narrow."""

    code = "query_budget_exceeded"


class EngineClosed(ZujiError):
    """The engine was closed."""

    code = "closed"
