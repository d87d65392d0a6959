"""What rows say of ids: which devices and customers were seen together, and which were parted.

After the rows of a batch are in the memtable. A device is a row's device id, or a typed id among
its properties: ``$identity_NAME`` of a row with a customer is the id ``$identity_NAME+VALUE``. Most
rows say what is known, which is found by their codes alone, without a look at the links.
Thread-safety: the writer's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from zuji.engine.batch.columns import NONE
from zuji.engine.index.catalog import USER_PREFIX
from zuji.engine.index.identity import gather_bytes
from zuji.engine.index.links import DEVICE, places
from zuji.engine.ingest._bind import keys_of
from zuji.engine.storage.dictionary import as_dictionary
from zuji.engine.storage.gathered import DEVICE_ID
from zuji.engine.types import TYPED_ID, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroaring import BitMap

    from zuji.engine.batch.columns import EventBatch
    from zuji.engine.index._strings import StringTable
    from zuji.engine.index.catalog import Catalog
    from zuji.engine.index.identity import Identity
    from zuji.engine.index.links import Links
    from zuji.engine.ingest.interned import Interned
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.storage.frame import Frame
    from zuji.engine.types import I64, U8, U32, Flags

UNBIND: Final = "$UnbindID"
"""Event that parts its device from its customer, or from everybody when it has none."""
UNTYPED: Final = frozenset(
    TYPED_ID + name for name in ("login_id", "anonymous_id", "cookie_id", "android_id", "idfv")
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
            new = np.zeros(len(names) - self._names, np.bool_)
            # Thousands of names, of which hardly one is such, need not become texts.
            if names.dump(self._names)[0].tobytes().find(TYPED_ID.encode()) >= 0:
                listed = names.to_list(self._names)
                new[:] = [name.startswith(TYPED_ID) and name not in UNTYPED for name in listed]
            self.typed = np.append(self.typed, new)
            self._any = self._any or bool(new.any())
            self._names = len(names)
        return self._any


def see_regular(table: Interned, catalog: Catalog, links: Links) -> bool:
    """As :func:`see`, of the regular batch that ``table`` has taken; False: it says more than which
    devices and customers were together, and must be seen row by row.
    """
    known = table.seen
    known.grow(len(table.strings), table.names, links.resets)
    if known.any_typed(table.names):
        return False
    news = table.regular.unseen(known.user, known.time, catalog.event_codes.get(UNBIND, -1))
    if news is None:
        return False
    if len(news[0]):
        _see_news(table, *news, links)
    return True


def _see_news(table: Interned, device: U32, user: U32, time: I64, links: Links) -> None:
    known = table.seen
    data, offsets = keys_of(table.strings, device, None, DEVICE, DEVICE)
    skip = links.together(data, offsets, table.places(user), time)
    known.user[device[skip]], known.time[device[skip]] = user[skip], time[skip]


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
            _see_news(table, device[news], user[news], time[news], links)
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


@dataclass(frozen=True, slots=True)
class FrameSays:
    """What the rows of a bulk load say of ids: nothing before they are stored. ``device`` bool[n]:
    rows that have no customer; ``apart``: those of them that part their device from everybody, and
    its key.
    """

    frame: Frame
    device: Flags
    apart: list[tuple[int, bytes]]

    def tell(self, links: Links, erased: Sequence[BitMap]) -> None:
        """As :func:`see`. Of customers who were erased since the rows were bound (by shard) nothing
        is said any more. REQUIRES: the writer's lock.
        """
        frame, device = self.frame, self.device
        place = places(frame.shard, frame.ordinal)
        parts = _parts(frame)
        there = np.ones(frame.n, np.bool_)
        for shard, gone in enumerate(erased):
            if gone:
                mine = np.flatnonzero(frame.shard == shard)
                there[mine] = ~np.isin(frame.ordinal[mine], np.array(gone.to_array(), np.uint32))
        apart = [(row, key) for row, key in self.apart if there[row]]
        together: list[tuple[I64, I64, Dictionary, bytes]] = []
        for name, column in frame.columns.items():
            bare = name.removeprefix(USER_PREFIX)
            typed = bare.startswith(TYPED_ID) and bare not in UNTYPED
            if column.kind != Kind.STRING or not (typed or name == DEVICE_ID):
                continue
            rows = np.arange(frame.n) if column.rows is None else column.rows.astype(np.int64)
            strings = as_dictionary(column.dictionary)
            codes = np.asarray(column.values, np.int64)
            filled = (np.diff(strings.offsets) > 0)[codes] & ~device[rows] & there[rows]
            rows, codes = rows[filled], codes[filled]
            prefix = b"d" + bare.encode() + b"+" if typed else b"d"
            apart += [
                (int(row), prefix + strings.bytes_at(int(code)))
                for row, code in zip(rows[parts[rows]], codes[parts[rows]], strict=True)
            ]
            together.append((rows[~parts[rows]], codes[~parts[rows]], strings, prefix))
        for row, key in apart:  # first: of these devices every moment counts from now on
            links.apart(key, None if device[row] else int(place[row]), int(frame.time[row]))
        every = bool(together) and links.every_moment
        for rows, codes, strings, prefix in together:
            rows, codes = _telling(rows, codes, place, frame.time, every)
            used, at = np.unique(codes, return_inverse=True)
            texts = prefixed(strings.pick(used.astype(np.uint32)), prefix)
            links.together(*gather_bytes(*texts, at), place[rows], frame.time[rows])


def see_frame(frame: Frame, keys: tuple[U8, I64], identity: Identity) -> FrameSays:
    """What the rows of a bulk load say, of which all have a column for their device only when they
    have a customer, too. ``keys``: of the rows, as they were resolved. Devices that have rows of
    their own are users from now on.
    """
    data, offsets = keys
    device = data[offsets[:-1]] == DEVICE if frame.n else np.zeros(0, np.bool_)
    if device.any():
        mine = np.flatnonzero(device)
        some = gather_bytes(data, offsets, mine)
        identity.resolved(*some, frame.shard[mine], frame.ordinal[mine])
    apart: list[tuple[int, bytes]] = [
        (row, data[offsets[row] : offsets[row + 1]].tobytes())
        for row in np.flatnonzero(_parts(frame) & device).tolist()
    ]
    return FrameSays(frame, device, apart)


def _parts(frame: Frame) -> Flags:
    """Rows that part ids."""
    if UNBIND not in frame.event_names:
        return np.zeros(frame.n, np.bool_)
    parts: Flags = frame.event == frame.event_names.index(UNBIND)
    return parts


def _telling(rows: I64, codes: I64, place: I64, time: I64, every: bool) -> tuple[I64, I64]:
    """Of rows with the same device and customer, the earliest; ``every``: one for each moment."""
    order = np.lexsort((time[rows], place[rows], codes))
    rows, codes = rows[order], codes[order]
    new = (np.diff(codes, prepend=-1) != 0) | (np.diff(place[rows], prepend=-1) != 0)
    if every:
        new |= np.diff(time[rows], prepend=0) != 0
    return rows[new], codes[new]


def prefixed(strings: Dictionary, prefix: bytes) -> tuple[U8, I64]:
    """Strings behind a prefix each, end to end. O(bytes)."""
    n, size = len(strings), len(prefix)
    lengths = np.diff(strings.offsets)
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(lengths + size, out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    for place, byte in enumerate(prefix):
        data[offsets[:-1] + place] = byte
    rest = np.ones(len(data), np.bool_)
    for place in range(size):
        rest[offsets[:-1] + place] = False
    data[rest] = strings.data[int(strings.offsets[0]) : int(strings.offsets[-1])]
    return data, offsets
