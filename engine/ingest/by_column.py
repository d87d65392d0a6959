"""Binding by column: any decoded batch (local names, local strings) becomes rows of the project.

Names get codes, values the kind their property has, ids a user, repeats are dropped; what does not
fit is rejected event by event. Work is by column; Python sees single values only where a cast is
not plain int → float. This is the path of everything new or odd; regular batches are bound
natively (``binder.py``), with the same result. Thread-safety: the writer's lock.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.batch.columns import NONE, PROFILE_INCREMENT, PROFILE_UNSET, EventBatch
from zuji.engine.casting import NotCastable, Plain, cast, check_increment
from zuji.engine.index.catalog import (
    DEVICE_ID,
    PROFILE_EVENTS,
    UNSET_LIST,
    USER_PREFIX,
    Catalog,
)
from zuji.engine.ingest.chunks import Bound, Lists, chunk_of, rejects, with_devices
from zuji.engine.ingest.interned import UNKNOWN, Interned
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.index.dedup import Dedup
    from zuji.engine.index.identity import Identity
    from zuji.engine.limits import Limits
    from zuji.engine.types import I32, I64, U8, Flags

NULL_CELL = 0
"""``cell_kind`` of an explicit null in a profile record."""
DROPPED = -2
"""Property code of a cell that is not stored, while codes are looked for."""


class ColumnBinder:
    """Binds batches against one project's catalog, identity index and dedup window."""

    def __init__(self, catalog: Catalog, identity: Identity, dedup: Dedup, limits: Limits) -> None:
        self.catalog = catalog
        self._identity = identity
        self._dedup = dedup
        self._limits = limits

    def bind(self, batch: EventBatch, table: Interned, received_ms: int, raw: bytes) -> Bound:
        """Rows of ``batch``. ``raw`` is the batch as sent, needed only to keep what is rejected
        here.
        """
        n = batch.n
        if n == 0:
            return Bound(None, list(batch.rejected))
        events_of, props_of = table.grow_names()
        refused: dict[int, tuple[str, str, str]] = {}
        scope = (batch.kind != 0).astype(np.uint8)
        event = self._bind_events(batch, table, events_of, scope, refused)
        if len(refused) == n:
            return Bound(None, list(batch.rejected) + rejects(batch, refused, raw))
        row_of_cell = np.repeat(np.arange(n, dtype=np.int64), np.diff(batch.cell_start))
        kinds, values, lists = batch.cell_kind.copy(), batch.cell_value.copy(), Lists(batch)
        if scope.any():
            self._bind_unsets(batch, table, row_of_cell, kinds, values, lists)
        prop = self._bind_props(batch, table, props_of, scope, row_of_cell, kinds, refused)
        self._bind_kinds(batch, table, prop, row_of_cell, kinds, values, lists, refused)
        self._check_pairs(event, prop, row_of_cell, refused)
        keep = np.ones(n, dtype=bool)
        if refused:
            keep[list(refused)] = False
        repeated = self._drop_repeats(batch, keep)
        rejected = list(batch.rejected) + rejects(batch, refused, raw)
        if not keep.any():
            return Bound(None, rejected, repeated)
        pairs = self.catalog.pairs()
        cell_keep = (prop >= 0) & keep[row_of_cell]
        pairs[event[row_of_cell[cell_keep]], prop[cell_keep]] = 1
        shard, ordinal = table.users(
            self._identity, batch.user, batch.device, None if keep.all() else keep.view(np.uint8)
        )
        chunk = chunk_of(
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
            chunk = with_devices(chunk, both, code, batch.device[keep][both])
        return Bound(chunk, rejected, repeated, keep)

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
        for kind, profile in enumerate(PROFILE_EVENTS, start=1):
            event[batch.kind == kind] = self.catalog.event_codes[profile]
        for row in np.flatnonzero(event == UNKNOWN):
            name = table.names.get(int(batch.event[row])).decode()
            code = UNKNOWN
            if name in PROFILE_EVENTS:
                refused[int(row)] = ("reserved_name", "event", f"the name {name!r} is reserved")
            elif name in self.catalog.event_codes:
                code = self.catalog.event_codes[name]
            elif len(self.catalog.events) - len(PROFILE_EVENTS) >= self._limits.project_event_names:
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
        lists: Lists,
    ) -> None:
        """Turns the nulls of a profile record (and all cells of an unset) into one list of names a
        row.
        """
        is_null = (kinds == NULL_CELL) | (batch.kind[row_of_cell] == PROFILE_UNSET)
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
        prop[kinds == NULL_CELL] = DROPPED
        unknown, share = np.flatnonzero(prop == UNKNOWN), 1
        while len(unknown):
            rows = row_of_cell[unknown]
            ends = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))[: share + 1].tolist()
            for first, end in pairwise(ends):
                row, cells = int(rows[first]), unknown[first:end]
                if row in refused:  # it leaves no names, and costs no more
                    prop[cells] = DROPPED
                    continue
                in_user = user_cells is not None and bool(user_cells[cells[0]])
                codes, mapped = batch.cell_prop[cells], props_of[in_user]
                problem = self._add_props(
                    table, codes.tolist(), kinds[cells].tolist(), mapped, in_user=in_user
                )
                if problem is None:
                    prop[cells] = mapped[codes]
                else:
                    refused[row] = problem
                    prop[cells] = DROPPED
            # The rest mostly has the names of these rows. Looked at after 1, 2, 4, … rows, so that
            # rows which all have names of their own do not cost their square.
            unknown, share = unknown[ends[-1] :], 2 * share
            codes = batch.cell_prop[unknown]
            now = props_of[0][codes].astype(np.int64)
            if user_cells is not None:
                now = np.where(user_cells[unknown], props_of[1][codes], now)
            prop[unknown] = now
            unknown = unknown[now == UNKNOWN]
        prop[prop == DROPPED] = -1
        return prop

    def _add_props(
        self, table: Interned, codes: list[int], kinds: list[int], mapped: I32, *, in_user: bool
    ) -> tuple[str, str, str] | None:
        """Gives names of one event, unknown to its decoder so far, their codes in the project, new
        ones to new names; or says why the event is refused, and adds none.
        """
        known, new = self.catalog.prop_codes, list[tuple[int, str, int]]()
        room = self._limits.project_property_names - len(self.catalog.props)
        for code, kind in zip(codes, kinds, strict=True):
            name = table.names.get(code).decode()
            if not in_user and (name.startswith(USER_PREFIX) or name == DEVICE_ID):
                text = f"the property name {name!r} is reserved"
                return "reserved_name", f"properties.{name}", text
            stored = USER_PREFIX + name if in_user else name
            if stored in known:
                mapped[code] = known[stored]
            elif len(new) >= room:
                most = self._limits.project_property_names
                text = f"the project has {most:,} property names; {name!r} would be one more"
                return "too_many_property_names", f"properties.{name}", text
            else:
                new.append((code, stored, kind))
        for code, stored, kind in new:
            mapped[code] = self.catalog.add_prop(stored, Kind(kind))
        return None

    def _bind_kinds(
        self,
        batch: EventBatch,
        table: Interned,
        prop: I64,
        row_of_cell: I64,
        kinds: U8,
        values: I64,
        lists: Lists,
        refused: dict[int, tuple[str, str, str]],
    ) -> None:
        stored_kinds = self.catalog.kind_codes()
        wanted = np.zeros(len(prop), np.uint8)
        wanted[prop >= 0] = stored_kinds[prop[prop >= 0]]
        wrong = np.flatnonzero((wanted != kinds) & (prop >= 0))
        if not len(wrong):
            return
        plain = wrong[(wanted[wrong] == Kind.FLOAT) & (kinds[wrong] == Kind.INT)]
        values[plain] = values[plain].astype(np.float64).view(np.int64)
        kinds[plain] = Kind.FLOAT
        for cell in wrong[wanted[wrong] != kinds[wrong]]:
            sent, stored = Kind(int(kinds[cell])), Kind(int(wanted[cell]))
            increment = batch.kind[row_of_cell[cell]] == PROFILE_INCREMENT
            try:
                check_increment(stored, increment=bool(increment))
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
    def _cast_cell(table: Interned, lists: Lists, bits: int, sent: Kind, stored: Kind) -> int:
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
        each = np.unique(event[row_of_cell[fresh]] * pairs.shape[1] + prop[fresh])
        events, more = np.unique(each // pairs.shape[1], return_counts=True)
        had = pairs[events].sum(axis=1, dtype=np.int64)
        if (had + more <= self._limits.event_property_names).all():
            return
        counts = dict(zip(events.tolist(), had.tolist(), strict=True))
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

    def _drop_repeats(self, batch: EventBatch, keep: Flags) -> list[int]:
        """Clears ``keep`` for events whose insert_id was stored before; returns their positions in
        the batch. Keys of the other kept events are added to the window.
        """
        start = batch.insert_start
        rows = np.flatnonzero(keep & (start[1:] > start[:-1]))
        if not len(rows):
            return []
        ids = [b"i" + batch.insert[start[row] : start[row + 1]].tobytes() for row in rows]
        offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
        keys = self._dedup.keys(np.frombuffer(b"".join(ids), np.uint8), offsets)
        repeats = rows[self._dedup.add(*keys) == 0]
        keep[repeats] = False
        positions: list[int] = batch.index[repeats].tolist()
        return positions
