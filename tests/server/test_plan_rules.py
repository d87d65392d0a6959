"""What a plan means for events: one test a rule, through the gate into an engine."""

import json
from datetime import UTC, datetime

import msgpack
import pytest

from tests.server.planned import (
    DAY,
    FORMS,
    HOUR,
    KEY,
    NOW,
    batch,
    event,
    gate_of,
    plan,
    secrets,
    sent,
)
from zuji.server.plan import reasons
from zuji.server.plan.tokens import Tokens

REJECTED, WARNING = "rejected", "warning"


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_event_goes_to_the_quarantine_whole(tmp_path, form):
    wrong = event("Pay2", properties={"amount": 1.5, "x": "中"})
    done = sent(tmp_path, plan(), [event(), wrong, event()], form)
    assert done.rejected == [(1, "unknown_event", "event")]
    assert done.result.accepted == 2
    assert [kept["event"] for kept in done.kept] == [wrong]


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_property_is_dropped_and_the_rest_is_stored(tmp_path, form):
    given = event(properties={"amount": 1.5, "color": "red", "city": "杭州"})
    done = sent(tmp_path, plan(), [given], form)
    assert done.stored == [{"amount": 1.5, "city": "杭州"}]
    assert done.codes == [(0, "unknown_property", "properties.color", WARNING)]


def test_a_property_of_other_events_is_unknown_but_for_common_ones(tmp_path):
    given = event("view", properties={"city": "hz", "amount": 1.5, "count": 1})
    done = sent(tmp_path, plan(common=["count"]), [given])
    assert done.stored == [{"city": "hz", "count": 1}]
    assert done.codes == [(0, "unknown_property", "properties.amount", WARNING)]


def test_an_event_with_an_empty_list_has_no_properties(tmp_path):
    document = plan(events=[{"name": "pay", "properties": []}])
    done = sent(tmp_path, document, [event(properties={"amount": 1.5, "$os": "x"})])
    assert done.stored == [{"$os": "x"}]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("amount", "12.5", 12.5),
        ("amount", True, 1.0),
        ("city", 5, "5"),
        ("city", False, "false"),
        ("count", "7", 7),
        ("count", 7.0, 7),
        ("paid", "TRUE", True),
        ("paid", 0, False),
        ("when", "2026-10-01T04:00:00Z", datetime(2026, 10, 1, 4, tzinfo=UTC)),
        ("tags", "a", ["a"]),
    ],
)
def test_a_castable_value_is_cast_to_the_kind_of_the_plan(tmp_path, form, name, value, stored):
    """Also as the first value of all, whose kind the engine would keep."""
    good = event(properties={"city": "hz"})
    done = sent(tmp_path, plan(), [good, event(properties={name: value}), good], form)
    assert {name: stored} in done.stored
    assert done.codes == [(1, "type_cast", f"properties.{name}", WARNING)]
    assert done.result.accepted == 3
    assert done.kinds[name] == next(p.kind for p in plan().properties if p.name == name)


def test_a_whole_number_is_a_float_without_a_word(tmp_path):
    done = sent(tmp_path, plan(), [event(properties={"amount": 12})])
    assert done.codes == []
    assert done.kinds["amount"] == "float64"
    assert done.stored == [{"amount": 12.0}]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("amount", "abc"), ("count", 1.5), ("paid", 2), ("when", "soon"), ("city", ["a"])],
)
def test_a_value_that_cannot_be_cast_takes_the_record_with_it(tmp_path, form, name, value):
    wrong = event(properties={name: value})
    done = sent(tmp_path, plan(), [wrong, event()], form)
    assert done.rejected == [(0, "type_mismatch", f"properties.{name}")]
    assert done.kept[0]["event"] == wrong


def test_or_only_itself_when_the_plan_says_so(tmp_path):
    given = event(properties={"amount": "abc", "city": "hz"})
    done = sent(tmp_path, plan(on_mismatch="property"), [given])
    assert done.stored == [{"city": "hz"}]
    assert done.codes == [(0, "type_mismatch", "properties.amount", WARNING)]


def test_no_value_is_of_every_kind(tmp_path):
    done = sent(tmp_path, plan(), [event(properties={"amount": None, "city": "hz"})])
    assert done.codes == []
    assert done.stored == [{"city": "hz"}]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("off", "code"),
    [(-10 * DAY - 1, "too_old"), (HOUR + 1, "in_future"), (-10 * DAY, None), (HOUR, None)],
)
def test_times_outside_of_the_late_window_are_quarantined(tmp_path, form, off, code):
    done = sent(tmp_path, plan(), [event(time=NOW + off)], form)
    assert done.rejected == ([] if code is None else [(0, code, "time")])


def test_the_late_window_is_the_plans(tmp_path):
    document = plan(late={"back_days": 1, "ahead_hours": 0})
    events = [event(time=NOW - DAY - 1), event(time=NOW + 1), event(time=NOW - DAY)]
    done = sent(tmp_path, document, events)
    assert [one[:2] for one in done.rejected] == [(0, "too_old"), (1, "in_future")]


@pytest.mark.parametrize("form", FORMS)
def test_a_free_time_is_meant(tmp_path, form):
    old = [event(time=NOW - 900 * DAY, time_free=free) for free in (True, False)]
    done = sent(tmp_path, plan(), old, form)
    assert done.rejected == [(1, "too_old", "time")]


@pytest.mark.parametrize("form", FORMS)
def test_names_that_differ_only_in_case_are_quarantined(tmp_path, form):
    events = [
        event(properties={"any": 1, "ANY": 2}),
        event(properties={"City": "hz"}),  # from the one of the plan
        event(properties={"x": 1, "X": 1}),
        event(properties={"city": "hz"}),
    ]
    done = sent(tmp_path, plan(), events, form)
    assert [one[:2] for one in done.rejected] == [(i, "case_conflict") for i in range(3)]


def test_values_that_are_not_listed_are_like_values_that_cannot_be_cast(tmp_path):
    properties = [
        {"name": "city", "kind": "string", "values": ["hz", "nb"]},
        {"name": "level", "kind": "int64", "values": [1, 2]},
        {"name": "tags", "kind": "list", "values": ["a", "b"]},
    ]
    events = [
        event(properties={"city": "hz", "level": 2, "tags": ["a", "a"]}),
        event(properties={"city": "sh"}),
        event(properties={"level": 3}),
        event(properties={"tags": ["a", "c"]}),
        event(properties={"level": "2"}),
    ]
    done = sent(tmp_path, plan(properties=properties, events=[{"name": "pay"}]), events)
    assert [one[:2] for one in done.rejected] == [(i, "value_not_allowed") for i in (1, 2, 3)]
    assert done.codes[-1] == (4, "type_cast", "properties.level", WARNING)


def test_names_of_sdks_are_known_unless_the_plan_says_no(tmp_path):
    given = [event("$pageview", properties={"$os": "iOS", "city": "hz"})]
    assert sent(tmp_path / "a", plan(), given).stored == [{"$os": "iOS", "city": "hz"}]
    done = sent(tmp_path / "b", plan(presets=False), given)
    assert done.rejected == [(0, "unknown_event", "event")]
    done = sent(tmp_path / "c", plan(presets=False), [event(properties={"$os": "iOS"})])
    assert done.stored == [{}]


def test_what_is_deprecated_is_stored_with_a_warning(tmp_path):
    document = plan(
        events=[{"name": "pay", "deprecated": True}],
        properties=[{"name": "city", "deprecated": True}],
    )
    done = sent(tmp_path, document, [event(properties={"city": "hz"})])
    assert done.stored == [{"city": "hz"}]
    assert done.codes == [
        (0, "deprecated", "event", WARNING),
        (0, "deprecated", "properties.city", WARNING),
    ]


def test_properties_of_users_have_their_own_part_of_the_plan(tmp_path):
    def profile(kind="profile_set", **properties):
        return {"type": kind, "time": NOW, "user_id": "u", "properties": properties}

    events = [
        profile(level="3", city="hz"),
        profile(level="x"),
        profile("profile_unset", level=True, nothing=None),
        profile("profile_increment", level=2),
        profile("profile_delete"),
    ]
    done = sent(tmp_path, plan(), events)
    assert done.rejected == [(1, "type_mismatch", "properties.level")]
    assert done.codes == [
        (0, "type_cast", "properties.level", WARNING),
        (0, "unknown_property", "properties.city", WARNING),
        (1, "type_mismatch", "properties.level", REJECTED),
        (2, "unknown_property", "properties.nothing", WARNING),
    ]
    assert done.kinds == {"level": "int64"}


ALL_WRONG = [
    event("nope"),
    event(properties={"color": 1}),
    event(properties={"amount": "1.5"}),
    event(properties={"amount": "abc"}),
    event(time=NOW - 11 * DAY),
    event(time=NOW + 2 * HOUR),
    event(properties={"any": 1, "Any": 1}),
]


@pytest.mark.parametrize("form", FORMS)
def test_warn_stores_everything_and_finds_the_same(tmp_path, form):
    strict = sent(tmp_path / "strict", plan(), ALL_WRONG, form)
    data = batch(ALL_WRONG, form)
    passed = gate_of(plan("warn")).passed(data, NOW)
    assert passed.batch is data
    assert {f.severity for f in passed.findings} == {WARNING}
    assert [(f.index, f.code) for f in passed.findings] == [one[:2] for one in strict.codes]
    assert strict.result.accepted == 2


def test_open_finds_nothing(tmp_path):
    gate = gate_of(plan("open"))
    assert gate.rules.idle
    data = batch(ALL_WRONG)
    assert gate.passed(data, NOW).batch is data
    assert gate.passed(data, NOW).findings == ()


# -- what must never be stored -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["open", "warn", "strict"])
@pytest.mark.parametrize("form", FORMS)
def test_a_refused_property_is_removed_and_counted_in_every_mode(tmp_path, form, mode):
    given = event(properties={"PIN": "4711-secret", "city": "hz"})
    done = sent(tmp_path, secrets(mode), [given], form)
    assert done.codes[0] == (0, "sensitive_refused", "properties.PIN", WARNING)
    assert done.stored == [{"city": "hz"}]
    assert b"4711-secret" not in done.passed.batch


@pytest.mark.parametrize("mode", ["open", "warn", "strict"])
@pytest.mark.parametrize("form", FORMS)
def test_a_tokenised_property_has_one_token_a_value(tmp_path, form, mode):
    events = [event(properties={"id_card": v}) for v in ("3301", "3302", "3301", 3301)]
    done = sent(tmp_path, secrets(mode), events, form)
    tokens = [Tokens(KEY).of(v) for v in ("3301", "3302", "3301", "3301")]
    assert sorted(one["id_card"] for one in done.stored) == sorted(tokens)
    assert tokens[0].startswith("tok_")
    assert tokens[0] != Tokens(b"j" * 32).of("3301")


def test_a_token_is_not_tokenised_again(tmp_path):
    token = Tokens(KEY).of("3301")
    done = sent(tmp_path, secrets(), [event(properties={"id_card": token})])
    assert done.stored == [{"id_card": token}]


def test_items_of_a_list_have_a_token_each(tmp_path):
    done = sent(tmp_path, secrets(), [event(properties={"id_card": ["a", "b"]})])
    assert done.stored == [{"id_card": [Tokens(KEY).of("a"), Tokens(KEY).of("b")]}]


def test_a_name_is_sensitive_wherever_it_stands(tmp_path):
    """Declared for users, sent with an event; and the other way round."""
    profile = {
        "type": "profile_set",
        "time": NOW,
        "user_id": "u",
        "properties": {"pin": "zzsecret"},
    }
    done = sent(tmp_path, secrets(), [event(properties={"phone": "yysecret"}), profile])
    assert done.stored == [{"phone": Tokens(KEY).of("yysecret")}]
    assert b"secret" not in done.passed.batch


@pytest.mark.parametrize("form", FORMS)
def test_sensitive_values_inside_json_texts_are_found(tmp_path, form):
    """Other SDKs' nested objects become such texts."""
    inner = json.dumps({"a": [{"Pin": "xsecret", "ok": 1}], "id_card": "3301"})
    twice = json.dumps({"deep": inner})
    broken = inner[:-3]
    events = [event(properties={"city": t}) for t in (inner, twice, broken, '{"fine": 1}')]
    events.append(event(properties={"list": ["plain", inner]}))
    done = sent(tmp_path, secrets("open"), events, form)
    assert b"xsecret" not in done.passed.batch
    assert b"3301" not in done.passed.batch
    assert '{"fine": 1}' in [one.get("city") for one in done.stored]
    assert done.result.accepted == 5


@pytest.mark.parametrize(
    "raw",
    [
        b'{"event":"pay","properties":{"pin":"xsecret"}}',  # no time
        b'{"event":"pay","properties":{"pin":"xsecret"},"properties":{"city":"hz"}}',
        b'{"event":"pay","properties":{"a":{"b":{"c":{"d":{"pin":"xsecret"}}}}}}',
        b'{"event":"pay","properties":{"pin":NaN,"id_card":"xsecret"}}',
        b'{"event":"pay","pin":"xsecret"}',
        b'["pin","xsecret"]',
        b'{"event":"pay","properties":{"city":{"\\u0070in":"xsecret"}}}',
    ],
)
def test_what_is_refused_is_kept_without_sensitive_values(tmp_path, raw):
    data = b'[%b,{"event":"pay","time":%d,"user_id":"u"}]' % (raw, NOW)
    gate = gate_of(secrets("open"))
    passed = gate.passed(data, NOW)
    if raw.startswith(b"["):  # no property, but a text
        return
    assert b"secret" not in passed.batch
    import zuji

    with zuji.open(tmp_path) as engine:
        result = engine.append_batch(passed.batch)
        plain = zuji.open(tmp_path, "plain")
        told = plain.append_batch(data)
        plain.close()
        assert result.accepted == told.accepted == 1
        assert [(r.index, r.reason) for r in result.rejected] == [
            (r.index, r.reason) for r in told.rejected
        ]


def test_a_line_that_is_no_json_is_withheld(tmp_path):
    data = b'{"event":"pay","time":%d,"user_id":"u"}\n{"pin":"xsecret\n' % NOW
    passed = gate_of(secrets()).passed(data, NOW)
    assert b"secret" not in passed.batch
    import zuji

    with zuji.open(tmp_path) as engine:
        assert engine.append_batch(passed.batch).accepted == 1
        assert [kept["reason"] for kept in engine.rejected()] == ["bad_json"]


def test_a_quarantined_event_has_no_sensitive_value_but_what_was_unknown(tmp_path):
    given = event("nope", properties={"pin": "xsecret", "id_card": "3301", "color": "red"})
    (kept,) = sent(tmp_path, secrets("strict"), [given]).kept
    assert kept["event"]["properties"] == {"id_card": Tokens(KEY).of("3301"), "color": "red"}


PURPOSES = {
    "purposes": [{"name": "ads"}, {"name": "push", "property": "may_push"}],
    "properties": [
        {"name": "city", "kind": "string"},
        {"name": "ad_id", "purpose": "ads"},
        {"name": "push_id", "purpose": "push"},
        {"name": "may_push", "kind": "bool"},
    ],
    "user_properties": [{"name": "ad_group", "purpose": "ads"}],
}


@pytest.mark.parametrize("mode", ["open", "warn", "strict"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, {}),
        ({"$consent": ["ads"]}, {"ad_id"}),
        ({"$consent": "ads"}, {"ad_id"}),
        ({"$consent": ["push"]}, {}),
        ({"$consent": []}, {}),
        ({"may_push": True}, {"push_id"}),
        ({"may_push": False}, {}),
        ({"may_push": True, "$consent": ["x", "ads"]}, {"ad_id", "push_id"}),
    ],
)
def test_a_property_whose_purpose_was_not_consented_to_is_dropped(tmp_path, mode, form, said, kept):
    given = event(properties={"city": "hz", "ad_id": "xads", "push_id": "xpush", **said})
    document = plan(mode, **PURPOSES)
    other = event(properties={"$consent": ["ads"], "may_push": True})
    done = sent(tmp_path, document, [other, given, other], form)
    (stored,) = [one for one in done.stored if "city" in one]
    assert {name for name in ("ad_id", "push_id") if name in stored} == set(kept)
    dropped = {"ad_id", "push_id"} - set(kept)
    assert done.codes == [
        (1, "no_consent", f"properties.{name}", WARNING) for name in sorted(dropped)
    ]
    assert (b"xads" in done.passed.batch) == ("ad_id" in kept)


def test_profiles_need_consent_too(tmp_path):
    def profile(**properties):
        return {"type": "profile_set", "time": NOW, "user_id": "u", "properties": properties}

    document = plan("open", **PURPOSES)
    passed = gate_of(document).passed(
        msgpack.packb([profile(ad_group="x"), profile(ad_group="y", **{"$consent": ["ads"]})]), NOW
    )
    assert [f.index for f in passed.findings] == [0]


def test_every_code_has_a_text():
    codes = {v for k, v in vars(reasons).items() if k.isupper() and k != "REASONS"}
    assert codes == set(reasons.REASONS)
