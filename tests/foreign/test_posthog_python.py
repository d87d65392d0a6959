"""posthog from PyPI against the collector: what it sends is what is stored, field by field."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime, timedelta

import posthog as sdk
import pytest

WHEN = datetime(2026, 10, 1, 4, 0, 0, 123_000, tzinfo=UTC)


def client(server, **more):
    errors = []
    options = {"host": server.url, "gzip": True, "flush_at": 100, "max_retries": 10, **more}
    one = sdk.Posthog(server.key, on_error=lambda e, _: errors.append(e), **options)
    one.errors = errors
    return one


def without(row, *names):
    """The row without these, nor what the SDK tells of its machine."""
    machine = ("$python_runtime", "$python_version", "$os", "$os_version", "$os_distro")
    return {k: v for k, v in row.items() if k not in (*names, *machine)}


COMMON = {
    "$lib": "posthog-python",
    "$lib_version": sdk.VERSION,
    "$geoip_disable": True,
    "$is_server": True,
}


@pytest.mark.parametrize("mode", ["v0", "v1"])
def test_every_call_is_stored_field_by_field(live, mode):
    one = client(live, capture_mode=mode)
    one.capture(
        "bought",
        distinct_id="u1",
        timestamp=WHEN,
        properties={
            "n": 1,
            "sum": 12.5,
            "ok": True,
            "city": "济南 😀",
            "tags": ["a", ""],
            "numbers": [1, 2.5],
            "mixed": [1, "a", None],
            "nested": {"a": {"b": [1]}},
            "none": None,
            "day": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "$time": 5,
            "$set": {"level": "gold", "address": {"city": "x"}},
            "$set_once": {"first": 1},
        },
        groups={"company": "acme"},
    )
    anonymous = one.capture("seen")
    one.set(distinct_id="u1", properties={"age": 40})
    one.set_once(distinct_id="u1", properties={"first": 2, "second": 2})
    one.alias("device-1", "u1")
    one.group_identify("company", "acme", {"name": "Acme"}, distinct_id="u1")
    one.flush()
    one.shutdown()
    assert one.errors == []
    rows = {row["event"]: row for row in live.events()}
    assert set(rows) == {"bought", "seen", "$set", "$set_once", "$create_alias", "$groupidentify"}
    assert len(live.events()) == 6
    assert without(rows["bought"]) == {
        **COMMON,
        "event": "bought",
        "time": WHEN,
        "user_id": "u1",
        "n": 1,
        "sum": 12.5,
        "ok": True,
        "city": "济南 😀",
        "tags": ["a", ""],
        "numbers": ["1", "2.5"],
        "mixed": '[1,"a",null]',
        "nested": '{"a":{"b":[1]}}',
        "day": "2026-01-02T03:04:05+00:00",
        "_$time": 5,
        "$set": '{"level":"gold","address":{"city":"x"}}',
        "$set_once": '{"first":1}',
        "$groups": '{"company":"acme"}',
    }
    assert anonymous
    seen = without(rows["seen"], "time", "device_id")
    assert seen == {**COMMON, "event": "seen", "$process_person_profile": False}
    assert without(rows["$create_alias"], "time") == {
        **COMMON,
        "event": "$create_alias",
        "user_id": "u1",
        "device_id": "device-1",
        "alias": "u1",
    }
    group = rows["$groupidentify"]
    assert (group["$group_type"], group["$group_key"], group["user_id"]) == (
        "company",
        "acme",
        "u1",
    )
    assert json.loads(group["$group_set"]) == {"name": "Acme"}
    for row in rows.values():
        assert abs(row["time"] - datetime.now(UTC)) < timedelta(minutes=2) or row["n"] == 1
    profile = live.profiles()["u1"]
    assert profile == {
        "level": "gold",
        "address": '{"city":"x"}',
        "age": 40,
        "first": 1,
        "second": 2,
    }
    assert live.quarantined() == []


def test_a_refused_event_is_told_by_v1_and_kept(live):
    one = client(live, capture_mode="v1")
    one.capture("good", distinct_id="u", properties={"n": 1})
    one.capture("bad", distinct_id="u" * 300)
    one.capture("good", distinct_id="u", properties={"n": 2})
    one.flush()
    one.shutdown()
    (error,) = one.errors
    assert [details for _, details in error.drops] == ["id_too_long"]
    assert [row["n"] for row in live.events("good")] == [1, 2]
    (kept,) = live.quarantined()
    assert (kept["reason"], kept["event"]["event"]) == ("id_too_long", "bad")


@pytest.mark.parametrize("mode", ["v0", "v1"])
def test_a_wrong_key_is_told_and_not_tried_again(shared, mode):
    errors = []
    one = sdk.Posthog(
        "zk_w_aaaaaaaa_" + "a" * 32,
        host=shared.url,
        capture_mode=mode,
        on_error=lambda error, _: errors.append(error),
    )
    one.capture("never", distinct_id="u")
    one.flush()
    one.shutdown()
    (error,) = errors
    assert error.status == 401
    assert "not known" in str(error)


def test_an_import_of_old_events_is_free_in_time(live):
    one = client(live, historical_migration=True)
    old = datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC)
    one.capture("old", distinct_id="u", timestamp=old)
    one.flush()
    one.shutdown()
    assert one.errors == []
    (row,) = live.events("old")
    assert row["time"] == old


@pytest.mark.parametrize("mode", ["v0", "v1"])
def test_the_server_is_killed_and_nothing_is_lost_or_doubled(live, mode):
    one = client(live, capture_mode=mode, flush_at=20, flush_interval=0.05)
    done = threading.Event()

    def capture():
        for n in range(600):
            one.capture("e", distinct_id=f"u{n % 7}", properties={"n": n})
            done.wait(0.003)
        done.set()

    sender = threading.Thread(target=capture)
    sender.start()
    for _ in range(2):
        live.wait_for(20, "posthog")
        live.stop(signal.SIGKILL)
        live.start()
    sender.join()
    one.flush()
    one.shutdown()
    assert one.errors == []
    assert sorted(row["n"] for row in live.events("e")) == list(range(600))
