from __future__ import annotations

import asyncio
import threading

import pytest
from conftest import QUICK

from zuji_sdk import AsyncClient, InvalidEvent, Options


def run(work):
    return asyncio.run(asyncio.wait_for(work, 20))


def client(collector, **settings):
    queue_dir = settings.pop("queue_dir", None)
    consent = settings.pop("consent", True)
    return AsyncClient(
        collector.url,
        "key",
        consent=consent,
        queue_dir=queue_dir,
        on_error=lambda error: None,
        options=Options(**{**QUICK, **settings}),
    )


@pytest.mark.parametrize("settings", [{}, {"full": "block"}, {"fsync": "always"}])
def test_everything_arrives(collector, tmp_path, settings):
    async def work():
        async with client(collector, queue_dir=str(tmp_path), **settings) as one:
            for n in range(50):
                await one.track("e", {"n": n}, user_id="u")
            await one.profile_set({"n": 50}, user_id="u")
            await one.profile_unset(["n"], user_id="u")
            await one.record("bind", {"key": "k"}, user_id="u")
            assert await one.flush(10)
            assert one.stats.accepted == 53

    run(work())
    assert [event["properties"]["n"] for event in collector.events[:51]] == list(range(51))


def test_the_loop_goes_on_while_the_collector_does_not_answer(collector):
    async def work():
        one = client(collector)
        with collector.lock:
            await one.track("e", {"n": 1}, user_id="u")
            assert await one.flush(0.2) is False
            flush = asyncio.ensure_future(one.flush())
            await asyncio.sleep(0.05)
            flush.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flush
        assert await one.flush(10)
        assert await one.close()

    run(work())
    assert collector.numbers == [1]


def test_waiting_for_room_does_not_hold_up_the_loop(collector):
    gate = threading.Event()
    collector.answer = lambda request: gate.wait(10) and None

    async def work():
        one = client(collector, full="block", batch_bytes=2048, max_memory_bytes=8192)

        async def track():
            for n in range(300):
                await one.track("e", {"n": n}, user_id="u")

        tracking = asyncio.ensure_future(track())
        await asyncio.sleep(0.1)
        assert not tracking.done()
        gate.set()
        await tracking
        assert await one.close(10)

    run(work())
    assert collector.numbers == list(range(300))


def test_errors_and_consent(collector):
    async def work():
        async with client(collector, consent=None) as one:
            with pytest.raises(InvalidEvent):
                await one.track("", user_id="u")
            await one.track("e", {"n": 1}, user_id="u")
            await one.set_consent(True)
            assert one.consent is True
            await one.track("e", {"n": 2}, user_id="u")
            one.reconfigure(key="other")
            assert await one.flush(10)

    run(work())
    assert collector.numbers == [2]
    assert collector.requests[0]["headers"]["Authorization"] == "Bearer other"
