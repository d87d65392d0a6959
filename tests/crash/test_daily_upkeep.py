"""The daily upkeep killed at any call: the next does what is left, nobody else is touched."""

from __future__ import annotations

import os

import pytest

from tests.crash.sites import calls_of, cut_off, kill_at
from tests.crash.test_erasing import (
    ME,
    MONTH,
    MY_DEVICE,
    NOW,
    START,
    batch,
    fill,
    found,
    opened,
    totals,
)
from zuji.server.upkeep import Upkeep

pytestmark = pytest.mark.usefixtures("same_project")

OLD = START - 12 * MONTH
KEPT = [35, 5]
"""Events and users of the others: seven batches of five."""


def aged(n):
    """Events that have lived for long enough: of somebody else, too."""
    return [
        {"event": "view", "time": OLD + n, "user_id": who, "properties": {"n": n}}
        for who in ("user-0", ME["user_id"])
    ]


def script(files, root, ack):
    engine = opened(root, files)
    fill(engine, "aafaaf")
    engine.append(aged(1))
    engine.append_batch(batch(8))
    engine.people.ttl.set(9)
    engine.people.erase(ME, MY_DEVICE, by="clerk")
    ack(1)
    looked_after(engine)
    ack(2)
    engine.append_batch(batch(9, with_me=False))
    engine.append_batch(batch(10, with_me=False))
    engine.close()


def looked_after(engine):
    upkeep = Upkeep(engine, "03:30", lambda: NOW)
    upkeep.look()
    assert (upkeep.done.runs, upkeep.done.error) == (1, None)


def check(root, acked):
    engine = opened(root)
    try:
        if 1 not in acked:
            return
        if 2 not in acked:
            looked_after(engine)
        assert found(root) == set()
        assert totals(engine)[1] == KEPT[1]
        for n in (9, 10):  # sent again, as a client does
            engine.append_batch(batch(n, with_me=False))
        assert totals(engine) == KEPT
        assert engine.people.ttl.plan()["rows"] == 0
        assert sum(note["rows"] for note in engine.people.ttl.applied()) == 1
        assert engine.people.status() == {"entries": 1, "open": 0, "waiting": 0}
        assert list(engine.scrub()) == []
    finally:
        engine.close()


def stretch(root):
    """Calls up to the end of the upkeep, and the first of it."""
    calls = calls_of(script, root)
    marks = [at for at, op in enumerate(calls) if op.kind == "mark"]
    return marks[0], marks[1] - 1


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_of_the_upkeep(fast_path, half):
    first, end = stretch(os.path.join(fast_path, "count"))
    assert end - first > 40
    kill_at(fast_path, sorted({*range(first + half, end, 3), end}), script, check, half=half)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_kill_at_every_call_of_the_upkeep(fast_path):
    first, end = stretch(os.path.join(fast_path, "count"))
    kill_at(fast_path, range(first, end + 1), script, check)
    print(f"sites={end - first + 1}")


def test_sampled_states_after_a_power_cut_in_the_upkeep(fast_path):
    assert cut_off(fast_path, script, check, every=11, seed=5, since=1) > 20
