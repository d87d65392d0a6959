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
                    event("late", user, 4),
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
