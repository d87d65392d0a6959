"""Rejected events that are replayed, discarded, or came with ``append_many``, killed at any call.

Every rejected event has a number. After a crash each that was acknowledged is in the quarantine, or
stored once, or both because the crash came between the two, or discarded; replaying what is listed
then brings each to be stored exactly once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections import Counter

import msgpack
import pytest

from tests.crash.disk import states
from tests.crash.fault_files import (
    SYNCS,
    FaultyFiles,
    HookedFiles,
    KillFiles,
    RecordingFiles,
    fail_at,
)
from tests.crash.process import apart, run_killed
from tests.crash.scenario import stored_rows
from zuji.engine.batch.columns import Rejected
from zuji.engine.config import Config
from zuji.engine.engine import open_project
from zuji.engine.errors import InvalidEvent, ZujiError
from zuji.engine.storage import manifest as manifest_module
from zuji.engine.storage.files import Files

pytestmark = pytest.mark.usefixtures("same_project", "_short_manifest_logs")

TIME = 1_700_000_000_000
STEPS = 7
EACH = 4  # rejected events of a step
GOOD = 1_000  # numbers of good events begin here
DISCARDED = {n for n in range(4 * EACH) if n % 3 == 1 and n % 4}
REPLAYED, DISCARD = 100, 200  # acknowledgements of work on the quarantine, and of step n: n


@pytest.fixture
def _short_manifest_logs(monkeypatch):
    monkeypatch.setattr(manifest_module, "ROLL_EDITS", 4)


def opened(files, root):
    config = Config(background=False, threads=1, memtable_rows=7, compact_after=3)
    return open_project(root, config=config, files=files, clock=lambda: TIME)


def event(n, **more):
    return {"event": "go", "time": TIME + n, "properties": {"n": n}, **more}


def send(engine, step):
    """One call: a batch with bad events, one that is none, a good one, and refused events."""
    bad = [event(step * EACH + i) for i in range(EACH)]
    good = [event(GOOD + 3 * step + i, user_id="g", insert_id=f"g{step}-{i}") for i in range(3)]
    refused = [Rejected(i, "kept", "", "", msgpack.packb(bad[i])) for i in (0, 1)]
    outcomes = engine.append_many(
        [msgpack.packb([good[0], *bad[2:]]), b"\xc1", msgpack.packb([good[1]] * 2 + [good[2]])],
        refused,
    )
    for outcome in outcomes:
        if isinstance(outcome, ZujiError) and not isinstance(outcome, InvalidEvent):
            raise outcome
    assert isinstance(outcomes[1], InvalidEvent)
    assert [outcomes[at].accepted for at in (0, 2)] == [1, 2]
    assert len(outcomes[0].rejected) == 2
    assert outcomes[2].repeated == (1,)


def number_of(entry):
    return entry["event"]["properties"]["n"]


def mend_some(which):
    def mend(entry):
        return entry["event"] | {"user_id": "mended"} if which(number_of(entry)) else None

    return mend


def work(files, root, ack=lambda _: None):
    engine = opened(files, root)
    for step in range(STEPS):
        send(engine, step)
        ack(step)
        if step == 1:
            engine.flush()
        elif step == 2:
            engine.replay_rejected(mend=mend_some(lambda n: n % 4 == 0))
            ack(REPLAYED)
        elif step == 3:
            ids = [row["id"] for row in engine.rejected() if number_of(row) in DISCARDED]
            assert engine.discard_rejected(ids) == len(ids) == len(DISCARDED)
            ack(DISCARD)
        elif step == 4:
            engine.close()
            engine = opened(files, root)
            engine.replay_rejected(reason="kept", mend=mend_some(lambda n: n < 99))
            ack(REPLAYED + 1)
        elif step == 5:
            engine.compact()
    engine.close()


def there(engine):
    """Numbers of stored events, and of those in the quarantine, each with how often."""
    stored: Counter = Counter()
    for row, times in stored_rows(engine).items():
        stored[dict(row[3])["n"]] += times
    return stored, Counter(number_of(row) for row in engine.rejected())


def check(root, acked, files=None):
    engine = opened(files or Files(), root)
    try:
        stored, kept = there(engine)
        twice = {n for counts in (stored, kept) for n, times in counts.items() if times > 1}
        assert not twice, f"twice: {sorted(twice)}"
        for step in acked & set(range(STEPS)):
            bad = {step * EACH + i for i in range(EACH)}
            lost = bad - stored.keys() - kept.keys() - DISCARDED
            assert not lost, f"acknowledged and lost: {sorted(lost)}"
            assert {GOOD + 3 * step + i for i in range(3)} <= stored.keys()
        if 3 in acked:
            gone = DISCARDED - kept.keys()
            assert gone in (set(), DISCARDED), f"a part was discarded: {sorted(gone)}"
            assert not (DISCARD in acked and gone != DISCARDED)
        if REPLAYED in acked:
            done = {n for n in range(3 * EACH) if n % 4 == 0}
            assert done <= stored.keys()
            assert not done & kept.keys()
        was = set(kept)
        result = engine.replay_rejected(mend=mend_some(lambda _: True))
        assert result.stored + result.duplicates == len(was)
        assert result.duplicates == len(was & stored.keys())
        stored, kept = there(engine)
        assert not kept
        assert max(stored.values(), default=1) == 1
        assert was <= stored.keys()
        assert list(engine.scrub()) == []
        assert not engine.status()["wal_damage"]
    finally:
        engine.close()
    again = opened(Files(), root)
    with contextlib.closing(again):
        assert there(again) == (stored, Counter())


def sites(path, kinds=None):
    class Counting(HookedFiles):
        found = 0

        def around(self, op, perform):
            self.found += kinds is None or op.kind in kinds
            return super().around(op, perform)

    def run():
        files = Counting()
        work(files, path)
        return files.found

    return apart(run)


def kill_at(path, wanted, half):
    for site in wanted:
        root = os.path.join(path, str(site))
        acked = run_killed(lambda ack, r=root, s=site: work(KillFiles(s, half=half), r, ack))
        if os.path.isdir(os.path.join(root, "default")):
            try:
                apart(lambda r=root, a=set(acked): check(r, a))
            except AssertionError as error:
                raise AssertionError(f"killed at site {site}: {error}") from None
        shutil.rmtree(root, ignore_errors=True)


def test_undisturbed(fast_path):
    acked = set(range(STEPS)) | {REPLAYED, REPLAYED + 1, DISCARD}
    heard = []
    apart(lambda: work(Files(), fast_path))
    heard = apart(lambda: check(fast_path, acked))
    assert heard is None


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_loses_and_doubles_nothing(fast_path, half):
    count = sites(os.path.join(fast_path, "count"))
    assert count > 120
    kill_at(fast_path, range(2 * half, count, 11), half)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_loses_and_doubles_nothing(fast_path, half):
    kill_at(fast_path, range(sites(os.path.join(fast_path, "count"))), half)


def power_cuts(path, limit, every):
    root = os.path.join(path, "run")

    def record():
        files = RecordingFiles()
        work(files, root, files.mark)
        return files.ops

    ops = apart(record)
    target = os.path.join(path, "state")
    seen = explored = 0
    for state in states(ops, root, seed=1, limit=limit):
        seen += 1
        if seen % every or "default" not in state.directories:
            continue
        state.write(target)
        try:
            apart(lambda s=state: check(target, set(s.notes)))
        except AssertionError as error:
            raise AssertionError(f"cut after call {state.cut}: {error}") from None
        explored += 1
    return explored


def test_sampled_states_after_a_power_cut(fast_path):
    assert power_cuts(fast_path, limit=1, every=29) > 30


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_state_after_a_power_cut(fast_path):
    assert power_cuts(fast_path, limit=4, every=1) > 400


def fail_once(path, wanted, kinds, code):
    root = os.path.join(path, str(wanted))

    def run():
        acked = set()
        with contextlib.suppress(ZujiError):
            work(FaultyFiles(fail_at(wanted, code, kinds)), root, acked.add)
        return acked

    acked = apart(run)
    if os.path.isdir(os.path.join(root, "default")):
        try:
            apart(lambda: check(root, acked))
        except AssertionError as error:
            raise AssertionError(f"call {wanted} failed: {error}") from None
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("kinds", [SYNCS, None], ids=["sync", "any"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_call_among_a_sample_acknowledges_nothing_false(fast_path, kinds, code):
    count = sites(os.path.join(fast_path, "count"), kinds)
    for wanted in range(0, count, 6 if kinds else 17):
        fail_once(fast_path, wanted, kinds, code)
