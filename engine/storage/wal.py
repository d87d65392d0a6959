"""Write-ahead log: what is in it and synced survives; nothing is acknowledged before.

Format page: docs/format/wal.md. Owns the files ``wal/<number>.wal``.
Invariants: ``sync(seq)`` returns only when every record up to ``seq`` is on the disk and so is the
name of its file. A failed sync poisons the writer for good (the kernel may have dropped the pages,
a second fsync would report success): every later call raises ``StorageFailed`` until the project is
opened again. A write that did not fit is cut back to the last whole record, so that a full disk
costs nothing and writing goes on when there is space. A file is never appended to after a restart:
writing goes on in a new one.
Thread-safety: all methods of ``WalWriter`` may be called from any thread. ``sync`` commits in
groups: one thread syncs for everybody who wrote before it began; the rest wait.
Reading: only a torn end of the *last* file is cut, and its bytes are kept in ``quarantine/``.
Damage elsewhere is copied there and reported, and the records after it are kept. O(bytes).
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zuji.engine.errors import (
    Corruption,
    EngineClosed,
    NotFound,
    ReadOnly,
    StorageFailed,
    StorageFull,
    ZujiError,
)
from zuji.engine.storage import log_format, names
from zuji.engine.storage.log_format import HEADER_BYTES, Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.storage.files import Appender, Files, PathName

MAGIC = b"ZUJIWAL\0"
VERSION = 1
NO_PROJECT = bytes(16)


class WalWriter:
    """Appends records to the newest log file of a project.

    ``first_number``: number of the file the first record goes to; it is made when that record
    comes, so opening a project on a full disk works. ``next_seq``: sequence number of that record.
    ``project``: uuid of the project, which seeds all checksums.
    """

    def __init__(
        self,
        files: Files,
        root: PathName,
        first_number: int,
        next_seq: int,
        *,
        project: bytes = NO_PROJECT,
    ) -> None:
        self._files = files
        self._root = os.fspath(root)
        self._project = project
        self._number = first_number
        self._file: Appender | None = None
        # (bytes of the current file up to its last whole record, that record's number): one
        # assignment, so that an interrupt (Ctrl-C) cannot come between the two.
        self._tail = (0, next_seq - 1)
        self._unsettled = False  # a write began and its end was not recorded
        self._synced = next_seq - 1
        self._syncing = False
        self._seed = log_format.record_seed(project, first_number)
        self._failure: ZujiError | None = None
        self._changed = threading.Condition(threading.Lock())
        self._sizes = _sizes(files, self._root)
        if any(number >= first_number for number in self._sizes):
            raise ValueError(f"log file {max(self._sizes)} is there: it would be overwritten")

    @property
    def number(self) -> int:
        """Number of the file that the next record goes to."""
        return self._number

    @property
    def next_seq(self) -> int:
        """Sequence number of the next record."""
        return self._tail[1] + 1

    @property
    def synced_seq(self) -> int:
        """Every record up to here is on the disk."""
        return self._synced

    @property
    def size_bytes(self) -> int:
        """Bytes of all log files that are there."""
        with self._changed:
            return sum(self._sizes.values())

    def append(self, kind: int, payload: bytes) -> int:
        """Write one record; its sequence number. Not durable before ``sync`` of that number.

        ``kind`` 0..255. Raises ``StorageFull`` (nothing was written; try again when there is
        space), ``StorageFailed`` when the log is poisoned, ``EngineClosed``, and ``ValueError``
        for more than 256 MiB.
        """
        return self.append_packed(kind, log_format.pack(payload))

    def append_packed(self, kind: int, packed: tuple[bytes, int]) -> int:
        """:meth:`append` of what ``log_format.pack`` gave, which may be made without a lock."""
        stored, flags = packed
        with self._changed:
            self._check()
            file = self._file or self._open(self._number)
            self._settle(file)
            end, seq = self._tail[0], self._tail[1] + 1
            record = log_format.frame(self._seed, seq, kind, stored, flags)
            self._unsettled = True
            try:
                file.write(record)
            except ZujiError as error:
                if not isinstance(error, StorageFull | ReadOnly):
                    self._poison(error)
                self._settle(file)
                raise
            self._tail = (end + len(record), seq)
            self._unsettled = False
            self._sizes[self._number] = self._tail[0]
            return seq

    def sync(self, seq: int) -> None:
        """Return when every record up to ``seq`` is durable. ``StorageFailed`` is final."""
        leads = done = False
        target, file = 0, None
        try:
            with self._changed:
                if seq > self._tail[1]:
                    raise ValueError(f"record {seq} was never written")
                while self._syncing and self._synced < seq:
                    self._changed.wait()
                if self._synced >= seq:
                    return
                self._check()
                target, file = self._tail[1], self._file
                leads = self._syncing = True
            if file is not None:
                file.sync()
            done = True
        except StorageFailed as error:
            if leads:
                with self._changed:
                    self._poison(error)
            raise
        finally:
            if leads:
                with self._changed:
                    self._syncing = False
                    if done:
                        self._synced = max(self._synced, target)
                    self._changed.notify_all()

    def rotate(self) -> int:
        """Sync what was written and go on in a new file; its number.

        After ``StorageFull`` the old file stays in use.
        """
        with self._changed:
            while self._syncing:
                self._changed.wait()
            self._check()
            old = self._file
            if old is None:
                return self._number
            self._settle(old)
            self._sync_under_lock(old)
            self._open(self._number + 1)
            old.close()
            return self._number

    def trim(self, number: int) -> None:
        """Remove the files below ``number``.

        REQUIRES: the manifest that no longer needs them is durable. The removals are not synced: a
        file that comes back after a crash lies below the manifest's floor and is removed again.
        """
        with self._changed:
            old = [n for n in self._sizes if n < number and n != self._number]
        for n in sorted(old):
            self._files.remove(names.path(self._root, names.wal(n)))
            with self._changed:
                self._sizes.pop(n, None)

    def close(self) -> None:
        """Sync and close. A poisoned log is closed without a word: its error was raised before."""
        with self._changed:
            while self._syncing:
                self._changed.wait()
            file, self._file = self._file, None
            failed, self._failure = self._failure, EngineClosed("the log is closed")
            self._changed.notify_all()
            if file is None:
                return
            try:
                if failed is None:
                    self._settle(file)
                    file.sync()
                    self._synced = self._tail[1]
            finally:
                file.close()

    def _check(self) -> None:
        if self._failure is not None:
            if isinstance(self._failure, EngineClosed):
                raise EngineClosed(str(self._failure))
            raise StorageFailed(
                f"the log failed before and takes no more: {self._failure}; open the project again"
            ) from self._failure

    def _poison(self, error: ZujiError) -> None:
        if self._failure is None:
            self._failure = error

    def _sync_under_lock(self, file: Appender) -> None:
        try:
            file.sync()
        except ZujiError as error:
            self._poison(error)
            raise
        self._synced = self._tail[1]

    def _settle(self, file: Appender) -> None:
        """Cut off what a write left that failed or was interrupted; poison if that fails too."""
        if self._unsettled:
            try:
                file.truncate(self._tail[0])
            except ZujiError as error:
                self._poison(error)
                self._check()
            self._unsettled = False

    def _open(self, number: int) -> Appender:
        """Make log file ``number`` durable, with its header, and write to it from now on."""
        path = names.path(self._root, names.wal(number))
        try:
            file = self._files.create(path)
            try:
                file.write(log_format.file_header(MAGIC, VERSION, self._project, number))
                file.sync()
                self._files.sync_dir(os.path.dirname(path))
            except ZujiError:
                file.close()
                raise
        except (StorageFull, ReadOnly):
            self._files.remove(path)
            raise
        except ZujiError as error:
            self._poison(error)
            raise
        self._file, self._number, self._seed = (
            file,
            number,
            log_format.record_seed(self._project, number),
        )
        self._tail = (HEADER_BYTES, self._tail[1])
        self._sizes[number] = HEADER_BYTES
        return file


@dataclass(slots=True)
class WalReport:
    """What reading the log found. Filled while the records are read; complete at their end."""

    records: int = 0
    bytes: int = 0
    torn: list[tuple[str, int, int]] = field(default_factory=list)
    """(file, offset, bytes) of unfinished writes cut from the end of the last file."""
    damaged: list[tuple[str, int, int]] = field(default_factory=list)
    """(file, offset, bytes) that changed after they were written. Records may be lost."""
    missing: list[int] = field(default_factory=list)
    """Numbers of files that should be there and are not. Records are lost."""
    quarantined: list[str] = field(default_factory=list)
    """Names of the copies made of torn and damaged bytes."""
    last_seq: int = 0
    last_number: int = 0

    @property
    def clean(self) -> bool:
        """No acknowledged record can be missing."""
        return not self.damaged and not self.missing


def read_wal(
    files: Files,
    root: PathName,
    from_number: int,
    *,
    project: bytes = NO_PROJECT,
    repair: bool = True,
) -> tuple[Iterator[tuple[int, int, bytes]], WalReport]:
    """(seq, kind, payload) of every record from file ``from_number`` on, and a report.

    The report is complete when the iterator is exhausted; go on writing with
    ``WalWriter(…, report.last_number + 1, report.last_seq + 1)`` or greater numbers.
    ``repair`` False reads without touching anything (a project opened read-only; the end of the
    last file may be a record that its writer has not finished).
    Raises ``UnsupportedFormat`` for a file of a later version, ``Corruption`` for one of another
    project. Memory: one file at a time.
    """
    report = WalReport(last_number=from_number - 1)
    return _read(files, os.fspath(root), from_number, project, repair, report), report


def _read(
    files: Files, root: str, from_number: int, project: bytes, repair: bool, report: WalReport
) -> Iterator[tuple[int, int, bytes]]:
    numbers = [n for n in _sizes(files, root) if n >= from_number]
    if numbers:
        report.missing = sorted(set(range(from_number, max(numbers))) - set(numbers))
    for number in sorted(numbers):
        name = names.wal(number)
        last = number == max(numbers)
        data = files.read(names.path(root, name))
        report.last_number = number
        report.bytes += len(data)
        header = log_format.read_header(data, MAGIC, VERSION)
        if header is not None and header != (project, number):
            raise Corruption("a log file of another project or number", name, 16)
        gaps: list[Gap] = []
        seed = log_format.record_seed(project, number)
        start = 0 if header is None else HEADER_BYTES
        for item in log_format.scan(data, seed, start, report.last_seq):
            if isinstance(item, Gap):
                gaps.append(item)
                continue
            report.records += 1
            report.last_seq = item.seq
            yield item.seq, item.kind, item.payload
        _report_gaps(files, root, name, data, gaps, last, repair, report)


def _report_gaps(
    files: Files,
    root: str,
    name: str,
    data: bytes,
    gaps: list[Gap],
    last: bool,
    repair: bool,
    report: WalReport,
) -> None:
    """Copy every gap to quarantine; cut a torn end off the last file; make the rest durable."""
    end = len(data)
    for gap in gaps:
        unfinished = gap.torn or len(data) < HEADER_BYTES
        torn = last and unfinished and gap.end == len(data)
        entry = (name, gap.offset, gap.end - gap.offset)
        (report.torn if torn else report.damaged).append(entry)
        if not repair:
            continue
        copy = names.damaged(name, gap.offset)
        try:
            _keep(files, root, copy, data[gap.offset : gap.end])
        except StorageFull:
            continue  # nothing is cut that was not kept
        report.quarantined.append(copy)
        if torn:
            end = gap.offset
    if repair and last:
        # A process that was killed may have written these records and not synced them. They are
        # answered from now on, so they must not go when the power does.
        with files.append_open(names.path(root, name)) as file:
            if end < len(data):
                file.truncate(end)
            file.sync()


def _keep(files: Files, root: str, name: str, data: bytes) -> None:
    target = names.path(root, name)
    if files.exists(target) and files.size(target) == len(data):
        return
    temporary = names.path(root, names.temporary(name))
    try:
        files.write_atomic(target, data, temporary)
    except StorageFull:
        files.remove(temporary)
        raise


def _sizes(files: Files, root: str) -> dict[int, int]:
    """Bytes of the log files that are there, by number."""
    sizes: dict[int, int] = {}
    for name in files.list(names.path(root, names.WAL_DIR)):
        number = names.wal_number(name)
        if number is None:
            continue
        try:
            sizes[number] = files.size(names.path(root, f"{names.WAL_DIR}/{name}"))
        except NotFound:  # trimmed by the writer while a reader looks
            continue
    return sizes
