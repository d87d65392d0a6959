"""Items killed at any call, cut off from power, refused by a full disk: what was acknowledged is
there, a batch is there as a whole or not at all, and sending again changes nothing.
"""

from __future__ import annotations

import errno
import os
import random
import shutil

import msgpack
import pytest

from tests.crash.fault_files import FaultyFiles, full_from
from tests.crash.process import Child, apart, run_killed
from tests.crash.scenario import CONFIG, START_MS, open_engine
from tests.crash.sites import cut_off, kill_at, sites_of
from zuji.engine.errors import ZujiError
from zuji.engine.items import tables
from zuji.engine.storage.files import Files

pytestmark = pytest.mark.usefixtures("same_project", "_files_are_put_together")

# a: batch, f: flush, c: compact, o: close and open again
STEPS = "aafaafacaoaafaaaafafao"
IDS = 7


@pytest.fixture
def _files_are_put_together(monkeypatch):
    monkeypatch.setattr(tables, "MOST_FILES", 3)
    monkeypatch.setattr(tables, "FEW_RECORDS", 5)


def records(n):
    """Item records of batch ``n``: later batches say later times, but for every fourth."""
    time = START_MS + (n if n % 4 else n - 3) * 1000
    head = {"item_type": "good", "time": time}
    found = [
        head | {"type": "item_set", "item_id": f"p{n % IDS}", "properties": {"n": n}},
        head | {"type": "item_set", "item_id": f"p{n * 3 % IDS}", "properties": {"m": f"m{n}"}},
    ]
    if n % 5 == 0:
        found.append(head | {"type": "item_delete", "item_id": f"p{(n + 2) % IDS}"})
    return found


def batch(n):
    """Records of items around an event and one that is refused."""
    event = {"event": "e", "user_id": "u", "time": START_MS, "properties": {"batch": n}}
    first, *others = records(n)
    wrong = {**first, "item_id": None}
    return msgpack.packb({"batch_id": f"b{n}", "events": [first, event, wrong, *others]})


def expected(batches):
    """Items by the rules, a record at a time in the order of times, those of one time as sent."""
    by_id = {}
    for n in sorted(batches):
        for one in records(n):
            by_id.setdefault(one["item_id"], []).append(one)
    found = {}
    for item_id, all_of in by_id.items():
        now = None
        for one in sorted(all_of, key=lambda r: r["time"]):
            now = None if one["type"] == "item_delete" else (now or {}) | one["properties"]
        if now is not None:
            found[item_id] = now
    return found


def run(files, root, ack, steps=STEPS):
    """The client: batches in order, each sent until it is acknowledged."""
    engine = open_engine(files, root, CONFIG)
    n = 0
    for step in steps:
        if step == "a":
            engine.append_batch(batch(n))
            ack(n)
            n += 1
        elif step == "f":
            engine.flush()
        elif step == "c":
            engine.compact()
        else:
            engine.close()
            engine = open_engine(files, root, CONFIG)
    engine.close()


def check(root, acked):
    """Whatever was acknowledged is there, and at most the batch after it; also after one more."""
    engine = open_engine(Files(), root, CONFIG)
    try:
        there = set(range(len(acked)))
        assert there == set(acked)
        items = dict(engine.items.all("good")) if engine.items.types() else {}
        more = there | {len(acked)}
        assert items in (expected(there), expected(more)), (items, expected(there))
        assert list(engine.scrub()) == []
        # What was in flight is sent again, and the first one once more.
        for n in (len(acked), 0):
            engine.append_batch(batch(n))
        assert dict(engine.items.all("good")) == expected(more)
        engine.flush()
    finally:
        engine.close()
    engine = open_engine(Files(), root, CONFIG)
    try:
        assert dict(engine.items.all("good")) == expected(more)
        refused = [one["reason"] for one in engine.rejected()]
        assert refused == ["no_item"] * len(more)
    finally:
        engine.close()


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_loses_no_item(fast_path, half):
    count = sites_of(run, os.path.join(fast_path, "count"))
    assert count > 150
    rng = random.Random(f"items {half}")
    sites = sorted({*rng.sample(range(count), 40), count - 1})
    kill_at(fast_path, sites, run, check, half=half)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_loses_no_item(fast_path, half):
    count = sites_of(run, os.path.join(fast_path, "count"))
    kill_at(fast_path, range(count), run, check, half=half)
    print(f"sites={count} half={half}")


def test_sampled_states_after_a_power_cut_have_the_items(fast_path):
    assert cut_off(fast_path, run, check, every=19) > 15


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_state_after_a_power_cut_has_the_items(fast_path):
    print(f"states={cut_off(fast_path, run, check, every=1, seed=2, limit=2)}")


def test_a_disk_full_at_sampled_calls_acknowledges_nothing_false(fast_path):
    count = sites_of(run, os.path.join(fast_path, "count"))
    for site in range(30, count, 23):
        root = os.path.join(fast_path, str(site))

        def work(ack, r=root, s=site):
            plan, _ = full_from(s, errno.ENOSPC)
            try:
                run(FaultyFiles(plan), r, ack)
            except ZujiError:
                os._exit(0)

        acked = run_killed(work, killed=None)
        if os.path.isdir(os.path.join(root, "default")):
            apart(lambda r=root, a=acked: check(r, a))
        shutil.rmtree(root, ignore_errors=True)


def test_kill_9_at_random_times(tmp_path):
    """A real process, real files: a project killed over and over."""
    rng = random.Random(7)
    root, acked = str(tmp_path / "p"), []

    def work(ack):
        engine = open_engine(Files(), root, CONFIG)
        n = len(acked)
        while True:
            engine.append_batch(batch(n))
            ack(n)
            n += 1
            if n % 6 == 0:
                engine.flush()

    for _ in range(8):
        child = Child(work)
        child.hear(rng.randrange(1, 60))
        child.kill()
        acked += child.end()
        assert acked == list(range(len(acked)))
        apart(lambda a=tuple(acked): check(root, a))
        acked.append(len(acked))  # the one in flight: the check has sent it
