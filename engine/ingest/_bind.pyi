"""Binding of regular batches, natively.

Threads: the GIL is released while rows and cells are walked; the caller holds a lock over the
arrays and the tables. All O(rows + cells).
"""

from zuji.engine.index._strings import StringTable
from zuji.engine.types import I32, I64, U8, U16, U32

def bind_codes(
    kind: U8,
    event: U32,
    cell_start: I64,
    cell_prop: U32,
    cell_kind: U8,
    cell_value: I64,
    event_of: I32,
    event_prop_of: I32,
    user_prop_of: I32,
    profile_event: int,
    prop_kind: U8,
    pairs: U8,
    int_kind: int,
    float_kind: int,
) -> tuple[U16, U16, I64] | None:
    """Event code of each row, property code and value of each cell; ints are turned into floats
    where the property is one. None when the batch is irregular: a name or a pair of names is not
    in the maps, a kind does not fit, a user property is removed.
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

def compact(
    user: U32,
    device: U32,
    keep: U8 | None,
    rows: int,
    extra: int,
    start: I64,
    device_prop: int,
    events: U16,
    time: I64,
    prop: U16,
    value: I64,
) -> tuple[U16, I64, I64, U16, I64]:
    """Events (in place), times, cell starts, property codes and values of the kept rows. With
    ``device_prop`` >= 0 rows with both ids (``extra`` at most) get their device as one more cell.
    """

def adopt_strings(
    prop: U16,
    value: I64,
    items: U32,
    prop_kind: U8,
    string_kind: int,
    source: StringTable,
    target: StringTable,
    map: U32,
) -> None:
    """Turns codes of ``source`` in STRING cells and list items into codes of ``target``, in place.
    ``map`` uint32[len(source)]: what is known already, 0xFFFFFFFF = not yet.
    """
