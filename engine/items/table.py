"""The items of one type in columns: ids, and for each property a value and the time it was set at.

What an item is follows from the times of its records, whatever order they arrive in: a property has
the value set last, a deletion takes away what was set until then, and of records of one time the
one that arrived last counts. So a record that comes twice changes nothing. An item that is deleted
keeps its row, and with it the time, for records that come late.
A frozen table is a moment of it: columns are shared, and copied before they are written to.
Thread-safety: the caller's lock, which a frozen table takes for look-ups of ids.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.casting import NotCastable, cast
from zuji.engine.index._strings import StringTable
from zuji.engine.items.record import MAX_ITEMS, MAX_PROPERTIES, BadItem, ItemRecord
from zuji.engine.storage.dictionary import Dictionary, as_dictionary
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from zuji.engine.casting import Plain
    from zuji.engine.types import I64, U8

NEVER: Final = np.iinfo(np.int64).min
_ROOM: Final = 64
KEPT_BYTES: Final = 64 << 20
"""Of what a frozen table found for dictionaries of event columns."""
DENSE: Final = 1 << 24
"""Whole numbers as ids that span at most so many are looked up in a table."""


class _Property:
    """Values of one property by row."""

    __slots__ = ("_shared", "kind", "present", "texts", "times", "values")

    def __init__(self, kind: Kind, room: int) -> None:
        self.kind = kind
        self.values: Any = np.zeros(room, object if kind == Kind.LIST else DTYPES[kind])
        self.present: U8 = np.zeros(room, np.uint8)
        self.times: I64 = np.full(room, NEVER, np.int64)
        self.texts = StringTable() if kind in (Kind.STRING, Kind.LIST) else None
        self._shared = False

    def grow(self, room: int) -> None:
        self.values = _grown(self.values, room, 0)
        self.present = _grown(self.present, room, 0)
        self.times = _grown(self.times, room, NEVER)

    def put(self, row: int, time: int, value: Plain) -> None:
        """The value from ``time`` on."""
        self._own()
        self.times[row] = time
        self.present[row] = 1
        if self.texts is None:
            self.values[row] = value
        elif self.kind == Kind.STRING:
            assert isinstance(value, str)
            self.values[row] = self.texts.intern(value.encode())
        else:
            assert isinstance(value, list)
            self.values[row] = tuple(self.texts.intern(each.encode()) for each in value)

    def drop(self, row: int) -> None:
        """The item was deleted after the value was set."""
        if self.present[row]:
            self._own()
            self.present[row] = 0

    def plain(self, row: int) -> Plain:
        """The value of a row that has one."""
        if self.kind == Kind.LIST:
            assert self.texts is not None
            return [self.texts.get(code).decode() for code in self.values[row]]
        if self.texts is not None:
            return self.texts.get(int(self.values[row])).decode()
        value: Plain = self.values[row].item()
        return value

    def frozen(self, rows: int, lock: threading.RLock) -> FrozenProperty:
        """As it is now."""
        self._shared = True
        return FrozenProperty(self.kind, self.values[:rows], self.present[:rows], self.texts, lock)

    def _own(self) -> None:
        if self._shared:
            self.values, self.present = self.values.copy(), self.present.copy()
            self._shared = False


def _grown(array: Any, room: int, fill: int) -> Any:
    made = np.full(room, fill, array.dtype)
    made[: len(array)] = array
    return made


class ItemTable:
    """Items of one type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ids = StringTable()
        self._properties: dict[str, _Property] = {}
        self._set: I64 = np.full(_ROOM, NEVER, np.int64)
        """Time of the last record that set something, if only that there is the item."""
        self._deleted: I64 = np.full(_ROOM, NEVER, np.int64)
        self._alive: U8 = np.zeros(_ROOM, np.uint8)
        self.count = 0
        self._frozen: FrozenTable | None = None
        self._shared = False

    @property
    def rows(self) -> int:
        """Ids that were ever set or deleted."""
        return len(self._ids)

    def checked(self, record: ItemRecord) -> ItemRecord:
        """The record with values of the kinds that the properties have. Raises BadItem."""
        if record.properties is None:
            return record
        if self.rows >= MAX_ITEMS and self._ids.find(record.id.encode()) < 0:
            raise BadItem("too_many_items", "item_id", f"a type has at most {MAX_ITEMS:,} items")
        made = {}
        fresh = 0
        for name, value in record.properties.items():
            known = self._properties.get(name)
            if known is None:
                fresh += 1
            elif value[0] != known.kind:
                try:
                    value = known.kind, cast(value[1], value[0], known.kind)
                except NotCastable:
                    raise BadItem(
                        "type_mismatch",
                        f"properties.{name}",
                        f"{name} of {self.name} is a {known.kind.label}, got a {value[0].label}",
                    ) from None
            made[name] = value
        if len(self._properties) + fresh > MAX_PROPERTIES:
            raise BadItem(
                "too_many_properties",
                "properties",
                f"the items of a type have at most {MAX_PROPERTIES:,} properties",
            )
        return ItemRecord(record.type, record.id, record.time, made)

    def apply(self, record: ItemRecord) -> None:
        """Takes a record that :meth:`checked` gave."""
        self._frozen = None
        if self._shared:
            self._alive, self._shared = self._alive.copy(), False
        row, time = self._ids.intern(record.id.encode()), record.time
        if row >= len(self._set):
            self._grow(2 * len(self._set))
        was = int(self._alive[row])
        if record.properties is None:
            self._deleted[row] = max(time, int(self._deleted[row]))
            if time >= self._set[row]:
                self._alive[row] = 0
            for each in self._properties.values():
                if each.times[row] <= time:
                    each.drop(row)
        elif time >= self._deleted[row]:
            self._set[row] = max(time, int(self._set[row]))
            self._alive[row] = 1
            for name, value in record.properties.items():
                known = self._properties.get(name)
                if known is None:
                    known = self._properties[name] = _Property(value[0], len(self._set))
                if time >= known.times[row]:
                    known.put(row, time, value[1])
        self.count += int(self._alive[row]) - was

    def _grow(self, room: int) -> None:
        self._set = _grown(self._set, room, NEVER)
        self._deleted = _grown(self._deleted, room, NEVER)
        self._alive = _grown(self._alive, room, 0)
        for each in self._properties.values():
            each.grow(room)

    def get(self, item_id: str) -> dict[str, tuple[Kind, Plain]] | None:
        """Properties of an item, None when there is none."""
        row = self._ids.find(item_id.encode())
        if row < 0 or not self._alive[row]:
            return None
        return self._row(row)

    def page(self, after: str | None, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """Items in the order in which they were first heard of. Raises KeyError for an ``after``
        that never was.
        """
        start = 0
        if after is not None:
            start = self._ids.find(after.encode()) + 1
            if not start:
                raise KeyError(after)
        rows = start + np.flatnonzero(self._alive[start : self.rows])[:limit]
        return [(self._ids.get(row).decode(), self._row(row)) for row in rows.tolist()]

    def _row(self, row: int) -> dict[str, tuple[Kind, Plain]]:
        return {
            name: (each.kind, each.plain(row))
            for name, each in self._properties.items()
            if each.present[row]
        }

    def kinds(self) -> dict[str, Kind]:
        """Properties and their kinds."""
        return {name: each.kind for name, each in self._properties.items()}

    def freeze(self, lock: threading.RLock) -> FrozenTable:
        """As it is now; the same until a record comes. ``lock``: the one that guards this table."""
        if self._frozen is None:
            rows = self.rows
            columns = {name: each.frozen(rows, lock) for name, each in self._properties.items()}
            self._frozen = FrozenTable(self._ids, self._alive[:rows], columns, lock)
            self._shared = True
        return self._frozen

    def records(self) -> Iterator[ItemRecord]:
        """Records that make an equal table. O(items · properties)."""
        alive, deleted, last = self._alive.tolist(), self._deleted.tolist(), self._set.tolist()
        for row, raw in enumerate(self._ids.to_list()):
            if deleted[row] != NEVER:
                yield ItemRecord(self.name, raw, deleted[row], None)
            if not alive[row]:
                continue
            by_time: dict[int, dict[str, Any]] = {last[row]: {}}
            for name, each in self._properties.items():
                if each.present[row]:
                    value = each.kind, each.plain(row)
                    by_time.setdefault(int(each.times[row]), {})[name] = value
            for time in sorted(by_time):
                yield ItemRecord(self.name, raw, time, by_time[time])


class FrozenProperty:
    """One property at one moment."""

    __slots__ = ("_dictionary", "_lock", "_present", "_texts", "_values", "kind")

    def __init__(
        self,
        kind: Kind,
        values: Any,
        present: U8,
        texts: StringTable | None,
        lock: threading.RLock,
    ) -> None:
        self.kind = kind
        self._values, self._present, self._texts, self._lock = values, present, texts, lock
        self._dictionary: Dictionary | None = None

    @property
    def dictionary(self) -> Dictionary | None:
        """The texts of its values; some of them may be those of later values."""
        if self._dictionary is None and self._texts is not None:
            with self._lock:
                self._dictionary = Dictionary(*self._texts.dump())
        return self._dictionary

    def at(self, rows: I64) -> Column:
        """Values of rows, -1: none. REQUIRES: there are rows in the table."""
        known = (rows >= 0).view(np.uint8) & self._present[rows]
        if self.kind != Kind.LIST:
            values = np.where(known, self._values[rows], 0).astype(DTYPES[self.kind])
            return Column(self.kind, values, None if known.all() else known, self.dictionary)
        lists = [self._values[row] if k else () for row, k in zip(rows, known, strict=True)]
        offsets = np.zeros(len(lists) + 1, np.uint32)
        np.cumsum([len(each) for each in lists], out=offsets[1:])
        codes = np.array([code for each in lists for code in each], np.uint32)
        return Column(self.kind, codes, None if known.all() else known, self.dictionary, offsets)


class FrozenTable:
    """The items of one type at one moment, as queries read them. ``alive`` uint8[rows]: 0 where an
    item was deleted. Thread-safe.
    """

    def __init__(
        self,
        ids: StringTable,
        alive: U8,
        properties: Mapping[str, FrozenProperty],
        lock: threading.RLock,
    ) -> None:
        self.rows = len(alive)
        self.alive = alive
        self.properties = properties
        self._ids = ids
        self._lock = lock
        self._found: OrderedDict[tuple[str, int], tuple[Sequence[str], Any, int]] = OrderedDict()
        self._bytes = 0
        self._numbers: tuple[I64, I64, I64 | None] | None = None

    @property
    def kinds(self) -> dict[str, Kind]:
        """Properties and their kinds."""
        return {name: each.kind for name, each in self.properties.items()}

    def ids(self, start: int, stop: int) -> Dictionary:
        """Ids of rows. O(bytes)."""
        with self._lock:
            return Dictionary(*self._ids.dump(start, stop))

    def of_texts(self, name: str, dictionary: Sequence[str]) -> Column | None:
        """A property of the items that the texts of a dictionary name, an entry each; None when
        none has it. O(texts) the first time, kept while this moment and the dictionary last.
        """
        found = self.properties.get(name)
        if found is None or not len(dictionary):
            return None
        column: Column | None = self._kept(
            name, dictionary, lambda: _or_none(found.at(self._rows_of(dictionary)))
        )
        return column

    def of_numbers(self, name: str, values: I64) -> Column | None:
        """The same for whole numbers, one by one. O(values), or O(values · log items) when the
        ids that are whole numbers are far apart.
        """
        found = self.properties.get(name)
        return None if found is None else _or_none(found.at(self._rows_of_numbers(values)))

    def _rows_of(self, dictionary: Sequence[str]) -> I64:
        def find() -> I64:
            own = as_dictionary(dictionary)
            with self._lock:
                rows = self._ids.find_bulk(own.data, own.offsets)
            rows[rows >= self.rows] = -1  # came later
            return rows

        rows: I64 = self._kept("", dictionary, find)
        return rows

    def _kept(self, name: str, dictionary: Sequence[str], make: Any) -> Any:
        key = (name, id(dictionary))
        with self._lock:
            held = self._found.get(key)
            if held is not None:
                self._found.move_to_end(key)
                return held[1]
        made = make()
        size = 64 + 16 * len(dictionary) + as_dictionary(dictionary).data.nbytes
        with self._lock:
            if key not in self._found:
                self._found[key] = (dictionary, made, size)
                self._bytes += size
                while self._bytes > KEPT_BYTES and len(self._found) > 1:
                    self._bytes -= self._found.popitem(last=False)[1][2]
        return made

    def _rows_of_numbers(self, values: I64) -> I64:
        ids, rows, dense = self._numbered()
        if not len(ids):
            return np.full(len(values), -1, np.int64)
        if dense is not None:
            inside = (values >= ids[0]) & (values <= ids[-1])
            return np.where(inside, dense[np.where(inside, values - ids[0], 0)], -1)
        at = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
        return np.where(ids[at] == values, rows[at], -1)

    def _numbered(self) -> tuple[I64, I64, I64 | None]:
        """Ids that are whole numbers as an integer's text is, ascending, and their rows."""
        if self._numbers is None:
            with self._lock:
                texts = self._ids.to_list()[: self.rows]
            pairs = sorted((int(t), row) for row, t in enumerate(texts) if _is_number(t))
            ids = np.array([p[0] for p in pairs], np.int64)
            rows = np.array([p[1] for p in pairs], np.int64)
            dense = None
            if len(pairs) and pairs[-1][0] - pairs[0][0] < DENSE:
                dense = np.full(pairs[-1][0] - pairs[0][0] + 1, -1, np.int64)
                dense[ids - ids[0]] = rows
            self._numbers = ids, rows, dense
        return self._numbers


def _or_none(column: Column) -> Column | None:
    return None if column.present is not None and not column.present.any() else column


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        return False
    return str(int(text)) == text and -(2**63) <= int(text) < 2**63
