"""Binding: a decoded batch (local names, local strings) becomes rows of the project.

Names get codes, values the kind their property has, ids a user, repeats are dropped; what does not
fit is rejected event by event. Work is by column; Python sees single values only where a cast is
not plain int → float. Deterministic: the same batches in the same order on the same state give the
same rows, which is what recovery relies on. Thread-safety: the writer's lock.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgpack
import numpy as np

from zuji.engine.batch.columns import NONE, EventBatch, Rejected
from zuji.engine.casting import NotCastable, Plain, cast
from zuji.engine.index._strings import StringTable
from zuji.engine.index.catalog import (
    DEVICE_ID,
    PROFILE_SET,
    PROFILE_UNSET,
    UNSET_LIST,
    USER_PREFIX,
    Catalog,
)
from zuji.engine.index.identity import gather_bytes
from zuji.engine.storage.memtable import BoundChunk
from zuji.engine.types import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.engine.index.dedup import Dedup
    from zuji.engine.index.identity import Identity
    from zuji.engine.limits import Limits
    from zuji.engine.types import I32, I64, U8, U16, U32, Flags

_T = TypeVar("_T", bound=np.generic)

UNKNOWN = -1
NULL_CELL = 0
"""``cell_kind`` of an explicit null in a profile record."""


class Interned:
    """The string tables of one memtable, and what their codes mean in the project.

    ``names``: event and property names; ``strings``: ids and values. Codes are valid as long as the
    memtable.
    """

    __slots__ = ("_known", "_ordinal", "_props", "_shard", "events", "names", "strings")

    def __init__(self, salt: int) -> None:
        self.names = StringTable(salt=salt)
        self.strings = StringTable(salt=salt)
        self.events: I32 = np.full(256, UNKNOWN, dtype=np.int32)
        self._props: list[I32] = [np.full(256, UNKNOWN, dtype=np.int32) for _ in range(2)]
        self._known: list[U8] = [np.zeros(1024, dtype=np.uint8) for _ in range(2)]
        self._shard: list[U16] = [np.zeros(1024, dtype=np.uint16) for _ in range(2)]
        self._ordinal: list[U32] = [np.zeros(1024, dtype=np.uint32) for _ in range(2)]

    def grow_names(self) -> tuple[I32, list[I32]]:
        """Maps name code → event code, and name code → property code for event and user scope."""
        size = len(self.names)
        if size > len(self.events):
            self.events = _grown(self.events, size, UNKNOWN)
            self._props = [_grown(p, size, UNKNOWN) for p in self._props]
        return self.events, self._props

    def users(self, identity: Identity, codes: U32, is_device: int) -> tuple[U16, U32]:
        """Shard and ordinal of id codes of one type; new users are added in order of arrival."""
        size = len(self.strings)
        if size > len(self._known[is_device]):
            self._known[is_device] = _grown(self._known[is_device], size, 0)
            self._shard[is_device] = _grown(self._shard[is_device], size, 0)
            self._ordinal[is_device] = _grown(self._ordinal[is_device], size, 0)
        known = self._known[is_device]
        new = codes[known[codes] == 0]
        if len(new):
            _, first = np.unique(new, return_index=True)
            fresh = new[np.sort(first)]
            data, offsets = _keys_of(self.strings, fresh, b"d" if is_device else b"u")
            shard, ordinal = identity.resolve(data, offsets)
            self._shard[is_device][fresh] = shard
            self._ordinal[is_device][fresh] = ordinal
            known[fresh] = 1
        return self._shard[is_device][codes], self._ordinal[is_device][codes]


@dataclass(slots=True)
class Bound:
    """What became of a batch: rows to store (or None), rejected events, repeats dropped."""

    chunk: BoundChunk | None
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: int = 0


class Binder:
    """Binds batches against one project's catalog, identity index and dedup window."""

    def __init__(self, catalog: Catalog, identity: Identity, dedup: Dedup, limits: Limits) -> None:
        self.catalog = catalog
        self._identity = identity
        self._dedup = dedup
        self._limits = limits

    def bind(self, batch: EventBatch, table: Interned, received_ms: int, raw: bytes) -> Bound:
        """Rows of ``batch``. ``raw`` is the msgpack document, needed only to keep what is rejected
        here.
        """
        n = batch.n
        if n == 0:
            return Bound(None, list(batch.rejected))
        events_of, props_of = table.grow_names()
        refused: dict[int, tuple[str, str, str]] = {}
        scope = (batch.kind != 0).astype(np.uint8)
        event = self._bind_events(batch, table, events_of, scope, refused)
        row_of_cell = np.repeat(np.arange(n, dtype=np.int64), np.diff(batch.cell_start))
        kinds, values, lists = batch.cell_kind.copy(), batch.cell_value.copy(), _Lists(batch)
        if scope.any():
            self._bind_unsets(batch, table, row_of_cell, kinds, values, lists)
        prop = self._bind_props(batch, table, props_of, scope, row_of_cell, kinds, refused)
        self._bind_kinds(batch, table, prop, row_of_cell, kinds, values, lists, refused)
        self._check_pairs(event, prop, row_of_cell, refused)
        keep = np.ones(n, dtype=bool)
        if refused:
            keep[list(refused)] = False
        duplicates = self._drop_repeats(batch, table, keep)
        rejected = list(batch.rejected) + _rejects(batch, refused, raw)
        if not keep.any():
            return Bound(None, rejected, duplicates)
        pairs = self.catalog.pairs()
        cell_keep = (prop >= 0) & keep[row_of_cell]
        pairs[event[row_of_cell[cell_keep]], prop[cell_keep]] = 1
        shard, ordinal = self._bind_users(batch, table, keep)
        chunk = _chunk(
            batch,
            keep,
            cell_keep,
            row_of_cell,
            shard,
            ordinal,
            event,
            prop,
            values,
            lists,
            received_ms,
        )
        both = np.flatnonzero((batch.user[keep] != NONE) & (batch.device[keep] != NONE))
        if len(both):
            code = self.catalog.add_prop(DEVICE_ID, Kind.STRING)
            self.catalog.pairs()[chunk.event[both], code] = 1
            chunk = _with_devices(chunk, both, code, batch.device[keep][both])
        return Bound(chunk, rejected, duplicates)

    def _bind_events(
        self,
        batch: EventBatch,
        table: Interned,
        events_of: I32,
        scope: U8,
        refused: dict[int, tuple[str, str, str]],
    ) -> I64:
        event = np.empty(batch.n, dtype=np.int64)
        track = scope == 0
        names = batch.event[track]
        event[track] = events_of[names]
        event[batch.kind == 1] = self.catalog.event_codes[PROFILE_SET]
        event[batch.kind == 2] = self.catalog.event_codes[PROFILE_UNSET]
        for row in np.flatnonzero(event == UNKNOWN):
            name = table.names.get(int(batch.event[row])).decode()
            code = UNKNOWN
            if name in (PROFILE_SET, PROFILE_UNSET):
                refused[int(row)] = ("reserved_name", "event", f"the name {name!r} is reserved")
            elif name in self.catalog.event_codes:
                code = self.catalog.event_codes[name]
            elif len(self.catalog.events) >= self._limits.project_event_names + 2:
                refused[int(row)] = (
                    "too_many_event_names",
                    "event",
                    f"the project has {self._limits.project_event_names} event names; "
                    f"{name!r} would be one more",
                )
            else:
                code = self.catalog.add_event(name)
            events_of[batch.event[row]] = event[row] = code
        event[event == UNKNOWN] = 0
        return event

    def _bind_unsets(
        self,
        batch: EventBatch,
        table: Interned,
        row_of_cell: I64,
        kinds: U8,
        values: I64,
        lists: _Lists,
    ) -> None:
        """Turns the nulls of a profile record (and all cells of an unset) into one list of names a
        row.
        """
        is_null = (kinds == NULL_CELL) | (batch.kind[row_of_cell] == 2)
        unset_name = table.names.intern(UNSET_LIST[len(USER_PREFIX) :].encode())
        cells = np.flatnonzero(is_null)
        for row in np.unique(row_of_cell[cells]):
            mine = cells[row_of_cell[cells] == row]
            names = [table.names.get(int(batch.cell_prop[c])) for c in mine]
            items = [table.strings.intern(name) for name in names]
            batch.cell_prop[mine[0]] = unset_name
            kinds[mine[0]] = Kind.LIST
            values[mine[0]] = lists.add(items)
            kinds[mine[1:]] = NULL_CELL
        table.grow_names()

    def _bind_props(
        self,
        batch: EventBatch,
        table: Interned,
        props_of: list[I32],
        scope: U8,
        row_of_cell: I64,
        kinds: U8,
        refused: dict[int, tuple[str, str, str]],
    ) -> I64:
        """Property code of each cell, -1 for cells that are dropped (explicit nulls)."""
        _, props_of = table.grow_names()
        prop = props_of[0][batch.cell_prop].astype(np.int64)
        user_cells = scope[row_of_cell] == 1 if scope.any() else None
        if user_cells is not None:
            prop[user_cells] = props_of[1][batch.cell_prop[user_cells]]
        prop[kinds == NULL_CELL] = -2
        for cell in np.flatnonzero(prop == UNKNOWN):
            in_user = user_cells is not None and bool(user_cells[cell])
            name_code = int(batch.cell_prop[cell])
            mapped = props_of[in_user]
            if mapped[name_code] == UNKNOWN:
                name = table.names.get(name_code).decode()
                if not in_user and (name.startswith(USER_PREFIX) or name == DEVICE_ID):
                    refused[int(row_of_cell[cell])] = (
                        "reserved_name",
                        f"properties.{name}",
                        f"the property name {name!r} is reserved",
                    )
                    prop[cell] = -2
                    continue
                stored = USER_PREFIX + name if in_user else name
                if stored not in self.catalog.prop_codes and len(self.catalog.props) >= 65_000:
                    refused[int(row_of_cell[cell])] = (
                        "too_many_property_names",
                        f"properties.{name}",
                        "the project has 65,000 property names",
                    )
                    prop[cell] = -2
                    continue
                mapped[name_code] = self.catalog.add_prop(stored, Kind(int(kinds[cell])))
            prop[cell] = mapped[name_code]
        prop[prop == -2] = -1
        return prop

    def _bind_kinds(
        self,
        batch: EventBatch,
        table: Interned,
        prop: I64,
        row_of_cell: I64,
        kinds: U8,
        values: I64,
        lists: _Lists,
        refused: dict[int, tuple[str, str, str]],
    ) -> None:
        stored_kinds = np.array([0, *self.catalog.kinds], dtype=np.uint8)
        wanted = stored_kinds[prop + 1]
        wrong = np.flatnonzero((wanted != kinds) & (prop >= 0))
        if not len(wrong):
            return
        plain = wrong[(wanted[wrong] == Kind.FLOAT) & (kinds[wrong] == Kind.INT)]
        values[plain] = values[plain].astype(np.float64).view(np.int64)
        kinds[plain] = Kind.FLOAT
        for cell in wrong[wanted[wrong] != kinds[wrong]]:
            sent, stored = Kind(int(kinds[cell])), Kind(int(wanted[cell]))
            try:
                values[cell] = self._cast_cell(table, lists, int(values[cell]), sent, stored)
            except NotCastable as problem:
                name = self.catalog.prop_name(int(prop[cell])).removeprefix(USER_PREFIX)
                refused.setdefault(
                    int(row_of_cell[cell]),
                    (
                        "type_mismatch",
                        f"properties.{name}",
                        f"{name!r} is {stored.label} in this project, "
                        f"sent as {sent.label}: {problem}",
                    ),
                )

    @staticmethod
    def _cast_cell(table: Interned, lists: _Lists, bits: int, sent: Kind, stored: Kind) -> int:
        value: Plain = bits
        if sent == Kind.STRING:
            value = table.strings.get(bits).decode()
        elif sent == Kind.FLOAT:
            value = struct.unpack("<d", struct.pack("<q", bits))[0]
        done = cast(value, sent, stored)
        if stored == Kind.STRING:
            return table.strings.intern(str(done).encode())
        if stored == Kind.LIST:
            return lists.add([table.strings.intern(item.encode()) for item in done])  # type: ignore[union-attr]
        if stored == Kind.FLOAT:
            return int(struct.unpack("<q", struct.pack("<d", done))[0])
        return int(done)  # type: ignore[arg-type]

    def _check_pairs(
        self, event: I64, prop: I64, row_of_cell: I64, refused: dict[int, tuple[str, str, str]]
    ) -> None:
        """Bounds the property names of one event."""
        pairs = self.catalog.pairs()
        cells = np.flatnonzero(prop >= 0)
        fresh = cells[pairs[event[row_of_cell[cells]], prop[cells]] == 0]
        if not len(fresh):
            return
        counts = {int(e): int(pairs[e].sum()) for e in np.unique(event[row_of_cell[fresh]])}
        added: dict[tuple[int, int], bool] = {}
        for cell in fresh:
            row = int(row_of_cell[cell])
            pair = (int(event[row]), int(prop[cell]))
            if pair in added or row in refused:
                continue
            if counts[pair[0]] >= self._limits.event_property_names:
                refused[row] = (
                    "too_many_property_names",
                    "properties",
                    f"event {self.catalog.event_name(pair[0])!r} has "
                    f"{self._limits.event_property_names} property names already",
                )
                continue
            counts[pair[0]] += 1
            added[pair] = True

    def _drop_repeats(self, batch: EventBatch, table: Interned, keep: Flags) -> int:
        """Clears ``keep`` for events whose insert_id was stored before; returns how many."""
        rows = np.flatnonzero(keep & (batch.insert != NONE))
        if not len(rows):
            return 0
        data, offsets = _keys_of(table.strings, batch.insert[rows], b"i")
        hi, lo = self._dedup.keys(data, offsets)
        repeats = rows[self._dedup.add(hi, lo) == 0]
        keep[repeats] = False
        return len(repeats)

    def _bind_users(self, batch: EventBatch, table: Interned, keep: Flags) -> tuple[U16, U32]:
        user, device = batch.user[keep], batch.device[keep]
        shard = np.empty(len(user), dtype=np.uint16)
        ordinal = np.empty(len(user), dtype=np.uint32)
        known = user != NONE
        if known.any():
            shard[known], ordinal[known] = table.users(self._identity, user[known], 0)
        if not known.all():
            shard[~known], ordinal[~known] = table.users(self._identity, device[~known], 1)
        return shard, ordinal


class _Lists:
    """The lists of a batch plus those that casting adds."""

    __slots__ = ("_items", "_start", "_tail", "_tail_start")

    def __init__(self, batch: EventBatch) -> None:
        self._start = batch.list_start
        self._items = batch.list_item
        self._tail: list[int] = []
        self._tail_start: list[int] = []

    def add(self, items: list[int]) -> int:
        self._tail.extend(items)
        self._tail_start.append(len(self._items) + len(self._tail))
        return len(self._start) - 2 + len(self._tail_start)

    def arrays(self) -> tuple[I64, U32]:
        """``list_start`` int64[lists+1] and ``list_item`` uint32[items]."""
        if not self._tail_start:
            return self._start, self._items
        return (
            np.concatenate([self._start, np.array(self._tail_start, dtype=np.int64)]),
            np.concatenate([self._items, np.array(self._tail, dtype=np.uint32)]),
        )


def _chunk(
    batch: EventBatch,
    keep: Flags,
    cell_keep: Flags,
    row_of_cell: I64,
    shard: U16,
    ordinal: U32,
    event: I64,
    prop: I64,
    values: I64,
    lists: _Lists,
    received_ms: int,
) -> BoundChunk:
    if keep.all() and cell_keep.all():
        starts = batch.cell_start
    else:
        per_row = np.bincount(row_of_cell[cell_keep], minlength=batch.n)[keep]
        starts = np.zeros(len(per_row) + 1, dtype=np.int64)
        np.cumsum(per_row, out=starts[1:])
    list_start, list_item = lists.arrays()
    return BoundChunk(
        n=len(shard),
        shard=shard,
        ordinal=ordinal,
        event=event[keep].astype(np.uint16),
        time=batch.time[keep],
        received=received_ms,
        cell_start=starts,
        cell_prop=prop[cell_keep].astype(np.uint16),
        cell_value=values[cell_keep],
        list_start=list_start,
        list_item=list_item,
    )


def _with_devices(chunk: BoundChunk, rows: I64, code: int, devices: U32) -> BoundChunk:
    """``chunk`` with one more cell, the raw device id, on each of ``rows``."""
    at = chunk.cell_start[rows + 1]
    extra = np.zeros(chunk.n, dtype=np.int64)
    extra[rows] = 1
    starts = chunk.cell_start.copy()
    starts[1:] += np.cumsum(extra)
    return BoundChunk(
        n=chunk.n,
        shard=chunk.shard,
        ordinal=chunk.ordinal,
        event=chunk.event,
        time=chunk.time,
        received=chunk.received,
        cell_start=starts,
        cell_prop=np.insert(chunk.cell_prop, at, np.uint16(code)),
        cell_value=np.insert(chunk.cell_value, at, devices.astype(np.int64)),
        list_start=chunk.list_start,
        list_item=chunk.list_item,
    )


def _rejects(
    batch: EventBatch, refused: dict[int, tuple[str, str, str]], raw: bytes
) -> list[Rejected]:
    """Rejected events with their msgpack slice, re-encoded from the document (a slow path, used
    rarely).
    """
    if not refused:
        return []
    document = msgpack.unpackb(raw, raw=True, strict_map_key=False)
    events = document if isinstance(document, list) else document[b"events"]
    found = []
    for row, (reason, path, message) in sorted(refused.items()):
        index = int(batch.index[row])
        kept = msgpack.packb(events[index], use_bin_type=False)
        found.append(Rejected(index=index, reason=reason, path=path, message=message, raw=kept))
    return found


def _keys_of(strings: StringTable, codes: U32, prefix: bytes) -> tuple[U8, I64]:
    """``prefix`` + the string of each code, concatenated: uint8[total], int64[n+1]."""
    low, high = int(codes.min()), int(codes.max()) + 1
    if high - low <= 4 * len(codes) + 64:
        data, offsets = strings.dump(low, high)
        part, bounds = gather_bytes(data, offsets, codes.astype(np.int64) - low)
    else:
        texts = [strings.get(int(code)) for code in codes]
        part = np.frombuffer(b"".join(texts), dtype=np.uint8)
        bounds = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(t) for t in texts], out=bounds[1:])
    shifted = bounds + np.arange(len(bounds), dtype=np.int64)
    out = np.empty(int(shifted[-1]), dtype=np.uint8)
    mask = np.ones(len(out), dtype=bool)
    mask[shifted[:-1]] = False
    out[~mask] = prefix[0]
    out[mask] = part
    return out, shifted


def _grown(array: npt.NDArray[_T], size: int, fill: int) -> npt.NDArray[_T]:
    grown = np.full(max(size, 2 * len(array)), fill, dtype=array.dtype)
    grown[: len(array)] = array
    return grown
