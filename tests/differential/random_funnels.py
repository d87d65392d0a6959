"""Seeded random funnels, denser than Hypothesis draws them: many rows of few users on few instants.

``case(seed)`` gives (lanes, step_masks, arguments, allowed) for ``funnel_chains`` and its twin.
"""

from __future__ import annotations

import random

import numpy as np

from tests.differential import twins_streams
from zuji.engine.query.kernels.lane import Lane


def random_lanes(rng, *, lanes, rows, users, span):
    """Lanes of two sources, with ties ranked over a source's lanes and now and then a mask."""
    source = [rng.randrange(2) for _ in range(lanes)]
    bases = [0, rng.choice([0, 3])]
    ranks = rng.sample([4, 9], 2)
    seen, kept = {}, [[] for _ in range(lanes)]
    for _ in range(rows):
        lane, user, time = rng.randrange(lanes), rng.randrange(users), rng.randrange(span)
        tie = seen.get((source[lane], user, time), 0)
        seen[source[lane], user, time] = tie + 1
        kept[lane].append((user, time, tie))
    built = []
    for lane in range(lanes):
        ordered = sorted(kept[lane])
        owners = sorted({user for user, _time, _tie in ordered})
        counts = [sum(user == owner for user, _time, _tie in ordered) for owner in owners]
        mask = None
        if rng.random() < 0.2:
            mask = np.array([rng.random() < 0.8 for _ in ordered], np.uint8)
        built.append(
            Lane(
                np.array(owners, np.uint32),
                np.cumsum([0, *counts]).astype(np.uint32),
                np.array([time for _user, time, _tie in ordered], np.uint32),
                bases[source[lane]],
                ranks[source[lane]],
                np.array([tie for _user, _time, tie in ordered], np.uint16),
                mask,
            )
        )
    return built


def random_masks(rng, lanes, bits):
    """A fixed mask or one per row, per lane; mostly one bit."""

    def one():
        return 1 << rng.randrange(bits) if rng.random() < 0.7 else rng.randrange(1 << bits)

    return [
        one() if rng.random() < 0.4 else np.array([one() for _ in range(lane.rows)], np.uint32)
        for lane in lanes
    ]


def random_hold(rng, lanes, k):
    """Codes per step and lane: few values, some missing, some steps free."""
    if rng.random() < 0.7:
        return None
    return [
        None
        if rng.random() < 0.3
        else [
            None
            if rng.random() < 0.1
            else np.array([rng.choice([-1, 0, 0, 1, 1]) for _ in range(lane.rows)], np.int64)
            for lane in lanes
        ]
        for _step in range(k)
    ]


def case(seed):
    """Everything of one funnel."""
    rng = random.Random(seed)
    span = rng.choice([3, 6, 10])
    lanes = random_lanes(
        rng, lanes=rng.randint(1, 3), rows=rng.randint(1, 11), users=rng.randint(1, 2), span=span
    )
    k = rng.randint(1, 4)
    order = rng.choice(["ordered", "ordered", "strict", "any_order"])
    spans = (
        [(i, j) for i in range(1, k) for j in range(i + 1, k + 1)]
        if order != "any_order"
        else [(1, k)] * (k > 1)
    )
    exclusions = []
    if spans and rng.random() < 0.6:
        exclusions = [
            (*rng.choice(spans), rng.choice(["drop", "remove"])) for _ in range(rng.randint(1, 2))
        ]
    excl_masks = None
    if exclusions:
        bits = len(exclusions)
        excl_masks = [
            np.array(
                [rng.randrange(1 << bits) if rng.random() < 0.35 else 0 for _ in range(lane.rows)],
                np.uint32,
            )
            for lane in lanes
        ]
    kind = rng.choice(["ms", "ms", "ms", "same_day", "session"])
    count = rng.choice(["users", "users", "entries", "sessions"])
    sessions = [np.array(s, np.int64) for s in twins_streams.sessions(lanes, 1)]
    optional = 0
    if order != "any_order" and rng.random() < 0.25:
        optional = rng.randrange(1 << k) & ~1
    start = rng.choice([-1, 0, 0, 1, 2])
    knobs = {
        "excl_masks": excl_masks,
        "exclusions": exclusions,
        "hold": random_hold(rng, lanes, k),
        "optional": optional,
        "k": k,
        "order": order,
        "entry": rng.choice(["any", "any", "any", "first"]),
        "count": count,
        "ties": rng.choice(["sequence", "any", "strict"]),
        "window": (kind, rng.randint(0, span)),
        "day_edges": np.array([0, 2, 5, 9], np.int64) if kind == "same_day" else None,
        "sessions": sessions if kind == "session" or count == "sessions" else None,
        "from_ms": start,
        "to_ms": rng.choice([span, span + 5, start + 2]),
        "trend_edges": np.array(sorted(rng.sample(range(-1, 12), 3)), np.int64)
        if rng.random() < 0.3
        else None,
    }
    allowed = np.array([1, rng.randrange(2)], np.uint8) if rng.random() < 0.1 else None
    return lanes, random_masks(rng, lanes, k), knobs, allowed
