"""A kill at any call of the file system leaves cohorts as they were before a change or after it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.crash.fault_files import KillFiles
from tests.crash.process import apart
from tests.crash.sites import cut_off, kill_at
from zuji.engine.config import Config
from zuji.engine.engine import open_project

pytestmark = pytest.mark.usefixtures("same_project")

CONFIG = Config(background=False, threads=1)
NOW = 1_790_000_000_000
RULE = {"name": "rule", "rule": {"did": {"e": "pay"}}}


def steps(engine):
    """Changes, one after the other."""
    cohorts = engine.cohorts
    yield cohorts.load("list", ["u1", "u2"])
    yield cohorts.define(RULE)
    yield cohorts.load("list", ["u3"], how="add")
    yield cohorts.refresh("rule", as_of="2026-09-01")
    shard, ordinal = engine._writer.find(b"uu1")
    yield cohorts.forget({shard: np.array([ordinal], np.uint32)})
    yield cohorts.delete("rule")


EXPECTED = [
    {},
    {"list": [2]},
    {"list": [2], "rule": [4]},
    {"list": [3], "rule": [4]},
    {"list": [3], "rule": [4, 0]},
    {"list": [2], "rule": [3, 0]},
    {"list": [2]},
]
"""Members of each version, newest first, after so many steps. Of one instant the last one stays."""


def opened(files, root):
    return open_project(root, "default", config=CONFIG, files=files, clock=lambda: NOW)


def script(files, root, ack):
    files.armed = False
    with opened(files, root) as engine:
        engine.append([{"user_id": f"u{i}", "event": "pay", "time": NOW - 1_000} for i in range(4)])
        engine.flush()
        files.armed = True
        for number, _ in enumerate(steps(engine), 1):
            ack(number)
        files.armed = False


def check(root, acked):
    """The cohorts are those of so many steps, or of one more; every file is whole and named."""
    done = len(acked)
    with opened(None, root) as engine:
        kept = engine.cohorts.kept()
        found = {name: kept.get(name).users[::-1] for name in kept.kinds}
        assert found in EXPECTED[done : done + 2], (found, done)
        assert list(engine.cohorts.scrub()) == []
        for name, users in found.items():
            assert len(list(engine.cohorts.export(name))) == users[0]
        folder = os.path.join(root, "default", "people", "cohorts")
        there = os.listdir(folder) if os.path.isdir(folder) else []
        assert len(there) == sum(map(len, found.values()))
        assert not os.path.exists(os.path.join(root, "default", "people", "cohorts.json.tmp"))
        engine.cohorts.load("more", ["u2"])


def sites(root):
    """Calls of the changes."""

    def run():
        files = KillFiles(-1, armed=False)
        script(files, root, lambda _: None)
        return files.sites

    return apart(run)


@pytest.mark.parametrize(("half", "every"), [(False, 2), (True, 5)])
def test_a_kill_at_calls_of_changes_of_cohorts(fast_path, half, every):
    """Half: a write is cut in the middle."""
    count = sites(os.path.join(fast_path, "count"))
    assert count > 50
    places = sorted({*range(0, count, every), count - 1})
    kill_at(fast_path, places, script, check, half=half, armed=False)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_of_changes_of_cohorts(fast_path, half):
    count = sites(os.path.join(fast_path, "count"))
    kill_at(fast_path, range(count), script, check, half=half, armed=False)
    print(f"sites={count} half={half}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_state_after_a_power_cut_in_changes_of_cohorts(fast_path):
    print(f"states={cut_off(fast_path, script, check, every=1, limit=3, since=1)}")
