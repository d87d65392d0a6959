"""Buckets against the standard library's zones, instant by instant."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine import calendars as cal

ZONES = [
    "Asia/Shanghai",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/St_Johns",
    "Asia/Tehran",
    "Europe/London",
    "Asia/Kathmandu",
    "UTC",
]
INSTANTS = st.integers(-1_500_000_000_000, 4_000_000_000_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local(ms, tz):
    return (EPOCH + timedelta(milliseconds=ms)).astimezone(ZoneInfo(tz)).replace(tzinfo=None)


@settings(deadline=None, max_examples=150)
@given(tz=st.sampled_from(ZONES), at=st.lists(INSTANTS, min_size=1, max_size=20))
def test_local_days(tz, at):
    days = cal.local_days(np.array(at, np.int64), tz)
    assert days.tolist() == [local(ms, tz).date().toordinal() - 719_163 for ms in at]


@settings(deadline=None, max_examples=150)
@given(
    tz=st.sampled_from(ZONES),
    start=INSTANTS,
    length=st.integers(1, 90 * cal.DAY_MS),
    grain=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    week_start=st.integers(1, 7),
)
def test_edges_cover_the_range_and_begin_at_period_starts(tz, start, length, grain, week_start):
    end = start + length
    bounds = cal.edges(tz, start, end, grain, week_start)
    assert bounds[0] <= start < bounds[1]
    assert bounds[-2] < end <= bounds[-1]
    assert (np.diff(bounds) > 0).all()
    for edge in bounds.tolist():
        here = local(edge, tz)
        before = local(edge - 1, tz)
        assert period(before, grain, week_start) < period(here, grain, week_start)
    for left, right in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        # No period starts inside a bucket (a clock set back may repeat an earlier one).
        inside = period(local(left, tz), grain, week_start)
        for at in np.linspace(left, right - 1, 9).astype(np.int64).tolist():
            assert period(local(at, tz), grain, week_start) <= inside


def period(moment, grain, week_start):
    day = moment.date()
    if grain == "day":
        return day.toordinal()
    if grain == "week":
        return (day.toordinal() - week_start) // 7
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    return (day.year * 12 + day.month - 1) // months


@settings(deadline=None, max_examples=100)
@given(tz=st.sampled_from(ZONES), start=INSTANTS, hours=st.integers(1, 200))
def test_hours_change_exactly_at_edges(tz, start, hours):
    end = start + hours * cal.HOUR_MS
    bounds = cal.edges(tz, start, end, "hour")
    assert bounds[0] <= start < bounds[1]
    assert bounds[-2] < end <= bounds[-1]
    assert (np.diff(bounds) <= cal.HOUR_MS).all()
    zone = ZoneInfo(tz)
    for left, right in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        first, last = (
            (EPOCH + timedelta(milliseconds=ms)).astimezone(zone) for ms in (left, right - 1)
        )
        assert (first.hour, first.date(), first.utcoffset()) == (
            last.hour,
            last.date(),
            last.utcoffset(),
        )
    names = cal.labels(bounds, tz, "hour")
    assert len(set(names)) == len(names)


@settings(deadline=None)
@given(ms=st.integers(cal.MIN_MS + cal.DAY_MS, cal.MAX_MS - cal.DAY_MS), tz=st.sampled_from(ZONES))
def test_instants_round_trip(ms, tz):
    text = cal.format_instant(ms, tz)
    if text.count(":") == 3:  # an offset with seconds (local mean time) is not RFC 3339
        assert cal.parse_instant(text) == ms
