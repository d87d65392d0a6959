"""What senders owe who are refused much, by a clock of the test's own."""

import pytest

from zuji.engine.batch import Rejected
from zuji.engine.errors import InvalidEvent, StorageFull
from zuji.engine.writer import AppendResult
from zuji.server.collector import standing
from zuji.server.collector.message import Request
from zuji.server.collector.standing import Standing, Throttled, sums, units_of_body
from zuji.server.errors import BadBody
from zuji.server.plan.repeats import ToldAgain

RATE = 10
BURST = int(RATE * standing.BURST_S)


def asked(peer="10.0.0.1", body=b"", **headers):
    return Request("POST", "/v1/events", b"", headers_of(headers), body, peer, 0)


def headers_of(said):
    return {name.replace("_", "-").encode(): text.encode() for name, text in said.items()}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def made(clock, proxies=""):
    return Standing(RATE, proxies, clock)


def waits(who, request, key="k"):
    try:
        who.check(request, key)
    except Throttled as held:
        return held.retry_after
    return 0


def test_more_than_a_burst_waits_until_nothing_is_owed(clock):
    who = made(clock)
    who.settle(asked(), "k", BURST)
    assert waits(who, asked()) == 0
    assert who.check(asked(), "k")
    who.settle(asked(), "k", 1)
    assert waits(who, asked()) == pytest.approx((BURST + 1) / RATE)
    clock.now += standing.BURST_S
    assert waits(who, asked()) == pytest.approx(1 / RATE), "half-way back is not back"
    clock.now += 1 / RATE
    assert waits(who, asked()) == 0
    assert not who.check(asked(), "k")
    assert not who.wary


def test_other_addresses_and_other_keys_go_on(clock):
    who = made(clock)
    who.settle(asked(), "k", BURST + 1)
    assert waits(who, asked(), "k") > 0
    assert waits(who, asked(), "another") == 0
    assert waits(who, asked("10.0.0.2"), "k") == 0
    assert not who.check(asked("10.0.0.2"), "k")


def test_stored_events_pay_back(clock):
    """An office behind one address, of which one app is broken, sends more that is good."""
    who = made(clock)
    for _ in range(100):
        who.settle(asked(), "k", BURST, BURST)
        who.settle(asked(), "k", 5, 0)
        who.settle(asked(), "k", 0, 5)
        assert waits(who, asked()) == 0
    assert not who.check(asked(), "k")


def test_stored_events_are_no_credit(clock):
    who = made(clock)
    who.settle(asked(), "k", 0, 1_000_000)
    who.settle(asked(), "k", BURST + 1)
    assert waits(who, asked()) > 0


def test_nobody_waits_longer_than_a_minute(clock):
    who = made(clock)
    who.settle(asked(), "k", 10**9)
    assert waits(who, asked()) == standing.LONGEST_S


def test_a_rate_of_zero_counts_nothing(clock):
    who = Standing(0, "", clock)
    who.settle(asked(), "k", 10**9)
    assert waits(who, asked()) == 0
    assert not who.check(asked(), "k")


def test_an_ipv6_sender_is_a_network(clock):
    who = made(clock)
    who.settle(asked("2001:db8::1"), "k", BURST + 1)
    assert waits(who, asked("2001:db8::ffff:2")) > 0
    assert waits(who, asked("2001:db8:0:1::1")) == 0


def test_a_trusted_proxy_says_who_it_is(clock):
    who = made(clock, "10.9.9.9")
    one, other = (asked("10.9.9.9", x_forwarded_for=f"203.0.113.{n}") for n in (1, 2))
    who.settle(one, "k", BURST + 1)
    assert waits(who, one) > 0
    assert waits(who, other) == 0
    assert "10.9.9.9" in who.wary, "whose requests are looked at one by one"


def test_behind_a_proxy_that_is_not_trusted_nobody_is_held_for_another(clock):
    who = made(clock)
    for peer in ("10.0.0.1", "127.0.0.1"):
        request = asked(peer, x_forwarded_for="203.0.113.1")
        who.settle(request, "k", 10**6)
        assert waits(who, request) == 0


def test_a_public_address_cannot_pose_as_a_proxy(clock):
    who = made(clock)
    request = asked("8.8.8.8", x_forwarded_for="203.0.113.1")
    who.settle(request, "k", BURST + 1)
    assert waits(who, request) > 0


def test_senders_are_forgotten(clock, monkeypatch):
    monkeypatch.setattr(standing, "MOST", 100)
    who = made(clock)
    for n in range(1000):
        who.settle(asked(f"10.0.{n // 250}.{n % 250}"), "k", 1)
    assert len(who._debts) == sum(who.wary.values()) == 100
    clock.now += 3600
    who.settle(asked("10.9.9.9"), "k", 1)
    assert list(who.wary) == ["10.9.9.9"]


def refusal(reason="bad_name", size=10):
    return Rejected(0, reason, "", "", bytes(size))


def test_units():
    results = [
        AppendResult(7, 2, (refusal(), refusal(size=3000))),
        ToldAgain(0, 5, (refusal(size=10**6),)),  # it was counted when it came first
    ]
    kept = [refusal("kept_item", 5000), refusal("encrypted", 5000), refusal("no_data")]
    assert sums(results, kept) == (1 + 3 + 1, 7)
    assert units_of_body(asked(body=bytes(10_240)), InvalidEvent("no")) == 11
    assert units_of_body(asked(body=bytes(10_240), content_encoding="gzip"), BadBody("no")) == 81
    assert units_of_body(asked(body=bytes(10_240)), StorageFull("ours")) == 0
