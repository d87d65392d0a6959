"""The virtual events and properties of an open project: kept in one file, changed as a whole.

``definitions.json`` in the project's folder, replaced atomically (docs/virtual.md). A change is
checked against what was sent before it counts. Thread-safe.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import Corruption, InvalidInput, NotFound
from zuji.engine.query.virtual.definitions import Definitions, loaded, stored_name
from zuji.engine.query.virtual.items import with_items
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zuji.engine.index.catalog import Catalog
    from zuji.engine.items import FrozenItems
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
        self._joined: tuple[Definitions, FrozenItems, Catalog, Definitions] | None = None

    def _read(self) -> Definitions:
        if not self._files.exists(self._path):
            return Definitions()
        try:
            return _decoded(self._files.read(self._path))
        except (ValueError, KeyError, AttributeError, InvalidInput) as error:
            raise Corruption(
                f"{error}; mend the file, or remove it to go on without definitions", self._path
            ) from error

    def beside(self, catalog: Catalog, known: Definitions) -> Catalog:
        """A copy of the catalog that knows the virtual properties, the same while both are."""
        held = self._held
        if held is None or held[0] is not catalog or held[1] is not known:
            copied = catalog.copy()
            copied.virtual = known.kinds
            held = self._held = (catalog, known, copied)
        return held[2]

    def with_items(self, items: FrozenItems, catalog: Catalog) -> Definitions:
        """The definitions and the properties of joined items, the same while all three are."""
        now, held = self.now, self._joined
        if not now.items:
            return now
        if held is None or held[0] is not now or held[1] is not items or held[2] is not catalog:
            made = with_items(now, items, lambda p: catalog.kind_of(stored_name(p)))
            held = self._joined = (now, items, catalog, made)
        return held[3]

    def join(self, p: str, item_type: str, sent: Iterable[str]) -> None:
        """Says that a property names items of a type. ``sent``: full names of the properties that
        are. Durable on return.

        Raises:
            InvalidInput: says what is wrong; nothing is changed.
        """
        with self._lock:
            for other in sent:
                if other.startswith(p + ".") and p not in self.now.items:
                    raise InvalidInput(
                        f"{other} is sent, so {p}.NAME cannot stand for a property of items; join "
                        "another property"
                    )
            document = self.now.dump()
            document["items"] = {**self.now.items, p: item_type}
            self._write(loaded(document, lambda _: None, lambda _: False))

    def unjoin(self, p: str) -> None:
        """Takes that back. Raises NotFound."""
        with self._lock:
            if p not in self.now.items:
                raise NotFound(f"{p!r} names no items")
            for name, used in self.now.used().items():
                for other in used:
                    if other.startswith(p + "."):
                        raise InvalidInput(f"{name!r} is made of {other!r}; remove it first")
            left = {name: kind for name, kind in self.now.items.items() if name != p}
            self._write(replace(self.now, items=left))

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
                self.now.items,
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
