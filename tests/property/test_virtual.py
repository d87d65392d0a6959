"""Virtual events and properties answer as what they stand for, in random queries of every model."""

from __future__ import annotations

import copy
import random

import pytest

from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.parts import filter_of_rows
from tests.oracle.queries import query_of
from tests.property.pairs import Pair
from zuji.engine.errors import InvalidInput, InvalidQuery

SAME = {
    "event.city": ("event.town", 'concat(event.city, "")'),
    "event.product": ("event.goods", "coalesce(event.product, event.product)"),
    "event.n": ("event.number", "if(is_set(event.n), event.n + 0, event.n)"),
    "event.vip": ("event.dear", "event.vip == True"),
    "event.amount": ("event.sum", "event.amount * 1"),
    "user.plan": ("user.contract", "concat(user.plan)"),
    "user.age": ("user.years", "user.age - 0"),
}
KINDS = {"string": "string", "int": "int64", "float": "float64", "bool": "bool"}


def renamed(value, names):
    """The query with properties called by other names."""
    if isinstance(value, dict):
        return {k: renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value


def answered(engine, query):
    try:
        result = engine.query(query)
    except InvalidQuery as error:
        return str(error.args[0])
    return result.names, result.rows, result.totals


def project(tmp_path, number):
    case = generate.project(number)
    pair = Pair(case, tmp_path / "p")
    for state in pair.states():
        if state == "compacted":
            break
    return case, pair


@pytest.mark.parametrize("number", range(6))
def test_a_property_that_says_the_same(tmp_path, number):
    case, pair = project(tmp_path, 9_000_000 + number)
    try:
        names = {}
        for p, (virtual, text) in SAME.items():
            scope, _, name = p.partition(".")
            kinds = pair.oracle.user_kinds if scope == "user" else pair.oracle.event_kinds
            kind = KINDS.get(kinds.get(name))
            if kind is None:
                continue
            try:
                pair.engine.define(properties={virtual: {"type": kind, "as": text}})
            except InvalidInput:
                continue  # of another kind in this project
            names[p] = virtual
        assert names
        back = {v: p for p, v in names.items()}
        for model in MODELS:
            for k in range(12):
                query = query_of(case, k, model)
                given = renamed(query, names)
                expected, found = answered(pair.engine, query), answered(pair.engine, given)
                if isinstance(expected, str):
                    assert isinstance(found, str), (given, found)
                else:
                    called = found[0]
                    for virtual, p in back.items():
                        called = [name.replace(virtual, p) for name in called]
                    # A row may name a property, too.
                    rows = [
                        [back.get(v, v) if isinstance(v, str) else v for v in r] for r in found[1]
                    ]
                    assert (called, rows) == expected[:2], given
    finally:
        pair.close()


@pytest.mark.parametrize("number", range(6))
def test_an_event_that_stands_for_filtered_ones(tmp_path, number):
    case, pair = project(tmp_path, 9_100_000 + number)
    rng = random.Random(number)
    where = filter_of_rows(rng, 1)
    try:
        pair.engine.define(
            events={
                "bought": {"of": [{"e": "pay", "where": where}]},
                "seen": {"of": ["view", "open"]},
                "touched": {"of": ["seen", "加购"]},
            }
        )
        meaning = {"seen": ["view", "open"], "touched": ["view", "open", "加购"]}
        for model in MODELS:
            for k in range(12):
                query = query_of(case, k, model)
                virtual, plain = copy.deepcopy(query), copy.deepcopy(query)
                if not swapped(virtual["body"], plain["body"], where, meaning, rng):
                    continue
                expected, found = answered(pair.engine, plain), answered(pair.engine, virtual)
                assert unlabelled(found) == unlabelled(expected), virtual
    finally:
        pair.close()


def unlabelled(answer):
    """An answer without the texts that are made of the names of events."""
    if isinstance(answer, str):
        return "refused"
    names, rows, _ = answer
    kept = [i for i, name in enumerate(names) if name not in ("label", "touch")]
    return [[row[i] for i in kept] for row in rows]


def swapped(virtual, plain, where, meaning, rng):
    """Puts a virtual event at some places of one body, and what it means into the other."""
    found = 0
    if isinstance(virtual, dict):
        if isinstance(virtual.get("e"), str | list) and rng.random() < 0.7:
            name = rng.choice(["bought", *meaning])
            virtual["e"] = name
            plain["e"] = meaning.get(name, "pay")
            if name == "bought":
                own = plain.get("where")
                plain["where"] = where if own is None else {"all": [where, own]}
            found += 1
        for key in virtual:
            if key not in ("e", "where"):
                found += swapped(virtual[key], plain[key], where, meaning, rng)
    elif isinstance(virtual, list):
        for a, b in zip(virtual, plain, strict=True):
            found += swapped(a, b, where, meaning, rng)
    return found
