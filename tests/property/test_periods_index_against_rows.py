"""Lifecycle and stickiness from the day index against the same from rows: a filter that all rows
pass forces rows. Several segments and a memtable a shard, two months, profile records.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zuji
from tests.property.test_index_against_rows import EVERY_ROW, START, TZ, events
from zuji.engine.storage import segment_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = date(2026, 9, 1)
AUDIENCES = st.sampled_from(
    [
        None,
        {"user": {"p": "user.level", "op": "eq", "v": "x"}},
        {"did": {"e": "a", "count": {"op": "gte", "v": 2}}},
    ]
)
EVENTS = st.sampled_from(["a", "c", "*", ["b", "c"], "never"])
DAYS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted)


@pytest.fixture(scope="module", params=["one segment", "several"])
def project(request: Any, tmp_path_factory: Any) -> Iterator[zuji.Engine]:
    patch = pytest.MonkeyPatch()
    patch.setattr(segment_writer, "INDEX_ROWS", 20)
    config = zuji.Config(background=False, compact_after=100)
    now = int((START + timedelta(days=60)).timestamp() * 1000)
    path = tmp_path_factory.mktemp("project")
    with zuji.open(path, tz=TZ, config=config, clock=lambda: now) as engine:
        for seed, days in enumerate((40, 25, 9)):
            engine.append(events(seed, 800, days))
            engine.flush()
        if request.param == "one segment":
            engine.compact()
        else:
            engine.append(events(9, 200, 40))  # stays in the memtable
        yield engine
    patch.undo()


def both(engine: zuji.Engine, query: dict[str, Any], pick: dict[str, Any]) -> None:
    rows = engine.query({**query, "where": EVERY_ROW})
    index = engine.query(query)
    assert index.meta["index"]
    assert not rows.meta["index"]
    assert index.rows == rows.rows
    assert index.totals == rows.totals
    assert engine.users(query, pick).rows == engine.users({**query, "where": EVERY_ROW}, pick).rows


def asked(
    model: str, days: list[int], grain: str, week_start: int, audience: Any, body: Any
) -> dict[str, Any]:
    low, high = ((FIRST + timedelta(days=d)).isoformat() for d in days)
    time = {"from": low, "to": high, "tz": TZ, "grain": grain, "week_start": week_start}
    query = {"v": 1, "model": model, "time": time, "body": body}
    return query if audience is None else {**query, "audience": audience}


SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(DAYS, st.sampled_from(["day", "week", "month"]), st.integers(1, 7), AUDIENCES, EVENTS)
def test_lifecycle(project, days, grain, week_start, audience, event):
    query = asked("lifecycle", days, grain, week_start, audience, {"event": {"e": event}})
    found = project.query(query).to_dicts()
    cells = {(r["bucket"], r["state"]): r["users"] for r in found}
    active = {r["bucket"]: r["active"] for r in found}
    for bucket, users in active.items():
        own = [cells[bucket, state] for state in ("new", "returning", "resurrected")]
        assert users == sum(own)
    for before, bucket in zip(active, list(active)[1:], strict=False):
        assert active[before] == cells[bucket, "returning"] + cells[bucket, "dormant"]
    both(project, query, {"bucket": found[-1]["bucket"], "state": "resurrected"})


@SETTINGS
@given(
    DAYS,
    st.sampled_from([("day", None), ("day", "week"), ("day", "month"), ("week", "month")]),
    st.integers(1, 7),
    AUDIENCES,
    EVENTS,
)
def test_stickiness(project, days, periods, week_start, audience, event):
    grain, within = periods
    body = {"event": {"e": event}, "within": within}
    query = asked("stickiness", days, grain, week_start, audience, body)
    found = project.query(query).to_dicts()
    sums: dict[Any, int] = {}
    for r in found:
        sums[r.get("bucket")] = sums.get(r.get("bucket"), 0) + r["users"]
    for r in found:
        if r["periods"] == 1:
            assert r["at_least"] == sums[r.get("bucket")]
    pick = {"periods": 1} if within is None else {"periods": 1, "bucket": found[0]["bucket"]}
    both(project, query, pick)
