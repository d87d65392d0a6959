"""Plain funnels against the oracle in every state: the kernels that count without records.

Random funnels are mostly too special for them, so here every option that is not plain is taken out.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.oracle import generate
from tests.oracle.queries import query_of
from tests.property.pairs import Pair
from zuji.engine.query.analyses import funnel_counts

SEED = 20_261_123
PROJECTS = 10
QUERIES = 14
seen_in_all: Counter[str] = Counter()
SPECIAL = ("hold", "exclude", "order", "entry", "count", "measure", "session")


def plain(document):
    """The query without what needs records."""
    rng = random.Random(str(document))
    body = {key: v for key, v in document["body"].items() if key not in SPECIAL}
    if body.get("window", {}).get("unit") in ("same_day", "session"):
        body["window"] = {"n": rng.choice([1, 2, 30]), "unit": rng.choice(["hour", "day"])}
    steps = body["steps"]
    body["steps"] = [{key: v for key, v in step.items() if key != "optional"} for step in steps]
    if rng.random() < 0.3:  # rows of one event in two steps: only their ties tell them apart
        body["steps"][-1] = dict(body["steps"][0])
    if "by" not in document:
        body["trend"] = True
    document = {**document, "body": body}
    if "by" in document:
        document["by"] = [
            {key: v for key, v in by.items() if key != "attr"} for by in document["by"]
        ]
    return document


@pytest.mark.parametrize("number", range(PROJECTS))
def test_plain_funnels_in_every_state(tmp_path, monkeypatch, number):
    seen: Counter[str] = Counter()
    count = funnel_counts.funnel_cells

    def watched(*args, **options):
        found = count(*args, **options)
        seen["counted"] += found is not None and bool(found[0].any())
        seen["left over"] += found is not None and len(found[1]) > 0
        return found

    monkeypatch.setattr(funnel_counts, "funnel_cells", watched)
    project = random.Random(SEED + number).randrange(10**9)
    case = generate.project(project)
    queries = [query_of(case, k) for k in range(60)]
    queries = [plain(q) for q in queries if q["model"] == "funnel"][:QUERIES]
    pair = Pair(case, tmp_path / "project")
    try:
        for state in pair.states():
            for k, query in enumerate(queries):
                found = pair.differences(query)
                assert not found, f"project {project} query {k} {state}: {query} {found}"
                if state == "compacted" and seen["counted"]:
                    with monkeypatch.context() as patched:
                        patched.setattr(funnel_counts, "MAX_CELLS", 0)  # all from records
                        assert not pair.differences(query)
    finally:
        pair.close()
    seen_in_all.update(seen)


def test_the_kernel_was_asked():
    """The projects above made it count and leave users over."""
    assert not seen_in_all or min(seen_in_all["counted"], seen_in_all["left over"]) > 0
