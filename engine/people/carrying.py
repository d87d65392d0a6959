"""Which rejected events carry an id: those that have it as a whole value anywhere.

A rejected event is what a client sent, so an id may stand under any name, as text or as a number.
Bytes that cannot be read carry an id when they contain it. Functions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.engine.types import TYPED_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from zuji.engine.people.whom import Whom
    from zuji.engine.quarantine import Kept, Key


def carriers(entries: Iterable[Kept], people: Collection[Whom]) -> list[tuple[Key, Kept]]:
    """The entries that carry an id of somebody. O(bytes of the entries)."""
    texts = {whom.text for whom in people} | {whom.key[1:].decode() for whom in people}
    raw = [text.encode() for text in texts]

    def unread(data: bytes) -> bool:
        return any(text in data for text in raw)

    return [(kept.key, kept) for kept in entries if carries(kept, texts.__contains__, unread)]


def carries(kept: Kept, named: Callable[[str], bool], unread: Callable[[bytes], bool]) -> bool:
    """Whether an entry has a value that is ``named``; ``unread`` is asked for bytes that are no
    event.
    """
    event = kept.to_dict()["event"]
    if not isinstance(event, dict | list):
        return unread(kept.rejected.raw)
    return any(named(text) for text in values(event))


def values(event: Any) -> Iterator[str]:
    """Every value in an event as a text, however deep; of typed ids also the long form."""
    waiting: list[tuple[str, Any]] = [("", event)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(str(key), one) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(name, one) for one in value]
        elif isinstance(value, bytes):
            yield value.decode(errors="replace")
        elif isinstance(value, str):
            yield value
            if name.startswith(TYPED_ID):
                yield f"{name}+{value}"
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(value)
