"""Ids killed at any call, cut off from power: what was said and acknowledged is known, every row
stands with its owner, and compaction neither loses nor doubles one.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import msgpack
import pytest

from tests.crash.scenario import CONFIG, START_MS, open_engine
from tests.crash.sites import cut_off, kill_at, sites_of
from tests.oracle.identity import OracleIdentity
from zuji.engine.export import read_events
from zuji.engine.index import link_files
from zuji.engine.storage.files import Files

pytestmark = pytest.mark.usefixtures("same_project", "_files_become_one")

# a: batch, s: say by hand, f: flush, c: compact, o: close and open again
STEPS = "aaafasafcaasofaacasfaaocasacaafo"
PHONES, PEOPLE = ("p0", "p1", "p2"), ("ann", "bob", "cy")


@pytest.fixture
def _files_become_one(monkeypatch):
    monkeypatch.setattr(link_files, "FILES_ALIKE", 2)


def events(n):
    """Rows of step ``n``: some of a device alone, some of a customer on it, one apart."""
    rng = random.Random(f"step {n}")
    found = []
    for i in range(4):
        time = START_MS + rng.randrange(8) * 86_400_000 * 7 + 8 * n + i
        row = {"event": "view", "time": time, "properties": {"n": n, "i": i}}
        row["device_id"] = rng.choice(PHONES)
        if i % 2:
            row["user_id"] = rng.choice(PEOPLE)
            row["event"] = "$UnbindID" if rng.random() < 0.15 else "login"
        found.append(row)
    return found


def saying(n):
    """What is said by hand in step ``n``: (what, user, device, time)."""
    rng = random.Random(f"said {n}")
    time = START_MS + rng.randrange(8) * 86_400_000 * 7
    return rng.choice(["bind", "unbind", "bind"]), rng.choice(PEOPLE), rng.choice(PHONES), time


def run(files, root, ack, steps=STEPS):
    """The client: each step is acknowledged before the next."""
    engine = open_engine(files, root, CONFIG)
    for n, step in enumerate(steps):
        if step == "a":
            engine.append_batch(msgpack.packb({"batch_id": f"b{n}", "events": events(n)}))
            ack(n)
        elif step == "s":
            what, user, device, time = saying(n)
            getattr(engine.identity, what)(user, device, time)
            ack(n)
        elif step == "f":
            engine.flush()
        elif step == "c":
            engine.compact()
        else:
            engine.close()
            engine = open_engine(files, root, CONFIG)
    engine.close()


def expected(steps):
    """Rows with their owners after some steps."""
    identity, rows = OracleIdentity(), []
    for n in steps:
        if STEPS[n] == "s":
            what, user, device, time = saying(n)
            (identity.together if what == "bind" else identity.apart)(device, user, time)
            continue
        for row in events(n):
            rows.append(row)
            if "user_id" in row:
                apart_ = row["event"] == "$UnbindID"
                say = identity.apart if apart_ else identity.together
                say(row["device_id"], row["user_id"], row["time"])
    found = Counter()
    for row in rows:
        kind, name = identity.owner(row.get("user_id"), row["device_id"], row["time"])
        user = name if kind == "user" else None
        found[row["event"], row["time"], user, row["device_id"]] += 1
    return found


def stored(engine):
    found = Counter()
    for table in read_events(engine):
        for row in table.select(("event", "time", "user_id", "device_id")).to_pylist():
            ms = round(row["time"].timestamp() * 1000)
            found[row["event"], ms, row["user_id"], row["device_id"]] += 1
    return found


def check(root, acked):
    """Whatever was acknowledged counts, and at most the step after it; also compacted."""
    said = [n for n, step in enumerate(STEPS) if step in "as"]
    assert said[: len(acked)] == acked
    more = said[: len(acked) + 1]
    engine = open_engine(Files(), root, CONFIG)
    try:
        found = stored(engine)
        assert found in (expected(acked), expected(more)), (found, expected(acked))
        engine.compact()
        assert stored(engine) == found
        assert list(engine.scrub()) == []
    finally:
        engine.close()
    engine = open_engine(Files(), root, CONFIG)
    try:
        assert stored(engine) == found
    finally:
        engine.close()


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_leaves_every_row_with_its_owner(fast_path, half):
    count = sites_of(run, os.path.join(fast_path, "count"))
    assert count > 150
    rng = random.Random(f"identity {half}")
    sites = sorted({*rng.sample(range(count), 20), count - 1})
    kill_at(fast_path, sites, run, check, half=half)


def test_sampled_states_after_a_power_cut_have_every_row_with_its_owner(fast_path):
    assert cut_off(fast_path, run, check, every=97) > 3


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_leaves_every_row_with_its_owner(fast_path, half):
    count = sites_of(run, os.path.join(fast_path, "count"))
    kill_at(fast_path, range(count), run, check, half=half)
    print(f"sites={count} half={half}")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_state_after_a_power_cut_has_every_row_with_its_owner(fast_path):
    print(f"states={cut_off(fast_path, run, check, every=1, seed=2, limit=2)}")
