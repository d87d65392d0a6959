"""The tags of an open project: defined, refreshed, given, listed, removed. Docs: docs/tags.md.

A refresh makes the values of one tag and day at a time and puts each in force with one change of
the catalogue, so a crash leaves whole days only. Thread-safe: refreshes, loads and edits run one
at a time, beside queries.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, InvalidQuery, NotFound, QueryBudgetExceeded
from zuji.engine.people.graph import Node, told
from zuji.engine.people.tags.days import day_of, due_days, span
from zuji.engine.people.tags.given import (
    KEPT_IN_CATALOGUE,
    MOST_FILES,
    Edit,
    sections_of_edits,
)
from zuji.engine.people.tags.loading import Loaded, columns_of_rows, resolved
from zuji.engine.people.tags.making import made, plain_value
from zuji.engine.people.tags.rules import COMPUTED, Imported, Manual, check_value
from zuji.engine.people.tags.values import TagValues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zuji.engine.people.tags.catalogue import Document
    from zuji.engine.query.context import Cancel
    from zuji.engine.types import Kind

REFRESH_SECONDS = 3_600.0
"""Budget of one tag and day."""


class Tags(TagValues):
    """All tags of a project."""

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


def _given(value: Any, kind: Kind, rule: Manual) -> Any:
    try:
        check_value(value, kind, "$.value")
    except InvalidQuery as error:
        raise InvalidInput(str(error.args[0])) from None
    if rule.values is not None and value not in rule.values:
        raise InvalidInput(f"{value!r} is none of the values that the tag allows")
    return plain_value(value, kind)
