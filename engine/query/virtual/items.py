"""``event.KEY.NAME``: a property of the item that the event's property KEY names.

Each property of the items of a joined type is a virtual property of events (or of users). What it
is worth is found once for each different text of KEY, in the dictionary of its column; filters and
breakdowns then look a row's code up, as they do for KEY itself: :class:`Coded`. Everything else
gets a column of rows, by :func:`spread`. Pure functions over immutable tables: thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zuji.engine.query.virtual.definitions import Definitions, VirtualProperty
from zuji.engine.query.virtual.expression import Items, Joined
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class ItemType(Items, Protocol):
    """Items of one type, and what properties they have."""

    @property
    def kinds(self) -> Mapping[str, Kind]: ...


@dataclass(frozen=True, slots=True)
class Coded:
    """A column that is a function of a column of texts. ``entries``: its value for each text in the
    dictionary of ``key``, which has one.
    """

    key: Column
    entries: Column

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.key.rows


def with_items(
    known: Definitions,
    tables: Mapping[str, ItemType],
    kind_of: Callable[[str], Kind | None],
) -> Definitions:
    """The definitions, and a virtual property for each that a joined item may have. ``kind_of``: of
    the property that names items. A definition of the same name goes first.
    """
    made: dict[str, VirtualProperty] = {}
    for p, item_type in known.items.items():
        table = tables.get(item_type)
        lists = kind_of(p) == Kind.LIST
        for name, kind in () if table is None else table.kinds.items():
            full = f"{p}.{name}"
            if full in known.properties or (lists and kind != Kind.STRING):
                continue
            assert table is not None
            told = f"{name} of the {item_type} that {p} names"
            own = Kind.LIST if lists else kind
            made[full] = VirtualProperty(full, own, "", Joined(p, name, table), told)
    return replace(known, properties={**made, **known.properties}) if made else known


def is_joined(known: Definitions, p: str) -> bool:
    """Whether a property of events is one of the items that they name."""
    virtual = known.properties.get(p)
    return p.startswith("event.") and virtual is not None and isinstance(virtual.tree, Joined)


def coded(tree: Joined, key: Column) -> Coded | None:
    """The joined column by way of the key's dictionary; None when no text of it has a value.
    REQUIRES: ``key`` is of texts.
    """
    entries = tree.items.of_texts(tree.name, key.dictionary or ())
    return None if entries is None else Coded(key, entries)


def spread(tree: Joined, key: Column) -> Column | None:
    """The joined column, a value a row; None when no row has one. O(rows + items of lists)."""
    if key.kind == Kind.STRING:
        found = coded(tree, key)
        return None if found is None else rows_of(found)
    if key.kind == Kind.LIST:
        entries = tree.items.of_texts(tree.name, key.dictionary or ())
        return None if entries is None else _lists(key, entries)
    if key.kind == Kind.INT:
        values = tree.items.of_numbers(tree.name, key.values.astype(np.int64, copy=False))
        return None if values is None else replace(values, present=_both(key, values.present))
    return None


def _both(key: Column, present: Any) -> Any:
    if present is None or key.present is None:
        return key.present if present is None else present
    return present & key.present


def rows_of(found: Coded) -> Column:
    """A value a row."""
    key, entries = found.key, found.entries
    codes = key.values
    present = None if entries.present is None else entries.present[codes]
    present = _both(key, present)
    if entries.offsets is None:
        return Column(entries.kind, entries.values[codes], present, entries.dictionary)
    at = codes.astype(np.int64)
    starts = entries.offsets[at].astype(np.int64)
    lengths = entries.offsets[at + 1].astype(np.int64) - starts
    if key.present is not None:
        lengths *= key.present
    offsets = np.zeros(len(at) + 1, np.uint32)
    np.cumsum(lengths, out=offsets[1:])
    index = np.arange(int(offsets[-1])) + np.repeat(starts - offsets[:-1], lengths)
    return Column(entries.kind, entries.values[index], present, entries.dictionary, offsets)


def _lists(key: Column, entries: Column) -> Column:
    """Texts of the items that the lists of a column name, in their order; those without one are
    left out. A list none of whose items has one is no value.
    """
    assert key.offsets is not None
    known = np.ones(len(entries.values), np.uint8) if entries.present is None else entries.present
    has = known[key.values].astype(bool)
    before = np.concatenate([[0], np.cumsum(has)])
    offsets = before[key.offsets].astype(np.uint32)
    values = entries.values[key.values[has]]
    present = (np.diff(offsets.astype(np.int64)) > 0).astype(np.uint8)
    return Column(Kind.LIST, values, present, entries.dictionary, offsets)
