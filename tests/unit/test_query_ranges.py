"""Ranges: texts to instants, comparisons, buckets of a range."""

import pytest

from zuji.engine import calendars as cal
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import Within
from zuji.engine.query.durations import Duration
from zuji.engine.query.model import Time
from zuji.engine.query.ranges import Range, buckets, resolve_range, resolve_within, shift_range

TZ = "Asia/Shanghai"
NOW = cal.parse_instant("2026-10-15T15:20:30.400+08:00")


def resolved(start, end, tz=None, grain="day"):
    found = resolve_range(Time(start, end, tz, grain), NOW, TZ)
    return tuple(cal.format_instant(ms, found.tz)[:19] for ms in (found.from_ms, found.to_ms))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-10-01", "2026-10-31", ("2026-10-01T00:00:00", "2026-11-01T00:00:00")),
        ("today", "today", ("2026-10-15T00:00:00", "2026-10-16T00:00:00")),
        ("yesterday", "yesterday", ("2026-10-14T00:00:00", "2026-10-15T00:00:00")),
        ("-7d", "-1d", ("2026-10-08T00:00:00", "2026-10-15T00:00:00")),
        ("-2w", "today", ("2026-10-01T00:00:00", "2026-10-16T00:00:00")),
        ("-1M", "today", ("2026-09-15T00:00:00", "2026-10-16T00:00:00")),
        ("-1q", "-1M", ("2026-07-15T00:00:00", "2026-09-16T00:00:00")),
        ("-1y", "2026-01-01", ("2025-10-15T00:00:00", "2026-01-02T00:00:00")),
        ("-24h", "-1h", ("2026-10-14T15:00:00", "2026-10-15T15:00:00")),
        (
            "2026-10-01T08:30:00+08:00",
            "2026-10-01T01:00:00Z",
            ("2026-10-01T08:30:00", "2026-10-01T09:00:00"),
        ),
        ("2026-10-15", "now", ("2026-10-15T00:00:00", "2026-10-15T15:20:30")),
    ],
)
def test_texts_of_a_range(start, end, expected):
    assert resolved(start, end) == expected


def test_now_is_included():
    assert resolve_range(Time("today", "now"), NOW, TZ).to_ms == NOW + 1


def test_a_query_may_have_its_own_zone():
    assert resolve_range(Time("2026-10-01", "2026-10-01", "UTC"), NOW, TZ).tz == "UTC"
    here = resolve_range(Time("today", "today"), NOW, "America/New_York")
    assert cal.format_instant(here.from_ms, "America/New_York") == "2026-10-15T00:00:00-04:00"


@pytest.mark.parametrize(
    ("start", "end", "path"),
    [
        ("today", "yesterday", "$.time.to"),
        ("now", "-1h", "$.time.to"),
        ("2026-02-30", "today", "$.time.from"),
        ("today", "soon", "$.time.to"),
        ("2026-10-01T00:00:00", "today", "$.time.from"),
        ("-99999y", "today", "$.time.from"),
    ],
)
def test_ranges_that_are_none(start, end, path):
    with pytest.raises(InvalidQuery) as caught:
        resolve_range(Time(start, end), NOW, TZ)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("start", "end", "shift", "expected"),
    [
        ("2026-03-01", "2026-03-31", "-1M", ("2026-02-01T00:00:00", "2026-03-01T00:00:00")),
        ("2026-02-01", "2026-02-28", "-1M", ("2026-01-01T00:00:00", "2026-02-01T00:00:00")),
        ("2026-03-31", "2026-03-31", "-1M", ("2026-02-28T00:00:00", "2026-03-01T00:00:00")),
        ("2026-03-10", "2026-03-30", "-1M", ("2026-02-10T00:00:00", "2026-03-01T00:00:00")),
        ("2024-02-29", "2024-02-29", "-1y", ("2023-02-28T00:00:00", "2023-03-01T00:00:00")),
        ("2026-10-01", "2026-10-07", "-1w", ("2026-09-24T00:00:00", "2026-10-01T00:00:00")),
        ("2026-10-01", "2026-12-31", "-1q", ("2026-07-01T00:00:00", "2026-10-01T00:00:00")),
        (
            "2026-10-01T08:30:00+08:00",
            "2026-10-01T10:00:00+08:00",
            "-1d",
            ("2026-09-30T08:30:00", "2026-09-30T10:00:00"),
        ),
        ("2026-10-01", "2026-10-01", "-2h", ("2026-09-30T22:00:00", "2026-10-01T22:00:00")),
    ],
)
def test_comparisons_move_by_the_calendar(start, end, shift, expected):
    moved = shift_range(resolve_range(Time(start, end), NOW, TZ), shift)
    assert tuple(cal.format_instant(ms, TZ)[:19] for ms in (moved.from_ms, moved.to_ms)) == expected


def test_a_shift_across_a_clock_change_keeps_the_wall_clock():
    tz = "America/New_York"
    base = resolve_range(Time("2026-03-10", "2026-03-10", tz), NOW, TZ)
    moved = shift_range(base, "-7d")
    assert cal.format_instant(moved.from_ms, tz) == "2026-03-03T00:00:00-05:00"
    assert moved.to_ms - moved.from_ms == cal.DAY_MS


def test_a_shift_before_1900_is_refused():
    base = resolve_range(Time("2026-03-10", "2026-03-10"), NOW, TZ)
    for shift in ("-200y", "-9999y", "1M"):
        with pytest.raises(InvalidQuery) as caught:
            shift_range(base, shift)
        assert caught.value.path == "$.compare.shift"


def test_where_an_audience_looks():
    base = resolve_range(Time("2026-10-01", "2026-10-10"), NOW, TZ)
    assert resolve_within(None, base, NOW) == base
    last = resolve_within(Within(Duration(2, "day")), base, NOW)
    assert (last.from_ms, last.to_ms) == (base.to_ms - 2 * cal.DAY_MS, base.to_ms)
    own = resolve_within(Within(None, "2026-01-01", "2026-01-01"), base, NOW)
    assert cal.format_instant(own.from_ms, TZ) == "2026-01-01T00:00:00+08:00"
    with pytest.raises(InvalidQuery):
        resolve_within(Within(None, "2026-01-02", "2026-01-01"), base, NOW, "$.audience.did.within")


def test_buckets_are_cut_to_the_range_and_named_whole():
    found = buckets(resolve_range(Time("2026-10-01", "2026-10-08", None, "week"), NOW, TZ))
    assert found.labels == ["2026-09-28", "2026-10-05"]
    assert cal.format_instant(int(found.edges[0]), TZ) == "2026-10-01T00:00:00+08:00"
    assert cal.format_instant(int(found.whole[0]), TZ) == "2026-09-28T00:00:00+08:00"
    assert cal.format_instant(int(found.edges[-1]), TZ) == "2026-10-09T00:00:00+08:00"


def test_a_whole_range_is_one_bucket():
    found = buckets(resolve_range(Time("2026-10-01", "2026-10-08", None, "all"), NOW, TZ))
    assert found.labels == ["2026-10-01"]
    assert len(found.edges) == 2


def test_too_many_buckets_are_refused_before_they_are_made():
    for grain, start, end in [
        ("hour", "1900-01-02", "2199-12-30"),
        ("hour", "2025-01-01", "2026-12-31"),
        ("day", "1990-01-01", "2026-12-31"),
    ]:
        with pytest.raises(InvalidQuery) as caught:
            buckets(resolve_range(Time(start, end, None, grain), NOW, TZ))
        assert caught.value.path == "$.time.grain"
    assert len(buckets(Range(0, 10_000 * cal.DAY_MS, "UTC", "day")).labels) == 10_000
