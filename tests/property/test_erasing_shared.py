"""Erasing one of several people on several devices: what is left is what a project has that was
never sent anything of him.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import zuji
from zuji.engine.errors import NotFound

START = 1_790_000_000_000
CONFIG = zuji.Config(background=False, threads=1, compact_after=3)
PEOPLE = ["ann", "bob", "cat"]
DEVICES = ["phone", "tablet", "desk"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, *PEOPLE]), st.sampled_from([None, *DEVICES]), st.integers(0, 9)
    ).filter(any),
    min_size=1,
    max_size=24,
)
STEPS = st.lists(st.sampled_from(["", "", "flush", "compact"]), min_size=4, max_size=4)


def event(n: int, user: str | None, device: str | None, time: int) -> dict[str, Any]:
    found: dict[str, Any] = {"event": "go", "time": START + time, "properties": {"n": n}}
    return found | {k: v for k, v in (("user_id", user), ("device_id", device)) if v is not None}


def filled(folder: str, events: list[dict[str, Any]], steps: list[str], shared: str) -> zuji.Engine:
    engine = zuji.open(folder, config=CONFIG)
    engine.identity.set_shared_device(shared)
    size = -(-len(events) // len(steps))
    for at, step in enumerate(steps):
        engine.append(events[at * size : (at + 1) * size])
        if step:
            getattr(engine, step)()
    return engine


def owned(engine: zuji.Engine) -> dict[str, list[int]]:
    """Events by owner."""
    found: dict[str, list[int]] = {}
    view = engine._pin()
    for shard, sources in enumerate(view.sources):
        for source in sources:
            for run in source.runs.values():
                users, offsets = run.users()
                numbers = run.column("n")
                assert numbers is not None
                for name, (a, b) in zip(
                    view.names(shard, users), pairwise(offsets.tolist()), strict=True
                ):
                    key = f"{name[0]}" if name[0] is not None else f"device {name[1]}"
                    found.setdefault(key, []).extend(numbers.values[a:b].tolist())
    return {key: sorted(mine) for key, mine in found.items()}


def mine(engine: zuji.Engine, person: str) -> set[int]:
    try:
        things = engine.people.export({"user_id": person})
    except NotFound:
        return set()
    return {thing["properties"]["n"] for thing in things if thing["kind"] == "event"}


@given(
    rows=ROWS,
    steps=STEPS,
    gone=st.sampled_from(PEOPLE),
    late=ROWS,
    reopen=st.booleans(),
    shared=st.sampled_from(["device", "first_owner", "last_login"]),
)
@settings(max_examples=100, deadline=None)
def test_what_is_left_is_as_if_nothing_of_him_had_been_sent(
    rows: list[Any], steps: list[str], gone: str, late: list[Any], reopen: bool, shared: str
) -> None:
    events = [event(n, *row) for n, row in enumerate(rows)]
    after = [event(1_000 + n, *row) for n, row in enumerate(late) if row[0] != gone]
    with tempfile.TemporaryDirectory(prefix="zuji-shared-") as folder:
        engine = filled(f"{folder}/a", events, steps, shared)
        his = mine(engine, gone)
        before = owned(engine)
        assert set(before.get(gone, [])) == his
        engine.people.erase({"user_id": gone})
        assert owned(engine) == {key: n for key, n in before.items() if key != gone}
        if reopen:
            engine.close()
            engine = zuji.open(f"{folder}/a", config=CONFIG)
            assert owned(engine) == {key: n for key, n in before.items() if key != gone}
        engine.people.purge()
        left = [one for one in events if one["properties"]["n"] not in his]
        with filled(f"{folder}/b", left, ["", ""], shared) as other:
            for more in ([], after):
                for each in (engine, other):
                    each.append(more)
                assert owned(engine) == owned(other)
            if reopen:
                engine.close()
                engine = zuji.open(f"{folder}/a", config=CONFIG)
            engine.compact()
            assert owned(engine) == owned(other)
            assert list(engine.scrub()) == []
        engine.close()
