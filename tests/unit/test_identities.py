"""Identities of an engine: what is known of an id, what is noted of what was said by hand, what is
refused; and that the page about identity shows what there is.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import pytest

import zuji
from zuji.engine.errors import EngineClosed, InvalidInput, NotFound, ReadOnly

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text(encoding="utf-8")
T0 = 1_790_000_000_000
NOW = T0 + 1_000_000


def event(time, user=None, device=None, name="e"):
    ids = {"user_id": user, "device_id": device}
    return {"event": name, "time": T0 + time, **{k: v for k, v in ids.items() if v is not None}}


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path / "p") as engine:
        engine._writer.now_ms = lambda: NOW
        yield engine


def test_the_page_shows_what_is_told_of_ids(tmp_path):
    def at(text):
        return int(dt.datetime.fromisoformat(text + "+08:00").timestamp() * 1000)

    shown = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)]
    with zuji.open(tmp_path / "p") as engine:
        engine._writer.now_ms = lambda: at("2026-10-01T10:00")
        login = {"user_id": "ann", "device_id": "phone", "event": "login"}
        engine.append([{**login, "time": at("2026-10-01T10:00")}])
        engine.identity.unbind("ann", "phone", at("2026-10-03T00:00"))
        engine.identity.bind("bob", "phone", at("2026-10-05T00:00"))
        assert [engine.identity.of(one["id"]) for one in shown] == shown
        used = set(re.findall(r"engine\.identity\.(\w+)", PAGE))
        public = {name for name in dir(engine.identity) if not name.startswith("_")}
        assert used == public - {"shared_device"}


def test_an_id_may_be_a_customers_and_a_devices(engine):
    engine.append([event(0, user="x"), event(1, device="x"), event(2, "ann", "x")])
    found = engine.identity.of("x")
    assert found["customer"] == {"devices": []}
    assert found["device"]["owners"] == [{"from": None, "to": None, "user_id": "ann"}]
    assert engine.identity.of("ann")["customer"]["devices"] == [{"device_id": "x", "since": T0 + 2}]
    assert engine.identity.of("ann")["device"] is None


def test_a_device_that_nobody_was_seen_with_is_its_own(engine):
    engine.append([event(0, device="d")])
    assert engine.identity.of("d")["device"] == {
        "owners": [{"from": None, "to": None, "user_id": None}],
        "seen": [],
    }


def test_the_earliest_moment_counts_whatever_comes_first(engine):
    for time in (5, 3, 9):
        engine.append([event(time, "ann", "d")])
    assert engine.identity.of("d")["device"]["seen"] == [
        {
            "user_id": "ann",
            "first": T0 + 3,
            "by": {"event": "e", "received_ms": NOW},
            "apart": [],
        }
    ]


@pytest.mark.parametrize("stored", ["memtable", "flushed", "compacted"])
def test_a_link_says_by_which_record(engine, stored):
    mobile = {**event(7, "ann", name="order"), "properties": {"$identity_mobile": "138"}}
    profile = {"type": "profile_set", "time": T0 + 2, "user_id": "bob", "device_id": "d"}
    engine.append([mobile, event(3, "ann", "d", "login"), {**profile, "properties": {"x": 1}}])
    engine.append([event(3, "ann", "d", "again"), event(1, device="d"), event(3, "ann")])
    bound = engine.identity.bind("cem", "d", T0 + 9)
    if stored != "memtable":
        engine.flush()
    if stored == "compacted":
        engine.compact()
    seen = {one["user_id"]: one["by"] for one in engine.identity.of("d")["device"]["seen"]}
    assert seen == {
        "ann": {"event": "login", "received_ms": NOW},
        "bob": {"event": "$profile_set", "received_ms": NOW},
        "cem": {"n": bound["n"]},
    }
    typed = engine.identity.of("138", "mobile")
    assert typed == engine.identity.of("$identity_mobile+138")
    assert typed["device"]["seen"][0]["by"] == {"event": "order", "received_ms": NOW}


@pytest.mark.parametrize("name", ["", "cookie_id", "mobile+1"])
def test_types_of_ids_have_names(engine, name):
    with pytest.raises(InvalidInput, match=r"\$identity_"):
        engine.identity.of("138", name)


def test_what_was_undone_is_not_undone_again(engine):
    engine.append([event(0, "ann", "d")])
    engine.identity.undo("ann", "d")
    with pytest.raises(NotFound, match="since it was undone"):
        engine.identity.undo("ann", "d")
    engine.append([event(1, "ann", "d")])
    engine.identity.undo("ann", "d")
    assert [one["what"] for one in engine.identity.log()] == ["undo", "undo"]


def test_what_was_said_by_hand_is_noted_and_outlives_the_process(tmp_path):
    with zuji.open(tmp_path / "p") as engine:
        moment = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
        first = engine.identity.bind("ann", "d", moment, by="lin", why="a form")
        engine.identity.unbind(None, "d", T0)
        engine.identity.undo("ann", "d", by="audit")
        engine.identity.set_shared_device("first_owner", by="lin")
        engine.identity.set_shared_device("first_owner")  # changes nothing
        log = engine.identity.log()
        assert first == log[0]
        assert [one["what"] for one in log] == ["bind", "unbind", "undo", "shared_device"]
        assert (log[0]["time"], log[0]["by"], log[0]["why"]) == (
            1_790_812_800_000,
            "lin",
            "a form",
        )
        assert log[1]["user_id"] is None
        numbers = [one["n"] for one in log]
        assert numbers == sorted(set(numbers))
        assert engine.identity.log(after=numbers[1], limit=1) == log[2:3]
    for _ in range(2):
        with zuji.open(tmp_path / "p") as engine:
            assert engine.identity.log() == log
            assert engine.identity.shared_device == "first_owner"
            engine.compact()


def test_now_is_the_time_when_none_is_said(tmp_path):
    with zuji.open(tmp_path / "p", clock=lambda: T0) as engine:
        assert engine.identity.bind("ann", "d")["time"] == T0


def test_customers_who_are_bound_and_nothing_more_are_no_users(engine):
    engine.identity.bind("ann", "d", T0)
    count = {
        "model": "event",
        "time": {"from": "2026-01-01", "to": "2026-12-31", "grain": "all"},
        "body": {"series": [{"e": "*", "measure": "users"}]},
    }
    assert engine.query(count).rows[0][-1] == 0
    engine.append([event(5, device="d")])
    assert engine.query(count).rows[0][-1] == 1


@pytest.mark.parametrize("user", ["", None, 7, "x" * 256])
def test_customers_have_ids(engine, user):
    with pytest.raises(InvalidInput):
        engine.identity.bind(user, "d")
    assert engine.identity.log() == []


@pytest.mark.parametrize("device", ["", None, 7, "金" * 86])
def test_devices_have_ids(engine, device):
    for say in (engine.identity.bind, engine.identity.unbind, engine.identity.undo):
        with pytest.raises(InvalidInput):
            say("ann", device)
    assert engine.identity.log() == []


@pytest.mark.parametrize(
    "time", ["2026-10-01", True, 1.5, -(10**15), 10**15, dt.datetime(2026, 10, 1)]
)
def test_times_are_moments(engine, time):
    with pytest.raises(InvalidInput):
        engine.identity.bind("ann", "d", time)
    assert engine.identity.log() == []


def test_what_was_never_said_is_not_undone(engine):
    engine.append([event(0, "ann", "d"), event(1, "bob", "e")])
    for user, device in (("ann", "e"), ("zoe", "d"), ("ann", "f")):
        with pytest.raises(NotFound, match="nothing to undo"):
            engine.identity.undo(user, device)
    assert engine.identity.log() == []


def test_shared_devices_are_one_of_three(engine):
    with pytest.raises(InvalidInput, match="first_owner"):
        engine.identity.set_shared_device("both")
    assert engine.identity.shared_device == "device"


def test_nobody_has_an_id_that_was_never_sent(engine):
    with pytest.raises(NotFound, match="nobody has the id 'ann'"):
        engine.identity.of("ann")


def test_a_reader_sees_and_says_nothing(tmp_path):
    with zuji.open(tmp_path / "p") as engine:
        engine.append([event(0, "ann", "d")])
        engine.flush()
        with zuji.open(tmp_path / "p", mode="r") as reader:
            assert reader.identity.of("d")["device"]["seen"][0]["user_id"] == "ann"
            for say in (reader.identity.bind, reader.identity.unbind, reader.identity.undo):
                with pytest.raises(ReadOnly):
                    say("ann", "d")
            with pytest.raises(ReadOnly):
                reader.identity.set_shared_device("last_login")
    with pytest.raises(EngineClosed):
        engine.identity.bind("ann", "d")


def test_a_bind_is_on_the_disk_before_it_returns(tmp_path):
    """A copy of the files at that moment, as a killed process leaves them, knows it."""
    import shutil

    with zuji.open(tmp_path / "p") as engine:
        engine.append([event(0, device="d")])
        engine.identity.bind("ann", "d", T0)
        shutil.copytree(tmp_path / "p", tmp_path / "q")
    with zuji.open(tmp_path / "q") as engine:
        assert engine.identity.of("d")["device"]["owners"][0]["user_id"] == "ann"


@pytest.mark.parametrize("reopened", [False, True])
def test_a_row_that_stands_with_a_customer_is_his_again_when_another_was_parted(tmp_path, reopened):
    """It was written with his, was nobody's for a while, and nothing new was said of him."""

    def people(engine):
        body = {"series": [{"e": "look", "as": "looks"}]}
        query = {"model": "event", "time": {"from": "2026-09-01", "to": "2026-12-31"}, "body": body}
        audience = {"did": {"e": "named", "count": {"op": "gt", "v": 0}}}
        answer = engine.query({**query, "audience": audience})
        return sum(row[answer.names.index("value")] for row in answer.rows)

    engine = zuji.open(tmp_path / "p")
    engine.append([event(50, device="d", name="look"), event(20, "bob", "d", "login")])
    engine.append([event(1, "bob", name="named")])
    engine.compact()
    assert people(engine) == 1
    engine.append([event(10, "ann", "d", "login")])  # shared from bob's login on
    assert people(engine) == 0
    engine.identity.unbind("ann", "d", T0 + 30)
    if reopened:
        engine.close()
        engine = zuji.open(tmp_path / "p")
    assert people(engine) == 1
    engine.compact()
    assert people(engine) == 1
    engine.close()
