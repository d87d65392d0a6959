"""Funnel chains by definition: every chain of a user is enumerated and the best one is picked.

A chain is rows r1 … rm of one user, each a different row, each later than the one before in the
order of the funnel, r_i matching step i (``any_order``: some step, all different), all within the
window of r1. The best chain has the most rows; then the earliest last row; then the latest start
time; then the earliest rows. Exponential; meant for a dozen matching rows a user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Spot:
    """One row of the user as the funnel sees it. ``place``: index among the user's rows."""

    place: int
    time: int
    day: Any
    session: int
    steps: frozenset[int]
    """Steps (0-based, required and optional) that the row can take."""
    matched: frozenset[int]
    """Steps that it matches; without a held property it cannot take them."""
    exclusions: frozenset[int]
    """Exclusions that the row matches."""
    held: tuple[tuple[Any, ...], ...] = ()
    """For each hold: its value at each step (None = missing, FREE = the step is not held)."""


FREE = object()


@dataclass(frozen=True)
class Exclusion:
    """Between steps ``low`` and ``high`` (0-based indices among the required steps)."""

    low: int
    high: int
    on: str


@dataclass(frozen=True)
class Rules:
    """What decides a funnel, apart from the rows."""

    required: tuple[int, ...]
    """Step numbers that are not optional, in order."""
    optional: tuple[int, ...]
    within: Callable[[Spot, Spot], bool]
    """Is the second row inside the window that the first opens?"""
    order: str
    ties: str
    entry: str
    exclusions: tuple[Exclusion, ...]


@dataclass(frozen=True)
class Chain:
    """The answer for one user (or bucket, session, attempt): the row of each required step reached.

    ``last``: the row that it ended with, in the order of the funnel.
    """

    spots: tuple[Spot, ...]
    optional: dict[int, Spot]
    last: Spot


def ordered(spots: list[Spot], rules: Rules) -> list[Spot]:
    """The rows in the order of the funnel: ``ties: any`` sorts an instant by the step matched."""
    if rules.ties != "any":
        return spots
    never = len(rules.required) + len(rules.optional)
    return sorted(spots, key=lambda s: (s.time, min(s.matched, default=never), s.place))


def relevant(spots: list[Spot], rules: Rules) -> list[Spot]:
    """The rows that the funnel looks at: all of them when it is strict, else only matching ones."""
    if rules.order == "strict":
        return spots
    return [s for s in spots if s.steps or s.exclusions]


def chains_from(start: int, spots: list[Spot], rules: Rules) -> Iterator[tuple[int, ...]]:
    """Every chain (as positions in ``spots``) that starts at one row, prefixes included."""
    if rules.order == "any_order":
        for step in rules.required:
            if step in spots[start].steps:
                yield from _any_order((start,), frozenset({step}), spots, rules)
        return
    if rules.required[0] in spots[start].steps:
        yield from _extend((start,), spots, rules)


def _extend(chain: tuple[int, ...], spots: list[Spot], rules: Rules) -> Iterator[tuple[int, ...]]:
    yield chain
    level = len(chain)
    if level == len(rules.required):
        return
    here, first = spots[chain[-1]], spots[chain[0]]
    for position in range(chain[-1] + 1, len(spots)):
        there = spots[position]
        if rules.order == "strict" and position > chain[-1] + 1:
            return
        if cleared(there, level, rules):
            # The row ends every chain that waits at this level, also one it would have advanced.
            return
        if not rules.within(first, there):
            return
        if rules.required[level] not in there.steps:
            continue
        if rules.ties == "strict" and there.time == here.time:
            continue
        yield from _extend((*chain, position), spots, rules)


def cleared(spot: Spot, level: int, rules: Rules) -> bool:
    """Does the row clear a chain that has reached ``level`` steps?"""
    return any(
        rules.exclusions[number].low < level <= rules.exclusions[number].high
        for number in spot.exclusions
    )


def _any_order(
    chain: tuple[int, ...], used: frozenset[int], spots: list[Spot], rules: Rules
) -> Iterator[tuple[int, ...]]:
    yield chain
    here, first = spots[chain[-1]], spots[chain[0]]
    for position in range(chain[-1] + 1, len(spots)):
        there = spots[position]
        if not rules.within(first, there):
            return
        if rules.ties == "strict" and there.time == here.time:
            continue
        for step in rules.required:
            if step in there.steps and step not in used:
                yield from _any_order((*chain, position), used | {step}, spots, rules)


def starts(
    spots: list[Spot], rules: Rules, may_start: Callable[[Spot], bool], first: int = 0
) -> list[int]:
    """Positions of the rows that may open a chain."""
    steps = set(rules.required) if rules.order == "any_order" else {rules.required[0]}
    found = [i for i, s in enumerate(spots) if i >= first and steps & s.steps and may_start(s)]
    return found[:1] if rules.entry == "first" else found


def rank(chain: tuple[int, ...], spots: list[Spot]) -> tuple[Any, ...]:
    """Sorts chains, the best first."""
    return (-len(chain), chain[-1], -spots[chain[0]].time, chain)


def best_from(openings: list[int], spots: list[Spot], rules: Rules) -> tuple[int, ...] | None:
    """The best of all chains that start at one of the rows."""
    found = [chain for start in openings for chain in chains_from(start, spots, rules)]
    return min(found, key=lambda chain: rank(chain, spots), default=None)


def removed(openings: list[int], spots: list[Spot], rules: Rules) -> bool:
    """Does an exclusion with ``on: remove`` throw the user out?

    It does when, at its row, some chain waits between its two steps, is inside its window, and
    started later than every chain that is past the second step.
    """
    for position, spot in enumerate(spots):
        for number in spot.exclusions:
            exclusion = rules.exclusions[number]
            if exclusion.on != "remove":
                continue
            waiting = waiting_starts(openings, position, spots, rules)
            past = max((t for level, t in waiting.items() if level > exclusion.high), default=None)
            for level in range(exclusion.low + 1, exclusion.high + 1):
                t = waiting.get(level)
                if t is None or (past is not None and spots[past].time >= spots[t].time):
                    continue
                if rules.within(spots[t], spot):
                    return True
    return False


def waiting_starts(
    openings: list[int], position: int, spots: list[Spot], rules: Rules
) -> dict[int, int]:
    """For each level: the latest start of a chain of that level that nothing cleared before
    ``position``.
    """
    latest: dict[int, int] = {}
    for start in openings:
        if start >= position:
            continue
        for chain in chains_from(start, spots, rules):
            level = len(chain)
            if chain[-1] >= position:
                continue
            if rules.order == "strict" and chain[-1] != position - 1:
                continue  # the row after it has ended the chain already
            between = spots[chain[-1] + 1 : position]
            if any(cleared(s, level, rules) for s in between):
                continue
            if level not in latest or spots[latest[level]].time < spots[start].time:
                latest[level] = start
    return latest


def with_optional(chain: tuple[int, ...], spots: list[Spot], rules: Rules) -> Chain:
    """Adds the optional steps: an unused row between the chain's rows of the required
    neighbours.
    """
    picked = tuple(spots[i] for i in chain)
    used = set(chain)
    found: dict[int, Spot] = {}
    last = chain[-1]
    for step in rules.optional:
        before = max(i for i, r in enumerate(rules.required) if r < step)
        if before >= len(chain):
            continue
        after = before + 1
        low = chain[before]
        high = chain[after] if after < len(chain) else len(spots)
        for position in range(low + 1, high):
            spot = spots[position]
            if position in used or step not in spot.steps:
                continue
            if not rules.within(picked[0], spot):
                break
            found[step] = spot
            used.add(position)
            last = max(last, position)
            break
    return Chain(picked, found, spots[last])
