"""Every model within its budget: 100,000 groups, a session of 1,000 steps, many paths. An answer is
exact, or a QueryBudgetExceeded says what to narrow; never another error, never a wrong number.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

import zuji
from zuji.engine.engine import create_project
from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.analyses import ANALYSES

USERS, STEPS = 100_000, 1_000
START = 1_790_784_000_000  # 2026-10-01 in Shanghai
MINUTE, DAY = 60_000, 86_400_000
TIME = {"from": "2026-10-01", "to": "2026-10-03", "tz": "Asia/Shanghai"}
GROUPS = {"by": [{"p": "event.id"}], "top": {"n": 1000}}
ADVICE = re.compile("narrow|fewer|coarser|shorter|raise the budget|filter")

BODIES: dict[str, dict[str, Any]] = {
    "event": {"series": [{"e": "open", "measure": "users"}]},
    "funnel": {"steps": [{"e": "open"}, {"e": "pay"}], "measure": ["ttc_median"]},
    "retention": {"start": {"e": "open"}, "return": {"e": "pay"}, "periods": 2},
    "path": {"nodes": [{"e": "open", "p": "event.id"}], "max_steps": 20, "max_nodes": 100},
    "session": {"measure": ["sessions", "users", "depth_p90"]},
    "concurrency": {},
    "distribution": {"e": "open", "measure": {"sum": "event.n"}, "buckets": [1, 10]},
    "interval": {"start": {"e": "open"}, "end": {"e": "pay"}},
    "attribution": {
        "target": {"e": "pay"},
        "touches": [{"e": "open", "name": "event.id"}],
        "models": ["first", "linear"],
    },
    "ltv": {"start": {"e": "open"}, "periods": 2, "values": [{"e": "pay", "p": "event.n"}]},
    "lifecycle": {"event": {"e": "open"}},
    "stickiness": {"event": {"e": "open"}},
    "rfm": {"event": {"e": "open"}, "monetary": "event.n"},
    "clicks": {"e": "open", "element": "event.id", "page": "event.page"},
    "user_property": {"measures": [{"sum": "user.age"}]},
}
COUNTS = {
    "event": "value",
    "funnel": "count",
    "retention": "size",
    "path": "count",
    "session": "sessions",
    "concurrency": "peak",
    "distribution": "users",
    "interval": "pairs",
    "attribution": "conversions",
    "ltv": "size",
    "lifecycle": "users",
    "stickiness": "users",
    "rfm": "users",
    "clicks": "clicks",
    "user_property": "users",
}
# Which rows hold each user or thing once.
ONCE: dict[str, dict[str, Any]] = {
    "funnel": {"step": 1},
    "retention": {"period": 0},
    "path": {"layer": 1},
    "ltv": {"period": 0},
    "lifecycle": {"state": "new"},
}


# A group of these is a table by itself: of 1,000 of them they say that it is too many.
WIDE = ("path", "attribution")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Each user opens once, with an id of its own, and pays a minute later; u0's session has 1,000
    more steps, each with an id of its own.
    """
    folder = tmp_path_factory.mktemp("budgets") / "p"
    create_project(folder, tz="Asia/Shanghai", shards=2)
    opened = zuji.open(folder)
    users = [f"u{i}" for i in range(USERS)]
    mapping = {"event": "event", "user": "user", "time": "t"}

    def send(names, event, times, ids):
        table = {"event": [event] * len(names), "user": names, "t": times, "id": ids}
        more = {"n": [1.0] * len(names), "page": ["/"] * len(names)}
        assert opened.append_table(pa.table({**table, **more}), mapping).accepted == len(names)

    spread = [START + i % 600 * MINUTE for i in range(USERS)]
    send(users, "open", spread, [f"i{i}" for i in range(USERS)])
    send(users, "pay", [t + MINUTE for t in spread], [f"i{i}" for i in range(USERS)])
    steps = [START + DAY + i * MINUTE for i in range(STEPS)]
    send(["long"] * STEPS, "open", steps, [f"s{i}" for i in range(STEPS)])
    opened.append(
        {
            "type": "profile_set",
            "user_id": name,
            "time": START,
            "properties": {"id": name, "age": 1},
        }
        for name in users
    )
    opened.append([{"user_id": "u1", "event": "late", "time": START + 9 * DAY}])
    yield opened
    opened.close()


def asked(model):
    query = {"model": model, "time": {**TIME, "grain": "day"}, "body": BODIES[model], **GROUPS}
    if model == "user_property":
        query["by"] = [{"p": "user.id"}]
    if model == "clicks":
        query.pop("by")
    if model in WIDE:
        query["top"] = {"n": 20}
    return query


def test_no_model_is_forgotten():
    assert BODIES.keys() == COUNTS.keys() == ANALYSES.keys()


@pytest.mark.parametrize("model", BODIES)
def test_a_hundred_thousand_groups(engine, model):
    """1,000 are shown, the others are one; nobody is lost and nobody counted twice."""
    rows = engine.query(asked(model), seconds=300).to_dicts()
    once = [r for r in rows if all(r[k] == v for k, v in ONCE.get(model, {}).items())]
    numbers = [row[COUNTS[model]] for row in once]
    plain = dict(asked(model))
    plain.pop("by", None)
    plain["top"] = {"n": 20}
    alone = engine.query(plain, seconds=300).to_dicts()
    whole = [r for r in alone if all(r[k] == v for k, v in ONCE.get(model, {}).items())]
    if model == "concurrency":
        # Peaks of groups do not add up; the rest has at least as many as any group.
        assert max(numbers) <= max(row["peak"] for row in whole)
        assert any(row["is_other"] and row["peak"] > 1 for row in rows)
        return
    assert sum(numbers) == sum(row[COUNTS[model]] for row in whole) > USERS - 1
    if model != "clicks":
        assert {row["is_other"] for row in rows} == {False, True}


@pytest.mark.parametrize("model", BODIES)
def test_any_memory_gives_the_answer_or_an_advice(engine, model):
    query = asked(model)
    whole = engine.query(query, seconds=300)
    answers = [attempt(engine, query, 1 << exponent) for exponent in (12, 17, 22, 27, 33)]
    advice = [text for text in answers if isinstance(text, str)]
    assert advice, "a budget of 4 kB cannot hold 100,000 groups"
    assert [text for text in advice if not ADVICE.search(text)] == []
    # Once there is room, there is room; and what is answered is the whole answer.
    given = answers[len(advice) :]
    assert given
    assert all(not isinstance(one, str) and one == whole.rows for one in given)


def attempt(engine, query, memory):
    """Rows, or the text of the error."""
    try:
        return engine.query(query, seconds=300, memory_bytes=memory).rows
    except QueryBudgetExceeded as error:
        return str(error)


@pytest.mark.parametrize("model", WIDE)
def test_too_many_groups_of_tables_are_an_advice(engine, model):
    with pytest.raises(QueryBudgetExceeded, match="show fewer groups"):
        engine.query({**asked(model), "top": {"n": 1000}}, seconds=300)


@pytest.mark.parametrize("model", BODIES)
def test_no_time_left_is_an_advice(engine, model):
    with pytest.raises(QueryBudgetExceeded, match=ADVICE):
        engine.query(asked(model), seconds=1e-9)


@pytest.mark.parametrize("model", ["path", "session", "concurrency", "funnel"])
def test_a_session_of_a_thousand_steps(engine, model):
    """It is one session, with all of its steps."""
    only = {"user": {"p": "user.id", "op": "is_not_set"}}
    time = {**TIME, "from": "2026-10-02", "grain": "all"}
    query = {"model": model, "time": time, "audience": only, "body": dict(BODIES[model])}
    if model == "session":
        query["body"]["measure"] = ["sessions", "depth_sum", "duration_sum"]
        [row] = engine.query(query, seconds=300).to_dicts()
        assert (row["sessions"], row["depth_sum"]) == (1, STEPS)
        assert row["duration_sum"] == (STEPS - 1) * MINUTE
    elif model == "concurrency":
        [row] = engine.query(query, seconds=300).to_dicts()
        assert row["peak"] == 1
        assert row["average"] == pytest.approx(((STEPS - 1) * MINUTE + 1) / (2 * DAY))
    elif model == "path":
        query["body"]["count"] = "occurrences"
        rows = engine.query(query, seconds=300).to_dicts()
        for layer in range(1, 20):
            assert sum(row["count"] for row in rows if row["layer"] == layer) == STEPS
        query["body"]["count"] = "sessions"
        rows = engine.query(query, seconds=300).to_dicts()
        assert [row["target"] for row in rows] == [f"open:s{i}" for i in range(1, 20)]
    else:
        query["body"] = {
            "steps": [{"e": "open"}] * 30,
            "window": {"unit": "session"},
            "count": "entries",
        }
        rows = engine.query(query, seconds=300).to_dicts()
        # Attempts of 30 steps each do not overlap: 33 whole ones, and one of the 10 left over.
        assert [row["count"] for row in rows] == [34] * 10 + [33] * 20
