"""Terminal charts and tables: what they show is what the rows say, in any terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from zuji.server import charts
from zuji.server.cli.render import duration, for_people, table_of

UNICODE = {"width": 100, "unicode": True}
EVENT = ["series", "bucket", "event.city", "is_other", "value"]
RETENTION = ["cohort", "size", "period", "returned", "rate", "complete"]


def text_of(part):
    out = io.StringIO()
    Console(file=out, width=140, no_color=True).print(part)
    return out.getvalue()


def test_a_sparkline_goes_from_lowest_to_highest_and_leaves_gaps():
    assert charts.sparkline([0, None, 7], 10) == "▁ █"
    assert charts.sparkline([5, 5], 10) == "▅▅"
    assert charts.sparkline([None, None], 10) == "  "
    assert len(charts.sparkline(list(range(1000)), 40)) == 40
    assert charts.sparkline([0, 7], 10, unicode=False).isascii()


@pytest.mark.parametrize(
    ("share", "meant"), [(0, ""), (1, "████"), (0.5, "██"), (2, "████"), (1e-9, "▏")]
)
def test_bars(share, meant):
    assert charts.bar(share, 4) == meant
    assert charts.bar(share, 4, unicode=False).isascii()


def test_numbers_for_people():
    shown = [
        charts.number(v) for v in (None, 1234567, 0.5, 1e6, 1234.567, 0.00012, True, float("inf"))
    ]
    assert shown == ["–", "1,234,567", "0.50", "1,000,000", "1,234.57", "0.00012", "true", "inf"]


def test_trends_keep_groups_apart_and_name_the_rest():
    rows = [
        ["A", "2026-10-01", "北京", False, 1],
        ["A", "2026-10-02", "北京", False, 3],
        ["A", "2026-10-01", None, False, 5],
        ["A", "2026-10-01", None, True, 9],
    ]
    shown = text_of(charts.chart("event", EVENT, rows, **UNICODE)).splitlines()
    assert [line.split()[0] for line in shown[1:]] == ["北京", "(none)", "(other)"]
    assert "▁█" in shown[1]


def test_one_bucket_is_drawn_as_bars():
    rows = [["A", "2026-10-01", "a", False, 10], ["A", "2026-10-01", "b", False, 5]]
    first, second = text_of(charts.chart("event", EVENT, rows, **UNICODE)).splitlines()
    assert first.count("█") == 2 * second.count("█")


def test_funnels_show_rates_of_both_kinds():
    columns = ["step", "label", "count", "rate", "step_rate", "dropped"]
    rows = [[1, "view", 10, 1.0, 1.0, 0], [2, "pay", 0, 0.0, 0.0, 10]]
    shown = text_of(charts.chart("funnel", columns, rows, **UNICODE))
    assert "100.0%" in shown
    assert "0.0%" in shown


def test_an_unknown_cell_of_retention_is_no_zero():
    rows = [["2026-10-01", 10, 0, 5, 0.5, True], ["2026-10-01", 10, 1, None, None, False]]
    line = text_of(charts.chart("retention", RETENTION, rows, **UNICODE)).splitlines()[1]
    assert "50%" in line
    assert "·" in line
    assert "0%" not in line.replace("50%", "")


def test_nothing_to_draw():
    assert charts.chart("event", EVENT, [], **UNICODE) is None
    assert charts.chart("path", ["source"], [["x"]], **UNICODE) is None


def test_the_other_group_is_named_in_tables():
    names, rows = for_people(EVENT, [["A", "b", None, True, 1], ["A", "b", None, False, 2]])
    assert names == ["series", "bucket", "event.city", "value"]
    assert rows == [["A", "b", "(other)", 1], ["A", "b", "(none)", 2]]


def test_text_is_never_taken_as_markup():
    shown = text_of(table_of(["[bold]"], [["[red]x[/red]"], ["[/]"]]))
    assert "[bold]" in shown
    assert "[red]x[/red]" in shown


@pytest.mark.parametrize(
    ("ms", "meant"),
    [
        (0, "0 ms"),
        (950, "950 ms"),
        (12_500, "12.5 s"),
        (59_999, "60.0 s"),
        (185_000, "3 min 5 s"),
        (59_040_000, "16 h 24 min"),
        (1_123_200_000, "13 d"),
        (-185_000, "-3 min 5 s"),
    ],
)
def test_durations(ms, meant):
    assert duration(ms) == meant
