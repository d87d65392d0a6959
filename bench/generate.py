"""Seeded rows in the order of their arrival, streamed in blocks: memory does not grow with the
row count.

A block draws sessions whose starts ascend with the month's load curve: user by Zipf activity,
length and gaps by quantile tables. Each row gets an arrival: its time, later for 5 % of the rows,
and once more for the repeats. Rows that arrive after the block's end wait for a later block (the
waiting rows are some 0.1 % of a month's). Every block has its own generator seeded by (seed, block
number). Complexity O(rows · log block); memory O(block + users + waiting rows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench import shape as shapes
from bench.arrow_rows import SCHEMA, profile_table, to_batch
from bench.tables import BITS, URL_BITS, ZIPF_POWER, ZIPF_SHIFT, Tables, make_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from bench.shape import Shape

    Columns = dict[str, npt.NDArray[Any]]

BLOCK_ROWS = 1 << 18
GROUP_ROWS = 1 << 20
"""Rows of a Parquet row group and of a streamed table."""


class _Bits:
    """Random 16-bit numbers of one block, a stretch at a time."""

    def __init__(self, rng: np.random.Generator, n: int, draws: int) -> None:
        words = rng.integers(0, 1 << 64, -(-n * draws // 4), dtype=np.uint64)
        self._numbers = words.view(np.uint16)
        self._n, self._at = n, 0

    def next(self, n: int | None = None) -> npt.NDArray[np.uint16]:
        n = self._n if n is None else n
        self._at += n
        return self._numbers[self._at - n : self._at]


def _ranks(users: int, u: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Activity ranks at quantiles ``u``: the inverse of ∫ (r + shift)^-power, in closed form."""
    e = 1.0 - ZIPF_POWER
    low, high = ZIPF_SHIFT**e, (users + ZIPF_SHIFT) ** e
    exact = (low + u * (high - low)) ** (1.0 / e) - ZIPF_SHIFT
    ranks: npt.NDArray[np.int64] = np.minimum(exact, users - 1).astype(np.int64)
    return ranks


def _sessions(
    shape: Shape, tables: Tables, number: int, blocks: int, n: int, rng: np.random.Generator
) -> Columns:
    """User and time of ``n`` rows in sessions that start within the block's stretch of time."""
    lengths = tables.session[rng.integers(0, 1 << BITS, n, dtype=np.uint16)].astype(np.int64)
    ends = np.cumsum(lengths)
    count = int(np.searchsorted(ends, n)) + 1
    lengths, ends = lengths[:count].copy(), ends[:count]
    lengths[-1] -= ends[-1] - n
    quantile = (number + (np.arange(count) + rng.random(count)) / count) / blocks
    start = shape.start_ms + np.interp(quantile, tables.curve_x, tables.curve_ms).astype(np.int64)
    user = _ranks(shape.users, rng.random(count)) * tables.user_step % shape.users
    # Running sum of gaps, restarted at each session.
    gaps = tables.gap[rng.integers(0, 1 << BITS, n, dtype=np.uint16)]
    total = np.cumsum(gaps, dtype=np.int64)
    first = np.concatenate([[0], ends[:-1]])
    time = total + np.repeat(start - total[first], lengths)
    # A session that runs over the end of the range is mirrored into it.
    last = shape.end_ms - 1
    late = np.flatnonzero(time > last)
    time[late] = 2 * last - time[late]
    upgraded = quantile > tables.user_upgrade[user]
    version = tables.user_version[user] + upgraded.astype(np.uint8)
    return {
        "time": time,
        "user": np.repeat(user.astype(np.int32), lengths),
        "app_version": np.repeat(version, lengths),
    }


def _block(shape: Shape, tables: Tables, number: int, blocks: int) -> Columns:
    """Rows whose sessions start in block ``number``, repeats included, with their arrivals."""
    first = number * BLOCK_ROWS
    size = min(BLOCK_ROWS, shape.rows - first)
    repeats = size // shapes.REPEAT_EVERY_ROWS
    n = size - repeats
    rng = np.random.default_rng([shape.seed, 1, number])
    columns = _sessions(shape, tables, number, blocks, n, rng)
    bits = _Bits(rng, n, 12)
    event = tables.event[bits.next()]
    product = tables.product[bits.next()]
    pieces = tables.pieces[bits.next()]
    wide = bits.next().astype(np.uint32) << np.uint32(URL_BITS - BITS)
    wide |= bits.next() & np.uint32((1 << (URL_BITS - BITS)) - 1)
    late = np.flatnonzero(bits.next() < round(shapes.LATE_SHARE * (1 << BITS)))
    arrival = columns["time"].copy()
    arrival[late] += tables.late[bits.next()[late]]
    columns |= {
        "event": event,
        "channel": tables.channel[bits.next()],
        "page": event * np.uint8(shapes.PAGES // shapes.EVENTS) + tables.own_page[bits.next()],
        "product_id": product,
        "amount": (product << np.uint16(2)) | pieces,
        "duration_ms": tables.duration[bits.next()],
        "url": tables.url[wide],
        "coupon": tables.coupon[bits.next()],
        "tags": bits.next(),
        "number": np.arange(first, first + n, dtype=np.int64),
        "repeat": np.zeros(n, dtype=bool),
        "arrival": arrival,
    }
    if repeats:
        again = rng.choice(n, repeats, replace=False)
        copies = {name: values[again] for name, values in columns.items()}
        # Half of REPEAT_WITHIN_ROWS at the mean rate: within it at the busiest hour too.
        within = min(shapes.REPEAT_WITHIN_ROWS / 2 / shape.rows, 1 / 40)
        delay = rng.random(repeats) * within * shape.days * shapes.DAY_MS
        copies["arrival"] = copies["arrival"] + 1 + delay.astype(np.int64)
        copies["repeat"] = np.ones(repeats, dtype=bool)
        columns = _joined([columns, copies])
    return columns


def _joined(parts: list[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _arriving(shape: Shape, tables: Tables) -> Iterator[Columns]:
    """Rows in the order of their arrival, as codes."""
    blocks = -(-shape.rows // BLOCK_ROWS)
    waiting: Columns | None = None
    for number in range(blocks):
        made = _block(shape, tables, number, blocks)
        rows = made if waiting is None else _joined([waiting, made])
        order = np.argsort(rows["arrival"], kind="stable")
        if number + 1 < blocks:
            quantile = (number + 1) / blocks
            until = shape.start_ms + np.interp(quantile, tables.curve_x, tables.curve_ms)
            arrived = int(np.searchsorted(rows["arrival"][order], int(until)))
        else:
            arrived = len(order)
        waiting = {name: values[order[arrived:]] for name, values in rows.items()}
        now = order[:arrived]
        yield {name: values[now] for name, values in rows.items()}


def blocks(shape: Shape) -> Iterator[pa.RecordBatch]:
    """Record batches of some 262,144 rows in the order of their arrival; the same shape gives the
    same rows.
    """
    tables = make_tables(shape)
    for columns in _arriving(shape, tables):
        for at in range(0, len(columns["time"]), GROUP_ROWS):
            part = {name: values[at : at + GROUP_ROWS] for name, values in columns.items()}
            yield to_batch(part, tables)


def profiles(shape: Shape) -> pa.Table:
    """One row a user: ``user_id, city, level, birth_year``."""
    return profile_table(shape, make_tables(shape))


def write_parquet(shape: Shape, path: Path) -> None:
    """Writes the data set to ``path`` (zstd) and the profiles beside it. A file appears only when
    whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    users = profiles_path(path)
    pq.write_table(profiles(shape), users, compression="zstd")
    partial = path.with_name(path.name + ".tmp")
    options = {"compression": "zstd", "compression_level": 1, "use_dictionary": _dictionaries()}
    with pq.ParquetWriter(partial, SCHEMA, **options) as writer:
        for group in grouped(blocks(shape), GROUP_ROWS):
            writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS * 2)
    partial.replace(path)


def profiles_path(parquet: Path) -> Path:
    """Where the profiles of a data set lie."""
    return parquet.with_name(parquet.name.replace("events-", "users-"))


def grouped(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Neighbouring batches with at least ``rows`` rows together; the last may have fewer."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(b.num_rows for b in held) >= rows:
            yield held
            held = []
    if held:
        yield held


def _dictionaries() -> list[str]:
    """Columns worth a Parquet dictionary."""
    return [n for n in SCHEMA.names if n not in ("time", "insert_id", "repeat")]
