"""docs/plan.md says what plans do: its document is one, its table of examples comes true."""

import json
import re
from pathlib import Path

import pytest

from tests.server.planned import NOW, batch, gate_of
from zuji.server.plan.document import Event, Late, Plan, Property, Purpose, decoded
from zuji.server.plan.gate import _form
from zuji.server.plan.mending import Mend, read_mend
from zuji.server.plan.reasons import REASONS

PAGE = (Path(__file__).parents[2] / "docs/plan.md").read_text("utf-8")
DOCUMENT, MEND = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = re.findall(
    r"^\| `(.*)` \| `(.*)` \|$", PAGE.split("<!-- example -->")[1].split("##")[0], re.MULTILINE
)


def test_the_document_is_a_sound_plan():
    plan = decoded(DOCUMENT)
    assert plan.mode == "strict"
    for struct in (Plan, Event, Property, Purpose, Late):
        for name in struct.__struct_fields__:
            assert f"`{name}`" in PAGE, name


def test_every_reason_is_in_the_table():
    assert len(EXAMPLES) == 11
    for code in REASONS:
        assert re.search(rf"^\| .* \| `{code}` \|", PAGE, re.MULTILINE), code


@pytest.mark.parametrize(("sent", "becomes"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_come_true(sent, becomes):
    event = {"time": NOW, "user_id": "u", **json.loads(sent)}
    passed = gate_of(decoded(DOCUMENT)).passed(batch([event]), NOW)
    refused = [f.code for f in passed.findings if f.severity == "rejected"]
    if becomes.startswith("{"):
        assert not refused
        (left,) = _form(passed.batch).read(passed.batch)
        assert left.get("properties", {}) == json.loads(becomes)
    else:
        assert refused == [becomes]


def test_the_mend_is_one():
    mend = read_mend(MEND)
    for name in Mend.__struct_fields__:
        assert getattr(mend, name) not in ({}, (), None), name
    event = {"event": "Pay", "time": 1, "properties": {"sum": 1, "colour": "red"}}
    assert mend.of(event) == {
        "event": "pay",
        "time": 1,
        "properties": {"amount": 1, "channel": "app"},
        "time_free": True,
    }


def test_numbers_of_the_page_are_those_of_the_code():
    from zuji.server.plan import live, quality, tokens

    assert f"{quality.MOST_KEYS:,} combinations" in PAGE
    assert f"{live.MOST_WAITING:,} waited" in PAGE
    assert f"{live.MOST_A_BATCH} are" in PAGE
    assert live.MOST_WATCHERS == 16
    assert f"{tokens.DIRECTORY}/PROJECT" in PAGE
