"""What must add up in every answer, whatever was asked: random queries over random projects, each
answer checked against itself and against what other models say of the same.

Sums within one group and one bucket hold with lists, too; sums over groups hold only where a user
or row is in one group.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import pytest

from tests.oracle import generate
from tests.oracle.asking import lines_of, span_of
from tests.oracle.queries import query_of
from tests.property.pairs import Pair
from zuji.engine.errors import InvalidQuery

QUERIES = 40


@pytest.fixture(scope="module", params=range(6))
def project(request, tmp_path_factory):
    case = generate.project(77_000_000 + request.param)
    pair = Pair(case, tmp_path_factory.mktemp("p") / "p")
    for state in pair.states():
        if state == "grown":
            break
    yield case, pair
    pair.close()


def asked(project, model):
    """Queries that are answered: (query, rows, rows of totals), without comparisons."""
    case, pair = project
    for k in range(QUERIES):
        query = query_of(case, k, model)
        query.pop("compare", None)
        try:
            result = pair.engine.query(query)
        except InvalidQuery:
            continue
        totals = [
            dict(zip(result.totals["columns"], r, strict=True)) for r in result.totals["rows"]
        ]
        yield query, result.to_dicts(), totals


def answered(project, query):
    """Rows of another query over the same users, rows and range."""
    shared = {k: v for k, v in query.items() if k in ("v", "time", "where", "audience")}
    return project[1].engine.query(shared | {k: query[k] for k in ("model", "body")}).to_dicts()


def heads(query, row, *more):
    names = [*(b["p"] for b in query.get("by") or ()), *(["is_other"] if query.get("by") else [])]
    # True == 1 == 1.0 in Python, but they are different group values.
    return tuple((isinstance(row[n], bool), row[n]) for n in (*names, *more))


def by_head(query, rows, *more):
    return {heads(query, row, *more): row for row in rows}


def test_layers_of_paths_add_up(project):
    """Each layer has all paths, and of users all users (PostHog#37285); sessions are as many as in
    the session model.
    """
    compared = 0
    for query, rows, totals in asked(project, "path"):
        told, body = by_head(query, totals), query["body"]
        for head, own in lines_of(query, rows):
            total = told[heads(query, head)]["total"]
            layers = defaultdict(int)
            for row in own:
                layers[row["layer"]] += row["count"]
            assert sorted(layers) == list(range(1, body["max_steps"])) or not layers, query
            for count in layers.values():
                if body["count"] == "users":
                    assert count >= total, query
                else:
                    assert count == total, query
        plain = not any(body.get(name) for name in ("start", "end", "exclude"))
        events = body.get("events") or [{"e": "*"}]
        if plain and body["count"] != "occurrences" and len(events) == 1 and not query.get("by"):
            given = {"events": events[0], "measure": [body["count"]]}
            if "session" in body:
                given["session"] = body["session"]
            whole = {**query["time"], "grain": "all"}
            [other] = answered(project, {**query, "model": "session", "time": whole, "body": given})
            assert other[body["count"]] == told[()]["total"], query
            compared += 1
    assert compared or not project[0].batches


def test_credits_add_up_to_conversions(project):
    """Of every group and bucket, under every model but participation; and values to the value."""
    for query, rows, totals in asked(project, "attribution"):
        bucket = ["bucket"] if query["body"].get("trend") else []
        conversions, values = defaultdict(float), defaultdict(list)
        for head, own in lines_of(query, rows, *bucket):
            at = heads(query, head)
            credits = [n for n in own[0] if n.startswith("credit(") and "participation" not in n]
            sums = {n: sum(Fraction(row[n]) for row in own) for n in credits}
            assert len(set(map(float, sums.values()))) <= 1, query
            for whole in sums.values():
                assert float(whole) == round(whole), query
            # What has no touch is the direct row; what has one is in the row of its last touch.
            if credits:
                conversions[at] += float(next(iter(sums.values())))
            for n in own[0]:
                if n.startswith("value(") and "participation" not in n:
                    values[at, n] += [row[n] for row in own]
        for row in totals:
            at = heads(query, row)
            if at in conversions:
                assert conversions[at] == row["conversions"], query
            for (line, n), given in values.items():
                if line == at:
                    room = 1e-9 * math.fsum(map(abs, given))
                    assert math.isclose(math.fsum(given), row["value"], abs_tol=room), (query, n)


def test_bands_and_the_zero_band_add_up_to_the_population(project):
    engine = project[1].engine
    compared = 0
    for query, rows, totals in asked(project, "distribution"):
        sums = defaultdict(int)
        for row in rows:
            sums[heads(query, row, "bucket")] += row["users"]
        zero = query["body"].get("zero")
        for row in totals:
            found = sums.get(heads(query, row, "bucket"), 0)
            assert found == (row["population"] if zero else row["users"]), query
            if zero:
                assert row["users"] + row["zero"] == row["population"], query
        if zero == "all" and not query.get("by"):
            people = {"model": "user_property", "time": query["time"], "body": {}}
            if "audience" in query:
                people["audience"] = query["audience"]
            [known] = engine.query(people).to_dicts()
            assert {row["population"] for row in totals} == {known["users"]}, query
            compared += 1
    assert compared


def test_lives_balance_from_period_to_period(project):
    """active(p) = new + returning + resurrected, active(p - 1) = returning(p) + dormant(p)."""
    checked = 0
    for query, rows, _ in asked(project, "lifecycle"):
        for _, own in lines_of(query, rows):
            periods = defaultdict(dict)
            for row in own:
                periods[row["bucket"]][row["state"]] = row["users"]
                periods[row["bucket"]]["active"] = row["active"]
            before = None
            for states in periods.values():
                here = states["new"] + states["returning"] + states["resurrected"]
                assert here == states["active"], query
                if before is not None:
                    assert before == states["returning"] + states["dormant"], query
                    checked += 1
                before = states["active"]
    assert checked


def test_new_users_are_new_once(project):
    """Over all history, as many were new as have ever been active."""
    case, pair = project
    time = {"from": "1970-01-01", "to": "2199-12-30", "tz": case.tz, "grain": "year"}
    for event in generate.EVENTS:
        body = {"event": {"e": event}}
        asked = {"model": "lifecycle", "time": time, "body": body}
        rows = [row for row in pair.engine.query(asked).to_dicts() if row["state"] == "new"]
        series = [{"e": event, "measure": "users"}]
        whole = {"model": "event", "time": {**time, "grain": "all"}, "body": {"series": series}}
        [users] = pair.engine.query(whole).to_dicts()
        assert sum(row["users"] for row in rows) == users["value"]


def test_users_by_active_periods_add_up(project):
    for query, rows, totals in asked(project, "stickiness"):
        bucket = ["bucket"] if query["body"].get("within") else []
        told = by_head(query, totals, *bucket)
        for head, own in lines_of(query, rows, *bucket):
            total = told[heads(query, head, *bucket)]
            assert sum(row["users"] for row in own) == total["users"], query
            for row in own:
                more = [other for other in own if other["periods"] >= row["periods"]]
                assert row["at_least"] == sum(other["users"] for other in more), query
            if total["users"]:
                times = sum(row["users"] * row["periods"] for row in own)
                assert math.isclose(times / total["users"], total["mean"]), query


def test_layers_of_rfm_add_up_to_the_users_of_the_event(project):
    for query, rows, totals in asked(project, "rfm"):
        told = by_head(query, totals)
        for head, own in lines_of(query, rows):
            assert sum(row["users"] for row in own) == told[heads(query, head)]["users"], query
        if not query.get("by"):
            series = [{**query["body"]["event"], "measure": "users"}]
            whole = {**query["time"], "grain": "all"}
            other = {**query, "model": "event", "time": whole, "body": {"series": series}}
            [users] = answered(project, other)
            assert told[()]["users"] == users["value"], query


def test_intervals_of_sessions_add_up_to_all_of_them(project):
    for query, rows, _ in asked(project, "session"):
        distribution = query["body"].pop("distribution", None)
        query["body"]["measure"] = ["sessions", "depth_sum"]
        plain = project[1].engine.query(query).to_dicts()
        if distribution is None:
            continue
        query["body"]["distribution"] = distribution
        rows = project[1].engine.query(query).to_dicts()
        sums = defaultdict(lambda: [0, 0])
        for row in rows:
            sums[heads(query, row, "bucket")][0] += row["sessions"]
            sums[heads(query, row, "bucket")][1] += row["depth_sum"]
        for row in plain:
            found = sums[heads(query, row, "bucket")]
            assert found == [row["sessions"], row["depth_sum"]], query


def test_pairs_of_buckets_add_up(project):
    for query, rows, totals in asked(project, "interval"):
        told = by_head(query, totals)
        for head, own in lines_of(query, rows):
            pairs = sum(row["pairs"] for row in own)
            assert pairs == told[heads(query, head)]["pairs"], query


def test_what_a_cohort_is_worth_adds_up(project):
    for query, rows, _ in asked(project, "ltv"):
        so_far, paid = 0.0, 0
        for row in rows:
            if row["period"] == 0:
                so_far, paid, most = 0.0, 0, 0.0
            if not row["complete"]:
                continue
            so_far, most = so_far + row["value"], max(most, abs(row["value"]))
            assert math.isclose(so_far, row["value_so_far"], rel_tol=1e-9, abs_tol=1e-9 * most)
            assert paid <= row["payers_so_far"] <= min(paid + row["payers"], row["size"]), query
            paid = row["payers_so_far"]


def test_clicks_add_up_to_the_events(project):
    for query, rows, totals in asked(project, "clicks"):
        if (
            not rows
            or rows[-1].get("is_other") is None
            or not query.get("top", {}).get("other", True)
        ):
            continue
        # A list of texts puts a click into several cells.
        lists = {"event.tags", "user.likes"} & {str(v) for v in query["body"].values()}
        if not lists:
            assert sum(row["clicks"] for row in rows) == totals[0]["clicks"], query


def test_online_time_adds_up_over_buckets(project):
    """The peak of the range is that of a bucket, and the mean that of the buckets, by length."""
    for query, rows, totals in asked(project, "concurrency"):
        told = by_head(query, totals)
        for head, own in lines_of(query, rows):
            total = told[heads(query, head)]
            assert total["peak"] == max((row["peak"] for row in own), default=0), query
            if "minutes" in query["body"]:
                continue
            span = span_of(project[1].oracle, query)
            edges = [(max(a, span.low), min(b, span.high)) for a, b, _ in span.buckets()]
            lengths = [b - a for a, b in edges]
            online = sum(row["average"] * n for row, n in zip(own, lengths, strict=True))
            assert math.isclose(online / sum(lengths), total["average"], abs_tol=1e-12), query


def test_groups_of_users_add_up(project):
    for query, rows, totals in asked(project, "user_property"):
        by = query.get("by") or []
        if "persona" in query["body"] or not by or any("likes" in b["p"] for b in by):
            continue
        if query.get("top", {}).get("other", True):
            assert sum(row["users"] for row in rows) == totals[0]["users"], query
            assert math.isclose(sum(row["share"] for row in rows), 1) or not totals[0]["users"]
