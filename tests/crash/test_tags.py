"""Tags while the process is killed at each call to the file system: every step that was
acknowledged holds after reopening, and what was not is there as a whole or not at all.
"""

from __future__ import annotations

import os
from datetime import datetime

import pytest

from tests.crash.fault_files import KillFiles
from tests.crash.process import apart
from tests.crash.sites import cut_off, kill_at
from zuji.engine.config import Config
from zuji.engine.engine import open_project

pytestmark = pytest.mark.usefixtures("same_project")

NOW = int(datetime.fromisoformat("2026-10-20T08:00:00+08:00").timestamp() * 1000)
QUIET = Config(background=False)
EVENTS = [
    {
        "user_id": user,
        "event": "pay",
        "time": f"2026-10-{day:02d}T12:00:00+08:00",
        "properties": {"amount": amount},
    }
    for user, day, amount in [("ann", 1, 10.0), ("bob", 2, 50.0), ("ann", 5, 60.0)]
]
SPEND = {
    "name": "spend",
    "rule": {"kind": "aggregate", "events": {"e": "pay"}, "measure": {"sum": "event.amount"}},
}
LEVEL = {
    "name": "level",
    "else": "low",
    "rule": {
        "kind": "layers",
        "layers": [{"v": "high", "if": {"tag": "spend", "op": "gte", "v": 50}}],
    },
}
NOTE = {"name": "note", "rule": {"kind": "manual", "type": "string"}}
STEPS = [
    lambda tags: tags.define(SPEND),
    lambda tags: tags.define(LEVEL),
    lambda tags: tags.refresh(["spend", "level"], day="2026-10-03"),
    lambda tags: tags.define(NOTE),
    lambda tags: tags.give("note", [("ann", "one")], "lin"),
    lambda tags: tags.give("note", [("bob", "many")] * 300, "lin"),
    lambda tags: tags.refresh(["level"], day="2026-10-05"),
    lambda tags: tags.refresh(["spend", "level"], day="2026-10-03"),
    lambda tags: tags.delete("spend", cascade=True),
    lambda tags: tags.give("note", [("ann", None)], "lin"),
]


def opened(root, files=None):
    return open_project(root, config=QUIET, files=files, clock=lambda: NOW)


def told(tags):
    """All that can be asked for."""
    found = {}
    for name in sorted(tags.kept().tags):
        rows = [tags.history(name, user) for user in ("ann", "bob")]
        found[name] = (tags.show(name)["type"], rows)
    return found


def run(root, files, ack):
    engine = opened(root, files)
    engine.append(EVENTS)
    files.armed = True
    for number, step in enumerate(STEPS):
        step(engine.tags)
        ack(number)
    files.armed = False
    engine.close()


def states(root):
    """What is there before the first step, and after each; of a refresh also after each day."""
    engine = opened(root)
    engine.append(EVENTS)
    found = [[told(engine.tags)]]
    for number, step in enumerate(STEPS):
        if number in (2, 6, 7):  # each tag by itself: level's values follow spend's
            between = []
            tags = engine.tags
            real = tags._put

            def put(*args, real=real, tags=tags, between=between):
                made = real(*args)
                between.append(told(tags))
                return made

            tags._put = put
            step(tags)
            del tags._put
            found[-1] += between[:-1]
        else:
            step(engine.tags)
        found.append([told(engine.tags)])
    assert list(engine.tags.scrub()) == []
    engine.close()
    return found


def sites_of(root):
    files = KillFiles(-1, armed=False)
    run(root, files, lambda _: None)
    return files.sites


def check(root, acked, expected):
    """The state after the last acknowledged step, or one on the way to the next."""
    engine = opened(root)
    last = max(acked, default=-1) + 1
    allowed = expected[last] + (expected[last + 1] if last + 1 < len(expected) else [])
    assert told(engine.tags) in allowed
    assert list(engine.tags.scrub()) == []
    folder = os.path.join(root, "default", "people", "tags")
    there = len(os.listdir(folder)) if os.path.isdir(folder) else 0
    assert there == len(engine.tags._store.now.named())
    engine.tags.define({**NOTE, "name": "after"})
    engine.tags.give("after", [("ann", "going on")], "lin")
    assert engine.tags.of_user("ann")["after"] == "going on"
    engine.close()


def killed_at(path, half, every):
    """Kills at every ``every``-th call, the first left out when writes are cut in half."""
    expected = apart(lambda: states(os.path.join(path, "expected")))
    count = apart(lambda: sites_of(os.path.join(path, "count")))
    assert count > 40

    def checked(root, acked):
        assert len(acked) < len(STEPS)
        check(root, acked, expected)

    first = int(half) if every > 1 else 0
    places = range(first, count, every)
    kill_at(path, places, script, checked, half=half, armed=False, killed=True)
    return count


def script(files, root, ack):
    run(root, files, ack)


@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_each_call_leaves_whole_steps(fast_path, half):
    killed_at(fast_path, half, 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_every_call_leaves_whole_steps(fast_path, half):
    print(f"sites={killed_at(fast_path, half, 1)} half={half}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_state_after_a_power_cut_has_whole_steps(fast_path):
    expected = apart(lambda: states(os.path.join(fast_path, "expected")))

    def checked(root, acked):
        check(root, acked, expected)

    print(f"states={cut_off(fast_path, script, checked, every=1, limit=3, since=0)}")
