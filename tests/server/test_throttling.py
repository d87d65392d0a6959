"""Who sends much that is refused waits; everybody else goes on."""

import base64
import contextlib
import json
import socket
import urllib.parse

import httpx
import msgpack
import pytest

import zuji
from tests.server.test_collector import NOON, event
from tests.serving import Live, zuji_command
from zuji.server.collector.standing import BURST_S

RATE = 100
"""The default."""
BURST = int(RATE * BURST_S)
GOOD, BAD = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    data = tmp_path_factory.mktemp("throttled")
    live = Live(data)
    live.start()
    place = ("--data", data, "--project", "app")
    live.admin = zuji_command("key", "create", *place, "--admin")
    yield live
    live.stop()


_addresses = iter(range(10, 250))


@pytest.fixture
def bad():
    """An address of this test's own."""
    return f"127.0.0.{next(_addresses)}"


def sent(live, address, body, path="/v1/events", key=None, **headers):
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport, timeout=30) as client:
        headers = {"Authorization": f"Bearer {key or live.key}", **headers}
        return client.post(live.url + path, content=body, headers=headers)


def refused(count):
    """Events without a name."""
    return msgpack.packb([{"time": NOON, "user_id": "u"}] * count)


def sensors(live, address, records):
    """A request as Sensors Analytics' SDKs send it."""
    form = {"data_list": base64.b64encode(json.dumps(records).encode()).decode()}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/sa?token={live.key}"
    return sent(live, address, urllib.parse.urlencode(form).encode(), path, **kind)


def fall_out(live, address, **more):
    """Sends what is refused until the sender is told to wait; how many events that took."""
    for n in range(1, 10):
        answer = sent(live, address, refused(1000), **more)
        if answer.status_code != 200:
            return n, answer
        assert len(answer.json()["rejected"]) == 1000
    pytest.fail("nobody was told to wait")


def test_who_is_refused_much_is_told_when_to_come_back(live, bad):
    n, answer = fall_out(live, bad)
    assert (n, answer.status_code) == (BURST // 1000 + 2, 429)
    assert answer.json()["error"]["code"] == "throttled"
    assert BURST_S < int(answer.headers["retry-after"]) <= 3 * BURST_S
    good = json.dumps([event(1)]).encode()
    assert sent(live, bad, good).status_code == 429, "what is good comes later, too"
    assert sent(live, GOOD, good).json()["accepted"] == 1, "the same key at another address goes on"


def test_events_that_are_stored_count_for_the_sender(live, bad):
    one = [{"event": "e", "time": NOON, "user_id": "u"}, {"time": NOON, "user_id": "u"}]
    for _ in range(BURST // 1000 + 3):
        answer = sent(live, bad, msgpack.packb(one * 1000))
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 1000


def test_an_admin_key_is_never_told_to_wait(live, bad):
    for _ in range(BURST // 1000 + 3):
        assert sent(live, bad, refused(1000), key=live.admin).status_code == 200


def test_sdks_that_forget_on_429_are_told_503(live, bad):
    wrong = [{"type": "track", "distinct_id": "d"}] * 500  # no name, no time
    answers = [sensors(live, bad, wrong) for _ in range(BURST // 500 + 2)]
    assert [one.status_code for one in answers[:4]] == [200] * 4, "it is in the quarantine"
    answer = answers[-1]
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "throttled"
    assert int(answer.headers["retry-after"]) >= 1


def test_bodies_that_cannot_be_read_count_though_nobody_knows_the_key(live, bad):
    nested = b'{"api_key":"k","batch":' + b"[" * 900_000
    answers = [sent(live, bad, nested, path="/batch").status_code for _ in range(4)]
    assert answers[0] == 413
    assert answers[-1] == 503, answers
    body = {"api_key": live.key, "batch": [{"event": "e", "distinct_id": "d"}]}
    good = sent(live, GOOD, json.dumps(body).encode(), path="/batch")
    assert good.status_code == 200, good.text


def test_a_long_body_is_refused_before_it_is_read(live, bad):
    fall_out(live, bad)
    host, port = live.address.split(":")
    with contextlib.closing(socket.socket()) as client:
        client.settimeout(20)
        client.bind((bad, 0))
        client.connect((host, int(port)))
        head = f"POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {live.key}\r\n"
        client.sendall(f"{head}Content-Length: 900000\r\n\r\n".encode())  # and no body
        assert client.recv(4096).startswith(b"HTTP/1.1 429 ")


def test_short_requests_keep_their_connection(live, bad):
    fall_out(live, bad)
    with httpx.Client(transport=httpx.HTTPTransport(local_address=bad), timeout=30) as client:
        for _ in range(3):
            answer = client.post(
                live.url + "/v1/events",
                content=b"[]",
                headers={"Authorization": f"Bearer {live.key}"},
            )
            assert answer.status_code == 429
            assert answer.headers["connection"] == "keep-alive"


def test_who_owes_a_little_is_served_as_ever(live, bad):
    """Behind all others; also what would go through a lane."""
    assert sent(live, bad, refused(5)).status_code == 200
    record = {"type": "track", "event": "e", "time": NOON, "distinct_id": "d", "properties": {}}
    for _ in range(3):
        assert sensors(live, bad, [record]).status_code == 200
        assert sent(live, bad, json.dumps([event(7)]).encode()).json()["accepted"] == 1


def test_a_rate_of_zero_lets_anybody_go_on(tmp_path):
    live = Live(tmp_path, "--set", "refused_rate=0")
    live.start()
    try:
        for _ in range(BURST // 1000 + 3):
            assert sent(live, BAD, refused(1000)).status_code == 200
    finally:
        live.stop()
    with zuji.open(tmp_path, "app") as engine:
        assert engine.status()["rejected"] == (BURST // 1000 + 3) * 1000
