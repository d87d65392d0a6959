"""The one writer of a project: WAL, memtables, flush, compaction, and the order in which they
become durable.

A batch: decode → dedup → WAL record → bind → memtable, under one lock; then group sync outside it,
then the ack. Freeze: the WAL rotates and the memtable with everything that its rows changed
(catalog, users, dedup keys, rejects) is set aside at one point of the record order. Flush:
segments, ids, keys and rejects are written and synced, one manifest edit names them and moves the
WAL floor, only then is the WAL trimmed. A failed flush leaves the frozen memtable where it is,
readable, and is tried again. Thread-safety: all public methods; lock order ``_maintenance`` →
``_lock``.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from zuji.engine.batch import decode_batch
from zuji.engine.errors import EngineClosed, ReadOnly, StorageFailed, StorageFull, ZujiError
from zuji.engine.index.catalog import Catalog
from zuji.engine.index.dedup import Dedup, Frozen, read_keys
from zuji.engine.index.id_files import read_ids
from zuji.engine.index.identity import Identity
from zuji.engine.ingest import Binder, Interned
from zuji.engine.quarantine import Kept, read_quarantine, write_quarantine
from zuji.engine.storage import compaction, names
from zuji.engine.storage.manifest import Edit, SegmentMeta
from zuji.engine.storage.memtable import Memtable
from zuji.engine.storage.segment import Segment, Source
from zuji.engine.storage.segment_writer import write_frame
from zuji.engine.storage.source import MEMTABLE_RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.config import Config
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.frame import Frame, Sliced
    from zuji.engine.storage.manifest import Manifest
    from zuji.engine.storage.wal import WalWriter
    from zuji.engine.types import U32

log = logging.getLogger(__name__)

KIND_BATCH = 1
_BATCH = struct.Struct("<q")
"""received time in ms UTC, then the msgpack batch as it came."""
MAX_FROZEN = 2
BULK_IDS = 1_200
"""Segment numbers set aside for a bulk load, a shard: it may span this many months."""
CROWDED = 32
"""Segments in one shard and partition after which a bulk load wakes compaction."""


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What became of appended events. ``rejected`` are in the quarantine with their reasons."""

    accepted: int = 0
    duplicates: int = 0
    rejected: tuple[Rejected, ...] = ()

    def __add__(self, other: AppendResult) -> AppendResult:
        return AppendResult(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
        )


@dataclass(slots=True)
class _Growing:
    """A memtable and all that belongs to its rows."""

    table: Interned
    mem: Memtable
    kept: list[Kept] = field(default_factory=list)
    kept_bytes: int = 0
    # set at the freeze:
    wal_floor: int = 0
    next_seq: int = 0
    keys: Frozen | None = None
    users: list[int] = field(default_factory=list)


class Writer:
    """Owns the mutable state of a project opened for writing."""

    def __init__(
        self,
        files: Files,
        directory: str,
        manifest: Manifest,
        config: Config,
        now_ms: Callable[[], int],
    ) -> None:
        self.files = files
        self.directory = directory
        self.manifest = manifest
        self.config = config
        self.now_ms = now_ms
        state = manifest.state
        extra = state.extra
        self.tz = state.project.tz
        self.shards = state.project.shards
        self.salt = state.project.hash_salt
        self.catalog = Catalog.load(extra.get("catalog"))
        self.identity = Identity(files, directory, self.shards, self.salt, extra.get("ids", []))
        self.dedup = Dedup(
            files,
            directory,
            self.salt,
            config.dedup_window,
            extra.get("dedup", []),
            extra.get("generation", 0),
        )
        self.binder = Binder(self.catalog, self.identity, self.dedup, config.limits)
        self.segments: tuple[Segment, ...] = tuple(
            Segment(files, self.path(meta.file), meta) for meta in state.segments
        )
        self.frozen: tuple[_Growing, ...] = ()
        self.active = self._grow()
        self.wal: WalWriter | None = None
        self.last_error: ZujiError | None = None
        self.flushes = 0
        self.compactions = 0
        self.wal_damage: list[tuple[str, int, int]] = []
        self._changes = 0
        self._tickets = 0
        self._loaded = 0
        self._loading: dict[int, _Growing] = {}  # bulk loads bound and not yet ended, by ticket
        self._void: dict[int, BaseException] = {}  # those that must fail, and why
        self._finished: set[int] = set()
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._maintenance = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._next_id = state.next_id
        self._pool = ThreadPoolExecutor(config.threads, thread_name_prefix="zuji-write")

    # -- state that readers take ---------------------------------------------------------------

    def path(self, *parts: str) -> str:
        """Path of a file of this project."""
        return "/".join((self.directory, *parts))

    def version(self) -> tuple[int, ...]:
        """Changes whenever a new view would differ."""
        with self._lock:
            return (self._changes, self.active.mem.rows, len(self.segments), len(self.frozen))

    def external(self, shard: int, ordinals: U32) -> list[tuple[str | None, str | None]]:
        """(user_id, device_id) of ordinals."""
        with self._lock:
            return self.identity.external(shard, ordinals)

    def pinned(self) -> tuple[tuple[int, ...], list[list[Source]], Catalog, list[int]]:
        """One consistent view: sources by shard ordered by (partition, rank), catalog, users a
        shard.

        The active memtable is sorted under the lock, because its string table may not grow
        meanwhile.
        """
        with self._lock:
            mems = (*(g.mem for g in self.frozen), self.active.mem)
            sources = sources_of(self.segments, mems, self.shards)
            return self.version(), sources, self.catalog.copy(), self.identity.counts()

    def kept(self) -> list[Kept]:
        """Rejected events that no quarantine file holds yet."""
        with self._lock:
            return [k for g in (*self.frozen, self.active) for k in g.kept]

    # -- appending -----------------------------------------------------------------------------

    def start(self, wal: WalWriter) -> None:
        """Takes the WAL and, when configured, starts the maintenance thread."""
        self.wal = wal
        if self.config.background:
            self._thread = threading.Thread(target=self._run, name="zuji-merger", daemon=True)
            self._thread.start()

    def append_batch(self, raw: bytes) -> AppendResult:
        """Stores one msgpack batch; on return it is synced to the WAL (I1) and visible (I3).

        Raises:
            InvalidEvent: the batch as a whole cannot be read; nothing of it was stored.
            StorageFull, StorageFailed: nothing of it was acknowledged.
        """
        with self._lock:
            self._check_open()
            while len(self.frozen) >= MAX_FROZEN and self.config.background:
                if not self._room.wait(timeout=60) and self.last_error is not None:
                    raise self.last_error
                self._check_open()
            assert self.wal is not None
            received = self.now_ms()
            grown = self.active
            batch = self._decode(raw, grown)
            keys = self._batch_keys(batch.batch_id)
            if keys is not None and self.dedup.seen(*keys)[0]:
                self.wal.sync(
                    self.wal.next_seq - 1
                )  # its first copy must be durable before this ack
                return AppendResult(duplicates=batch.n + len(batch.rejected))
            if batch.n == 0 and not batch.rejected:
                return AppendResult()
            seq = self.wal.append(KIND_BATCH, _BATCH.pack(received) + raw)
            try:
                result = self._apply(batch, keys, raw, received, grown)
            except BaseException as problem:
                # The record is in the log and half applied: what is in memory cannot be trusted.
                self.last_error = StorageFailed(f"a batch could not be applied ({problem!r})")
                self._closing = True
                raise
            full = (
                grown.mem.rows >= self.config.memtable_rows
                or grown.mem.nbytes + grown.kept_bytes >= self.config.memtable_bytes
            )
            if full:
                self._freeze_if_possible()
        self.wal.sync(seq)
        if full:
            self._maintain()
        return result

    def replay(self, payload: bytes) -> int:
        """Applies one WAL record at recovery; returns its events."""
        received = _BATCH.unpack_from(payload)[0]
        raw = payload[_BATCH.size :]
        batch = self._decode(raw, self.active)
        keys = self._batch_keys(batch.batch_id)
        if keys is not None and self.dedup.seen(*keys)[0]:
            return 0
        return self._apply(batch, keys, raw, received, self.active).accepted

    def _decode(self, raw: bytes, grown: _Growing) -> Any:
        return decode_batch(
            raw, limits=self.config.limits, names=grown.table.names, strings=grown.table.strings
        )

    def _batch_keys(self, batch_id: bytes | None) -> Any:
        if not batch_id:
            return None
        import numpy as np

        text = b"b" + batch_id
        return self.dedup.keys(
            np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)], dtype=np.int64)
        )

    def _apply(
        self, batch: Any, keys: Any, raw: bytes, received: int, grown: _Growing
    ) -> AppendResult:
        bound = self.binder.bind(batch, grown.table, received, raw)
        if keys is not None:
            self.dedup.add(*keys)
        if bound.chunk is not None:
            grown.mem.add(bound.chunk)
        for one in bound.rejected:
            grown.kept.append(Kept(one, received))
            grown.kept_bytes += 200 + len(one.raw)
        rows = 0 if bound.chunk is None else bound.chunk.n
        rejected = tuple(sorted(bound.rejected, key=lambda r: r.index))
        return AppendResult(rows, bound.duplicates, rejected)

    # -- freeze and flush ----------------------------------------------------------------------

    def _grow(self) -> _Growing:
        table = Interned(self.salt)
        return _Growing(table, Memtable(self.catalog, table.strings, self.tz, self.shards))

    def _freeze_if_possible(self) -> bool:
        """Sets the active memtable aside. A full disk postpones it: the WAL has the rows."""
        try:
            self._freeze()
        except StorageFull as problem:
            self.last_error = problem
            log.warning("freeze postponed reason=%s", problem.code)
            return False
        return True

    def _freeze(self) -> None:
        grown = self.active
        if not grown.mem.rows and not grown.kept and not self.catalog.changes:
            return
        assert self.wal is not None
        grown.wal_floor = self.wal.rotate()
        grown.next_seq = self.wal.next_seq
        grown.keys = self.dedup.freeze()
        grown.users = self.identity.unsaved()
        self.catalog.changes = 0
        self.frozen = (*self.frozen, grown)
        self.active = self._grow()

    def _maintain(self) -> None:
        if self._thread is not None:
            self._wake.set()
        else:
            self._flush_frozen()
            self._compact_some()

    def flush(self) -> None:
        """Writes everything appended so far to segments. Returns when the manifest names them."""
        with self._lock:
            self._check_open()
            self._freeze()
        self._flush_frozen()

    def _flush_frozen(self) -> None:
        with self._maintenance:
            while self.frozen:
                self._flush_one(self.frozen[0])

    def _flush_one(self, grown: _Growing) -> None:
        self.manifest.check()  # else every try leaves files that nobody dares to remove
        written: list[str] = []
        committing = False
        try:
            metas = self.write_segments(grown.mem.frame(), written) if grown.mem.rows else []
            extra = self._write_extras(grown, written)
            self._sync_dirs()
            edit = Edit(
                add=tuple(metas),
                wal_floor=grown.wal_floor,
                next_seq=grown.next_seq,
                next_id=self._next_id,
                extra_updates=extra,
            )
            fresh = tuple(Segment(self.files, self.path(m.file), m) for m in metas)
            committing = True
            self.manifest.commit(edit)
        except ZujiError as problem:
            self._discard_unless_unknown(written, problem, committing=committing)
            with self._lock:
                self.last_error = problem
                self._room.notify_all()
            raise
        with self._lock:
            self.segments = self.segments + fresh
            self._changes += 1
            self.frozen = self.frozen[1:]
            self.identity.saved(extra["ids"])
            self.dedup.saved(extra["dedup"])
            self.last_error = None
            self.flushes += 1
            self._room.notify_all()
        assert self.wal is not None
        self.wal.trim(grown.wal_floor)

    def write_segments(
        self, frame: Sliced, written: list[str], numbers: Iterator[int] | None = None
    ) -> list[SegmentMeta]:
        """Writes a frame as one segment a shard and partition; all synced, none named yet."""

        def new_file() -> tuple[int, str]:
            number = self._number() if numbers is None else next(numbers)
            return number, self._new(names.segment(number), written)

        return write_frame(
            self.files, self.directory, frame, tz=self.tz, new_file=new_file, pool=self._pool
        )

    def _write_extras(self, grown: _Growing, written: list[str]) -> dict[str, Any]:
        """Id chunks, dedup keys and rejects of a frozen memtable, and what the manifest says of
        them.
        """
        with self._lock:  # the tables may not grow while they are read
            new_ids = self.identity.take(grown.users)
            # As it is now: names only grow, and what is stored may be newer than the freeze point.
            catalog = self.catalog.dump()
        assert grown.keys is not None
        ids = self.identity.save(new_ids, lambda: self._new(names.ids(self._number()), written))
        keys = self.dedup.save(grown.keys, lambda: self._new(names.dedup(self._number()), written))
        quarantine = list(self.manifest.state.extra.get("quarantine", []))
        if grown.kept:
            name = self._new(names.rejected(self._number()), written)
            write_quarantine(self.files, self.path(name), grown.kept)
            quarantine.append([name, len(grown.kept)])
        return {
            "catalog": catalog,
            "ids": ids,
            "dedup": keys,
            "generation": self.dedup.generation,
            "quarantine": quarantine,
        }

    def _number(self) -> int:
        with self._lock:
            number = self._next_id
            self._next_id += 1
            return number

    def _new(self, name: str, written: list[str]) -> str:
        written.append(self.path(name))
        return name

    def _sync_dirs(self) -> None:
        for folder in (names.SEGMENT_DIR, names.IDS_DIR, names.DEDUP_DIR, names.QUARANTINE_DIR):
            self.files.sync_dir(self.path(folder))

    def _discard_unless_unknown(
        self, written: Iterable[str], problem: BaseException, *, committing: bool
    ) -> bool:
        """Removes files that no manifest names. False (and nothing removed) when a commit failed so
        that it may or may not hold.
        """
        if committing and not isinstance(problem, StorageFull):
            return False
        self._discard(written)
        return True

    def _discard(self, written: Iterable[str]) -> None:
        """Removes what a failed flush left; what cannot be removed is removed at the next start."""
        for path in written:
            for name in (path, names.temporary(path)):
                try:
                    if self.files.exists(name):
                        self.files.remove(name)
                except ZujiError:
                    log.warning("could not remove path=%s", name)

    # -- bulk loading --------------------------------------------------------------------------

    def load(
        self,
        make: Callable[[], tuple[Frame | None, dict[str, Any]]],
        bound: Callable[[], object] = lambda: None,
        failed: list[BaseException] | None = None,
    ) -> None:
        """Makes one frame durable without the WAL: segments and everything else in one manifest
        edit.

        ``make`` runs under the writer's lock (it binds ids and names) and returns the frame and
        further manifest entries (the import ledger). ``bound`` is called when the next load may be
        bound. Loads of several threads are bound one after the other, written beside each other,
        and committed in the order in which they were bound. ``failed`` is shared by the loads of
        one stream: after a failure, which is put in it, none of them is stored.
        """
        with self._lock:
            self._check_open()
            if self.active.mem.rows or self.active.kept:
                self._freeze()
        if self.frozen:
            self._flush_frozen()
        with self._lock:
            self._check_open()
            self.manifest.check()
            if failed:
                raise _after(failed[0])
            # Keys of batches that only the log holds must not be stored with this frame: after a
            # crash the log would be taken for a repeat.
            of_log = self.dedup.freeze()
            problem: BaseException | None = None
            try:
                frame, extra_more = make()
            except BaseException as raised:
                problem = raised
                raise
            finally:
                grown = _Growing(self.active.table, self.active.mem)
                grown.keys = self.dedup.freeze()
                self.dedup.thaw(of_log)
                if problem is not None:
                    self.dedup.forget(grown.keys)
                    if failed is not None:
                        failed.append(problem)
            grown.users = self.identity.unsaved()
            self.catalog.changes = 0
            ticket = self._tickets
            self._tickets += 1
            self._loading[ticket] = grown
            numbers = iter(range(self._next_id, self._next_id + BULK_IDS * self.shards))
            self._next_id += BULK_IDS * self.shards
        bound()
        written: list[str] = []
        committing = False
        try:
            metas: list[SegmentMeta] = []
            if frame is not None and frame.n:
                metas = self.write_segments(frame, written, numbers)
            self._await_turn(ticket)
            with self._maintenance:
                extra = {**self._write_extras(grown, written), **self._merged_imports(extra_more)}
                self._sync_dirs()
                fresh = tuple(Segment(self.files, self.path(m.file), m) for m in metas)
                committing = True
                self.manifest.commit(
                    Edit(add=tuple(metas), next_id=self._next_id, extra_updates=extra)
                )
                with self._lock:
                    self.segments = self.segments + fresh
                    self._changes += 1
                    self.identity.saved(extra["ids"])
                    self.dedup.saved(extra["dedup"])
                    self.flushes += 1
                    self._finish_turn(ticket)
        except BaseException as problem:
            known = self._discard_unless_unknown(written, problem, committing=committing)
            with self._lock:
                if failed is not None:
                    failed.append(problem)
                if known:
                    # Nothing of the frame is stored. Its names and users stay known, which harms
                    # nobody; its keys must go, or sending it again would be taken for a repeat.
                    self._forget_from(ticket, problem)
                else:
                    self.last_error = StorageFailed(
                        f"it is not known whether a bulk load is stored ({problem}); open the "
                        "project again"
                    )
                    self._closing = True
                self._finish_turn(ticket)
            raise
        if self._thread is None:
            self._compact_some()
        elif self._crowded():
            self._wake.set()

    def _await_turn(self, ticket: int) -> None:
        with self._lock:
            while True:
                if (why := self._void.get(ticket)) is not None:
                    raise _after(why)
                if self._loaded == ticket:
                    return
                self._check_open()
                self._room.wait(timeout=60)

    def _forget_from(self, ticket: int, why: BaseException) -> None:
        """Takes back the keys of a load that failed and of all bound after it, which fail too: they
        were compared with its keys, and the import ledger must not move past a hole.

        REQUIRES: the lock.
        """
        if self._void.pop(ticket, None) is not None:
            return  # done when the load before it failed
        for later, grown in self._loading.items():
            if later >= ticket and later not in self._void:
                self.dedup.forget(grown.keys)
                if later > ticket:
                    self._void[later] = why

    def _finish_turn(self, ticket: int) -> None:
        """REQUIRES: the lock."""
        self._loading.pop(ticket, None)
        self._finished.add(ticket)
        while self._loaded in self._finished:
            self._finished.discard(self._loaded)
            self._loaded += 1
        self._room.notify_all()

    def _merged_imports(self, more: dict[str, Any]) -> dict[str, Any]:
        """Ledger entries beside those that are there; called in commit order."""
        if "imports" not in more:
            return more
        return {
            **more,
            "imports": {**self.manifest.state.extra.get("imports", {}), **more["imports"]},
        }

    def _crowded(self) -> bool:
        """Whether a shard and partition has so many segments that queries suffer."""
        places = Counter((s.shard, s.partition) for s in self.segments)
        return max(places.values(), default=0) > CROWDED

    # -- compaction ----------------------------------------------------------------------------

    def compact(
        self, *, full: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Merges segments until nothing is left to merge; returns the number of merges."""
        self.flush()
        return self._compact_some(full=full, progress=progress)

    def _compact_some(
        self, *, full: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> int:
        done = 0
        with self._maintenance:
            while not self._closing or full:
                groups = compaction.pick(self.segments, full=full, fan_in=self.config.compact_after)
                if not groups:
                    break
                for i, part in enumerate(self._merge_all(groups)):
                    done += 1
                    if progress is not None:
                        progress(i + 1, len(groups))
                    del part
        return done

    def _merge_all(self, groups: Sequence[Sequence[Segment]]) -> Iterable[SegmentMeta]:
        """Merges groups beside each other. When this ends, even by an error, none is running."""
        futures = [self._pool.submit(self._merge_one, group) for group in groups]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def _merge_one(self, group: Sequence[Segment]) -> SegmentMeta:
        self.manifest.check()
        number = self._number()
        file = names.segment(number)
        path = self.path(file)
        gone = {s.meta.id for s in group}
        committing = False
        try:
            meta = compaction.merge(
                self.files, group, path, segment_id=number, file=file, tz=self.tz
            )
            self.files.sync_dir(self.path(names.SEGMENT_DIR))
            merged = Segment(self.files, path, meta)
            with self._lock:
                committing = True
                self.manifest.commit(Edit(add=(meta,), remove=tuple(gone), next_id=self._next_id))
                kept = [s for s in self.segments if s.meta.id not in gone]
                self.segments = (*kept, merged)
                self._changes += 1
                self.compactions += 1
        except ZujiError as problem:
            self._discard_unless_unknown([path], problem, committing=committing)
            self.last_error = problem
            raise
        for old in group:  # queries that still read them hold their own mappings
            try:
                self.files.remove(self.path(old.meta.file))
            except ZujiError:
                log.warning("could not remove path=%s", old.meta.file)
        return meta

    def scrub(self) -> Iterator[ZujiError]:
        """Checks every byte of segments, id, key and quarantine files; yields what is wrong."""
        extra = self.manifest.state.extra
        for segment in self.segments:
            yield from segment.scrub()
        checks: list[Callable[[], object]] = []
        for shard, chunks in enumerate(extra.get("ids", [])):
            for name, first, count in chunks:
                checks.append(partial(read_ids, self.files, self.path(name), shard, first, count))
        for name, _, count in extra.get("dedup", []):
            checks.append(partial(read_keys, self.files, self.path(name), count))
        for name, _ in extra.get("quarantine", []):
            checks.append(lambda n=name: list(read_quarantine(self.files, self.path(n))))  # type: ignore[misc]
        for check in checks:
            try:
                check()
            except ZujiError as problem:
                yield problem

    # -- life ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(timeout=1.0 if self.frozen else None)
            self._wake.clear()
            if self._closing:
                return
            try:
                self._flush_frozen()
                self._compact_some()
            except ZujiError as problem:
                self.last_error = problem
                log.warning("maintenance failed, goes on code=%s: %s", problem.code, problem)
                time.sleep(0.2)
            except Exception:
                log.exception("maintenance failed")
                raise

    def _check_open(self) -> None:
        if self._closing:
            if isinstance(self.last_error, StorageFailed):
                raise self.last_error
            raise EngineClosed("the engine is closed")
        if self.wal is None:
            raise ReadOnly("the project is open read-only")

    def close(self) -> None:
        """Flushes and stops. After a failure it only stops: the WAL has everything that was
        acknowledged.
        """
        already = self._closing
        try:
            if not already and self.wal is not None:
                self.flush()
        except ZujiError as problem:
            log.warning("close without flush reason=%s", problem.code)
        finally:
            self._closing = True
            self._wake.set()
            if self._thread is not None:
                self._thread.join(timeout=30)
            self._pool.shutdown(wait=True)
            if self.wal is not None:
                self.wal.close()
            self.manifest.close()

    def release(self) -> None:
        """Lets go of the files; nobody may be reading any more."""
        for segment in self.segments:
            segment.close()


def _after(why: BaseException) -> ZujiError:
    """Error of a load that is not stored because one before it was not."""
    kind = StorageFull if isinstance(why, StorageFull) else StorageFailed
    return kind(f"not stored, because the table before it was not: {why}")


def sources_of(
    segments: Sequence[Segment], mems: Sequence[Memtable], shards: int
) -> list[list[Source]]:
    """Sources by shard, ordered by (partition, rank)."""
    by_shard: list[list[Source]] = [[] for _ in range(shards)]
    for segment in segments:
        by_shard[segment.shard].append(segment)
    for order, mem in enumerate(mems):
        for source in mem.views(rank=MEMTABLE_RANK + order):
            by_shard[source.shard].append(source)
    for sources in by_shard:
        sources.sort(key=lambda s: (s.partition, s.rank))
    return by_shard
