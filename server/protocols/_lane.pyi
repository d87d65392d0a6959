"""Requests of Sensors Analytics' SDKs, many at a time, without a Python object each.

The loop's thread gives a :class:`Door` the bytes of a read; what is a usual request of a project
that it knows goes into that project's :class:`Lane`. A thread takes the lane's requests as a
:class:`Cut` and makes their events in one pass without the GIL. All of it knows right from unsure
only: what is not usual goes the way of all requests (:mod:`.sensors`).
"""

from collections.abc import Callable
from typing import Protocol, final

class _Limits(Protocol):
    @property
    def batch_events(self) -> int: ...
    @property
    def batch_items(self) -> int: ...
    @property
    def batch_bytes(self) -> int: ...
    @property
    def list_values(self) -> int: ...

@final
class Cut:
    """Requests that are taken together, 1,024 at most. ``connections``: whose they are, in order.
    ``size``: bytes that they hold. Belongs to one thread at a time.
    """

    connections: list[object]
    count: int
    size: int

    def __new__(cls) -> Cut: ...
    def unsure(self) -> list[int]:
        """Requests that :meth:`Lane.events` did not take."""

    def parts_of(self, i: int) -> tuple[int, int]:
        """The parts with the events of a request: the first, and the one after the last."""

    def is_post(self, i: int) -> bool:
        """Whether a request is a POST."""

    def sent(self, i: int) -> tuple[str, str, bytes, bytes, int]:
        """Method, path, query, body and time (ms) of a request."""

@final
class Lane:
    """Requests of one project that wait. ``count``, ``size``: how many, and their bytes. ``others``:
    bytes that wait elsewhere; with those of the lane they are ``most`` at most. ``began`` is called
    when the first request comes after :meth:`looked`. ``inflated``: bytes that what came compressed
    may have. Other arguments as of :func:`._sensors.transcode`. Thread-safe, but for what comes through a :class:`Door`: the loop's
    thread only.
    """

    count: int
    size: int
    others: int

    def __new__(
        cls,
        limits: _Limits,
        offset_ms: int,
        keep_ip: bool,
        most: int,
        began: Callable[[], object],
        login_keys: tuple[str, ...] = (),
        inflated: int = 0,
    ) -> Lane: ...
    def looked(self) -> None:
        """``began`` has been called for all that waits."""

    def shut(self) -> None:
        """Nothing more is taken."""

    def cut(self) -> Cut | None:
        """Takes out those that came first; None: nothing waits."""

    def events(self, cut: Cut) -> list[tuple[int, int, bytes]]:
        """Parts as :func:`._sensors.transcode` gives them, of all requests that are right. Without
        the GIL. O(bytes).

        Raises:
            MemoryError.
        """

@final
class Door:
    """Which tokens are known, for ``known_ms``: then the way of all requests must ask again. Limits
    of a request as of :func:`zuji.server.collector._scan.scan`. The loop's thread only.
    """

    def __new__(
        cls, max_target: int, max_fields: int, max_head: int, max_body: int, known_ms: int
    ) -> Door: ...
    def open(self, token: bytes, lane: Lane) -> None:
        """Requests with this token, as it stands in a target, may go into the lane."""

    def take(self, data: bytes, connection: object) -> bool:
        """Whether the bytes were one request that waits in a lane now. O(bytes)."""
