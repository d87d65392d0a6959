"""User properties: who counts for whom, what a persona's audiences may name, what is refused."""

import pytest

import zuji
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.parse import echo, parse
from zuji.engine.query.scope import Scope

TIME = {"from": "2026-10-01", "to": "2026-10-31"}
NORTH = {"p": "event.org", "op": "eq", "v": "north"}
PAID = {"did": {"e": "pay"}}


def at(day):
    return f"2026-10-{day:02d}T08:00:00Z"


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path / "d") as engine:
        profiles = {
            "ann": {"plan": "gold", "age": 30},
            "bob": {"plan": "free", "age": 20},
            "cat": {"plan": "gold", "age": 1_000},
            "dan": {"plan": "free", "age": 2_000},
        }
        engine.append(
            [
                {"type": "profile_set", "user_id": user, "time": at(1), "properties": properties}
                for user, properties in profiles.items()
            ]
        )
        engine.append(
            [
                {"user_id": user, "event": name, "time": at(day), "properties": {"org": org}}
                for user, name, day, org in [
                    ("ann", "pay", 2, "north"),
                    ("bob", "pay", 3, "north"),
                    ("bob", "open", 4, "south"),
                    ("cat", "pay", 5, "south"),
                ]
            ]
        )
        yield engine


def asked(body, **more):
    return {"model": "user_property", "time": TIME, "body": body, **more}


def ids(result):
    return [row[0] for row in result.rows]


def test_a_caller_counts_users_with_a_row_in_sight(engine):
    query = asked({"auto_buckets": ["user.age"], "measures": [{"max": "user.age"}]})
    query["by"] = [{"p": "user.age"}]
    scope = Scope.of(NORTH)
    result = engine.query(query, scope=scope)
    # Not even the buckets tell of the ages of cat and dan.
    assert result.totals["rows"] == [[2, 30]]
    assert result.totals["buckets"]["user.age"][-1] <= 31
    assert sum(row[2] for row in result.rows) == 2
    assert ids(engine.users(query, {}, scope=scope)) == ["ann", "bob"]
    assert engine.query(query).totals["rows"] == [[4, 2000]]


def test_both_sides_of_a_persona_are_within_the_scope(engine):
    persona = {"group": {"did": {"e": "open"}}, "properties": [{"p": "user.plan"}]}
    scope = Scope.of(NORTH)
    assert engine.query(asked({"persona": persona})).totals["rows"] == [[1, 4]]
    # bob opened in the south alone: the caller's audience does not see it.
    assert engine.query(asked({"persona": persona}), scope=scope).totals["rows"] == [[0, 2]]
    paid = {**persona, "group": PAID}
    assert engine.query(asked({"persona": paid}), scope=scope).totals["rows"] == [[2, 2]]
    assert ids(engine.users(asked({"persona": paid}), {"side": "base"}, scope=scope)) == [
        "ann",
        "bob",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"measures": [{"avg": "user.age"}]},
        {"persona": {"group": PAID, "properties": [{"p": "user.age"}]}},
        {
            "persona": {
                "group": {"user": {"p": "user.age", "op": "gt", "v": 5}},
                "properties": [{"p": "user.plan"}],
            }
        },
        {
            "persona": {
                "group": PAID,
                "base": {"not": {"user": {"p": "user.age", "op": "gt", "v": 5}}},
                "properties": [{"p": "user.plan"}],
            }
        },
    ],
)
def test_a_masked_property_cannot_be_asked_for(engine, body):
    engine.query(asked(body))
    with pytest.raises(InvalidQuery, match=r"user\.age"):
        engine.query(asked(body), scope=Scope.of(masked=["user.age"]))


def test_audiences_of_a_persona_may_name_virtual_events(engine):
    engine.define(events={"bought in the north": {"of": [{"e": "pay", "where": NORTH}]}})
    persona = {
        "group": {"did": {"e": "bought in the north"}},
        "base": {"did_not": {"e": "bought in the north"}},
        "properties": [{"p": "user.plan"}],
    }
    assert engine.query(asked({"persona": persona})).totals["rows"] == [[2, 2]]
    scans = engine.explain(asked({"persona": persona}))["scans"]
    assert len(scans) == 2
    warnings = engine.query(asked({"persona": {**persona, "group": {"did": {"e": "payy"}}}})).meta[
        "warnings"
    ]
    assert any("payy" in text and "persona.group" in text for text in warnings)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"body": {"as_of": "some day"}}, "$.body.as_of"),
        ({"body": {"auto_buckets": ["user.age"]}}, "$.body.auto_buckets[0]"),
        (
            {
                "by": [{"p": "user.age", "buckets": [1]}],
                "body": {"auto_buckets": ["user.age"]},
            },
            "$.body.auto_buckets[0]",
        ),
        ({"by": [{"p": "user.plan"}], "body": {"auto_buckets": ["user.plan"]}}, None),
        ({"by": [{"p": "user.plan", "as_of": "event"}]}, "$.by[0].as_of"),
        ({"body": {"measures": [{"sum": "event.org"}]}}, "$.body.measures[0].sum"),
        ({"body": {"measures": [{"sun": "user.age"}]}}, "$.body.measures[0]"),
        ({"body": {"measures": [{"sum": "user.age"}] * 2}}, "$.body.measures[1].measure"),
        (
            {
                "by": [{"p": "user.plan"}],
                "body": {"persona": {"group": PAID, "properties": [{"p": "user.plan"}]}},
            },
            "$.by",
        ),
        (
            {
                "body": {
                    "measures": [{"sum": "user.age"}],
                    "persona": {"group": PAID, "properties": [{"p": "user.plan"}]},
                }
            },
            "$.body.measures",
        ),
        (
            {"body": {"persona": {"group": {"cohort": "vip"}, "properties": [{"p": "user.plan"}]}}},
            "$.body.persona.group",
        ),
        (
            {
                "body": {
                    "persona": {
                        "group": PAID,
                        "properties": [{"p": "user.plan", "buckets": [1, 2]}],
                    }
                }
            },
            "$.body.persona.properties[0].buckets",
        ),
    ],
)
def test_what_cannot_be_asked_says_where(engine, change, path):
    with pytest.raises(InvalidQuery) as caught:
        engine.query({**asked({}), **change})
    assert caught.value.path == (path or "$.body.auto_buckets[0]")


@pytest.mark.parametrize(
    ("pick", "path"),
    [
        ({"property": "user.plan"}, "$.pick.property"),
        ({"side": "base"}, "$.pick.side"),
        ({"is_other": True}, "$.pick.is_other"),
    ],
)
def test_a_pick_without_a_persona(engine, pick, path):
    with pytest.raises(InvalidQuery) as caught:
        engine.users(asked({}), pick)
    assert caught.value.path == path


def test_a_pick_of_a_persona(engine):
    query = asked({"persona": {"group": PAID, "properties": [{"p": "user.plan"}]}})
    for pick, path in [
        ({"property": "user.age"}, "$.pick.property"),
        ({"value": "gold"}, "$.pick.value"),
        ({"property": "user.plan", "value": "lead"}, "$.pick.by"),
    ]:
        with pytest.raises(InvalidQuery) as caught:
            engine.users(query, pick)
        assert caught.value.path == path
    assert ids(engine.users(query, {"property": "user.plan", "value": "gold"})) == ["ann", "cat"]


def test_sums_of_whole_numbers_do_not_round_on_the_way(engine):
    big = 2**62
    engine.append(
        [
            {
                "type": "profile_set",
                "user_id": user,
                "time": at(1),
                "properties": {"n": n, "x": x},
            }
            for user, n, x in [("ann", big, 1e308), ("bob", big, 1e308), ("cat", 3 - 2**63, 1.0)]
        ]
    )
    body = {"measures": [{"sum": "user.n"}, {"min": "user.n"}, {"sum": "user.x"}]}
    result = engine.query(asked(body))
    assert result.rows[0][2:] == [3.0, 3 - 2**63, None]
    result.to_arrow()


def test_a_small_budget_is_an_error(engine):
    people = [
        {"type": "profile_set", "user_id": f"u{i}", "time": at(1), "properties": {"name": f"n{i}"}}
        for i in range(20_000)
    ]
    engine.append(people)
    query = asked({}, by=[{"p": "user.name"}])
    assert len(engine.query(query).rows) == 21
    with pytest.raises(QueryBudgetExceeded):
        engine.query(query, memory_bytes=100_000)


def test_the_answer_reads_again():
    query = parse(asked({"measures": [{"p90": "user.age"}], "as_of": "end"}))
    assert parse(echo(query)) == query
