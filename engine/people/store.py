"""A catalogue of small definitions and the numbered files of big data that it names.

``people/<kind>.json`` is the catalogue: one JSON object, replaced as a whole, in force once it is
renamed into place. ``people/<kind>/<number>.zblob`` are the files (:mod:`zuji.engine.people.blob`);
one counts from the moment that the catalogue names it. Numbers are never used twice. A file that no
catalogue names is removed: at a change those that the change lets go, at opening what a crash left.

The way to store something big: ``number = store.put(…)``, then ``store.change(…)`` with a document
that names it. Layout and checksums: ``docs/format/people.md``. Thread-safe; one writer process, and
any number that read.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import Corruption, ReadOnly, UnsupportedFormat, ZujiError
from zuji.engine.people.blob import Blob, write_blob
from zuji.engine.storage import names
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from zuji.engine.storage.files import Buffer, Files

log = logging.getLogger(__name__)

FORMAT = 1
OPEN_BLOBS = 256
"""Files that a state keeps open at most: each costs a descriptor before Python 3.13."""

Document = dict[str, Any]


class State:
    """What a catalogue said at one moment. ``document`` is not to be changed. Its files can be read
    as long as the state is held, even when a later change lets them go.
    """

    def __init__(self, store: Store, document: Document, version: int) -> None:
        self.document = document
        self.version = version
        self._store = store
        self._lock = threading.Lock()
        self._open: OrderedDict[int, Blob] = OrderedDict()
        self._held: dict[int, Blob] = {}

    def blob(self, number: int) -> Blob:
        """The file ``number``, which the document names.

        Raises:
            NotFound: it is gone (a read-only opener beside a live writer: refresh and ask again).
            Corruption, UnsupportedFormat.
        """
        with self._lock:
            found = self._held.get(number) or self._open.get(number)
            if found is None:
                found = self._open[number] = self._store._opened(number)
                if len(self._open) > OPEN_BLOBS:
                    self._open.popitem(last=False)
            return found

    def named(self) -> set[int]:
        """Numbers of the files that the document names."""
        return set(self._store._named(self.document))

    def _inherit(self, old: State, named: set[int]) -> None:
        """Takes over what is open already, with its sections checked."""
        with old._lock:
            self._open.update((n, blob) for n, blob in old._open.items() if n in named)

    def _hold(self, gone: set[int]) -> None:
        """Opens files that are about to be removed."""
        for number in gone:
            try:
                self._held[number] = self.blob(number)
            except ZujiError as error:  # damaged: who asks for it will hear
                log.warning("cannot hold path=%s code=%s", self._store.path_of(number), error.code)


class Store:
    """The catalogue and files of one kind (``cohorts``, ``tags``) of the project in a directory.

    ``empty``: the document of a project that has none. ``named``: the numbers of the files that a
    document names. ``writable``: this process holds the project's lock.

    Raises:
        Corruption: the catalogue fails its checksum. UnsupportedFormat: of a later release.
    """

    def __init__(
        self,
        files: Files,
        directory: str,
        kind: str,
        *,
        writable: bool,
        empty: Document,
        named: Callable[[Document], Iterable[int]],
    ) -> None:
        self._files = files
        self._directory = directory
        self._kind = kind
        self._path = names.path(directory, names.people_catalogue(kind))
        self._writable = writable
        self._empty = empty
        self._named = named
        self._lock = threading.Lock()
        self._states: weakref.WeakSet[State] = weakref.WeakSet()
        self._text: bytes | None = None
        self._made: set[str] = set()
        self._next = 1
        self.now = self._state(copy.deepcopy(empty), 0)
        self.refresh()
        if writable:
            self._next = max(self._next, self._remove_strays() + 1)

    def refresh(self) -> State:
        """Reads the catalogue again when another process changed it; the state now. A writer's own
        state is always the newest.
        """
        with self._lock:
            text = self._files.read(self._path) if self._files.exists(self._path) else None
            if text != self._text:
                document = copy.deepcopy(self._empty)
                if text is not None:
                    self._next, document = _decoded(text, self._path)
                self._text = text
                self.now = self._state(document, self.now.version + 1)
            return self.now

    def change(self, edit: Callable[[Document], Document]) -> State:
        """Replaces the document by what ``edit`` makes of a copy of it; one change at a time.
        Durable on return; files that the new document no longer names are removed.

        Raises:
            ReadOnly, StorageFull, StorageFailed: nothing is changed. Whatever ``edit`` raises.
        """
        self._check_writable()
        with self._lock:
            old = self.now
            document = edit(copy.deepcopy(old.document))
            text = _encoded(self._kind, self._next, document)
            self._make(os.path.dirname(self._path))
            self._files.write_atomic(self._path, text, names.temporary(self._path))
            self._text = text
            self.now = self._state(document, old.version + 1)
            named = self.now.named()
            self.now._inherit(old, named)
            self._let_go(old.named() - named)
            return self.now

    def put(self, sections: Sequence[Buffer], meta: Mapping[str, Any] | None = None) -> int:
        """Writes a file, durable on return, that counts once a change names its number.

        Raises:
            ReadOnly, StorageFull, StorageFailed.
        """
        self._check_writable()
        with self._lock:
            number = self._next
            self._next += 1
        path = self.path_of(number)
        folder = os.path.dirname(path)
        self._make(folder)
        write_blob(self._files, path, number, sections, meta or {})
        self._files.sync_dir(folder)
        return number

    def _make(self, folder: str) -> None:
        """Makes a folder below the project's if need be, durably: else a power cut takes it away
        with all that was synced in it.
        """
        if folder not in self._made:
            above = os.path.dirname(folder)
            if above != self._directory:
                self._make(above)
            self._files.mkdir(folder)
            self._files.sync_dir(above)
            self._made.add(folder)  # not before: what was made by a process that crashed is synced

    def path_of(self, number: int) -> str:
        """Where the file ``number`` lies."""
        return names.path(self._directory, names.people_blob(self._kind, number))

    def scrub(self) -> Iterator[ZujiError]:
        """Reads every byte and yields what is wrong."""
        try:
            state = self.now
            if self._files.exists(self._path):
                _decoded(self._files.read(self._path), self._path)
        except ZujiError as error:
            yield error
            return
        for number in sorted(state.named()):
            try:
                self._opened(number).check()
            except ZujiError as error:
                yield error

    def _check_writable(self) -> None:
        if not self._writable:
            raise ReadOnly("the project is open for reading")

    def _state(self, document: Document, version: int) -> State:
        made = State(self, document, version)
        self._states.add(made)
        return made

    def _opened(self, number: int) -> Blob:
        return Blob(self._files, self.path_of(number), number)

    def _let_go(self, gone: set[int]) -> None:
        for state in list(self._states):
            state._hold(gone & state.named())
        for number in gone:
            try:
                self._files.remove(self.path_of(number))
            except ZujiError as error:  # the next opening removes it
                log.warning("could not remove path=%s code=%s", self.path_of(number), error.code)

    def _remove_strays(self) -> int:
        """Removes what a crash left; the highest number seen."""
        folder = names.path(self._directory, names.people_folder(self._kind))
        temporary = names.temporary(self._path)
        if self._files.exists(temporary):
            self._files.remove(temporary)
        if not self._files.exists(folder):
            return 0
        named, highest = self.now.named(), 0
        for file in self._files.list(folder):
            number = names.people_blob_number(file)
            if number is None:
                continue
            highest = max(highest, number)
            if number not in named:
                try:
                    self._files.remove(names.path(folder, file))
                except ZujiError:
                    log.warning("could not remove path=%s", file)
        return highest


def _encoded(kind: str, following: int, document: Document) -> bytes:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    head = {
        "zuji": kind,
        "v": FORMAT,
        "next": following,
        "crc32c": _checksum(kind, following, body),
    }
    return json.dumps(head).encode() + b"\n" + body + b"\n"


def _checksum(kind: str, following: int, body: bytes) -> str:
    return f"{crc32c(body, crc32c(f'{kind} {following} '.encode())):08x}"


def _decoded(text: bytes, path: str) -> tuple[int, Document]:
    """The next free number, and the document."""
    first, _, rest = text.partition(b"\n")
    try:
        head = json.loads(first)
        kind, crc = str(head["zuji"]), str(head["crc32c"])
        version, following = int(head["v"]), int(head["next"])
    except (ValueError, KeyError, TypeError) as error:
        raise Corruption(f"the first line is not that of a catalogue: {error}", path) from error
    if version > FORMAT:
        raise UnsupportedFormat(
            f"{path} has format version {version}; this release reads up to {FORMAT}"
        )
    body = rest.removesuffix(b"\n")
    if version < 1 or _checksum(kind, following, body) != crc:
        raise Corruption("the catalogue fails its checksum", path, len(first) + 1)
    document: Document = json.loads(body)
    return following, document
