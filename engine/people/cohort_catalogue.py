"""The catalogue of cohorts: what there is of each, in which files, and who needs whom.

A version counts once the catalogue names its file, so a crash leaves a cohort as it was. Erasure
writes files anew without somebody. Thread-safe; one change at a time, reading never waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroaring import BitMap

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound, ZujiError
from zuji.engine.people.catalogue import Catalogue
from zuji.engine.people.cohort_files import members_of, sections_of
from zuji.engine.people.cohort_kept import KeptCohorts
from zuji.engine.people.cohort_rules import MAX_COHORTS, definition_to, nodes_of
from zuji.engine.people.graph import told
from zuji.engine.query.problems import nearest
from zuji.engine.query.ranges import resolve_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zuji.engine.people.cohort_kept import KeptCohort
    from zuji.engine.people.cohort_rules import Definition, Span
    from zuji.engine.people.graph import Node
    from zuji.engine.people.tags.host import Host
    from zuji.engine.query.view import View
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files

Document = dict[str, Any]


class CohortCatalogue(Catalogue[KeptCohorts]):
    """All cohorts of a project."""

    def __init__(
        self, host: Host, files: Files, directory: str, columns: ColumnCache, *, writable: bool
    ) -> None:
        super().__init__(
            host,
            files,
            directory,
            columns,
            what="cohort",
            made=KeptCohorts,
            named=_files_named,
            writable=writable,
        )

    def scrub(self) -> Iterator[ZujiError]:
        """Reads every byte and yields what is wrong."""
        yield from super().scrub()
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

    def _check_there(self, name: str) -> None:
        self._cohort(name)

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
