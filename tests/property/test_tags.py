"""Tags against a plain dict: every rule, day and user worked out by hand over random projects; and
tags as properties in random queries of every model.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from fractions import Fraction

import pytest

from tests.oracle import generate
from tests.oracle.filters import in_audience
from tests.oracle.models import MODELS
from tests.oracle.parts import audience
from tests.oracle.queries import query_of
from tests.oracle.walltime import local_date, start_of
from tests.property.pairs import Pair
from tests.property.test_virtual import answered, renamed
from zuji.engine.errors import InvalidQuery, NotFound

KINDS = {"string": "string", "int": "int64", "float": "float64", "bool": "bool"}


def project(tmp_path, number):
    """A project that has events, part of it in the memtable."""
    case = generate.project(number)
    while not case.batches:
        number += 100_003
        case = generate.project(number)
    pair = Pair(case, tmp_path / "p")
    for state in pair.states():
        if state == "grown":
            break
    return case, pair


def ids(user):
    kind, own = user
    return own, f"{kind}_id"


def days_of(case, rng):
    first, last = local_date(case.first, case.tz), local_date(case.last, case.tz)
    span = (last - first).days
    found = {first, last, *(first + timedelta(days=rng.randint(-1, span + 1)) for _ in range(3))}
    return sorted(found)


class ByHand:
    """A user's value at the end of a day, from the oracle's rows."""

    def __init__(self, oracle, tz, day):
        self.oracle, self.tz = oracle, tz
        self.day = day
        self.end = start_of(day + timedelta(days=1), tz)

    def known(self, user):
        rows = any(row.time < self.end for row in self.oracle.rows_of(user))
        return rows or any(p.time < self.end for p in self.oracle.profiles.get(user, []))

    def rows(self, user, event, days):
        begin = -(2**60) if days is None else start_of(self.day - timedelta(days=days - 1), self.tz)
        found = [r for r in self.oracle.rows_of(user) if begin <= r.time < self.end]
        return [r for r in found if event in ("*", r.event)]

    def profile(self, user, name):
        found = self.oracle.user_property(user, name, self.end - 1)
        return None if found is None else found.v


def taken(hand, user, rule):
    rows = hand.rows(user, rule["events"]["e"], rule["days"])
    name = rule["p"].partition(".")[2]
    values = [r.props[name].v for r in rows if name in r.props]
    if rule["take"] == "most_frequent" and values and isinstance(values[0], tuple):
        values = [item for value in values for item in value]
    if not values:
        return None
    if rule["take"] != "most_frequent":
        return values[0 if rule["take"] == "first" else -1]
    counts = Counter(values)
    return max(counts, key=lambda v: (counts[v], len(values) - values[::-1].index(v)))


def aggregated(hand, user, rule):
    rows = hand.rows(user, rule["events"]["e"], rule["days"])
    if rule["measure"] == "count":
        value = len(rows) or None
    else:
        ((op, p),) = rule["measure"].items()
        name = p.partition(".")[2]
        values = [r.props[name].v for r in rows if name in r.props]
        if not values:
            return None
        if op == "distinct":
            value = len(set(values))
        elif op in ("min", "max"):
            value = {"min": min, "max": max}[op](values)
        else:
            total = sum(map(Fraction, values))
            value = float(total / len(values) if op == "avg" else total)
    if value is None or rule.get("buckets") is None:
        return value
    return rule["labels"][sum(value >= edge for edge in rule["buckets"])]


def layered(hand, user, rule):
    for layer in rule["layers"]:
        if hand.known(user) and holds(hand, user, layer["if"], rule["days"]):
            return layer["v"]
    return None


def holds(hand, user, audience, days):
    ((kind, what),) = audience.items()
    if kind == "not":
        return not holds(hand, user, what, days)
    if kind in ("all", "any"):
        each = [holds(hand, user, one, days) for one in what]
        return all(each) if kind == "all" else any(each)
    if kind in ("did", "did_not"):
        enough = len(hand.rows(user, what["e"], days)) >= what["count"]["v"]
        return enough == (kind == "did")
    assert kind == "user"
    return hand.profile(user, what["p"].partition(".")[2]) == what["v"]


def random_rules(rng, oracle):
    """One rule of each kind; a rule's name says which."""
    event = rng.choice(["open", "pay", "view", "*"])
    days = rng.choice([None, 1, 2, 7])
    numbers = [n for n in ("n", "amount") if oracle.event_kinds.get(n) in ("int", "float")]
    rules = {}
    own = [n for n in ("city", "product", "n", "amount", "vip") if n in oracle.event_kinds]
    for take in ("first", "last", "most_frequent"):
        for name in own:
            if oracle.event_kinds[name] in KINDS:
                rules[f"{take}-{name}"] = {
                    "kind": "value",
                    "events": {"e": event},
                    "p": f"event.{name}",
                    "take": take,
                    "days": days,
                }
    if oracle.event_kinds.get("tags") == "list":
        rules["most-tags"] = {
            "kind": "value",
            "events": {"e": event},
            "p": "event.tags",
            "take": "most_frequent",
            "days": days,
        }
    measures = ["count", *({op: f"event.{n}"} for n in numbers for op in ("sum", "avg"))]
    measures += [{op: f"event.{n}"} for n in numbers for op in ("min", "max")]
    measures += [{"distinct": f"event.{n}"} for n in own]
    for number, measure in enumerate(measures):
        rule = {"kind": "aggregate", "events": {"e": event}, "measure": measure, "days": days}
        if rng.random() < 0.4:
            rule |= {"buckets": [1, 2.5, 7], "labels": ["low", "some", "more", "most"]}
        rules[f"agg{number}"] = rule
    did = {"did": {"e": "pay", "count": {"op": "gte", "v": rng.choice([1, 2])}}}
    never = {"did_not": {"e": "open", "count": {"op": "gte", "v": 1}}}
    gold = {"user": {"p": "user.plan", "op": "eq", "v": "gold"}}
    if oracle.user_kinds.get("plan") != "string":
        gold = {"not": {"any": []}}
    chosen = rng.sample([did, never, gold, {"not": did}, {"all": [did, gold]}, {"any": []}], 3)
    values = rng.choice([["a", "b", "c"], [1, 2, 3], [0.5, 2, 3.25], [True, False, True]])
    layers = [{"v": v, "if": one} for v, one in zip(values, chosen, strict=True)]
    rules["layers"] = {"kind": "layers", "layers": layers, "days": days}
    return rules


WORK = {"value": taken, "aggregate": aggregated, "layers": layered}


@pytest.mark.parametrize("number", range(12))
def test_every_rule_of_every_day_is_what_a_dict_says(tmp_path, number):
    case, pair = project(tmp_path, 9_200_000 + number)
    rng = random.Random(number)
    tags, oracle = pair.engine.tags, pair.oracle
    others = {"string": "other", "int64": -7, "float64": -7.5, "bool": False, "datetime": None}
    compared = 0
    try:
        rules = random_rules(rng, oracle)
        elses = {}
        for name, rule in rules.items():
            kind = tags.define({"name": name, "rule": rule})["type"]
            elses[name] = rng.choice([None, others[kind]])
            tags.define({"name": name, "rule": rule, "else": elses[name], "keep_days": 3000})
        days = days_of(case, rng)
        for day in days:
            tags.refresh(rules, day=day)
        for day in days:
            hand = ByHand(oracle, case.tz, day)
            for user in oracle.users():
                own, id_type = ids(user)
                found = tags.of_user(own, id_type=id_type, day=day)
                for name, rule in rules.items():
                    expected = WORK[rule["kind"]](hand, user, rule)
                    if expected is None and hand.known(user):
                        expected = elses[name]
                    value = found.get(name)
                    told = (day, user, name, rule, elses[name])
                    if isinstance(expected, float):
                        assert value == pytest.approx(expected, rel=1e-12), told
                    else:
                        assert value == expected, told
                    compared += 1
        assert compared
        counted = Counter(
            tags.of_user(*ids(user)[:1], id_type=ids(user)[1]).get("layers")
            for user in oracle.users()
        )
        counted.pop(None, None)
        assert dict(tags.values("layers")["rows"]) == counted
    finally:
        pair.close()


class Past:
    """The oracle's project as it was before an instant."""

    def __init__(self, oracle, end):
        self.oracle, self.end, self.tz = oracle, end, oracle.tz

    def rows_of(self, user):
        return [row for row in self.oracle.rows_of(user) if row.time < self.end]

    def user_property(self, user, name, at):
        return self.oracle.user_property(user, name, self.end - 1 if at is None else at)


def random_layers(rng):
    """Layers of random audiences: properties, behaviour, sequences, and all, any, not of these."""
    values = rng.choice([["a", "b", "c"], [1, 2, 1], [0.5, 2, 3.25], [True, False, True]])
    layers = [{"v": v, "if": audience(rng, 0)} for v in values[: rng.randint(1, 3)]]
    return {"kind": "layers", "layers": layers, "days": rng.choice([None, 1, 3, 30])}


@pytest.mark.parametrize("number", range(10))
def test_layers_of_random_audiences_are_those_of_the_oracle(tmp_path, number):
    case, pair = project(tmp_path, 9_400_000 + number)
    rng = random.Random(f"layers {number}")
    tags, oracle = pair.engine.tags, pair.oracle
    rules, compared, held = {}, 0, 0
    try:
        for tried in range(40):
            rule, name = random_layers(rng), f"t{tried}"
            try:
                tags.define({"name": name, "rule": rule, "keep_days": 3000})
            except InvalidQuery:
                continue  # a property is not of the kind that the operator needs
            rules[name] = rule
        for day in days_of(case, rng):
            tags.refresh(rules, day=day)
            hand = ByHand(oracle, case.tz, day)
            past = Past(oracle, hand.end)
            for user in oracle.users():
                own, id_type = ids(user)
                found = tags.of_user(own, id_type=id_type, day=day)
                for name, rule in rules.items():
                    days = rule["days"]
                    begin = start_of(day - timedelta(days=days - 1), case.tz) if days else -(2**60)
                    span = (begin, hand.end, case.tz)
                    expected = None
                    if hand.known(user):
                        expected = next(
                            (
                                layer["v"]
                                for layer in rule["layers"]
                                if in_audience(past, user, layer["if"], span, hand.end - 1)
                            ),
                            None,
                        )
                    assert found.get(name) == expected, (day, user, rule)
                    compared += 1
                    held += expected is not None
        assert len(rules) > 20
        assert 0 < held < compared
    finally:
        pair.close()


def test_a_user_that_nobody_knows_has_no_tags(tmp_path):
    _, pair = project(tmp_path, 9_200_000)
    with pytest.raises(NotFound):
        pair.engine.tags.of_user("nobody at all")
    pair.close()


@pytest.mark.parametrize("number", range(6))
def test_a_tag_of_a_property_answers_as_the_property_in_every_model(tmp_path, number):
    case, pair = project(tmp_path, 9_300_000 + number)
    try:
        tags, names = pair.engine.tags, {}
        for name in ("plan", "age", "home"):
            kind = KINDS.get(pair.oracle.user_kinds.get(name))
            if kind is None:
                continue
            rule = {"kind": "expression", "as": f"user.{name}", "type": kind}
            tags.define({"name": name, "rule": rule})
            names[f"user.{name}"] = f"user.$tag.{name}"
        if not names:
            pytest.skip("nobody has a profile here")
        tags.refresh(day="today")
        dated = {p: f"{tag}@today" for p, tag in names.items()}
        for model in MODELS:
            for k in range(12):
                query = query_of(case, k, model)
                if reads_the_past(query):
                    continue
                compare(pair.engine, query, names)
                compare(pair.engine, query, dated)
    finally:
        pair.close()


def reads_the_past(query):
    """A tag changes by the day, a profile at once."""
    at_events = any(by.get("as_of") == "event" for by in query.get("by", []))
    return at_events or query["body"].get("as_of") is not None or query["model"] == "clicks"


def compare(engine, query, names):
    given = renamed(query, names)
    expected, found = answered(engine, query), answered(engine, given)
    if isinstance(expected, str):
        assert isinstance(found, str), (given, found)
        return
    back = {tag: p for p, tag in names.items()}
    called = found[0]
    for tag, p in back.items():
        called = [name.replace(tag, p) for name in called]
    rows = [[back.get(v, v) if isinstance(v, str) else v for v in row] for row in found[1]]
    assert (called, rows) == expected[:2], given


@pytest.mark.parametrize("number", range(4))
def test_a_tag_in_an_audience_is_the_property_in_an_audience(tmp_path, number):
    case, pair = project(tmp_path, 9_400_000 + number)
    if pair.oracle.user_kinds.get("plan") != "string":
        pytest.skip("no plans here")
    engine = pair.engine
    engine.tags.define(
        {"name": "plan", "rule": {"kind": "expression", "as": "user.plan", "type": "string"}}
    )
    last = local_date(case.last, case.tz)
    engine.tags.refresh(day=last)
    try:
        for model in MODELS:
            for op, v in (
                ("eq", "gold"),
                ("ne", "gold"),
                ("in", ["free", "x"]),
                ("is_not_set", None),
            ):
                query = query_of(case, 3, model)
                leaf = {"op": op} if v is None else {"op": op, "v": v}
                by_property = {**query, "audience": {"user": {"p": "user.plan", **leaf}}}
                for as_of in (None, str(last), "today"):
                    by_tag = {**query, "audience": {"tag": "plan", **leaf, "as_of": as_of}}
                    assert answered(engine, by_tag) == answered(engine, by_property), by_tag
        with pytest.raises(InvalidQuery, match="there is no tag 'plann'; did you mean 'plan'"):
            engine.query({**query, "audience": {"tag": "plann", "op": "is_set"}})
    finally:
        pair.close()
