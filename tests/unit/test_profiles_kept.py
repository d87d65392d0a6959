"""User properties stay made while only events come in, and are made anew when profiles change."""

from __future__ import annotations

import pytest

import zuji
from zuji.engine.query import profile_now
from zuji.engine.query import users as profiles

TIME_MS = 1_790_784_000_000
QUERY = {
    "v": 1,
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-02", "grain": "all"},
    "body": {"series": [{"e": "open", "measure": "users"}]},
}


def opened(*names):
    return [{"event": "open", "user_id": name, "time": TIME_MS} for name in names]


def profile(name, **properties):
    return {"type": "profile_set", "user_id": name, "time": TIME_MS, "properties": properties}


def users_where(engine, p, op, v):
    audience = {"user": {"p": p, "op": op, "v": v}}
    return engine.query({**QUERY, "audience": audience}).rows[0][-1]


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path, tz="Asia/Shanghai") as engine:
        yield engine


@pytest.mark.parametrize(
    ("p", "value", "op", "v"),
    [
        ("user.city", {"city": "Fuzhou"}, "eq", "Fuzhou"),
        ("user.age", {"age": 30}, "gte", 30),
        ("user.tags", {"tags": ["a", "b"]}, "has", "b"),
    ],
)
def test_new_users_have_no_value_until_they_get_one(engine, p, value, op, v, monkeypatch):
    engine.append([profile("u1", **value), *opened("u1", "u2")])
    engine.flush()
    assert users_where(engine, p, op, v) == 1
    made = []
    make = profiles.present_column
    monkeypatch.setattr(profiles, "present_column", lambda *args: made.append(args) or make(*args))
    engine.append(opened("u1", *(f"new{i}" for i in range(200))))
    assert users_where(engine, p, op, v) == 1
    assert not made  # only events came in
    engine.append([profile("new7", **value)])
    assert users_where(engine, p, op, v) == 2
    assert made


@pytest.mark.parametrize("kind", ["profile_set", "profile_set_once", "profile_unset"])
def test_a_write_reads_the_records_of_its_users_alone(engine, kind, monkeypatch):
    """Neither a write nor its flush makes the values of all users anew; a merge may."""
    engine.append([profile(f"u{n}", city="Fuzhou") for n in range(300)])
    engine.append(opened(*(f"u{n}" for n in range(300))))
    engine.flush()
    assert users_where(engine, "user.city", "eq", "Fuzhou") == 300
    whole, some = [], []
    all_users, folded = profile_now._last_values, profile_now.folded_records
    monkeypatch.setattr(
        profile_now, "_last_values", lambda *args: whole.append(args) or all_users(*args)
    )
    monkeypatch.setattr(
        profile_now, "folded_records", lambda *args: some.append(len(args[-1])) or folded(*args)
    )
    value = True if kind == "profile_unset" else "Xiamen"
    one = {**profile("u7", city=value), "type": kind, "time": TIME_MS + 1}
    engine.append([one])
    expected = 300 if kind == "profile_set_once" else 299
    assert users_where(engine, "user.city", "eq", "Fuzhou") == expected
    assert some == [1]
    engine.flush()
    assert users_where(engine, "user.city", "eq", "Fuzhou") == expected
    assert some == [1, 1]
    assert not whole
    engine.compact()
    assert users_where(engine, "user.city", "eq", "Fuzhou") == expected


def test_a_later_profile_counts_after_merging(engine):
    engine.append([profile("u1", city="Fuzhou"), *opened("u1")])
    engine.flush()
    assert users_where(engine, "user.city", "eq", "Fuzhou") == 1
    engine.append([profile("u1", city="Xiamen")])
    assert users_where(engine, "user.city", "eq", "Fuzhou") == 0
    engine.flush()
    engine.compact()
    assert users_where(engine, "user.city", "eq", "Xiamen") == 1


@pytest.mark.parametrize(
    ("p", "value", "op", "v"),
    [
        ("user.city", {"city": "Fuzhou"}, "eq", "Fuzhou"),
        ("user.age", {"age": 30}, "gte", 30),
        ("user.tags", {"tags": ["a", "b"]}, "has", "b"),
    ],
)
def test_a_snapshot_does_not_see_users_of_a_later_view(engine, p, value, op, v):
    engine.append([profile("u1", **value), *opened("u1")])
    engine.flush()
    engine.append(opened("u2"))
    with engine.snapshot() as snapshot:
        engine.append(opened(*(f"new{i}" for i in range(200))))
        assert users_where(engine, p, op, v) == 1  # made for more users than the snapshot has
        assert users_where(snapshot, p, op, v) == 1
        assert users_where(engine, p, op, v) == 1
        by = {**QUERY, "by": [{"p": p}]}
        want = {str(row) for row in snapshot.query(by).rows}
        engine.append(opened("newest"))
        engine.query(by)
        assert {str(row) for row in snapshot.query(by).rows} == want
        both = {"all": [{"user": {"p": p, "op": op, "v": v}}, {"did": {"e": "open"}}]}
        counts = [e.query({**QUERY, "audience": both}).rows[0][-1] for e in (engine, snapshot)]
        assert counts == [1, 1]
