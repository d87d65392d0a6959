"""Interned: the string tables that batches are decoded into, and what their codes mean in the
project.

A decoder has one for itself, so that decoding needs no lock; codes stay good for its life. What is
known of a code is kept with it: the event or property of a name, the user of an id (both for ever),
and the code that a string has in the memtable that grows now. The memtable's table is not kept
alive: an idle decoder would hold that of one long flushed. Only the decoder's thread uses it, or
whoever holds the writer's lock for it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from zuji.engine.batch import Decoder
from zuji.engine.batch.columns import NONE
from zuji.engine.index._strings import StringTable
from zuji.engine.index.links import places
from zuji.engine.ingest._bind import (
    Regular,
    adopt_strings,
    fresh_ids,
    keys_of,
    put_users,
    rows_of,
)
from zuji.engine.ingest.seen import SeenBefore

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.engine.index.identity import Identity
    from zuji.engine.limits import Limits
    from zuji.engine.storage.memtable import Memtable
    from zuji.engine.storage.row_log import BoundChunk, RowLog
    from zuji.engine.types import I32, I64, U8, U16, U32

_T = TypeVar("_T", bound=np.generic)

UNKNOWN = -1
_NO_STRINGS = np.empty(0, np.uint32)


class Interned:
    """One decoder and its tables. ``names``: event and property names; ``strings``: ids, values."""

    __slots__ = (
        "_epoch",
        "_known",
        "_ordinal",
        "_props",
        "_shard",
        "_target",
        "_there",
        "decoder",
        "events",
        "names",
        "regular",
        "seen",
        "strings",
    )

    def __init__(self, salt: int, limits: Limits) -> None:
        self.names = StringTable(salt=salt)
        self.strings = StringTable(salt=salt)
        self.decoder = Decoder(limits, self.names, self.strings)
        self.regular = Regular(self.decoder)
        self.seen = SeenBefore()
        self.events: I32 = np.full(256, UNKNOWN, dtype=np.int32)
        self._props: list[I32] = [np.full(256, UNKNOWN, dtype=np.int32) for _ in range(2)]
        self._epoch = 0  # of the identity index when ids were resolved
        self._known: list[U8] = [np.zeros(1024, dtype=np.uint8) for _ in range(2)]
        self._shard: list[U16] = [np.zeros(1024, dtype=np.uint16) for _ in range(2)]
        self._ordinal: list[U32] = [np.zeros(1024, dtype=np.uint32) for _ in range(2)]
        self._target: weakref.ref[StringTable] | None = None
        self._there: U32 = np.full(1024, NONE, dtype=np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        ids = 16 * len(self._known[0]) + 4 * len(self._there)
        return int(self.names.nbytes + self.strings.nbytes) + ids

    def grow_names(self) -> tuple[I32, list[I32]]:
        """Maps name code → event code, and name code → property code for event and user scope."""
        size = len(self.names)
        if size > len(self.events):
            self.events = _grown(self.events, size, UNKNOWN)
            self._props = [_grown(p, size, UNKNOWN) for p in self._props]
        return self.events, self._props

    def users(self, identity: Identity, user: U32, device: U32, keep: U8 | None) -> tuple[U16, U32]:
        """Shard and ordinal of the kept rows, by user id or else device id; new users are added in
        order of arrival. ``keep`` uint8[n], None = all.
        """
        self._grow_ids(identity)
        codes, is_device = fresh_ids(user, device, keep, *self._known)
        if len(codes):
            self._resolve(identity, codes, is_device)
        rows = len(user) if keep is None else int(np.count_nonzero(keep))
        return rows_of(
            user,
            device,
            keep,
            rows,
            self._shard[0],
            self._ordinal[0],
            self._shard[1],
            self._ordinal[1],
        )

    def places(self, codes: U32) -> I64:
        """Places of the customers of ids that were resolved, int64[n]."""
        return places(self._shard[0][codes], self._ordinal[0][codes])

    def says_typed(self) -> bool:
        """Whether a name that was met is that of a typed id."""
        return self.seen.any_typed(self.names)

    def adopt(self, chunk: BoundChunk, prop_kinds: U8, target: StringTable) -> None:
        """Turns the chunk's string codes into those of ``target``, in place. O(rows + cells)."""
        self._aim(target)
        adopt_strings(
            chunk.cell_prop,
            chunk.cell_value,
            chunk.list_item if len(chunk.list_item) else _NO_STRINGS,
            prop_kinds,
            self.strings,
            target,
            self._there,
        )

    def take(
        self, identity: Identity, mem: Memtable, received_ms: int, device: int, pairs: U8
    ) -> int:
        """Adds the kept rows of the regular batch to ``mem``; their number. ``device``: code of the
        property for the device of rows with both ids, -1 when there are none. O(rows + cells).
        """
        regular = self.regular
        self._grow_ids(identity)
        if (fresh := regular.fresh_ids(*self._known)) is not None:
            self._resolve(identity, *fresh)
        self._aim(mem.strings)

        def fill(log: RowLog) -> tuple[int, int, int, int]:
            known = (self._shard, self._ordinal)
            return regular.take(
                log.ends, log.columns, known, self._there, mem.strings, device, pairs
            )

        cells = regular.cells + (regular.decoder.n if device >= 0 else 0)
        return mem.extend(
            received_ms, (regular.decoder.n, cells, regular.lists, regular.items), fill
        )

    def _grow_ids(self, identity: Identity) -> None:
        size = len(self.strings)
        if self._epoch != identity.epoch:  # ids were erased: what comes now are other users
            self._epoch = identity.epoch
            for known in self._known:
                known[:] = 0
        if size > len(self._known[0]):
            self._known = [_grown(a, size, 0) for a in self._known]
            self._shard = [_grown(a, size, 0) for a in self._shard]
            self._ordinal = [_grown(a, size, 0) for a in self._ordinal]

    def _resolve(self, identity: Identity, codes: U32, is_device: U8) -> None:
        keys = keys_of(self.strings, codes, is_device, ord("u"), ord("d"))
        shard, ordinal = identity.resolve(*keys)
        identity.resolved(*keys, shard, ordinal)
        put_users(codes, is_device, shard, ordinal, self._shard, self._ordinal)

    def _aim(self, target: StringTable) -> None:
        """What is known of codes holds for ``target`` from now on."""
        if self._target is None or self._target() is not target:
            self._target = weakref.ref(target)
            self._there[:] = NONE
        if len(self.strings) > len(self._there):
            self._there = _grown(self._there, len(self.strings), NONE)


def _grown(array: npt.NDArray[_T], size: int, fill: int) -> npt.NDArray[_T]:
    grown = np.full(max(size, 2 * len(array)), fill, dtype=array.dtype)
    grown[: len(array)] = array
    return grown
