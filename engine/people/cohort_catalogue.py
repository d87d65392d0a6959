"""The catalogue of cohorts: what there is of each, in which files, and who needs whom.

A version counts once the catalogue names its file, so a crash leaves a cohort as it was. Erasure
writes files anew without somebody. Thread-safe; one change at a time, reading never waits.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from pyroaring import BitMap

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound, ZujiError
from zuji.engine.people.cohort_files import members_of, sections_of
from zuji.engine.people.cohort_kept import KeptCohorts
from zuji.engine.people.cohort_rules import MAX_COHORTS, definition_to, nodes_of
from zuji.engine.people.graph import told
from zuji.engine.people.store import Store
from zuji.engine.query.problems import nearest
from zuji.engine.query.ranges import resolve_moment
from zuji.engine.storage.cache import serials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from zuji.engine.people.cohort_kept import KeptCohort
    from zuji.engine.people.cohort_rules import Definition, Span
    from zuji.engine.people.graph import Node
    from zuji.engine.people.tags.host import Host
    from zuji.engine.query.view import View
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files

KIND: Final = "cohorts"
Document = dict[str, Any]


class Catalogue:
    """All cohorts of a project."""

    def __init__(
        self, host: Host, files: Files, directory: str, columns: ColumnCache, *, writable: bool
    ) -> None:
        self._host = host
        self._columns = columns
        self._store = Store(
            files,
            directory,
            KIND,
            writable=writable,
            empty={"cohorts": {}},
            named=_files_named,
        )
        self._writable = writable
        self._writing = threading.RLock()
        self._lock = threading.Lock()
        self._serials: dict[int, int] = {}
        self._kept: KeptCohorts | None = None

    def kept(self) -> KeptCohorts:
        """The cohorts as they are now, for queries: the same object while nothing changes."""
        state = self._store.now if self._writable else self._store.refresh()
        with self._lock:
            if self._kept is None or self._kept.state is not state:
                self._kept = KeptCohorts(state, self._columns, self._serial_of)
                for number in set(self._serials) - state.named():
                    self._columns.gone(self._serials.pop(number))
            return self._kept

    def _serial_of(self, number: int) -> int:
        with self._lock:
            if number not in self._serials:
                self._serials[number] = next(serials)
            return self._serials[number]

    def scrub(self) -> Iterator[ZujiError]:
        """Reads every byte and yields what is wrong."""
        yield from self._store.scrub()
        state = self._store.now
        for number in sorted(state.named()):
            try:
                blob = state.blob(number)
                for shard in range(blob.sections):
                    members_of(blob, shard)
            except ZujiError as error:
                yield error

    def all(self) -> list[Document]:
        """One entry a cohort, by name."""
        kept = self.kept()
        return [_told(kept.get(name)) for name in sorted(kept.kinds)]

    def show(self, name: str) -> Document:
        """One cohort: its definition, versions (newest first), what it reads and what is made of
        it. Raises NotFound.
        """
        cohort = self._cohort(name)
        graph = self._host.graph()
        node = ("cohort", name)
        versions = [
            {key: value for key, value in one.items() if key != "file"}
            | {"at": calendars.format_instant(one["at_ms"], self._host.tz)}
            for one in reversed(cohort.versions)
        ]
        return {
            **_told(cohort),
            "definition": definition_to(cohort.definition),
            "source": cohort.document.get("source"),
            "versions": versions,
            "reads": sorted(map(told, graph.made_of.get(node, ()))),
            "used_by": sorted(map(told, graph.users_of(node))),
        }

    def made_of(self) -> dict[Node, frozenset[Node]]:
        """What each cohort is made of, for the project's graph."""
        kept = self.kept()
        return {("cohort", name): nodes_of(kept.get(name).definition.rule) for name in kept.kinds}

    def delete(self, name: str, *, cascade: bool = False) -> list[str]:
        """Removes a cohort with its versions, and with ``cascade`` all that is made of it; returns
        what was removed. Durable on return.

        Raises:
            NotFound. InvalidInput: something is made of it and ``cascade`` was not given.
            StorageFull, StorageFailed, ReadOnly.
        """
        with self._writing:
            self._cohort(name)
            node = ("cohort", name)
            users = self._host.graph().users_of(node)
            if users and not cascade:
                raise InvalidInput(
                    f"cohort {name!r} is needed by {', '.join(map(told, users))}; delete what is "
                    "made of it first, or say cascade"
                )
            for one in users:
                if one[0] != "cohort":
                    self._host.remove(one)
            self.drop([*(one[1] for one in users if one[0] == "cohort"), name])
            return [told(one) for one in (*users, node)]

    def drop(self, gone: Iterable[str]) -> None:
        """Removes cohorts without looking at what is made of them."""

        def edit(whole: Document) -> Document:
            for each in gone:
                whole["cohorts"].pop(each, None)
            return whole

        with self._writing:
            self._store.change(edit)

    # -- versions ------------------------------------------------------------------------------

    def _put(
        self,
        given: Definition,
        kind: str,
        made: tuple[int, list[BitMap]],
        source: Document | None = None,
    ) -> Document:
        """Stores a version with the definition that it was made by."""
        at_ms, shards = made
        now = self._host.now_ms()
        sections, meta = sections_of(shards)
        number = self._store.put(sections, {"cohort": given.name, "at_ms": at_ms, **meta})
        version = {
            "at_ms": at_ms,
            "made_ms": now,
            "users": sum(meta["users"]),
            "file": number,
        }

        def edit(whole: Document) -> Document:
            cohorts = whole["cohorts"]
            if given.name not in cohorts and len(cohorts) >= MAX_COHORTS:
                raise InvalidInput(f"a project has at most {MAX_COHORTS:,} cohorts")
            entry = cohorts.setdefault(given.name, {"created_ms": now, "versions": []})
            entry |= {"kind": kind, "definition": definition_to(given), "changed_ms": now}
            if source is not None:
                entry["source"] = source
            others = [one for one in entry["versions"] if one["at_ms"] != at_ms]
            entry["versions"] = sorted([*others, version], key=lambda one: one["at_ms"])
            entry["versions"] = entry["versions"][-given.versions :]
            return whole

        self._store.change(edit)
        return {key: value for key, value in version.items() if key != "file"}

    # -- erasure and export --------------------------------------------------------------------

    def forget(self, ordinals: Mapping[int, Any]) -> int:
        """Writes all files that hold one of these users (shard → uint32 ordinals) anew without
        them, in every version; returns how many. For erasure. Durable on return.

        Raises:
            StorageFull, StorageFailed, ReadOnly, Corruption: nothing is changed.
        """
        gone = {int(shard): BitMap(list(map(int, own))) for shard, own in ordinals.items()}
        with self._writing:
            state = self._store.now
            anew: dict[int, tuple[int, int]] = {}
            for number in sorted(state.named()):
                blob = state.blob(number)
                shards = [members_of(blob, shard) for shard in range(blob.sections)]
                left = [one - gone.get(shard, BitMap()) for shard, one in enumerate(shards)]
                if left != shards:
                    sections, meta = sections_of(left)
                    file = self._store.put(sections, {**blob.meta, **meta})
                    anew[number] = (file, sum(meta["users"]))

            def edit(whole: Document) -> Document:
                for cohort in whole["cohorts"].values():
                    for version in cohort["versions"]:
                        if version["file"] in anew:
                            version["file"], version["users"] = anew[version["file"]]
                return whole

            if anew:
                self._store.change(edit)
            return len(anew)

    def held(self, shard: int, ordinal: int) -> Iterator[Document]:
        """The versions of cohorts in which a user is, for the export of a person."""
        kept = self.kept()
        for name in sorted(kept.kinds):
            cohort = kept.get(name)
            for version in cohort.versions:
                blob = kept.state.blob(version["file"])
                if shard < blob.sections and ordinal in members_of(blob, shard):
                    at = calendars.format_instant(version["at_ms"], self._host.tz)
                    yield {"kind": "cohort", "cohort": name, "as_of": at}

    # -- pieces --------------------------------------------------------------------------------

    def _document(self, name: str) -> Document | None:
        found: Document | None = self._store.now.document["cohorts"].get(name)
        return found

    def _cohort(self, name: str) -> KeptCohort:
        kept = self.kept()
        if name not in kept.kinds:
            raise NotFound(f"there is no cohort {name!r}{nearest(name, kept.kinds)}")
        return kept.get(name)

    def _version(self, name: str, view: View, as_of: str | None) -> tuple[KeptCohort, int]:
        cohort = self._cohort(name)
        at_ms = None if as_of is None else moment_of(as_of, view, cohort.definition.time)
        place = cohort.in_force(at_ms)
        if place is None:
            raise NotFound(f"cohort {name!r} has no version as of {as_of}")
        return cohort, place

    def _newest(self, name: str, view: View) -> list[BitMap]:
        return self._shards(view, *self._version(name, view, None))

    def _shards(self, view: View, cohort: KeptCohort, place: int) -> list[BitMap]:
        return [self._of(view, shard, cohort, place) for shard in range(view.shards)]

    def _of(self, view: View, shard: int, cohort: KeptCohort, place: int) -> BitMap:
        return self.kept().members(view, shard, cohort, place)


def _told(cohort: KeptCohort) -> Document:
    newest = cohort.versions[-1] if cohort.versions else {}
    schedule = cohort.definition.schedule
    return {
        "name": cohort.definition.name,
        "description": cohort.definition.description,
        "kind": cohort.kind,
        "schedule": None if schedule is None else f"{schedule.every} {schedule.at}",
        "users": newest.get("users"),
        "at_ms": newest.get("at_ms"),
        "made_ms": newest.get("made_ms"),
    }


def moment_of(text: str, view: View, time: Span) -> int:
    try:
        at_ms = resolve_moment(text, view.now_ms, time.tz or view.tz, "as_of")
    except InvalidQuery as error:
        raise InvalidInput(str(error.args[0])) from None
    return min(at_ms, view.now_ms)


def _files_named(document: Document) -> Iterator[int]:
    for cohort in document["cohorts"].values():
        for version in cohort["versions"]:
            yield int(version["file"])
