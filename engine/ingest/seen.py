"""What rows say of ids: which devices and customers were seen together, and which were parted.

After the rows of a batch are in the memtable. A device is a row's device id, or a typed id among
its properties: ``$identity_NAME`` of a row with a customer is the id ``$identity_NAME+VALUE``. Most
rows say what is known, which is found by their codes alone, without a look at the links.
Thread-safety: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from zuji.engine.batch.columns import NONE
from zuji.engine.index.links import DEVICE
from zuji.engine.ingest._bind import keys_of
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.batch.columns import EventBatch
    from zuji.engine.index._strings import StringTable
    from zuji.engine.index.catalog import Catalog
    from zuji.engine.index.links import Links
    from zuji.engine.ingest.interned import Interned
    from zuji.engine.types import I64, U32, Flags

UNBIND: Final = "$UnbindID"
"""Event that parts its device from its customer, or from everybody when it has none."""
TYPED: Final = "$identity_"
UNTYPED: Final = frozenset(
    TYPED + name for name in ("login_id", "anonymous_id", "cookie_id", "android_id", "idfv")
)
"""Typed ids that repeat the customer or the device."""


class SeenBefore:
    """What a decoder's codes are known to say: the customer that each device was last seen with,
    and a moment from which on seeing them again says nothing new.
    """

    __slots__ = ("_any", "_names", "resets", "time", "typed", "user")

    def __init__(self) -> None:
        self.resets = -1
        self.user: U32 = np.empty(0, np.uint32)
        self.time: I64 = np.empty(0, np.int64)
        self.typed: Flags = np.empty(0, np.bool_)
        self._names = 0
        self._any = False

    def grow(self, strings: int, names: StringTable, resets: int) -> None:
        """Room for all codes. ``resets``: when it changes, nothing is known any more."""
        if resets != self.resets:
            self.resets = resets
            self.user[:] = NONE
        if strings > len(self.user):
            size = max(strings, 2 * len(self.user), 1024)
            self.user = np.append(self.user, np.full(size - len(self.user), NONE, np.uint32))
            self.time = np.append(self.time, np.zeros(size - len(self.time), np.int64))
        self.any_typed(names)

    def any_typed(self, names: StringTable) -> bool:
        """Whether one of the names is that of a typed id."""
        if len(names) > self._names:
            new = names.to_list(self._names)
            more = [name.startswith(TYPED) and name not in UNTYPED for name in new]
            self.typed = np.append(self.typed, np.array(more, np.bool_))
            self._any = self._any or any(more)
            self._names = len(names)
        return self._any


def see(table: Interned, batch: EventBatch, keep: Flags, catalog: Catalog, links: Links) -> None:
    """Tells ``links`` what the kept rows of a bound batch say. ``keep`` bool[n]."""
    known = table.seen
    known.grow(len(table.strings), table.names, links.resets)
    has_user = batch.user != NONE
    parts = np.zeros(batch.n, np.bool_)
    if (unbind := catalog.event_codes.get(UNBIND)) is not None:
        parts = (batch.kind == 0) & keep & (table.events[batch.event % len(table.events)] == unbind)
    rows = np.flatnonzero(keep & has_user & ~parts & (batch.device != NONE))
    if len(rows):
        device, user, time = batch.device[rows], batch.user[rows], batch.time[rows]
        news = (known.user[device] != user) | (time < known.time[device])
        if news.any():
            device, user, time = device[news], user[news], time[news]
            data, offsets = keys_of(table.strings, device, None, DEVICE, DEVICE)
            skip = links.together(data, offsets, table.places(user), time)
            known.user[device[skip]], known.time[device[skip]] = user[skip], time[skip]
    typed = _typed(table, batch, keep & has_user, catalog) if known.any_typed(table.names) else []
    together = [(key, row) for key, row in typed if not parts[row]]
    if together:
        at = np.array([row for _, row in together], np.int64)
        offsets = np.zeros(len(together) + 1, np.int64)
        np.cumsum([len(key) for key, _ in together], out=offsets[1:])
        data = np.frombuffer(b"".join(key for key, _ in together), np.uint8)
        links.together(data, offsets, table.places(batch.user[at]), batch.time[at])
    if parts.any():
        _part(table, batch, parts, [one for one in typed if parts[one[1]]], links)


def _part(
    table: Interned, batch: EventBatch, parts: Flags, typed: list[tuple[bytes, int]], links: Links
) -> None:
    for row in np.flatnonzero(parts).tolist():
        user = int(batch.user[row])
        place = None if user == NONE else int(table.places(batch.user[row : row + 1])[0])
        others = [key for key, of in typed if of == row]
        if batch.device[row] != NONE:
            others.append(bytes([DEVICE]) + table.strings.get(int(batch.device[row])))
        for key in others:
            links.apart(key, place, int(batch.time[row]))


def _typed(
    table: Interned, batch: EventBatch, keep: Flags, catalog: Catalog
) -> list[tuple[bytes, int]]:
    """(key, row) of the typed ids of rows."""
    found = []
    cells = np.flatnonzero(table.seen.typed[batch.cell_prop])
    row_of = np.searchsorted(batch.cell_start, cells, side="right") - 1
    for cell, row in zip(cells.tolist(), row_of.tolist(), strict=True):
        if not keep[row]:
            continue
        name = table.names.get(int(batch.cell_prop[cell]))
        stored = name.decode() if batch.kind[row] == 0 else "$user." + name.decode()
        code = catalog.prop_codes.get(stored)
        if code is None or catalog.kinds[code] != Kind.STRING:
            continue
        value = int(batch.cell_value[cell])
        if batch.cell_kind[cell] == Kind.STRING:
            text = table.strings.get(value)
        elif batch.cell_kind[cell] == Kind.INT:
            text = str(value).encode()
        else:
            continue
        if text:
            found.append((bytes([DEVICE]) + name + b"+" + text, row))
    return found
