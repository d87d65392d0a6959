"""The benchmark's data: the same seed gives the same rows, in the promised shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bench import shape as shapes
from bench.generate import BLOCK_ROWS, blocks, grouped, profiles
from bench.shape import DAY_MS, PROFILE, PROPERTIES, Shape, year_of

SHAPE = Shape(600_000)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.Table.from_batches(blocks(SHAPE))


def _times(table: pa.Table) -> np.ndarray:
    return table["time"].cast(pa.int64()).to_numpy()


def _shares(column: pa.ChunkedArray) -> dict[str, float]:
    counts = pc.value_counts(column).to_pylist()
    return {c["values"]: c["counts"] / len(column) for c in counts}


def test_the_same_shape_gives_the_same_rows():
    small = Shape(5_000)
    assert pa.Table.from_batches(blocks(small)).equals(pa.Table.from_batches(blocks(small)))
    other = pa.Table.from_batches(blocks(Shape(5_000, seed=2)))
    assert not pa.Table.from_batches(blocks(small)).equals(other)
    assert profiles(small).equals(profiles(small))


@pytest.mark.parametrize("rows", [1, 99, BLOCK_ROWS, BLOCK_ROWS + 1, 600_000])
def test_as_many_rows_as_asked(rows):
    assert sum(b.num_rows for b in blocks(Shape(rows))) == rows


def test_times_lie_in_the_month_and_in_the_year(table):
    assert SHAPE.start_ms <= _times(table).min()
    assert _times(table).max() < SHAPE.end_ms
    assert SHAPE.first_day[:7] == SHAPE.last_day[:7]
    year = year_of(100_000)
    times = _times(pa.Table.from_batches(blocks(year)))
    assert year.end_ms == SHAPE.end_ms
    assert year.start_ms <= times.min()
    assert times.max() < year.end_ms
    assert len(np.unique((times - year.start_ms) // DAY_MS)) == 365
    assert (year.asked_first_day, year.last_day) == (SHAPE.first_day, SHAPE.last_day)
    assert year.asked_ms == SHAPE.start_ms


def test_shares_users_and_properties(table):
    assert set(PROPERTIES) < set(table.column_names)
    shares = _shares(table["event"])
    assert len(shares) == 40
    assert 0.045 < shares["event_05"] < 0.05
    assert all(0.028 < shares[f"event_{k:02d}"] < 0.08 for k in range(3, 9))
    active = pc.count_distinct(table["user_id"]).as_py()
    assert 0.9 * SHAPE.users < active <= SHAPE.users
    full = [c for c in table.column_names if c != "coupon"]
    assert all(table[name].null_count == 0 for name in full)
    coupons = table["coupon"].drop_null()
    assert 0.028 < len(coupons) / len(table) < 0.032
    assert len(_shares(coupons)) == shapes.COUPONS
    lengths = pc.list_value_length(table["tags"]).to_numpy()
    assert set(lengths.tolist()) == {0, 1, 2, 3}
    assert len(_shares(pc.list_flatten(table["tags"]))) == shapes.TAGS


def test_urls_are_many_and_follow_zipf(table):
    shares = sorted(_shares(table["url"]).values(), reverse=True)
    assert 0.9 * SHAPE.urls < len(shares) <= SHAPE.urls
    assert shares[0] > 0.02
    assert (Shape(20_000_000).urls, Shape(100_000_000).urls) == (100_000, 199_782)


def test_repeats_are_one_row_in_a_hundred_and_equal_their_first_copy(table):
    repeats = table.filter(table["repeat"])
    assert len(repeats) == pytest.approx(SHAPE.rows / shapes.REPEAT_EVERY_ROWS, abs=5)
    firsts = table.filter(pc.invert(table["repeat"]))
    assert pc.count_distinct(firsts["insert_id"]).as_py() == len(firsts)
    assert set(pc.utf8_length(firsts["insert_id"]).unique().to_pylist()) == {16}
    same = firsts.filter(pc.is_in(firsts["insert_id"], repeats["insert_id"]))
    for column in ("time", "user_id", "amount", "duration_ms"):
        left = same.sort_by("insert_id")[column].to_pylist()
        assert left == repeats.sort_by("insert_id")[column].to_pylist()
    place = dict(zip(table["insert_id"].to_pylist(), range(len(table)), strict=True))
    first = {i: k for k, i in reversed(list(enumerate(table["insert_id"].to_pylist())))}
    apart = [place[i] - first[i] for i in repeats["insert_id"].to_pylist()]
    assert min(apart) > 0
    assert max(apart) < SHAPE.rows / 10


def test_one_row_in_twenty_is_late_by_up_to_three_days(table):
    times = _times(table.filter(pc.invert(table["repeat"])))
    behind = np.maximum.accumulate(times) - times
    # Neighbouring sessions lie interleaved, so a few minutes behind is not yet late.
    assert 0.03 < (behind > 5 * 60_000).mean() < 0.06
    assert (behind > 12 * 3_600_000).any()
    assert behind.max() <= 3 * DAY_MS + 3_600_000


def test_events_come_in_sessions(table):
    order = np.lexsort((_times(table), table["user_id"].to_numpy(zero_copy_only=False)))
    users = table["user_id"].to_numpy(zero_copy_only=False)[order]
    times = _times(table)[order]
    same = users[1:] == users[:-1]
    gaps = np.diff(times)[same]
    sessions = (~same).sum() + (gaps > 30 * 60_000).sum() + 1
    assert 5 < SHAPE.rows / sessions < 12


def test_every_user_has_a_profile_with_the_city_of_the_events(table):
    people = profiles(SHAPE)
    assert people.column_names == ["user_id", *PROFILE]
    assert pc.count_distinct(people["user_id"]).as_py() == len(people) == SHAPE.users
    cities = dict(zip(people["user_id"].to_pylist(), people["city"].to_pylist(), strict=True))
    rows = table.slice(0, 2_000)
    for user, city in zip(rows["user_id"].to_pylist(), rows["city"].to_pylist(), strict=True):
        assert cities[user] == city


def test_batches_are_grouped_without_loss():
    groups = list(grouped(blocks(SHAPE), BLOCK_ROWS * 2))
    assert sum(b.num_rows for group in groups for b in group) == SHAPE.rows
    assert all(sum(b.num_rows for b in group) >= BLOCK_ROWS * 2 for group in groups[:-1])
