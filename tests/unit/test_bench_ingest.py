"""Batches of the ingest benchmark can be sent again as other events."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import msgpack
import pytest

from bench.batches import BATCH_EVENTS, TURN_MS, Renewable, endless, read_batches, write_batches
from bench.ingest_beside import Flood
from bench.many import shifted, summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("batches")
    written = write_batches(where, 2)
    assert written["rows"] == 2 * BATCH_EVENTS
    assert 170 < written["msgpack_bytes_per_event"] < 260
    return where


def test_both_wires_hold_the_same_events(folder):
    packed, texts = read_batches(folder, "msgpack"), read_batches(folder, "json")
    assert len(packed) == len(texts) == 2
    for pack, text in zip(packed, texts, strict=True):
        assert msgpack.unpackb(pack) == json.loads(text)
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 2 * BATCH_EVENTS


def test_a_turn_changes_insert_ids_and_times_and_nothing_else(folder):
    [batch, _] = read_batches(folder, "msgpack")
    assert Renewable(batch).turn(0) == batch
    before = msgpack.unpackb(batch)["events"]
    after = msgpack.unpackb(Renewable(batch).turn(3))["events"]
    for old, new in zip(before, after, strict=True):
        assert new["time"] == old["time"] + 3 * TURN_MS
        assert new["insert_id"] == "0003" + old["insert_id"][4:]
        assert {**new, "time": 0, "insert_id": ""} == {**old, "time": 0, "insert_id": ""}


def test_rounds_go_on_and_never_repeat_an_id(folder):
    source = endless(read_batches(folder, "msgpack"))
    seen = set()
    for _ in range(6):
        ids = {e["insert_id"] for e in msgpack.unpackb(next(source))["events"]}
        assert len(ids) == BATCH_EVENTS
        assert not ids & seen
        seen |= ids


def test_what_is_not_a_batch_of_ours_is_refused():
    with pytest.raises(ValueError, match="not as it was written"):
        Renewable(msgpack.packb({"events": []}))


def test_events_are_shifted_by_rank_and_wrap_around():
    assert shifted("event_05 and event_40", 1) == "event_06 and event_01"
    assert shifted("event_05", 0) == "event_05"


def test_a_summary_tells_rates_percentiles_and_deaths():
    latencies = [("trend", 0.001)] * 99 + [("by_url", 0.1)]
    run = {"seconds": 2.0, "cpu_seconds": 1.0, "latencies": latencies}
    found = summary([run | {"deaths": [(1.1, "cut off"), (0.2, "answered")]}])
    assert found["qps"] == 50
    assert found["median_ms"] == pytest.approx(1)
    assert found["p99_ms"] > 1
    assert (found["deaths"], found["cut_off"], found["cut_off_after_s"]) == (2, 1, 1.1)
    assert "deaths" not in summary([run | {"deaths": []}])


def test_a_flood_sends_until_it_is_stopped(folder):
    sent = []
    more = threading.Condition()

    class Engine:
        def append_batch(self, batch):
            with more:
                sent.append(batch)
                more.notify_all()
            return SimpleNamespace(accepted=BATCH_EVENTS)

    def wait():
        with more:
            goal = len(sent) + 20
            return more.wait_for(lambda: len(sent) >= goal)

    flood = Flood(Engine(), endless(read_batches(folder, "msgpack")), senders=3, wanted=1e9)
    waited, during = flood.during(wait)
    flood.stop()
    assert waited
    assert flood.events == len(sent) * BATCH_EVENTS == len(flood.acks) * BATCH_EVENTS
    assert during["events_per_s"] > 0
    assert during["ack_p50_ms"] <= during["ack_p99_ms"]
    assert len(set(sent)) == len(sent)
