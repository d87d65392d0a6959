"""Properties of items answer as if every event carried them: random queries of every model over two
projects, one with items that a property names, one whose events bring the items' properties along.
"""

from __future__ import annotations

import copy
import math
import random

import pytest

from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.queries import query_of
from tests.property.pairs import PATIENT, packed
from tests.property.test_virtual import answered, renamed
from zuji import open as open_project
from zuji.engine.engine import create_project

NAMES = {
    "event.city": "colour",
    "event.n": "price",
    "event.amount": "weight",
    "event.vip": "organic",
    "event.due": "since",
    "event.tags": "labels",
}
JOINED = {p: f"event.product.{name}" for p, name in NAMES.items()} | {"user.home": "user.plan.town"}
CARRIED = {p: f"event.product_{name}" for p, name in NAMES.items()} | {"user.home": "user.town"}
TOWNS = {"gold": "Berlin", "free": "杭州"}
TOWN = 'if(user.plan == "gold", "Berlin", if(user.plan == "free", "杭州", split("a", "b", 2)))'


def item_of(rng):
    """Properties of a product, as events have them; each may be missing."""
    every = {
        "colour": rng.choice(generate.CITIES),
        "price": rng.choice([0, 1, 2, 10, -7]),
        "weight": rng.choice([0.0, 9.9, 1000.0, -0.5]),
        "organic": rng.random() < 0.5,
        "since": generate.EPOCH + generate.timedelta(days=rng.randint(20000, 20090)),
        "labels": [rng.choice(generate.TAGS) for _ in range(rng.randint(0, 3))],
    }
    return {name: value for name, value in every.items() if rng.random() < 0.8}


def carrying(events, products):
    """The events with the properties of the products that they name."""
    found = copy.deepcopy(events)
    for event in found:
        item = products.get((event.get("properties") or {}).get("product"))
        if item is not None and "event" in event:
            event["properties"] |= {f"product_{name}": value for name, value in item.items()}
    return found


def projects(tmp_path, number):
    """A generated project twice, and its case."""
    case = generate.project(number)
    rng = random.Random(f"items {number}")
    products = {name: item_of(rng) for name in generate.PRODUCTS[: rng.choice([2, 3])]}
    engines = []
    for folder in ("joined", "carried"):
        create_project(tmp_path / folder, tz=case.tz, shards=case.shards)
        engines.append(open_project(tmp_path / folder, config=PATIENT))
    joined, carried = engines
    early = dict(list(products.items())[:1])
    joined.items.set("product", early)
    joined.items.join("event.product", "product")
    joined.items.join("user.plan", "plan")
    carried.define(properties={"user.town": {"type": "string", "as": TOWN}})
    for batch_id, events in case.batches:
        joined.append_batch(packed(events, batch_id))
        carried.append_batch(packed(carrying(events, products), batch_id))
        if rng.random() < 0.4:
            joined.flush()
            carried.flush()
    # Items that come after the events count all the same, and a later value stands.
    joined.items.set("product", products, time=2_000_000_000_000)
    joined.items.set("product", {"p1": {"colour": "早"}}, time=1_000_000_000_000)
    joined.items.set("plan", {plan: {"town": town} for plan, town in TOWNS.items()})
    if rng.random() < 0.5:
        joined.compact()
        carried.compact()
    return case, joined, carried


@pytest.mark.parametrize("number", range(8))
def test_every_model_answers_as_if_events_carried_the_properties(tmp_path, number):
    case, joined, carried = projects(tmp_path, 9_300_000 + number)
    asked = 0
    with joined, carried:
        known = {f"event.{p['name']}" for p in carried.properties() if p["scope"] == "event"}
        usable = {p for p in NAMES if CARRIED[p] in known} | {"user.home"}
        to_join = {p: JOINED[p] for p in usable}
        to_carry = {p: CARRIED[p] for p in usable}
        back = {name: p for p, name in [*to_join.items(), *to_carry.items()]}
        for model in MODELS:
            for k in range(14):
                query = query_of(case, k, model)
                of_items, plain = renamed(query, to_join), renamed(query, to_carry)
                if of_items == query:
                    continue
                asked += 1
                found, expected = answered(joined, of_items), answered(carried, plain)
                assert close(same(found, back), same(expected, back)), (of_items, found, expected)
    assert not case.batches or asked


def same(answer, back):
    """An answer under the old names; a refusal says that it is one."""
    if isinstance(answer, str):
        return "refused"

    def old(value):
        if isinstance(value, str):
            for name, p in back.items():
                value = value.replace(name, p)
        elif isinstance(value, list | tuple):
            return [old(v) for v in value]
        elif isinstance(value, dict):
            return {key: old(v) for key, v in value.items()}
        return value

    return old(answer)


def close(a, b):
    """Equal; numbers with parts nearly: sums are made in another order."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)
    return type(a) is type(b) and a == b
