"""The catalogue of tags: definitions, the files of each day, what is made of what.

``people/tags.json`` names a file for each day that a tag has values of; one change of it puts them
in force (docs/format/tags.md). Thread-safe: changes are made one at a time, beside queries.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, NotFound
from zuji.engine.people.catalogue import Catalogue
from zuji.engine.people.graph import Node, told
from zuji.engine.people.tags.format import sections_of
from zuji.engine.people.tags.kept import KeptTag, KeptTags
from zuji.engine.people.tags.question import Question
from zuji.engine.people.tags.rules import (
    MAX_TAGS,
    Manual,
    definition_from,
    definition_to,
    kind_of_tag,
    parts_of_rule,
    values_of,
)
from zuji.engine.query.bind import bind, kind_of
from zuji.engine.query.problems import nearest
from zuji.engine.query.virtual.expand import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zuji.engine.people.tags.host import Host
    from zuji.engine.query.view import View
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files
    from zuji.engine.types import Column, Kind

Document = dict[str, Any]


class TagCatalogue(Catalogue[KeptTags]):
    """The tags of a project: what they are, and where their values lie."""

    def __init__(
        self, host: Host, files: Files, directory: str, columns: ColumnCache, *, writable: bool
    ) -> None:
        super().__init__(
            host,
            files,
            directory,
            columns,
            what="tag",
            made=KeptTags,
            named=_files_named,
            writable=writable,
        )

    @property
    def version(self) -> int:
        """Changes with every change."""
        return self._store.now.version

    # -- definitions ---------------------------------------------------------------------------

    def define(self, document: Mapping[str, Any] | str | bytes) -> Document:
        """Defines a tag, or changes one of the same name; returns what :meth:`show` gives, with
        ``warnings`` about events and properties that nobody sent yet. Durable on return. Values
        that were made before stay until their days are made again.

        Raises:
            InvalidQuery: with the JSON path of what is wrong. InvalidInput: it would be made of
            itself, there are too many, or values of another type are stored.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        given = definition_from(document)
        with self._writing:
            with self._host.running() as (view, context):
                # A tag that reads itself is told as a circle below, not as unknown.
                own = parts_of_rule(given.rule).tags == {given.name}
                if not (own and given.name not in self.kept().tags):
                    bind(Question(body=expanded(given.rule, view.definitions)), view, context, None)
                kind = kind_of_tag(given, lambda p: kind_of(view.catalog, p))
                warnings = list(context.warnings)
            self._check_graph(given.name, given.rule)
            old = self.kept().tags.get(given.name)
            if old is None and len(self.kept().tags) >= MAX_TAGS:
                raise InvalidInput(f"a project has at most {MAX_TAGS:,} tags")
            if old is not None and (old.days or old.edits or old.edit_files):
                same_way = isinstance(given.rule, Manual) == old.manual
                if kind != old.kind or not same_way:
                    raise InvalidInput(
                        f"tag {given.name!r} has stored values of type {old.kind.label}; delete it "
                        "first, or take another name"
                    )
            now = self._host.now_ms()

            def edit(whole: Document) -> Document:
                entry = whole["tags"].setdefault(
                    given.name, {"days": {}, "archived": False, "made_ms": now}
                )
                entry |= {"definition": definition_to(given), "kind": kind.label}
                entry["changed_ms"] = now
                return whole

            self._store.change(edit)
        return {**self.show(given.name), "warnings": warnings}

    def _check_graph(self, name: str, rule: Any) -> None:
        graph = self._host.graph()
        node = ("tag", name)
        made_of = {**graph.made_of, node: nodes_of(rule)}
        type(graph)(made_of).check(node)

    def all(self, *, archived: bool = False) -> list[Document]:
        """One entry a tag, by name. ``archived``: those that are, too."""
        return [
            self._told(name, tag)
            for name, tag in sorted(self.kept().tags.items())
            if archived or not tag.archived
        ]

    def show(self, name: str) -> Document:
        """One tag: its definition, type, days, what it reads and what is made of it.

        Raises:
            NotFound.
        """
        tag = self._tag(name)
        graph = self._host.graph()
        days = [
            {"day": day, **{k: v for k, v in one.items() if k != "file"}}
            for day, one in sorted(tag.document["days"].items())
        ]
        return {
            **self._told(name, tag),
            "definition": definition_to(tag.definition),
            "days": days,
            "reads": sorted(map(told, graph.made_of.get(("tag", name), ()))),
            "used_by": sorted(map(told, graph.users_of(("tag", name)))),
        }

    def _told(self, name: str, tag: KeptTag) -> Document:
        last = tag.days[-1].isoformat() if tag.days else None
        newest = tag.document["days"].get(last, {})
        schedule = tag.definition.schedule
        return {
            "name": name,
            "description": tag.definition.description,
            "kind": tag.document["definition"]["rule"]["kind"],
            "type": tag.kind.label,
            "values": values_of(tag.definition),
            "schedule": None if schedule is None else f"{schedule.every} {schedule.at}",
            "archived": tag.archived,
            "last_day": last,
            "users": newest.get("users"),
            "made_ms": newest.get("made_ms"),
        }

    def archive(self, name: str, *, back: bool = False) -> Document:
        """Takes a tag out of refreshes and lists; its values stay and can be asked for. ``back``:
        undoes it.

        Raises:
            NotFound, StorageFull, StorageFailed, ReadOnly.
        """
        self._tag(name)

        def edit(whole: Document) -> Document:
            whole["tags"][name]["archived"] = not back
            return whole

        with self._writing:
            self._store.change(edit)
        return self.show(name)

    def made_of(self) -> dict[Node, frozenset[Node]]:
        """What each tag reads, for the project's graph."""
        return {
            ("tag", name): nodes_of(tag.definition.rule) for name, tag in self.kept().tags.items()
        }

    def graph(self) -> Document:
        """What is made of what: ``nodes`` and ``edges``."""
        return self._host.graph().dump()

    # -- pieces --------------------------------------------------------------------------------

    def _whole(self, name: str, day: date) -> bool:
        """Whether a day has values that were made after its end."""
        entry = self._tag(name).document["days"].get(day.isoformat())
        end = calendars.day_start(day + timedelta(days=1), self._zone())
        return entry is not None and int(entry["made_ms"]) >= end

    def _put(
        self, name: str, day: date, columns: Sequence[Column | None], view: View, kind: Kind
    ) -> int:
        """Stores the values of a day and puts them in force."""
        sections, meta = sections_of(kind, columns, view.users)
        number = self._store.put(sections, {"tag": name, "day": day.isoformat(), **meta})
        users: int = sum(meta["known"])
        entry = {"file": number, "users": users, "made_ms": self._host.now_ms()}

        def edit(whole: Document) -> Document:
            tag = whole["tags"].get(name)
            if tag is None:
                raise NotFound(f"tag {name!r} was removed meanwhile")
            tag["days"][day.isoformat()] = entry
            oldest = max(map(date.fromisoformat, tag["days"]))
            oldest -= timedelta(days=int(tag["definition"]["keep_days"]) - 1)
            tag["days"] = {
                one: told for one, told in tag["days"].items() if date.fromisoformat(one) >= oldest
            }
            return whole

        self._store.change(edit)
        return users

    def _check_there(self, name: str) -> None:
        self._tag(name)

    def _tag(self, name: str) -> KeptTag:
        tags = self.kept().tags
        if name not in tags:
            raise NotFound(f"there is no tag {name!r}{nearest(name, tags)}")
        return tags[name]

    def _zone(self) -> str:
        return self._host.tz


def nodes_of(rule: Any) -> frozenset[Node]:
    """What a rule reads, as nodes of the graph."""
    parts = parts_of_rule(rule)
    return frozenset(
        {
            *(("tag", name) for name in parts.tags),
            *(("cohort", name) for name in parts.cohorts),
            *(("property", p) for p in parts.properties if p.startswith("user.")),
        }
    )


def _files_named(document: Document) -> Iterator[int]:
    for tag in document["tags"].values():
        for one in tag["days"].values():
            yield int(one["file"])
        yield from map(int, tag.get("edit_files", []))
