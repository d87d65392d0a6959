"""What can go wrong, each with a stable ``code``.

Raised to the caller: ``InvalidEvent``, ``QueueFull``, ``Closed``. Handed to ``on_error`` from the
sending thread: ``DeliveryError`` and ``StorageError``; and ``InvalidEvent`` and ``QueueFull`` where
the options say not to raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ZujiError(Exception):
    """Base of all errors of this package."""

    code = "error"


class InvalidEvent(ZujiError):
    """An event that the collector would refuse.

    ``code`` is the collector's reason code, ``path`` the wrong place (``properties.tags[3]``).
    ``record`` is the event when it was sent and the collector refused it.
    """

    def __init__(
        self, code: str, path: str, message: str, record: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{path or 'event'}: {message} [{code}]")
        self.code = code
        self.path = path
        self.message = message
        self.record = record


class QueueFull(ZujiError):
    """The queue is full and ``Options.full`` says to raise, or blocking took too long."""

    code = "queue_full"


class Closed(ZujiError):
    """The client was closed."""

    code = "closed"


class StorageError(ZujiError):
    """The queue's folder cannot be read or written; events are kept in memory meanwhile."""

    code = "storage"


class DeliveryError(ZujiError):
    """A batch was refused, split, or could not be sent.

    ``status`` is the HTTP status, None when there was no answer. ``events`` counts the events of
    the batch. ``lost`` tells whether they were given up: otherwise they are kept and sent again.
    """

    def __init__(
        self, code: str, message: str, *, status: int | None, events: int, lost: bool
    ) -> None:
        fate = "lost" if lost else "kept"
        super().__init__(f"{message} [{code}, status {status}, {events} events {fate}]")
        self.code = code
        self.message = message
        self.status = status
        self.events = events
        self.lost = lost
