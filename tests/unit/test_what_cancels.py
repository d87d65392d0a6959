"""What cancels leaves the small values: a payment of 2⁵³, one of 1 and the refund are worth 1.

2⁵³ + 1 is no double. Users lie in several shards, and rows in several days and segments.
"""

from __future__ import annotations

import pytest

import zuji
from zuji.engine.engine import create_project

HUGE = 2.0**53
USERS = 12
"""Enough for both shards to have some who pay much, little, and get it back."""
TIME = {"from": "2026-10-01", "to": "2026-10-03", "grain": "day"}


def event(name, user, day, amount=None, hour=8):
    properties = {} if amount is None else {"amount": amount}
    time = f"2026-10-{day:02}T{hour:02}:00:00Z"
    return {"user_id": user, "event": name, "time": time, "properties": properties}


def amount_of(i):
    """Three users come to 1 together, wherever they are."""
    return (HUGE, 1.0, -HUGE)[i // (USERS // 3)]


@pytest.fixture(params=["across days", "in a day"])
def engine(request, tmp_path):
    create_project(tmp_path / "p", tz="UTC", shards=2)
    with zuji.open(tmp_path / "p") as opened:
        for i in range(USERS):
            day = 1 + i // (USERS // 3) if request.param == "across days" else 1
            user = f"u{i}"
            opened.append(
                [
                    event("open", user, day, hour=7),
                    event("pay", user, day, amount_of(i)),
                    event("late", user, 28),
                ]
            )
            if i % 5 == 0:
                opened.flush()
        yield opened


def ask(engine, model, body, **more):
    return engine.query({"model": model, "time": TIME, "body": body, **more})


def cell(result, name, row=0):
    return result.rows[row][[c.name for c in result.columns].index(name)]


def test_rfm(engine):
    """All users are in one layer."""
    thresholds = {"recency": [99], "frequency": [9], "monetary": [1e300]}
    body = {"event": {"e": "pay"}, "monetary": "event.amount", "thresholds": thresholds}
    found = engine.query({"model": "rfm", "time": {**TIME, "grain": "all"}, "body": body})
    at = [c.name for c in found.columns].index("monetary_sum")
    assert [row[at] for row in found.rows if row[1]] == [USERS / 3]


def test_event_sums_and_means(engine):
    def series(op):
        return {"series": [{"e": "pay", "measure": {op: "event.amount"}}]}

    whole = {"from": "2026-10-01", "to": "2026-10-03", "grain": "all"}
    for op, wanted in (("sum", USERS / 3), ("avg", 1 / 3)):
        found = ask(engine, "event", series(op))
        assert [row[-1] for row in found.totals["overall"]] == [wanted]
        assert [row[-1] for row in found.totals["rows"]] == [wanted]
        found = engine.query({"model": "event", "time": whole, "body": series(op)})
        assert [row[-1] for row in found.rows] == [wanted]
    running = {"series": [{**series("sum")["series"][0], "cumulative": True}]}
    assert ask(engine, "event", running).rows[-1][-1] == USERS / 3


def test_event_sums_of_the_other_groups(engine):
    """Those who pay most are shown; the rest is one line."""
    body = {"series": [{"e": "pay", "measure": {"sum": "event.amount"}}]}
    by = {"by": [{"p": "event.amount"}], "top": {"n": 1}}
    found = ask(engine, "event", body, **by)
    shown, other = [row[-1] for row in found.totals["rows"]]
    assert shown == USERS / 3 * HUGE
    assert other == USERS / 3 - USERS / 3 * HUGE
    assert [row[-1] for row in found.totals["overall"]] == [USERS / 3]


def test_distribution_mean(engine):
    body = {"e": "pay", "measure": {"sum": "event.amount"}, "buckets": [0]}
    found = engine.query({"model": "distribution", "time": {**TIME, "grain": "all"}, "body": body})
    at = found.totals["columns"].index("mean")
    assert [row[at] for row in found.totals["rows"]] == [1 / 3]


def test_attribution_values(engine):
    body = {
        "target": {"e": "pay", "value": "event.amount"},
        "touches": [{"e": "open"}],
        "lookback": {"n": 7, "unit": "day"},
        "models": ["last", "linear"],
    }
    found = engine.query({"model": "attribution", "time": {**TIME, "grain": "all"}, "body": body})
    names = [c.name for c in found.columns]
    row = next(row for row in found.rows if not row[names.index("is_direct")])
    assert row[names.index("value(last)")] == USERS / 3
    assert row[names.index("value(linear)")] == USERS / 3
    assert found.totals["rows"][0][-1] == USERS / 3


def test_funnel_sums(engine):
    body = {
        "steps": [{"e": "open"}, {"e": "pay"}],
        "window": {"n": 1, "unit": "day"},
        "measure": [{"sum": "event.amount", "step": 2}],
    }
    found = engine.query({"model": "funnel", "time": {**TIME, "grain": "all"}, "body": body})
    names = [c.name for c in found.columns]
    at = next(i for i, name in enumerate(names) if name.startswith("sum"))
    assert found.rows[-1][at] == USERS / 3


def test_retention_sums(engine):
    body = {
        "start": {"e": "open"},
        "return": {"e": "pay"},
        "periods": 1,
        "measure": {"sum": "event.amount", "e": "pay"},
    }
    time = {"from": "2026-09-28", "to": "2026-10-04", "grain": "week"}
    found = engine.query({"model": "retention", "time": time, "body": body})
    assert found.rows[0][-1] == USERS / 3
