"""The gate, for any plan and any events: it never changes what is as the plan wants it, never lets
a sensitive value through in any form, and what the columns point out is what the rules find.
"""

import json

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.planned import FORMS, NOW, batch, gate_of
from zuji.engine.batch import decode_batch, slice_events
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.plan.document import decoded
from zuji.server.plan.lane import Lane
from zuji.server.plan.rules import Rules
from zuji.server.plan.tokens import Tokens

DAY = 86_400_000
NAMES = ("a", "b", "B", "pin", "Pin", "卡号", "ad", "$os", "$consent", "straße", "STRASSE")
KINDS = ("", "bool", "int64", "float64", "datetime", "string", "list")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(["", "a", "1", "1.5", "true", "2026-10-01", "ads", '{"a":1}', "[", "中"]),
    st.lists(st.sampled_from(["a", "ads", "中"]), max_size=3),
)


@st.composite
def properties_of_plan(draw):
    """Declared properties with names that differ in more than case."""
    names = draw(st.lists(st.sampled_from(NAMES), unique_by=str.casefold, max_size=5))
    found = []
    for name in names:
        one = {"name": name, "kind": draw(st.sampled_from(KINDS))}
        if name not in ("$consent", "B", "b"):
            how = draw(st.sampled_from(["", "", "refuse", "tokenise"]))
            if how:
                one["sensitive"] = how
                one["kind"] = "string"
            one["purpose"] = draw(st.sampled_from(["", "", "ads"]))
        if not one.get("sensitive") and one["kind"] == "string" and draw(st.booleans()):
            one["values"] = ["a", "1", "ads"]
        one["deprecated"] = draw(st.booleans()) and draw(st.booleans())
        found.append(one)
    return found


@st.composite
def plans(draw):
    properties = draw(properties_of_plan())
    known = [one["name"] for one in properties]
    events = [{"name": "go"}, {"name": "come", "properties": known[:2]}]
    return decoded(
        json.dumps(
            {
                "mode": draw(st.sampled_from(["open", "warn", "strict"])),
                "presets": draw(st.booleans()) or "$consent" not in known,
                "on_mismatch": draw(st.sampled_from(["record", "property"])),
                "events": events[: draw(st.integers(0, 2))],
                "properties": properties,
                "user_properties": draw(properties_of_plan()),
                "purposes": [{"name": "ads"}],
            }
        )
    )


@st.composite
def events(draw):
    kind = draw(st.sampled_from(["track", "track", "track", "profile_set", "profile_unset"]))
    properties = draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5))
    if kind == "profile_unset":
        properties = dict.fromkeys(properties)
    event = {
        "type": kind,
        "time": NOW + draw(st.sampled_from([0, 0, 0, -DAY, -11 * DAY, 2 * 3_600_000])),
        "user_id": "u",
        "properties": properties,
    }
    if kind == "track":
        event["event"] = draw(st.sampled_from(["go", "go", "come", "$pageview", "else"]))
    if draw(st.booleans()):
        event["time_free"] = draw(st.booleans())
    return event


def read(data):
    """Events of a batch, whatever its form."""
    total = decode(data)
    raws = slice_events(data, range(total.n + len(total.rejected)))
    return [json.loads(r) if r[:1] == b"{" else msgpack.unpackb(r, timestamp=0) for r in raws]


def decode(data):
    return decode_batch(data, limits=DEFAULT_LIMITS, names=StringTable(), strings=StringTable())


@given(plans(), st.lists(events(), min_size=1, max_size=6), st.sampled_from(FORMS))
@settings(max_examples=400, deadline=None)
def test_columns_point_out_everything_that_the_rules_find(document, sent, form):
    rules = Rules(document, Tokens(b"k" * 32))
    data = batch(sent, form)
    lane = Lane(rules, DEFAULT_LIMITS)
    for _ in range(2):  # with tables that know the names, too
        columns = lane.decoded(data)
        suspects = set(lane.suspects(columns, data, NOW).tolist())
        raws = read(data)
        for row in range(columns.n):
            event = raws[int(columns.index[row])]
            verdict = rules.judge(event, int(columns.time[row]), NOW)
            touched = verdict.changed or verdict.refused or verdict.found
            assert not touched or row in suspects, verdict


@given(plans(), st.lists(events(), min_size=1, max_size=6), st.sampled_from(FORMS))
@settings(max_examples=300, deadline=None)
def test_what_passed_passes_unchanged(document, sent, form):
    """The gate's own output is clean: nothing is changed or found again but what stays as it is."""
    gate = gate_of(document)
    data = batch(sent, form)
    first = gate.passed(data, NOW)
    if not first.findings:
        assert first.batch is data or gate.cast
    written = read(first.batch)
    assert len(written) == len(sent)
    left = [one for one in written if "$refused" not in one]
    if left:
        again = gate.passed(batch(left), NOW)
        assert read(again.batch) == left


SECRETS = st.text("abcdef0123456789", min_size=12, max_size=16).map(lambda t: f"s3cr{t}")


@st.composite
def hiding(draw):
    """A value, and an event that has it under a sensitive name somewhere."""
    secret = draw(SECRETS)
    name = draw(st.sampled_from(["pin", "PIN", "pIn", "卡号", "Straße", "STRASSE"]))
    value = draw(st.sampled_from([secret, [secret, "x"]]))
    inner = json.dumps({"k": [{name: value}]}, ensure_ascii=draw(st.booleans()))
    twice = json.dumps({"deep": inner}, indent=draw(st.sampled_from([None, 2])))
    cut = inner[: draw(st.integers(len(inner) - 3, len(inner)))]
    properties = draw(
        st.sampled_from(
            [
                {name: value},
                {"other": inner},
                {"other": twice},
                {"other": " \n" + cut},
                {"other": ["x", inner]},
                {"other": {"deep": {name: value}}},
                {"other": [[{name: value}]]},
            ]
        )
    )
    event = {"event": "go", "time": NOW, "user_id": "u", "properties": properties}
    how = draw(st.sampled_from(["", "time", "user_id", "field", "type"]))
    if how == "field":
        event[name] = value
    elif how == "type":
        event["type"] = "nonsense"
    elif how:
        del event[how]
    return secret, event


@given(
    st.lists(st.one_of(hiding(), events().map(lambda e: ("", e))), min_size=1, max_size=5),
    st.sampled_from(FORMS),
    st.sampled_from(["open", "warn", "strict"]),
    st.sampled_from(["refuse", "tokenise"]),
)
@settings(max_examples=500, deadline=None)
def test_no_sensitive_value_comes_through(sent, form, mode, how):
    names = ["pin", "卡号", "straße"]
    document = decoded(
        json.dumps(
            {
                "mode": mode,
                "events": [{"name": "go"}],
                "properties": [{"name": name, "sensitive": how} for name in names],
            }
        )
    )
    data = batch([event for _, event in sent], form)
    passed = gate_of(document).passed(data, NOW)
    written = passed.batch + msgpack.packb(read(passed.batch), default=str)
    for secret, _ in sent:
        assert not secret or secret.encode() not in written
    assert len(read(passed.batch)) == len(sent)
