"""Cohorts answer as what they stand for, in random queries of every model: as the audience that
made them, and as a property of users that says the same."""

from __future__ import annotations

import random
from unittest.mock import patch

import pytest

from tests.oracle import generate
from tests.oracle.answers import measured
from tests.oracle.asking import RefusedQuery, kind_of, span_of
from tests.oracle.filters import in_audience
from tests.oracle.models import MODELS
from tests.oracle.parts import audience
from tests.oracle.queries import query_of
from tests.property.pairs import NOW, Pair, picks
from zuji.engine.errors import InvalidQuery
from zuji.engine.people import cohort_estimates

COHORT = "user.$cohort.chosen"
PROFILE = "user.is_chosen"


def project(tmp_path, number):
    case = generate.project(number)
    pair = Pair(case, tmp_path / "p")
    for state in pair.states():
        if state == "compacted":
            break
    return case, pair


def answered(engine, query):
    try:
        result = engine.query(query)
    except InvalidQuery as error:
        return str(error.args[0])
    return result.names, result.rows, result.totals


def rule_of(rng, pair):
    """A random audience that fits the project."""
    while True:
        rule = audience(rng, 0)
        kinds = {kind_of(pair.oracle, p) for p in measured(rule)}
        if kinds <= {None, "bool", "int", "float"}:
            return rule


def define(pair, name, rule, query):
    time = {key: query["time"][key] for key in ("from", "to", "tz") if key in query["time"]}
    return pair.engine.cohorts.define({"name": name, "rule": rule, "time": time})


@pytest.mark.parametrize("number", range(6))
def test_a_cohort_counts_as_the_audience_that_made_it(tmp_path, number):
    case, pair = project(tmp_path, 9_200_000 + number)
    rng = random.Random(number)
    try:
        for model in MODELS:
            for k in range(8):
                query = query_of(case, k, model)
                rule = rule_of(rng, pair)
                define(pair, "chosen", rule, query)
                compared = rng.random() < 0.4
                if compared:
                    plain = {**query, "compare": {"audience": rule}}
                    given = {**query, "compare": {"audience": {"cohort": "chosen"}}}
                else:
                    query.pop("compare", None)  # another range is another audience
                    plain = {**query, "audience": rule}
                    given = {**query, "audience": {"cohort": "chosen"}}
                assert answered(pair.engine, given) == answered(pair.engine, plain), (given, rule)
    finally:
        pair.close()


@pytest.mark.parametrize("number", range(6))
def test_a_cohort_is_a_property_of_users(tmp_path, number):
    """In filters, breakdowns and audiences: beside a profile property of the same truths."""
    case, pair = project(tmp_path, 9_300_000 + number)
    rng = random.Random(number)
    engine = pair.engine
    try:
        define(pair, "chosen", rule_of(rng, pair), query_of(case, 0, "event"))
        everybody = {"name": "all", "rule": {"all": []}}
        engine.cohorts.define(everybody)
        inside = {(u["user_id"], u["device_id"]) for u in listed(engine, "chosen")}
        marks = []
        for u in listed(engine, "all"):
            own = {key: value for key, value in u.items() if value is not None}
            told = {"is_chosen": (u["user_id"], u["device_id"]) in inside}
            marks.append(
                {**own, "type": "profile_set", "time": "2060-01-01T00:00:00Z", "properties": told}
            )
        engine.append(marks)
        for model in MODELS:
            for k in range(12):
                query = query_of(case, k, model)
                asked = [
                    with_property(query, p, random.Random(f"{k} {model}"))
                    for p in (COHORT, PROFILE)
                ]
                found, expected = (answered(engine, one) for one in asked)
                if isinstance(expected, str):
                    assert isinstance(found, str), asked[0]
                    continue
                assert [n.replace(COHORT, PROFILE) for n in found[0]] == expected[0]
                rows = [[PROFILE if v == COHORT else v for v in row] for row in found[1]]
                assert rows == expected[1], asked[0]
    finally:
        pair.close()


def with_property(query, p, rng):
    """The query with a property at some of the places where it may stand."""
    made = dict(query)
    chosen = {"p": p, "op": rng.choice(["eq", "ne"]), "v": rng.random() < 0.5}
    if rng.random() < 0.4:
        made["where"] = {"all": [chosen, *([query["where"]] if "where" in query else [])]}
    if rng.random() < 0.4:
        made["audience"] = {"user": chosen}
    if rng.random() < 0.7 or not {"where", "audience"} & set(made):
        made["by"] = [*query.get("by", [])[:1], {"p": p}]
    return made


def listed(engine, name, **more):
    found, after = [], None
    while True:
        page = engine.cohorts.members(name, after=after, limit=7, **more)
        found += page["users"]
        after = page["next"]
        if after is None:
            assert len(found) == page["total"]
            return found


@pytest.mark.parametrize("number", range(6))
def test_members_are_those_whom_the_oracle_finds(tmp_path, number):
    case, pair = project(tmp_path, 9_400_000 + number)
    rng = random.Random(number)
    try:
        for k in range(40):
            query = query_of(case, k, "event")
            rule = rule_of(rng, pair)
            shown = define(pair, "chosen", rule, query)
            span = span_of(pair.oracle, query)
            within = (span.low, span.high, span.tz)
            users = pair.oracle.users()
            expected = {u for u in users if in_audience(pair.oracle, u, rule, within, NOW)}
            found = listed(pair.engine, "chosen")
            names = {
                ("user", u["user_id"]) if u["user_id"] is not None else ("device", u["device_id"])
                for u in found
            }
            assert names == expected, rule
            assert shown["users"] == len(expected)
            estimate = pair.engine.cohorts.estimate(shown["definition"], seconds=60.0)
            assert (estimate["users"], estimate["exact"]) == (len(expected), True)
            with patch.object(cohort_estimates, "AT_ONCE", -1):
                by_parts = pair.engine.cohorts.estimate(shown["definition"], seconds=60.0)
            assert (by_parts["users"], by_parts["exact"]) == (len(expected), True)
            assert estimate["of"] == len(users)
            for user in rng.sample(sorted(users), min(5, len(users))):
                whom = {f"{user[0]}_id": user[1]}
                assert pair.engine.cohorts.contains("chosen", whom) is (user in expected)
    finally:
        pair.close()


@pytest.mark.parametrize("number", range(4))
def test_saved_from_a_cell_are_the_users_behind_it(tmp_path, number):
    case, pair = project(tmp_path, 9_500_000 + number)
    rng = random.Random(number)
    saved = 0
    try:
        for model in MODELS:
            for k in range(6):
                query = query_of(case, k, model)
                try:
                    rows = pair.rows(query)
                except (InvalidQuery, RefusedQuery):
                    continue
                cells = [cell for row in rows for cell in picks(query, row)]
                for pick, size in rng.sample(cells, min(2, len(cells))):
                    shown = pair.engine.cohorts.save("cell", query, pick)
                    assert shown["users"] == size
                    behind = pair.engine.users(query, pick).rows
                    own = [[u["user_id"], u["device_id"]] for u in listed(pair.engine, "cell")]
                    assert sorted(own, key=str) == sorted(map(list, behind), key=str)
                    saved += 1
        assert saved
    finally:
        pair.close()
