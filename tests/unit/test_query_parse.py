"""Reading queries: defaults, what is refused, and the path and hint of every refusal."""

import copy
import json
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.analyses import ANALYSES
from zuji.engine.query.analyses.event_query import EventQuery, formulas
from zuji.engine.query.analyses.funnel_measures import FunnelMeasure
from zuji.engine.query.analyses.funnel_query import FunnelQuery
from zuji.engine.query.analyses.retention_query import Bracket, RetentionQuery
from zuji.engine.query.audience import AllUsers, Did, HasTag, InCohort, NotUsers
from zuji.engine.query.durations import Duration
from zuji.engine.query.filter_ast import AllOf, Leaf
from zuji.engine.query.formula import Operation, SeriesRef
from zuji.engine.query.measures import Measure
from zuji.engine.query.model import By
from zuji.engine.query.parse import echo, parse, parse_pick
from zuji.engine.query.problems import one_of

FUNNEL = {
    "v": 1,
    "model": "funnel",
    "project": "default",
    "time": {"from": "2026-10-01", "to": "2026-10-31", "tz": "Asia/Shanghai", "grain": "day"},
    "unit": "user",
    "where": {"all": [{"p": "event.channel", "op": "in", "v": ["app", "mini"]}]},
    "audience": {
        "all": [{"cohort": "high_value"}, {"not": {"tag": "employee", "op": "eq", "v": True}}]
    },
    "by": [{"p": "user.city"}, {"p": "event.channel", "attr": "first"}],
    "top": {"n": 20, "other": True},
    "compare": {"shift": "-1M"},
    "body": {
        "steps": [
            {"e": "view_product"},
            {"e": "apply", "where": {"p": "event.amount", "op": "gte", "v": 1000}, "as": "Apply"},
            {"e": ["success", "success_v2"]},
        ],
        "window": {"n": 7, "unit": "day"},
        "hold": ["event.product_id"],
        "exclude": [{"e": "cancel", "between": [1, 3], "on": "drop"}],
        "measure": ["count", "rate", "ttc_p50"],
    },
}
EVENT = {
    "model": "event",
    "body": {
        "series": [
            {"e": "pay", "measure": "users", "as": "A"},
            {"e": "pay", "measure": {"sum": "event.amount"}, "as": "B"},
        ],
        "formula": [{"expr": "B / A", "as": "per head"}],
    },
}
RETENTION = {
    "model": "retention",
    "body": {"start": {"e": "open"}, "return": {"e": "pay"}, "periods": 30, "cohort": "recurring"},
}
_GONE = object()


def changed(document, path, value):
    out = copy.deepcopy(document)
    at = out
    for key in path[:-1]:
        at = at[key]
    if value is _GONE:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return out


def refusal(document, **options):
    with pytest.raises(InvalidQuery) as caught:
        parse(document, **options)
    return caught.value


# ------------------------------------------------------------------------------------ what is read


def test_a_funnel_with_everything():
    query = parse(FUNNEL)
    assert isinstance(query, FunnelQuery)
    assert query.model == "funnel"
    assert query.time.from_ == "2026-10-01"
    assert query.where == AllOf((Leaf("event.channel", "in", ("app", "mini")),))
    assert query.audience == AllUsers(
        (InCohort("high_value"), NotUsers(HasTag("employee", "eq", True)))
    )
    assert [step.label for step in query.body.steps] == [
        "view_product",
        "Apply",
        "success | success_v2",
    ]
    assert query.body.steps[2].names == ("success", "success_v2")
    assert query.body.window.ms == 7 * 86_400_000
    assert query.body.exclude[0].between == (1, 3)
    assert query.body.measure[2].quantile == 0.5
    assert query.body.held == (("event.product_id",) * 3,)


def test_every_default_is_filled_in():
    query = parse({"model": "event", "body": {"series": [{"e": "*"}, {"e": "b"}]}})
    assert isinstance(query, EventQuery)
    assert (query.time.from_, query.time.to, query.time.tz, query.time.grain) == (
        "-30d",
        "today",
        None,
        "day",
    )
    assert query.time.week_start == 1
    assert (query.top.n, query.top.other) == (20, True)
    assert query.body.series[0].names is None
    assert [each.as_ for each in query.body.series] == ["A", "B"]
    assert query.body.series[0].measure == Measure("count")
    assert query.body.session.gap == Duration(30, "minute")

    funnel = parse(
        {"model": "funnel", "body": {"steps": [{"e": "a"}, {"e": "b"}], "exclude": [{"e": "x"}]}}
    )
    assert (funnel.body.window.n, funnel.body.window.unit) == (7, "day")
    assert (funnel.body.order, funnel.body.entry, funnel.body.count, funnel.body.ties) == (
        "ordered",
        "any",
        "users",
        "sequence",
    )
    assert funnel.body.exclude[0].between == (1, 2)
    assert funnel.body.measure == tuple(
        map(FunnelMeasure, ["count", "rate", "step_rate", "dropped"])
    )

    retention = parse({"model": "retention", "body": {"start": {"e": "a"}, "return": {"e": "b"}}})
    assert isinstance(retention, RetentionQuery)
    body = retention.body
    assert (body.periods, body.cohort, body.mode, body.criterion) == (
        7,
        "first_in_range",
        "calendar",
        "on",
    )


def test_breakdowns_are_read_at_the_event_or_now():
    assert [(by.as_of, by.attr) for by in parse(FUNNEL).by] == [
        ("now", "first"),
        ("event", "first"),
    ]
    query = parse(changed(EVENT, ["by"], [{"p": "user.age", "buckets": [18, 30.5]}]))
    assert query.by == (By("user.age", None, "now", (18, 30.5)),)


@pytest.mark.parametrize("document", [FUNNEL, EVENT, RETENTION])
def test_an_echoed_query_is_complete_and_means_the_same(document):
    query = parse(document)
    written = echo(query)
    assert parse(written) == query
    assert parse(json.dumps(written)) == query
    assert parse(json.dumps(written).encode()) == query
    assert echo(parse(written)) == written
    assert written["time"]["week_start"] == 1
    assert written["time"]["tz"] in (None, "Asia/Shanghai")


def test_audiences_read_and_written():
    audience = {
        "any": [
            {
                "did": {
                    "e": "pay",
                    "count": {"op": "between", "v": [1, 3]},
                    "within": {"n": 30, "unit": "day"},
                }
            },
            {"did_not": {"e": ["a", "b"], "where": {"p": "event.x", "op": "is_set"}}},
            {"sequence": {"steps": [{"e": "a"}, {"e": "b"}], "within": {"n": 1, "unit": "hour"}}},
            {"user": {"p": "user.city", "op": "eq", "v": "Hangzhou"}},
            {"did": {"e": "pay", "within": {"from": "2026-01-01", "to": "-1d"}}},
        ]
    }
    query = parse({**EVENT, "audience": audience})
    assert parse(echo(query)) == query
    first, second = query.audience.items[:2]
    assert isinstance(first, Did)
    assert (first.op, first.v, first.within.length.ms) == ("between", (1, 3), 30 * 86_400_000)
    assert (second.negated, second.op, second.v) == (True, "gte", 1)


def test_formulas_know_series_by_letter_and_by_name():
    query = parse(EVENT)
    assert formulas(query.body) == (Operation("/", SeriesRef(1), SeriesRef(0)),)
    swapped = {
        "series": [{"e": "a", "as": "B"}, {"e": "b", "as": "A"}],
        "formula": [{"expr": "A", "as": "x"}],
    }
    assert formulas(parse({"model": "event", "body": swapped}).body) == (SeriesRef(1),)


def test_python_dates_and_tuples_stand_for_json():
    leaf = {
        "p": "event.at",
        "op": "between",
        "v": (datetime(2026, 1, 1, tzinfo=UTC), "2026-02-01T00:00:00Z"),
    }
    query = parse({**EVENT, "time": {"from": date(2026, 10, 1), "to": "today"}, "where": leaf})
    assert query.time.from_ == "2026-10-01"
    assert query.where.v[0] == "2026-01-01T00:00:00+00:00"


def test_brackets_and_metrics_of_retention():
    body = {
        **RETENTION["body"],
        "criterion": {"bracket": [[1, 7], [8, 14]]},
        "measure": {"sum": "event.amount", "e": "pay"},
    }
    query = parse({**RETENTION, "body": body})
    assert query.body.criterion == Bracket(((1, 7), (8, 14)))
    assert (query.body.measure.op, query.body.measure.p, query.body.measure.events.e) == (
        "sum",
        "event.amount",
        "pay",
    )
    assert parse(echo(query)) == query


# --------------------------------------------------------------------------------- what is refused

REFUSED = [
    (FUNNEL, ["model"], "funel", "$.model", "did you mean 'funnel'"),
    (FUNNEL, ["model"], _GONE, "$", f"'model' is missing, one of {one_of(ANALYSES)}"),
    (FUNNEL, ["model"], "paths", "$.model", f"expected {one_of(ANALYSES)}"),
    (FUNNEL, ["body"], _GONE, "$", "'body' is missing"),
    (FUNNEL, ["v"], 2, "$.v", "up to 1"),
    (FUNNEL, ["unit"], "session", "$.unit", "expected 'user'"),
    (FUNNEL, ["bdy"], {}, "$.bdy", "did you mean 'body'"),
    (FUNNEL, ["a b"], 1, '$["a b"]', "unknown field 'a b'"),
    (FUNNEL, ["project"], "", "$.project", "empty"),
    (FUNNEL, ["time"], 3, "$.time", "expected object, got whole number"),
    (FUNNEL, ["time", "from"], "2026-13-01", "$.time.from", "month"),
    (FUNNEL, ["time", "from"], "last week", "$.time.from", "expected a date"),
    (FUNNEL, ["time", "from"], "2026-11-01", "$.time.to", "before 'from'"),
    (FUNNEL, ["time", "from"], "1800-01-01", "$.time.from", "1900"),
    (FUNNEL, ["time", "tz"], "Asia/Shangai", "$.time.tz", "did you mean 'Asia/Shanghai'"),
    (FUNNEL, ["time", "grain"], "dya", "$.time.grain", "did you mean 'day'"),
    (FUNNEL, ["time", "week_start"], 8, "$.time.week_start", "<= 7"),
    (FUNNEL, ["where"], {"al": []}, "$.where", "did you mean 'all'"),
    (FUNNEL, ["where"], [], "$.where", "expected a filter object, got array"),
    (FUNNEL, ["where", "all", 0, "value"], 1, "$.where.all[0].value", "unknown field 'value'"),
    (FUNNEL, ["where", "all", 0, "p"], "evnt.x", "$.where.all[0].p", "did you mean 'event'"),
    (FUNNEL, ["where", "all", 0, "p"], "city", "$.where.all[0].p", "did you mean 'event.city'"),
    (FUNNEL, ["where", "all", 0, "p"], "event.", "$.where.all[0].p", "1 to 512 characters"),
    (FUNNEL, ["where", "all", 0, "op"], "inn", "$.where.all[0].op", "did you mean 'in'"),
    (FUNNEL, ["where", "all", 0, "op"], "eq", "$.where.all[0].v", "write 'in'"),
    (FUNNEL, ["where", "all", 0, "op"], "is_set", "$.where.all[0].v", "takes no 'v'"),
    (FUNNEL, ["where", "all", 0, "v"], [None], "$.where.all[0].v[0]", "is_not_set"),
    (FUNNEL, ["where", "all", 0, "v"], list(range(10_001)), "$.where.all[0].v", "10,000"),
    (FUNNEL, ["where"], {"p": "event.x", "op": "matches", "v": "(a"}, "$.where.v", "RE2"),
    (FUNNEL, ["where"], {"p": "event.x", "op": "matches", "v": "(?=a)"}, "$.where.v", "RE2"),
    (FUNNEL, ["where"], {"p": "event.x", "op": "gt", "v": True}, "$.where.v", "number or a string"),
    (
        FUNNEL,
        ["where"],
        {"p": "event.x", "op": "between", "v": [1]},
        "$.where.v",
        "[lowest, highest]",
    ),
    (FUNNEL, ["where"], {"p": "event.x", "op": "between", "v": [1, "b"]}, "$.where.v", "both"),
    (FUNNEL, ["where"], {"p": "event.x", "op": "eq", "v": 2**63}, "$.where.v", "64 bits"),
    (
        FUNNEL,
        ["where"],
        {"p": "event.x", "op": "within_last", "v": {"n": 1, "unit": "month"}},
        "$.where.v.unit",
        "unknown unit 'month'",
    ),
    (FUNNEL, ["where"], {"p": "event.x", "op": "eq"}, "$.where", "needs 'v'"),
    (FUNNEL, ["audience"], {"cohrt": "x"}, "$.audience", "did you mean 'cohort'"),
    (
        FUNNEL,
        ["audience"],
        {"user": {"p": "event.x", "op": "is_set"}},
        "$.audience.user.p",
        "'user.NAME'",
    ),
    (
        FUNNEL,
        ["audience"],
        {"did": {"e": "a", "count": {"op": "in"}}},
        "$.audience.did.count.op",
        "unknown op 'in'",
    ),
    *(
        (FUNNEL, ["audience"], {"did": {"e": "a", **wrong}}, "$.audience.did" + place, text)
        for wrong, place, text in [
            ({"measure": {"sum": "event.n"}}, ".value", "expected an object"),
            ({"measure": {"sum": "event.n"}, "value": {"op": "gte"}}, ".value", "the number 'v'"),
            ({"measure": {"sum": "event.n"}, "value": {"v": "9"}}, ".value.v", "a number"),
            ({"measure": {"sum": "event.n"}, "value": {"v": True}}, ".value.v", "a number"),
            ({"measure": {"sum": "event.n"}, "value": {"v": 2**63}}, ".value.v", "64 bits"),
            (
                {"measure": {"sum": "event.n"}, "value": {"op": "between", "v": [1]}},
                ".value.v",
                "[lowest, highest]",
            ),
            ({"measure": {"median": "event.n"}, "value": {"v": 1}}, ".measure", "'avg'"),
            ({"measure": {"sum": "user.n"}, "value": {"v": 1}}, ".measure.sum", "'event.NAME'"),
            ({"measure": {}, "value": {"v": 1}}, ".measure", "one aggregate"),
            ({"value": {"v": 1}}, "", "of a 'measure'"),
            ({"measure": {"sum": "event.n"}, "value": {"v": 1}, "count": {}}, "", "two leaves"),
        ]
    ),
    (FUNNEL, ["audience"], {"cohort": "a", "as_of": "soon"}, "$.audience.as_of", "expected a date"),
    (FUNNEL, ["compare"], {}, "$.compare", "or with an 'audience'"),
    (
        FUNNEL,
        ["compare"],
        {"shift": "-1M", "audience": {"all": []}},
        "$.compare",
        "or with an 'audience'",
    ),
    (FUNNEL, ["compare"], {"audience": {"did": {}}}, "$.compare.audience.did", "the event 'e'"),
    (
        FUNNEL,
        ["audience"],
        {"did": {"e": "a", "within": {"from": "x", "to": "now"}}},
        "$.audience.did.within.from",
        "expected a date",
    ),
    (
        FUNNEL,
        ["audience"],
        {"sequence": {"steps": [{"e": "a"}]}},
        "$.audience.sequence.steps",
        "2 to 30",
    ),
    (FUNNEL, ["by", 0, "p"], "event.$time", "$.by[0].p", "time.grain"),
    (FUNNEL, ["by", 1, "p"], "user.city", "$.by[1].p", "twice"),
    (FUNNEL, ["by", 0, "attr"], {"step": 9}, "$.by[0].attr.step", "3 steps"),
    (FUNNEL, ["by", 0, "attr"], "firts", "$.by[0].attr", "did you mean 'first'"),
    (FUNNEL, ["by", 1, "as_of"], "now", "$.by[1].as_of", "at the event"),
    (FUNNEL, ["by", 0, "buckets"], [3, 1], "$.by[0].buckets", "ascend"),
    (EVENT, ["by"], [{"p": "event.x", "attr": "last"}], "$.by[0].attr", "with steps"),
    (FUNNEL, ["top", "n"], 0, "$.top.n", ">= 1"),
    (FUNNEL, ["compare", "shift"], "1M", "$.compare.shift", "'-1M'"),
    (FUNNEL, ["body", "steps"], [{"e": "a"}], "$.body.steps", "length >= 2"),
    (FUNNEL, ["body", "steps"], [{"e": "a"}] * 31, "$.body.steps", "length <= 30"),
    (FUNNEL, ["body", "steps", 0], "a", "$.body.steps[0]", "expected object with 'e', got string"),
    (FUNNEL, ["body", "steps", 0, "e"], 3, "$.body.steps[0].e", "expected string or array"),
    (FUNNEL, ["body", "steps", 0, "e"], "", "$.body.steps[0].e", "not empty"),
    (FUNNEL, ["body", "steps", 0, "e"], ["a", "*"], "$.body.steps[0].e[1]", "stands alone"),
    (FUNNEL, ["body", "steps", 0, "e"], [], "$.body.steps[0].e", "event names"),
    (FUNNEL, ["body", "steps", 0, "optional"], True, "$.body.steps[0].optional", "first step"),
    (FUNNEL, ["body", "steps", 1, "wher"], {}, "$.body.steps[1].wher", "did you mean 'where'"),
    (
        FUNNEL,
        ["body", "steps", 1, "where", "op"],
        "gtee",
        "$.body.steps[1].where.op",
        "did you mean 'gte'",
    ),
    (FUNNEL, ["body", "order"], "orderd", "$.body.order", "did you mean 'ordered'"),
    (FUNNEL, ["body", "order"], "any_order", "$.body.exclude", "needs an order"),
    (FUNNEL, ["body", "window"], {"n": 367, "unit": "day"}, "$.body.window", "366 days"),
    (FUNNEL, ["body", "window"], {"n": 2, "unit": "same_day"}, "$.body.window.n", "no 'n'"),
    (
        FUNNEL,
        ["body", "hold"],
        [[{"step": 1, "p": "event.a"}]],
        "$.body.hold[0]",
        "missing: step 2",
    ),
    (
        FUNNEL,
        ["body", "hold"],
        [[{"step": 1, "p": "event.a"}] * 2],
        "$.body.hold[0][1].step",
        "twice",
    ),
    (FUNNEL, ["body", "hold"], ["user.a"], "$.body.hold[0]", "'event.NAME'"),
    (FUNNEL, ["body", "hold"], ["event.$time"], "$.body.hold[0]", "cannot be held"),
    (FUNNEL, ["body", "exclude", 0, "between"], [3, 1], "$.body.exclude[0].between", "in order"),
    (FUNNEL, ["body", "exclude", 0, "between"], [1, 4], "$.body.exclude[0].between", "1 to 3"),
    (FUNNEL, ["body", "measure"], ["ttc_p500"], "$.body.measure[0]", "did you mean 'ttc_p90'"),
    (FUNNEL, ["body", "measure"], ["rate", "rate"], "$.body.measure", "twice"),
    (
        FUNNEL,
        ["body", "measure"],
        [{"sum": "event.x", "step": 4}],
        "$.body.measure[0].step",
        "3 steps",
    ),
    (
        FUNNEL,
        ["body", "session"],
        {"gap": {"n": 999, "unit": "week"}},
        "$.body.session.gap",
        "366 days",
    ),
    (EVENT, ["body", "series"], [], "$.body.series", "length >= 1"),
    (
        EVENT,
        ["body", "series", 0, "measure"],
        "sum",
        "$.body.series[0].measure",
        "needs a property",
    ),
    (
        EVENT,
        ["body", "series", 0, "measure"],
        "user",
        "$.body.series[0].measure",
        "did you mean 'users'",
    ),
    (
        EVENT,
        ["body", "series", 0, "measure"],
        {"p0": "event.x"},
        "$.body.series[0].measure",
        "unknown aggregate 'p0'",
    ),
    (
        EVENT,
        ["body", "series", 0, "measure"],
        {"sum": "user.x"},
        "$.body.series[0].measure.sum",
        "'event.NAME'",
    ),
    (EVENT, ["body", "series", 1, "as"], "A", "$.body.series[1].as", "is taken"),
    (EVENT, ["body", "formula", 0, "as"], "A", "$.body.formula[0].as", "is taken"),
    (
        EVENT,
        ["body", "formula", 0, "expr"],
        "B / C",
        "$.body.formula[0].expr",
        "unknown series 'C'",
    ),
    (EVENT, ["body", "series", 0, "moving_average"], 1, "$.body.series[0].moving_average", ">= 2"),
    (RETENTION, ["time"], {"grain": "hour"}, "$.time.grain", "'day', 'week' or 'month'"),
    (RETENTION, ["body", "periods"], 367, "$.body.periods", "<= 366"),
    (
        RETENTION,
        ["body", "criterion"],
        {"bracket": [[1, 31]]},
        "$.body.criterion.bracket[0]",
        "0 to 30",
    ),
    (
        RETENTION,
        ["body", "criterion"],
        "on_after",
        "$.body.criterion",
        "did you mean 'on_or_after'",
    ),
    (RETENTION, ["body", "measure"], {"max": "event.x"}, "$.body.measure", "expected {'count'"),
    (RETENTION, ["body", "return"], _GONE, "$.body", "'return' is missing"),
]


@pytest.mark.parametrize(("document", "at", "value", "path", "text"), REFUSED)
def test_a_refusal_names_the_place_and_what_was_expected(document, at, value, path, text):
    error = refusal(changed(document, at, value))
    assert (error.path, text in error.args[0]) == (path, True), error


def test_a_running_total_needs_a_measure_that_adds():
    series = {"e": "a", "measure": {"avg": "event.x"}, "cumulative": True}
    assert (
        refusal({"model": "event", "body": {"series": [series]}}).path
        == "$.body.series[0].cumulative"
    )
    both = {"e": "a", "cumulative": True, "moving_average": 7}
    assert refusal({"model": "event", "body": {"series": [both]}}).path == "$.body.series[0]"
    series = {"e": "a", "cumulative": True}
    error = refusal({"model": "event", "time": {"grain": "all"}, "body": {"series": [series]}})
    assert error.path == "$.time.grain"


def test_optional_steps_leave_two_required_ones():
    steps = [{"e": "a"}, {"e": "b", "optional": True}]
    assert refusal({"model": "funnel", "body": {"steps": steps}}).path == "$.body.steps"
    steps = [{"e": "a"}, {"e": "b", "optional": True}, {"e": "c"}]
    query = parse({"model": "funnel", "body": {"steps": steps}})
    assert query.body.required == (0, 2)
    exclude = [{"e": "x", "between": [1, 2]}]
    assert (
        "optional"
        in refusal({"model": "funnel", "body": {"steps": steps, "exclude": exclude}}).args[0]
    )
    assert (
        refusal({"model": "funnel", "body": {"steps": steps, "order": "any_order"}}).path
        == "$.body.steps[1].optional"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        ('{"model": "event"', "not JSON"),
        ('{"v": NaN}', "NaN"),
        ('{"v": 1e999}', "too large"),
        ('{"v": 1, "v": 1}', "'v' stands twice"),
        (b'{"v": "\xff"}', "not JSON"),
        ('{"project": "\\ud800"}', "surrogate"),
        ("[" * 50_000, "nests"),
        ('{"where": ' + '{"not": ' * 20 + "{}" + "}" * 21, "16 levels"),
        ('{"project": "' + "x" * 70_000 + '"}', "65,536 bytes"),
    ],
)
def test_documents_that_are_no_query(text, said):
    assert said in refusal(text).args[0]


def test_values_that_are_not_json():
    for value in (object(), float("nan"), {1, 2}, datetime(2026, 1, 1)):
        assert "not JSON" in refusal(changed(EVENT, ["project"], value)).args[0]
    endless = {"model": "event"}
    endless["body"] = endless
    assert "not JSON" in refusal(endless).args[0]


def test_user_text_cannot_forge_a_path():
    error = refusal(changed(FUNNEL, ["body", "order"], "x` - at `$.evil`\x1f.evil"))
    assert error.path == "$.body.order"
    error = refusal(changed(FUNNEL, ["body", "evil` - at `$.x"], 1))
    assert error.path.startswith("$.body")
    error = refusal(changed(FUNNEL, ["where"], {"p": "event.x", "op": "\x1f.evil"}))
    assert error.path == "$.where.op"


def test_deep_python_values_do_not_break_the_stack():
    deep = leaf = {}
    for _ in range(sys.getrecursionlimit() * 3):
        leaf["not"] = {}
        leaf = leaf["not"]
    assert refusal({**EVENT, "where": deep}).path in ("$", "$.where")


# ------------------------------------------------------------------------------------------- picks


def test_picks_are_checked_against_their_query():
    event, funnel, retention = parse(EVENT), parse(FUNNEL), parse(RETENTION)
    assert parse_pick({"series": "B", "bucket": "2026-10-01"}, event).series == "B"
    group = {"user.city": None, "event.channel": "app"}
    assert parse_pick({"step": 2, "by": group}, funnel).by == group
    assert parse_pick({"cohort": "2026-10-01", "period": 3}, retention).period == 3
    for pick, query, path in [
        ({}, event, "$.pick.series"),
        ({"series": "C"}, event, "$.pick.series"),
        ({"series": "per head"}, event, "$.pick.series"),
        ({"series": "A", "range": "previous"}, event, "$.pick.range"),
        ({"series": "A", "is_other": True}, event, "$.pick.is_other"),
        ({"series": "A", "by": {"event.x": 1}}, event, "$.pick.by"),
        ({}, funnel, "$.pick"),
        ({"step": 4}, funnel, "$.pick.step"),
        ({"step": 1, "dropped": True}, funnel, "$.pick.dropped"),
        ({"step": 1, "bucket": "2026-10-01"}, funnel, "$.pick.bucket"),
        ({"step": 1, "by": {"user.city": "x"}}, funnel, "$.pick.by"),
        ({"step": 1, "by": {"user.city": "x", "event.chanel": 1}}, funnel, "$.pick.by"),
        ({"cohort": "2026-10-01", "period": 31}, retention, "$.pick.period"),
        ({"cohort": "2026-10-01", "churned": True}, retention, "$.pick.churned"),
        ({"cohrt": "2026-10-01"}, retention, "$.pick.cohrt"),
    ]:
        with pytest.raises(InvalidQuery) as caught:
            parse_pick(pick, query)
        assert caught.value.path == path, caught.value


def test_an_echoed_pick_reads_again():
    query = parse(FUNNEL)
    pick = parse_pick({"step": 2, "is_other": True}, query)
    assert parse_pick(echo(pick), query) == pick


FIRST_QUERIES = """
import sys, threading
from zuji.engine.query.parse import parse, parse_pick
sys.setswitchinterval(1e-6)
query = {"v": 1, "model": "event", "time": {"from": "2026-10-01", "to": "2026-10-02",
         "grain": "day"}, "body": {"series": [{"e": "a", "measure": "users"}]}}
gate, answered = threading.Barrier(16), []
def ask():
    gate.wait()
    answered.append(parse_pick({"series": "A"}, parse(query)))
threads = [threading.Thread(target=ask) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(len(answered) != 16)
"""


@pytest.mark.parametrize("attempt", range(4))
def test_the_first_queries_of_a_process_may_come_at_once(attempt):
    done = subprocess.run([sys.executable, "-c", FIRST_QUERIES], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
