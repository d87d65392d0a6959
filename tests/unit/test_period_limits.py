"""Lifecycle, stickiness and RFM answer within their budget, or say what to narrow."""

from __future__ import annotations

from typing import Any

import pytest

import zuji
from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.analyses import lifecycle, stickiness

DAY_MS = 86_400_000
TIME = {"from": "2026-10-01", "to": "2026-10-10"}
QUERIES: list[dict[str, Any]] = [
    {"model": "lifecycle", "time": TIME, "body": {"event": {"e": "open"}}},
    {"model": "stickiness", "time": TIME, "body": {"event": {"e": "open"}}},
    {"model": "rfm", "time": TIME, "body": {"event": {"e": "open"}, "monetary": "event.n"}},
]
BY = {"by": [{"p": "event.n"}], "top": {"n": 1000}}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with zuji.open(tmp_path_factory.mktemp("project"), tz="Asia/Shanghai") as opened:
        opened.append(
            {
                "event": "open",
                "user_id": f"u{i}",
                "time": 1_790_784_000_000 + i % 9 * DAY_MS,
                "properties": {"n": i},
            }
            for i in range(2_000)
        )
        yield opened


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q["model"])
def test_every_group_of_many_is_counted_or_in_other(engine, query):
    """2,000 groups of one user: 1,000 shown, the others in one row, nobody lost."""
    rows = engine.query({**query, **BY}).to_dicts()
    assert sum(row["users"] for row in rows if row["is_other"] and row.get("state") == "new") == (
        1_000 if query["model"] == "lifecycle" else 0
    )
    totals = engine.query({**query, **BY}).totals
    at = totals["columns"].index("users")
    assert sum(row[at] for row in totals["rows"]) == 2_000
    assert len(totals["rows"]) == 1_001


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q["model"])
def test_a_small_budget_says_what_to_narrow(engine, query):
    with pytest.raises(QueryBudgetExceeded, match="narrow the time range"):
        engine.query({**query, **BY}, memory_bytes=20_000)


@pytest.mark.parametrize(("module", "query"), [(lifecycle, QUERIES[0]), (stickiness, QUERIES[1])])
def test_too_many_cells_are_refused_before_they_are_made(engine, monkeypatch, module, query):
    monkeypatch.setattr(module, "MAX_CELLS", 40)
    with pytest.raises(QueryBudgetExceeded, match="fewer groups"):
        engine.query({**query, **BY})
