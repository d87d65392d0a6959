"""``erased_ids = refuse``: what comes under an id that was erased is counted and stored nowhere."""

from __future__ import annotations

import json

import msgpack
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zuji
from zuji.engine.batch import encode_events
from zuji.engine.errors import InvalidInput, ReadOnly
from zuji.engine.export import read_events

START = 1_790_000_000_000
BY_HAND = zuji.Config(background=False, threads=1)


def event(user=None, n=0, **more):
    who = {} if user is None else {"user_id": user}
    return {"event": "e", "time": START + n * 1000, **who, "properties": {"n": n}, **more}


def rows(engine):
    """(user, device, n) of every stored event."""
    stored = (row for table in read_events(engine) for row in table.to_pylist())
    found = [(row["user_id"], row.get("device_id"), row.get("n")) for row in stored]
    return sorted(found, key=str)


def outcome(result):
    return (
        result.accepted,
        result.duplicates,
        [(one.index, one.reason) for one in result.rejected],
        list(result.repeated),
    )


def found_anywhere(folder, text):
    """Files that have the text. REQUIRES: what was written is not compressed away."""
    return [p.name for p in folder.rglob("*") if p.is_file() and text in p.read_bytes()]


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path / "p", config=BY_HAND) as engine:
        engine.append([event("ann", 1), event("bob", 2), event(None, 3, device_id="phone")])
        engine.people.erase({"user_id": "ann"}, {"device_id": "phone"})
        engine.people.set_erased_ids("refuse")
        yield engine


def test_events_of_erased_ids_are_refused_and_the_others_stored(engine, tmp_path):
    secret = "ann-comes-again-" * 3
    batch = [event("bob", 4), event("ann", 5, properties={"s": secret}), event("cy", 6)]
    assert outcome(engine.append(batch)) == (2, 0, [(1, "erased_id")], [])
    assert outcome(engine.append([event(None, 7, device_id="phone")]))[2] == [(0, "erased_id")]
    assert rows(engine) == [("bob", None, 2), ("bob", None, 4), ("cy", None, 6)]
    assert engine.people.refused == {"erased_id": 2}
    assert list(engine.rejected()) == []
    assert not found_anywhere(tmp_path, b"ann-comes")  # not in the log either
    engine.people.purge()
    assert outcome(engine.append(batch))[2] == [(1, "erased_id")]


def test_the_setting_and_the_ledger_stay_over_a_restart_and_can_be_taken_back(engine, tmp_path):
    engine.close()
    with zuji.open(tmp_path / "p", config=BY_HAND) as again:
        assert again.people.erased_ids == "refuse"
        assert outcome(again.append([event("ann", 5)]))[2] == [(0, "erased_id")]
        again.people.set_erased_ids("accept")
        assert outcome(again.append([event("ann", 5)]))[0] == 1
        again.people.set_erased_ids("refuse")  # she is somebody again, who was not erased
        assert outcome(again.append([event("ann", 6)]))[0] == 1
        again.people.erase({"user_id": "ann"})
        assert outcome(again.append([event("ann", 7)]))[2] == [(0, "erased_id")]
    with zuji.open(tmp_path / "p", mode="r") as reader:
        assert reader.people.erased_ids == "refuse"
        with pytest.raises(ReadOnly):
            reader.people.set_erased_ids("accept")


def test_who_was_never_known_and_is_erased_is_refused_when_he_comes(engine):
    engine.people.erase({"user_id": "dee"}, {"$identity_mobile": "138"})
    given = [event("dee"), event(None, device_id="$identity_mobile+138"), event("138")]
    assert outcome(engine.append(given))[2] == [(0, "erased_id"), (1, "erased_id")]


def test_an_event_goes_by_the_id_whose_it_is(engine):
    assert outcome(engine.append([event("ann", device_id="tablet")]))[2] == [(0, "erased_id")]
    # A living customer on the phone of somebody who was erased: the event, then the phone, are his.
    assert outcome(engine.append([event("bob", 5, device_id="phone")]))[0] == 1
    assert outcome(engine.append([event(None, 6, device_id="phone")]))[0] == 1
    assert [row for row in rows(engine) if row[2] in (5, 6)] == [
        ("bob", "phone", 5),
        ("bob", "phone", 6),
    ]


@pytest.mark.parametrize("purge", [False, True])
def test_a_device_that_was_his_alone_is_refused_with_him(tmp_path, purge):
    with zuji.open(tmp_path / "q", config=BY_HAND) as engine:
        engine.append([event(None, 1, device_id="d"), event("ann", 2, device_id="d")])
        engine.people.set_erased_ids("refuse")
        engine.people.erase({"user_id": "ann"})
        if purge:
            engine.people.purge()
        given = [event(None, 3, device_id="d"), event("ann", 4, device_id="d"), event("bob", 5)]
        assert outcome(engine.append(given))[2] == [(0, "erased_id"), (1, "erased_id")]
        assert rows(engine) == [("bob", None, 5)]


def test_records_of_profiles_are_refused_too(engine):
    record = {"type": "profile_set", "user_id": "ann", "time": START, "properties": {"vip": True}}
    assert outcome(engine.append([record, {**record, "user_id": "bob"}])) == (
        1,
        0,
        [(0, "erased_id")],
        [],
    )
    persona = engine.people.export({"user_id": "bob"})
    assert any(one["kind"] == "profile" for one in persona)


def test_what_cannot_be_stored_is_not_kept_in_the_quarantine_either(engine):
    broken = [event("ann", time="soon"), event("bob", time="soon"), {"user_id": "ann"}]
    item = {"type": "item_set", "item_type": "p", "item_id": "ann", "properties": {"a": 1}}
    found = outcome(engine.append([*broken, item]))
    assert found == (1, 0, [(0, "erased_id"), (1, "bad_time"), (2, "erased_id")], [])
    assert [one["event"]["user_id"] for one in engine.rejected()] == ["bob"]
    assert engine.items.get("p", "ann") == {"a": 1}


def test_refused_before_the_engine_and_then_not_kept(engine):
    from zuji.engine.batch.columns import Rejected

    given = [
        Rejected(0, "bad_time", "time", "no", json.dumps({"user_id": who, "time": "x"}).encode())
        for who in ("ann", "bob")
    ]
    engine.append_many([], given)
    assert [one["event"]["user_id"] for one in engine.rejected()] == ["bob"]
    engine.append_many([], given[:1])
    assert len(list(engine.rejected())) == 1
    assert engine.people.refused == {"erased_id": 2}


def test_a_replay_of_the_quarantine_brings_nobody_back(tmp_path):
    with zuji.open(tmp_path / "q", config=BY_HAND) as engine:
        engine.append([event("ann")])
        engine.people.erase({"user_id": "ann"})
        engine.append([event("ann", time="soon")])  # accepted into the quarantine by then
        engine.people.set_erased_ids("refuse")
        done = engine.replay_rejected(mend=lambda one: event("ann"))
        assert done.stored == 0
        assert rows(engine) == []


def test_rows_of_a_table_are_refused(engine):
    table = pa.table(
        {
            "who": ["ann", "bob", None, "eve"],
            "phone": ["x", None, "phone", "phone"],
            "at": pa.array([START] * 4, pa.timestamp("ms", "UTC")),
            "n": [1, 2, 3, 4],
        }
    )
    mapping = {"event_name": "e", "time": "at", "user": "who", "device": "phone"}
    result = engine.append_table(table, mapping)
    assert outcome(result) == (2, 0, [(0, "erased_id"), (2, "erased_id")], [])
    assert [row for row in rows(engine) if row[0] == "eve"] == [("eve", "phone", 4)]
    assert engine.people.refused == {"erased_id": 2}


def test_nonsense_is_no_setting(engine):
    for wrong in ("", "ask", None, 1):
        with pytest.raises(InvalidInput, match="'accept' or 'refuse'"):
            engine.people.set_erased_ids(wrong)
    assert engine.people.erased_ids == "refuse"


# -- any batch -------------------------------------------------------------------------------------

ERASED = ("ann", "al")
IDS = st.sampled_from((*ERASED, "bob", "new"))
EVENTS = st.builds(
    lambda user, device, n, wrong, insert: {
        **event(user, n, **({"device_id": device} if device else {})),
        **({"insert_id": insert} if insert else {}),
        **wrong,
    },
    st.none() | IDS,
    st.none() | st.sampled_from(("phone", "pad")),
    st.integers(0, 9),
    st.sampled_from(({}, {}, {}, {"time": "soon"}, {"odd": 1})),
    st.none() | st.sampled_from(("i1", "i2")),
)


def packed(events, form, batch_id):
    if form == "msgpack":
        return encode_events(events)[0] if events else msgpack.packb([])
    if form == "map":
        return msgpack.packb({"events": events, "batch_id": batch_id})
    if form == "json":
        return json.dumps({"batch_id": batch_id, "events": events}, indent=1).encode()
    lines = [json.dumps(one).encode() for one in events]
    return b"\n".join([*lines[:1], *([b"{bad}"] if lines else []), *lines[1:]]) + b"\n"


def refused(one):
    """Whether an event goes, or carries (where it is wrong) an erased id."""
    wrong = one["time"] == "soon" or "odd" in one or not ({"user_id", "device_id"} & set(one))
    if wrong:
        return bool({one.get("user_id"), one.get("device_id")} & {*ERASED, "phone"})
    return one.get("user_id", one.get("device_id")) in {*ERASED, "phone"}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(EVENTS, min_size=1, max_size=8),
    st.sampled_from(("msgpack", "map", "json", "lines")),
)
def test_a_batch_is_stored_as_if_erased_ids_had_not_been_in_it(tmp_path_factory, events, form):
    folder = tmp_path_factory.mktemp("pair")
    with (
        zuji.open(folder / "refusing", config=BY_HAND) as engine,
        zuji.open(folder / "plain", config=BY_HAND) as twin,
    ):
        for one in (engine, twin):
            one.append([event("bob"), event("ann"), event(None, device_id="phone")])
            one.people.erase({"user_id": "ann"}, {"user_id": "al"}, {"device_id": "phone"})
        engine.people.set_erased_ids("refuse")
        got = engine.append_batch(packed(events, form, "b1"))
        kept = [at for at, one in enumerate(events) if not refused(one)]
        gone = [at for at, one in enumerate(events) if refused(one)]

        def place(at):  # the line that is no JSON stands after the first event
            return at + (form == "lines" and at > 0)

        want = [(place(at), "erased_id") for at in gone]
        assert [one for one in outcome(got)[2] if one[1] == "erased_id"] == want
        assert engine.people.refused.get("erased_id", 0) == len(gone)
        assert rows(engine)
        alone = twin.append([events[at] for at in kept])
        bad_lines = [(1, "bad_json")] if form == "lines" else []
        others = [(place(kept[one.index]), one.reason) for one in alone.rejected]
        mine = [one for one in outcome(got)[2] if one[1] != "erased_id"]
        assert mine == sorted([*others, *bad_lines])
        assert (got.accepted, got.duplicates) == (alone.accepted, alone.duplicates)
        assert list(got.repeated) == [place(kept[at]) for at in alone.repeated]
        assert rows(engine) == rows(twin)
        told = [one["reason"] for one in engine.rejected()]
        assert sorted(told) == sorted([reason for _, reason in mine])
        stored = rows(engine)
    with zuji.open(folder / "refusing", config=BY_HAND) as again:
        assert rows(again) == stored
