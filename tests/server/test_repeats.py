"""A batch sent again, because its answer was lost: what was refused of it is told again."""

import json

import msgpack
import pytest

import zuji
from tests.server.planned import NOW, batch, event, plan
from zuji.server.meta import open_store
from zuji.server.metrics import Metrics
from zuji.server.plan import repeats
from zuji.server.plan.governor import Governor

EVENTS = [
    event(properties={"amount": 1.5}, time_free=True),
    {"event": "pay", "time": NOW},  # nobody's
    event("nope", time_free=True),  # not of the plan
    event(properties={"amount": "much"}, time_free=True),  # not of its kind
    event(properties={"amount": 2.5}, time_free=True),
]
SAID = [(1, "missing_id"), (2, "unknown_event"), (3, "type_mismatch")]


@pytest.fixture
def opened(tmp_path):
    """Opens the project and what stands before it, with a plan or without."""
    closing = []

    def make(document=None):
        engine, store = zuji.open(tmp_path, "app"), open_store(str(tmp_path), "")
        closing.extend((engine, store))
        governor = Governor("app", engine, store, str(tmp_path))
        if document is not None:
            governor.book.put("app", document, "test")
            governor.refresh()
        return governor

    def close():
        while closing:
            closing.pop(0).close()

    make.close = close
    yield make
    close()


def said(result):
    return [(one.index, one.reason) for one in result.rejected]


@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_what_was_refused_is_told_again(opened, form):
    governor = opened(plan())
    data = batch(EVENTS, form, batch_id="b1")
    (first,) = governor.append([data])
    (again,) = governor.append([data])
    assert (first.accepted, first.duplicates, said(first)) == (2, 0, SAID)
    assert (again.accepted, again.duplicates, said(again)) == (0, 2, SAID)
    assert [one.message for one in again.rejected] == [one.message for one in first.rejected]


def test_without_a_plan_too(opened):
    governor = opened()
    data = batch(EVENTS[:2], batch_id="b1")
    governor.append([data])
    (again,) = governor.append([data])
    assert (again.accepted, again.duplicates, said(again)) == (0, 1, SAID[:1])


def test_after_a_restart_what_reading_it_says_is_told(opened):
    data = batch(EVENTS, batch_id="b1")
    opened(plan()).append([data])
    opened.close()
    (again,) = opened().append([data])
    assert (again.accepted, again.duplicates, said(again)) == (0, 2, SAID)


def test_what_has_no_id_is_no_repeat(opened):
    governor = opened()
    twice = [{**EVENTS[0], "insert_id": "i1"}, {"event": "pay", "time": NOW}]
    for form in ("msgpack", "json", "lines"):
        (result,) = governor.append([batch(twice, form)])
        assert said(result) == [(1, "missing_id")]
        assert result.duplicates == (form != "msgpack")


def test_other_ids_are_other_batches(opened):
    governor = opened(plan())
    governor.append([batch(EVENTS, batch_id="b1")])
    good = batch([EVENTS[0]], batch_id="b2")
    governor.append([good])
    (again,) = governor.append([good])
    assert (again.duplicates, again.rejected) == (1, ())


def test_memory_is_bounded(opened, monkeypatch):
    monkeypatch.setattr(repeats, "MOST_BATCHES", 3)
    monkeypatch.setattr(repeats, "MOST_REFUSALS", 5)
    governor = opened()
    bad = {"event": "pay", "time": NOW}
    for number in range(10):
        governor.append([batch([bad, bad], batch_id=f"b{number}")])
    kept = governor._repeats
    assert list(kept._known) == ["b8", "b9"]
    assert kept._count == 4
    assert all(one.raw == b"" for known in kept._known.values() for one in known)


def test_a_batch_told_again_is_not_counted_again(opened):
    governor, metrics = opened(plan()), Metrics()
    data = batch(EVENTS, batch_id="b1")
    for _ in range(2):
        metrics.stored("native", "app", governor.append([data]))
    page = metrics.page().decode()
    assert 'zuji_rejected_events_total{project="app",reason="unknown_event"} 1.0' in page
    assert 'zuji_repeats_total{project="app",protocol="native"} 5.0' in page
    assert 'zuji_events_total{project="app",protocol="native"} 2.0' in page


def test_a_head_of_many_forms_is_read():
    long = {"sent_at": NOW, "batch_id": "b", "events": [{"a": [1, {"b": None}]}]}
    assert repeats._id_of(msgpack.packb(long)) == "b"
    assert repeats._id_of(json.dumps(long).encode()) == "b"
    time = {"events": [{"time": msgpack.Timestamp(1, 5)}], "batch_id": "b"}
    assert repeats._id_of(msgpack.packb(time)) == "b"
    for none in (b"", b"[]", b"{}", b"{", b"\x90", b"\xc1", msgpack.packb({"batch_id": 5})):
        assert repeats._id_of(none) is None
