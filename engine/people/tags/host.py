"""What tags need of the open project that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from zuji.engine.people.graph import Graph, Node
    from zuji.engine.query.context import Cancel, Context
    from zuji.engine.query.view import View


class Running(Protocol):
    """A turn for a question: the state now, and its budget."""

    def __call__(
        self, cancel: Cancel | None = None, seconds: float | None = None
    ) -> AbstractContextManager[tuple[View, Context]]: ...


@dataclass(frozen=True, slots=True)
class Host:
    """An open project. All of it may be called from any thread.

    ``tz``: its zone. ``find``: shard and ordinal of an id (``u…`` a user's, ``d…`` a device's),
    None when unknown. ``now_ms``: the clock. ``graph``: what is made of what, in all of the
    project. ``remove``: removes a node that is no tag, when a tag's removal takes it along.
    """

    tz: str
    running: Running
    find: Callable[[bytes], tuple[int, int] | None]
    now_ms: Callable[[], int]
    graph: Callable[[], Graph]
    remove: Callable[[Node], None]
