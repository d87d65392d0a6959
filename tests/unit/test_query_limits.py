"""Queries at the edges of what codes, cells and tables hold."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

import zuji
from zuji.engine.errors import QueryBudgetExceeded, QueryCancelled
from zuji.engine.query import breakdown, combinations
from zuji.engine.query.analyses import event, event_rows, funnel, funnel_counts
from zuji.engine.query.analyses import retention as retention_analysis
from zuji.engine.query.combinations import Groups
from zuji.engine.query.context import Cancel

if TYPE_CHECKING:
    from zuji.engine.query.grouping import Dimension

TIME_MS = 1_790_784_000_000  # 2026-10-01 in Shanghai
RANGE = {"from": "2026-10-01", "to": "2026-10-02"}


def row(user, event="open", at=0, **properties):
    return {"user_id": user, "event": event, "time": TIME_MS + at, "properties": properties}


def asked(*series, **more):
    time = {**RANGE, "grain": "all"}
    return {"v": 1, "model": "event", "time": time, "body": {"series": list(series)}, **more}


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path, tz="Asia/Shanghai") as engine:
        yield engine


@pytest.mark.parametrize("values", [255, 256, 257])
def test_as_many_values_as_a_byte_has(engine, values):
    """Codes of one byte and a table of 256 groups."""
    engine.append([row(f"u{i}", city=f"city {i}", n=i) for i in range(values)])
    engine.append([row(f"u{i}", "login", 1) for i in range(values)])
    engine.flush()
    distinct = engine.query(asked({"e": "open", "measure": {"distinct": "event.city"}}))
    assert [line[-1] for line in distinct.rows] == [values]
    by = {"by": [{"p": "event.city"}], "top": {"n": 300}}
    median = engine.query(asked({"e": "open", "measure": {"median": "event.n"}}, **by))
    assert sorted(line[-1] for line in median.rows) == list(range(values))
    sessions = engine.query(asked({"e": ["open", "login"], "measure": "sessions"}, **by))
    assert len(sessions.rows) == values + 1  # "login" has no city
    body = {"steps": [{"e": "open"}, {"e": "open"}], "hold": ["event.city"]}
    held = engine.query({"v": 1, "model": "funnel", "time": RANGE, "body": body})
    assert [line[2] for line in held.rows] == [values, 0]
    body = {"start": {"e": "open"}, "return": {"e": "login"}, "periods": 1}
    days = {**RANGE, "grain": "day"}
    retention = engine.query({"v": 1, "model": "retention", "time": days, "body": body, **by})
    assert sum(line[3] for line in retention.rows) == 2 * values  # a size in two periods


@pytest.mark.parametrize(("op", "yes", "one"), [("eq", True, 1), ("in", [True], [1])])
def test_true_and_one_are_different_filters(engine, op, yes, one):
    """They are equal in Python, but not as values of properties."""
    engine.append([row("u", n=1), row("u", at=1, n=1)])
    engine.append([row("v", "later", 9 * 86_400_000)])
    both = [
        {"e": "open", "where": {"p": "event.n", "op": op, "v": v}, "as": name}
        for name, v in (("A", yes), ("B", one))
    ]
    assert [line[-1] for line in engine.query(asked(*both)).rows] == [0, 2]
    assert [line[-1] for line in engine.query(asked(*both[::-1])).rows] == [2, 0]
    starts, returns = both[1], both[0]
    body = {"start": starts, "return": returns, "periods": 1}
    for asked_for in (starts, returns):
        asked_for.pop("as")
    days = {**RANGE, "grain": "day"}
    found = engine.query({"v": 1, "model": "retention", "time": days, "body": body})
    assert [line[1:3] for line in found.totals["rows"]] == [[1, 0], [1, 0]]


def test_more_combinations_than_a_number_holds(engine):
    """Five properties of 7,200 values: 7,201 ** 5 is more than 2 ** 63."""
    names, twice = "abcde", range(1_000, 7_200, 155)
    engine.append([row(f"u{i}", **{p: f"{p} {i}" for p in names}) for i in range(7_200)])
    engine.append([row(f"u{i}", **{p: f"{p} {i}" for p in names}) for i in twice])
    engine.flush()
    by = {"by": [{"p": f"event.{p}"} for p in names], "top": {"n": 40}}
    found = engine.query(asked({"e": "open"}, **by))
    shown = [[f"{p} {i}" for p in names] + [False, 2] for i in twice]
    assert [line[2:] for line in found.rows] == [*shown, [None] * 5 + [True, 7_160]]


def test_wide_combinations_are_told_apart(monkeypatch):
    monkeypatch.setattr(combinations, "ROWS_AT_ONCE", 1_000)
    sizes = [2_000_000, 7, 1_900_000, 1, 1_800_000, 2]
    rng = np.random.default_rng(6)
    parts = [rng.integers(max(0, size - 3), size, 5_000).astype(np.uint32) for size in sizes]
    groups = Groups([cast("Dimension", SimpleNamespace(size=size)) for size in sizes])
    found = groups.of_values(parts)
    rows = list(zip(*(part.tolist() for part in parts), strict=True))
    assert [groups.keys[group] for group in found.tolist()] == rows
    assert len(groups.keys) == len(set(rows))


def test_more_buckets_and_shards_than_one_pass_counts(engine, monkeypatch):
    """Without groups there is nothing to choose: every bucket is counted, however many."""
    monkeypatch.setattr(event_rows, "FULL_CELLS", 1)
    engine.append([row("u"), row("u", at=7_200_000)])
    time = {**RANGE, "grain": "hour"}
    found = engine.query({**asked({"e": "open"}), "time": time})
    assert [line[-1] for line in found.rows][:4] == [1, 0, 1, 0]


def test_a_funnel_of_many_groups_and_buckets_holds_few_cells(engine, monkeypatch):
    """2,000 pages in 480 hours are 3 million cells, nearly all of them empty."""
    hour = 3_600_000
    for step, late in (("open", 0), ("pay", 1)):
        users = range(0, 2_400, 1 + late)
        engine.append(
            [row(f"u{i}", step, i % 480 * hour + late, url=f"/{i % 2_000}") for i in users]
        )
    engine.flush()
    body = {"steps": [{"e": "open"}, {"e": "pay"}], "trend": True}
    query = {"v": 1, "model": "funnel", "body": body, "by": [{"p": "event.url"}], "top": {"n": 3}}
    query["time"] = {"from": "2026-10-01", "to": "2026-10-20", "grain": "hour"}
    dense = engine.query(query)
    assert dense.totals["rows"][0] == ["/0", False, 2, 2, 1.0]
    assert [line[2:4] for line in dense.totals["rows"]] == [[2, 2], [2, 0], [2, 2], [2394, 1196]]
    monkeypatch.setattr(funnel_counts, "MAX_CELLS", 1 << 10)
    tracemalloc.start()
    try:
        sparse = engine.query(query)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (sparse.rows, sparse.totals) == (dense.rows, dense.totals)
    assert peak < 8 << 20
    with pytest.raises(QueryBudgetExceeded):
        engine.query(query, memory_bytes=200_000)


def retention(by=(), **more):
    body = {"start": {"e": "open"}, "return": {"e": "open"}, "periods": 30}
    time = {"from": "2026-10-01", "to": "2026-10-31", "grain": "day"}
    return {"v": 1, "model": "retention", "time": time, "body": body, "by": list(by), **more}


def test_groups_of_retention_are_ranked_without_their_returns(engine, monkeypatch):
    """Cells of every value, cohort and period would be more than the kernel makes."""
    day = 86_400_000
    engine.append([row(f"u{i}", at=i % 2 * day, url=f"/{i % 300}") for i in range(301)])
    engine.append([row("u0", at=day, url="/0")])
    engine.flush()
    query = retention([{"p": "event.url"}], top={"n": 2})
    found = engine.query(query)
    shown = [line[:6] for line in found.rows if line[4] in (0, 1) and line[2] == "2026-10-01"]
    assert [line[:2] for line in shown[::2]] == [["/0", False], ["/1", False], [None, True]]
    monkeypatch.setattr(retention_analysis, "MAX_CELLS", 300 * 31 + 99)
    assert engine.query(query).rows == found.rows
    with pytest.raises(QueryBudgetExceeded):
        engine.query({**query, "top": {"n": 200}})


def test_memory_that_is_not_there_ends_the_query_with_its_own_error(engine, monkeypatch):
    def fails(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(retention_analysis, "retention_cells", fails)
    engine.append([row("u", url="/")])
    with pytest.raises(QueryBudgetExceeded):
        engine.query(retention([{"p": "event.url"}]))


def test_the_last_row_of_one_instant_in_a_segment_and_in_memory(engine):
    """With ties "any" steps order the rows of an instant, wherever those are stored."""
    engine.append([row("u"), row("u", "pay", 5, c="segment")])
    engine.flush()
    engine.append([row("u", "view", 5, c="memory")])
    steps = [{"e": "open"}, {"e": "view"}, {"e": "pay"}, {"e": "leave"}]
    steps[1]["optional"] = steps[2]["optional"] = True
    body = {"steps": steps, "ties": "any"}
    last = {"by": [{"p": "event.c", "attr": "last"}]}
    found = engine.query({"v": 1, "model": "funnel", "time": RANGE, "body": body, **last})
    assert [line[0] for line in found.rows] == ["segment"] * 4


def test_bits_of_days_are_charged(engine):
    engine.append([row(f"u{i}", at=i % 30 * 86_400_000) for i in range(20_000)])
    engine.flush()
    query = retention()
    assert engine.query(query).meta["index"]
    held = 30 * 20_000 // 8 * 2  # users of each day, and those with two rows
    with pytest.raises(QueryBudgetExceeded):
        engine.query(query, memory_bytes=200_000 + held // 2)
    assert engine.query(query, memory_bytes=200_000 + 2 * held).rows


@pytest.mark.parametrize("model", ["event", "funnel"])
def test_making_the_rows_of_an_answer_can_be_cancelled(engine, monkeypatch, model):
    """Rows of many lines take longer than counting them."""
    engine.append([row(f"u{i}", url=f"/{i}") for i in range(300)])
    cancel = Cancel()
    module = {"event": event, "funnel": funnel}[model]
    made = []

    def line_values(*args):
        made.append(args)
        cancel.cancel()
        return breakdown.line_values(*args)

    monkeypatch.setattr(module, "line_values", line_values)
    query = asked({"e": "open"})
    if model == "funnel":
        steps = [{"e": "open"}, {"e": "open"}]
        query = {**query, "model": model, "time": RANGE, "body": {"steps": steps}}
    with pytest.raises(QueryCancelled):
        engine.query({**query, "by": [{"p": "event.url"}], "top": {"n": 300}}, cancel=cancel)
    assert len(made) == 1
