"""The benchmark's data: the same seed gives the same rows, in time order, in the promised shape."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bench.generate import BLOCK_ROWS, blocks
from bench.shape import DAY_MS, PROPERTIES, Shape

SHAPE = Shape(300_000)


def test_the_same_shape_gives_the_same_rows():
    small = Shape(5_000)
    assert pa.Table.from_batches(blocks(small)).equals(pa.Table.from_batches(blocks(small)))
    other = pa.Table.from_batches(blocks(Shape(5_000, seed=2)))
    assert not pa.Table.from_batches(blocks(small)).equals(other)


def test_blocks_are_bounded_and_times_ascend_within_the_month():
    made = list(blocks(SHAPE))
    assert [len(b) for b in made] == [BLOCK_ROWS, SHAPE.rows - BLOCK_ROWS]
    times = pa.Table.from_batches(made)["time"].cast(pa.int64()).to_numpy()
    assert (times[1:] >= times[:-1]).all()
    assert times[0] >= SHAPE.start_ms
    assert times[-1] < SHAPE.start_ms + SHAPE.days * DAY_MS


def test_shares_users_and_properties():
    table = pa.Table.from_batches(blocks(SHAPE))
    assert set(PROPERTIES) < set(table.column_names)
    counts = pc.value_counts(table["event"].combine_chunks()).to_pylist()
    shares = {c["values"]: c["counts"] / SHAPE.rows for c in counts}
    assert len(shares) == 40
    assert 0.045 < shares["event_05"] < 0.05
    assert all(0.028 < shares[f"event_{k:02d}"] < 0.08 for k in range(3, 9))
    assert pc.count_distinct(table["user_id"]).as_py() == SHAPE.users
    assert all(table[name].null_count == 0 for name in table.column_names)
