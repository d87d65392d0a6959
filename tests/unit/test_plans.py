"""Parts of tracking plans: document, versions, learning, tokens, counters, live view, mends."""

import asyncio
import json
import os
import stat
import threading
import time
from unittest.mock import Mock

import msgpack
import msgspec
import pytest

import zuji
from tests.server.planned import KEY, NOW, batch, event, gate_of, plan, secrets
from zuji.engine.errors import InvalidInput, NotFound, Overloaded, StorageFailed
from zuji.engine.writer import AppendResult
from zuji.server.meta import open_store
from zuji.server.plan.book import PlanBook
from zuji.server.plan.document import MOST_BYTES, OPEN, decoded, encoded
from zuji.server.plan.gate import Grown
from zuji.server.plan.governor import Governor, Keeper
from zuji.server.plan.learn import Seen, differences, remarks, suggested
from zuji.server.plan.live import MOST_A_BATCH, MOST_WAITING, MOST_WATCHERS, Live
from zuji.server.plan.mending import Mend, Which, read_mend
from zuji.server.plan.quality import MOST_KEYS, OTHER, Quality, counted
from zuji.server.plan.tokens import DIRECTORY, Tokens, tokens_of


@pytest.fixture
def store(tmp_path):
    opened = open_store(str(tmp_path))
    yield opened
    opened.close()


# -- the document ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "plan is wrong"),
        ("{", "not JSON"),
        ('{"modus": "open"}', "modus"),
        ('{"mode": "closed"}', "closed"),
        ('{"events": [{"name": "a"}, {"name": "A"}]}', r"events\[1\].name: 'A' differs .* in case"),
        ('{"events": [{"name": "a"}, {"name": "a"}]}', "'a' stands twice"),
        ('{"events": [{"name": ""}]}', "1 to 100 bytes"),
        ('{"events": [{"name": "a\\n"}]}', "control"),
        ('{"events": [{"name": "%s"}]}' % ("中" * 34), "1 to 100 bytes"),
        ('{"properties": [{"name": "$time"}]}', "reserved"),
        ('{"properties": [{"name": "a", "kind": "number"}]}', "number"),
        ('{"events": [{"name": "a", "properties": ["b"]}]}', "'b' is not one of"),
        ('{"presets": false, "common": ["$os"]}', r"\$os"),
        ('{"properties": [{"name": "a", "purpose": "ads"}]}', r"purpose: 'ads'"),
        (
            '{"properties": [{"name": "a", "kind": "int64", "sensitive": "tokenise"}]}',
            "a token is text",
        ),
        ('{"properties": [{"name": "a", "sensitive": "refuse", "values": ["x"]}]}', "no list"),
        ('{"properties": [{"name": "a", "values": []}]}', "1 to 1,000"),
        ('{"properties": [{"name": "a", "kind": "int64", "values": ["x"]}]}', "int64"),
        ('{"properties": [{"name": "a", "kind": "bool", "values": [1]}]}', "bool"),
        ('{"late": {"back_days": 0}}', "back_days"),
        (
            '{"purposes": [{"name": "p", "property": "c"}],'
            ' "properties": [{"name": "c", "purpose": "p"}]}',
            "cannot need consent",
        ),
        (" " * (MOST_BYTES + 1), "at most"),
    ],
)
def test_what_is_not_a_sound_plan_is_said_with_its_place(document, message):
    with pytest.raises(InvalidInput, match=message):
        decoded(document)


def test_a_plan_is_what_its_document_says():
    for one in (plan(), secrets(), OPEN):
        assert decoded(encoded(one)) == one
    assert json.loads(encoded(OPEN)) == {"mode": "open"}


# -- versions ----------------------------------------------------------------------------------


def test_versions_are_kept_and_the_last_one_counts(store):
    book = PlanBook(store)
    assert book.current("bank").version == 0
    assert book.current("bank").plan == OPEN
    first = book.put("bank", plan("open"), "me", "begin")
    assert book.put("bank", plan("open"), "me") == first
    second = book.put("bank", plan(), "me", expected=1)
    assert (first.version, second.version) == (1, 2)
    assert book.current("bank") == second
    assert book.history("bank") == [second, first]
    assert book.version("bank", 1) == first
    assert book.current("other").version == 0
    with pytest.raises(InvalidInput, match="version 2 by now, not 1"):
        book.put("bank", plan("warn"), "me", expected=1)
    with pytest.raises(NotFound):
        book.version("bank", 9)
    with pytest.raises(InvalidInput, match="200 characters"):
        book.put("bank", plan("warn"), "me", "x" * 201)


def test_of_two_that_write_the_same_version_one_is_told(store):
    book, late = PlanBook(store), PlanBook(store)
    late.current = Mock(return_value=book.current("bank"))
    book.put("bank", plan(), "a")
    with pytest.raises(InvalidInput, match="somebody else"):
        late.put("bank", plan("warn"), "b")
    assert book.current("bank").plan == plan()


# -- learning ----------------------------------------------------------------------------------


def test_what_was_seen_becomes_a_plan(tmp_path):
    with zuji.open(tmp_path) as engine:
        engine.append(
            [
                event("pay", properties={"amount": 1.5, "$os": "x"}),
                event("view", properties={"page": "p"}),
                event("View"),
                event("view", properties={"Page": 1}),
                event("$pageview"),
                {"type": "profile_set", "time": NOW, "user_id": "u", "properties": {"vip": True}},
            ]
        )
        seen = Seen(engine.events(), engine.properties())
    found = suggested(OPEN, seen)
    assert decoded(encoded(found)) == found
    assert {e.name: e.properties for e in found.events} == {"pay": ("amount",), "view": ("Page",)}
    assert {p.name: p.kind for p in found.properties} == {"amount": "float64", "Page": "int64"}
    assert [(p.name, p.kind) for p in found.user_properties] == [("vip", "bool")]
    mine = plan(events=[{"name": "PAY", "owner": "me"}], user_properties=[])
    assert suggested(mine, seen).events[0] == mine.events[0]
    notes = list(remarks(mine, seen))
    assert any("event pay (1 stored) is not declared" in note for note in notes)
    assert any("user property vip is not declared" in note for note in notes)
    assert any("event PAY was never seen" in note for note in notes)
    other = plan(properties=[{"name": "amount", "kind": "string"}, {"name": "page"}], events=[])
    notes = list(remarks(other, seen))
    assert "property amount is declared as string, stored as float64: it stays float64" in notes
    assert "property Page differs from page only in case: it would be refused" in notes


def test_differences_are_told_a_line_each():
    old = plan("open", common=["any"])
    new = plan(
        events=[{"name": "pay", "owner": "me"}, {"name": "buy"}],
        user_properties=[],
        late={"back_days": 3},
    )
    assert differences(old, new) == [
        "~ mode: open → strict",
        '~ late: {} → {"back_days":3.0}',
        '~ common: ["any"] → []',
        "- event view",
        "+ event buy",
        "~ event pay, owner: none → me",
        "- user property level",
    ]
    assert differences(new, new) == []


# -- tokens ------------------------------------------------------------------------------------


def test_the_key_is_a_file_of_its_own_that_nobody_else_reads(tmp_path):
    tokens = tokens_of(tmp_path, "bank")
    path = tmp_path / DIRECTORY / "bank"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_bytes()) == 32
    assert os.listdir(path.parent) == ["bank"]
    assert tokens_of(tmp_path, "bank").of("x") == tokens.of("x")
    assert tokens_of(tmp_path, "other").of("x") != tokens.of("x")
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        tokens_of(tmp_path, "bank")
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(InvalidInput, match="32 bytes"):
        tokens_of(tmp_path, "bank")


def test_of_many_that_make_the_key_at_once_all_have_the_same(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(tokens_of(tmp_path, "bank").of("x")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_token_is_an_hmac():
    import hashlib
    import hmac

    digest = hmac.new(KEY, "身份证".encode(), hashlib.sha256).hexdigest()
    assert Tokens(KEY).of("身份证") == "tok_" + digest[:32]


# -- counters ----------------------------------------------------------------------------------


def test_counters_are_bounded_and_add_up(store):
    quality = Quality(store, "bank", "Asia/Shanghai")
    for i in range(MOST_KEYS + 50):
        quality.add([("unknown_event", "rejected", f"sdk {i}", "1")] * 2, NOW)
    quality.flush()
    quality.add([("unknown_event", "rejected", "sdk 0", "1")], NOW)
    quality.add([("too_old", "rejected", "new", "1")], NOW)
    quality.flush()
    rows = counted(store, "bank")
    assert len(rows) == MOST_KEYS + 2
    assert sum(row.events for row in rows) == 2 * (MOST_KEYS + 50) + 2
    found = {(row.reason, row.sdk): row.events for row in rows}
    assert found["unknown_event", OTHER] == 100
    assert found["unknown_event", "sdk 0"] == 3
    assert found["too_old", OTHER] == 1
    assert {row.day for row in rows} == {"2026-10-01"}


def test_the_bound_holds_after_a_restart_and_ends_with_the_day(store):
    for name in ("a", "b"):
        quality = Quality(store, "bank", "UTC")
        for i in range(MOST_KEYS):
            quality.add([("x", "warning", f"{name}{i}", "")], NOW)
        quality.flush()
    quality.add([("x", "warning", "tomorrow", "")], NOW + 86_400_000)
    quality.flush()
    assert len(counted(store, "bank")) == MOST_KEYS + 2
    (late,) = counted(store, "bank", "2026-10-02")
    assert late.sdk == "tomorrow"
    assert counted(store, "other") == []


def test_counts_that_could_not_be_written_are_written_later(store, monkeypatch):
    quality = Quality(store, "bank", "UTC")
    quality.add([("x", "warning", "s", "")], NOW)
    with monkeypatch.context() as patch:
        patch.setattr(store, "session", Mock(side_effect=StorageFailed("disk")))
        with pytest.raises(StorageFailed):
            quality.flush()
    quality.add([("x", "warning", "s", "")], NOW)
    quality.flush()
    assert [row.events for row in counted(store, "bank")] == [2]


# -- the governor ------------------------------------------------------------------------------


def test_without_a_plan_batches_go_straight_to_the_engine(tmp_path, store):
    engine = Mock()
    engine.status.return_value = {"tz": "UTC"}
    engine.append_many.return_value = [AppendResult(1)]
    governor = Governor("bank", engine, store, str(tmp_path))
    data = batch([event()])
    assert governor.append([data], ()) == [AppendResult(1)]
    ((given, refused), _) = engine.append_many.call_args
    assert given[0] is data
    assert refused == ()


def test_a_batch_that_is_none_does_not_touch_the_others(tmp_path, store):
    PlanBook(store).put("bank", plan(), "me")
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        now = time.time_ns() // 1_000_000
        good = batch([event(time=now)])
        found = governor.append([good, b"\xc1", good, b""], ())
        assert [getattr(one, "accepted", None) for one in found] == [1, None, 1, None]
        assert [getattr(one, "reason", None) for one in found[1::2]] == ["malformed", "truncated"]


def test_records_that_protocols_refuse_are_scrubbed_and_counted(tmp_path, store):
    from zuji.server.protocols.records import refused

    PlanBook(store).put("bank", secrets(), "me")
    raws = [
        b'{"type":"item_set","properties":{"pin":"xsecret"},"lib":{"$lib":"js","$lib_version":"2"}}',
        msgpack.packb({"deep": {"Pin": "xsecret"}}),
        b"data=eyJwaW4iOiJ4c2VjcmV0In0=",
    ]
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        governor.append([], [refused(i, "kept_item", "no", raw) for i, raw in enumerate(raws)])
        kept = list(engine.rejected())
    assert [one["reason"] for one in kept] == ["no_item", "kept_item", "kept_item"]
    assert kept[0]["event"]["type"] == "item_set"
    assert "$withheld" in kept[2]["event"]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"secret" not in path.read_bytes(), path
            assert b"eyJwaW4iOiJ4c2VjcmV0In0" not in path.read_bytes(), path
    governor.quality.flush()
    assert {(row.sdk, row.events) for row in counted(store, "bank")} == {("js 2", 1), ("", 2)}


def test_items_pass_a_plan_that_knows_no_events_but_its_own(tmp_path, store):
    from zuji.server.protocols.records import refused

    PlanBook(store).put("bank", secrets(), "me")
    head = {"type": "item_set", "item_type": "good", "properties": {"kind": "tea"}}
    sent = [head | {"item_id": "p1"}, head | {"item_id": "p2", "time": 5}]
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        raw = msgspec.json.encode(head | {"item_id": "p3"})
        (done,) = governor.append([msgpack.packb(sent)], [refused(0, "kept_item", "no", raw)])
        assert (done.accepted, done.rejected) == (2, ())
        assert dict(engine.items.all("good")) == {f"p{n}": {"kind": "tea"} for n in (3, 1, 2)}
        assert list(engine.rejected()) == []


def test_new_plans_are_taken_in_and_casts_left_to_the_engine(tmp_path, store, monkeypatch):
    from zuji.server.plan import governor as module

    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "SETTLE_S", 0.01)
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        keeper = Keeper(store)
        keeper.add(governor)
        other = open_store(str(tmp_path))
        PlanBook(other).put("bank", plan(), "me")
        other.close()
        until = time.monotonic() + 10
        while governor.version.version != 1:
            assert time.monotonic() < until
        now = time.time_ns() // 1_000_000
        data = batch([event(time=now, properties={"amount": 12})])
        governor.append([data], ())
        while governor._gate.passed(data, now).batch is not data:
            assert time.monotonic() < until
        keeper.close()
        assert {p["name"]: p["kind"] for p in engine.properties()}["amount"] == "float64"


def test_a_plan_that_cannot_be_read_leaves_the_old_one(tmp_path, store, monkeypatch):
    from zuji.server.plan import governor as module

    monkeypatch.setattr(module, "LOOK_S", 0.01)
    PlanBook(store).put("bank", secrets(), "me")
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        keeper = Keeper(store)
        failing = Mock(side_effect=StorageFailed("disk"))
        keeper.add(Mock(refresh=failing, settle=Mock(), quality=Mock(), version=None))
        keeper.add(governor)
        PlanBook(store).put("bank", plan(), "me")
        until = time.monotonic() + 10
        while governor.version.version != 2 or failing.call_count < 3:
            assert time.monotonic() < until
        keeper.close()


# -- the live view -----------------------------------------------------------------------------


def messages(watcher):
    """What a watcher was told."""
    return [
        (head.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for head, data in (one.decode().strip().split("\n") for one in watcher.waiting)
    ]


def watched(**filters):
    """A live view on a loop that runs what is called soon at once."""
    live = Live()

    async def begin():
        loop = Mock()
        loop.call_soon_threadsafe = lambda call, *arguments: call(*arguments)
        watcher = live.watch(
            filters.get("device", ""), filters.get("user", ""), values=filters.get("values", True)
        )
        watcher.loop = loop
        return watcher

    return live, asyncio.run(begin())


def publish(live, events, **result):
    gate = gate_of(plan("warn"))
    passed = gate.passed(batch(events), NOW)
    live.publish(passed.batch, AppendResult(**result), passed.findings, NOW)


def test_watchers_see_who_they_asked_for():
    events = [event(device_id="d1"), event(device_id="d2"), event("nope", device_id="d1")]
    live, watcher = watched(device="d1")
    publish(live, events, accepted=3)
    told = [said for _, said in messages(watcher)]
    assert [said["event"]["device_id"] for said in told] == ["d1", "d1"]
    assert told[1]["notes"] == [{"code": "unknown_event", "path": "event", "severity": "warning"}]
    live, watcher = watched(user="nobody")
    publish(live, events, accepted=3)
    assert messages(watcher) == []


def test_repeats_are_called_that():
    live, watcher = watched()
    publish(live, [event(), event()], accepted=1, duplicates=1, repeated=(1,))
    publish(live, [event()], duplicates=1)
    assert [said["outcome"] for _, said in messages(watcher)] == ["stored", "repeat", "repeat"]


def test_more_than_are_shown_are_counted():
    live, watcher = watched()
    publish(live, [event()] * (MOST_A_BATCH + 7), accepted=MOST_A_BATCH + 7)
    told = messages(watcher)
    assert len(told) == MOST_A_BATCH + 1
    assert told[-1] == ("missed", {"events": 7})


def test_who_does_not_read_is_cut_off():
    live, watcher = watched()
    for _ in range(MOST_WAITING // MOST_A_BATCH + 2):
        publish(live, [event()] * MOST_A_BATCH, accepted=MOST_A_BATCH)
    assert watcher.slow
    assert len(watcher.waiting) <= MOST_WAITING
    assert not live


def test_watchers_are_bounded():
    live = Live()

    async def all_of_them():
        for _ in range(MOST_WATCHERS):
            live.watch("", "", values=False)
        with pytest.raises(Overloaded):
            live.watch("", "", values=False)

    asyncio.run(all_of_them())


def test_values_are_hidden_but_for_admins():
    given = event(
        properties={"city": "hz", "n": 1, "t": msgpack.Timestamp(1), "l": ["x"], "b": True}
    )
    live, watcher = watched(values=False)
    publish(live, [given], accepted=1)
    ((_, said),) = messages(watcher)
    assert said["event"]["properties"] == {
        "city": "string",
        "n": "int64",
        "t": "datetime",
        "l": "list",
        "b": "bool",
    }
    live, watcher = watched()
    publish(live, [given], accepted=1)
    ((_, said),) = messages(watcher)
    assert said["event"]["properties"]["t"].startswith("1970-01-01")


# -- mends -------------------------------------------------------------------------------------


def test_a_mend_changes_names_first_then_values():
    mend = Mend(
        rename_event={"Pay": "pay"},
        rename_property={"a": "b"},
        drop=("b", "c"),
        set={"d": 1},
        time_free=True,
    )
    event = {"event": "Pay", "properties": {"a": 1, "c": 2, "e": 3}}
    assert mend.of(event) == {"event": "pay", "properties": {"e": 3, "d": 1}, "time_free": True}
    assert event == {"event": "Pay", "properties": {"a": 1, "c": 2, "e": 3}}
    assert Mend().of({"event": "x"}) == {"event": "x"}


@pytest.mark.parametrize("text", ["[]", "{", '{"sett": {}}', '{"set": {"a": {}}}'])
def test_what_is_no_mend_is_refused(text):
    with pytest.raises(InvalidInput, match="mend is wrong"):
        read_mend(text)


def test_nothing_is_replayed_by_mistake():
    with pytest.raises(InvalidInput, match="say which"):
        Which().check()
    with pytest.raises(InvalidInput, match="10,000"):
        Which(("1-1",) * 10_001).check()


def test_a_replay_judges_times_by_the_day_of_their_coming_and_takes_the_plan_of_now(
    tmp_path, store
):
    book = PlanBook(store)
    book.put("bank", plan(), "me")
    clock = [NOW]
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        engine._writer.now_ms = lambda: clock[0]
        gate = gate_of(plan())
        sent = [event("order"), event(time=NOW - 11 * 86_400_000), {"event": "pay"}]
        engine.append_batch(gate.passed(batch(sent), NOW).batch)
        every = [one["reason"] for one in engine.rejected()]
        assert every == ["unknown_event", "too_old", "missing_id"]
        clock[0] = NOW + 40 * 86_400_000
        book.put("bank", plan(events=[{"name": "pay"}, {"name": "order"}]), "me")
        governor.refresh()
        done = governor.replay(Which(from_ms=0), None)
        assert done["stored"] == 1
        assert [one["code"] for one in done["left"]] == ["too_old", "missing_id"]
        done = governor.replay(Which(reason="too_old"), Mend(time_free=True))
        assert (done["stored"], done["left"]) == (1, [])
        assert [one["reason"] for one in engine.rejected()] == ["missing_id"]


# -- batches that grow -------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_a_batch_that_grows_too_large_is_stored_in_parts_and_is_still_one(tmp_path, store, form):
    """Tokens are longer than what they stand for."""
    PlanBook(store).put("bank", secrets("strict"), "me")
    filler = "x" * 8_000
    events = [
        event("nope" if i in (3, 399) else "pay", properties={"city": filler, "id_card": str(i)})
        for i in range(500)
    ]
    size = len(batch(events, form, batch_id="b"))
    events += [event(properties={"id_card": str(i)}) for i in range(1_400)]
    while len(batch(events, form, batch_id="b")) > 4 << 20:
        events.pop()
    assert size < 4 << 20
    while len(batch(events, form, batch_id="b")) < (4 << 20) - 9_000:
        events.insert(400, event(properties={"city": filler, "id_card": "7"}))
    now = time.time_ns() // 1_000_000
    for one in events:
        one["time"] = now
    data = batch(events, form, batch_id="b")
    assert len(data) <= 4 << 20
    with pytest.raises(Grown):
        gate_of(secrets("strict")).passed(data, now)
    with zuji.open(tmp_path, "bank") as engine:
        governor = Governor("bank", engine, store, str(tmp_path))
        (result,) = governor.append([data], ())
        assert result.accepted == len(events) - 2
        assert [(r.index, r.reason) for r in result.rejected] == [
            (3, "unknown_event"),
            (399, "unknown_event"),
        ]
        (again,) = governor.append([data], ())
        assert (again.accepted, again.duplicates) == (0, len(events) - 2)
        assert [r.index for r in again.rejected] == [3, 399]
        assert engine.status()["rows"] == len(events) - 2
