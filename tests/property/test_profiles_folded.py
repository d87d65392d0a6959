"""User properties against a fold of the records in order of time, whatever order they came in.

Random histories of a few users and properties of every kind, arriving in random batches, with
flushes, merges and restarts between; the answer must be that of the oracle, now and at the time of
an event.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import zuji
from tests.oracle.project import OracleProject
from zuji.engine.export import read_profiles
from zuji.engine.query import folding

BASE = 1_790_784_000_000
USERS = ("a", "b")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

times = st.integers(0, 5).map(lambda n: BASE + n * 20 * 86_400_000 // 3)
"""Few, so that many are the same, in two months: two partitions."""
texts = st.lists(st.sampled_from(["p", "q", "r", "s"]), max_size=3)
moments = st.integers(0, 9).map(lambda n: EPOCH + timedelta(days=n))
good = {
    "n": st.one_of(st.integers(-3, 9), st.sampled_from([2**63 - 1, -(2**63)])),
    "f": st.sampled_from([0.5, -1.25, 1e308, -0.0, 3.0]),
    "t": st.sampled_from(["x", "y", "中"]),
    "b": st.booleans(),
    "d": moments,
    "l": texts,
}
odd = st.one_of(st.integers(0, 1), st.sampled_from(["x", "7"]), st.just(["p"]), st.just(2.5))


def some(values, **more):
    return st.fixed_dictionaries({}, optional=values | more)


KINDS = {
    "profile_set": some({name: st.one_of(v, v, st.none()) for name, v in good.items()}, n=odd),
    "profile_set_once": some({name: st.one_of(v, v, st.none()) for name, v in good.items()}),
    "profile_increment": some(
        {"n": st.one_of(good["n"], st.just(2.0)), "f": st.one_of(good["f"], st.integers(-2, 2))},
        t=st.just(1),
        b=st.just(1),
    ),
    "profile_append": some(
        {"l": st.one_of(texts, st.sampled_from(["p", "z"]))}, t=st.just("x"), n=st.just(["p"])
    ),
    "profile_unset": some({name: st.sampled_from([True, None]) for name in good}),
    "profile_delete": st.just({}),
}
records = st.one_of(
    *[
        st.fixed_dictionaries(
            {
                "type": st.just(kind),
                "user_id": st.sampled_from(USERS),
                "time": times,
                "properties": properties,
            }
        )
        for kind, properties in KINDS.items()
    ],
    st.fixed_dictionaries(
        {"event": st.just("e"), "user_id": st.sampled_from(USERS), "time": times}
    ),
)
steps = st.lists(
    st.one_of(
        st.lists(records, min_size=1, max_size=6),
        st.lists(records, min_size=1, max_size=6),
        st.sampled_from(["flush", "compact", "reopen"]),
    ),
    max_size=14,
)


def plain(value):
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, datetime):
        return round((value - EPOCH).total_seconds() * 1000)
    return value


def folded_now(engine):
    found = {}
    for table in read_profiles(engine):
        for row in table.to_pylist():
            mine = {k: plain(v) for k, v in row.items() if v is not None}
            del mine["user_id"]
            found[row["user_id"]] = mine
    return found


def expected_now(oracle):
    found = {}
    for user in oracle.profiles:
        mine = {name: oracle.user_property(user, name, None) for name in oracle.user_kinds}
        mine = {name: value.v for name, value in mine.items() if value is not None}
        if mine:
            found[user[1]] = mine
    return found


def at_events(engine, name):
    """Count of events by (the day, the property at the event)."""
    query = {
        "v": 1,
        "model": "event",
        "time": {"from": "2026-09-01", "to": "2027-03-01", "grain": "day"},
        "body": {"series": [{"e": "e", "measure": "count"}]},
        "by": [{"p": f"user.{name}", "as_of": "event"}],
    }
    answer = engine.query(query)
    return [(str(row[1])[:10], row[2], row[-1]) for row in answer.rows if row[-1]]


def record(kind, **properties):
    return {
        "type": f"profile_{kind}",
        "user_id": "a",
        "time": BASE,
        "properties": properties,
    }


@settings(max_examples=150, deadline=None)
@given(steps)
@example([[record("increment", f=0), record("set", f=1e308)]])  # no int64: refused
def test_profiles_are_folded_in_order_of_time(program):
    oracle = OracleProject()
    with tempfile.TemporaryDirectory() as folder:
        engine = zuji.open(folder, tz="UTC")
        try:
            for step in program:
                if step == "flush":
                    engine.flush()
                elif step == "compact":
                    engine.flush()
                    engine.compact()
                elif step == "reopen":
                    engine.close()
                    engine = zuji.open(folder)
                else:
                    engine.append(step)
                    oracle.append(step)
                    if len(step) % 2:
                        assert folded_now(engine) == expected_now(oracle)
            assert folded_now(engine) == expected_now(oracle)
            check_at_events(engine, oracle)
        finally:
            engine.close()


def check_at_events(engine, oracle):
    if not oracle.rows:
        return
    for name in ("n", "t"):
        if oracle.user_kinds.get(name) not in ("int", "string"):
            continue
        wanted = {}
        for row in oracle.rows:
            value = oracle.user_property(row.user, name, row.time)
            day = (EPOCH + timedelta(milliseconds=row.time)).strftime("%Y-%m-%d")
            key = (day, None if value is None else value.v)
            wanted[key] = wanted.get(key, 0) + 1
        found = {}
        for day, value, count in at_events(engine, name):
            found[day, value] = found.get((day, value), 0) + count
        assert found == wanted


def test_a_list_grows_to_its_limit(tmp_path):
    with zuji.open(tmp_path, tz="UTC") as engine:
        of = {"type": "profile_append", "user_id": "u"}
        engine.append(
            of | {"time": BASE + n, "properties": {"l": [f"x{m}" for m in range(n, n + 9)]}}
            for n in reversed(range(folding.LIST_VALUES + 40))
        )
        ((row,),) = (table.to_pylist() for table in read_profiles(engine))
        assert row["l"] == [f"x{m}" for m in range(folding.LIST_VALUES)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("profile_increment", 1), ("profile_append", "x"), ("profile_append", ["x"])],
)
def test_what_does_not_fit_the_kind_is_refused_and_kept(tmp_path, kind, value):
    with zuji.open(tmp_path, tz="UTC") as engine:
        for had in ("text", True, 5, EPOCH):
            if kind == "profile_increment" and had == 5 and had is not True:
                continue
            of = {"user_id": "u", "time": BASE}
            name = f"p_{type(had).__name__}"
            engine.append([of | {"type": "profile_set", "properties": {name: had}}])
            done = engine.append([of | {"type": kind, "properties": {name: value}}])
            assert [r.reason for r in done.rejected] == ["type_mismatch"]
            assert done.accepted == 0
        assert {row["reason"] for row in engine.rejected()} == {"type_mismatch"}
