"""A query written for version 1 keeps its answer."""

import json

import pytest

from tests.golden.answers_v1 import FILE, opened
from tests.property.comparison import same

KEPT = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["as appended", "compacted"])
def engine(request, tmp_path_factory):
    with opened(tmp_path_factory.mktemp("golden") / "d", KEPT) as engine:
        if request.param == "compacted":
            engine.flush()
            engine.compact()
        yield engine


@pytest.mark.parametrize("number", range(len(KEPT["answers"])))
def test_answers_of_version_one_are_what_they_were(engine, number):
    one = KEPT["answers"][number]
    result = engine.query(one["query"])
    answer = json.loads(json.dumps([result.names, result.rows, result.totals]))
    assert same(answer, [one["answer"][name] for name in ("names", "rows", "totals")])
    again = engine.query(result.query)
    assert (again.rows, again.query) == (result.rows, result.query)
