"""Seeded rows in time order, streamed to Parquet in blocks: memory does not grow with the row
count.

Row ``i`` of ``n`` happens at the quantile ``(i + u) / n`` of the month's load curve, u uniform in
[0, 1): times ascend by construction, so nothing is sorted and nothing is kept. Every block has its
own generator seeded by (seed, block number); user attributes come from one table per user.
Complexity O(rows · log users); memory O(block + users).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import shape as shapes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from bench.shape import Shape

BLOCK_ROWS = 1 << 18
# Share of a user rank: (rank + ZIPF_SHIFT) ^ -ZIPF_POWER. The shift keeps the busiest user human.
ZIPF_POWER = 0.8
ZIPF_SHIFT = 200

SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("ms", "UTC")),
        ("event", pa.dictionary(pa.int32(), pa.string())),
        ("user_id", pa.string()),
        ("channel", pa.dictionary(pa.int32(), pa.string())),
        ("os", pa.dictionary(pa.int32(), pa.string())),
        ("city", pa.dictionary(pa.int32(), pa.string())),
        ("app_version", pa.dictionary(pa.int32(), pa.string())),
        ("page", pa.dictionary(pa.int32(), pa.string())),
        ("product_id", pa.dictionary(pa.int32(), pa.string())),
        ("duration_ms", pa.int64()),
        ("amount", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class _Tables:
    """What is drawn once: dictionaries, cumulative shares and the users' own attributes."""

    event_shares: npt.NDArray[np.float64]
    user_shares: npt.NDArray[np.float64]
    page_shares: npt.NDArray[np.float64]
    product_shares: npt.NDArray[np.float64]
    curve_x: npt.NDArray[np.float64]
    curve_ms: npt.NDArray[np.float64]
    user_name: pa.Array
    user_os: npt.NDArray[np.int32]
    user_city: npt.NDArray[np.int32]
    user_version: npt.NDArray[np.int32]
    user_upgrade: npt.NDArray[np.float64]
    product_price: npt.NDArray[np.float64]
    names: dict[str, pa.Array]


def _cumulative(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = np.cumsum(weights)
    shares: npt.NDArray[np.float64] = total / total[-1]
    return shares


def _zipf(n: int, power: float, shift: float = 0.0) -> npt.NDArray[np.float64]:
    ranks = np.arange(1, n + 1, dtype=np.float64)
    return _cumulative((ranks + shift) ** -power)


def _tables(shape: Shape) -> _Tables:
    rng = np.random.default_rng([shape.seed, 0])
    users = shape.users
    load = np.tile(np.array(shapes.HOUR_LOAD, dtype=np.float64), shape.days)
    weekday = np.repeat(1.0 - 0.15 * (np.arange(shape.days) % 7 >= 5), 24)
    curve = np.concatenate([[0.0], np.cumsum(load * weekday)])
    # User numbers are shuffled against activity ranks, as ids are in life.
    number = rng.permutation(users)
    # Price points as shops write them: 9.90, 49.00, 129.99 …, 200 of them up to 333.
    prices = np.round(rng.integers(1, 333, 200) + rng.choice([0.0, 0.5, 0.9, 0.99], 200), 2)
    return _Tables(
        event_shares=_zipf(shapes.EVENTS, 1.0),
        user_shares=_zipf(users, ZIPF_POWER, ZIPF_SHIFT),
        page_shares=_zipf(shapes.PAGES // shapes.EVENTS, 0.9),
        product_shares=_zipf(shapes.PRODUCTS, 0.7, 5),
        curve_x=curve / curve[-1],
        curve_ms=np.arange(len(curve), dtype=np.float64) * 3_600_000,
        user_name=pa.array([f"u{k:08d}" for k in number.tolist()]),
        user_os=rng.choice(3, users, p=[0.55, 0.33, 0.12]).astype(np.int32),
        user_city=np.searchsorted(_zipf(shapes.CITIES, 0.8), rng.random(users)).astype(np.int32),
        user_version=rng.integers(0, shapes.VERSIONS - 1, users).astype(np.int32),
        user_upgrade=rng.random(users) * 2.0,
        product_price=rng.choice(prices, shapes.PRODUCTS),
        names={
            "event": pa.array([shapes.event_name(k + 1) for k in range(shapes.EVENTS)]),
            "channel": pa.array(shapes.CHANNELS),
            "os": pa.array(shapes.SYSTEMS),
            "city": pa.array([f"城市{k:03d}" for k in range(shapes.CITIES)]),
            "app_version": pa.array([f"9.{k // 4}.{k % 4}" for k in range(shapes.VERSIONS)]),
            "page": pa.array([f"/p/{k:03d}" for k in range(shapes.PAGES)]),
            "product_id": pa.array([f"P{k:05d}" for k in range(shapes.PRODUCTS)]),
        },
    )


def _draw(
    rng: np.random.Generator, shares: npt.NDArray[np.float64], n: int
) -> npt.NDArray[np.int32]:
    return np.searchsorted(shares, rng.random(n), side="right").astype(np.int32)


def _block(shape: Shape, tables: _Tables, number: int) -> pa.RecordBatch:
    first = number * BLOCK_ROWS
    n = min(BLOCK_ROWS, shape.rows - first)
    rng = np.random.default_rng([shape.seed, 1, number])
    quantile = (first + np.arange(n) + rng.random(n)) / shape.rows
    offset = np.interp(quantile, tables.curve_x, tables.curve_ms)
    time = shape.start_ms + np.minimum(offset.astype(np.int64), shape.days * shapes.DAY_MS - 1)
    user = _draw(rng, tables.user_shares, n)
    product = _draw(rng, tables.product_shares, n)
    upgraded = quantile > tables.user_upgrade[user]
    event = _draw(rng, tables.event_shares, n)
    pieces = np.searchsorted([0.7, 0.92, 1.0], rng.random(n)) + 1
    own_page = _draw(rng, tables.page_shares, n)
    codes = {
        "event": event,
        "channel": np.searchsorted([0.5, 0.8, 0.95, 1.0], rng.random(n)).astype(np.int32),
        "os": tables.user_os[user],
        "city": tables.user_city[user],
        "app_version": tables.user_version[user] + upgraded.astype(np.int32),
        "page": event * np.int32(shapes.PAGES // shapes.EVENTS) + own_page,
        "product_id": product,
    }
    columns = {
        "time": pa.array(time, pa.int64()).cast(SCHEMA.field("time").type),
        "user_id": tables.user_name.take(pa.array(user)),
        "duration_ms": pa.array(np.minimum(rng.exponential(2_500.0, n), 30_000.0).astype(np.int64)),
        "amount": pa.array(np.round(tables.product_price[product] * pieces, 2)),
    }
    for name, values in codes.items():
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(values), tables.names[name])
    return pa.record_batch([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def blocks(shape: Shape) -> Iterator[pa.RecordBatch]:
    """Record batches of ≤ 262,144 rows in time order; the same shape gives the same rows."""
    tables = _tables(shape)
    for number in range(-(-shape.rows // BLOCK_ROWS)):
        yield _block(shape, tables, number)


def write_parquet(shape: Shape, path: Path) -> None:
    """Writes the data set to ``path`` (zstd, a row group a block). The file appears only when
    whole.
    """
    partial = path.with_name(path.name + ".tmp")
    with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for block in blocks(shape):
            writer.write_batch(block)
    partial.replace(path)
