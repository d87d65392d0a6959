"""Local calendars at clock changes, skipped days and odd week starts."""

import numpy as np
import pytest

from zuji.engine import calendars as cal

AT = cal.parse_instant


def span(tz, start, end, grain, week_start=1):
    bounds = cal.edges(tz, AT(start), AT(end), grain, week_start)
    return cal.labels(bounds, tz, grain), (np.diff(bounds) / cal.HOUR_MS).tolist()


def test_shanghai_days_are_24_hours_from_local_midnight():
    bounds = cal.edges(
        "Asia/Shanghai", AT("2026-10-01T00:00:00+08:00"), AT("2026-10-03T00:00:00+08:00"), "day"
    )
    assert bounds.tolist() == [AT(f"2026-10-0{d}T00:00:00+08:00") for d in (1, 2, 3)]
    assert bounds.dtype == np.int64


def test_days_of_clock_changes_are_23_and_25_hours_long():
    spring = span("America/New_York", "2026-03-07T05:00:00Z", "2026-03-10T04:00:00Z", "day")
    assert spring == (["2026-03-07", "2026-03-08", "2026-03-09"], [24, 23, 24])
    autumn = span("America/New_York", "2026-10-31T04:00:00Z", "2026-11-03T05:00:00Z", "day")
    assert autumn == (["2026-10-31", "2026-11-01", "2026-11-02"], [24, 25, 24])


def test_the_repeated_hour_is_two_buckets():
    names, hours = span("America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T08:00:00Z", "hour")
    assert names == [
        "2026-11-01T00:00-04:00",
        "2026-11-01T01:00-04:00",
        "2026-11-01T01:00-05:00",
        "2026-11-01T02:00-05:00",
    ]
    assert hours == [1, 1, 1, 1]


def test_the_skipped_hour_is_no_bucket():
    names, _ = span("America/New_York", "2026-03-08T06:00:00Z", "2026-03-08T08:00:00Z", "hour")
    assert names == ["2026-03-08T01:00-05:00", "2026-03-08T03:00-04:00"]


def test_a_half_hour_change_starts_a_short_hour_bucket():
    names, hours = span(
        "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z", "hour"
    )
    assert names == ["2026-04-05T01:00+11:00", "2026-04-05T01:30+10:30", "2026-04-05T02:00+10:30"]
    assert hours == [1, 0.5, 1]


def test_a_day_that_a_zone_skipped_does_not_exist():
    names, hours = span("Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", "day")
    assert names == ["2011-12-29", "2011-12-31"]
    assert hours == [24, 24]


def test_a_day_without_midnight_starts_at_its_first_instant():
    day = cal.edges(
        "America/Sao_Paulo", AT("2018-11-04T12:00:00Z"), AT("2018-11-04T12:00:01Z"), "day"
    )
    assert cal.format_instant(int(day[0]), "America/Sao_Paulo") == "2018-11-04T01:00:00-02:00"
    assert np.diff(day) == 23 * cal.HOUR_MS


def test_a_clock_set_back_just_after_midnight_does_not_split_the_day():
    # St John's changed at 00:01: the last hour of 6 November came twice, the second time after
    # the 7th had begun. It belongs to the 7th.
    names, hours = span("America/St_Johns", "2010-11-06T03:00:00Z", "2010-11-08T03:30:00Z", "day")
    assert names[:2] == ["2010-11-06", "2010-11-07"]
    assert hours[:2] == [24, 25]


@pytest.mark.parametrize(
    ("week_start", "monday"),
    [(1, "2026-09-28"), (7, "2026-09-27"), (4, "2026-10-01"), (5, "2026-09-25")],
)
def test_weeks_start_on_the_given_day(week_start, monday):
    names, hours = span(
        "Asia/Shanghai", "2026-10-01T04:00:00Z", "2026-10-01T05:00:00Z", "week", week_start
    )
    assert names == [monday]
    assert hours == [168]


@pytest.mark.parametrize(
    ("grain", "names"),
    [
        ("month", ["2026-11-01", "2026-12-01", "2027-01-01", "2027-02-01"]),
        ("quarter", ["2026-10-01", "2027-01-01"]),
        ("year", ["2026-01-01", "2027-01-01"]),
        ("all", ["2026-11-15"]),
    ],
)
def test_long_grains_follow_the_calendar(grain, names):
    assert span("Asia/Shanghai", "2026-11-15T04:00:00Z", "2027-02-10T04:00:00Z", grain)[0] == names


def test_an_end_on_an_edge_adds_no_bucket():
    tz = "Asia/Shanghai"
    assert (
        len(
            cal.edges(tz, AT("2026-10-01T00:00:00+08:00"), AT("2026-11-01T00:00:00+08:00"), "month")
        )
        == 2
    )
    assert (
        len(
            cal.edges(
                tz, AT("2026-10-01T00:00:00+08:00"), AT("2026-11-01T00:00:00.001+08:00"), "month"
            )
        )
        == 3
    )


def test_an_empty_range_gives_the_bucket_of_its_start():
    at = AT("2026-10-01T12:00:00+08:00")
    assert len(cal.edges("Asia/Shanghai", at, at, "day")) == 2


def test_extend_goes_on_with_whole_buckets():
    tz = "America/New_York"
    for grain in ("hour", "day", "week", "month", "quarter", "year"):
        bounds = cal.edges(tz, AT("2026-02-10T05:00:00Z"), AT("2026-02-11T05:00:00Z"), grain)
        more = cal.extend(bounds, tz, grain, 9)
        whole = cal.edges(tz, int(bounds[0]), int(more[-1]), grain)
        assert more.tolist() == whole.tolist()
        assert len(more) == len(bounds) + 9


def test_clip_cuts_the_ends_and_labels_keep_the_whole_bucket():
    tz = "Asia/Shanghai"
    start, end = AT("2026-10-01T00:00:00+08:00"), AT("2026-10-07T00:00:00+08:00")
    whole = cal.edges(tz, start, end, "week")
    cut = cal.clip(whole, start, end)
    assert (cut[0], cut[-1]) == (start, end)
    assert cal.labels(whole, tz, "week") == ["2026-09-28", "2026-10-05"]


def test_history_of_any_age_has_buckets():
    bounds = cal.edges("Asia/Shanghai", cal.MIN_MS, cal.MAX_MS - 1, "month")
    assert (np.diff(bounds) > 27 * cal.DAY_MS).all()
    assert len(bounds) - 1 in (3600, 3601)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1970-01-01 00:00:00.5z", 500),
        ("1970-01-01T00:00:00.0019Z", 1),
        ("1970-01-01T00:01Z", 60_000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ("1970-01-01T05:30:00+0530", 0),
    ],
)
def test_instants(text, ms):
    assert cal.parse_instant(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-01",
        "2026-10-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "1899-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "x",
        "2026-10-01T00:00:00+25:00",
        "2026-10-01T00:00:61Z",
        "2026-10-01T00:00:00+08:99",
    ],
)
def test_what_is_no_instant(text):
    with pytest.raises(ValueError, match=r"instant|time|offset|outside"):
        cal.parse_instant(text)


def test_an_unknown_zone_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'Asia/Shanghai'"):
        cal.zone("Asia/Shangai")
    for name in ("", "../etc/passwd", "Asia/../Asia/Shanghai", "\0"):
        with pytest.raises(ValueError, match="unknown time zone"):
            cal.zone(name)
