"""The tags of an open project: defined, refreshed, given, listed, removed. Docs: docs/tags.md.

The catalogue (``people/tags.json``) has the definitions and names a file for each day; a refresh
makes the values of one tag and day at a time and puts each in force with one change of the
catalogue, so a crash leaves whole days only. Thread-safe: refreshes, loads and edits run one at a
time, beside queries.
"""

from __future__ import annotations

import threading
from datetime import date, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound, QueryBudgetExceeded
from zuji.engine.people.graph import Node, told
from zuji.engine.people.store import Store
from zuji.engine.people.tags.days import day_of, due_days, span
from zuji.engine.people.tags.format import sections_of
from zuji.engine.people.tags.given import (
    KEPT_IN_CATALOGUE,
    MOST_FILES,
    Edit,
    sections_of_edits,
)
from zuji.engine.people.tags.kept import KeptTag, KeptTags
from zuji.engine.people.tags.loading import Loaded, columns_of_rows, resolved
from zuji.engine.people.tags.making import made, plain_value
from zuji.engine.people.tags.question import Question
from zuji.engine.people.tags.rules import (
    COMPUTED,
    MAX_TAGS,
    Imported,
    Manual,
    check_value,
    definition_from,
    definition_to,
    kind_of_tag,
    parts_of_rule,
)
from zuji.engine.people.tags.telling import counted, told_value, value_of
from zuji.engine.query.bind import bind, kind_of
from zuji.engine.query.problems import nearest
from zuji.engine.query.virtual.expand import expanded
from zuji.engine.storage.cache import serials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from zuji.engine.errors import ZujiError
    from zuji.engine.people.tags.host import Host
    from zuji.engine.query.context import Cancel
    from zuji.engine.query.view import View
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files
    from zuji.engine.types import Column, Kind

KIND = "tags"
REFRESH_SECONDS = 3_600.0
"""Budget of one tag and day."""
Document = dict[str, Any]


class Tags:
    """All tags of a project."""

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
            empty={"tags": {}},
            named=_files_named,
        )
        self._writing = threading.RLock()  # one refresh, load or edit at a time
        self._lock = threading.Lock()
        self._serials: dict[int, int] = {}
        self._kept: KeptTags | None = None

    @property
    def version(self) -> int:
        """Changes with every change."""
        return self._store.now.version

    def kept(self) -> KeptTags:
        """The tags as they are now, for queries: the same object while nothing changes."""
        state = self._store.now
        with self._lock:
            if self._kept is None or self._kept.state is not state:
                self._kept = KeptTags(state, self._columns, self._serial_of)
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
        return {
            "name": name,
            "description": tag.definition.description,
            "kind": tag.document["definition"]["rule"]["kind"],
            "type": tag.kind.label,
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

    def delete(self, name: str, *, cascade: bool = False) -> list[str]:
        """Removes a tag with its values, and with ``cascade`` all that is made of it; returns what
        was removed. Durable on return.

        Raises:
            NotFound. InvalidInput: something is made of it and ``cascade`` was not given.
            StorageFull, StorageFailed, ReadOnly.
        """
        with self._writing:
            self._tag(name)
            node = ("tag", name)
            users = self._host.graph().users_of(node)
            if users and not cascade:
                raise InvalidInput(
                    f"tag {name!r} cannot go: {', '.join(map(told, users))} "
                    f"{'is' if len(users) == 1 else 'are'} made of it; delete "
                    f"{'that' if len(users) == 1 else 'those'} first, or say cascade"
                )
            for one in users:
                if one[0] != "tag":
                    self._host.remove(one)
            gone = [*(one[1] for one in users if one[0] == "tag"), name]

            def edit(whole: Document) -> Document:
                for each in gone:
                    whole["tags"].pop(each, None)
                return whole

            self._store.change(edit)
            return [told(one) for one in (*users, node)]

    # -- made by rules -------------------------------------------------------------------------

    def refresh(
        self,
        names: Iterable[str] | None = None,
        *,
        day: str | date | None = None,
        from_: str | date | None = None,
        missing: bool = False,
        cancel: Cancel | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Document]:
        """Makes the values of tags (None: of all that are computed and not archived) for ``day``
        (None: yesterday), or for each day from ``from_`` to ``day``; those that others are made of
        come first. With ``missing`` only days without values, or made before their end. What a
        chosen tag reads and has no value that day is made, too. Returns an entry for each tag and
        day: ``tag, day, users, seconds``; those before an error are durable.

        Raises:
            NotFound. InvalidInput: a tag is not computed, or the days are wrong.
            InvalidQuery: a rule does not fit any more. QueryCancelled, QueryBudgetExceeded,
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        with self._writing:
            tz = self._zone()
            last = day_of(day, self._host.now_ms(), tz)
            first = last if from_ is None else day_of(from_, self._host.now_ms(), tz)
            chosen = self._chosen(names)
            todo = [
                (name, one)
                for one in span(first, last)
                for name in self._in_order(chosen, one)
                if (name in chosen and not missing) or not self._whole(name, one)
            ]
            return self._refreshed(todo, cancel, progress)

    def due(self) -> list[tuple[str, date]]:
        """Tags and days that their schedules want by now and that have no values, in order."""
        tz, now = self._zone(), self._host.now_ms()
        wanted: dict[date, set[str]] = {}
        for name, tag in self.kept().tags.items():
            schedule = tag.definition.schedule
            if schedule is None or tag.archived:
                continue
            whole = {one: self._whole(name, one) for one in tag.days}
            for one in due_days(schedule, whole, now, tz):
                wanted.setdefault(one, set()).add(name)
        return [
            (name, one)
            for one, names in sorted(wanted.items())
            for name in self._in_order(names, one)
            if name in names or not self._whole(name, one)
        ]

    def refresh_due(self, cancel: Cancel | None = None) -> list[Document]:
        """Makes what :meth:`due` says. A tag that cannot be made has an ``error`` (``code``,
        ``message``) in its entry, and so have those made of it; the others go on. Errors of storage
        and QueryCancelled are raised as by :meth:`refresh`.
        """
        found: list[Document] = []
        failed: set[tuple[Node, date]] = set()
        with self._writing:
            graph = self._host.graph()
            for name, day in self.due():
                node = ("tag", name)
                bad = [one for one in sorted(graph.parts_of(node)) if (one, day) in failed]
                try:
                    if bad:
                        raise InvalidInput(f"{told(bad[0])} could not be made")  # noqa: TRY301
                    found += self._refreshed([(name, day)], cancel, None)
                except (InvalidQuery, InvalidInput, QueryBudgetExceeded) as error:
                    failed.add((node, day))
                    said = {"code": error.code, "message": str(error)}
                    found.append({"tag": name, "day": day.isoformat(), "error": said})
        return found

    def _chosen(self, names: Iterable[str] | None) -> set[str]:
        if names is None:
            return {
                name
                for name, tag in self.kept().tags.items()
                if isinstance(tag.definition.rule, COMPUTED) and not tag.archived
            }
        chosen = set(names)
        for name in chosen:
            if not isinstance(self._tag(name).definition.rule, COMPUTED):
                raise InvalidInput(f"tag {name!r} is not computed; its values are given")
        return chosen

    def _in_order(self, chosen: Iterable[str], day: date) -> list[str]:
        """The tags and what they read and has no value that day, in the order of making."""
        graph, tags = self._host.graph(), self.kept().tags
        nodes = {("tag", name) for name in chosen}
        for node in tuple(nodes):
            for kind, name in graph.parts_of(node):
                part = tags.get(name) if kind == "tag" else None
                if part is None or part.archived:
                    continue
                if isinstance(part.definition.rule, COMPUTED) and not self._whole(name, day):
                    nodes.add((kind, name))
        return [name for _, name in graph.ordered(nodes)]

    def _whole(self, name: str, day: date) -> bool:
        """Whether a day has values that were made after its end."""
        entry = self._tag(name).document["days"].get(day.isoformat())
        end = calendars.day_start(day + timedelta(days=1), self._zone())
        return entry is not None and int(entry["made_ms"]) >= end

    def _refreshed(
        self,
        todo: Sequence[tuple[str, date]],
        cancel: Cancel | None,
        progress: Callable[[float], None] | None,
    ) -> list[Document]:
        found = []
        for number, (name, day) in zip(count(1), todo, strict=False):
            with self._host.running(cancel, REFRESH_SECONDS) as (view, context):
                tag = self._tag(name)
                try:
                    columns = made(tag.definition, tag.kind, view, context, day)
                except InvalidQuery as error:
                    raise InvalidQuery(f"tag {name!r}: {error.args[0]}", error.path) from error
                users = self._put(name, day, columns, view, tag.kind)
                seconds = round(context.elapsed_ms / 1000, 3)
            found.append({"tag": name, "day": day.isoformat(), "users": users, "seconds": seconds})
            if progress is not None:
                progress(number / len(todo))
        return found

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

    # -- given ---------------------------------------------------------------------------------

    def give(
        self, name: str, values: Iterable[tuple[str, Any]], who: str, *, id_type: str = "user_id"
    ) -> int:
        """Gives users values of a manual tag, or takes them back (value None), all or none:
        ``[("u1", "vip"), ("u2", None)]``. ``who``: noted with the time. Returns how many. Durable
        on return.

        Raises:
            NotFound: no such tag or user. InvalidInput: a value of another type, or one that the
            tag does not allow. StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        tag = self._tag(name)
        rule = tag.definition.rule
        if not isinstance(rule, Manual):
            raise InvalidInput(f"tag {name!r} is not given by hand")
        if not isinstance(who, str) or not 0 < len(who) <= 200:
            raise InvalidInput("say who gives it: 1 to 200 characters")
        with self._writing:
            now = self._host.now_ms()
            edits = []
            for own_id, value in values:
                checked = None if value is None else _given(value, tag.kind, rule)
                place = resolved(self._host.find, own_id, id_type)
                if place is None:
                    raise NotFound(f"nobody has the {id_type} {own_id!r}; nothing was changed")
                edits.append(Edit(*place, checked, who, now))
            if edits:
                self._note(name, edits)
            return len(edits)

    def _note(self, name: str, edits: Sequence[Edit]) -> None:
        """Keeps edits: few in the catalogue, many in a file, many files in one."""
        kept = self.kept()
        tag = kept.tags[name]
        waiting = [*tag.edits, *edits]
        files = list(tag.edit_files)
        if len(waiting) > KEPT_IN_CATALOGUE:
            if len(files) >= MOST_FILES:
                waiting, files = [*kept.all_edits(name), *edits], []
            sections, meta = sections_of_edits(waiting)
            files.append(self._store.put(sections, {"tag": name, **meta}))
            waiting = []

        def edit(whole: Document) -> Document:
            entry = whole["tags"].get(name)
            if entry is None:
                raise NotFound(f"tag {name!r} was removed meanwhile")
            entry["edits"] = [one.dump() for one in waiting]
            entry["edit_files"] = files
            return whole

        self._store.change(edit)

    def load(
        self,
        name: str,
        rows: Iterable[tuple[str, Any]],
        *,
        id_type: str = "user_id",
        day: str | date | None = None,
        add: bool = False,
    ) -> Loaded:
        """Loads the values of an imported tag for ``day`` (None: today) from (id, value) pairs; of
        two for a user the later one counts. ``add``: onto the values in force, else they are all.
        Ids that nobody has are counted. Durable on return.

        Raises:
            NotFound. InvalidInput: a value cannot be read; nothing was changed.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        tag = self._tag(name)
        if not isinstance(tag.definition.rule, Imported):
            raise InvalidInput(f"tag {name!r} is not imported")
        with self._writing, self._host.running(None, REFRESH_SECONDS) as (view, _):
            now = self._host.now_ms()
            at = day_of("today" if day is None else day, now, view.tz)
            kept = self.kept()
            end = calendars.day_start(at + timedelta(days=1), view.tz) - 1
            before = [
                kept.column(view, shard, name, end) if add else None for shard in range(view.shards)
            ]
            columns, loaded = columns_of_rows(
                rows,
                tag.kind,
                view.users,
                before,
                self._host.find,
                id_type,
            )
            self._put(name, at, columns, view, tag.kind)
            return loaded

    # -- values --------------------------------------------------------------------------------

    def values(self, name: str, *, day: str | date | None = None, limit: int = 100) -> Document:
        """How many users have which value: ``{"day", "users", "rows": [[value, users], …]}``, the
        most frequent first, in force at the end of ``day`` (None: now).

        Raises:
            NotFound, InvalidInput, Corruption, EngineClosed.
        """
        tag = self._tag(name)
        with self._host.running() as (view, context):
            at_ms = view.now_ms
            if day is not None:
                whole = day_of(day, view.now_ms, view.tz) + timedelta(days=1)
                at_ms = calendars.day_start(whole, view.tz) - 1
            kept = self.kept()
            columns = context.map(
                lambda shard: kept.column(view, shard, name, at_ms), list(range(view.shards))
            )
            rows, users = counted(columns, tag.kind, view.tz, limit)
            return {"day": _day_in_force(tag, at_ms, view.tz), "users": users, "rows": rows}

    def of_user(
        self, own_id: str, *, id_type: str = "user_id", day: str | date | None = None
    ) -> Document:
        """The tags of a user in force at the end of ``day`` (None: now): ``{name: value}``.

        Raises:
            NotFound: nobody has the id. InvalidInput, Corruption, EngineClosed.
        """
        with self._host.running() as (view, _):
            shard, ordinal = self._place(own_id, id_type)
            at_ms = view.now_ms
            if day is not None:
                whole = day_of(day, view.now_ms, view.tz) + timedelta(days=1)
                at_ms = calendars.day_start(whole, view.tz) - 1
            kept = self.kept()
            found = {}
            for name in sorted(kept.tags):
                value = value_of(kept.column(view, shard, name, at_ms), ordinal, view.tz)
                if value is not None:
                    found[name] = value
            return found

    def history(self, name: str, own_id: str, *, id_type: str = "user_id") -> list[Document]:
        """One user's values of a tag, oldest first: ``day, value``, or of a manual tag
        ``time_ms, value, who``.

        Raises:
            NotFound, Corruption, EngineClosed.
        """
        self._tag(name)
        with self._host.running() as (view, _):
            shard, ordinal = self._place(own_id, id_type)
            return self._history(self.kept(), view, name, shard, ordinal)

    def _history(
        self, kept: KeptTags, view: View, name: str, shard: int, ordinal: int
    ) -> list[Document]:
        tag = kept.tags[name]
        if tag.manual:
            return [
                {
                    "time_ms": one.time_ms,
                    "value": told_value(one.value, tag.kind, view.tz),
                    "who": one.who,
                }
                for one in sorted(kept.all_edits(name), key=lambda e: e.time_ms)
                if (one.shard, one.ordinal) == (shard, ordinal)
            ]
        return [
            {
                "day": day.isoformat(),
                "value": value_of(kept.of_day(view, shard, name, day), ordinal, view.tz),
            }
            for day in tag.days
        ]

    def made_of(self) -> dict[Node, frozenset[Node]]:
        """What each tag reads, for the project's graph."""
        return {
            ("tag", name): nodes_of(tag.definition.rule) for name, tag in self.kept().tags.items()
        }

    def graph(self) -> Document:
        """What is made of what: ``nodes`` and ``edges``."""
        return self._host.graph().dump()

    # -- erasure -------------------------------------------------------------------------------

    def forget(self, ordinals: Mapping[int, Any]) -> int:
        """Writes all files anew without some users (shard → uint32 ordinals): none of their values
        is left on disk; returns how many files. For erasure, at compaction. Durable on return.

        Raises:
            StorageFull, StorageFailed, ReadOnly, Corruption: what was done by then is durable.
        """
        from zuji.engine.people.tags.forgetting import forgotten

        with self._writing:
            return forgotten(self._store, self.kept(), ordinals)

    def held(self, shard: int, ordinal: int) -> Iterator[Document]:
        """What is kept of a user, for an export: ``{"kind": "tag", "tag", "values"}`` for each tag
        that ever had a value, its values as :meth:`history` gives them.
        """
        with self._host.running() as (view, _):
            kept = self.kept()
            for name in sorted(kept.tags):
                rows = [
                    one
                    for one in self._history(kept, view, name, shard, ordinal)
                    if one["value"] is not None or "who" in one
                ]
                if rows:
                    yield {"kind": "tag", "tag": name, "values": rows}

    # -- pieces --------------------------------------------------------------------------------

    def _tag(self, name: str) -> KeptTag:
        tags = self.kept().tags
        if name not in tags:
            raise NotFound(f"there is no tag {name!r}{nearest(name, tags)}")
        return tags[name]

    def _place(self, own_id: str, id_type: str) -> tuple[int, int]:
        place = resolved(self._host.find, own_id, id_type)
        if place is None:
            raise NotFound(f"nobody has the {id_type} {own_id!r}")
        return place

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


def _given(value: Any, kind: Kind, rule: Manual) -> Any:
    try:
        check_value(value, kind, "$.value")
    except InvalidQuery as error:
        raise InvalidInput(str(error.args[0])) from None
    if rule.values is not None and value not in rule.values:
        raise InvalidInput(f"{value!r} is none of the values that the tag allows")
    return plain_value(value, kind)


def _day_in_force(tag: KeptTag, at_ms: int, tz: str) -> str | None:
    place = None if tag.manual else tag.in_force(calendars.local_date(at_ms, tz))
    return None if place is None else tag.days[place].isoformat()


def _files_named(document: Document) -> Iterator[int]:
    for tag in document["tags"].values():
        for one in tag["days"].values():
            yield int(one["file"])
        yield from map(int, tag.get("edit_files", []))
