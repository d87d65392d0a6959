"""The virtual events and properties of an open project: kept in one file, changed as a whole.

``definitions.json`` in the project's folder, replaced atomically (docs/virtual.md). A change is
checked against what was sent before it counts. Thread-safe.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import Corruption, InvalidInput, NotFound
from zuji.engine.query.virtual.definitions import Definitions, loaded
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zuji.engine.index.catalog import Catalog
    from zuji.engine.storage.files import Files
    from zuji.engine.types import Kind

_FORMAT = 1


class Defined:
    """What is defined in the project of a directory; ``version`` changes with it."""

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._path = names.path(directory, names.DEFINITIONS)
        self._lock = threading.Lock()
        self.version = 0
        self.now = self._read()
        self._held: tuple[Catalog, Definitions, Catalog] | None = None

    def _read(self) -> Definitions:
        if not self._files.exists(self._path):
            return Definitions()
        try:
            return _decoded(self._files.read(self._path))
        except (ValueError, KeyError, AttributeError, InvalidInput) as error:
            raise Corruption(
                f"{error}; mend the file, or remove it to go on without definitions", self._path
            ) from error

    def beside(self, catalog: Catalog) -> Catalog:
        """A copy of the catalog that knows the virtual properties, the same while both are."""
        held = self._held
        if held is None or held[0] is not catalog or held[1] is not self.now:
            copied = catalog.copy()
            copied.virtual = self.now.kinds
            held = self._held = (catalog, self.now, copied)
        return held[2]

    def change(
        self,
        events: Mapping[str, Any],
        properties: Mapping[str, Any],
        kind_of: Callable[[str], Kind | None],
        sent: Callable[[str], bool],
    ) -> None:
        """Adds definitions, or puts them in place of those of the same name. Durable on return.

        Raises:
            InvalidInput: says what is wrong and where; nothing is changed.
        """
        with self._lock:
            document = self.now.dump()
            document["events"].update(events)
            document["properties"].update(properties)
            # What stood before may have a sent namesake by now; only what comes is asked.
            old_events, old = set(self.now.events) - set(events), self.now.properties
            made = loaded(
                document,
                lambda p: None if p in old and p not in properties else kind_of(p),
                lambda name: name not in old_events and sent(name),
            )
            self._write(made)

    def remove(self, gone: Iterable[str]) -> None:
        """Takes definitions away: names of events, full names of properties.

        Raises:
            NotFound: one is not defined. InvalidInput: another definition stands on one.
        """
        with self._lock:
            gone = set(gone)
            for name in gone:
                if name not in self.now.events and name not in self.now.properties:
                    raise NotFound(f"{name!r} is not defined")
            left = Definitions(
                {n: one for n, one in self.now.events.items() if n not in gone},
                {p: one for p, one in self.now.properties.items() if p not in gone},
            )
            for name, used in left.used().items():
                for other in sorted(used & gone):
                    raise InvalidInput(f"{name!r} is made of {other!r}; remove or change it first")
            self._write(left)

    def _write(self, made: Definitions) -> None:
        text = json.dumps({"v": _FORMAT, **made.dump()}, ensure_ascii=False, indent=1)
        self._files.write_atomic(self._path, text.encode() + b"\n", self._path + names.TMP_SUFFIX)
        self.now = made
        self.version += 1


def _decoded(data: bytes) -> Definitions:
    document = json.loads(data)
    if document.pop("v") != _FORMAT:
        raise InvalidInput("its format is of a later release")
    return loaded(document, lambda _: None, lambda _: False)
