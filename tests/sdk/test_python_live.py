"""The Python SDK against the collector itself: field by field, and with kill -9 on both sides."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from zuji_sdk import Client, Options

QUICK = {"batch_seconds": 0.02, "retry_base_seconds": 0.02, "retry_cap_seconds": 0.2}
NOON = 1_790_827_200_000  # 2026-10-01 12:00 in Shanghai


def client(live, *, key=None, queue_dir=None, **settings):
    return Client(
        live.url,
        key or live.key,
        consent=True,
        queue_dir=None if queue_dir is None else str(queue_dir),
        on_error=lambda error: None,
        options=Options(**{**QUICK, **settings}),
    )


def test_what_is_stored_is_what_was_tracked(live):
    born = datetime(1890, 5, 1, tzinfo=UTC)
    numbers = iter(range(600))
    for compression in ("gzip", "zstd", "none"):
        with client(live, compression=compression, batch_seconds=60) as one:
            for n in itertools.islice(numbers, 200):
                one.track(
                    "pay",
                    {
                        "n": n,
                        "city": "济南",
                        "sum": 12.5,
                        "ok": True,
                        "tags": ["a", ""],
                        "at": born,
                    },
                    user_id=f"u{n % 7}",
                    device_id="d",
                    time=NOON + n,
                )
            one.profile_set({"level": "gold"}, user_id="u1", time=NOON)
            one.profile_unset(["age"], user_id="u1", time=NOON)
            assert one.flush(20)
            assert one.stats.accepted == 202
            assert one.stats.rejected == one.stats.retries == 0
    rows = sorted(live.stored(), key=lambda row: row["n"])
    assert [row["n"] for row in rows] == list(range(600))
    row = rows[8]
    assert (row["city"], row["sum"], row["ok"], list(row["tags"])) == (
        "济南",
        12.5,
        True,
        ["a", ""],
    )
    assert (row["user_id"], row["device_id"], row["$lib"]) == ("u1", "d", "python")
    assert row["at"].year == 1890


def test_the_largest_that_the_client_lets_through_is_taken(shared):
    with client(shared, batch_events=2000, batch_bytes=1_000_000, batch_seconds=60) as one:
        one.track("wide", {f"p{k:0>98}": "济" * 1000 for k in range(253)}, user_id="u")
        one.track("x" * 100, {"list": ["x" * 100] * 500, "text": "x" * 8192}, user_id="u" * 255)
        for n in range(3000):
            one.track("small", {"n": n}, user_id="u", device_id="d" * 255, insert_id=f"i{n}")
        for n in range(300):
            one.track("items", {f"p{k}": k for k in range(250)}, user_id=str(n))
        assert one.flush(30)
        assert one.stats.accepted == 3302
        assert one.stats.rejected == one.stats.splits == one.stats.retries == 0


def test_a_wrong_key_and_then_the_right_one(shared):
    with client(shared, key="zk_w_aaaaaaaa_" + "a" * 32) as one:
        one.track("e", {"n": 1}, user_id="u")
        assert one.flush(10) is False
        assert one.stats.queued == 1
        one.reconfigure(key=shared.key)
        assert one.flush(10)
        assert one.stats.accepted == 1


def test_what_the_collector_refuses_is_told_with_the_event(shared):
    told = []
    with Client(shared.url, shared.key, consent=True, on_error=told.append) as one:
        one.track("typed", {"typed": 1}, user_id="u")
        assert one.flush(10)
        one.track("typed", {"typed": "text"}, user_id="u")
        one.track("typed", {"typed": 2}, user_id="u")
        assert one.flush(10)
        assert (one.stats.accepted, one.stats.rejected) == (2, 1)
    (error,) = told
    assert error.code == "type_mismatch"
    assert error.record["properties"]["typed"] == "text"


ENDLESS = """
import sys, time
from zuji_sdk import Client, Options
options = Options(batch_seconds=0.01, batch_events=50, retry_base_seconds=0.01,
                  retry_cap_seconds=0.1, adopt_seconds=0.1)
client = Client(sys.argv[1], sys.argv[2], consent=True, queue_dir=sys.argv[3], options=options,
                on_error=lambda error: None)
n = int(sys.argv[4])
while True:
    client.track("e", {"n": n}, user_id="u", time=1_790_827_200_000)
    sys.stdout.buffer.write(n.to_bytes(8, "little"))
    sys.stdout.buffer.flush()
    n += 1
    time.sleep(0.0005)
"""


def kill_cycles(cycles, live, tmp_path):
    """A client that never ends and its collector are killed in turn; what was queued is stored."""
    folder = tmp_path / "queue"
    queued = set()
    for cycle in range(cycles):
        command = [sys.executable, "-c", ENDLESS, live.url, live.key, folder, cycle * 1_000_000]
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, env=live.environment
        )
        said = process.stdout.read(8 * 150)
        live.stop(signal.SIGKILL)
        said += process.stdout.read(8 * 50)
        live.start()
        said += process.stdout.read(8 * 100 * (cycle % 2 + 1))
        process.kill()
        said += process.stdout.read()
        process.wait()
        process.stdout.close()
        queued |= {
            int.from_bytes(said[at : at + 8], "little") for at in range(0, len(said) // 8 * 8, 8)
        }
    with client(live, queue_dir=folder) as last:
        assert last.flush(60 + cycles), last.stats
    stored = sorted(row["n"] for row in live.stored())
    doubled = [n for n, same in itertools.groupby(stored) if len(list(same)) > 1]
    assert not doubled
    assert queued <= set(stored)
    assert len(stored) - len(queued) <= cycles


def test_both_sides_are_killed_and_nothing_is_lost_or_doubled(live, tmp_path):
    kill_cycles(3, live, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_both_sides_are_killed_two_hundred_times(live, tmp_path):
    kill_cycles(200, live, tmp_path)
