"""Random parts of queries that all models share: events, filters, audiences, breakdowns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.generate import CITIES, EVENTS, PLANS, PRODUCTS, TAGS

if TYPE_CHECKING:
    import random


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


def filter_of_rows(rng: random.Random, depth: int) -> dict[str, Any]:
    form = rng.random()
    if depth > 2 or form < 0.6:
        return _leaf(rng)
    if form < 0.7:
        return {"not": filter_of_rows(rng, depth + 1)}
    key = "all" if form < 0.85 else "any"
    return {key: [filter_of_rows(rng, depth + 1) for _ in range(rng.randint(1, 3))]}


def audience(rng: random.Random, depth: int) -> dict[str, Any]:
    form = rng.random()
    if depth < 2 and form < 0.15:
        return {"not": audience(rng, depth + 1)}
    if depth < 2 and form < 0.35:
        return {
            rng.choice(["all", "any"]): [audience(rng, depth + 1) for _ in range(rng.randint(1, 2))]
        }
    if form < 0.6:
        leaf = _leaf(rng)
        while not leaf["p"].startswith("user."):
            leaf = _leaf(rng)
        return {"user": leaf}
    if form > 0.93:
        steps = [ref(rng) for _ in range(rng.choice([2, 2, 3]))]
        sequence: dict[str, Any] = {"steps": steps}
        if rng.random() < 0.7:
            unit = rng.choice(["second", "hour", "day", "week"])
            sequence["within"] = {"n": rng.choice([1, 2, 30]), "unit": unit}
        return {"sequence": sequence}
    did = ref(rng)
    if rng.random() < 0.25:
        did.update(aggregate(rng))
    elif rng.random() < 0.5:
        did["count"] = {
            "op": rng.choice(["gte", "gt", "eq", "ne", "lt", "lte"]),
            "v": rng.randint(0, 3),
        }
    elif rng.random() < 0.2:
        did["count"] = {"op": "between", "v": [0, rng.randint(0, 2)]}
    if rng.random() < 0.1:
        days = sorted(f"20{rng.choice([18, 24, 25])}-{rng.randint(1, 12):02d}-01" for _ in range(2))
        did["within"] = {"from": days[0], "to": days[1]}
    elif rng.random() < 0.4:
        did["within"] = {"n": rng.choice([1, 3, 30]), "unit": rng.choice(["hour", "day", "week"])}
    return {rng.choice(["did", "did_not"]): did}


def aggregate(rng: random.Random) -> dict[str, Any]:
    """What a user's events must add up to."""
    p = rng.choice(["event.amount", "event.n", "event.n", "event.vip", "event.no"])
    asked = rng.choice(["gte", "gt", "eq", "ne", "lt", "lte", "between"])
    v: Any = rng.choice([0, 1, 9.9, 2, -0.5, 30, 10.0])
    if asked == "between":
        v = sorted([v, rng.choice([0, 1, 5, 18.5, 100])])
    op = rng.choice(["sum", "avg", "min", "max"])
    return {"measure": {op: p}, "value": {"op": asked, "v": v}}


def ref(rng: random.Random) -> dict[str, Any]:
    form = rng.random()
    if form < 0.75:
        e: Any = rng.choice(EVENTS)
    elif form < 0.92:
        e = rng.sample(EVENTS, 2)
    else:
        e = rng.choice(["*", "*", "never sent"])
    ref: dict[str, Any] = {"e": e}
    if rng.random() < 0.12:
        ref["where"] = filter_of_rows(rng, 1)
    return ref


def breakdowns(rng: random.Random, model: str) -> list[dict[str, Any]]:
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
