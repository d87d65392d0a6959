"""What the parts of a writer share: the project's mutable state, its locks, and the rules for files
that no manifest names yet.

``lock`` guards everything here that changes; ``maintenance`` is held by whoever commits new rows (a
flush, the end of a bulk load), and is taken first. Merges neither need nor take it: they replace
segments by segments.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import EngineClosed, ReadOnly, StorageFailed, StorageFull, ZujiError
from zuji.engine.index import unlinking
from zuji.engine.index._strings import StringTable
from zuji.engine.index.catalog import Catalog
from zuji.engine.index.dedup import Dedup
from zuji.engine.index.erased import Erased
from zuji.engine.index.identity import Identity
from zuji.engine.index.link_store import LinkStore
from zuji.engine.index.resolved import Resolved
from zuji.engine.ingest import Binder
from zuji.engine.items import ItemTables
from zuji.engine.priority import give_way
from zuji.engine.quarantine import Kept
from zuji.engine.storage import names
from zuji.engine.storage.manifest import Edit
from zuji.engine.storage.memtable import Memtable
from zuji.engine.storage.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.config import Config
    from zuji.engine.index.dedup import Frozen
    from zuji.engine.index.link_store import Changed
    from zuji.engine.items import ItemRecord
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.manifest import Manifest, SegmentMeta
    from zuji.engine.storage.wal import WalWriter

log = logging.getLogger(__name__)

KIND_BATCH = 1
"""WAL record: one batch as it came."""
KIND_REFUSED = 2
"""WAL record: events that somebody before the engine refused, for the quarantine."""
KIND_REPLAYED = 3
"""WAL record: a batch of events from the quarantine; what is refused again is not kept again."""
KIND_SAID = 4
"""WAL record: what was said of ids by hand."""
KINDS = (KIND_BATCH, KIND_REFUSED, KIND_REPLAYED, KIND_SAID)


MAX_LOGGED = 2
"""Bytes of batches, in memtables, after which a memtable is set aside even if it is small: batches
of repeats leave no rows, but the log and the keys of their ids grow.
"""


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What became of appended events. ``rejected`` are in the quarantine with their reasons.
    ``repeated``: positions in the batch of events whose insert id was stored before; they are
    among the ``duplicates``.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: tuple[Rejected, ...] = ()
    repeated: tuple[int, ...] = ()

    def __add__(self, other: AppendResult) -> AppendResult:
        return AppendResult(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
            self.repeated + other.repeated,
        )


@dataclass(slots=True)
class Growing:
    """A memtable and all that belongs to its rows."""

    strings: StringTable
    mem: Memtable
    kept: list[Kept] = field(default_factory=list)
    kept_bytes: int = 0
    items: list[ItemRecord] = field(default_factory=list)
    generation: int = 0  # of the dedup keys when it was made
    logged: int = 0  # bytes of its WAL records
    # set at the freeze:
    wal_floor: int = 0
    next_seq: int = 0
    keys: Frozen | None = None
    links: Changed | None = None
    users: list[int] = field(default_factory=list)

    def keep(self, refused: Iterable[tuple[int, Rejected]], received_ms: int, seq: int) -> None:
        """Puts refused events of log record ``seq``, each with its place there, into the
        quarantine.
        """
        for place, one in refused:
            self.kept.append(Kept(one, received_ms, f"{seq}-{place}"))
            self.kept_bytes += 200 + len(one.raw)


class State:
    """The mutable state of a project opened for writing."""

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
        erased = Erased(self.shards, extra.get("erased"))
        self.identity = Identity(
            files, directory, self.shards, self.salt, extra.get("ids", []), erased
        )
        self.dedup = Dedup(
            files,
            directory,
            self.salt,
            config.dedup_window,
            extra.get("dedup", []),
            extra.get("generation", 0),
        )
        self.items = ItemTables(files, directory, extra.get("items", []))
        self.link_store = LinkStore(files, directory, self.identity, self.salt, extra)
        self.links = self.link_store.links
        unlinking.loaded(self.links, erased)
        self.lock = threading.RLock()
        self.resolved = Resolved(
            self.links, self.identity, self.tz, self.lock, self.link_store.written
        )
        self.binder = Binder(self.catalog, self.identity, self.dedup, config.limits, self.links)
        self.segments: tuple[Segment, ...] = tuple(
            Segment(files, self.path(meta.file), meta) for meta in state.segments
        )
        self.frozen: tuple[Growing, ...] = ()
        self.loading: dict[int, Growing] = {}  # bulk loads that are bound and not yet ended
        self.active: Growing = None  # type: ignore[assignment]
        self.active = self.grow()
        self.wal: WalWriter | None = None
        self.last_error: ZujiError | None = None
        self.flushes = 0
        self.compactions = 0
        self.stored_bytes = 0  # of segments written by flushes and loads since it was opened
        self.merged_bytes = 0  # and by merges
        self.wal_damage: list[tuple[str, int, int]] = []
        self.changes = 0
        self.next_id = state.next_id
        self.closing = False
        self.room = threading.Condition(self.lock)
        self.maintenance = threading.Lock()
        self.pool = ThreadPoolExecutor(config.threads, thread_name_prefix="zuji-write")
        self.quiet_pool = ThreadPoolExecutor(
            config.threads, thread_name_prefix="zuji-flush", initializer=give_way
        )

    def path(self, *parts: str) -> str:
        """Path of a file of this project."""
        return "/".join((self.directory, *parts))

    def grow(self) -> Growing:
        """A new, empty memtable."""
        strings = StringTable(salt=self.salt)
        like = self.active.mem if self.active is not None else None
        mem = Memtable(self.catalog, strings, self.tz, self.shards, like)
        return Growing(strings, mem, generation=self.dedup.generation)

    def full(self) -> float:
        """How full the memtable that grows is: 1 when it is set aside. Without the lock it may be
        somewhat old.
        """
        grown, config = self.active, self.config
        held = grown.mem.nbytes + grown.kept_bytes
        return max(
            grown.mem.rows / config.memtable_rows,
            held / config.memtable_bytes,
            grown.logged / (MAX_LOGGED * config.memtable_bytes),  # all repeats
        )

    def oldest_generation(self, without: Growing) -> int:
        """Generation of dedup keys in which the WAL was begun that is left once ``without`` is
        flushed: replaying it must find the keys that its records were compared with.

        REQUIRES: the lock.
        """
        for grown in (*self.frozen, self.active):
            if grown is not without and grown.logged:
                return grown.generation
        return self.dedup.generation

    def write_amplification(self) -> float:
        """Bytes of segments written for each byte stored, since the project was opened."""
        written = self.stored_bytes + self.merged_bytes
        return round(written / self.stored_bytes, 2) if self.stored_bytes else 1.0

    def check_open(self) -> None:
        """Raises what a caller is to be told when nothing can be written any more."""
        if self.closing:
            if isinstance(self.last_error, StorageFailed):
                raise self.last_error.bare()
            raise EngineClosed("the engine is closed")
        if self.wal is None:
            raise ReadOnly("the project is open read-only")

    # -- files -----------------------------------------------------------------------------------

    def number(self) -> int:
        """A fresh file number."""
        with self.lock:
            number = self.next_id
            self.next_id += 1
            return number

    def new(self, name: str, written: list[str]) -> str:
        """``name``, noted in ``written`` as one to be removed if what it is for fails."""
        written.append(self.path(name))
        return name

    def sync_dirs(self) -> None:
        """Makes the names of new files durable."""
        for folder in (names.SEGMENT_DIR, names.IDS_DIR, names.DEDUP_DIR, names.QUARANTINE_DIR):
            self.files.sync_dir(self.path(folder))

    def discard_unless_unknown(
        self, written: Iterable[str], problem: BaseException, *, committing: bool
    ) -> bool:
        """Removes files that no manifest names. False (and nothing removed) when a commit failed so
        that it may or may not hold.
        """
        if committing and not isinstance(problem, StorageFull):
            return False
        self.discard(written)
        return True

    def failed(self, what: str, problem: BaseException, *, known: bool) -> None:
        """Notes a failure. Unless it is ``known`` that nothing was stored, the writer takes nothing
        any more: what memory holds may be stored already.
        """
        with self.lock:
            if not known:
                self.closing = True
                self.last_error = StorageFailed(
                    f"it is not known whether {what} is stored ({problem!r}); open the "
                    "project again"
                )
            elif isinstance(problem, ZujiError):
                self.last_error = problem
            else:
                self.last_error = StorageFailed(f"{what} failed ({problem!r})")
            self.room.notify_all()

    def let_go(self, before: Iterable[Sequence[Any]], now: Iterable[Sequence[Any]]) -> None:
        """Removes files that the manifest named before and names no more; what cannot be removed
        is removed at the next start.
        """
        left = {one[0] for one in now}
        self.discard(self.path(one[0]) for one in before if one[0] not in left)

    def replace(
        self,
        pairs: Sequence[tuple[Segment, SegmentMeta | None]],
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Puts segments that hold a part of others' rows (None: no rows are left) in their place,
        in one edit. REQUIRES: the lock. The caller removes the files.
        """
        known = self.link_store.written
        linked = dict(known)
        for old, meta in pairs:
            number = linked.pop(old.meta.id, None)
            if number is not None and meta is not None:
                linked[meta.id] = number
        more = {} if linked == known else {"linked": {str(k): n for k, n in linked.items()}}
        added = [meta for _, meta in pairs if meta is not None]
        fresh = [Segment(self.files, self.path(meta.file), meta) for meta in added]
        gone = {old.meta.id for old, _ in pairs}
        self.manifest.commit(
            Edit(
                add=tuple(added),
                remove=tuple(gone),
                next_id=self.next_id,
                extra_updates={**more, **(extra or {})},
            )
        )
        known.clear()
        known.update(linked)
        kept = [segment for segment in self.segments if segment.meta.id not in gone]
        self.segments = (*kept, *fresh)
        self.changes += 1
        self.merged_bytes += sum(meta.bytes for meta in added)

    def discard(self, written: Iterable[str]) -> None:
        """Removes what a failed flush left; what cannot be removed is removed at the next start."""
        for path in written:
            for name in (path, names.temporary(path)):
                try:
                    if self.files.exists(name):
                        self.files.remove(name)
                except ZujiError:
                    log.warning("could not remove path=%s", name)
