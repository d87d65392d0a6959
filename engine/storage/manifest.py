"""The manifest: which files make up a project. One log of edits, replayed into one ``State``.

Format page: docs/format/manifest.md. Owns ``CURRENT`` and ``MANIFEST-<number>``.
Invariants: ``commit`` returns only when its edit is on the disk; an edit is there wholly or not at
all. A log that grew long is replaced by a new one that starts with a snapshot of the state: the new
file is complete and durable before ``CURRENT`` names it, and the old one is removed after. A failed
sync, or a switch of ``CURRENT`` that may or may not have happened, poisons the manifest until the
project is opened again; a full disk does not.
An unfinished last record is cut when the project is opened for writing (nobody was told that it was
committed), and what is found then is synced before anything relies on it. Bytes that changed
anywhere else raise ``Corruption``: nothing is guessed.
Thread-safety: ``commit`` from any thread, one at a time under a lock; ``state`` is an immutable
snapshot. O(state) to open, O(edit) to commit.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.errors import (
    Corruption,
    EngineClosed,
    InvalidInput,
    NotFound,
    ReadOnly,
    StorageFailed,
    StorageFull,
    ZujiError,
)
from zuji.engine.storage import log_format, names
from zuji.engine.storage.codecs import crc32c
from zuji.engine.storage.log_format import HEADER_BYTES, Gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.storage.files import Appender, Files, PathName

MAGIC = b"ZUJIMAN\0"
VERSION = 1
SNAPSHOT = 1  # record kinds
EDIT = 2
ROLL_BYTES = 1 << 20  # a longer log is replaced (or twice its snapshot, if that is more) …
ROLL_EDITS = 256  # … and so is one of more edits: opening stays fast
OPEN_TRIES = 5  # of a reader that meets a log being replaced

_log = logging.getLogger(__name__)


class ProjectInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is fixed when a project is made. ``uuid`` 16 bytes; ``hash_salt`` shards the ids."""

    name: str
    uuid: bytes
    tz: str
    shards: int
    created_ms: int
    hash_salt: int


class SegmentMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One segment file. ``file`` is relative to the project; the partition is ``[start, end)``."""

    id: int
    file: str
    shard: int
    partition: int
    start_ms: int
    end_ms: int
    rows: int
    bytes: int
    min_ms: int
    max_ms: int
    rank: int


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A consistent picture of a project. ``extra`` is the engine's own: msgpack values only."""

    project: ProjectInfo
    segments: tuple[SegmentMeta, ...] = ()
    wal_floor: int = 1
    next_seq: int = 1
    next_id: int = 1
    extra: dict[str, Any] = {}
    format: int = VERSION


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One atomic change. None leaves a field as it is; in ``extra_updates`` it removes the key."""

    add: tuple[SegmentMeta, ...] = ()
    remove: tuple[int, ...] = ()
    wal_floor: int | None = None
    next_seq: int | None = None
    next_id: int | None = None
    extra_updates: dict[str, Any] = {}


def apply(state: State, edit: Edit) -> State:
    """The state after an edit. Raises ``ValueError`` for a segment unknown or there already."""
    gone = set(edit.remove)
    have = {segment.id for segment in state.segments}
    if not gone <= have:
        raise ValueError(f"segments {sorted(gone - have)} are not in the manifest")
    kept = [segment for segment in state.segments if segment.id not in gone]
    added = {segment.id for segment in edit.add}
    if len(added) != len(edit.add) or added & (have - gone):
        raise ValueError(f"segments {sorted(added)} are in the manifest already")
    extra = {**state.extra, **edit.extra_updates}
    return msgspec.structs.replace(
        state,
        segments=(*kept, *edit.add),
        wal_floor=state.wal_floor if edit.wal_floor is None else edit.wal_floor,
        next_seq=state.next_seq if edit.next_seq is None else edit.next_seq,
        # Edits are made beside each other and may be committed in another order.
        next_id=max(state.next_id, edit.next_id or 0),
        extra={key: value for key, value in extra.items() if value is not None},
    )


class Manifest:
    """The manifest of one project, open for writing (or for reading one state)."""

    def __init__(
        self, files: Files, root: str, state: State, log: _Log, appender: Appender | None
    ) -> None:
        """Use ``create`` or ``open``."""
        self._files = files
        self._root = root
        self._state = state
        self._log = log
        self._file = appender
        self._failure: ZujiError | None = None
        self._lock = threading.Lock()

    @classmethod
    def create(
        cls,
        files: Files,
        root: PathName,
        project: ProjectInfo,
        extra: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Make the directories and the first manifest of a project; durable on return.

        Raises ``InvalidInput`` when there is a project already. A crash half way leaves no project
        (no ``CURRENT``), and ``create`` may be called again.
        """
        root = os.fspath(root)
        if len(project.uuid) != 16 or project.shards < 1 or project.shards & (project.shards - 1):
            raise InvalidInput("a project has a uuid of 16 bytes and a power of two of shards")
        files.mkdir(root)
        if files.exists(names.path(root, names.CURRENT)):
            raise InvalidInput(f"{root} holds a project already")
        for directory in names.DIRECTORIES:
            files.mkdir(names.path(root, directory))
        files.sync_dir(os.path.dirname(os.path.abspath(root)))
        state = _normal(State(project, extra=dict(extra or {})))
        log = _write_log(files, root, 1, state)
        _switch(files, root, 1)
        appender = files.append_open(names.path(root, names.manifest(1)))
        return cls(files, root, state, log, appender)

    @classmethod
    def open(cls, files: Files, root: PathName, *, read_only: bool = False) -> Manifest:
        """Read the manifest in force.

        For writing (REQUIRES: the project's lock is held) a torn last record is cut, and files
        left by an interrupted ``commit`` are removed.
        Raises ``NotFound`` without a project, ``Corruption``, ``UnsupportedFormat``.
        """
        root = os.fspath(root)
        data, log = _read_current(files, root)
        state, log = _replay(data, log)
        if read_only:
            return cls(files, root, state, log, None)
        appender = files.append_open(names.path(root, names.manifest(log.number)))
        try:
            # A killed process may have written this edit, or switched CURRENT, and not synced it.
            # What is done from now on relies on it.
            if appender.size > log.end:
                appender.truncate(log.end)
            appender.sync()
            files.sync_dir(root)
            _remove_leftovers(files, root, log.number)
        except ZujiError:
            appender.close()
            raise
        return cls(files, root, state, log, appender)

    @property
    def state(self) -> State:
        """The last committed state. Immutable, but for ``extra``, which must not be changed."""
        return self._state

    @property
    def number(self) -> int:
        """Number of the log file in force."""
        return self._log.number

    @property
    def size_bytes(self) -> int:
        """Length of the log file in force."""
        return self._log.end

    @property
    def failed(self) -> bool:
        """It is not known which edit holds: no file named before or after may be removed."""
        return self._failure is not None and not isinstance(self._failure, EngineClosed)

    def check(self) -> None:
        """Raise what ``commit`` would raise for any edit: ``StorageFailed``, ``EngineClosed``."""
        with self._lock:
            self._check()

    def commit(self, edit: Edit) -> State:
        """Make an edit durable; the state after it.

        Raises ``StorageFull`` (nothing changed; try again when there is space), ``StorageFailed``
        (it is not known whether the edit will be there after the next opening: REQUIRES that no
        file named by the state before or after it is removed), ``ReadOnly``, ``EngineClosed``,
        ``ValueError`` for an edit that does not fit the state.
        """
        with self._lock:
            self._check()
            file = self._file
            if file is None:
                raise ReadOnly("the project is open read-only")
            payload = msgspec.msgpack.encode(edit)
            state = apply(self._state, msgspec.msgpack.decode(payload, type=Edit))
            log = self._log
            record = _record(log, log.seq + 1, EDIT, payload)
            self._append(file, record)
            self._log = log.after(len(record))
            self._state = state
            self._roll_if_long()
            return state

    def renew(self) -> None:
        """Replace the log by one that says the present state and nothing of what was before.

        Raises ``StorageFull`` (the old one holds), ``ReadOnly``, and as :meth:`check`.
        """
        with self._lock:
            self._check()
            if self._file is None:
                raise ReadOnly("the project is open read-only")
            before = self._log.number
            self._roll()
            self._check()
            if self._log.number == before:
                raise StorageFull("there was no room for a new manifest log")

    def close(self) -> None:
        """Close; nothing is pending. Closing twice is harmless."""
        with self._lock:
            self._failure = EngineClosed("the manifest is closed")
            if self._file is not None:
                self._file.close()
                self._file = None

    def _check(self) -> None:
        if isinstance(self._failure, EngineClosed):
            raise EngineClosed(str(self._failure))
        if self._failure is not None:
            raise StorageFailed(
                f"the manifest failed before and takes no more: {self._failure}; open the project "
                "again"
            ) from self._failure

    def _append(self, file: Appender, record: bytes) -> None:
        try:
            if file.size != self._log.end:  # an interrupt left part of a record
                file.truncate(self._log.end)
            file.write(record)
            file.sync()
        except (StorageFull, ReadOnly) as error:
            try:
                file.truncate(self._log.end)
            except ZujiError:
                self._failure = error
            raise
        except ZujiError as error:
            self._failure = error
            raise
        except BaseException:
            self._failure = StorageFailed("a commit was interrupted")
            raise

    def _roll_if_long(self) -> None:
        """Replace a long log. The edit is durable already: what fails here must not fail it."""
        log = self._log
        if log.edits >= ROLL_EDITS or log.end >= max(ROLL_BYTES, 2 * log.snapshot_end):
            self._roll()

    def _roll(self) -> None:
        log = self._log
        number = log.number + 1
        path = names.path(self._root, names.manifest(number))
        try:
            rolled = _write_log(self._files, self._root, number, self._state)
            appender = self._files.append_open(path)
        except ZujiError as error:
            _log.warning("manifest_roll_failed number=%d error=%s", number, error)
            return
        try:
            _switch(self._files, self._root, number)
        except ZujiError as error:
            appender.close()
            if not isinstance(error, StorageFull):
                self._failure = error
            _log.warning("manifest_switch_failed number=%d error=%s", number, error)
            return
        old, self._file, self._log = self._file, appender, rolled
        if old is not None:
            old.close()
        try:
            self._files.remove(names.path(self._root, names.manifest(log.number)))
        except ZujiError as error:
            _log.warning("manifest_remove_failed number=%d error=%s", log.number, error)


class _Log(msgspec.Struct, frozen=True):
    """Where the log file in force stands."""

    number: int
    project: bytes
    seq: int = 0
    end: int = HEADER_BYTES
    snapshot_end: int = HEADER_BYTES
    edits: int = 0

    def after(self, length: int, snapshot: bool = False) -> _Log:
        """The position behind one more record of ``length`` bytes."""
        end = self.end + length
        return msgspec.structs.replace(
            self,
            seq=self.seq + 1,
            end=end,
            snapshot_end=end if snapshot else self.snapshot_end,
            edits=self.edits + (not snapshot),
        )


def _record(log: _Log, seq: int, kind: int, payload: bytes) -> bytes:
    stored, flags = log_format.compress(payload)
    seed = log_format.record_seed(log.project, log.number)
    return log_format.frame(seed, seq, kind, stored, flags)


def _normal(state: State) -> State:
    """The state as it will be read back (tuples in ``extra`` become lists)."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)


def _write_log(files: Files, root: str, number: int, state: State) -> _Log:
    """Make ``MANIFEST-<number>`` with one snapshot, durable under its name."""
    log = _Log(number, state.project.uuid)
    record = _record(log, 1, SNAPSHOT, msgspec.msgpack.encode(state))
    name = names.manifest(number)
    data = log_format.file_header(MAGIC, VERSION, state.project.uuid, number) + record
    files.write_atomic(names.path(root, name), data, names.path(root, names.temporary(name)))
    return log.after(len(record), snapshot=True)


def _switch(files: Files, root: str, number: int) -> None:
    """Let ``CURRENT`` name a log.

    ``StorageFull`` means that it does not; after any other error it is not known.
    """
    name = names.manifest(number)
    text = f"{name} {crc32c(name.encode()):08x}\n".encode()
    files.write_atomic(
        names.path(root, names.CURRENT), text, names.path(root, names.temporary(names.CURRENT))
    )


def _read_current(files: Files, root: str) -> tuple[bytes, _Log]:
    """Content of the log that ``CURRENT`` names."""
    path = names.path(root, names.CURRENT)
    for attempt in range(OPEN_TRIES):
        try:
            text = files.read(path)
        except NotFound:
            raise NotFound(f"no Zuji project in {root} (there is no {names.CURRENT})") from None
        name, _, _ = text.decode("latin-1").removesuffix("\n").partition(" ")
        number = names.manifest_number(name)
        if number is None or text != f"{name} {crc32c(name.encode()):08x}\n".encode():
            raise Corruption("CURRENT does not name a manifest", names.CURRENT)
        try:
            data = files.read(names.path(root, name))
        except NotFound:
            if attempt + 1 < OPEN_TRIES:  # replaced between the two reads
                continue
            raise Corruption(f"CURRENT names {name}, which is missing", names.CURRENT) from None
        header = log_format.read_header(data, MAGIC, VERSION)
        if header is None or header[1] != number:
            raise Corruption("the manifest's header does not check", name)
        return data, _Log(number, header[0])
    raise AssertionError("unreachable")


def _replay(data: bytes, log: _Log) -> tuple[State, _Log]:
    """The state after all edits, and the end of the last good record."""
    name = names.manifest(log.number)
    seed = log_format.record_seed(log.project, log.number)
    state: State | None = None
    for item in log_format.scan(data, seed, HEADER_BYTES, 0):
        if isinstance(item, Gap):
            if item.torn and state is not None:
                break
            raise Corruption("a manifest record does not check", name, item.offset)
        if item.seq != log.seq + 1:
            raise Corruption("a manifest record is missing", name, item.offset)
        try:
            if state is None:
                state = msgspec.msgpack.decode(item.payload, type=State)
            else:
                state = apply(state, msgspec.msgpack.decode(item.payload, type=Edit))
        except (msgspec.DecodeError, ValueError) as error:
            raise Corruption(f"a manifest record makes no sense: {error}", name, item.offset) from (
                error
            )
        log = log.after(item.end - item.offset, snapshot=item.kind == SNAPSHOT)
    if state is None:
        raise Corruption("the manifest has no snapshot", name, HEADER_BYTES)
    return state, log


def _remove_leftovers(files: Files, root: str, number: int) -> None:
    """Remove manifests that are not in force and what was being written."""
    for name in files.list(root):
        other = names.manifest_number(name)
        if names.is_temporary(name) or (other is not None and other != number):
            files.remove(names.path(root, name))
