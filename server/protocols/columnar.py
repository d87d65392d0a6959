"""Batches in columns: an Arrow IPC stream as the body of ``POST /v1/events``.

Columns ``event``, ``time``, ``user_id``, ``device_id``, ``insert_id``, ``type`` and ``time_free``
are fields of the event; the fields of a struct ``properties`` and every other column are
properties. Rows become native events (docs/format/batch.md) and take the way of all others.

Open to the internet: what a message says about itself (rows, sizes of compressed buffers) is read
and bounded before pyarrow allocates anything for it, and nothing of a batch is touched before it
was validated as a whole. Pure; called on threads.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zuji.engine.errors import InvalidEvent
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.message import Events, Taken
from zuji.server.protocols._rows import pack_rows
from zuji.server.protocols.records import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.types import I64, U8

    Column = tuple[bytes, int, Any, U8 | None, I64 | None, I64 | None]

ROWS = 100_000
"""Rows of a request."""
SWELL = 8
"""Bytes that columns may become as events, in bytes sent: names stand in every event."""
SWELL_FROM = 4 << 20
"""Bytes of columns that smaller requests are taken for."""
ID_BYTES = 240
"""Of a batch id: each part of a long batch has one of its own."""
OWN = ("event", "time", "user_id", "device_id", "insert_id", "type", "time_free")
_INT, _UINT, _FLOAT, _BOOL, _INSTANT, _TEXT, _LIST = range(7)
_PER_MS = {"us": 1_000, "ns": 1_000_000}
_DICTIONARY, _BATCH = 2, 3  # kinds of messages
_INTERVALS = (21, 22)  # of months, of days: Type of type_fwd.h


def convert(body: bytes, batch_id: str) -> Taken:
    """The events of a stream; ``note``: the row with which each part begins.

    Raises:
        InvalidEvent: the stream cannot be read, or is beyond a limit; index -1.
    """
    most = SWELL * max(len(body), SWELL_FROM)
    try:
        _check_sizes(body, most)
        with pa.ipc.open_stream(body) as reader:
            batch_id = batch_id or _batch_id(reader.schema)
            _check_columns(reader.schema)
            parts: list[Events] = []
            refusals: list[Rejected] = []
            firsts: list[int] = []
            row = 0
            for batch in reader:
                batch.validate(full=True)
                for first, part in _parts(batch, row, most, refusals):
                    most -= len(part.data)
                    firsts.append(first)
                    parts.append(part)
                row += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error) as problem:
        raise _malformed(f"not an Arrow IPC stream: {str(problem)[:200]}") from None
    if not batch_id:
        return Taken(events=parts, refused=refusals, note=firsts)
    if len(batch_id.encode()) > ID_BYTES:
        raise InvalidEvent(f"batch_id has at most {ID_BYTES} bytes", -1, "bad_envelope")
    named = [_named(f"{batch_id}/{at}" if at else batch_id, one) for at, one in enumerate(parts)]
    return Taken(batches=named, refused=refusals, note=firsts)


def _malformed(message: str, reason: str = "malformed") -> InvalidEvent:
    return InvalidEvent(message, -1, reason)


def _named(batch_id: str, part: Events) -> bytes:
    head = b"\x82\xa8batch_id" + msgpack.packb(batch_id) + b"\xa6events\xdc"
    named: bytes = head + part.count.to_bytes(2, "big") + part.data
    return named


def _batch_id(schema: pa.Schema) -> str:
    said = (schema.metadata or {}).get(b"batch_id", b"")
    return str(said, "utf-8")


# -- before anything is read ---------------------------------------------------------------------


def _check_sizes(body: bytes, most: int) -> None:
    """Raises InvalidEvent when the batches would be too long or too large when they are read.

    What the headers say is all that pyarrow goes by: docs/source/format/Columnar.rst of Arrow,
    Message.fbs.
    """
    rows = size = 0
    for message in pa.ipc.MessageReader.open_stream(body):
        data = message.metadata.to_pybytes()
        header = _Table(data, struct.unpack_from("<I", data)[0])
        kind = header.number(1, "<B")
        if kind not in (_DICTIONARY, _BATCH):
            continue
        batch = header.table(2)
        if kind == _DICTIONARY:
            batch = batch.table(1)
        length = batch.number(0, "<q")
        rows += length if kind == _BATCH else 0
        if not 0 <= length <= ROWS or rows > ROWS:
            raise _malformed(f"a request has at most {ROWS:,} rows", "too_many_events")
        if batch.has(3):  # compressed: each buffer begins with its size
            size += _inflated(message.body, batch)
        if size > most:
            raise _malformed("the columns are too large: send fewer rows", "batch_too_large")


def _inflated(body: Any, batch: _Table) -> int:
    total = 0
    for at, length in batch.pairs(2):
        if length:
            said = struct.unpack_from("<q", body, at)[0]
            if said < -1:
                raise _malformed("a compressed buffer of a negative size")
            total += length if said == -1 else said
    return total


class _Table:
    """A table of a flatbuffer. Offsets are checked by ``struct``, which raises."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if self._fields < 0:
            raise struct.error("an offset before the beginning")

    def _field(self, index: int) -> int:
        size = struct.unpack_from("<H", self._data, self._fields)[0]
        if 4 + 2 * index + 2 > size:
            return 0
        found: int = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * index)[0]
        return found

    def has(self, index: int) -> bool:
        """Whether a field is there."""
        return self._field(index) != 0

    def number(self, index: int, form: str) -> int:
        """A number; 0 when it is not there."""
        field = self._field(index)
        found: int = struct.unpack_from(form, self._data, self._at + field)[0] if field else 0
        return found

    def _to(self, index: int) -> int:
        at = self._at + self._field(index)
        found: int = at + struct.unpack_from("<I", self._data, at)[0]
        return found

    def table(self, index: int) -> _Table:
        """A table in this one."""
        return _Table(self._data, self._to(index))

    def pairs(self, index: int) -> Iterator[tuple[int, int]]:
        """A vector of structs of two int64."""
        if not self.has(index):
            return
        at = self._to(index)
        count = struct.unpack_from("<I", self._data, at)[0]
        for i in range(count):
            yield struct.unpack_from("<qq", self._data, at + 4 + 16 * i)


def _check_columns(schema: pa.Schema) -> None:
    for field in schema:
        if _has_interval(field.type):
            raise _malformed(f"column {field.name!r} is {field.type}", "bad_columns")
    own = [name for name in schema.names if name in OWN or name == "properties"]
    names = [name for name in schema.names if name not in own]
    for field in schema:
        if field.name == "properties":
            if not pa.types.is_struct(field.type):
                raise _malformed("the column properties is a struct", "bad_columns")
            names += [inner.name for inner in field.type]
    twice = len({*own}) < len(own) or len({*names}) < len(names)
    if twice or len(names) > DEFAULT_LIMITS.event_properties:
        raise _malformed("too many columns, or two of one name", "bad_columns")
    if long := [name for name in names if len(name.encode()) > DEFAULT_LIMITS.name_bytes]:
        raise _malformed(f"the name {long[0][:100]!r}… is too long", "bad_columns")


def _has_interval(kind: pa.DataType) -> bool:
    """Whether values of this type are, or hold, what pyarrow can name and not read."""
    if pa.types.is_dictionary(kind):
        return _has_interval(kind.value_type)
    inner = (kind.field(i).type for i in range(kind.num_fields))
    return kind.id in _INTERVALS or any(_has_interval(one) for one in inner)


# -- columns to events ---------------------------------------------------------------------------


def _parts(
    batch: pa.RecordBatch, row: int, most: int, refusals: list[Rejected]
) -> Iterator[tuple[int, Events]]:
    """Events within the limits of a batch, and the row of the first; ``row``: of the batch's."""
    if not batch.num_rows:
        return
    data, ends, items = packed_rows(batch, most)
    first = 0
    for end, fits in _cuts(ends, np.cumsum(items)):
        start = int(ends[first - 1]) if first else 0
        raw = data[start : int(ends[end - 1])]
        if fits:
            yield row + first, Events(end - first, int(items[first:end].sum()), raw)
        else:
            message = "the event is larger than a batch may be"
            refusals.append(refused(row + first, "event_too_large", message, raw))
        first = end


def packed_rows(batch: pa.RecordBatch, most: int) -> tuple[bytes, I64, I64]:
    """Native events of the rows (at least one), end to end; int64[rows] where each ends, and the
    msgpack values of each. ``most``: bytes that they may become.

    Raises:
        InvalidEvent: they become more, or a column holds what no property can.
    """
    own, properties = list[Any](), list[Any]()
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if name == "properties":
            for field, inner in zip(array.type, array.flatten(), strict=True):
                properties.append(_column(field.name, inner, most))
        else:
            (own if name in OWN else properties).append(_column(name, array, most))
    packed = pack_rows(
        batch.num_rows,
        [one for one in own if one is not None],
        [one for one in properties if one is not None],
        most,
    )
    if packed is None:
        raise _malformed("the rows are too large as events: send fewer", "batch_too_large")
    return packed


def _cuts(ends: I64, items: I64) -> Iterator[tuple[int, bool]]:
    """Ends of parts that are as long as a batch may be; False: one event that is too large.

    ``ends``, ``items`` int64[rows]: bytes, and msgpack values, up to and with a row.
    """
    first, bytes_before, items_before = 0, 0, 0
    while first < len(ends):
        end = min(
            first + DEFAULT_LIMITS.batch_events,
            int(np.searchsorted(ends, bytes_before + DEFAULT_LIMITS.batch_bytes - 512, "right")),
            int(np.searchsorted(items, items_before + DEFAULT_LIMITS.batch_items - 8, "right")),
        )
        fits = end > first
        end = max(end, first + 1)
        yield end, fits
        first, bytes_before, items_before = end, int(ends[end - 1]), int(items[end - 1])


def _column(name: str, array: pa.Array, most: int) -> Column | None:
    """A column as plain arrays; None: it has no values."""
    if pa.types.is_dictionary(array.type):
        array = _decoded(name, array, most)
    kind = array.type
    if pa.types.is_null(kind):
        return None
    valid = None
    if array.null_count:
        valid = np.ascontiguousarray(array.is_valid().cast(pa.uint8()).to_numpy())
    key = msgpack.packb(name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text, start = _texts(array)
        return key, _TEXT, text, valid, start, None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = array.values
        if pa.types.is_dictionary(inner.type):
            inner = _decoded(name, inner, most)
        if pa.types.is_string(inner.type) or pa.types.is_large_string(inner.type):
            if inner.null_count:
                raise _malformed(f"column {name!r}: a list with null in it", "bad_columns")
            lists = array.offsets.cast(pa.int64()).to_numpy()
            text, start = _texts(inner)
            return key, _LIST, text, valid, start, np.ascontiguousarray(lists)
    code, values = _numbers(name, kind, array)
    if name == "time" and code == _INSTANT:
        code = _INT
    return key, code, values, valid, None, None


def _numbers(name: str, kind: pa.DataType, array: pa.Array) -> tuple[int, Any]:
    """A column of a fixed width: what the values are, and they."""
    types = pa.types
    if types.is_boolean(kind):
        return _BOOL, _plain(array.cast(pa.uint8()))
    if types.is_uint64(kind):
        return _UINT, _plain(array).view(np.int64)
    if types.is_integer(kind):
        return _INT, _plain(array.cast(pa.int64()))
    if types.is_floating(kind):
        return _FLOAT, _plain(
            array.cast(pa.float32()).cast(pa.float64())
            if kind == pa.float16()
            else array.cast(pa.float64())
        )
    if types.is_timestamp(kind):
        if kind.tz is None:
            message = f"column {name!r}: instants need a time zone (timestamp[ms, UTC])"
            raise _malformed(message, "bad_columns")
        if kind.unit in _PER_MS:
            return _INSTANT, _plain(array.view(pa.int64())) // _PER_MS[kind.unit]
        return _INSTANT, _plain(array.cast(pa.timestamp("ms", kind.tz)).view(pa.int64()))
    if types.is_date(kind):
        return _INSTANT, _plain(array.cast(pa.date64()).view(pa.int64()))
    raise _malformed(
        f"column {name!r} is {kind}: send bool, integers, floats, timestamps with a zone, dates, "
        "strings (dictionaries of them) or lists of strings",
        "bad_columns",
    )


def _plain(array: pa.Array) -> Any:
    if array.null_count:
        array = array.fill_null(0)
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False))


def _texts(array: pa.Array) -> tuple[Any, I64]:
    """Bytes of texts end to end, and where each starts, int64[n+1]."""
    wide = pa.types.is_large_string(array.type)
    _, starts, data = array.buffers()
    if starts is None or not starts.size:
        return np.empty(0, np.uint8), np.zeros(len(array) + 1, np.int64)
    width = np.int64 if wide else np.int32
    start = np.frombuffer(starts, width, len(array) + 1, array.offset * width().itemsize)
    text = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return text, start.astype(np.int64)


def _decoded(name: str, array: pa.DictionaryArray, most: int) -> pa.Array:
    """The texts of a dictionary column, when they are not too much all together."""
    texts = array.dictionary
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise _malformed(f"column {name!r}: dictionaries are of strings", "bad_columns")
    sizes = pc.binary_length(texts).cast(pa.int64()).fill_null(0)
    if (pc.sum(sizes.take(array.indices)).as_py() or 0) > most:
        raise _malformed("the rows are too large as events: send fewer", "batch_too_large")
    decoded: pa.Array = array.cast(pa.large_string())
    return decoded
