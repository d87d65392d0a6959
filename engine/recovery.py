"""Opening a project: manifest, then the WAL from its floor, then the writer goes on in a new log
file.

For writing, the lock is held first; torn ends are cut, damaged regions of the WAL are set aside and
reported, files that no manifest names are removed. Read-only opening touches nothing and sees what
was acknowledged at that moment.
"""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from typing import TYPE_CHECKING

from zuji.engine import calendars
from zuji.engine.errors import Corruption, InvalidInput, NotFound, ZujiError
from zuji.engine.storage import names
from zuji.engine.storage.lock import lock_project
from zuji.engine.storage.manifest import Manifest, ProjectInfo
from zuji.engine.storage.wal import WalReport, WalWriter, read_wal
from zuji.engine.writer import KINDS, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.config import Config
    from zuji.engine.storage.files import Files, LockHandle

log = logging.getLogger(__name__)

_READ_TRIES = 5


def make_project(files: Files, directory: str, name: str, *, tz: str, shards: int) -> None:
    """Makes an empty project; durable on return.

    Raises:
        InvalidInput: unknown zone, a number of shards that is no power of two, or there is one
            already.
    """
    try:
        calendars.zone(tz)
    except ValueError as problem:
        raise InvalidInput(str(problem)) from None
    if shards < 1 or shards > 1024 or shards & (shards - 1):
        raise InvalidInput(f"shards must be a power of two from 1 to 1024, got {shards}")
    info = ProjectInfo(
        name=name,
        uuid=uuid.uuid4().bytes,
        tz=tz,
        shards=shards,
        created_ms=time.time_ns() // 1_000_000,
        hash_salt=secrets.randbits(63),
    )
    Manifest.create(files, directory, info).close()


def open_for_writing(
    files: Files, directory: str, config: Config, now_ms: Callable[[], int]
) -> tuple[Writer, LockHandle, WalReport]:
    """A writer with everything acknowledged in it, and the lock that it holds.

    Raises:
        ProjectLocked, NotFound, Corruption, UnsupportedFormat, StorageFull, StorageFailed.
    """
    if not files.exists(names.path(directory, names.CURRENT)):
        raise NotFound(f"there is no project in {directory}; make one with `zuji init`")
    lock = lock_project(files, directory)
    try:
        manifest = Manifest.open(files, directory)
        writer = Writer(files, directory, manifest, config, now_ms)
        _remove_strays(files, directory, writer)
        report = _replay(files, writer, repair=True)
        state = manifest.state
        wal = WalWriter(
            files,
            directory,
            max(report.last_number + 1, state.wal_floor),
            max(report.last_seq + 1, state.next_seq),
            project=state.project.uuid,
        )
        wal.trim(state.wal_floor)
        writer.start(wal)
    except BaseException:
        lock.release()
        raise
    return writer, lock, report


def open_for_reading(
    files: Files, directory: str, config: Config, now_ms: Callable[[], int]
) -> tuple[Writer, WalReport]:
    """A writer that takes nothing: the state at this moment. Safe beside a live writer process."""
    for attempt in range(_READ_TRIES):
        try:
            manifest = Manifest.open(files, directory, read_only=True)
            writer = Writer(files, directory, manifest, config, now_ms)
            report = _replay(files, writer, repair=False)
            _check_unmoved(files, directory, manifest, report)
        except NotFound:
            # A compaction or flush of the live writer removed a file between two steps of ours.
            if attempt == _READ_TRIES - 1:
                raise
            time.sleep(0.05 * (attempt + 1))
        else:
            return writer, report
    raise AssertionError("unreachable")


def _check_unmoved(files: Files, directory: str, manifest: Manifest, report: WalReport) -> None:
    """A live writer may have moved rows from the log to segments while we read the one, then the
    other. Raises NotFound to look again, Corruption when log files are gone for good.
    """
    now = Manifest.open(files, directory, read_only=True).state
    if now.wal_floor != manifest.state.wal_floor:
        raise NotFound("the log moved on while it was read")
    if report.missing:
        file = names.wal(report.missing[0])
        raise Corruption("a log file is missing", names.path(directory, file), 0)


def _replay(files: Files, writer: Writer, *, repair: bool) -> WalReport:
    state = writer.manifest.state
    records, report = read_wal(
        files, writer.directory, state.wal_floor, project=state.project.uuid, repair=repair
    )
    started = time.perf_counter()
    events = 0
    for seq, kind, payload in records:
        if kind in KINDS:
            events += writer.replay(seq, kind, payload)
    if report.records:
        log.info(
            "recovered records=%d events=%d bytes=%d seconds=%.2f",
            report.records,
            events,
            report.bytes,
            time.perf_counter() - started,
        )
    writer.wal_damage = [*report.damaged, *((names.wal(n), 0, 0) for n in report.missing)]
    for number in report.missing:
        log.error("wal missing file=%s", names.wal(number))
    for file, offset, length in report.damaged:
        log.error("wal damaged file=%s offset=%d bytes=%d", file, offset, length)
    return report


def _remove_strays(files: Files, directory: str, writer: Writer) -> None:
    """Removes files that a crash left between being written and being named by the manifest."""
    state = writer.manifest.state
    named = {meta.file for meta in state.segments}
    named |= {chunk[0] for shard in state.extra.get("ids", []) for chunk in shard}
    named |= {entry[0] for entry in state.extra.get("links", {}).get("files", [])}
    named |= {entry[0] for entry in state.extra.get("dedup", [])}
    named |= {entry[0] for entry in state.extra.get("items", [])}
    named |= {entry[0] for entry in state.extra.get("quarantine", [])}
    own = {
        names.SEGMENT_DIR: names.segment_id,
        names.IDS_DIR: names.ids_id,
        names.DEDUP_DIR: names.dedup_id,
        names.ITEMS_DIR: names.items_id,
    }
    for folder, number_of in own.items():
        if not files.exists(names.path(directory, folder)):
            continue  # no project before this release had items
        for file in files.list(names.path(directory, folder)):
            name = f"{folder}/{file}"
            stray = names.is_temporary(file) or (number_of(file) is not None and name not in named)
            if stray:
                try:
                    files.remove(names.path(directory, name))
                except ZujiError:
                    log.warning("could not remove path=%s", name)
    for file in files.list(names.path(directory, names.QUARANTINE_DIR)):
        name = f"{names.QUARANTINE_DIR}/{file}"
        if names.is_temporary(file) or (file.endswith(".rejected") and name not in named):
            files.remove(names.path(directory, name))
