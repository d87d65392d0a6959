"""Events of one instant that came under a customer's id stand in the order in which they came,
whatever becomes of the customer's devices and whatever is merged.
"""

from __future__ import annotations

import contextlib
import random

import pytest

import zuji
from zuji.engine.engine import create_project
from zuji.engine.errors import NotFound
from zuji.engine.storage import compaction

T0 = 1_790_000_000_000
DEVICES = ["phone", "tablet", "watch"]
CUSTOMERS = ["ann", "bob", "cem"]
LIVES = 40
STEPS = 60


def event(time, user=None, device=None, name="e"):
    ids = {"user_id": user, "device_id": device}
    return {"event": name, "time": T0 + time, **{k: v for k, v in ids.items() if v is not None}}


def came(engine, user):
    """The customer's own events, ``n…`` all of one instant, in order."""
    rows = engine.timeline({"user_id": user, "limit": 1000}).rows
    return [name for _, name, *_ in rows if name.startswith("n")]


@pytest.fixture
def engine(tmp_path):
    create_project(tmp_path / "p", "default", shards=1)
    with zuji.open(tmp_path / "p") as engine:
        yield engine


def test_a_merge_keeps_the_order_of_a_customer_some_of_whose_segments_are_moved(engine):
    engine.append([event(0, device="phone"), event(10, "ann", name="n1")])
    engine.append([event(5, "ann", "phone")])
    engine.compact()  # a segment with all that is hers by then
    engine.identity.unbind("ann", "phone", T0 + 100)
    engine.append([event(10, "ann", name="n2")])
    assert came(engine, "ann") == ["n1", "n2"]
    engine.compact()
    assert came(engine, "ann") == ["n1", "n2"]


@pytest.mark.parametrize("life", range(LIVES))
def test_no_life_of_devices_mixes_up_the_events_of_a_customer(tmp_path, monkeypatch, life):
    """With sizes of segments at which some of a place are merged and others are not."""
    rng = random.Random(f"order {life}")
    monkeypatch.setattr(compaction, "TIER_ROWS", 40)
    create_project(tmp_path / "p", "default", shards=rng.choice([1, 2]))
    engine = zuji.open(tmp_path / "p")
    sent = {who: [] for who in CUSTOMERS}
    for step in range(STEPS):
        who, device = rng.choice(CUSTOMERS), rng.choice(DEVICES)
        what = rng.random()
        if what < 0.35:
            sent[who].append(f"n{step}")
            engine.append([event(10, who, rng.choice([None, device]), f"n{step}")])
        elif what < 0.5:
            many = rng.choice([1, 1, 30])
            engine.append([event(rng.randrange(20), None, device) for _ in range(many)])
        elif what < 0.6:
            engine.identity.bind(who, device, T0 + rng.randrange(20))
        elif what < 0.7:
            engine.identity.unbind(rng.choice([who, None]), device, T0 + rng.randrange(20))
        elif what < 0.75:
            with contextlib.suppress(NotFound):
                engine.identity.undo(who, device)
        elif what < 0.9:
            engine.flush()
        else:
            engine._writer.compact(full=rng.random() < 0.3)
            if rng.random() < 0.2:
                engine.close()
                engine = zuji.open(tmp_path / "p")
        for one in CUSTOMERS if what >= 0.75 else ():
            if sent[one]:
                assert came(engine, one) == sent[one], f"{one} after step {step}"
    engine.close()
