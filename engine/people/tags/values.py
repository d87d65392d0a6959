"""What users have: counts of values, the tags of one user, their history. Reads only."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from zuji.engine import calendars
from zuji.engine.errors import NotFound
from zuji.engine.people.tags.catalogue import Document, TagCatalogue
from zuji.engine.people.tags.days import day_of
from zuji.engine.people.tags.loading import resolved
from zuji.engine.people.tags.telling import counted, told_value, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.people.tags.kept import KeptTag, KeptTags
    from zuji.engine.query.view import View


class TagValues(TagCatalogue):
    """The tags of a project, and what users have."""

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

    def _place(self, own_id: str, id_type: str) -> tuple[int, int]:
        place = resolved(self._host.find, own_id, id_type)
        if place is None:
            raise NotFound(f"nobody has the {id_type} {own_id!r}")
        return place


def _day_in_force(tag: KeptTag, at_ms: int, tz: str) -> str | None:
    place = None if tag.manual else tag.in_force(calendars.local_date(at_ms, tz))
    return None if place is None else tag.days[place].isoformat()
