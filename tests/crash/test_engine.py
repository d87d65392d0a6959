"""The whole engine killed, cut off from power, refused by its disk, and sent things twice.

The quick form of each test takes a sample of the sites; ``-m slow`` takes all of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
from collections import Counter

import pytest

from tests.crash import killer, power
from tests.crash.disk import states
from tests.crash.fault_files import (
    SYNCS,
    FaultyFiles,
    HookedFiles,
    KillFiles,
    RecordingFiles,
    SneakFiles,
    fail_at,
    full_from,
)
from tests.crash.process import Child, apart, run_killed
from tests.crash.scenario import (
    CONFIG,
    SECOND_FILE,
    TABLE,
    Client,
    batch,
    check,
    contents,
    open_engine,
)
from zuji.engine.errors import ZujiError
from zuji.engine.storage import manifest as manifest_module
from zuji.engine.storage.files import Files

pytestmark = pytest.mark.usefixtures("same_project", "_short_manifest_logs")

# a: batch, t: table, f: flush, c: compact, o: close and open again
STEPS = "aaafaafaatacaoataaaacafaata"


@pytest.fixture
def _short_manifest_logs(monkeypatch):
    monkeypatch.setattr(manifest_module, "ROLL_EDITS", 4)


def sites_of(root, kinds=None):
    """What each site of an undisturbed run is: (kind, directory or file)."""

    found: list[tuple[str, str]] = []

    class Listing(HookedFiles):
        def around(self, op, perform):
            result = super().around(op, perform)
            name = os.path.relpath(op.target or op.path, os.path.join(root, "default"))
            if kinds is None or op.kind in kinds:
                place = os.path.dirname(name) or name.split("-")[0]
                found.append((op.kind, place.removesuffix(".tmp")))
            return result

    def run():
        Client(Listing(), root).run(STEPS)
        return found

    return apart(run)


def sample(count, step, offset=0):
    """Every ``step``-th site, and always the last."""
    return sorted({*range(offset % step, count, step), count - 1})


def kill_at(path, sites, half):
    for site in sites:
        root = os.path.join(path, str(site))
        acked = run_killed(
            lambda ack, r=root, s=site: Client(KillFiles(s, half=half), r, ack).run(STEPS)
        )
        if os.path.isdir(os.path.join(root, "default")):
            try:
                apart(lambda r=root, a=acked, s=site: check(r, set(a), go_on=s % 3 == 0))
            except AssertionError as error:
                raise AssertionError(f"killed at site {site}: {error}") from None
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_loses_nothing(fast_path, half):
    count = len(sites_of(os.path.join(fast_path, "count")))
    assert count > 300
    kill_at(fast_path, sample(count, 12, offset=5 * half), half)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_loses_nothing(fast_path, half):
    found = sites_of(os.path.join(fast_path, "count"))
    kill_at(fast_path, range(len(found)), half)
    print(f"sites={len(found)} half={half} {sorted(Counter(found).items())}")


def power_cuts(path, limit, every, again):
    """Explore crash states of a run; how many there were."""
    root = os.path.join(path, "run")

    def record():
        files = RecordingFiles()
        Client(files, root, files.mark).run(STEPS)
        return files.ops

    ops = apart(record)
    target = os.path.join(path, "state")
    counts = {"calls": sum(op.kind != "mark" for op in ops), "states": 0, "second": 0, "seen": 0}

    def recover(state, go_on):
        files = RecordingFiles()
        check(target, set(state.notes), go_on=go_on, files=files, mark=files.mark)
        return files.ops

    for state in states(ops, root, seed=1, limit=limit):
        counts["seen"] += 1
        if counts["seen"] % every or "default" not in state.directories:
            continue
        state.write(target)
        twice = again and counts["states"] % again == 0
        try:
            more = apart(lambda s=state, t=twice: recover(s, t or counts["states"] % 5 == 0))
        except AssertionError as error:
            raise AssertionError(f"cut after call {state.cut}: {error}") from None
        counts["states"] += 1
        if not twice:
            continue
        for k, second in enumerate(states(more, target, seed=1, limit=0, start=state)):
            if k % 17:
                continue
            second.write(root)
            apart(lambda s=second: check(root, set(s.notes), go_on=False))
            counts["second"] += 1
    print(counts)
    return counts


def test_sampled_states_after_a_power_cut_recover(fast_path):
    counts = power_cuts(fast_path, limit=1, every=23, again=100)
    assert counts["states"] > 100


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_state_after_a_power_cut_recovers(fast_path):
    counts = power_cuts(fast_path, limit=4, every=1, again=60)
    assert counts["states"] > 3000


def fail_once(path, wanted, code, kinds):
    """One call fails; the client stops at the first error that is not a full disk."""
    root = os.path.join(path, str(wanted))
    files = FaultyFiles(fail_at(wanted, code, kinds))
    acked: set[int] = set()
    client = Client(files, root, acked.add)

    def run():
        failed = ""
        try:
            client.open()
            for step in STEPS:
                client.step(step)
        except ZujiError as error:
            failed = type(error).__name__
        with contextlib.suppress(ZujiError):
            client.close()
        return failed, acked, files.hits

    failed, acked_there, hits = apart(run)
    assert hits
    if os.path.isdir(os.path.join(root, "default")):
        try:
            apart(lambda: check(root, acked_there))
        except AssertionError as error:
            raise AssertionError(f"call {wanted} ({hits[0][1].path}) failed: {error}") from None
    shutil.rmtree(root, ignore_errors=True)
    return failed


@pytest.mark.parametrize("kinds", [SYNCS, None], ids=["sync", "any"])
def test_a_failed_call_among_a_sample_acknowledges_nothing_false(fast_path, kinds):
    count = len(sites_of(os.path.join(fast_path, "count"), kinds))
    for wanted in sample(count, 5 if kinds else 11):
        fail_once(fast_path, wanted, errno.EIO, kinds)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kinds", [SYNCS, None], ids=["sync", "any"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_call_anywhere_acknowledges_nothing_false(fast_path, kinds, code):
    count = len(sites_of(os.path.join(fast_path, "count"), kinds))
    outcomes = Counter(fail_once(fast_path, k, code, kinds) for k in range(count))
    print(f"calls={count} {dict(outcomes)}")


def fill_and_free(path, wanted, partial, steps):
    """The disk is full from a call on, freed after three refusals: all is done, without restart."""
    root = os.path.join(path, str(wanted))
    plan, free = full_from(wanted, errno.ENOSPC, partial)

    def run():
        files = FaultyFiles()
        acked: set[int] = set()
        client = Client(files, root, acked.add)
        client.open()
        files.plan = plan
        refused = 0

        def on_full():
            nonlocal refused
            refused += 1
            if refused % 3 == 0:
                free()

        for step in steps:
            client.step_until_done(step, on_full)
        free()
        client.step("a")
        client.step("c")
        batches, tables = contents(client.engine)
        assert acked == batches | {TABLE + n for n in tables}
        assert client.engine.status()["last_error"] is None
        client.close()
        return acked, len(files.hits)

    try:
        acked, hits = apart(run)
        apart(lambda: check(root, acked))
    except AssertionError as error:
        raise AssertionError(f"full from call {wanted}: {error}") from None
    shutil.rmtree(root, ignore_errors=True)
    return hits


BATCHES_ONLY = "aaafaafaaacaaaaaacafaaa"


@pytest.mark.parametrize("steps", [BATCHES_ONLY, STEPS.replace("o", "")], ids=["batches", "tables"])
@pytest.mark.parametrize("partial", [0, 30])
def test_a_disk_full_at_sampled_calls_then_freed(fast_path, steps, partial):
    for wanted in range(0, 230, 13 if partial else 11):
        fill_and_free(fast_path, wanted, partial, steps)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("steps", [BATCHES_ONLY, STEPS.replace("o", "")], ids=["batches", "tables"])
@pytest.mark.parametrize("partial", [0, 1, 30])
def test_a_disk_full_anywhere_then_freed(fast_path, steps, partial):
    done = 0
    while fill_and_free(fast_path, done, partial, steps):
        done += 1
    print(f"calls={done} partial={partial}")
    assert done > 100


def interleave(path, first, second, wanted):
    """While step ``first`` is at its call ``wanted``, another thread does ``second``; then a kill.

    False when ``first`` has no such call.
    """
    root = os.path.join(path, f"{first}{second}{wanted}")

    def run(ack):
        files = SneakFiles(wanted, lambda: [other.step(step) for step in second])
        client = Client(files, root, ack)
        client.open()
        other = Client(files, root, ack, next_batch=50, next_table=SECOND_FILE + 1)
        other.engine = client.engine
        for step in "aatfaata":
            client.step(step)
        files.armed = True
        client.step(first)
        files.armed = False
        if files.finish():
            os.kill(os.getpid(), signal.SIGKILL)

    child = Child(run)
    acked = child.end(killed=None)
    reached = child.killed
    if reached:
        try:
            apart(lambda: check(root, set(acked), go_on=False))
        except AssertionError as error:
            raise AssertionError(f"{second!r} at call {wanted} of {first!r}: {error}") from None
    shutil.rmtree(root, ignore_errors=True)
    return reached


def interleave_all(path, first, second, step):
    wanted = done = 0
    while interleave(path, first, second, wanted):
        wanted += step
        done += 1
    print(f"{second!r} inside {first!r}: {done} calls")
    assert done


@pytest.mark.parametrize("second", ["a", "t", "af"])
@pytest.mark.parametrize(("first", "step"), [("a", 1), ("t", 11), ("f", 7), ("c", 13)])
def test_a_step_inside_sampled_calls_of_another_then_a_kill(fast_path, first, second, step):
    interleave_all(fast_path, first, second, step)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("second", ["a", "t", "f", "c", "af", "ac"])
@pytest.mark.parametrize("first", "atfc")
def test_a_step_inside_any_call_of_another_then_a_kill(fast_path, first, second):
    interleave_all(fast_path, first, second, 1)


def test_a_batch_sent_a_hundred_times_is_stored_once(fast_path):
    def run():
        client = Client(Files(), fast_path)
        client.run("aaaa")
        for round_ in range(10):
            engine = open_engine(Files(), fast_path)
            for n in (3, 1, 4, 2):
                for _ in range(10):
                    assert engine.append_batch(batch(n)).accepted == 0
            if round_ % 3 == 0:
                engine.flush()
            if round_ % 4 == 1:
                engine.compact()
            engine.close()
        engine = open_engine(Files(), fast_path)
        stored = contents(engine)
        engine.close()
        return stored

    assert apart(run) == ({1, 2, 3, 4}, set())


def test_an_import_repeated_from_any_position_stores_each_row_once(fast_path):
    def run():
        Client(Files(), fast_path).run("ttt")
        # A client that lost its place sends from the start again: receipts are insert ids.
        client = Client(Files(), fast_path, next_table=1)
        client.run("tttt")
        engine = open_engine(Files(), fast_path)
        stored = contents(engine)
        engine.close()
        return stored

    assert apart(run) == (set(), {1, 2, 3, 4})


def test_kill_9_at_random_times(tmp_path):
    figures = killer.loop(str(tmp_path), cycles=24, seed=20)
    print(figures.line())
    assert figures.cycles == 24
    assert figures.acked > 500


def test_a_second_process_cannot_write_and_a_reader_needs_no_lock(fast_path):
    def run():
        client = Client(Files(), fast_path)
        client.open()
        for step in "aafat":
            client.step(step)
        with pytest.raises(ZujiError, match="process"):
            open_engine(Files(), fast_path)
        from zuji.engine.engine import open_project

        reader = open_project(fast_path, mode="r", config=CONFIG, clock=lambda: 0)
        seen = contents(reader)
        reader.close()
        client.close()
        return seen

    assert apart(run) == ({1, 2, 3}, {1})


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_power_cuts_of_a_real_file_system(tmp_path):
    if not power.available():
        pytest.skip("needs root, ext4 and loop devices")
    figures = power.loop(str(tmp_path), cycles=40, seed=7)
    print(figures.line())
    assert figures.cycles == 40
