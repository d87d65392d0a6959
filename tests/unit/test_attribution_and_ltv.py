"""What random projects are too small for: very many names, budgets, policies, dates as texts."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

import zuji
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.analyses import attribution, attribution_touches
from zuji.engine.query.scope import Scope

DAY = "2026-10-{:02d}T{:02d}:00:00+08:00"
TIME = {"from": "2026-10-01", "to": "2026-10-28", "grain": "all"}


def rows_of(result):
    return [dict(zip(result.names, row, strict=True)) for row in result.rows]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    rng = random.Random(7)
    events = []
    for user in range(60):
        for _ in range(rng.randint(1, 25)):
            name = rng.choice(["ad", "ad", "mail", "pay"])
            event = {
                "user_id": f"u{user}",
                "event": name,
                "time": DAY.format(rng.randint(1, 28), rng.randint(0, 23)),
                "properties": {"campaign": f"c{rng.randint(0, 40)}", "org": user % 3},
            }
            if name == "pay":
                event["properties"] |= {"amount": rng.choice([1.5, 20.25, -3.0])}
            events.append(event)
        joined = rng.choice(["2026-10-03", "2026-10-04 12:30:00", "2026-10-05T00:00:00Z", "soon"])
        events.append(
            {
                "user_id": f"u{user}",
                "type": "profile_set",
                "time": DAY.format(1, 0),
                "properties": {"joined": joined, "level": rng.choice(["a", "b"])},
            }
        )
    with zuji.open(tmp_path_factory.mktemp("p") / "p", tz="Asia/Shanghai") as opened:
        opened.append(events)
        yield opened


def asked(**body):
    given = {
        "target": {"e": "pay", "value": "event.amount"},
        "touches": [{"e": "ad", "name": "event.campaign"}, {"e": "mail"}],
        "models": ["first", "last", "linear", "position", "time_decay"],
        **body,
    }
    return {"model": "attribution", "time": TIME, "body": given}


@pytest.mark.parametrize("trend", [False, True])
def test_names_numbered_by_what_rows_have_are_the_same_names(engine, monkeypatch, trend):
    query = asked(trend=trend) | {"time": {**TIME, "grain": "week"}}
    plain = engine.query(query).rows
    monkeypatch.setattr(attribution_touches, "DENSE_NAMES", 0)
    assert engine.query(query).rows == plain
    row = rows_of(engine.query(query))[0]
    pick = {"touch": "ad", "name": row["name"]} | ({"bucket": row["bucket"]} if trend else {})
    assert len(engine.users(query, pick).rows) == row["users"]


def test_credit_of_all_rows_is_the_number_of_conversions(engine):
    result = engine.query(asked())
    ((conversions, touched, _, value),) = result.totals["rows"]
    assert 0 < touched < conversions
    for model in ("first", "last", "linear", "position", "time_decay"):
        credit = [Fraction(x) for x in result.column(f"credit({model})")]
        # Each is the float next to a whole number of shares; their sum is off by those roundings.
        assert abs(sum(credit) - conversions) <= Fraction(sum(credit)) / 2**52
        assert sum(result.column(f"value({model})")) == pytest.approx(value, rel=1e-12)


def test_more_cells_than_a_kernel_takes_say_what_to_narrow(engine, monkeypatch):
    monkeypatch.setattr(attribution, "MAX_CELLS", 20)
    with pytest.raises(QueryBudgetExceeded, match="property with fewer values"):
        engine.query(asked())


def test_a_touch_has_no_list_of_names(engine):
    engine.append(
        [
            {
                "user_id": "list",
                "event": "note",
                "time": DAY.format(1, 1),
                "properties": {"tags": ["x"]},
            }
        ]
    )
    with pytest.raises(InvalidQuery) as refused:
        engine.query(asked(touches=[{"e": "ad", "name": "event.tags"}]))
    assert refused.value.path == "$.body.touches[0].name"
    with pytest.raises(InvalidQuery) as refused:
        engine.query(asked(match=["event.tags"]))
    assert refused.value.path == "$.body.match[0].touch"


def by_joining(**more):
    body = {"date": "user.joined", "periods": 2, "values": [{"e": "pay", "p": "event.amount"}]}
    time = {"from": "2026-10-01", "to": "2026-10-07"}
    return {"model": "ltv", "time": time, "body": body, **more}


def test_texts_that_are_no_dates_are_warned_of(engine):
    result = engine.query(by_joining())
    assert any("user.joined" in text and "no dates" in text for text in result.meta["warnings"])
    sizes = {row["cohort"]: row["size"] for row in rows_of(result)}
    assert sum(sizes.values()) < 60
    assert [day for day, size in sizes.items() if size] == [
        "2026-10-03",
        "2026-10-04",
        "2026-10-05",
    ]


def test_a_policy_of_rows_holds_for_users_who_enter_by_a_date(engine):
    """Their cohort needs no row, so it must not count users of whom the caller may see none."""
    scope = Scope.of({"p": "event.org", "op": "eq", "v": 1})
    everybody = sum(
        row["size"] for row in rows_of(engine.query(by_joining())) if row["period"] == 0
    )
    seen = sum(
        row["size"]
        for row in rows_of(engine.query(by_joining(), scope=scope))
        if row["period"] == 0
    )
    listed = {
        user
        for day in ("2026-10-03", "2026-10-04", "2026-10-05")
        for user, _ in engine.users(by_joining(), {"cohort": day}, scope=scope).rows
    }
    assert 0 < seen < everybody
    assert len(listed) == seen
    assert {int(user[1:]) % 3 for user in listed} == {1}


def test_groups_of_users_who_enter_by_a_date_add_up(engine):
    plain = rows_of(engine.query(by_joining()))
    grouped = rows_of(engine.query(by_joining(by=[{"p": "user.level"}])))
    assert {row["user.level"] for row in grouped} == {"a", "b"}
    for row in plain:
        own = [g for g in grouped if (g["cohort"], g["period"]) == (row["cohort"], row["period"])]
        assert sum(g["size"] for g in own) == row["size"]
        if row["complete"]:
            assert sum(g["payers_so_far"] for g in own) == row["payers_so_far"]
            assert sum(g["value"] for g in own) == pytest.approx(row["value"], abs=1e-9)


def test_what_cancels_leaves_the_small_values(tmp_path):
    """2⁵³ + 1 is no double: a payment of 2⁵³ and one of 1 before its refund leave the 1."""
    huge = 2.0**53
    paid = [("a", 1, huge), ("a", 1, 1.0), ("a", 2, -huge)]
    paid += [("b", 2, -huge), ("b", 2, 3.0), ("b", 3, huge), ("late", 9, 0.0)]
    events = [
        {
            "user_id": user,
            "event": name,
            "time": DAY.format(day, 8),
            "properties": {"amount": amount},
        }
        for user, day, amount in paid
        for name in (["pay"] if user == "late" else ["open", "pay"])
    ]
    query = {
        "model": "ltv",
        "time": {"from": "2026-10-01", "to": "2026-10-02"},
        "body": {
            "start": {"e": "open"},
            "periods": 1,
            "values": [{"e": "pay", "p": "event.amount"}],
        },
    }
    with zuji.open(tmp_path / "p", tz="Asia/Shanghai") as engine:
        engine.append(events)
        result = engine.query(query)

    assert [row["value_so_far"] for row in rows_of(result)] == [huge, 1.0, 3.0 - huge, 3.0]
    at = result.totals["columns"].index("value_so_far")
    assert [row[at] for row in result.totals["rows"]] == [4.0, 4.0]
