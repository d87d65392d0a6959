"""Every state a power cut may leave of log + manifest; a kill before and inside every call."""

from __future__ import annotations

import os

import pytest

from tests.crash.disk import everything, states
from tests.crash.fault_files import KillFiles, RecordingFiles
from tests.crash.miniature import Miniature, check
from tests.crash.process import run_killed
from zuji.engine.errors import ZujiError
from zuji.engine.storage import manifest as manifest_module
from zuji.engine.storage import names
from zuji.engine.storage.files import Files
from zuji.engine.storage.manifest import Manifest

# a: append and sync, g: three appends and one sync, f: flush, c: compact
STEPS = "aafaafcgafgacafggfcagf"
DRAWN = 5  # combinations a cut
AGAIN = 80  # every so many states, the power fails during the recovery too


def script(files, root, acked):
    """A life of a project. ``acked(seq)`` is called for every acknowledged row."""
    store = Miniature(files, root)
    for step in STEPS:
        if step == "a":
            acked(store.append())
        elif step == "g":
            seqs = [store.append(sync=False) for _ in range(3)]
            store.wal.sync(seqs[-1])
            for seq in seqs:
                acked(seq)
        elif step == "f":
            store.flush()
        else:
            store.compact()
    store.close()


@pytest.fixture(autouse=True)
def _short_manifest_logs(monkeypatch):
    monkeypatch.setattr(manifest_module, "ROLL_EDITS", 3)


@pytest.mark.parametrize(
    ("drawn", "again"),
    [(DRAWN, AGAIN), pytest.param(60, 10, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_every_legal_state_after_a_power_cut_recovers(fast_path, drawn, again):
    """Also when the power fails a second time, while the first recovery runs."""
    root = os.path.join(fast_path, "run")
    files = RecordingFiles()
    script(files, root, files.mark)
    counts = dict.fromkeys(("calls", "states", "second", "torn", "damaged"), 0)
    counts["calls"] = len(files.ops)
    target = os.path.join(fast_path, "state")
    for state in states(files.ops, root, seed=1, limit=drawn):
        state.write(target)
        recovery = RecordingFiles()
        report = check(recovery, target, set(state.notes), recovery.mark)
        counts["states"] += 1
        counts["torn"] += bool(report.torn)
        counts["damaged"] += bool(report.damaged)
        assert not report.missing
        if counts["states"] % again == 0:
            for second in states(recovery.ops, target, seed=1, limit=2, start=state):
                second.write(root)
                check(Files(), root, set(second.notes))
                counts["second"] += 1
    print(counts)
    assert counts["states"] > 900
    assert counts["second"] > 500
    assert counts["torn"] > 100


@pytest.mark.parametrize(
    "every", [6, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
def test_a_kill_then_a_power_cut_while_recovering(fast_path, every):
    """What a killed process wrote but did not sync is seen by the next one, and still not safe.

    The next process must make it durable before it acknowledges or removes anything because of it.
    """
    root = os.path.join(fast_path, "run")
    files = RecordingFiles()
    script(files, root, files.mark)
    target = os.path.join(fast_path, "state")
    explored = 0
    for cut in range(1, len(files.ops), every):
        killed = everything(files.ops[:cut], root)
        if killed.directories < {"wal", "quarantine"}:
            continue
        killed.write(root)
        recovery = RecordingFiles()

        def mark(seq, recovery=recovery):
            recovery.mark(seq)

        check(recovery, root, set(killed.notes), mark, seen=mark)
        ops = files.ops[:cut] + recovery.ops
        for k, state in enumerate(states(ops, root, seed=cut, limit=0, first=cut)):
            if k % (every + 1) == 0:
                state.write(target)
                check(Files(), target, set(state.notes))
                explored += 1
    print(f"states={explored}")
    assert explored > 300


@pytest.mark.parametrize("forgotten", ["sync", "sync_dir", "trim too early"])
def test_these_tests_find_a_forgotten_step(fast_path, monkeypatch, forgotten):
    """The same search over a run that breaks the protocol must find a lost row."""
    if forgotten == "trim too early":
        commit = Manifest.commit

        def late(manifest, edit):
            if edit.wal_floor is not None:
                for number in range(1, edit.wal_floor):
                    files.remove(os.path.join(root, names.wal(number)))
                files.sync_dir(os.path.join(root, names.WAL_DIR))
            return commit(manifest, edit)

        monkeypatch.setattr(Manifest, "commit", late)
    root = os.path.join(fast_path, "run")
    files = RecordingFiles()
    script(files, root, files.mark)
    monkeypatch.undo()
    ops = [op for op in files.ops if op.kind != forgotten]
    target = os.path.join(fast_path, "state")

    def search():
        for state in states(ops, root, seed=1, limit=4):
            state.write(target)
            check(Files(), target, set(state.notes))

    with pytest.raises((AssertionError, ZujiError)):
        search()


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_recovers(fast_path, half):
    counter = KillFiles(-1)
    script(counter, os.path.join(fast_path, "count"), lambda _seq: None)
    assert counter.sites > 180
    for site in range(counter.sites):
        root = os.path.join(fast_path, f"{site}")
        acked = run_killed(
            lambda ack, site=site, root=root: script(KillFiles(site, half=half), root, ack)
        )
        if os.path.isdir(root):
            check(Files(), root, set(acked))
