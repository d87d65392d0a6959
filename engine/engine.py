"""Engine: a project opened for use. Only wiring; each method names the part that does the work.

Thread-safe: queries run on a pool while events are appended; every query sees one consistent
:class:`View`.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Self

from zuji.engine import recovery
from zuji.engine.allocator import give_back, keep_freed_memory
from zuji.engine.batch import encode_events
from zuji.engine.config import DEFAULT_SHARDS, DEFAULT_TZ, Config
from zuji.engine.defining import Defined
from zuji.engine.errors import EngineClosed, InvalidInput, NotFound, ReadOnly
from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS, UNSET_LIST, USER_PREFIX
from zuji.engine.people.cohorts import Cohorts
from zuji.engine.people.graph import Graph, Node, graph_of
from zuji.engine.people.identities import Identities
from zuji.engine.people.items import Items
from zuji.engine.people.marking import Marking
from zuji.engine.people.people import People
from zuji.engine.people.tags.host import Host
from zuji.engine.people.tags.tags import Tags
from zuji.engine.quarantine import Wanted
from zuji.engine.query.bind import column_kind
from zuji.engine.query.context import Cancel, Context
from zuji.engine.query.crew import Crew
from zuji.engine.query.daybits import DayBitsKept
from zuji.engine.query.execute import execute, explain_query, ordinals_of, users_of
from zuji.engine.query.mark_names import COHORT, TAG
from zuji.engine.query.timeline import timeline
from zuji.engine.query.view import ProfilesKept, View, newest
from zuji.engine.query.walks import most_frequent, paths_of_sessions
from zuji.engine.replaying import Replayed, replay
from zuji.engine.storage import names
from zuji.engine.storage.cache import ColumnCache, default_bytes
from zuji.engine.storage.files import Files
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.without import Without
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    import pyarrow as pa

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.bulk import TableMapping
    from zuji.engine.errors import ZujiError
    from zuji.engine.quarantine import Kept
    from zuji.engine.query.result import Result
    from zuji.engine.query.scope import Scope
    from zuji.engine.replaying import Mend
    from zuji.engine.types import U32, Kind
    from zuji.engine.writer import Writer


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def create_project(
    path: str | os.PathLike[str],
    project: str = "default",
    tz: str = DEFAULT_TZ,
    shards: int = DEFAULT_SHARDS,
    *,
    files: Files | None = None,
) -> None:
    """Makes an empty project in ``path``; durable on return.

    Raises:
        InvalidInput: bad name, zone or number of shards, or the project is there already.
    """
    files = files or Files()
    directory = _project_dir(path, project)
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    recovery.make_project(files, directory, project, tz=tz, shards=shards)


GIVE_BACK_FROM = 16 << 20
"""Bytes of ids from which opening a project leaves enough freed memory to give it back."""


def open_project(
    path: str | os.PathLike[str],
    project: str = "default",
    *,
    mode: str = "rw",
    tz: str = DEFAULT_TZ,
    config: Config | None = None,
    files: Files | None = None,
    clock: Callable[[], int] = now_ms,
) -> Engine:
    """Opens a project. ``mode`` "rw" makes it when it is not there (in zone ``tz``); "r" only
    reads.

    Raises:
        ProjectLocked: another process has it open for writing; ``mode="r"`` works beside it.
        NotFound: ``mode="r"`` and there is no project.
        Corruption, UnsupportedFormat, StorageFull, StorageFailed, ReadOnly.
    """
    if mode not in ("r", "rw"):
        raise InvalidInput(f"mode is 'rw' or 'r', got {mode!r}")
    files = files or Files()
    config = config or Config()
    if config.keep_freed_memory:
        keep_freed_memory()
    directory = _project_dir(path, project)
    there = files.exists(names.path(directory, names.CURRENT))
    if mode == "r":
        if not there:
            raise NotFound(
                f"there is no project {project!r} in {os.fspath(path)}; make one with `zuji init`"
            )
        defined = Defined(files, directory)
        writer, _ = recovery.open_for_reading(files, directory, config, clock)
        lock = None
    else:
        if not there:
            create_project(path, project, tz, files=files)
        defined = Defined(files, directory)
        writer, lock, _ = recovery.open_for_writing(files, directory, config, clock)
    if writer.memory()["ids"] > GIVE_BACK_FROM:
        give_back()
    return Engine(writer, project, lock=lock, defined=defined)


def _project_dir(path: str | os.PathLike[str], project: str) -> str:
    good = 0 < len(project) <= 64 and all(c.isalnum() or c in "-_" for c in project)
    if not good:
        raise InvalidInput(
            f"a project name has 1 to 64 letters, digits, '-' or '_', got {project!r}"
        )
    return os.path.join(os.path.abspath(os.fspath(path)), project)


class Snapshot:
    """A pinned state of a project: queries on it do not see later events."""

    def __init__(self, engine: Engine, view: View) -> None:
        self._engine = engine
        self._view: View | None = view

    def query(self, query: Any, scope: Scope | None = None, **options: Any) -> Result:
        """As :meth:`Engine.query`, at the moment of the snapshot."""
        return self._engine._query(self._pinned(), query, scope, **options)

    def users(self, query: Any, pick: Mapping[str, Any], scope: Scope | None = None) -> Result:
        """As :meth:`Engine.users`, at the moment of the snapshot."""
        return self._engine._users(self._pinned(), query, pick, scope, None)

    def _session_paths(
        self,
        *,
        gap_ms: int,
        steps: int,
        from_ms: int,
        to_ms: int,
        n: int = 100,
        collapse: bool = False,
    ) -> tuple[list[tuple[tuple[str, ...], int]], int]:
        """The most frequent session paths, and the number of sessions; until there is a model."""
        view = self._pinned()
        with self._engine._context(None, None, None, None) as context:
            counts = paths_of_sessions(
                view,
                context,
                gap_ms=gap_ms,
                steps=steps,
                from_ms=from_ms,
                to_ms=to_ms,
                collapse=collapse,
            )
            total = sum(count.sessions for count in counts)
            return most_frequent(view, context, counts, n), total

    def close(self) -> None:
        """Lets go of the files."""
        self._view = None

    def _pinned(self) -> View:
        if self._view is None:
            raise EngineClosed("the snapshot is closed")
        return self._view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Engine:
    """One open project. Use :func:`zuji.open`; close it or use it as a context manager."""

    def __init__(self, writer: Writer, project: str, lock: Any, defined: Defined) -> None:
        self.project = project
        self._writer = writer
        self._lock_handle = lock
        config = writer.config
        self._day_bits = DayBitsKept()
        self._profiles = ProfilesKept()
        self._columns = ColumnCache(
            default_bytes() if config.cache_bytes < 0 else config.cache_bytes
        )
        self._crew = Crew(config.threads, max(config.queries_bytes, config.query_bytes))
        self._closed = False
        self._view_lock = threading.Lock()
        self._replaying = threading.Lock()
        self._view: tuple[Any, View, int] | None = None
        self._defined = defined
        self._people = People(writer, self._pin, writable=lock is not None)
        host = Host(
            writer.tz,
            self.running,
            writer.find_owner,
            writer.now_ms,
            self._graph,
            self._remove_node,
        )
        self._tags = Tags(
            host, writer.files, writer.directory, self._columns, writable=lock is not None
        )
        self._cohorts = Cohorts(
            host,
            writer.files,
            writer.directory,
            self._columns,
            lookup=writer.look_up,
            picked=self._ordinals,
            threads=config.threads,
            writable=lock is not None,
        )
        self._people.keeps(self._tags)
        self._people.keeps(self._cohorts)
        self._marking = Marking({TAG: self._tags.kept, COHORT: self._cohorts.kept})
        self._items = Items(writer, defined, self._known)
        self._identities = Identities(writer, writable=lock is not None)

    # -- events in -----------------------------------------------------------------------------

    def append(self, events: Iterable[Mapping[str, Any]]) -> AppendResult:
        """Stores events given as mappings; durable and visible on return. Encodes, then as
        ``append_batch``.

        Raises:
            InvalidEvent: an event holds something that msgpack cannot carry (``index`` says which);
                those before it in whole batches of 2,000 may be stored.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        total = AppendResult()
        for raw in encode_events(events):
            total += self.append_batch(raw)
        return total

    def append_batch(self, batch: bytes) -> AppendResult:
        """Stores one batch, msgpack or JSON (docs/format/batch.md); durable and visible on return.

        Raises:
            InvalidEvent: the batch as a whole cannot be read; nothing was stored.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        self._check()
        return self._writer.append_batch(bytes(batch))

    def append_many(
        self, batches: Sequence[bytes], refused: Sequence[Rejected] = ()
    ) -> list[AppendResult | ZujiError]:
        """Stores batches with one sync for all: what became of each, in their order; InvalidEvent
        or StorageFull takes the place of a result where :meth:`append_batch` would raise it, and
        the others are stored.

        ``refused``: events that the caller could not make sense of, for the quarantine; durable on
        return as well.

        Raises:
            StorageFull: there is no room for ``refused``; no batch was looked at.
            StorageFailed, ReadOnly, EngineClosed: nothing was acknowledged.
        """
        self._check()
        return self._writer.append_many(batches, refused)

    def append_table(
        self,
        table: pa.Table,
        mapping: TableMapping | Mapping[str, Any],
        *,
        ledger: tuple[str, int] | None = None,
    ) -> AppendResult:
        """Stores an Arrow table in bulk, without the WAL; durable and visible on return.

        ``ledger``: (key, position) written in the same manifest edit, read back by
        :meth:`import_position`.

        Raises:
            InvalidInput: the mapping does not fit the table; nothing was stored.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        from zuji.engine.bulk import load_table, to_mapping

        self._check()
        return load_table(self._writer, table, to_mapping(mapping), ledger)

    def append_tables(
        self,
        tables: Iterable[pa.Table | tuple[pa.Table, int]],
        mapping: TableMapping | Mapping[str, Any],
        *,
        key: str | None = None,
    ) -> Iterator[AppendResult]:
        """Stores tables one after the other, binding one while the one before is written; 2 × as
        fast on two cores.

        Yields a result a table, in order, once it is durable. With ``key`` the items are (table,
        position), and the position is in the import ledger as in :meth:`append_table`. Holds at
        most four tables. Errors as there.
        """
        from zuji.engine.bulk import load_tables, to_mapping

        self._check()
        yield from load_tables(self._writer, tables, to_mapping(mapping), key)

    def import_position(self, key: str) -> int:
        """Rows of the import ``key`` that are durable; 0 when it is not known."""
        return int(self._writer.manifest.state.extra.get("imports", {}).get(key, 0))

    # -- answers out ---------------------------------------------------------------------------

    def query(
        self,
        query: dict[str, Any] | str | bytes,
        scope: Scope | None = None,
        *,
        cancel: Cancel | None = None,
        progress: Callable[[float], None] | None = None,
        seconds: float | None = None,
        memory_bytes: int | None = None,
    ) -> Result:
        """Answers a query (docs/query.md).

        ``scope``: row policy of the caller, put in by the planner. ``cancel``: ends it within 200
        ms. ``progress`` gets the share done, 0…1. ``seconds``, ``memory_bytes``: budgets, else
        those of the config.

        Raises:
            InvalidQuery: with the JSON path of what is wrong.
            QueryCancelled, QueryBudgetExceeded, Corruption, EngineClosed.
        """
        return self._query(
            None,
            query,
            scope,
            cancel=cancel,
            progress=progress,
            seconds=seconds,
            memory_bytes=memory_bytes,
        )

    def users(
        self,
        query: dict[str, Any] | str | bytes,
        pick: Mapping[str, Any],
        scope: Scope | None = None,
        *,
        cancel: Cancel | None = None,
    ) -> Result:
        """The users behind one cell of the answer, one row each: ``user_id``, ``device_id``.
        ``cancel``: as in :meth:`query`.
        """
        return self._users(None, query, pick, scope, cancel)

    def timeline(
        self,
        query: Mapping[str, Any] | str | bytes,
        scope: Scope | None = None,
        *,
        cancel: Cancel | None = None,
    ) -> Result:
        """A page of one user's events in time order (docs/models/timeline.md):
        ``{"user_id": "ann", "limit": 100}``. Rows: ``time, event, session, device_id,
        properties``; ``meta["next"]`` is the cursor of the next page, or None.

        Raises:
            InvalidQuery: with the JSON path. NotFound: nobody has this id.
            QueryCancelled, QueryBudgetExceeded, Corruption, EngineClosed.
        """
        self._check()
        view = self._pin()
        with self._context(cancel, None, None, None) as context:
            return timeline(view, query, scope, context, self._writer.find_owner)

    def explain(
        self,
        query: dict[str, Any] | str | bytes,
        scope: Scope | None = None,
        *,
        cancel: Cancel | None = None,
    ) -> dict[str, Any]:
        """What the query would read, and what was ruled out. ``cancel``: as in :meth:`query`."""
        return explain_query(self._pin(), query, scope, self._context(cancel, None, None, None))

    def state(self) -> tuple[object, int | None]:
        """What stays the same object as long as nothing changed that an answer could show, and the
        time of the newest event (ms UTC). Whoever keeps it keeps the files of that state.
        """
        view = self._pin()
        return view.sources, view.newest_ms

    def snapshot(self) -> Snapshot:
        """A pinned state that later events do not change."""
        return Snapshot(self, self._pin())

    def _query(
        self,
        view: View | None,
        query: Any,
        scope: Scope | None,
        *,
        cancel: Cancel | None = None,
        progress: Callable[[float], None] | None = None,
        seconds: float | None = None,
        memory_bytes: int | None = None,
    ) -> Result:
        self._check()
        with self._context(cancel, progress, seconds, memory_bytes) as context:
            return execute(view or self._pin(), query, scope, context)

    def _users(
        self,
        view: View | None,
        query: Any,
        pick: Mapping[str, Any],
        scope: Scope | None,
        cancel: Cancel | None,
    ) -> Result:
        self._check()
        with self._context(cancel, None, None, None) as context:
            return users_of(view or self._pin(), query, pick, scope, context)

    @contextmanager
    def running(
        self, cancel: Cancel | None = None, seconds: float | None = None
    ) -> Iterator[tuple[View, Context]]:
        """A turn for a query that is not of the language: the state now, and its budget."""
        self._check()
        with self._context(cancel, None, seconds, None) as context:
            yield self._pin(), context

    @property
    def config(self) -> Config:
        """How this engine works."""
        return self._writer.config

    def _context(
        self,
        cancel: Cancel | None,
        progress: Callable[[float], None] | None,
        seconds: float | None,
        memory_bytes: int | None,
    ) -> Context:
        config = self._writer.config
        return Context(
            seconds=config.query_seconds if seconds is None else seconds,
            memory_bytes=config.query_bytes if memory_bytes is None else memory_bytes,
            crew=self._crew,
            cancel=cancel,
            progress=progress,
        )

    def _pin(self) -> View:
        """The state now; the same object while nothing changes, so that its caches serve many
        queries.
        """
        self._check()
        items = self._writer.items
        version = (self._defined.version, items.version, *self._writer.version())
        marks = self._marking.now()
        version = (id(marks), *version)
        asked = time.monotonic_ns()
        with self._view_lock:
            # A view pinned while we waited for the lock is new enough, too.
            if self._view is not None and (self._view[0] == version or self._view[2] >= asked):
                return self._view[1].at(self._writer.now_ms())
            pinned_at = time.monotonic_ns()
            written, sources, catalog, users = self._writer.pinned()
            version = (self._defined.version, items.version, *written)
            definitions = self._defined.with_items(items.frozen(), catalog)
            if definitions.properties:
                catalog = self._defined.beside(catalog, definitions)
            version = (id(marks), *version)
            catalog = self._marking.beside(catalog, marks)
            for shard in sources:
                for source in shard:
                    if isinstance(source, Segment | Without):
                        source.keep_in(self._columns)
            view = View(
                project=self.project,
                tz=self._writer.tz,
                sources=tuple(tuple(s) for s in sources),
                catalog=catalog,
                users=tuple(users),
                now_ms=0,
                watermark_ms=None,
                names=self._writer.external,
                merged=self._writer.merged,
                owned=self._writer.owners,
                day_bits=self._day_bits,
                profiles=self._profiles,
                newest_ms=newest(sources),
                rows=sum(source.rows for shard in sources for source in shard),
                definitions=definitions,
                marks=marks,
            )
            self._view = (version, view, pinned_at)
            return view.at(self._writer.now_ms())

    # -- what is in here -----------------------------------------------------------------------

    def events(self) -> list[dict[str, Any]]:
        """One entry an event: ``name, rows, first_ms, last_ms, properties``; most rows first."""
        view = self._pin()
        found: dict[str, dict[str, Any]] = {}
        for shard in view.sources:
            for source in shard:
                for name, run in source.runs.items():
                    if name in PROFILE_EVENTS:
                        continue
                    entry = found.setdefault(
                        name,
                        {"name": name, "rows": 0, "first_ms": run.min_ms, "last_ms": run.max_ms},
                    )
                    entry["rows"] += run.rows
                    entry["first_ms"] = min(entry["first_ms"], run.min_ms)
                    entry["last_ms"] = max(entry["last_ms"], run.max_ms)
        for entry in found.values():
            entry["properties"] = len(view.catalog.props_of(entry["name"]))
        return sorted(found.values(), key=lambda e: (-e["rows"], e["name"]))

    def properties(self) -> list[dict[str, Any]]:
        """One entry a property: ``name, kind, scope`` ("event" or "user")``, events``."""
        catalog = self._pin().catalog
        found = []
        for stored, kind in zip(catalog.props, catalog.kinds, strict=True):
            if stored == UNSET_LIST:
                continue
            is_user = stored.startswith(USER_PREFIX)
            events = [] if is_user else catalog.events_of(stored)
            found.append(
                {
                    "name": stored.removeprefix(USER_PREFIX),
                    "kind": kind.label,
                    "scope": "user" if is_user else "event",
                    "events": events,
                }
            )
        return sorted(found, key=lambda p: (p["scope"], p["name"] == DEVICE_ID, p["name"]))

    # -- tags ----------------------------------------------------------------------------------

    @property
    def tags(self) -> Tags:
        """The project's tags (docs/tags.md)."""
        self._check()
        return self._tags

    def _graph(self) -> Graph:
        """What is made of what."""
        marks = {**self._tags.made_of(), **self._cohorts.made_of()}
        return Graph({**graph_of(self._defined.now.used()), **marks})

    def _remove_node(self, node: Node) -> None:
        if node[0] == "property":
            self._defined.remove([node[1]])
        elif node[0] == "cohort":
            self._cohorts.drop([node[1]])
        else:
            self._tags.delete(node[1], cascade=True)

    # -- cohorts -------------------------------------------------------------------------------

    @property
    def cohorts(self) -> Cohorts:
        """The project's cohorts (docs/cohorts.md)."""
        self._check()
        return self._cohorts

    def _ordinals(self, query: Any, pick: Mapping[str, Any], scope: Scope | None) -> list[U32]:
        """The ordinals by shard behind a cell of an answer."""
        with self._context(None, None, None, None) as context:
            return ordinals_of(self._pin(), query, pick, scope, context)

    # -- virtual events and properties ---------------------------------------------------------

    @property
    def items(self) -> Items:
        """Items (products, outlets, content), and the properties that name them (docs/items.md)."""
        return self._items

    def _known(self) -> dict[str, Kind]:
        """Kinds of the properties that are sent, by full name."""
        catalog = self._pin().catalog
        return {
            f"user.{p.removeprefix(USER_PREFIX)}" if p.startswith(USER_PREFIX) else f"event.{p}": k
            for p, k in zip(catalog.props, catalog.kinds, strict=True)
        }

    def definitions(self) -> dict[str, Any]:
        """The virtual events and properties, as :meth:`define` takes them."""
        return self._defined.now.dump()

    def define(
        self,
        events: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Defines virtual events (``{"deal": {"of": [{"e": "pay", "where": …}, …]}}``) and virtual
        properties (``{"event.size": {"type": "string", "as": "if(…)"}}``), or changes them. Durable
        on return; queries that begin later see them. docs/virtual.md.

        Raises:
            InvalidInput: says what is wrong and where; nothing is changed.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        self._check_writable()
        catalog = self._pin().catalog
        known = dict(zip(catalog.props, catalog.kinds, strict=True))

        def kind_of(p: str) -> Kind | None:
            scope, _, name = p.partition(".")
            return column_kind(p) or known.get(USER_PREFIX + name if scope == "user" else name)

        self._defined.change(
            events or {}, properties or {}, kind_of, lambda name: name in catalog.event_codes
        )

    def undefine(self, *gone: str) -> None:
        """Removes definitions: names of events, full names of properties (``event.size``).

        Raises:
            NotFound: one is not defined. InvalidInput: another definition is made of one.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        self._check_writable()
        self._defined.remove(gone)

    @property
    def people(self) -> People:
        """Erasing people, exporting what is held about one, and time to live (docs/privacy.md)."""
        self._check()
        return self._people

    @property
    def identity(self) -> Identities:
        """Which ids are whose, and saying so by hand: docs/identity.md."""
        return self._identities

    # -- the quarantine ------------------------------------------------------------------------

    def rejected(
        self,
        *,
        reason: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Events in the quarantine, oldest first: ``id, received_ms, index, reason, path, message,
        event`` (decoded, or its bytes in hex).

        Ids are for ever the same and grow. ``reason``: only those with this code. ``from_ms``,
        ``to_ms``: only those received in ``[from_ms, to_ms)``. ``after``: only those that come
        after the one with this id, which may be gone by now; with ``limit``, at most so many: page
        after page.

        Raises:
            InvalidInput: ``after`` is no id.
            Corruption: a file is damaged; those before the damage come first. EngineClosed.
        """
        wanted = Wanted(None, reason, from_ms, to_ms, after)
        for kept in islice(self._entries(wanted), limit):
            yield kept.to_dict()

    def replay_rejected(
        self,
        ids: Iterable[str] | None = None,
        *,
        reason: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        mend: Mend | None = None,
    ) -> Replayed:
        """Appends rejected events again and takes those that are stored now out of the quarantine,
        both durable on return; those refused again stay as they are.

        ``ids``: of those to replay, in any order (others are passed over), else all that the
        filters of :meth:`rejected` let through. ``mend`` gets an entry as :meth:`rejected` gives it
        and returns the event to store: a mapping, the bytes of one event (msgpack or JSON), or None
        to leave the entry alone. Without it the event's own bytes are taken again.

        A crash half way loses nothing and stores nothing twice: what was stored by then and is
        still listed is counted among ``duplicates`` when it is replayed again, because an event
        without an ``insert_id`` gets one that follows from the entry's id. O(bytes of the
        quarantine). Thread-safe; one at a time.

        Raises:
            InvalidInput: an id is none. Whatever ``mend`` raises: those before it are done.
            StorageFull, StorageFailed, ReadOnly, EngineClosed, Corruption.
        """
        wanted = Wanted(ids, reason, from_ms, to_ms)
        with self._replaying:
            self._writer.check_open()
            return replay(self._writer, self._entries(wanted), mend)

    def discard_rejected(
        self,
        ids: Iterable[str] | None = None,
        *,
        reason: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> int:
        """Takes events out of the quarantine for good, all or none of them, durable on return;
        returns how many there were. Which: as in :meth:`replay_rejected`, but at least one
        argument is needed.

        Raises:
            InvalidInput: an id is none, or nothing says which.
            StorageFull, StorageFailed, ReadOnly, EngineClosed, Corruption.
        """
        wanted = Wanted(ids, reason, from_ms, to_ms)
        if wanted.all:
            raise InvalidInput("say which rejected events to discard: ids, a reason, or a time")
        with self._replaying:
            self._writer.check_open()
            return self._writer.quarantine.remove({kept.key for kept in self._entries(wanted)})

    def _entries(self, wanted: Wanted) -> Iterator[Kept]:
        self._check()
        found = self._writer.quarantine.entries(wanted.after)
        return filter(wanted.has, takewhile(wanted.goes_on, found))

    def status(self) -> dict[str, Any]:
        """Sizes and health of the project, JSON-ready."""
        writer = self._writer
        view = self._pin()
        segments = writer.segments
        quarantined = writer.manifest.state.extra.get("quarantine", [])
        error = writer.last_error
        return {
            "project": self.project,
            "tz": view.tz,
            "shards": view.shards,
            "users": sum(view.users),
            "rows": view.rows,
            "segments": len(segments),
            "segment_rows": sum(s.rows for s in segments),
            "segment_bytes": sum(s.meta.bytes for s in segments if s.meta is not None),
            "memtable_rows": view.rows - sum(s.rows for s in segments),
            "wal_bytes": writer.wal.size_bytes if writer.wal is not None else 0,
            "partitions": len({s.partition for s in segments}),
            "events": len(view.catalog.events) - len(PROFILE_EVENTS),
            "properties": len(view.catalog.props),
            "rejected": sum(one[1] for one in quarantined) + len(writer.quarantine.in_memory()),
            "pending_merges": sum(writer.resolved.pending()),
            "erased_waiting": writer.eraser.waiting,
            "watermark_ms": view.watermark_ms,
            "flushes": writer.flushes,
            "compactions": writer.compactions,
            "stored_bytes": writer.stored_bytes,
            "merged_bytes": writer.merged_bytes,
            "write_amplification": writer.write_amplification(),
            "cache": self._columns.status(),
            "memory": writer.memory(),
            "wal_damage": [list(d) for d in writer.wal_damage],
            "read_only": writer.wal is None,
            "last_error": None if error is None else {"code": error.code, "message": str(error)},
        }

    # -- upkeep --------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes everything appended so far to segments."""
        self._check()
        self._writer.flush()

    def compact(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Merges segments to as few as possible; returns the number of merges."""
        self._check()
        return self._writer.compact(full=True, progress=progress)

    def scrub(self) -> Iterator[ZujiError]:
        """Reads every byte of every file and yields what is wrong; nothing when all is well."""
        self._check()
        yield from self._writer.scrub()

    def close(self) -> None:
        """Flushes, stops the threads, releases the lock. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._writer.close()
        finally:
            self._crew.close()
            self._view = None
            self._columns.clear()
            self._writer.release()
            if self._lock_handle is not None:
                self._lock_handle.release()

    def _check_writable(self) -> None:
        self._check()
        if self._lock_handle is None:
            raise ReadOnly("the project is open for reading")

    def _check(self) -> None:
        if self._closed:
            raise EngineClosed("the engine is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
