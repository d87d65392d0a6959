"""Random histories of ids from a seed: who was seen on what, when it was said, and in which state
the files were then.

Half of them are stories: people who browse, log in, go on, log out and lend their phones, whose
rows come in time order, late, or in any order. The other half is chaos: any ids at any moment.
Small on purpose: few people, few devices, few instants, so that all of it happens at once. The same
seed gives the same history on every machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.oracle.generate import (
    DAY,
    HOUR,
    MINUTE,
    ZONES,
    Case,
    event_of,
    instants_near,
    sort_time,
    untie,
)
from tests.oracle.identity import SHARED
from tests.oracle.project import UNBIND

if TYPE_CHECKING:
    from collections.abc import Iterator

PEOPLE = ["ann", "bob", "用户三", "d1"]
MOBILES = ["138", "139"]
DEVICES = ["d1", "d2", "🙂", "ann", "d5"]

Step = tuple[Any, ...]
"""``("append", batch_id, events)``, ``("bind" | "unbind", user, device, time)``,
``("undo", user, device)``, ``("flush",)``, ``("compact",)``, ``("reopen",)``, ``("killed",)``, and
``("ask",)``: now the answers must be right.
"""


@dataclass
class History(Case):
    """Steps in their order. ``shared``: the project's setting of that name. ``tied``: records of
    devices stand at one instant with others, in an order that nobody promises: only their owners
    are to be compared.
    """

    steps: list[Step] = field(default_factory=list)
    shared: str = "device"
    tied: bool = False


def history(seed: int) -> History:
    """The history of a seed."""
    rng = random.Random(f"history {seed}")
    tz, around = rng.choice(ZONES)
    middle = sort_time(datetime.fromisoformat(around + "T00:00:00+00:00"))
    made = History(seed, tz, rng.choice([1, 2, 4]))
    made.shared = rng.choice(["device", *SHARED])
    instants = instants_near(rng, middle, rng.choice([2, 6, 20, 45]), tz)
    made.first, made.last = min(instants), max(instants)
    people = PEOPLE[: rng.choice([1, 2, 2, 3, 4])]
    devices = DEVICES[: rng.choice([1, 1, 2, 3, 5])]
    rows = (_story if rng.random() < 0.5 else _chaos)(rng, instants, people, devices)
    made.tied = rng.random() < 0.2
    if not made.tied:
        untie(rows, [], set())
    _arrival(rng, rows)
    made.steps = list(_steps(rng, rows, instants, people, devices))
    made.batches = [(step[1], step[2]) for step in made.steps if step[0] == "append"]
    return made


def _row(rng: random.Random, at: int, ids: dict[str, str]) -> dict[str, Any]:
    if "user_id" not in ids and rng.random() < 0.9:  # of one instant, rows of two ids have no order
        at += 1 + DEVICES.index(ids["device_id"])
    row = event_of(rng, [at], [ids])
    if "type" not in row and rng.random() < (0.12 if len(ids) == 2 else 0.02):
        row["event"] = UNBIND
    if "user_id" in ids and row.get("type", "profile_set") == "profile_set":
        if rng.random() < 0.15:
            row.setdefault("properties", {})["$identity_mobile"] = rng.choice(MOBILES)
    elif "user_id" not in ids and rng.random() < 0.1:
        row["device_id"] = f"$identity_mobile+{rng.choice(MOBILES)}"
    return row


def _chaos(
    rng: random.Random, instants: list[int], people: list[str], devices: list[str]
) -> list[dict[str, Any]]:
    rows = []
    for _ in range(rng.choice([2, 6, 15, 40])):
        ids = {"user_id": rng.choice(people), "device_id": rng.choice(devices)}
        if rng.random() < 0.6:
            del ids[rng.choice(["user_id", "user_id", "device_id"])]
        rows.append(_row(rng, rng.choice(instants), ids))
    return rows


def _story(
    rng: random.Random, instants: list[int], people: list[str], devices: list[str]
) -> list[dict[str, Any]]:
    """Visits: each is somebody's on one device, begins without a name and may get one."""
    rows: list[dict[str, Any]] = []
    for _ in range(rng.choice([1, 3, 6, 10])):
        device, person = rng.choice(devices), rng.choice(people)
        at = rng.choice(instants)
        nameless = {"device_id": device}
        named = {"user_id": person, "device_id": device}
        for ids, most in ((nameless, 3), (named, 2), ({"user_id": person}, 2), (nameless, 2)):
            for _ in range(rng.randint(0, most)):
                rows.append(_row(rng, at, ids))
                at += rng.choice([0, 1, MINUTE, HOUR, DAY])
        if rng.random() < 0.2:
            rows.append({**named, "event": UNBIND, "time": at})
    return rows


def _arrival(rng: random.Random, rows: list[dict[str, Any]]) -> None:
    """In time order, with some rows days late, or anyhow."""
    how = rng.random()
    if how < 0.75:
        rows.sort(key=lambda row: sort_time(row["time"]))
    if how < 0.5:
        for _ in range(len(rows) // 4):
            rows.append(rows.pop(rng.randrange(len(rows))))


def _steps(
    rng: random.Random,
    rows: list[dict[str, Any]],
    instants: list[int],
    people: list[str],
    devices: list[str],
) -> Iterator[Step]:
    people, devices = [*people, "nobody"], [*devices, "nothing"]
    at = 0
    while at < len(rows):
        size = rng.choice([1, 3, 10])
        batch = ("append", f"b{at}" if rng.random() < 0.3 else None, rows[at : at + size])
        yield batch
        at += size
        if rng.random() < 0.1:
            yield batch
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            pair = (rng.choice(people), rng.choice(devices))
            what = rng.choice(["bind", "bind", "unbind", "unbind", "undo"])
            yield ("undo", *pair) if what == "undo" else (what, *pair, rng.choice(instants))
        if rng.random() < 0.25:
            yield ("ask",)
        if rng.random() < 0.3:
            yield (rng.choice(["flush", "flush", "compact", "reopen", "killed"]),)
    for state in ((), ("flush",), ("compact",), ("reopen",), ("killed",)):
        if state:
            yield state
        yield ("ask",)
