"""Flipped bits in every file of a project: noticed or harmless, never another answer."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter

import pytest

from tests.crash.fault_files import OverlayFiles
from tests.crash.process import apart, run_killed
from tests.crash.scenario import Client, open_engine, stored_rows
from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.storage.files import Files

pytestmark = pytest.mark.usefixtures("same_project")
QUICK = 60  # flips a file


def everything(engine):
    """All that can be read: rows, ids, order, receive times, day index, quarantine."""
    view = engine._pin()
    parts = []
    for sources in view.sources:
        for source in sources:
            codes, names = source.interleave()
            parts.append((source.shard, source.partition, source.rank, codes.tolist(), names))
            for name, run in sorted(source.runs.items()):
                ties = run.ties()
                parts.append(
                    (name, run.received().tolist(), None if ties is None else ties.tolist())
                )
                index = run.index
                if index is not None:
                    parts.extend(
                        (day, index.users(day).to_array(), index.multi(day).to_array())
                        for day in range(len(index.rows))
                        if index.rows[day]
                    )
    rows = sorted(stored_rows(engine).items(), key=repr)
    kept = [sorted(entry.items(), key=repr) for entry in engine.rejected()]
    status = engine.status()
    return repr((rows, parts, kept, status["rows"], status["users"], engine.events()))


def build(root):
    """A project with every kind of file: two places merged, others not, ids, keys, rejects, log."""

    def work(_ack):
        client = Client(Files(), root)
        client.open()
        for step in "aaaaaataaaacaaaftaaaa":
            client.step(step)
        os.kill(os.getpid(), signal.SIGKILL)  # the last batches stay in the log

    run_killed(work)


def flip(root, name, position, bit, baseline):
    """What comes of one flipped bit: ``detected``, ``harmless`` or ``wrong``."""
    path = os.path.join(root, "default", name)
    data = bytearray(Files().read(path))
    data[position] ^= 1 << bit
    files = OverlayFiles({path: bytes(data)})
    try:
        engine = open_engine_to_read(files, root)
        try:
            answer = everything(engine)
            damage = list(engine.scrub()) or engine.status()["wal_damage"]
        finally:
            engine.close()
    except (Corruption, UnsupportedFormat):
        return "detected"
    if damage:
        return "detected"
    return "harmless" if answer == baseline else "wrong"


def open_engine_to_read(files, root):
    from zuji.engine.engine import open_project

    return open_project(root, mode="r", files=files, clock=lambda: 0)


def flip_all(root, names, positions_of, baseline):
    outcomes: Counter = Counter()
    for name in names:
        size = os.path.getsize(os.path.join(root, "default", name))
        kind = os.path.splitext(name)[1] or "manifest"
        for position, bit in positions_of(size):
            outcome = flip(root, name, position, bit, baseline)
            assert outcome != "wrong", f"{name} byte {position} bit {bit}: another answer"
            outcomes[kind, outcome] += 1
    return outcomes


def files_of(root):
    base = os.path.join(root, "default")
    found = []
    for folder, _, names in os.walk(base):
        found += [os.path.relpath(os.path.join(folder, name), base) for name in names]
    return sorted(name for name in found if name != "LOCK")


def run(root, positions_of, kinds=None):
    def work():
        build(root)
        engine = open_engine_to_read(Files(), root)
        baseline = everything(engine)
        engine.close()
        names = files_of(root)
        if kinds:
            names = [name for name in names if os.path.splitext(name)[1] in kinds]
        return flip_all(root, names, positions_of, baseline)

    outcomes = apart(work)
    print({f"{kind} {outcome}": count for (kind, outcome), count in sorted(outcomes.items())})
    return outcomes


def test_sampled_flips_in_every_file_of_a_project(fast_path):
    rng = random.Random(3)

    def positions(size):
        for _ in range(min(QUICK, size)):
            yield rng.randrange(size), rng.randrange(8)

    outcomes = run(fast_path, positions)
    assert {kind for kind, _ in outcomes} >= {".zseg", ".zids", ".zded", ".rejected", "manifest"}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_flip_in_every_byte_of_a_project(fast_path):
    run(fast_path, lambda size: ((k, k * 5 % 8) for k in range(size)))


def test_the_baseline_is_read_in_full(fast_path):
    def work():
        build(fast_path)
        engine = open_engine(Files(), fast_path)
        text = everything(engine)
        rows = engine.status()["rows"]
        engine.close()
        return text.count("city-"), rows

    cities, rows = apart(work)
    assert rows > 30
    assert cities >= rows - 5
