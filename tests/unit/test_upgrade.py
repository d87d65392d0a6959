"""Queries of other versions: moved step by step, or told what is wrong."""

import pytest

from zuji.engine.errors import InvalidQuery
from zuji.engine.query import upgrade
from zuji.engine.query.parse import parse

QUERY = {"model": "event", "body": {"series": [{"e": "pay"}]}}


def test_version_one_needs_no_step():
    assert upgrade.upgraded(QUERY) == QUERY
    assert parse({**QUERY, "v": 1}) == parse(QUERY)


@pytest.mark.parametrize(
    ("v", "said"), [(2, "up to 1"), (0, "no version 0"), (-1, "no version -1")]
)
def test_unknown_versions_are_told(v, said):
    with pytest.raises(InvalidQuery, match=said) as caught:
        parse({**QUERY, "v": v})
    assert caught.value.path == "$.v"


@pytest.mark.parametrize("v", ["1", 1.5, None, True])
def test_a_version_is_a_whole_number(v):
    with pytest.raises(InvalidQuery) as caught:
        parse({**QUERY, "v": v})
    assert caught.value.path == "$.v"


def test_steps_follow_each_other(monkeypatch):
    """As a later release will have them: made-up forms of made-up versions."""
    steps = {
        -1: lambda document: {**document, "kind": document["sort"]},
        0: lambda document: {"model": document["kind"], "body": document["body"]},
    }
    monkeypatch.setattr(upgrade, "STEPS", steps)
    assert parse({"v": -1, "sort": "event", "body": QUERY["body"]}) == parse(QUERY)
