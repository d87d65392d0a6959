"""Cohorts: versions and moments, schedules, lists of ids, graph, erasure, sizes from a sample."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

import zuji
from zuji.engine.calendars import format_instant, parse_instant
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import Corruption, InvalidInput, InvalidQuery, NotFound, ReadOnly
from zuji.engine.people import cohort_estimates
from zuji.engine.people.blob import Blob, write_blob
from zuji.engine.people.cohort_files import bitmap_of, mask_of, members_of, ordinals_of, sections_of
from zuji.engine.people.cohort_rules import Schedule, wanted_at
from zuji.engine.storage.files import Files

DAY = 86_400_000


ALL = {"p": "user.nothing", "op": "is_not_set"}


class Clock:
    def __init__(self, text):
        self.ms = parse_instant(text)

    def __call__(self):
        return self.ms


@pytest.fixture
def clock():
    return Clock("2026-10-10T12:00:00+08:00")


@pytest.fixture
def engine(tmp_path, clock):
    create_project(tmp_path, "default", tz="Asia/Shanghai", shards=4)
    with open_project(tmp_path, "default", clock=clock) as opened:
        opened.append(
            [
                {
                    "user_id": f"u{i}",
                    "event": "pay",
                    "time": f"2026-10-{1 + i % 10:02d}T08:00:00+08:00",
                    "properties": {"amount": i, "city": "杭州" if i % 3 else "宁波"},
                }
                for i in range(60)
            ]
        )
        yield opened


def names(engine, cohort, **more):
    return sorted(engine.cohorts.export(cohort, **more))


def users_query(**more):
    return {
        "model": "event",
        "time": {"from": "2026-10-01", "to": "2026-10-31", "grain": "all"},
        "body": {"series": [{"e": "pay", "measure": "users"}]},
        **more,
    }


def count(engine, audience):
    return engine.query(users_query(audience=audience)).rows[0][-1]


# ------------------------------------------------------------------------------------------ files


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 200_000), st.sampled_from([0.0, 0.0001, 0.02, 0.5, 1.0]), st.integers(0, 99))
def test_masks_become_bitmaps_and_back(users, share, seed):
    mask = (np.random.default_rng(seed).random(users) < share).astype(np.uint8)
    members = bitmap_of(mask)
    assert ordinals_of(members).tolist() == np.flatnonzero(mask).tolist()
    assert members == BitMap(np.flatnonzero(mask).tolist())
    assert (mask_of(members, users) == mask).all()
    assert (mask_of(members, users // 2) == mask[: users // 2]).all()
    runs = members.copy()
    runs.run_optimize()
    assert (mask_of(runs, users) == mask).all()


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    path = str(tmp_path / "00000001.zblob")
    sections, meta = sections_of([BitMap([1, 2]), BitMap()])
    write_blob(Files(), path, 1, sections, meta)
    blob = Blob(Files(), path, 1)
    assert [members_of(blob, 0), members_of(blob, 1)] == [BitMap([1, 2]), BitMap()]
    for wrong in ({"form": "edits-1"}, {**meta, "users": [2]}, {**meta, "users": [3, 0]}):
        write_blob(Files(), path, 1, sections, wrong)
        with pytest.raises(Corruption):
            members_of(Blob(Files(), path, 1), 0)
    write_blob(Files(), path, 1, [b"no bitmap", b""], meta)
    with pytest.raises(Corruption, match="unpack"):
        members_of(Blob(Files(), path, 1), 0)


# --------------------------------------------------------------------------------------- versions


def test_versions_and_the_moment_that_a_query_asks_for(engine, clock):
    rule = {"did": {"e": "pay", "where": {"p": "event.amount", "op": "gte", "v": 50}}}
    first = engine.cohorts.define({"name": "big", "rule": rule})
    assert first["users"] == 10
    clock.ms += DAY
    engine.append(
        [{"user_id": "u1", "event": "pay", "time": clock.ms, "properties": {"amount": 99}}]
    )
    assert count(engine, {"cohort": "big"}) == 10, "a cohort changes when it is refreshed"
    assert engine.cohorts.refresh("big")["users"] == 11
    assert count(engine, {"cohort": "big"}) == 11
    assert count(engine, {"cohort": "big", "as_of": "2026-10-10"}) == 10
    assert count(engine, {"cohort": "big", "as_of": "2026-10-09"}) == 0
    assert (
        count(engine, {"user": {"p": "user.$cohort.big@2026-10-10", "op": "eq", "v": True}}) == 10
    )
    shown = engine.cohorts.show("big")
    assert [one["users"] for one in shown["versions"]] == [11, 10]
    assert "u1" in names(engine, "big")
    assert "u1" not in names(engine, "big", as_of="2026-10-10")
    with pytest.raises(NotFound, match="no version as of"):
        engine.cohorts.members("big", as_of="2026-10-09")


def test_a_breakdown_reads_the_version_of_each_event(engine, clock):
    engine.cohorts.define({"name": "all", "rule": {"all": []}})
    clock.ms += DAY
    engine.append([{"user_id": "u1", "event": "pay", "time": clock.ms}])
    by = [{"p": "user.$cohort.all", "as_of": "event"}]
    body = {"series": [{"e": "pay", "measure": "count"}]}
    rows = engine.query(users_query(by=by, body=body)).rows
    assert {row[2]: row[-1] for row in rows} == {None: 60, True: 1}


def test_a_past_moment_sees_what_had_happened_by_then(engine):
    """Events, profiles and users that came later do not count."""
    engine.append(
        [
            {"user_id": "u0", "type": "profile_set", "time": at, "properties": {"level": level}}
            for at, level in [("2026-10-02T00:00:00Z", 1), ("2026-10-08T00:00:00Z", 2)]
        ]
    )
    level = {"user": {"p": "user.level", "op": "eq", "v": 1}}
    engine.cohorts.define({"name": "level", "rule": level})
    engine.cohorts.define({"name": "not", "rule": {"did_not": {"e": "pay"}}})
    engine.cohorts.define({"name": "did", "rule": {"did": {"e": "pay"}}})
    dates = {"from": "2026-10-01", "to": "2026-12-31"}  # the last of them are to come, as of then
    engine.cohorts.define({"name": "dates", "rule": {"did": {"e": "pay", "within": dates}}})
    for name, now, then in [("level", 0, 1), ("not", 0, 0), ("did", 60, 30), ("dates", 60, 30)]:
        assert engine.cohorts.show(name)["users"] == now
        assert engine.cohorts.refresh(name, as_of="2026-10-05")["users"] == then
        assert engine.cohorts.show(name)["users"] == now, "the newest version counts"
        assert len(names(engine, name, as_of="2026-10-06")) == then


def test_a_past_moment_takes_the_cohorts_of_its_rule_as_they_were(engine, clock):
    engine.cohorts.load("list", ["u1", "u2"])
    before = clock.ms
    clock.ms += 10 * DAY
    engine.cohorts.load("list", ["u3"])
    engine.cohorts.define({"name": "of it", "rule": {"all": [{"cohort": "list"}, {"user": ALL}]}})
    assert names(engine, "of it") == ["u3"]
    then = format_instant(before + DAY, "UTC")
    assert engine.cohorts.refresh("of it", as_of=then)["users"] == 2
    assert names(engine, "of it", as_of=then) == ["u1", "u2"]
    older = format_instant(before - DAY, "UTC")
    assert engine.cohorts.refresh("of it", as_of=older)["users"] == 0
    engine.tags.define({"name": "t", "rule": {
        "kind": "layers", "layers": [{"v": "in", "if": {"cohort": "list"}}]}})  # fmt: skip
    engine.tags.refresh(["t"], day=then[:10])
    assert engine.tags.values("t", day=then[:10])["rows"] == [["in", 2]]


def test_no_more_versions_than_asked_for(engine, clock):
    engine.cohorts.define({"name": "all", "rule": {"all": []}, "versions": 2})
    for _ in range(3):
        clock.ms += DAY
        engine.cohorts.refresh("all")
    assert len(engine.cohorts.show("all")["versions"]) == 2
    engine.cohorts.refresh("all")
    assert len(engine.cohorts.show("all")["versions"]) == 2, "of one moment the last one stays"


def test_cohorts_survive_and_are_read_beside_a_writer(tmp_path, engine, clock):
    engine.cohorts.define({"name": "all", "rule": {"all": []}})
    engine.flush()
    with open_project(tmp_path, "default", mode="r", clock=clock) as reader:
        assert count(reader, {"cohort": "all"}) == 60
        with pytest.raises(ReadOnly):
            reader.cohorts.refresh("all")
        clock.ms += 1
        engine.cohorts.load("some", ["u1"])
        engine.cohorts.refresh("all")
        assert count(reader, {"cohort": "some"}) == 1
    engine.close()
    with open_project(tmp_path, "default", clock=clock) as again:
        assert count(again, {"cohort": "all"}) == 60
        assert list(again.cohorts.scrub()) == []


def test_users_who_come_later_are_no_members(engine):
    engine.cohorts.define({"name": "all", "rule": {"all": []}})
    assert count(engine, {"cohort": "all"}) == 60
    engine.append([{"user_id": "new", "event": "pay", "time": "2026-10-10T00:00:00Z"}])
    assert count(engine, {"cohort": "all"}) == 60
    assert count(engine, {"not": {"cohort": "all"}}) == 1
    assert not engine.cohorts.contains("all", {"user_id": "new"})


# --------------------------------------------------------------------------------------- schedule


@pytest.mark.parametrize(
    ("every", "at", "now", "wanted"),
    [
        ("hour", "00:30", "2026-10-10T12:29:00+08:00", "2026-10-10T11:30:00+08:00"),
        ("hour", "00:30", "2026-10-10T12:30:00+08:00", "2026-10-10T12:30:00+08:00"),
        ("day", "02:00", "2026-10-10T01:59:00+08:00", "2026-10-09T02:00:00+08:00"),
        ("day", "02:00", "2026-10-10T02:00:00+08:00", "2026-10-10T02:00:00+08:00"),
        ("week", "02:00", "2026-10-10T12:00:00+08:00", "2026-10-05T02:00:00+08:00"),
        ("week", "02:00", "2026-10-05T01:00:00+08:00", "2026-09-28T02:00:00+08:00"),
        ("month", "02:00", "2026-10-10T12:00:00+08:00", "2026-10-01T02:00:00+08:00"),
        ("month", "02:00", "2026-10-01T01:00:00+08:00", "2026-09-01T02:00:00+08:00"),
        ("month", "02:00", "2026-03-01T01:00:00+08:00", "2026-02-01T02:00:00+08:00"),
    ],
)
def test_when_a_schedule_wants_a_refresh(every, at, now, wanted):
    schedule = Schedule(every=every, at=at)
    assert wanted_at(schedule, parse_instant(now), "Asia/Shanghai") == parse_instant(wanted)


def test_due_names_parts_before_what_is_made_of_them(engine, clock):
    cohorts = engine.cohorts
    daily = {"schedule": {"every": "day", "at": "02:00"}}
    cohorts.define({"name": "z parts", "rule": {"did": {"e": "pay"}}, **daily})
    cohorts.define({"name": "a whole", "rule": {"not": {"cohort": "z parts"}}, **daily})
    cohorts.define({"name": "on demand", "rule": {"cohort": "a whole"}})
    assert cohorts.due() == []
    clock.ms += DAY
    assert cohorts.due() == ["z parts", "a whole"]
    engine.append([{"user_id": "idle", "event": "look", "time": clock.ms}])
    assert cohorts.refresh_due() == [
        {"cohort": "z parts", "users": 60},
        {"cohort": "a whole", "users": 1},
    ]
    assert cohorts.due() == []
    assert cohorts.refresh("on demand", parts=True)["users"] == 1


def test_a_refresh_that_fails_does_not_hold_up_the_others(engine, clock):
    daily = {"schedule": {"every": "day"}}
    size = {"measure": {"sum": "event.size"}, "value": {"v": 1}}
    engine.cohorts.define({"name": "a", "rule": {"did": {"e": "pay", **size}}, **daily})
    engine.cohorts.define({"name": "b", "rule": {"all": []}, **daily})
    clock.ms += DAY
    engine.append(
        [{"user_id": "u1", "event": "pay", "time": clock.ms, "properties": {"size": "L"}}]
    )
    first, second = sorted(engine.cohorts.refresh_due(), key=lambda one: one["cohort"])
    assert (first["cohort"], first["code"]) == ("a", "invalid_query")
    assert second == {"cohort": "b", "users": 60}


# ------------------------------------------------------------------------------------------ lists


def test_lists_of_ids_of_any_type(engine):
    engine.append(
        [
            {
                "user_id": "u7",
                "type": "profile_set",
                "time": "2026-10-02T00:00:00Z",
                "properties": {"$identity_mobile": "13800000007"},
            },
            {"device_id": "phone-9", "event": "look", "time": "2026-10-02T00:00:00Z"},
        ]
    )
    cohorts = engine.cohorts
    told = cohorts.load("list", [" u1 ", "u2", "u1", "", "nobody"], description="from a file")
    assert told == {
        "cohort": "list",
        "given": 3,
        "found": 2,
        "unknown": 1,
        "examples": ["nobody"],
        "users": 2,
    }
    assert names(engine, "list") == ["u1", "u2"]
    assert cohorts.load("list", ["u3"], how="add")["users"] == 3
    assert cohorts.load("list", ["u1", "u2"], how="remove")["users"] == 1
    assert names(engine, "list") == ["u3"]
    assert cohorts.show("list")["description"] == "from a file"
    assert cohorts.load("phones", ["phone-9", "phone-8"], "device_id")["found"] == 1
    assert list(cohorts.export("phones", id_type="device_id")) == ["phone-9"]
    assert names(engine, "phones") == [], "a device has no user id"
    assert cohorts.load("mobiles", ["13800000007", "x"], "$identity_mobile")["found"] == 1
    assert list(cohorts.export("mobiles", id_type="$identity_mobile")) == ["13800000007"]
    assert names(engine, "mobiles") == ["u7"]


def test_the_device_of_a_customer_is_the_last_one(engine):
    engine.append(
        [
            {"user_id": "u1", "device_id": device, "event": "look", "time": at}
            for device, at in [("old", "2026-10-03T00:00:00Z"), ("new", "2026-10-04T00:00:00Z")]
        ]
    )
    engine.cohorts.load("one", ["u1", "u2"])
    users = engine.cohorts.members("one", id_type="device_id")["users"]
    assert {(u["user_id"], u["device_id"]) for u in users} == {("u1", "new"), ("u2", None)}


def test_pages_hold_every_member_once(engine):
    engine.cohorts.define({"name": "all", "rule": {"all": []}})
    found, after = [], None
    while True:
        page = engine.cohorts.members("all", after=after, limit=7)
        found += [user["user_id"] for user in page["users"]]
        after = page["next"]
        if after is None:
            break
        assert len(page["users"]) == 7
    assert sorted(found) == sorted(f"u{i}" for i in range(60))


# ---------------------------------------------------------------------------------- graph, algebra


def test_no_cohort_is_made_of_itself(engine):
    cohorts = engine.cohorts
    cohorts.define({"name": "a", "rule": {"all": []}})
    cohorts.define({"name": "b", "rule": {"not": {"cohort": "a"}}})
    cohorts.define({"name": "c", "rule": {"any": [{"cohort": "b"}]}})
    with pytest.raises(InvalidInput, match="cohort 'a' ← cohort 'c' ← cohort 'b' ← cohort 'a'"):
        cohorts.define({"name": "a", "rule": {"cohort": "c"}})
    engine.define(properties={"user.in_c": {"type": "bool", "as": 'user["$cohort.c"]'}})
    with pytest.raises(InvalidInput, match="made of itself"):
        cohorts.define({"name": "a", "rule": {"user": {"p": "user.in_c", "op": "eq", "v": True}}})
    assert cohorts.show("a")["used_by"] == ["cohort 'b'", "cohort 'c'", "property 'user.in_c'"]


def test_deleting_refuses_or_takes_along(engine):
    cohorts = engine.cohorts
    cohorts.define({"name": "a", "rule": {"all": []}})
    cohorts.define({"name": "b", "rule": {"not": {"cohort": "a"}}})
    with pytest.raises(InvalidInput, match="cohort 'b'"):
        cohorts.delete("a")
    assert cohorts.delete("a", cascade=True) == ["cohort 'b'", "cohort 'a'"]
    assert cohorts.all() == []
    with pytest.raises(InvalidQuery, match="no cohort 'a'"):
        count(engine, {"cohort": "a"})


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_set_algebra_against_sets(tmp_path_factory, seed):
    rng = random.Random(seed)
    with zuji.open(tmp_path_factory.mktemp("algebra")) as engine:
        known = [f"u{i}" for i in range(30)]
        engine.append(
            [{"user_id": u, "event": "pay", "time": "2026-10-01T00:00:00Z"} for u in known]
        )
        sets = {name: set(rng.sample(known, rng.randint(0, 30))) for name in "abc"}
        for name, members in sets.items():
            engine.cohorts.load(name, members)

        def rule(depth):
            form = rng.random()
            if depth > 2 or form < 0.4:
                name = rng.choice("abc")
                return {"cohort": name}, sets[name]
            if form < 0.55:
                inner, members = rule(depth + 1)
                return {"not": inner}, set(known) - members
            parts = [rule(depth + 1) for _ in range(rng.randint(0, 3))]
            found = [members for _, members in parts]
            if form < 0.8:
                return {"all": [r for r, _ in parts]}, set(known).intersection(*found)
            return {"any": [r for r, _ in parts]}, set().union(*found)

        document, expected = rule(0)
        engine.cohorts.define({"name": "made", "rule": document})
        assert set(engine.cohorts.export("made")) == expected
        assert engine.cohorts.estimate(document)["users"] == len(expected)
        told = engine.cohorts.overlap(["a", "b", "c"])
        assert told["users"] == {name: len(members) for name, members in sets.items()}
        assert told["all"] == len(sets["a"] & sets["b"] & sets["c"])
        assert told["any"] == len(sets["a"] | sets["b"] | sets["c"])
        assert told["only"]["a"] == len(sets["a"] - sets["b"] - sets["c"])
        pair = told["pairs"][1]
        assert (pair["first"], pair["second"]) == ("a", "c")
        assert pair["both"] == len(sets["a"] & sets["c"])
        assert pair["only_first"] == len(sets["a"] - sets["c"])
        assert pair["only_second"] == len(sets["c"] - sets["a"])


# ------------------------------------------------------------------------------------------ sizes


def test_a_size_from_a_sample_says_so_and_holds_the_truth(tmp_path):
    create_project(tmp_path, "default", shards=16)
    rng = random.Random(7)
    names, inside = "abcdefghijklmnopqrst", 0
    with open_project(tmp_path, "default") as engine:
        engine.append(
            [
                {"user_id": f"u{i}", "event": rng.choice(names), "time": "2026-10-01T00:00:00Z"}
                for i in range(8_000)
            ]
        )
        for name in names:  # users lie on shards by a hash that each project has for itself
            rule = {"did": {"e": name}}
            exact = engine.cohorts.estimate(rule, seconds=60.0)
            assert exact["exact"]
            assert exact["low"] == exact["users"] == exact["high"]
            found = engine.cohorts.estimate(rule, seconds=0.0)
            assert not found["exact"]
            assert 0 < found["share"] < 1
            assert found["of"] == 8_000
            inside += found["low"] <= exact["users"] <= found["high"]
        nobody = engine.cohorts.estimate({"did": {"e": "never"}}, seconds=0.0)
        assert (nobody["users"], nobody["low"]) == (0, 0)
        assert nobody["high"] > 0
    assert inside >= 13  # of 20, each in its range 95 times of 100


def test_a_project_of_one_shard_is_estimated_from_some_of_its_users(tmp_path):
    create_project(tmp_path, "default", shards=1)
    with open_project(tmp_path, "default") as engine:
        engine.append(
            [
                {"user_id": f"u{i}", "event": "abc"[i % 3], "time": "2026-10-01T00:00:00Z"}
                for i in range(4_000)
            ]
        )
        found = engine.cohorts.estimate({"did": {"e": "a"}}, seconds=0.0)
        assert not found["exact"]
        assert 0.2 < found["share"] < 0.3
        assert found["low"] <= 1_334 <= found["high"]
        assert found["high"] - found["low"] < 500


def test_a_size_that_is_counted_part_by_part_is_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(cohort_estimates, "AT_ONCE", -1)
    parts = []
    real = cohort_estimates.part_of

    def noted(users, low, high):
        parts.append((low, high))
        return real(users, low, high)

    monkeypatch.setattr(cohort_estimates, "part_of", noted)
    with open_project(tmp_path, "default") as engine:
        engine.append(
            [
                {"user_id": f"u{i % 700}", "event": "abc"[i % 3], "time": 1_790_000_000_000 + i}
                for i in range(3_000)
            ]
        )
        steps = [{"e": "a"}, {"e": "b"}]
        for rule in (
            {"all": []},
            {"not": {"did": {"e": "a", "count": {"op": "gte", "v": 3}}}},
            {"any": [{"did": {"e": "b"}}, {"sequence": {"steps": steps}}]},
            {"sequence": {"steps": steps, "within": {"n": 1, "unit": "second"}}},
        ):
            parts.clear()
            found = engine.cohorts.estimate(rule, seconds=60.0)
            assert len(set(parts)) == 2
            shown = engine.cohorts.define({"name": "same", "rule": rule})
            assert (found["users"], found["exact"]) == (shown["versions"][0]["users"], True)


@pytest.mark.parametrize("cuts", [[], [0.25], [1 / 64, 0.3, 0.31, 0.999]])
def test_parts_that_meet_are_everybody_once(cuts):
    ends = [0.0, *cuts, 1.0]
    parts = [cohort_estimates.part_of(10_000, a, b) for a, b in pairwise(ends)]
    assert (np.sum(parts, axis=0) == 1).all()
    for part, (a, b) in zip(parts, pairwise(ends), strict=True):
        assert abs(part.mean() - (b - a)) < 0.01


# ---------------------------------------------------------------------------------------- erasure


def test_a_forgotten_user_is_in_no_version(engine, clock):
    engine.cohorts.define({"name": "all", "rule": {"all": []}})
    clock.ms += 1
    engine.cohorts.refresh("all")
    engine.cohorts.load("others", ["u5"])
    shard, ordinal = engine._writer.find(b"uu3")
    held = list(engine.cohorts.held(shard, ordinal))
    assert [(one["kind"], one["cohort"]) for one in held] == [("cohort", "all")] * 2
    before = engine.cohorts._store.now.named()
    assert engine.cohorts.forget({shard: np.array([ordinal], np.uint32)}) == 2
    assert engine.cohorts.forget({shard: np.array([ordinal], np.uint32)}) == 0
    assert list(engine.cohorts.held(shard, ordinal)) == []
    assert [one["users"] for one in engine.cohorts.show("all")["versions"]] == [59, 59]
    assert len(before & engine.cohorts._store.now.named()) == 1, "the list has the user not"
    assert count(engine, {"cohort": "all"}) == 59


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("document", "error", "text"),
    [
        ({"name": "x"}, InvalidQuery, "needs a rule"),
        ({"name": "", "rule": {"all": []}}, InvalidQuery, "name has 1 to"),
        ({"name": "a@b", "rule": {"all": []}}, InvalidQuery, "no '@'"),
        ({"name": " a", "rule": {"all": []}}, InvalidQuery, "no blank"),
        ({"name": "x" * 101, "rule": {"all": []}}, InvalidQuery, "1 to 100"),
        ({"name": "x", "rule": {"al": []}}, InvalidQuery, "did you mean 'all'"),
        ({"name": "x", "rule": {"cohort": "y"}}, InvalidQuery, "there is no cohort 'y'"),
        ({"name": "x", "rule": {"all": []}, "schedule": {"every": "year"}}, InvalidQuery, "year"),
        ({"name": "x", "rule": {"all": []}, "schedule": {"at": "25:00"}}, InvalidQuery, "regex"),
        ({"name": "x", "rule": {"all": []}, "time": {"from": "soon"}}, InvalidQuery, "a date"),
        ({"name": "x", "rule": {"all": []}, "time": {"tz": "Mars"}}, InvalidQuery, "Mars"),
        ({"name": "x", "rule": {"all": []}, "versions": 0}, InvalidQuery, ">= 1"),
        ({"name": "x", "rule": {"all": []}, "odd": 1}, InvalidQuery, "odd"),
        ({"name": "list", "rule": {"all": []}}, InvalidInput, "fixed list"),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(engine, document, error, text):
    engine.cohorts.load("list", ["u1"])
    with pytest.raises(error, match=text):
        engine.cohorts.define(document)
    assert [one["name"] for one in engine.cohorts.all()] == ["list"]


def test_what_else_is_refused(engine):
    cohorts = engine.cohorts
    cohorts.define({"name": "all", "rule": {"all": []}})
    cohorts.load("list", ["u1"])
    for error, text, call in [
        (NotFound, "did you mean 'list'", lambda: cohorts.show("lisst")),
        (NotFound, "no cohort", lambda: cohorts.delete("nothing")),
        (InvalidInput, "fixed list", lambda: cohorts.refresh("list")),
        (InvalidInput, "made by a rule", lambda: cohorts.load("all", ["u1"])),
        (InvalidInput, "type of id", lambda: cohorts.load("x", ["u1"], "mobile")),
        (InvalidInput, "replace", lambda: cohorts.load("x", ["u1"], how="drop")),
        (NotFound, "no cohort", lambda: cohorts.load("x", ["u1"], how="remove")),
        (InvalidInput, "no cursor", lambda: cohorts.members("all", after="here")),
        (InvalidInput, "1 to 10,000", lambda: cohorts.members("all", limit=0)),
        (InvalidInput, "type of id", lambda: cohorts.members("all", id_type="name")),
        (InvalidInput, "named by one id", lambda: cohorts.contains("all", {"name": "x"})),
        (InvalidInput, "2 to 20", lambda: cohorts.overlap(["all"])),
        (InvalidInput, "a date", lambda: cohorts.refresh("all", as_of="then")),
        (InvalidQuery, "needs a rule", lambda: cohorts.estimate({"rule": None})),
        (InvalidInput, "made by a rule", lambda: cohorts.save("all", users_query(), {})),
    ]:
        with pytest.raises(error, match=text):
            call()
    assert [one["name"] for one in cohorts.all()] == ["all", "list"]


# --------------------------------------------------------------------------------------- identity


def test_a_member_who_turns_out_to_be_a_customer_is_the_customer(engine):
    """Raw ids are kept: the list follows whoever the device turns out to be."""
    look = {"event": "look", "time": "2026-10-02T00:00:00Z"}
    engine.append([{"device_id": f"phone-{i}", **look} for i in range(3)])
    engine.cohorts.load("phones", ["phone-0", "phone-1"], "device_id")
    assert engine.cohorts.contains("phones", {"device_id": "phone-0"})
    assert not engine.cohorts.contains("phones", {"user_id": "u7"})
    bound = {"event": "login", "time": "2026-10-03T00:00:00Z"}
    engine.append([{"user_id": "u7", "device_id": "phone-0", **bound}])
    assert engine.cohorts.contains("phones", {"user_id": "u7"})
    assert engine.cohorts.contains("phones", {"device_id": "phone-0"})
    assert names(engine, "phones") == ["u7"]
    assert engine.cohorts.members("phones")["total"] == 2
    body = {"series": [{"e": "look", "measure": "users"}]}
    for _ in range(2):
        answer = engine.query(users_query(audience={"cohort": "phones"}, body=body))
        assert answer.rows[0][-1] == 2
        by = [{"p": "user.$cohort.phones"}]
        rows = engine.query(users_query(by=by, body=body)).rows
        assert {row[2]: row[-1] for row in rows} == {True: 2, False: 1}
        engine.flush()
        engine.compact()
    engine.cohorts.define({"name": "others", "rule": {"not": {"cohort": "phones"}}})
    everybody = engine.cohorts.estimate({"all": []})
    assert everybody["users"] == everybody["of"] == 62
    assert engine.cohorts.show("others")["users"] == 60
    assert engine.cohorts.load("again", ["phone-0"], "device_id")["found"] == 1
    assert names(engine, "again") == ["u7"]


def test_a_device_without_events_is_its_customer(engine):
    at = "2026-10-03T00:00:00Z"
    engine.append([{"user_id": "u7", "device_id": "tablet", "event": "login", "time": at}])
    told = engine.cohorts.load("tablets", ["tablet", "unknown"], "device_id")
    assert (told["found"], told["examples"]) == (1, ["unknown"])
    assert names(engine, "tablets") == ["u7"]
    assert engine.cohorts.contains("tablets", {"device_id": "tablet"})
