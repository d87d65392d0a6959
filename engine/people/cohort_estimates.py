"""How many users a rule has, within a time: counted, or estimated from some of the users.

A rule that reads few rows is answered at once. Another one is asked of a small part of the users of
every shard, chosen by a hash of their ordinals; how long that took says how many more there is time
for, up to all of them. A rule whose filters read every row takes their time at each step, whatever
the part of the users: it ends after two. Functions over a pinned view: thread-safe.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from zuji.engine.query.crowd import rows_looked_at

if TYPE_CHECKING:
    from zuji.engine.people.cohort_making import Asked
    from zuji.engine.types import U8

_SURE: Final = 1.96
"""Standard deviations on both sides that hold 95 % of what chance does."""
AT_ONCE: Final = 8 << 20
"""Rows a thread that are read without asking how long it takes: some 80 ms."""
FIRST: Final = 2 << 20
"""Rows a thread of the first part."""
LEAST_SHARE: Final = 1 / 64
MOST_FIRST: Final = 1 / 4
"""Of the users, in the first part."""
_MORE: Final = 0.25
"""Another part is asked if it adds so much to what is known."""
_CAREFUL: Final = 0.8
"""A part that should take this share of the time left is taken."""
_HASH: Final = np.uint32(2_654_435_769)
"""Multiplying by it spreads neighbouring ordinals over all of 2^32 (Knuth's golden ratio)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A size. ``exact``: all users were looked at; else ``share`` of them, chosen by the hash of
    their number, and the size lies in ``low`` to ``high`` in 19 of 20 cases.
    """

    users: int
    of: int
    exact: bool
    share: float
    low: int
    high: int


def estimated(asked: Asked, seconds: float, threads: int) -> Estimate:
    """The size of a rule, exact if that takes no longer than about ``seconds``, else from a sample
    that takes about as long. At least a first part of the users is asked, 1 in 64.
    """
    view = asked.view
    total = sum(view.users[shard] - len(view.nobody(shard)) for shard in range(view.shards))
    rows = rows_looked_at(asked.rule, asked.bound) / max(1, min(threads, view.shards))
    if rows <= AT_ONCE and seconds > 0:
        counts = asked.context.map(lambda shard: int(asked.mask(shard).sum()), range(view.shards))
        return Estimate(sum(counts), total, True, 1.0, sum(counts), sum(counts))
    began = time.perf_counter()
    found = looked = 0
    share, next_share = 0.0, max(LEAST_SHARE, min(MOST_FIRST, FIRST / max(1.0, rows)))
    while True:
        more, users = _of_part(asked, share, next_share)
        found, looked, share = found + more, looked + users, next_share
        spent = time.perf_counter() - began
        if share >= 1:
            return Estimate(found, total, True, 1.0, found, found)
        left = (seconds - spent) * _CAREFUL
        next_share = min(1.0, share + share * left / spent)
        if next_share < share * (1 + _MORE):
            return _from_sample(found, looked, total)


def _of_part(asked: Asked, low: float, high: float) -> tuple[int, int]:
    """Members, and users, among those whose hash lies in a part of all hashes."""
    view = asked.view

    def work(shard: int) -> tuple[int, int]:
        among = part_of(view.users[shard], low, high)
        among[view.nobody(shard)] = 0
        return int(asked.mask(shard, among).sum()), int(among.sum())

    both = asked.context.map(work, range(view.shards))
    return sum(one for one, _ in both), sum(one for _, one in both)


def part_of(users: int, low: float, high: float) -> U8:
    """uint8[users]: 1 = the hash of the ordinal lies in [low, high) of all hashes; parts that meet
    share nobody, and [0, 1) is everybody.
    """
    hashes = np.arange(users, dtype=np.uint32) * _HASH
    inside = hashes >= np.uint32(low * 2**32)
    if high < 1:
        inside &= hashes < np.uint32(high * 2**32)
    return inside.view(np.uint8)


def _from_sample(found: int, looked: int, total: int) -> Estimate:
    if looked == total:
        return Estimate(found, total, True, 1.0, found, found)
    if not looked:
        return Estimate(0, total, False, 0.0, 0, total)
    share = looked / total
    p = found / looked
    spread = _SURE * math.sqrt(max(p * (1 - p), 1 / looked) / looked * (1 - share)) * total
    size = p * total
    low = max(found, math.floor(size - spread))
    return Estimate(round(size), total, False, share, low, min(total, math.ceil(size + spread)))
