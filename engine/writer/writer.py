"""Writer: the parts wired together, the maintenance threads (flushing does not wait for merging,
nor queries for the sorting of memtables), what readers take, and the end.

Thread-safe: all public methods.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import NotFound, StorageFailed, ZujiError
from zuji.engine.index.dedup import read_keys
from zuji.engine.index.id_files import read_ids
from zuji.engine.index.identity import gather_bytes
from zuji.engine.index.link_files import read_links
from zuji.engine.index.links import place_of, split
from zuji.engine.items.files import read_items
from zuji.engine.quarantine import read_quarantine
from zuji.engine.storage.manifest import Manifest
from zuji.engine.storage.source import MEMTABLE_RANK
from zuji.engine.writer.eraser import Eraser
from zuji.engine.writer.flusher import Flusher
from zuji.engine.writer.intake import Intake
from zuji.engine.writer.loader import Loader
from zuji.engine.writer.merger import Merger
from zuji.engine.writer.quarantining import Quarantine
from zuji.engine.writer.refusing import Refusing
from zuji.engine.writer.saying import recall, record_of
from zuji.engine.writer.state import KIND_REPLAYED, AppendResult, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.config import Config
    from zuji.engine.index.catalog import Catalog
    from zuji.engine.ingest.seen import FrameSays
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.memtable import Memtable, PinnedRows
    from zuji.engine.storage.segment import Segment, Source
    from zuji.engine.storage.wal import WalWriter
    from zuji.engine.types import I64, U8, U32

log = logging.getLogger(__name__)

PAUSE_S = 0.2
"""A maintenance thread pauses this long after a failure, and twice as long after each further one
that nobody expected, up to LONGEST_PAUSE_S.
"""
LONGEST_PAUSE_S = 5.0
AHEAD_ROWS = 65_536
"""New rows are sorted before a query looks at them when there are so many, as long as the last look
was LOOKED_S ago at most: the next one would wait for it.
"""
LOOKED_S = 60.0


class Writer(State):
    """Owns the mutable state of a project opened for writing."""

    def __init__(
        self,
        files: Files,
        directory: str,
        manifest: Manifest,
        config: Config,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(files, directory, manifest, config, now_ms)
        self._flusher = Flusher(self)
        self._merger = Merger(self, self._flusher.flush)
        self.refusing = Refusing(self)
        self._intake = Intake(self, self._flusher, self.refusing, self._maintain)
        self._loader = Loader(self, self._flusher, self._after_load)
        self.quarantine = Quarantine(self, self._flusher)
        self.eraser = Eraser(self, self._flusher, self._merger)
        self._to_flush, self._to_merge = threading.Event(), threading.Event()
        self._to_tidy = threading.Event()
        self._looked = -LOOKED_S  # when readers took a view last
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._held_catalog: Catalog | None = None
        self._pinning = threading.Lock()  # taken before ``lock``
        self.links.recall = partial(recall, self)
        self.record_of = partial(record_of, self)

    # -- state that readers take ---------------------------------------------------------------

    def version(self) -> tuple[int, ...]:
        """Changes whenever a new view would differ."""
        with self.lock:
            rows, segments = self.active.mem.rows, len(self.segments)
            return (self.changes, rows, segments, len(self.frozen), self.links.number)

    def external(self, shard: int, ordinals: U32) -> list[tuple[str | None, str | None]]:
        """(user_id, device_id) of ordinals."""
        with self.lock:
            return self.identity.external(shard, ordinals)

    def memory(self) -> dict[str, int]:
        """Bytes of memory by what holds them: ``ids`` with whose they are, ``keys`` (the dedup
        window), ``memtables`` (with what was refused since the last flush), ``decoders``.
        """
        with self.lock:
            growing = (*self.frozen, self.active)
            return {
                "ids": self.identity.nbytes + self.links.nbytes,
                "keys": self.dedup.nbytes,
                "memtables": sum(one.mem.nbytes + one.kept_bytes for one in growing),
                "decoders": self._intake.nbytes,
            }

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Shard and ordinal of an id (``u…`` a user's, ``d…`` a device's), None when unknown."""
        with self.lock:
            return self.identity.find(key)

    def find_owner(self, key: bytes) -> tuple[int, int] | None:
        """As :meth:`find`; of a device all of whose rows are a customer's, him."""
        with self.lock:
            place = self.links.for_ever(key) if key[:1] == b"d" else None
            return self.identity.find(key) if place is None else split(place)

    def owners(self, shard: int, ordinals: U32) -> tuple[I64, I64]:
        """Shards and ordinals of whose the rows of some users of a shard are by now: of a device
        that is a customer's, him; else themselves. O(ordinals).
        """
        own = place_of(shard, 0) + ordinals.astype(np.int64)
        with self.lock:
            place = self.links.resolve(own, np.zeros(len(own), np.int64))
        place = np.where(place >= 0, place, own)
        return place >> 32, place & 0xFFFFFFFF

    def look_up(self, data: U8, offsets: I64) -> tuple[I64, I64]:
        """Shards and ordinals of ids (``u…``, ``d…``, end to end, int64[n+1]), -1 where nobody has
        one. A device that never had rows of its own is its first customer's. O(bytes).
        """
        with self.lock:
            shards, ordinals = self.identity.look_up(data, offsets)
            rest = np.flatnonzero(shards < 0)
            known = self.links.find(*gather_bytes(data, offsets, rest))
            place = self.links.resolve(known, np.zeros(len(known), np.int64))
        hit = place >= 0
        shards[rest[hit]], ordinals[rest[hit]] = place[hit] >> 32, place[hit] & 0xFFFFFFFF
        return shards, ordinals

    def merged(self, shard: int) -> tuple[U32, U32]:
        """See :class:`~zuji.engine.query.view.View`."""
        with self.lock:
            never, perhaps = self.links.merged(shard)
            erased = self.identity.erased.all[shard]
            called = self.links.called[shard]
        if erased:
            never = np.union1d(never, np.array(erased.to_array(), np.uint32))
        if called:
            perhaps = np.union1d(perhaps, np.array(called.to_array(), np.uint32))
        return never, perhaps

    def pinned(self) -> tuple[tuple[int, ...], list[list[Source]], Catalog, list[int]]:
        """One consistent view: sources by shard ordered by (partition, rank), catalog, users a
        shard. Rows of memtables are sorted outside the lock, so appending goes on meanwhile.
        """
        self._looked = time.monotonic()
        return self._pin()

    def _pin(self) -> tuple[tuple[int, ...], list[list[Source]], Catalog, list[int]]:
        with self._pinning:
            with self.lock:
                mems = (*(g.mem for g in self.frozen), self.active.mem)
                pins = [mem.pin() for mem in mems]
                segments, version = self.segments, self.version()
                catalog, users = self._catalog_now(), self.identity.counts()
            tidied = bool(self._threads)
            sources = sources_of(segments, mems, pins, self.shards, tidied=tidied)
            if tidied and any(mem.crowded for mem in mems):
                self._to_tidy.set()
            resolved = self.resolved.sources(self.eraser.seen(sources))
            return version, self.eraser.seen(resolved, gathered=True), catalog, users

    def _catalog_now(self) -> Catalog:
        """A copy of the catalog, the same while nothing changes. REQUIRES: the lock."""
        now, held = self.catalog, self._held_catalog
        same = (
            held is not None
            and len(held.events) == len(now.events)
            and len(held.props) == len(now.props)
            and np.array_equal(held.pairs(), now.pairs())
        )
        if held is None or not same:
            held = self._held_catalog = now.copy()
        return held

    # -- rows in -------------------------------------------------------------------------------

    def start(self, wal: WalWriter) -> None:
        """Takes the WAL and, when configured, starts the maintenance threads."""
        self.wal = wal
        if self.config.background:
            for name, wake, work in (
                ("zuji-flusher", self._to_flush, self._flush_and_tell),
                ("zuji-merger", self._to_merge, self._merger.merge_wanted),
                ("zuji-tidier", self._to_tidy, self._tidy),
            ):
                thread = threading.Thread(
                    target=self._run, args=(wake, work), name=name, daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def append_batch(self, raw: bytes) -> AppendResult:
        """Stores one batch (msgpack or JSON); on return it is in the WAL, synced (I1), and visible.

        Raises:
            InvalidEvent: the batch as a whole cannot be read; nothing of it was stored.
            StorageFull, StorageFailed: nothing of it was acknowledged.
        """
        result = self._intake.append(raw)
        self._tidy_soon()
        return result

    def append_many(
        self, raws: Sequence[bytes], refused: Sequence[Rejected] = ()
    ) -> list[AppendResult | ZujiError]:
        """Stores batches as :meth:`append_batch`, with one sync for all; what became of each, in
        order. ``refused``: events for the quarantine, durable on return as well.

        InvalidEvent and StorageFull take the place of a result: the other batches are stored.

        Raises:
            StorageFull: there is no room for ``refused``; no batch was looked at.
            StorageFailed, ReadOnly, EngineClosed: nothing of all was acknowledged.
        """
        outcomes = self._intake.append_many(raws, refused)
        self._tidy_soon()
        return outcomes

    def _tidy_soon(self) -> None:
        if (
            self._threads
            and self.active.mem.unseen >= AHEAD_ROWS
            and time.monotonic() - self._looked < LOOKED_S
        ):
            self._to_tidy.set()

    def replay_batch(self, raw: bytes) -> AppendResult:
        """As :meth:`append_batch`, but what is refused does not go to the quarantine."""
        return self._intake.append(raw, KIND_REPLAYED)

    def replay(self, seq: int, kind: int, payload: bytes) -> int:
        """Applies WAL record ``seq`` at recovery; returns its events."""
        return self._intake.replay(seq, kind, payload)

    def load(
        self,
        make: Callable[[], tuple[FrameSays, dict[str, Any]]],
        bound: Callable[[], object] = lambda: None,
        failed: list[BaseException] | None = None,
    ) -> None:
        """Makes one frame durable without the WAL: segments and everything else in one manifest
        edit.

        ``make`` runs under the writer's lock (it binds ids and names) and returns the frame with
        what it says of ids, and further manifest entries (the import ledger). ``bound`` is called
        when the next load may be bound. Loads of several threads are bound one after the other,
        written beside each other, and committed in the order in which they were bound. ``failed``
        is shared by the loads of one stream: after a failure, which is put in it, none of them is
        stored.
        """
        self._loader.load(make, bound, failed)

    # -- upkeep --------------------------------------------------------------------------------

    def say(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Says something of ids by hand: :mod:`saying`. Durable on return; what is noted of it.

        Raises:
            NotFound: there is nothing to undo. StorageFull, StorageFailed.
        """
        return self._intake.say(entry)

    def flush(self) -> None:
        """Writes everything appended so far to segments. Returns when the manifest names them."""
        self._flusher.flush()

    def compact(
        self, *, full: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Merges segments until nothing is left to merge; returns the number of merges. What is
        left of erased users goes first.
        """
        self.flush()
        self.eraser.purge()
        return self._merger.merge_some(full=full, progress=progress)

    @contextmanager
    def merging(self) -> Iterator[None]:
        """Nothing else replaces segments meanwhile."""
        with self._merger.turn:
            yield

    def scrub(self) -> Iterator[ZujiError]:
        """Checks every byte of segments, id, key and quarantine files; yields what is wrong."""
        extra = self.manifest.state.extra
        for segment in self.segments:
            yield from segment.scrub()
        checks: list[tuple[str, Callable[[], object]]] = []
        for shard, chunks in enumerate(extra.get("ids", [])):
            for name, first, count in chunks:
                path = self.path(name)
                checks.append((name, partial(read_ids, self.files, path, shard, first, count)))
        for name, _, count in extra.get("dedup", []):
            checks.append((name, partial(read_keys, self.files, self.path(name), count)))
        for name, _ in extra.get("links", {}).get("files", []):
            checks.append((name, partial(read_links, self.files, self.path(name))))
        for name, count in extra.get("items", []):
            checks.append(
                (name, lambda n=name, c=count: list(read_items(self.files, self.path(n), c)))  # type: ignore[misc]
            )
        for name, *_ in extra.get("quarantine", []):
            checks.append((name, lambda n=name: list(read_quarantine(self.files, self.path(n)))))  # type: ignore[misc]
        for name, check in checks:
            try:
                check()
            except NotFound as problem:
                if name in self._named_now():  # else a flush dropped it since
                    yield problem
            except ZujiError as problem:
                yield problem

    def _named_now(self) -> set[str]:
        """Id, key and quarantine files that the manifest names at this moment."""
        manifest = self.manifest
        if self.wal is None:
            manifest = Manifest.open(self.files, self.directory, read_only=True)
        extra = manifest.state.extra
        chunks = [chunk for shard in extra.get("ids", []) for chunk in shard]
        named = (
            *chunks,
            *(one for k in ("dedup", "items", "quarantine") for one in extra.get(k, [])),
            *extra.get("links", {}).get("files", []),
        )
        return {one[0] for one in named}

    def _maintain(self) -> None:
        """After a memtable was set aside."""
        if self._threads:
            self._to_flush.set()
        else:
            self._flusher.flush_frozen()
            self._merger.merge_some()

    def _after_load(self, fan_in: int) -> None:
        if not self._threads:
            self._merger.merge_some()
        elif fan_in:
            self._merger.want(fan_in)
            self._to_merge.set()

    def _tidy(self) -> None:
        """Sorts large parts of memtables that queries look at, so that no query has to."""
        if self.active.mem.unseen >= AHEAD_ROWS and not self.closing:
            self._pin()
        for grown in (*self.frozen, self.active):
            while not self.closing and grown.mem.tidy():
                pass

    def _flush_and_tell(self) -> None:
        if self.frozen:
            self._flusher.flush_frozen(quietly=True)
            self._merger.want()
            self._to_merge.set()

    def _run(self, wake: threading.Event, work: Callable[[], object]) -> None:
        """Works whenever it is woken, and again after a failure while rows wait to be flushed."""
        again = False
        pause = PAUSE_S
        while True:
            wake.wait(timeout=1.0 if again and self.frozen else None)
            wake.clear()
            if self.closing:
                return
            again = False
            try:
                work()
                pause = PAUSE_S
            except ZujiError as problem:
                self.last_error = problem.bare()
                log.warning("maintenance failed, goes on code=%s: %s", problem.code, problem)
                again = True
                self._ending.wait(PAUSE_S)
            except Exception as problem:  # without this thread appending would hang for good
                self.last_error = StorageFailed(f"maintenance failed ({problem!r})")
                log.exception("maintenance failed, goes on")
                again = True
                self._ending.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    # -- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Flushes and stops. After a failure it only stops: the WAL has everything that was
        acknowledged.
        """
        already = self.closing
        try:
            if not already and self.wal is not None:
                self.flush()
        except ZujiError as problem:
            log.warning("close without flush reason=%s", problem.code)
        except Exception:
            log.exception("close without flush")
        finally:
            self.closing = True
            self._ending.set()
            self._to_flush.set()
            self._to_merge.set()
            self._to_tidy.set()
            for thread in self._threads:
                thread.join(timeout=30)
            self._merger.close()
            self.pool.shutdown(wait=True)
            self.quiet_pool.shutdown(wait=True)
            if self.wal is not None:
                self.wal.close()
            self.manifest.close()

    def release(self) -> None:
        """Lets go of the files; nobody may be reading any more."""
        for segment in self.segments:
            segment.close()


def sources_of(
    segments: Sequence[Segment],
    mems: Sequence[Memtable],
    pins: Sequence[PinnedRows],
    shards: int,
    *,
    tidied: bool = False,
) -> list[list[Source]]:
    """Sources by shard, ordered by (partition, rank)."""
    by_shard: list[list[Source]] = [[] for _ in range(shards)]
    for segment in segments:
        by_shard[segment.shard].append(segment)
    for order, (mem, pinned) in enumerate(zip(mems, pins, strict=True)):
        for source in mem.views(MEMTABLE_RANK + order, pinned, tidied=tidied):
            by_shard[source.shard].append(source)
    for sources in by_shard:
        sources.sort(key=lambda s: (s.partition, s.rank))
    return by_shard
