"""Random projects from a seed. Small on purpose, and full of edges.

Projects: a clock change or a month's end in the middle, instants drawn from few values (ties, exact
window lengths, local midnights), late batches, repeated batches and insert ids, events of one user
in several partitions, users with one event and users with a profile only, unicode names, values of
the wrong kind, nulls, lists.
The same seed gives the same project on every machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.oracle.walltime import EPOCH, local_date, start_of

# Zone and a UTC date near which its clocks change (or a month ends, where they do not).
ZONES = [
    ("America/New_York", "2025-03-09"),
    ("America/New_York", "2025-11-02"),
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("Asia/Shanghai", "2025-09-01"),
    ("Asia/Shanghai", "2024-02-29"),
    ("Australia/Lord_Howe", "2025-04-06"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Asia/Kathmandu", "2025-01-01"),
    ("UTC", "2025-12-31"),
]
EVENTS = ["open", "view", "加购", "pay", "leave page"]
CITIES = ["杭州", "Berlin", "berlin", "São Paulo", "", "a\tb", "🏦", "z" * 40]
PRODUCTS = ["p1", "p2", "p3"]
TAGS = ["新", "vip", "x", ""]
PLANS = ["free", "gold"]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@dataclass
class Case:
    """A project as it is sent: its zone, batches in order, and the dates its events lie on."""

    seed: int
    tz: str
    shards: int
    batches: list[tuple[str | None, list[dict[str, Any]]]] = field(default_factory=list)
    first: int = 0
    last: int = 0


def project(seed: int) -> Case:
    """The project of a seed."""
    rng = random.Random(f"project {seed}")
    tz, around = rng.choice(ZONES)
    middle = (datetime.fromisoformat(around).replace(tzinfo=UTC) - EPOCH) // timedelta(
        milliseconds=1
    )
    case = Case(seed, tz, rng.choice([1, 2, 4]))
    reach = rng.choice([2, 6, 20, 45])
    instants = instants_near(rng, middle, reach, tz)
    case.first, case.last = min(instants), max(instants)
    users = _users(rng)
    sent: list[tuple[str | None, list[dict[str, Any]]]] = []
    taken: set[int] = set()
    for number in range(rng.choice([0, 1, 2, 4, 6, 8])):
        events = [event_of(rng, instants, users) for _ in range(rng.choice([1, 10, 20, 40]))]
        untie(events, instants, taken)
        if rng.random() < 0.7:
            events.sort(key=lambda e: sort_time(e["time"]))
        sent.append((f"b{number}" if rng.random() < 0.5 else None, events))
        if rng.random() < 0.2:
            sent.append(rng.choice(sent))
    case.batches = sent
    return case


def untie(rows: list[dict[str, Any]], instants: list[int], taken: set[int]) -> None:
    """Nothing else happens at an instant at which a device alone is seen: nobody promises the order
    of records of several ids at one instant. ``instants``: of customers; ``taken``: of devices.
    """
    busy = set(instants) | {sort_time(row["time"]) for row in rows if "user_id" in row}
    for row in rows:
        if "user_id" in row:
            continue
        at = sort_time(row["time"])
        while at in busy or at in taken:
            at += 1
            row["time"] = at
        taken.add(at)


def sort_time(time: Any) -> int:
    if isinstance(time, int):
        return time
    moment = datetime.fromisoformat(time.replace("Z", "+00:00")) if isinstance(time, str) else time
    return (moment - EPOCH) // timedelta(milliseconds=1)


def instants_near(rng: random.Random, middle: int, reach: int, tz: str) -> list[int]:
    """The few moments at which things happen: midnights, exact distances, and some odd ones."""
    found: list[int] = []
    for _ in range(rng.choice([3, 8, 25])):
        day = local_date(middle + rng.randint(-reach, reach) * DAY, tz)
        at = start_of(day, tz)
        at += rng.choice([0, 0, -1, 1, HOUR, 2 * HOUR, 12 * HOUR, rng.randrange(DAY)])
        found.append(at)
    later = [MINUTE, 30 * MINUTE, 30 * MINUTE + 1, HOUR, DAY, 7 * DAY]
    return found + [at + rng.choice(later) for at in found]


def _users(rng: random.Random) -> list[dict[str, str]]:
    names = ["u1", "u2", "用户三", "ü4", "🙂", "u6", "u7", "u8"]
    devices, alone = ["d1", "d2", "u2"], ["l1", "l2", "u1"]
    found: list[dict[str, str]] = []
    for name in names[: rng.choice([1, 2, 4, 8])]:
        found.append({"user_id": name})
        if rng.random() < 0.2:
            found.append({"user_id": name, "device_id": rng.choice(devices)})
    # No device of theirs: at one instant, rows of two ids of one person have no order.
    lonely = alone[: rng.choice([0, 0, 1, 3])]
    return found + [{"device_id": device} for device in lonely]


def event_of(
    rng: random.Random, instants: list[int], users: list[dict[str, str]]
) -> dict[str, Any]:
    at = rng.choice(instants)
    event: dict[str, Any] = dict(rng.choice(users))
    form = rng.random()
    if form < 0.8:
        event["time"] = at
    elif form < 0.9:
        moment = EPOCH + timedelta(milliseconds=at)
        event["time"] = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
    else:
        event["time"] = EPOCH + timedelta(milliseconds=at)
    kind = rng.random()
    if kind < 0.08:
        event["type"] = "profile_set"
        event["properties"] = _profile(rng) | _dates(at)
        return event
    if kind < 0.10:
        event["type"] = "profile_unset"
        event["properties"] = {rng.choice(["plan", "age", "home"]): True}
        return event
    if kind < 0.14:
        return event | _building_profile(rng)
    event["event"] = rng.choices(EVENTS, [4, 4, 3, 3, 1])[0]
    event["properties"] = _properties(rng)
    if rng.random() < 0.15:
        event["insert_id"] = f"i{rng.randrange(12)}"
    return event


def _profile(rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rng.random() < 0.7:
        found["plan"] = rng.choice([*PLANS, None])
    if rng.random() < 0.6:
        found["age"] = rng.choice([0, 17, 18, 65, -3])
    if rng.random() < 0.5:
        found["home"] = rng.choice(CITIES)
    if rng.random() < 0.3:
        found["likes"] = rng.sample(TAGS, rng.randint(0, 3))
    return found


def _dates(at: int) -> dict[str, Any]:
    """When somebody came: an instant, and a text of several forms. Drawn from the time alone, so
    that all else stays as it was.
    """
    number = at // 1000 % 7
    moment = EPOCH + timedelta(milliseconds=at - at % DAY * (number % 2))
    texts = [
        moment.strftime("%Y-%m-%d"),
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        moment.strftime("%Y-%m-%dT%H:%M:%S.5+03:00"),
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "soon",
    ]
    return {"joined": moment, "since": texts[at // 7000 % 5]} if number else {}


def _building_profile(rng: random.Random) -> dict[str, Any]:
    """A record whose effect depends on what there was."""
    kind = rng.random()
    if kind < 0.3:
        return {"type": "profile_set_once", "properties": _profile(rng)}
    if kind < 0.6:
        steps = {name: rng.choice([1, -2, 30]) for name in rng.sample(["age", "visits"], 1)}
        return {"type": "profile_increment", "properties": steps}
    if kind < 0.9:
        likes = rng.choice([rng.choice(TAGS), rng.sample(TAGS, rng.randint(0, 2))])
        return {"type": "profile_append", "properties": {"likes": likes}}
    return {"type": "profile_delete"}


def _properties(rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rng.random() < 0.8:
        found["city"] = rng.choice(CITIES)
    if rng.random() < 0.8:
        found["product"] = rng.choice(PRODUCTS)
    if rng.random() < 0.6:
        found["amount"] = rng.choice([0.0, 9.9, 1000.0, -0.5, round(rng.uniform(0, 100), 2)])
    if rng.random() < 0.6:
        found["n"] = rng.choice([0, 1, 2, 10, -7, 2**53 + 1])
    if rng.random() < 0.4:
        found["vip"] = rng.random() < 0.5
    if rng.random() < 0.3:
        moment = datetime(2025, rng.randint(1, 3), rng.randint(1, 28), tzinfo=UTC)
        found["due"] = moment
    if rng.random() < 0.4:
        found["tags"] = [rng.choice(TAGS) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.05:
        found[rng.choice(["city", "amount", "n", "vip", "tags"])] = rng.choice(
            [None, "12", "no number", 3, 2.5, 4.0, True, ["a"]]
        )
    if rng.random() < 0.05:
        found[f"rare{rng.randrange(3)}"] = rng.choice(["a", 1])
    return found
