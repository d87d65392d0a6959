"""Random projects and random queries from one seed. Small on purpose, and full of edges.

Projects: a clock change or a month's end in the middle, instants drawn from few values (ties, exact
window lengths, local midnights), late batches, repeated batches and insert ids, events of one user
in several partitions, users with one event and users with a profile only, unicode names, values of
the wrong kind, nulls, lists. Queries: every parameter of the three models, filters, audiences.
A case is ``(project seed, query number)``; the same numbers give the same case on every machine.
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
    instants = _instants(rng, middle, reach, tz)
    case.first, case.last = min(instants), max(instants)
    users = _users(rng)
    sent: list[tuple[str | None, list[dict[str, Any]]]] = []
    for number in range(rng.choice([0, 1, 2, 4, 6, 8])):
        events = [_event(rng, instants, users) for _ in range(rng.choice([1, 10, 20, 40]))]
        if rng.random() < 0.7:
            events.sort(key=lambda e: _sort_time(e["time"]))
        sent.append((f"b{number}" if rng.random() < 0.5 else None, events))
        if rng.random() < 0.2:
            sent.append(rng.choice(sent))
    case.batches = sent
    return case


def _sort_time(time: Any) -> int:
    if isinstance(time, int):
        return time
    moment = datetime.fromisoformat(time.replace("Z", "+00:00")) if isinstance(time, str) else time
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _instants(rng: random.Random, middle: int, reach: int, tz: str) -> list[int]:
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
    devices = ["d1", "d2", "u1"]
    found: list[dict[str, str]] = []
    for name in names[: rng.choice([1, 2, 4, 8])]:
        found.append({"user_id": name})
        if rng.random() < 0.2:
            found.append({"user_id": name, "device_id": rng.choice(devices)})
    lonely = devices[: rng.choice([0, 0, 1, 3])]
    return found + [{"device_id": device} for device in lonely]


def _event(rng: random.Random, instants: list[int], users: list[dict[str, str]]) -> dict[str, Any]:
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
        event["properties"] = _profile(rng)
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


# ------------------------------------------------------------------------------------- queries


def query(case: Case, number: int) -> dict[str, Any]:
    """Query ``number`` of a project."""
    rng = random.Random(f"query {case.seed} {number}")
    model = rng.choice(["event", "funnel", "funnel", "retention"])
    document: dict[str, Any] = {"v": 1, "model": model, "time": _time(rng, case, model)}
    if rng.random() < 0.15:
        document["where"] = _filter(rng, 0)
    if rng.random() < 0.15:
        document["audience"] = _audience(rng, 0)
    if rng.random() < 0.35:
        document["by"] = _by(rng, model)
        if rng.random() < 0.6:
            document["top"] = {"n": rng.choice([1, 2, 3, 20]), "other": rng.random() < 0.7}
    if rng.random() < 0.1:
        document["compare"] = {"shift": rng.choice(["-1d", "-7d", "-1M", "-2w", "-1q", "-1y"])}
    if model == "event":
        document["body"] = _event_body(rng, document["time"]["grain"])
    else:
        document["body"] = _funnel_body(rng) if model == "funnel" else _retention_body(rng)
    if model == "funnel" and "by" in document:
        for item in document["by"]:
            attr = rng.choice(["first", "last", "step", None])
            if attr == "step":
                item["attr"] = {"step": rng.randint(1, len(document["body"]["steps"]))}
            elif attr:
                item["attr"] = attr
    return document


def _time(rng: random.Random, case: Case, model: str) -> dict[str, Any]:
    zone = case.tz if rng.random() < 0.75 else rng.choice(ZONES)[0]
    span = (case.last - case.first) // DAY + 1
    if rng.random() < 0.7:
        low, high = case.first - rng.choice([0, DAY]), case.last + rng.choice([0, -DAY, DAY])
        high = max(low, high)
    else:
        low = case.first + rng.randint(-2, span) * DAY
        high = low + rng.choice([0, 1, 3, 10, span]) * DAY
    found: dict[str, Any] = {"tz": zone}
    if rng.random() < 0.85:
        found["from"] = local_date(low, zone).isoformat()
        found["to"] = local_date(high, zone).isoformat()
    else:
        shift = rng.choice([0, 1, 5 * HOUR + 1])
        ends = [low + shift, high + shift + rng.choice([1, HOUR, DAY])]
        texts = [
            (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") for ms in ends
        ]
        found["from"], found["to"] = texts
    if model == "retention":
        found["grain"] = rng.choice(["day", "day", "week", "month"])
    else:
        grains = ["day", "day", "week", "month", "quarter", "year", "all"]
        grains += ["hour"] if high - low <= 4 * DAY else []
        found["grain"] = rng.choice(grains)
    if rng.random() < 0.3:
        found["week_start"] = rng.randint(1, 7)
    if rng.random() < 0.1:
        del found["tz"]
        if "T" in found["from"]:
            return found
        found["from"] = local_date(low, case.tz).isoformat()
        found["to"] = local_date(high, case.tz).isoformat()
    return found


def _leaf(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["text", "text", "number", "list", "bool", "date", "set", "user", "column"])
    if kind == "text":
        p = rng.choice(["event.city", "event.product", "user.home"])
        return {"p": p, **_text_op(rng)}
    if kind == "number":
        p = rng.choice(["event.amount", "event.n"])
        return {"p": p, **_number_op(rng)}
    if kind == "list":
        op = rng.choice(["has", "has_any", "has_all", "is_empty"])
        leaf: dict[str, Any] = {"p": rng.choice(["event.tags", "user.likes"]), "op": op}
        if op == "has":
            leaf["v"] = rng.choice(TAGS)
        elif op != "is_empty":
            leaf["v"] = rng.sample(TAGS, rng.randint(1, 3))
        return leaf
    if kind == "bool":
        return {"p": "event.vip", "op": rng.choice(["eq", "ne"]), "v": rng.random() < 0.5}
    if kind == "date":
        moment = f"2025-02-{rng.randint(1, 28):02d}T00:00:00Z"
        return {"p": "event.due", "op": rng.choice(["gt", "gte", "lt", "lte", "eq"]), "v": moment}
    if kind == "set":
        name = rng.choice(
            ["event.city", "event.n", "event.tags", "event.rare0", "user.plan", "event.no"]
        )
        return {"p": name, "op": rng.choice(["is_set", "is_not_set"])}
    if kind == "user":
        if rng.random() < 0.5:
            return {"p": "user.plan", "op": rng.choice(["eq", "ne"]), "v": rng.choice(PLANS)}
        return {"p": "user.age", **_number_op(rng)}
    return {"p": "event.$name", "op": rng.choice(["eq", "ne"]), "v": rng.choice(EVENTS)}


def _text_op(rng: random.Random) -> dict[str, Any]:
    op = rng.choice(
        [
            "eq",
            "ne",
            "in",
            "not_in",
            "contains",
            "not_contains",
            "starts_with",
            "ends_with",
            "matches",
            "gt",
            "lte",
            "is_empty",
        ]
    )
    if op == "is_empty":
        return {"op": op}
    texts = [*CITIES, *PRODUCTS]
    if op in ("in", "not_in"):
        return {"op": op, "v": rng.sample(texts, rng.randint(0, 4))}
    if op == "matches":
        return {"op": op, "v": rng.choice(["^p[12]$", "erlin", "州", "^$", "[A-Z]"])}
    if op in ("contains", "not_contains", "starts_with", "ends_with"):
        return {"op": op, "v": rng.choice(["p", "erlin", "杭", "", "z"])}
    return {"op": op, "v": rng.choice(texts)}


def _number_op(rng: random.Random) -> dict[str, Any]:
    op = rng.choice(["eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "not_in"])
    numbers = [0, 1, 9.9, 18, 2, 10.0, -0.5, 2**53, 2**53 + 1]
    if op == "between":
        return {"op": op, "v": sorted(rng.sample(numbers, 2))}
    if op in ("in", "not_in"):
        return {"op": op, "v": rng.sample(numbers, rng.randint(0, 3))}
    return {"op": op, "v": rng.choice(numbers)}


def _filter(rng: random.Random, depth: int) -> dict[str, Any]:
    form = rng.random()
    if depth > 2 or form < 0.6:
        return _leaf(rng)
    if form < 0.7:
        return {"not": _filter(rng, depth + 1)}
    key = "all" if form < 0.85 else "any"
    return {key: [_filter(rng, depth + 1) for _ in range(rng.randint(1, 3))]}


def _audience(rng: random.Random, depth: int) -> dict[str, Any]:
    form = rng.random()
    if depth < 2 and form < 0.15:
        return {"not": _audience(rng, depth + 1)}
    if depth < 2 and form < 0.35:
        return {
            rng.choice(["all", "any"]): [
                _audience(rng, depth + 1) for _ in range(rng.randint(1, 2))
            ]
        }
    if form < 0.6:
        leaf = _leaf(rng)
        while not leaf["p"].startswith("user."):
            leaf = _leaf(rng)
        return {"user": leaf}
    did = _ref(rng)
    if rng.random() < 0.5:
        did["count"] = {
            "op": rng.choice(["gte", "gt", "eq", "ne", "lt", "lte"]),
            "v": rng.randint(0, 3),
        }
    if rng.random() < 0.1:
        did["count"] = {"op": "between", "v": [0, rng.randint(0, 2)]}
    if rng.random() < 0.1:
        days = sorted(f"20{rng.choice([18, 24, 25])}-{rng.randint(1, 12):02d}-01" for _ in range(2))
        did["within"] = {"from": days[0], "to": days[1]}
    elif rng.random() < 0.4:
        did["within"] = {"n": rng.choice([1, 3, 30]), "unit": rng.choice(["hour", "day", "week"])}
    return {rng.choice(["did", "did_not"]): did}


def _ref(rng: random.Random) -> dict[str, Any]:
    form = rng.random()
    if form < 0.75:
        e: Any = rng.choice(EVENTS)
    elif form < 0.92:
        e = rng.sample(EVENTS, 2)
    else:
        e = rng.choice(["*", "*", "never sent"])
    ref: dict[str, Any] = {"e": e}
    if rng.random() < 0.12:
        ref["where"] = _filter(rng, 1)
    return ref


def _by(rng: random.Random, model: str) -> list[dict[str, Any]]:
    names = ["event.city", "event.product", "event.vip", "event.tags", "event.n", "user.plan"]
    names += ["user.age", "user.home", "event.no", "event.$name", "user.likes", "event.due"]
    found: list[dict[str, Any]] = []
    for p in rng.sample(names, rng.choice([1, 1, 1, 2])):
        item: dict[str, Any] = {"p": p}
        if p in ("event.n", "user.age") and rng.random() < 0.5:
            item["buckets"] = [0, 2, 18.5]
        if p.startswith("user.") and rng.random() < 0.5:
            item["as_of"] = rng.choice(["event", "now"])
        found.append(item)
    return found


def _event_body(rng: random.Random, grain: str) -> dict[str, Any]:
    series: list[dict[str, Any]] = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        item = _ref(rng)
        number = rng.choice(["event.amount", "event.n"])
        item["measure"] = rng.choice(
            [
                "count",
                "users",
                "per_user",
                "sessions",
                *(
                    {op: number}
                    for op in ("sum", "avg", "min", "max", "median", "p10", "p90", "p99")
                ),
                {"distinct": rng.choice(["event.city", "event.n", "event.product", "event.tags"])},
            ]
        )
        cumulative = item["measure"] in ("count", "users", "sessions") or "sum" in item["measure"]
        if grain != "all" and cumulative and rng.random() < 0.2:
            item["cumulative"] = True
        elif grain != "all" and rng.random() < 0.2:
            item["moving_average"] = rng.choice([2, 3, 7])
        series.append(item)
    body: dict[str, Any] = {"series": series}
    if rng.random() < 0.2:
        exprs = ["A * 2 + 1", "A / (A - 1)", "-A / 3"] + (
            ["B / A * 100", "A - B"] * (len(series) > 1)
        )
        body["formula"] = [{"expr": rng.choice(exprs), "as": "f"}]
    if rng.random() < 0.2:
        body["session"] = {
            "gap": rng.choice([{"n": 1, "unit": "hour"}, {"n": 60, "unit": "second"}])
        }
    return body


def _funnel_body(rng: random.Random) -> dict[str, Any]:
    k = rng.choice([2, 2, 3, 3, 4])
    steps = [_ref(rng) for _ in range(k)]
    if rng.random() < 0.15:
        steps[1] = dict(steps[0])
    body: dict[str, Any] = {"steps": steps, "window": _window(rng)}
    body["order"] = rng.choice(["ordered", "ordered", "ordered", "strict", "any_order"])
    body["ties"] = rng.choice(["sequence", "any", "strict"])
    body["entry"] = rng.choice(["any", "any", "first"])
    body["count"] = rng.choice(["users", "users", "entries", "sessions"])
    if k > 2 and body["order"] != "any_order" and rng.random() < 0.25:
        for step in steps[1:]:
            step["optional"] = rng.random() < 0.5
        if all(s.get("optional") for s in steps[1:]):
            rng.choice(steps[1:])["optional"] = False
    required = [i + 1 for i, s in enumerate(steps) if not s.get("optional")]
    if rng.random() < 0.25:
        if rng.random() < 0.6:
            names = rng.sample(["event.product", "event.n", "event.vip"], rng.choice([1, 1, 2]))
            body["hold"] = list(names)
        else:
            names = ["event.product", "event.city"]
            body["hold"] = [[{"step": s, "p": rng.choice(names)} for s in range(1, k + 1)]]
    if body["order"] != "any_order" and rng.random() < 0.3:
        item = _ref(rng)
        item["between"] = sorted(rng.sample(required, 2))
        item["on"] = rng.choice(["drop", "remove"])
        body["exclude"] = [item]
        if rng.random() < 0.3:
            ends = sorted(rng.sample(required, 2))
            body["exclude"].append(
                {**_ref(rng), "between": ends, "on": rng.choice(["drop", "remove"])}
            )
    if rng.random() < 0.4:
        body["measure"] = [
            "count",
            "rate",
            "step_rate",
            "dropped",
            "ttc_mean",
            "ttc_p50",
            "ttc_p90",
        ]
        if rng.random() < 0.5:
            step = rng.randint(1, k)
            body["measure"].append({"sum": rng.choice(["event.amount", "event.n"]), "step": step})
    body["trend"] = rng.random() < 0.3
    if rng.random() < 0.3:
        body["session"] = {
            "gap": rng.choice([{"n": 1, "unit": "hour"}, {"n": 60, "unit": "second"}])
        }
    return body


def _window(rng: random.Random) -> dict[str, Any]:
    unit = rng.choice(
        ["second", "minute", "hour", "day", "day", "day", "week", "same_day", "session"]
    )
    if unit in ("same_day", "session"):
        return {"n": 1, "unit": unit}
    if unit in ("second", "minute"):
        return {"n": rng.choice([30, 60, 1800]), "unit": unit}
    return {"n": rng.choice([1, 2, 7, 30]), "unit": unit}


def _retention_body(rng: random.Random) -> dict[str, Any]:
    start = _ref(rng)
    back = _ref(rng) if rng.random() < 0.7 else dict(start)
    n = rng.choice([1, 2, 3, 7])
    body: dict[str, Any] = {"start": start, "return": back, "periods": n}
    body["cohort"] = rng.choice(["first_in_range", "first_ever", "recurring", "recurring"])
    body["mode"] = rng.choice(["calendar", "calendar", "rolling"])
    ends = sorted(rng.sample(range(n + 1), 2))
    body["criterion"] = rng.choice(
        [
            "on",
            "on",
            "on_or_after",
            "on_or_before",
            "consecutive",
            {"bracket": [[0, ends[0]], ends]},
        ]
    )
    body["churn"] = rng.random() < 0.2
    if rng.random() < 0.25:
        ref, number = _ref(rng), rng.choice(["event.amount", "event.n"])
        body["measure"] = rng.choice(
            [{"count": ref}, {"sum": number, **ref}, {"avg": number, **ref}]
        )
    return body
