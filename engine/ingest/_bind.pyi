"""Binding of regular batches, natively.

Threads: the GIL is released while rows and cells are walked; the caller holds a lock over the
arrays and the tables. All O(rows + cells).
"""

from typing import Any, Self, final

from zuji.engine.batch import Decoder
from zuji.engine.index._strings import StringTable
from zuji.engine.types import I32, I64, U8, U16, U32, U64

@final
class Regular:
    """A regular batch on its way to the memtable, still in its decoder's columns.

    In this order: :meth:`codes`, :meth:`insert_keys` and :meth:`drop_repeats`, :meth:`fresh_ids`,
    :meth:`take`.
    """

    def __new__(cls, decoder: Decoder) -> Self: ...
    @property
    def decoder(self) -> Decoder: ...
    @property
    def cells(self) -> int:
        """Cells of the batch."""
    @property
    def lists(self) -> int: ...
    @property
    def items(self) -> int: ...
    def codes(
        self,
        event_of: I32,
        props_of: list[I32],
        profile_events: I32,
        prop_kind: U8,
        pairs: U8,
    ) -> bool:
        """Finds the codes of events and properties, and keeps all rows. False when the batch is
        irregular: a name or a pair of names is not in the maps, a kind does not fit (an int fits a
        float), a user property is removed. ``profile_events`` int32[7]: event code of each type of
        record; that of track is not looked at.
        """

    def insert_keys(self, hi_salt: int, lo_salt: int) -> tuple[U64, U64] | None:
        """Keys of the rows that have an insert id, as ``Dedup.keys`` gives them; None: no row."""

    def drop_repeats(self, is_new: U8) -> int:
        """Keeps no row whose key is not new; how many those are."""

    def fresh_ids(self, user_known: U8, device_known: U8) -> tuple[U32, U8] | None:
        """As :func:`fresh_ids`; None when all are known."""

    def both_ids(self) -> int:
        """Kept rows that have a user id and a device id."""

    def unseen(self, user_known: U32, time_known: I64, parting: int) -> tuple[U32, U32, I64] | None:
        """Of kept rows with both ids, those whose device was last seen with another customer than
        ``user_known`` says, or only later than ``time_known``, both by code of the device: their
        devices, customers and times. None: a kept row is of the event ``parting`` (-1: none is).
        """

    def take(
        self,
        ends: tuple[int, int, int, int],
        columns: tuple[Any, ...],
        known: tuple[list[U16], list[U32]],
        there: U32,
        target: StringTable,
        device_prop: int,
        pairs: U8,
    ) -> tuple[int, int, int, int]:
        """Writes the kept rows behind ``ends`` of ``RowLog.columns``; the new ends.

        ``known``: shards and ordinals by string code, of users and of devices; ``there``: codes in
        ``target`` by string code. ``device_prop`` >= 0: rows with both ids get their device as one
        more cell. REQUIRES: all ids are known. Raises ValueError when there is too little room.
        """

def fresh_ids(
    user: U32, device: U32, keep: U8 | None, user_known: U8, device_known: U8
) -> tuple[U32, U8]:
    """Ids of the kept rows that are not known yet, each once, in order of arrival, and whether it
    is a device's. Marks them as known. ``user`` 0xFFFFFFFF: the row goes by its device.
    """

def keys_of(
    table: StringTable, codes: U32, is_second: U8 | None, first: int, second: int
) -> tuple[U8, I64]:
    """A prefix byte and the string of each code, end to end: uint8[total], int64[n+1]. The prefix
    is ``second`` where ``is_second``, else ``first``.
    """

def put_users(
    codes: U32,
    is_device: U8,
    shard: U16,
    ordinal: U32,
    shards: list[U16],
    ordinals: list[U32],
) -> None:
    """Notes the users of ids: ``shards[is_device][code]`` and ``ordinals[is_device][code]``."""

def rows_of(
    user: U32,
    device: U32,
    keep: U8 | None,
    rows: int,
    user_shard: U16,
    user_ordinal: U32,
    device_shard: U16,
    device_ordinal: U32,
) -> tuple[U16, U32]:
    """Shard and ordinal of the ``rows`` kept rows. REQUIRES: their ids are in range and known."""

def adopt_strings(
    prop: U16,
    value: I64,
    items: U32,
    prop_kind: U8,
    source: StringTable,
    target: StringTable,
    map: U32,
) -> None:
    """Turns codes of ``source`` in STRING cells and list items into codes of ``target``, in place.
    ``map`` uint32[len(source)]: what is known already, 0xFFFFFFFF = not yet.
    """
