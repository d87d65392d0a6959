"""The ledger of erasures: who was erased, when and by whom, without saying who.

An id stands in it as a keyed hash (BLAKE2b, 128 bits; the key follows from the project's uuid and
salt), so that a ledger kept beside backups names nobody, yet everybody in it is found again in a
restored backup. Entries have numbers that grow and an id of their own; the manifest says up to
which number they were carried out (:class:`~zuji.engine.index.erased.Erased`), so an entry that a
crash cut off, or that came from another copy of the ledger, is known to be open. The catalogue
``people/erasures.json`` holds the newest, files those before. Thread-safe.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.errors import Corruption, InvalidInput
from zuji.engine.people.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zuji.engine.people.store import Document
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.manifest import ProjectInfo

KIND: Final = "erasures"
HASH_BYTES: Final = 16
HASHES_HELD: Final = 4_096
"""Hashes that the catalogue holds before its entries go to a file of their own: it is written whole
with every erasure.
"""
ENTRIES_HELD: Final = 256

Entry = dict[str, Any]
"""``number, id, at_ms, by, reason, hashes`` (hex)."""


class Ledger:
    """The ledger of a project."""

    def __init__(
        self, files: Files, directory: str, project: ProjectInfo, *, writable: bool
    ) -> None:
        self._store = Store(
            files,
            directory,
            KIND,
            writable=writable,
            empty={"entries": [], "files": [], "last": 0, "erased_ids": "accept"},
            named=lambda document: document["files"],
        )
        secret = project.uuid + project.hash_salt.to_bytes(8, "little") + b"zuji erasures"
        self._keyed = hashlib.blake2b(
            digest_size=HASH_BYTES, key=hashlib.blake2b(secret, digest_size=32).digest()
        )

    def hash(self, key: bytes) -> bytes:
        """What stands for an id's key (``u…``, ``d…``)."""
        keyed = self._keyed.copy()
        keyed.update(key)
        return keyed.digest()

    @property
    def last(self) -> int:
        """Number of the newest entry; 0: there is none."""
        return int(self._store.now.document["last"])

    @property
    def setting(self) -> str:
        """What becomes of erased ids that come again (:mod:`returning`)."""
        return str(self._store.now.document.get("erased_ids", "accept"))

    def set(self, setting: str) -> None:
        """Changes that; durable on return."""
        self._store.change(lambda document: {**document, "erased_ids": setting})

    def refresh(self) -> None:
        """Reads what another process wrote meanwhile."""
        self._store.refresh()

    def add(self, hashes: Iterable[bytes], *, at_ms: int, by: str, reason: str) -> Entry:
        """A new entry, durable on return."""
        entry: Entry = {
            "id": secrets.token_hex(8),
            "at_ms": at_ms,
            "by": by,
            "reason": reason,
            "hashes": sorted({one.hex() for one in hashes}),
        }
        return self._append([entry])[0]

    def take(self, entries: Iterable[Entry]) -> int:
        """Adds entries of another copy of the ledger that this one lacks; how many."""
        known = {entry["id"] for entry in self.entries()}
        missing = [entry for entry in map(_checked, entries) if entry["id"] not in known]
        if missing:
            self._append(missing)
        return len(missing)

    def _append(self, entries: list[Entry]) -> list[Entry]:
        store, document = self._store, self._store.now.document
        numbered = [
            {**entry, "number": document["last"] + 1 + place} for place, entry in enumerate(entries)
        ]
        held = [*document["entries"], *numbered]
        many = sum(len(entry["hashes"]) for entry in held) > HASHES_HELD
        file = None
        if many or len(held) > ENTRIES_HELD:
            file = store.put([json.dumps(held, separators=(",", ":")).encode()])

        def edit(document: Document) -> Document:
            document["last"] = numbered[-1]["number"]
            document["entries"] = [] if file is not None else held
            document["files"] += [] if file is None else [file]
            return document

        store.change(edit)
        return numbered

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Entries with numbers greater than ``after``, oldest first.

        Raises:
            Corruption: a file is damaged.
        """
        state = self._store.now
        document = state.document
        held = document["entries"]
        first_held = held[0]["number"] if held else document["last"] + 1
        if first_held > after + 1:
            for number in document["files"]:
                blob = state.blob(number)
                for entry in json.loads(bytes(blob.section(0))):
                    if entry["number"] > after:
                        yield entry
        yield from (entry for entry in held if entry["number"] > after)

    def scrub(self) -> Iterator[Exception]:
        """Reads every byte and yields what is wrong."""
        yield from self._store.scrub()


def read_copy(text: bytes, path: str) -> list[Entry]:
    """Entries of a ledger that was written out (:func:`written`).

    Raises:
        Corruption: it is not one.
    """
    try:
        return [_checked(json.loads(line)) for line in text.splitlines() if line.strip()]
    except (ValueError, InvalidInput) as problem:
        raise Corruption(f"this is no ledger of erasures: {problem}", path) from None


def written(entries: Iterable[Entry]) -> bytes:
    """A ledger as a file to be kept elsewhere: one JSON object a line."""
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


_FIELDS: Final = {"id": str, "at_ms": int, "by": str, "reason": str, "hashes": list}


def _checked(entry: Any) -> Entry:
    if not isinstance(entry, dict):
        raise InvalidInput("an entry of a ledger is a JSON object")
    for name, kind in _FIELDS.items():
        if not isinstance(entry.get(name), kind):
            raise InvalidInput(f"an entry of a ledger has {name!r}, which is missing or wrong here")
    for text in entry["hashes"]:
        if not isinstance(text, str) or len(text) != 2 * HASH_BYTES:
            raise InvalidInput("a hash in a ledger has 32 hex digits")
        bytes.fromhex(text)
    return {name: entry[name] for name in _FIELDS}
