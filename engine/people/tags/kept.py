"""The tags of a pinned state, as queries read them (:class:`~zuji.engine.query.marks.Marks`).

A value counts from its day on, until a later day has one: the value in force at an instant is that
of the newest day up to the instant's own, in the project's zone. Manual tags change with each edit.
Decoded columns are kept in the engine's cache, with room for users who come later, so that a view
of some more users costs no copy. Ordinals in files are those of when they were
written: a user who is somebody else's by now gives the owner the value, where the owner has none
(:mod:`owned`). Immutable; thread-safe.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine import calendars
from zuji.engine.people.tags.format import column_of, users_of
from zuji.engine.people.tags.given import Edit, edits_of, histories
from zuji.engine.people.tags.owned import moved, owned
from zuji.engine.people.tags.rules import Manual, definition_from, parts_of_rule
from zuji.engine.query.kernels._streams import asof
from zuji.engine.query.mark_names import COHORT, TAG
from zuji.engine.query.users import fitted, pick
from zuji.engine.storage.dictionary import as_dictionary, merge_sorted
from zuji.engine.types import KIND_BY_LABEL, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zuji.engine.people.store import State
    from zuji.engine.people.tags.rules import Definition
    from zuji.engine.query.kernels.lane import Lane
    from zuji.engine.query.users import History
    from zuji.engine.query.view import View
    from zuji.engine.storage.cache import ColumnCache


_STEP: Final = 16
"""A column has room for one user more in so many; then it is made anew."""


class KeptTag:
    """One tag of a state. ``days``: those that have values, ascending, with the file of each."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.definition: Definition = definition_from(document["definition"])
        self.kind = KIND_BY_LABEL[document["kind"]]
        self.archived = bool(document["archived"])
        found = sorted(document["days"].items())
        self.days = [date.fromisoformat(day) for day, _ in found]
        self.files = [int(one["file"]) for _, one in found]
        self.edits = [Edit(*one) for one in document.get("edits", [])]
        self.edit_files: list[int] = list(document.get("edit_files", []))

    @property
    def manual(self) -> bool:
        """Whether people give its values."""
        return isinstance(self.definition.rule, Manual)

    def in_force(self, day: date) -> int | None:
        """Place in ``days`` of the newest one up to a day."""
        at = bisect_right(self.days, day) - 1
        return None if at < 0 else at


class KeptTags:
    """All tags of a state of their catalogue. ``serial_of``: number of a file in the cache."""

    def __init__(self, state: State, columns: ColumnCache, serial_of: Callable[[int], int]) -> None:
        self.state = state
        self._columns = columns
        self._serial_of = serial_of
        self.tags = {name: KeptTag(one) for name, one in state.document["tags"].items()}
        self.kinds: dict[str, Kind] = {name: one.kind for name, one in self.tags.items()}
        self._lock = threading.Lock()
        self._histories: dict[str, list[History | None]] = {}
        self._last: dict[tuple[str, int], tuple[int, Column]] = {}

    def reads(self, name: str) -> Iterable[str]:
        """Properties and marks that a tag is made of."""
        parts = parts_of_rule(self.tags[name].definition.rule)
        return {
            *parts.properties,
            *(f"user.{TAG}{tag}" for tag in parts.tags),
            *(f"user.{COHORT}{cohort}" for cohort in parts.cohorts),
        }

    def column(self, view: View, shard: int, name: str, at_ms: int) -> Column | None:
        """Value of each ordinal in force at an instant."""
        tag = self.tags[name]
        if tag.manual:
            return owned(view, shard, lambda s: self._edited(view, s, name, at_ms))
        place = tag.in_force(calendars.local_date(at_ms, view.tz))
        if place is None:
            return None
        return self._owned(view, shard, tag, place)

    def of_day(self, view: View, shard: int, name: str, day: date) -> Column | None:
        """Value of each ordinal that was made for a day; None also when there is no such day."""
        tag = self.tags[name]
        if day not in tag.days:
            return None
        return self._of_file(tag, tag.days.index(day), shard, view.users[shard])

    def rows(self, view: View, shard: int, name: str, lane: Lane) -> Column | None:
        """Value of each row's user in force at the row's time."""
        tag = self.tags[name]
        if tag.manual:
            past = self.histories(name, view.shards)[shard]
            return None if past is None else pick(past, asof(past.users, past.times, lane))
        return self._of_rows(view, shard, tag, lane)

    def histories(self, name: str, shards: int) -> list[History | None]:
        """Edits of a manual tag by shard."""
        with self._lock:
            found = self._histories.get(name)
        if found is None:
            found = histories(self.all_edits(name), self.kinds[name], shards)
            with self._lock:
                self._histories[name] = found
        return found

    def all_edits(self, name: str) -> list[Edit]:
        """Edits of a manual tag in the order they were made."""
        tag = self.tags[name]
        found = [one for file in tag.edit_files for one in edits_of(self.state.blob(file))]
        return found + tag.edits

    def _of_file(self, tag: KeptTag, place: int, shard: int, users: int) -> Column | None:
        number = tag.files[place]
        blob = self.state.blob(number)
        room = _room(users_of(blob, shard), users)

        def made() -> Column | None:
            column = column_of(blob, tag.kind, shard)
            return None if column is None else fitted(column, room)

        key = (self._serial_of(number), "tag", f"{shard} {room}")
        column: Column | None = self._columns.get(key, made)
        return None if column is None else fitted(column, users)

    def _of_place(self, view: View, tag: KeptTag, place: int, shard: int) -> Column | None:
        return self._of_file(tag, place, shard, view.users[shard])

    def _owned(self, view: View, shard: int, tag: KeptTag, place: int) -> Column | None:
        """The values of a day, as whose they are by now."""
        mine = partial(self._of_place, view, tag, place)
        if not moved(view):
            return mine(shard)
        key = ("tag", tag.files[place], shard)
        found: Column | None = view.cached(key, lambda: owned(view, shard, mine))
        return found

    def _edited(self, view: View, shard: int, name: str, at_ms: int) -> Column | None:
        """Of a manual tag. What the edits up to an instant made is kept for the next question."""
        past = self.histories(name, view.shards)[shard]
        if past is None:
            return None
        counted = past.times <= at_ms
        edits, users = int(np.count_nonzero(counted)), view.users[shard]
        with self._lock:
            held = self._last.get((name, shard))
        if held is None or held[0] != edits or held[1].rows < users:
            until = np.flatnonzero(counted)
            last = np.full(_room(int(past.users.max()) + 1, users), -1, np.int64)
            last[past.users[until]] = until
            held = edits, pick(past, last)
            with self._lock:
                self._last[name, shard] = held
        return fitted(held[1], users)

    def _of_rows(self, view: View, shard: int, tag: KeptTag, lane: Lane) -> Column | None:
        """By day: the rows between two days have the value of the first of them."""
        starts = np.array([calendars.day_start(day, view.tz) for day in tag.days], np.int64)
        times = lane.times.astype(np.int64) + lane.base_ms
        place = np.searchsorted(starts, times, side="right") - 1
        owner = np.repeat(lane.users, np.diff(lane.offsets))
        parts: list[tuple[Any, Column]] = []
        for at in np.unique(place[place >= 0]).tolist():
            column = self._owned(view, shard, tag, at)
            if column is not None:
                parts.append((np.flatnonzero(place == at), column))
        if not parts:
            return None
        return _gathered(tag.kind, parts, owner)


def _gathered(kind: Kind, parts: list[tuple[Any, Column]], owner: Any) -> Column:
    """Values of rows, each part's rows out of its column by ordinal."""
    rows = len(owner)
    present = np.zeros(rows, np.uint8)
    values: Any = np.zeros(rows, np.uint32 if kind == Kind.STRING else parts[0][1].values.dtype)
    merged, tables = as_dictionary(None), list[Any]()
    if kind == Kind.STRING:
        merged, tables = merge_sorted([as_dictionary(column.dictionary) for _, column in parts])
    for number, (mine, column) in enumerate(parts):
        who = owner[mine]
        has = np.ones(len(who), np.uint8) if column.present is None else column.present[who]
        found = column.values[who]
        if kind == Kind.STRING and len(tables[number]):
            found = tables[number][found]
        values[mine] = found * has
        present[mine] = has
    texts = merged if kind == Kind.STRING else None
    return Column(kind, values, None if present.all() else present, texts)


def _room(rows: int, users: int) -> int:
    """Rows of a column that had ``rows`` and is to serve ``users``, and some more after them."""
    room = rows
    while room < users:
        room += room // _STEP + 1024
    return room
