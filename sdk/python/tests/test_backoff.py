from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from zuji_sdk.backoff import Backoff, retry_after_seconds


def test_the_whole_wait_is_random_and_doubles_up_to_the_cap():
    backoff = Backoff(1, 10, 100, chance=lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next() == 1
    assert Backoff(1, 10, 100, chance=lambda: 0.0).next() == 0


def test_it_does_not_overflow():
    backoff = Backoff(1, 10, 100, chance=lambda: 1.0)
    assert {backoff.next() for _ in range(5000)} == {1, 2, 4, 8, 10}


def test_retry_after_is_the_least_wait():
    assert Backoff(1, 10, 100, chance=lambda: 0.0).next(7) == 7
    assert Backoff(1, 10, 100, chance=lambda: 1.0).next(7) == 8
    assert Backoff(1, 10, 100, chance=lambda: 0.0).next(1e9) == 100


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "Wed, 99 Foo 2026", "٣"])
def test_what_cannot_be_read_asks_for_nothing(text):
    assert retry_after_seconds(text) is None


def test_retry_after_in_seconds_and_as_a_date():
    assert retry_after_seconds(" 120 ") == 120
    wait = retry_after_seconds(formatdate(time.time() + 60, usegmt=True))
    assert wait is not None
    assert 55 < wait <= 60
    assert retry_after_seconds(formatdate(time.time() - 60, usegmt=True)) == 0
    assert retry_after_seconds(None) is None
