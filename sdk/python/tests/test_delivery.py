"""Batches on the wire, and what each answer of the collector does to them."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate

import msgpack
import pytest
from conftest import track

from zuji_sdk import Client, Closed, DeliveryError, InvalidEvent, Options

BUSY = (503, {}, {"error": {"code": "overloaded", "message": "later"}})


@pytest.fixture(params=["memory", "disk"])
def make(request, client_of, tmp_path):
    def make_one(**settings):
        folder = tmp_path / "queue" if request.param == "disk" else None
        return client_of(queue_dir=folder, **settings)

    return make_one


def test_a_request(make, collector):
    client = make()
    client.track("pay", {"amount": 12.5}, user_id="u", device_id="d", time=5, insert_id="i")
    client.profile_set({"city": "济南"}, user_id="u", time=6)
    client.profile_unset(["age"], user_id="u", time=7)
    client.record("bind", {"key": "k"}, user_id="u", time=8)
    assert client.flush(10)
    (request,) = collector.requests
    assert request["path"] == "/v1/events"
    assert request["headers"]["Authorization"] == "Bearer key"
    assert request["headers"]["Content-Type"] == "application/msgpack"
    assert request["headers"]["User-Agent"].startswith("zuji-sdk-python/")
    assert set(request["batch"]) == {"batch_id", "events"}
    assert collector.events == [
        {
            "time": 5,
            "event": "pay",
            "user_id": "u",
            "device_id": "d",
            "insert_id": "i",
            "properties": {"amount": 12.5},
        },
        {"time": 6, "type": "profile_set", "user_id": "u", "properties": {"city": "济南"}},
        {"time": 7, "type": "profile_unset", "user_id": "u", "properties": {"age": None}},
        {"time": 8, "type": "bind", "user_id": "u", "key": "k"},
    ]
    assert client.stats.accepted == 4
    assert client.stats.queued == client.stats.queued_bytes == 0


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_compression(client_of, collector, compression):
    client = client_of(compression=compression, batch_seconds=60)
    track(client, range(500))
    assert client.flush(10)
    assert collector.numbers == list(range(500))
    encodings = {request["headers"].get("Content-Encoding") for request in collector.requests}
    assert encodings == {None if compression == "none" else compression}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_would_look_like_a_bomb_goes_uncompressed(client_of, collector, compression):
    client = client_of(compression=compression, batch_seconds=60)
    client.track("e", {f"p{k}": "x" * 8000 for k in range(50)}, user_id="u")
    assert client.flush(10)
    (request,) = collector.requests
    assert "Content-Encoding" not in request["headers"]


def test_batches_by_count_and_by_bytes(make, collector):
    client = make(batch_events=100, batch_seconds=60)
    track(client, range(250))
    collector.wait_for(lambda: len(collector.batches) == 2)
    assert client.flush(10)
    sizes = [len(request["batch"]["events"]) for request in collector.requests]
    assert sizes == [100, 100, 50]
    client = make(batch_bytes=10_000, batch_seconds=60)
    for n in range(30):
        client.track("e", {"n": n, "text": "x" * 2000}, user_id="u")
    assert client.flush(10)
    assert max(len(request["body"]) for request in collector.requests[3:]) <= 10_000
    assert len(collector.requests) == 3 + 8


def test_batches_by_items(make, collector):
    client = make(batch_seconds=60)
    for n in range(20):
        client.track("e", {"n": n, **{f"p{k}": ["x"] * 50 for k in range(100)}}, user_id="u")
    assert client.flush(20)
    assert collector.numbers == list(range(20))
    assert max(len(request["batch"]["events"]) for request in collector.requests) == 11


def test_batches_by_age(make, collector):
    client = make(batch_seconds=0.05)
    track(client, [1])
    collector.wait_for(lambda: len(collector.events) == 1)


def test_one_connection(make, collector):
    client = make(batch_events=10)
    track(client, range(100))
    assert client.flush(10)
    assert len({request["peer"] for request in collector.requests}) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 404, 302])
def test_it_is_sent_again_and_the_same(make, collector, status):
    collector.script = [(status, {}, {})] * 3
    client = make()
    track(client, range(100))
    assert client.flush(10)
    assert collector.numbers == list(range(100))
    assert len({request["sent"] for request in collector.requests}) == 1
    assert len(collector.requests) == 4
    assert client.stats.retries == 3
    assert {error.status for error in client.errors} == {status}
    assert not any(error.lost for error in client.errors)


def test_a_lost_answer_is_no_duplicate(make, collector):
    collector.script = ["drop", None]
    client = make()
    track(client, range(10))
    assert client.flush(10)
    assert collector.numbers == list(range(10))
    assert collector.changed == []
    assert client.stats.duplicates == 10
    assert client.stats.accepted == 0


def test_an_idle_connection_that_was_closed_costs_no_retry(make, collector):
    collector.answer = lambda request: (200, {"Connection": "close"}, None)
    client = make()
    for n in range(3):
        track(client, [n])
        assert client.flush(10)
    collector.answer = lambda request: "drop" if len(collector.requests) == 5 else None
    for n in range(3, 6):
        track(client, [n])
        assert client.flush(10)
    assert client.stats.retries == 0
    assert collector.numbers == list(range(6))


def test_no_collector_at_all(tmp_path):
    client = Client(
        "http://127.0.0.1:9",
        "key",
        consent=True,
        on_error=lambda error: None,
        options=Options(batch_seconds=0.01, retry_base_seconds=0.01, retry_cap_seconds=0.02),
    )
    track(client, range(10))
    assert not client.flush(0.1)
    assert client.stats.queued == 10
    assert client.stats.retries > 0
    assert not client.close(0)
    assert client.stats.dropped_at_close == 10


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(make, collector, form):
    text = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    collector.script = [(503, {"Retry-After": text}, {})]
    client = make()
    track(client, [1])
    began = time.monotonic()
    assert client.flush(10)
    assert time.monotonic() - began > 0.9


def test_a_page_of_a_proxy_is_no_answer(make, collector):
    collector.script = [(200, {}, b"<html>log in</html>"), (200, {}, b"[1]"), (200, {}, b"{}")]
    client = make()
    track(client, [1])
    assert client.flush(10)
    assert collector.numbers == [1]
    assert client.stats.retries == 3


def test_an_unreadable_batch_is_given_up_and_told(make, collector):
    collector.script = [(400, {}, {"error": {"code": "malformed", "message": "no"}})]
    client = make(batch_events=10)
    track(client, range(20))
    assert client.flush(10)
    assert collector.numbers == list(range(10, 20))
    assert client.stats.dropped_refused == 10
    (error,) = client.errors
    assert (error.code, error.status, error.events, error.lost) == ("malformed", 400, 10, True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_stops_sending_and_keeps_all(make, collector, status):
    collector.script = [(status, {}, {"error": {"code": "unauthorized", "message": "no"}})]
    client = make(batch_events=10)
    track(client, range(30))
    assert client.flush(10) is False
    track(client, range(30, 40))
    assert client.flush(10) is False
    assert len(collector.requests) == 1
    assert client.stats.queued == 40
    with pytest.raises(ValueError, match="key"):
        client.reconfigure(key="a b")
    client.reconfigure(key="other")
    assert client.flush(10)
    assert collector.numbers == list(range(40))
    assert collector.requests[-1]["headers"]["Authorization"] == "Bearer other"


def test_too_large_is_halved_down_to_single_events(make, collector):
    def answer(request):
        events = request["batch"]["events"]
        if len(events) > 3 or any(event["properties"]["n"] == 7 for event in events):
            return (413, {}, {"error": {"code": "batch_too_large", "message": "no"}})
        return None

    collector.answer = answer
    client = make()
    track(client, range(20))
    assert client.flush(10)
    assert collector.numbers == [n for n in range(20) if n != 7]
    assert client.stats.dropped_too_large == 1
    assert client.stats.queued == client.stats.queued_bytes == 0
    assert [error.status for error in client.errors] == [413]
    ids = [request["batch"]["batch_id"] for request in collector.requests]
    assert len(set(ids)) == len(ids)


def test_rejected_events_are_told_with_what_they_were(make, collector):
    collector.script = [
        (
            200,
            {},
            {
                "accepted": 2,
                "duplicates": 0,
                "rejected": [
                    {"index": 1, "code": "type_mismatch", "path": "properties.n", "message": "m"}
                ],
            },
        )
    ]
    client = make()
    track(client, range(3))
    assert client.flush(10)
    (error,) = client.errors
    assert isinstance(error, InvalidEvent)
    assert (error.code, error.path) == ("type_mismatch", "properties.n")
    assert error.record["properties"] == {"n": 1}
    assert client.stats.rejected == 1


def test_faults_of_the_handler_do_not_stop_sending(collector):
    def handler(error):
        raise RuntimeError("the application's own")

    collector.script = [BUSY]
    options = Options(batch_seconds=0.01, retry_base_seconds=0.01, invalid="drop")
    with Client(collector.url, "key", consent=True, on_error=handler, options=options) as client:
        client.track("", user_id="u")
        track(client, [1])
        assert client.flush(10)
        assert client.stats.invalid == 1


def test_many_threads(make, collector):
    client = make(batch_events=50)
    threads = [
        threading.Thread(target=track, args=(client, range(k * 500, (k + 1) * 500)))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush(20)
    assert sorted(collector.numbers) == list(range(2000))
    by_thread = [[n for n in collector.numbers if n // 500 == k] for k in range(4)]
    assert by_thread == [sorted(part) for part in by_thread]


def test_an_event_is_frozen_when_it_is_tracked(make, collector):
    client = make()
    properties = {"n": 1}
    client.track("e", properties, user_id="u")
    properties["n"] = 2
    assert client.flush(10)
    assert collector.numbers == [1]


def test_closed(make, collector):
    client = make()
    track(client, [1])
    assert client.close(10)
    assert client.close()
    with pytest.raises(Closed):
        track(client, [2])
    assert collector.numbers == [1]


def test_common_properties(collector):
    with Client(collector.url, "key", consent=True, properties={"app": "x"}) as client:
        client.track("e", {"n": 1}, user_id="u")
        client.track("e", user_id="u")
    first, second = (event["properties"] for event in collector.events)
    assert first == {**second, "n": 1}
    assert second["app"] == "x"
    assert second["$lib"] == "python"


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_events": 0},
        {"batch_events": 2001},
        {"batch_bytes": 1 << 20},
        {"full": "wait"},
        {"max_disk_bytes": 1000},
        {"batch_seconds": 0},
    ],
)
def test_wrong_options(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Options(**settings)


@pytest.mark.parametrize("url", ["", "host:80", "ftp://host", "http://u@host", "http://h/?a=1"])
def test_wrong_addresses(url):
    with pytest.raises(ValueError, match="url"):
        Client(url, "key")


def test_through_a_proxy(collector):
    options = Options(proxy=collector.url)
    with Client("http://no.such.host/base/", "key", consent=True, options=options) as client:
        track(client, [1])
        assert client.flush(10)
    assert collector.requests[0]["path"] == "http://no.such.host/base/v1/events"


def test_the_body_is_what_msgpack_would_make(collector, client_of):
    client = client_of(compression="none")
    track(client, range(17))
    assert client.flush(10)
    (request,) = collector.requests
    assert msgpack.unpackb(request["body"]) == request["batch"]
    assert len(request["batch"]["events"]) == 17


def test_errors_say_what_and_whether_it_is_lost():
    error = DeliveryError("malformed", "no", status=400, events=3, lost=True)
    assert str(error) == "no [malformed, status 400, 3 events lost]"
