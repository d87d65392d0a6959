"""What a bulk load says of ids counts when its rows are stored, and not before: not when it fails,
not when it is killed, not in what is stored of others meanwhile.
"""

from __future__ import annotations

import os
import random
import shutil
import threading

import msgpack
import pyarrow as pa
import pytest

import zuji
from tests.crash.scenario import CONFIG, START_MS, open_engine
from tests.crash.sites import cut_off, kill_at, sites_of
from zuji.engine.errors import NotFound, StorageFull
from zuji.engine.index.link_store import LinkStore
from zuji.engine.storage.files import Files
from zuji.engine.storage.manifest import Manifest
from zuji.engine.writer.flusher import Flusher

MAPPING = {"event": "e", "time": "t", "user": "u", "device": "d"}
BY_HAND = zuji.Config(background=False, threads=1)


def table(*rows):
    """Rows of (user, device, ms after the start)."""
    times = pa.array([START_MS + row[2] for row in rows], pa.timestamp("ms", "UTC"))
    users, devices = [row[0] for row in rows], [row[1] for row in rows]
    return pa.table({"e": ["buy"] * len(rows), "u": users, "d": devices, "t": times})


def row(user, device, ms, event="look"):
    one = {"event": event, "time": START_MS + ms, "device_id": device}
    return one | ({"user_id": user} if user else {})


def append(engine, *rows):
    engine.append_batch(msgpack.packb(list(rows)))


def seen(engine, device):
    """Customers who were seen on a device, None: nothing is known of it."""
    try:
        found = engine.identity.of(device)["device"]
    except NotFound:
        return None
    return {one["user_id"]: one["first"] for one in found["seen"]} or None if found else None


def owners(engine, device):
    return [one["user_id"] for one in engine.identity.of(device)["device"]["owners"]]


def fail(monkeypatch, where):
    """Makes the next load fail at a place; the failure is of a full disk."""

    def full(*_arguments, **_options):
        raise StorageFull("no space")

    kind = {"write_segments": Flusher, "write_extras": Flusher, "save": LinkStore}
    monkeypatch.setattr(kind.get(where, Manifest), where, full)


@pytest.mark.parametrize("where", ["write_segments", "write_extras", "save", "commit"])
@pytest.mark.parametrize("shared", ["device", "last_login"])
def test_a_load_that_fails_says_nothing_of_ids(tmp_path, monkeypatch, where, shared):
    with zuji.open(tmp_path / "there", config=BY_HAND) as engine:
        engine.identity.set_shared_device(shared)
        append(engine, row(None, "alone", 0), row("ann", "hers", 5), row("ann", "two", 5))
        append(engine, row("bob", "two", 7), row(None, "hers", 0), row(None, "two", 9))
        engine.identity.unbind("ann", "two", START_MS + 8)
        engine.flush()
        append(engine, row("ann", "late", 4))
        said = {d: seen(engine, d) for d in ("alone", "hers", "two", "late", "new")}
        assert said["new"] is said["alone"] is None
        was = {d: owners(engine, d) for d in ("hers", "two", "late")}
        conflicts = list(engine.identity.conflicts())
        rows = [(u, d, 1) for u in ("ann", "bob", "cy") for d in said]
        with monkeypatch.context() as patch:
            fail(patch, where)
            with pytest.raises(StorageFull):
                engine.append_table(table(*rows), MAPPING)
        append(engine, row("dan", "alone", 20))
        for _ in range(2):
            told = {d: seen(engine, d) for d in said}
            assert told == said | {"alone": {"dan": START_MS + 20}}
            assert owners(engine, "alone") == ["dan"]
            assert {d: owners(engine, d) for d in was} == was
            assert list(engine.identity.conflicts()) == conflicts
            engine.flush()
        shutil.copytree(tmp_path / "there", tmp_path / "again")
        engine.append_table(table(*rows), MAPPING)  # sent again
        assert seen(engine, "new") == dict.fromkeys(("ann", "bob", "cy"), START_MS + 1)
    with zuji.open(tmp_path / "again", config=BY_HAND) as engine:
        assert {d: seen(engine, d) for d in said} == told


def test_what_is_stored_while_a_load_writes_knows_nothing_of_it(tmp_path, monkeypatch):
    write = Flusher.write_segments
    writing, go_on = threading.Event(), threading.Event()

    def held(self, frame, written, numbers=None, **more):
        if numbers is not None:  # of a load
            writing.set()
            assert go_on.wait(30)
        return write(self, frame, written, numbers, **more)

    monkeypatch.setattr(Flusher, "write_segments", held)
    with zuji.open(tmp_path / "there", config=BY_HAND) as engine:
        append(engine, row(None, "phone", 0))
        thread = threading.Thread(
            target=engine.append_table, args=(table(("ann", "phone", 1)), MAPPING)
        )
        thread.start()
        try:
            assert writing.wait(30)
            append(engine, row("bob", "phone", 2))
            engine.flush()
            assert owners(engine, "phone") == ["bob"]
            shutil.copytree(tmp_path / "there", tmp_path / "killed")
        finally:
            go_on.set()
            thread.join(30)
        assert sorted(seen(engine, "phone")) == ["ann", "bob"]
    with zuji.open(tmp_path / "killed", config=BY_HAND) as engine:
        assert seen(engine, "phone") == {"bob": START_MS + 2}
        assert owners(engine, "phone") == ["bob"]
        assert list(engine.identity.conflicts()) == []
    with zuji.open(tmp_path / "there", config=BY_HAND) as engine:
        assert sorted(seen(engine, "phone")) == ["ann", "bob"]


def test_a_customer_who_is_erased_while_a_load_writes_is_linked_to_nothing(tmp_path, monkeypatch):
    write = Flusher.write_segments
    writing, go_on = threading.Event(), threading.Event()

    def held(self, frame, written, numbers=None, **more):
        if numbers is not None:
            writing.set()
            assert go_on.wait(30)
        return write(self, frame, written, numbers, **more)

    with zuji.open(tmp_path, config=BY_HAND) as engine:
        append(engine, row("ann", None, 0) | {"device_id": "old"}, row("bob", "hers", 5))
        engine.flush()
        monkeypatch.setattr(Flusher, "write_segments", held)
        rows = table(("ann", "phone", 1), ("bob", "phone", 2))
        thread = threading.Thread(target=engine.append_table, args=(rows, MAPPING))
        thread.start()
        try:
            assert writing.wait(30)
            engine.people.erase({"user_id": "ann"})
        finally:
            go_on.set()
            thread.join(30)
        assert seen(engine, "phone") == {"bob": START_MS + 2}
        engine.compact()
        assert owners(engine, "phone") == ["bob"]
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        assert seen(engine, "phone") == {"bob": START_MS + 2}


# -- killed at any call --------------------------------------------------------------------------

STEPS = (
    "abflaflbcloalf"  # a, b: rows; l: a load of three rows; f: flush; c: compact; o: opened anew
)


def rows_of(n):
    rng = random.Random(f"load {n}")
    return [(rng.choice("xyz"), rng.choice("pqr"), 50 * n + i) for i in range(3)]


def run(files, root, ack):
    engine = open_engine(files, root, CONFIG)
    for n, step in enumerate(STEPS):
        if step == "l":
            engine.append_table(table(*rows_of(n)), MAPPING)
            ack(n)
        elif step in "ab":
            append(engine, *(row(u if step == "a" else None, d, ms) for u, d, ms in rows_of(n)))
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
    """What is known of each device after some steps."""
    found = {}
    for n in steps:
        for user, device, ms in rows_of(n) if STEPS[n] in "al" else ():
            known = found.setdefault(device, {})
            known[user] = min(known.get(user, START_MS + ms), START_MS + ms)
    return found


def check(root, acked):
    said = [n for n, step in enumerate(STEPS) if step in "abl"]
    assert said[: len(acked)] == acked
    more = said[: len(acked) + 1]
    engine = open_engine(Files(), root, CONFIG)
    try:
        found = {d: known for d in "pqr" if (known := seen(engine, d))}
        assert found in (expected(acked), expected(more))
    finally:
        engine.close()


@pytest.mark.usefixtures("same_project")
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_leaves_no_link_of_a_row_that_is_not(fast_path, half):
    count = sites_of(run, os.path.join(fast_path, "count"))
    assert count > 100
    rng = random.Random(f"loads {half}")
    kill_at(fast_path, sorted(rng.sample(range(count), 20)), run, check, half=half)


@pytest.mark.usefixtures("same_project")
def test_sampled_states_after_a_power_cut_have_no_link_of_a_row_that_is_not(fast_path):
    assert cut_off(fast_path, run, check, every=67) > 3
