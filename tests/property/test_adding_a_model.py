"""The model that docs/models.md adds: its blocks are put together, and compared with its oracle."""

import random
import re
import types
from pathlib import Path
from typing import Union

import pytest

from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.queries import query_of
from tests.property.pairs import Pair
from zuji.engine.errors import InvalidQuery
from zuji.engine.query import parse
from zuji.engine.query.analyses import ANALYSES

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")


def module(kind):
    made = types.ModuleType(kind)
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    exec("\n".join(blocks), made.__dict__)
    return made


@pytest.fixture
def repeat(monkeypatch):
    monkeypatch.setitem(ANALYSES, "repeat", module("python").MODEL)
    monkeypatch.setitem(MODELS, "repeat", module("oracle"))
    every = Union[tuple(model.query for model in ANALYSES.values())]  # noqa: UP007
    monkeypatch.setattr(parse, "QUERY", every)


@pytest.mark.parametrize("number", range(3))
def test_the_model_of_the_page_agrees_with_its_oracle(repeat, tmp_path, number):
    case = generate.project(8_000_000 + number)
    pair = Pair(case, tmp_path / "project")
    try:
        for _ in pair.states():
            for k in range(8):
                query = query_of(case, k, "repeat")
                assert pair.differences(query) == []
                assert pair.wrong_lists(query, random.Random(k)) == []
    finally:
        pair.close()


def test_its_errors_are_those_of_all_models(repeat):
    with pytest.raises(InvalidQuery) as caught:
        parse.parse({"model": "repeat", "body": {"event": {"e": "a"}, "time": 3}})
    assert (caught.value.path, "'times'" in caught.value.args[0]) == ("$.body.time", True)
    with pytest.raises(InvalidQuery, match="no breakdowns"):
        parse.parse({"model": "repeat", "body": {"event": {"e": "a"}}, "by": [{"p": "event.x"}]})
