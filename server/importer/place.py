"""Where an import has come to: kept in the project's manifest, or in a file beside the source.

A position is written only after everything before it was acknowledged and its refused rows are in
their file. What was acknowledged and not yet noted is sent again after a kill under the same batch
ids, which the engine knows. Not thread-safe.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from zuji.engine.errors import InvalidInput
from zuji.server.importer.ledger import changed, import_key, mark_key, mark_of

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.importer.mapping import Mapping

NOTE_SECONDS = 0.5
"""A resume file is written this often: what came later is sent again after a kill."""
NOTE_ROWS = 1_000_000
"""Rows between two notes in a manifest: each writes what is in memory to segments."""


class Place(Protocol):
    """The place of one import."""

    key: str
    position: int
    finished: bool
    """Whether it is known, without reading, that all is in."""

    def begin(self) -> None:
        """Marks the import as begun. Raises InvalidInput when the file was another one then."""

    def reached(self, position: int, rows: int) -> None:
        """``rows`` more, up to ``position``, are acknowledged; notes it when that is due."""

    def save(self) -> None:
        """Notes the position now."""

    def finish(self) -> None:
        """Notes that all is in."""


class Ledger(Protocol):
    """The part of an engine that remembers places."""

    def append_table(
        self, table: Any, mapping: Any, *, ledger: tuple[str, int] | None = None
    ) -> Any:
        """Stores a table and the place in one durable step."""

    def import_position(self, key: str) -> int:
        """The place of that key; 0 when there is none."""


class LedgerPlace:
    """A place in the manifest of a project."""

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        how: str,
        engine: Ledger,
        *,
        anew: bool = False,
        note_rows: int = NOTE_ROWS,
    ) -> None:
        self.key = import_key(path, mapping, how)
        self.position = engine.import_position(self.key)
        self._path = path
        self._mark = mark_key(path, mapping, how)
        self._engine = engine
        self._anew = anew
        self._note_rows = note_rows
        self._rows = 0
        self._noted = self.position
        marked = engine.import_position(self._mark)
        self.finished = False  # reading shows it: nothing comes after the position
        if anew and marked != mark_of(self.key):
            self.position = self._noted = 0

    def begin(self) -> None:
        """See :class:`Place`."""
        marked, mine = self._engine.import_position(self._mark), mark_of(self.key)
        if marked not in (0, mine) and not self._anew:
            raise changed(self._path)
        if marked != mine:
            self._note(self._mark, mine)

    def reached(self, position: int, rows: int) -> None:
        """See :class:`Place`."""
        self.position = position
        self._rows += rows
        if self._rows >= self._note_rows:
            self.save()

    def save(self) -> None:
        """See :class:`Place`."""
        if self.position != self._noted:
            self._note(self.key, self.position)
            self._noted, self._rows = self.position, 0

    def finish(self) -> None:
        """See :class:`Place`."""
        self.save()
        if self._engine.import_position(self._mark):
            self._note(self._mark, 0)

    def _note(self, key: str, value: int) -> None:
        import pyarrow as pa

        from zuji.engine.bulk import TableMapping

        nothing = pa.table(
            {"user": pa.array([], pa.string()), "time": pa.array([], pa.timestamp("ms", "UTC"))}
        )
        mapping = TableMapping(event_name="-", user="user", time="time", properties={})
        self._engine.append_table(nothing, mapping, ledger=(key, value))


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """What a resume file holds."""

    version: int
    file: str
    to: str
    key: str
    position: int
    rows: int
    finished: bool


class FilePlace:
    """A place in a resume file, for an import to a collector.

    The file is ``.NAME.zuji-….json`` beside the source, or in ``folder``; its name tells collector,
    key and mapping apart. It holds no secret.
    """

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        how: str,
        to: str,
        folder: Path | None,
        *,
        anew: bool = False,
    ) -> None:
        self.key = import_key(path, mapping, how)
        self.position = 0
        self.finished = False
        self._path = path
        self._to = to
        self._rows = 0
        self._due = 0.0
        label = hashlib.sha256(f"{to}\0{mark_key(path, mapping, how)}".encode()).hexdigest()[:12]
        self.file = (folder or path.parent) / f".{path.name}.zuji-{label}.json"
        self._stale = False
        kept = self._read()
        if kept is not None and kept.key == self.key:
            self.finished = kept.finished and not anew
            if not (anew and kept.finished):
                self.position, self._rows = kept.position, kept.rows
        elif kept is not None and not kept.finished and not anew:
            self._stale = True

    def begin(self) -> None:
        """See :class:`Place`."""
        if self._stale:
            raise changed(self._path)
        self.save()

    def reached(self, position: int, rows: int) -> None:
        """See :class:`Place`."""
        self.position = position
        self._rows += rows
        if time.monotonic() >= self._due:
            self.save()
            self._due = time.monotonic() + NOTE_SECONDS

    def save(self) -> None:
        """See :class:`Place`."""
        kept = _Kept(
            1, str(self._path), self._to, self.key, self.position, self._rows, self.finished
        )
        made = self.file.with_name(self.file.name + ".new")
        try:
            with made.open("wb") as out:
                out.write(msgspec.json.encode(kept))
                out.flush()
                os.fsync(out.fileno())
            made.replace(self.file)
            _sync_folder(self.file.parent)
        except OSError as error:
            raise InvalidInput(
                f"the resume file cannot be written: {self.file}: {error.strerror}; "
                "name a folder for it with --state DIR"
            ) from error

    def finish(self) -> None:
        """See :class:`Place`."""
        self.finished = True
        self.save()

    def _read(self) -> _Kept | None:
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            kept = msgspec.json.decode(data, type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"{self.file} is not a resume file of this release ({error}); delete it to begin "
                "at the start: batches that the collector has are not stored twice"
            ) from error
        return kept


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)


class NoPlace:
    """The place of a dry run: always the start."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.position = 0
        self.finished = False

    def begin(self) -> None:
        """Nothing."""

    def reached(self, position: int, rows: int) -> None:
        """Nothing."""

    def save(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""
