"""Whose the rows of a device are: from what was said of it to periods of time with one owner each.

What can be said of a device and a customer is that they were *together* at a moment, or *apart*;
the rules are those of ``docs/identity.md``. A customer is a *place*, ``shard << 32 | ordinal``.
Pure functions of values: thread-safe. O(facts · log facts).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Shared = Literal["device", "first_owner", "last_login"]
SHARED: Final = ("device", "first_owner", "last_login")
"""Whose the rows of a device are on which two customers or more are in."""
ITSELF: Final = -1
"""Owner of a row that is the device's own."""


@dataclass(slots=True)
class Pair:
    """What was said of a device and one customer: moments in ms UTC, ascending, each once.

    ``together``: the earliest alone, unless the device keeps all. ``undone_ms``: what was received
    up to then was undone.
    """

    together: list[int] = field(default_factory=list)
    apart: list[int] = field(default_factory=list)
    undone_ms: int | None = None

    def add(self, time: int, *, every: bool) -> bool:
        """They were together. Whether this changes anything that is kept."""
        if not every and self.together:
            if time >= self.together[0]:
                return False
            self.together = [time]
            return True
        return _insert(self.together, time)


@dataclass(slots=True)
class Facts:
    """What was said of a device with more than one customer, or from which somebody was parted.

    ``pairs`` by place. ``apart``: moments at which everybody was parted from it. ``every``: all
    moments are kept. ``before``: places that rows may stand with that were not always theirs, and
    the number of the change after which they no longer do.
    """

    pairs: dict[int, Pair] = field(default_factory=dict)
    apart: list[int] = field(default_factory=list)
    every: bool = False
    before: dict[int, int] = field(default_factory=dict)

    def part(self, place: int | None, time: int) -> bool:
        """They were parted (None: everybody was). Whether it was new."""
        return _insert(self.apart if place is None else self.pairs[place].apart, time)


@dataclass(frozen=True, slots=True)
class Owners:
    """Who owns the rows of a device: ``owner[i]`` from ``start[i]`` on, up to the next start; the
    first start is before every row. ``conflicts``: moments at which somebody came in beside
    somebody else, and the places of all who were in then.
    """

    start: list[int]
    owner: list[int]
    conflicts: list[tuple[int, tuple[int, ...]]]

    @property
    def only(self) -> int:
        """The one customer who owns all rows, ITSELF when there is none."""
        return self.owner[0] if len(self.owner) == 1 else ITSELF


BEGINNING: Final = -(1 << 62)


def owners(facts: Facts, shared: str, name_of: Callable[[int], bytes]) -> Owners:
    """Periods of a device. ``name_of``: the id of a place; of two customers at one instant, the one
    whose id sorts first comes first.
    """
    said: dict[int, list[tuple[bool, int | None]]] = {}
    for place, pair in facts.pairs.items():
        for time in pair.together:
            said.setdefault(time, []).append((True, place))
        for time in pair.apart:
            said.setdefault(time, []).append((False, place))
    for time in facts.apart:
        said.setdefault(time, []).append((False, None))
    found = Owners([BEGINNING], [ITSELF], [])
    inside: dict[int, tuple[int, int]] = {}  # place: since when, and when together last
    first = True
    for time in sorted(said):
        for together, who in said[time]:
            if not together and who is None:
                inside.clear()
            elif not together and who is not None:
                inside.pop(who, None)
        came = [who for together, who in said[time] if together and who is not None]
        new = [place for place in came if place not in inside]
        for place in came:
            inside[place] = (inside[place][0] if place in inside else time, time)
        if first and came:
            first = False
            found.owner[0] = min(came, key=name_of)  # what was before is the first one's
        if new and len(inside) > 1:
            found.conflicts.append((time, tuple(sorted(inside, key=name_of))))
        owner = _owner(inside, shared, name_of)
        if owner != found.owner[-1]:
            found.start.append(time)
            found.owner.append(owner)
    return found


def _owner(inside: dict[int, tuple[int, int]], shared: str, name_of: Callable[[int], bytes]) -> int:
    if len(inside) == 1:
        return next(iter(inside))
    if not inside or shared == "device":
        return ITSELF
    if shared == "first_owner":
        earliest = min(since for since, _ in inside.values())
        return min((p for p, (since, _) in inside.items() if since == earliest), key=name_of)
    latest = max(last for _, last in inside.values())
    return max((p for p, (_, last) in inside.items() if last == latest), key=name_of)


def _insert(times: list[int], time: int) -> bool:
    at = bisect_right(times, time)
    if at and times[at - 1] == time:
        return False
    insort(times, time)
    return True
