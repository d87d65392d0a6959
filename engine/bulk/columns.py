"""Reading a table before anything of the project is asked or changed: times, ids, event names,
property values.

No lock is needed, and the heavy work runs without the GIL: one table is read while another is
bound or written. Work is by column or by distinct value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.arrow_values import Plain, Refusals, dictionary_of, encoded_texts, plain_column
from zuji.engine.bulk._keys import id_states
from zuji.engine.bulk.mapping import check_mapping
from zuji.engine.bulk.times import times_of
from zuji.engine.index.catalog import USER_PREFIX
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.bulk.mapping import TableMapping
    from zuji.engine.limits import Limits
    from zuji.engine.types import I32, I64, U8, Utf8


@dataclass(frozen=True, slots=True)
class ReadProperty:
    """One property: the name it is stored under, its values, and the rows refused for them."""

    source: str
    stored: str
    plain: Plain
    refused: Refusals


@dataclass(frozen=True, slots=True)
class ReadTable:
    """Columns of a table.

    ``time`` int64[n] ms UTC; ``event_names`` and ``event`` int32[n], the index of each row's name
    (-1 = null), None when all rows are of one event; ``user``, ``device`` texts or None; ``state``
    uint8[n] which of the two a row goes by (:func:`~zuji.engine.bulk._keys.id_states`);
    ``insert_id`` texts or None; ``devices`` the device of rows that go by their user.
    """

    n: int
    mapping: TableMapping
    time: I64
    of_times: Refusals
    event_names: list[str]
    event: I32 | None
    user: Utf8 | None
    device: Utf8 | None
    state: U8
    insert_id: Utf8 | None
    props: list[ReadProperty]
    devices: Plain | None


def read_table(
    table: pa.Table, mapping: TableMapping, tz: str, limits: Limits, now_ms: int
) -> ReadTable:
    """Columns of ``table``.

    Raises:
        InvalidInput: the mapping does not fit the table, or a column holds what no property can.
    """
    names = check_mapping(table, mapping)
    of_times = Refusals()
    time = times_of(table, mapping, tz, limits, now_ms, of_times)
    event_names, event = _events(table, mapping)
    user = texts_of(table, mapping.user) if mapping.user is not None else None
    device = texts_of(table, mapping.device) if mapping.device is not None else None
    state = id_states(user, device, table.num_rows, limits.id_bytes)
    props = []
    for source, name in names.items():
        refused = Refusals()
        plain = plain_column(table, source, name, limits=limits, tz=tz, refused=refused)
        if plain is not None:
            stored = USER_PREFIX + name if mapping.profile else name
            props.append(ReadProperty(source, stored, plain, refused))
    return ReadTable(
        n=table.num_rows,
        mapping=mapping,
        time=time,
        of_times=of_times,
        event_names=event_names,
        event=event,
        user=user,
        device=device,
        state=state,
        insert_id=None if mapping.insert_id is None else texts_of(table, mapping.insert_id),
        props=props,
        devices=_devices(table, mapping, state),
    )


def _events(table: pa.Table, mapping: TableMapping) -> tuple[list[str], I32 | None]:
    if mapping.profile:
        return [], None
    if mapping.event_name is not None:
        return [mapping.event_name], None
    assert mapping.event is not None
    encoded = encoded_texts(_text_column(table, mapping.event))
    codes = encoded.indices.cast(pa.int32())
    if codes.null_count:
        codes = codes.fill_null(-1)
    return encoded.dictionary.to_pylist(), codes.to_numpy(zero_copy_only=False)


def _devices(table: pa.Table, mapping: TableMapping, state: U8) -> Plain | None:
    """The raw device id of the rows that have a user id too."""
    if mapping.user is None or mapping.device is None:
        return None
    encoded = encoded_texts(_text_column(table, mapping.device))
    present = state == 0
    indices = encoded.indices
    if indices.null_count:
        present &= indices.is_valid().to_numpy(zero_copy_only=False)
        indices = indices.fill_null(0)
    if not present.any():
        return None
    codes = indices.to_numpy(zero_copy_only=False).astype(np.uint32)
    flags = present.astype(np.uint8)
    return Plain(Kind.STRING, codes, flags, dictionary_of(encoded.dictionary), None)


def texts_of(table: pa.Table, name: str) -> Utf8:
    """A column as text: its bytes, offsets and validity."""
    column = _text_column(table, name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = column.cast(pa.large_string())
    valid = None
    if column.null_count:
        valid = column.is_valid().to_numpy(zero_copy_only=False).view(np.uint8)
    _, offsets, data = column.buffers()
    first, size = column.offset, len(column) + 1
    if offsets is None or not len(column):
        return np.empty(0, np.uint8), np.zeros(1, np.int64), valid
    bounds = np.frombuffer(offsets, np.int64, count=first + size)[first:]
    text = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return text, bounds, valid


def _text_column(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece, dictionary-encoded or text; numbers are written out."""
    column = table.column(name)
    if pa.types.is_string(column.type):
        column = column.cast(pa.large_string())  # a piece may hold more than 2 GiB
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = array.type
    if pa.types.is_dictionary(kind):
        held = kind.value_type
        if pa.types.is_string(held) or pa.types.is_large_string(held):
            return array
        array = array.dictionary_decode()
        kind = held
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array
    if pa.types.is_floating(kind):
        whole = pc.cast(array, pa.int64(), safe=False)
        same = pc.equal(pc.cast(whole, kind, safe=False), array)
        if pc.all(same.fill_null(True)).as_py():
            return whole.cast(pa.large_string())
    return array.cast(pa.large_string())
