"""What the catalogues of cohorts and of tags have in common: the state that queries read, numbers
of files in the cache, and removal of what others may be made of. Thread-safe: changes are made one
at a time, beside queries.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from zuji.engine.errors import InvalidInput
from zuji.engine.people.graph import told
from zuji.engine.people.store import Store
from zuji.engine.storage.cache import serials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zuji.engine.errors import ZujiError
    from zuji.engine.people.store import State
    from zuji.engine.people.tags.host import Host
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files

Document = dict[str, Any]


class Kept(Protocol):
    """What queries read of a state of a catalogue."""

    @property
    def state(self) -> State:
        """The state."""

    @property
    def kinds(self) -> Mapping[str, Any]:
        """By name."""


K = TypeVar("K", bound=Kept)


class Catalogue(Generic[K]):
    """The catalogue ``people/<what>s.json`` of a project, whose document has what there is by name
    under ``<what>s``. ``made``: what queries read of a state. ``named``: files of a document.
    """

    def __init__(
        self,
        host: Host,
        files: Files,
        directory: str,
        columns: ColumnCache,
        *,
        what: str,
        made: Callable[[State, ColumnCache, Callable[[int], int]], K],
        named: Callable[[Document], Iterable[int]],
        writable: bool,
    ) -> None:
        self._host = host
        self._columns = columns
        self._what = what
        self._many = f"{what}s"
        self._made_of_state = made
        self._store = Store(
            files, directory, self._many, writable=writable, empty={self._many: {}}, named=named
        )
        self._writable = writable
        self._writing = threading.RLock()  # one change at a time
        self._lock = threading.Lock()
        self._serials: dict[int, int] = {}
        self._kept: K | None = None

    def kept(self) -> K:
        """All as it is now, for queries: the same object while nothing changes."""
        state = self._store.now if self._writable else self._store.refresh()
        with self._lock:
            if self._kept is None or self._kept.state is not state:
                self._kept = self._made_of_state(state, self._columns, self._serial_of)
                for number in set(self._serials) - state.named():
                    self._columns.gone(self._serials.pop(number))
            return self._kept

    def _serial_of(self, number: int) -> int:
        with self._lock:
            if number not in self._serials:
                self._serials[number] = next(serials)
            return self._serials[number]

    def scrub(self) -> Iterator[ZujiError]:
        """Reads every byte and yields what is wrong."""
        yield from self._store.scrub()

    def delete(self, name: str, *, cascade: bool = False) -> list[str]:
        """Removes one with all that is stored of it, and with ``cascade`` all that is made of it;
        returns what was removed. Durable on return.

        Raises:
            NotFound. InvalidInput: something is made of it and ``cascade`` was not given.
            StorageFull, StorageFailed, ReadOnly.
        """
        with self._writing:
            self._check_there(name)
            node = (self._what, name)
            users = self._host.graph().users_of(node)
            if users and not cascade:
                raise InvalidInput(
                    f"{told(node)} is needed by {', '.join(map(told, users))}; delete what is made "
                    "of it first, or say cascade"
                )
            for one in users:
                if one[0] != self._what:
                    self._host.remove(one)
            self.drop([*(one[1] for one in users if one[0] == self._what), name])
            return [told(one) for one in (*users, node)]

    def drop(self, gone: Iterable[str]) -> None:
        """Removes some without looking at what is made of them."""

        def edit(whole: Document) -> Document:
            for each in gone:
                whole[self._many].pop(each, None)
            return whole

        with self._writing:
            self._store.change(edit)

    def _check_there(self, name: str) -> None:
        """Raises NotFound."""
        raise NotImplementedError
