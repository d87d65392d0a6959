"""Codes of generated rows to Arrow arrays: buffers are filled by numpy, never value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bench import shape as shapes

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.shape import Shape
    from bench.tables import Tables

_CODES = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("ms", "UTC")),
        ("event", _CODES),
        ("user_id", pa.string()),
        ("channel", _CODES),
        ("os", _CODES),
        ("city", _CODES),
        ("app_version", _CODES),
        ("page", _CODES),
        ("product_id", _CODES),
        ("duration_ms", pa.int64()),
        ("amount", pa.float64()),
        ("url", _CODES),
        ("coupon", _CODES),
        ("tags", pa.list_(pa.string())),
        ("insert_id", pa.string()),
        ("repeat", pa.bool_()),
    ]
)
_TAG_BYTES = 5
_TAG_TEXTS = np.array([list(f"tag{k:02d}".encode()) for k in range(shapes.TAGS)], dtype=np.uint8)


def _fixed(texts: npt.NDArray[np.uint8]) -> pa.Array:
    """Strings of one width from uint8[n, width]."""
    n, width = texts.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(texts))]
    return pa.Array.from_buffers(pa.string(), n, buffers)


def user_ids(user: npt.NDArray[Any], tables: Tables) -> pa.Array:
    """``u`` and eight digits."""
    texts = np.empty((len(user), 3), dtype=np.uint32)
    texts[:, 1] = tables.digits4[user // 10_000]
    texts[:, 2] = tables.digits4[user % 10_000]
    wide = texts.view(np.uint8).reshape(len(user), 12)
    wide[:, 3] = ord("u")
    return _fixed(wide[:, 3:])


def _insert_ids(number: npt.NDArray[np.int64], tables: Tables) -> pa.Array:
    """16 hex digits of the row's number after a bijective mix (SplitMix64): all differ."""
    mixed = number.astype(np.uint64)
    mixed += np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    texts = tables.hex4[mixed.view(np.uint16)]
    return _fixed(texts.view(np.uint8).reshape(len(number), 16))


def _tags(bits: npt.NDArray[np.uint16], number: npt.NDArray[np.int64], tables: Tables) -> pa.Array:
    """0–3 different tags: the first by the row's number, the others at odd distances from it."""
    lengths = tables.tag_count[bits].astype(np.int32)
    offsets = np.zeros(len(bits) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    having = np.flatnonzero(lengths)
    first = np.repeat((number[having] * 7919 >> 3) % shapes.TAGS, lengths[having])
    place = np.arange(offsets[-1], dtype=np.int32) - np.repeat(
        offsets[:-1][having], lengths[having]
    )
    codes = (first + place * 7) % shapes.TAGS
    texts = _fixed(_TAG_TEXTS[codes].reshape(-1, _TAG_BYTES))
    return pa.ListArray.from_arrays(pa.array(offsets), texts)


def to_batch(columns: dict[str, npt.NDArray[Any]], tables: Tables) -> pa.RecordBatch:
    """One record batch of ``SCHEMA``."""
    user = columns["user"]
    codes = {
        name: columns[name] for name in ("event", "channel", "app_version", "page", "product_id")
    } | {
        "os": tables.user_os[user],
        "city": tables.user_city[user],
        "url": columns["url"],
    }
    coupon = columns["coupon"].astype(np.int32)
    none = coupon >= shapes.COUPONS
    coupon[none] = 0
    arrays = {
        "time": pa.array(columns["time"]).cast(SCHEMA.field("time").type),
        "user_id": user_ids(user, tables),
        "duration_ms": pa.array(columns["duration_ms"].astype(np.int64)),
        "amount": pa.array(tables.amount[columns["amount"]]),
        "coupon": pa.DictionaryArray.from_arrays(
            pa.array(coupon, mask=none), tables.names["coupon"]
        ),
        "tags": _tags(columns["tags"], columns["number"], tables),
        "insert_id": _insert_ids(columns["number"], tables),
        "repeat": pa.array(columns["repeat"]),
    }
    for name, values in codes.items():
        indices = pa.array(values.astype(np.int32))
        arrays[name] = pa.DictionaryArray.from_arrays(indices, tables.names[name])
    return pa.record_batch([arrays[name] for name in SCHEMA.names], schema=SCHEMA)


def profile_table(shape: Shape, tables: Tables) -> pa.Table:
    """One row a user; the city is that of the user's events."""
    user = np.arange(shape.users)
    columns = {
        "user_id": user_ids(user, tables),
        "birth_year": pa.array(tables.user_birth_year.astype(np.int64)),
    }
    for name, codes in (("city", tables.user_city), ("level", tables.user_level)):
        indices = pa.array(codes.astype(np.int32))
        columns[name] = pa.DictionaryArray.from_arrays(indices, tables.names[name])
    return pa.table({name: columns[name] for name in ("user_id", *shapes.PROFILE)})
