"""SQL over a project: answers, what is read for them, and what a statement may not do."""

import threading
import time

import pytest

import zuji
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded, QueryCancelled
from zuji.engine.query.context import Cancel
from zuji.engine.query.scope import Scope
from zuji.engine.sql import ask
from zuji.engine.sql.tables import Events


@pytest.fixture
def engine(tmp_path):
    opened = zuji.open(tmp_path / "d", tz="Asia/Shanghai")
    events = []
    for i in range(300):
        where = {"user_id": f"u{i % 7}"} if i % 5 else {"device_id": f"d{i % 3}"}
        properties = {"amount": i / 2, "city": ["Jinan", "Qingdao", None][i % 3], "n": i}
        properties |= {"tags": ["a", "b"], "time": "x"} if i % 2 else {}
        events.append(
            {
                "event": ["pay", "open"][i % 2],
                "time": f"2026-{10 + i % 2:02}-{1 + i % 28:02}T10:00:00+08:00",
                "properties": properties,
                **where,
            }
        )
    opened.append(events[:200])
    opened.flush()
    opened.append(events[200:])
    profile = {"type": "profile_set", "time": "2026-10-01T00:00:00Z", "user_id": "u1"}
    opened.append([{**profile, "properties": {"plan": "gold", "user_key": 4}}])
    yield opened
    opened.close()


def rows(engine, text, **more):
    return ask(engine, text, **more).rows


def test_statements_answer_as_the_language_does(engine):
    counted = rows(engine, "SELECT event, count(*) FROM events GROUP BY 1 ORDER BY 1")
    assert counted == [["open", 150], ["pay", 150]]
    time_ = {"from": "2026-10-01", "to": "2026-12-31", "grain": "month"}
    series = {"e": "pay", "measure": {"sum": "event.amount"}}
    answer = engine.query({"model": "event", "time": time_, "body": {"series": [series]}})
    text = """SELECT coalesce(sum(amount), 0) FROM range(10, 13) m(month) LEFT JOIN events
              ON month(time) = month AND event = 'pay' GROUP BY month ORDER BY month"""
    assert rows(engine, text) == [[value] for value in answer.column("value")]
    users = {"e": "*", "measure": "users"}
    whole = {**time_, "grain": "all"}
    answer = engine.query({"model": "event", "time": whole, "body": {"series": [users]}})
    text = "SELECT count(DISTINCT user_key) FROM events"
    assert rows(engine, text) == [[answer.column("value")[0]]]


def test_columns_have_their_types_and_names(engine):
    result = ask(engine, "SELECT * FROM events WHERE n = 1")
    assert result.names[:5] == ["event", "time", "user_id", "device_id", "user_key"]
    (row,) = result.to_dicts()
    assert row["time"] == "2026-11-02T10:00:00+08:00"
    assert (row["amount"], row["tags"], row["properties.time"]) == (0.5, ["a", "b"], "x")
    types = {column.name: column.type for column in result.columns}
    assert (types["time"], types["n"], types["city"]) == ("datetime", "int64", "string")
    (user,) = ask(engine, "SELECT * FROM users WHERE plan = 'gold'").to_dicts()
    assert (user["user_id"], user["properties.user_key"]) == ("u1", 4)


def test_users_and_events_join_by_key(engine):
    text = """SELECT plan, count(*) FROM events JOIN users USING (user_key)
              WHERE event = 'pay' GROUP BY 1 ORDER BY 2 DESC"""
    found = dict(map(tuple, rows(engine, text)))
    assert sum(found.values()) == 150
    assert found["gold"] > 0


def test_runs_that_cannot_matter_are_not_read(engine):
    engine.flush()
    everything = ask(engine, "SELECT count(n) FROM events").meta["rows_read"]
    of_one = ask(engine, "SELECT count(n) FROM events WHERE event = 'pay'").meta["rows_read"]
    nothing = ask(engine, "SELECT count(n) FROM events WHERE time < '2020-01-01'")
    month = "SELECT count(n) FROM events WHERE time >= '2026-11-01' AND event IN ('pay', 'none')"
    assert (everything, of_one) == (300, 150)
    assert (nothing.rows, nothing.meta["rows_read"]) == ([[0]], 0)
    assert ask(engine, month).meta["rows_read"] < 150


def test_only_the_columns_that_are_named_are_decoded(engine, monkeypatch):
    asked = []
    original = Events._batch
    monkeypatch.setattr(
        Events, "_batch", lambda self, *a: asked.append(set(a[-1].names)) or original(self, *a)
    )
    rows(engine, "SELECT sum(amount) FROM events WHERE event = 'pay' AND n > 5")
    assert asked
    assert all(names <= {"amount", "event", "n"} for names in asked)


def test_filters_are_applied_whatever_they_say(engine):
    for where in (
        "n BETWEEN 10 AND 20",
        "city IS NULL",
        "city = 'Jinan' OR n > 290",
        "NOT (city = 'Jinan')",
        "amount > n",
        "list_contains(tags, 'a') AND event <> 'pay'",
        "time::date = DATE '2026-10-05'",
        "lower(city) LIKE 'q%'",
    ):
        text = f"SELECT n FROM events WHERE {where} ORDER BY n"
        whole = "WITH e AS MATERIALIZED (SELECT * FROM events)"
        plain = f"{whole} SELECT n FROM e WHERE {where} ORDER BY n"
        assert rows(engine, text) == rows(engine, plain), where


def test_virtual_properties_are_columns(engine):
    engine.define(properties={"event.big": {"type": "bool", "as": "event.amount >= 100"}})
    assert rows(engine, "SELECT count(*) FROM events WHERE big") == [[100]]


def test_a_scope_holds_in_every_table(engine):
    scope = Scope.of({"p": "event.city", "op": "eq", "v": "Jinan"}, ["event.amount"])
    assert rows(engine, "SELECT DISTINCT city FROM events", scope=scope) == [["Jinan"]]
    with pytest.raises(InvalidQuery, match="amount"):
        rows(engine, "SELECT amount FROM events", scope=scope)
    assert "amount" not in ask(engine, "SELECT * FROM events LIMIT 1", scope=scope).names
    key = "SELECT count(*) FROM users WHERE user_key NOT IN (SELECT user_key FROM events)"
    assert rows(engine, key, scope=scope) == [[0]]
    engine.define(properties={"event.dear": {"type": "float64", "as": "event.amount * 2"}})
    with pytest.raises(InvalidQuery, match="dear"):
        rows(engine, "SELECT dear FROM events", scope=scope)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW events",
        "COPY events TO '/tmp/out.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "PRAGMA database_list",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT getenv('HOME')",
        "SELEC 1",
        "SELECT nothing FROM events",
        "",
    ],
)
def test_what_does_more_than_read_is_refused(engine, text, tmp_path):
    with pytest.raises(InvalidQuery):
        ask(engine, text)


def test_answers_are_bounded(engine):
    result = ask(engine, "SELECT * FROM range(1000)", max_rows=10)
    assert (len(result), result.meta["truncated"]) == (10, True)
    assert not ask(engine, "SELECT * FROM range(10)", max_rows=10).meta["truncated"]


ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"


def test_a_statement_ends_at_its_deadline_and_when_it_is_cancelled(engine):
    with pytest.raises(QueryBudgetExceeded, match="took longer"):
        ask(engine, ENDLESS, seconds=0.2)
    cancel = Cancel()
    threading.Timer(0.2, cancel.cancel).start()
    with pytest.raises(QueryCancelled):
        ask(engine, ENDLESS, cancel=cancel)
    assert rows(engine, "SELECT 1") == [[1]]


def test_memory_is_bounded(tmp_path):
    config = zuji.Config(query_bytes=64 << 20, queries_bytes=64 << 20, query_seconds=60.0)
    small = zuji.open(tmp_path / "small", config=config)
    with small, pytest.raises(QueryBudgetExceeded, match="MiB of memory"):
        ask(small, "SELECT list(repeat('x', 1000) || range) FROM range(1000000)")


def test_values_of_every_type_are_json(engine):
    text = """SELECT 12345678901234567890123::HUGEINT, 1.50::DECIMAL(9,2), DATE '2026-10-01',
              TIMESTAMP '2026-10-01 10:00:00', TIMESTAMPTZ '2026-10-01 10:00:00+08', INTERVAL 1 DAY,
              {'a': [1, NULL]}, 'ab'::BLOB, NULL, 'nan'::DOUBLE, true"""
    result = ask(engine, text)
    assert "12345678901234567890123" in result.to_json()
    assert result.rows[0][2:5] == ["2026-10-01", "2026-10-01T10:00:00", "2026-10-01T10:00:00+08:00"]
    result.to_arrow()
    result.to_csv()


def test_appending_goes_on_beside_a_statement(engine):
    """The view is pinned: what comes later does not show, and nothing waits."""
    began = time.monotonic()
    engine.append([{"event": "late", "user_id": "z", "time": "2026-10-01T00:00:00Z"}])
    assert rows(engine, "SELECT count(*) FROM events WHERE event = 'late'") == [[1]]
    assert time.monotonic() - began < 60


def test_cohorts_are_a_table_of_members(engine):
    assert rows(engine, "SELECT * FROM cohorts") == []
    gold = {"user": {"p": "user.plan", "op": "eq", "v": "gold"}}
    for name, rule in (("gold", gold), ("payers", {"did": {"e": "pay"}})):
        engine.cohorts.define({"name": name, "rule": rule})
    text = "SELECT cohort, user_id FROM cohorts WHERE cohort = 'gold'"
    assert rows(engine, text) == [["gold", "u1"]]
    text = """SELECT cohort, count(*), count(DISTINCT u.user_id) FROM cohorts
              JOIN users u USING (user_key) GROUP BY cohort ORDER BY cohort"""
    assert rows(engine, text) == [["gold", 1, 1], ["payers", 10, 7]]
    masked = Scope(masked=frozenset({"user.plan"}))
    text = "SELECT DISTINCT cohort FROM cohorts"
    assert rows(engine, text, scope=masked) == [["payers"]]


def test_a_device_that_is_a_customers_is_no_user(engine):
    before = rows(engine, "SELECT count(*) FROM users")
    engine.identity.bind("u1", "d1")
    assert rows(engine, "SELECT count(*) FROM users") == [[before[0][0] - 1]]
    text = "SELECT count(*) FROM events WHERE device_id = 'd1' AND user_id = 'u1'"
    assert rows(engine, text) == [[20]]


def test_tags_are_a_table_with_a_column_each(engine):
    assert rows(engine, "SELECT count(*) FROM tags") == rows(engine, "SELECT count(*) FROM users")
    spend = {"kind": "aggregate", "events": {"e": "pay"}, "measure": {"sum": "event.amount"}}
    engine.tags.define({"name": "spend", "rule": spend})
    engine.tags.define({"name": "plan", "rule": {"kind": "manual", "type": "string"}})
    engine.tags.define({"name": "time", "rule": {"kind": "manual", "type": "bool"}})
    engine.tags.give("plan", [("u1", "gold"), ("u2", "iron")], "lin")
    engine.tags.give("time", [("u1", True)], "lin")
    engine.tags.refresh(["spend"], day="2026-10-31")
    text = "SELECT user_id, plan, spend, \"properties.time\" FROM tags WHERE plan = 'gold'"
    (row,) = rows(engine, text)
    assert (row[0], row[1], row[3]) == ("u1", "gold", True)
    in_sql = rows(
        engine,
        """SELECT sum(amount) FROM events WHERE event = 'pay' AND user_id = 'u1'
           AND time < TIMESTAMPTZ '2026-11-01 00:00:00+08:00'""",
    )
    assert [[row[2]]] == in_sql
    text = """SELECT t.plan, count(*) FROM events JOIN tags t USING (user_key)
              WHERE t.plan IS NOT NULL GROUP BY 1 ORDER BY 1"""
    assert [name for name, _ in rows(engine, text)] == ["gold", "iron"]
    types = {column.name: column.type for column in ask(engine, "SELECT * FROM tags").columns}
    assert (types["spend"], types["plan"], types["properties.time"]) == (
        "float64",
        "string",
        "bool",
    )


def names_asked(kept, monkeypatch):
    """Names of marks whose values were read since."""
    asked, original = [], type(kept).column

    def column(self, view, shard, name, at_ms):
        asked.append(name)
        return original(self, view, shard, name, at_ms)

    monkeypatch.setattr(type(kept), "column", column)
    return asked


def test_only_the_tags_that_are_named_are_read(engine, monkeypatch):
    for name in ("a", "b"):
        engine.tags.define({"name": name, "rule": {"kind": "manual", "type": "int64"}})
        engine.tags.give(name, [("u1", 7)], "lin")
    kept = engine.tags.kept()
    asked = names_asked(kept, monkeypatch)
    assert rows(engine, "SELECT user_id, a FROM tags WHERE a = 7") == [["u1", 7]]
    assert set(asked) == {"a"}


def test_a_tag_of_what_a_caller_may_not_see_is_no_column(engine):
    as_ = {"kind": "expression", "as": "user.plan", "type": "string"}
    engine.tags.define({"name": "copy", "rule": as_})
    masked = Scope(masked=frozenset({"user.plan"}))
    assert "copy" in ask(engine, "SELECT * FROM tags").names
    assert "copy" not in ask(engine, "SELECT * FROM tags", scope=masked).names
    scope = Scope.of({"p": "event.city", "op": "eq", "v": "Jinan"}, [])
    seen = rows(engine, "SELECT count(*) FROM tags", scope=scope)
    assert seen == rows(engine, "SELECT count(*) FROM users", scope=scope)


def test_items_of_all_types_are_a_table(engine):
    assert rows(engine, "SELECT * FROM items") == []
    goods = {f"p{i}": {"price": i, "name": f"n{i}", "type": "x", "tags": ["a"]} for i in range(40)}
    engine.items.set("good", goods)
    engine.items.set("shop", {"s1": {"name": "main", "price": "dear"}, "p1": {}})
    engine.items.delete("good", ["p3", "p0"])
    text = "SELECT id, price, name FROM items WHERE type = 'good' AND price = '39'"
    assert rows(engine, text) == [["p39", "39", "n39"]]  # a text: shops have one, too
    assert rows(engine, "SELECT type, count(*), count(name) FROM items GROUP BY 1 ORDER BY 1") == [
        ["good", 38, 38],
        ["shop", 2, 1],
    ]
    found = ask(engine, "SELECT * FROM items WHERE id = 'p5' AND \"properties.type\" = 'x'")
    assert found.to_dicts() == [
        {"type": "good", "id": "p5", "name": "n5", "price": "5", "properties.type": "x",
         "tags": ["a"]}
    ]  # fmt: skip
    engine.append([{"event": "buy", "user_id": "u1", "time": "2026-10-01T00:00:00Z",
                    "properties": {"product": "p7"}}])  # fmt: skip
    text = """SELECT i.name FROM events e JOIN items i ON i.type = 'good' AND i.id = e.product
              WHERE event = 'buy'"""
    assert rows(engine, text) == [["n7"]]


def test_types_of_items_that_cannot_matter_are_not_read(engine):
    engine.items.set("good", {f"p{i}": {"price": i} for i in range(9)})
    engine.items.set("shop", {"s1": {"name": "main"}})
    assert ask(engine, "SELECT id FROM items WHERE type = 'shop'").meta["rows_read"] == 1
    assert ask(engine, "SELECT id FROM items").meta["rows_read"] == 10


def test_a_statement_reads_items_as_they_were_when_it_began(engine):
    engine.items.set("good", {"p1": {"price": 1}, "p2": {"price": 2}})
    frozen = engine.items.frozen()["good"]
    engine.items.delete("good", ["p1"])
    engine.items.set("good", {"p3": {"price": 3}})
    assert frozen.alive.tolist() == [1, 1]
    assert engine.items.frozen()["good"].alive.tolist() == [0, 1, 1]


def test_cohorts_that_cannot_matter_are_not_read(engine, monkeypatch):
    for name in ("a", "b"):
        engine.cohorts.load(name, ["u1", "u2"])
    kept = engine.cohorts.kept()
    asked = names_asked(kept, monkeypatch)
    text = "SELECT count(*) FROM cohorts WHERE cohort IN ('b', 'c')"
    assert rows(engine, text) == [[2]]
    assert set(asked) == {"b"}
