"""The engine against the oracle: random projects and queries, in every state that files can be in.

CI runs a few hundred pairs from a fixed seed, ``make explore`` from a new one (printed); the long
campaign is ``python -m tests.property.campaign``. Cells that count users must also list as many.
"""

from __future__ import annotations

import random

import pytest

from tests.draws import seed
from tests.oracle import generate
from tests.oracle.models import MODELS
from tests.oracle.queries import query_of
from tests.property.pairs import Pair

SEED = seed(20_261_001)
PROJECTS = 16
QUERIES = 12
LATER = sorted(set(MODELS) - {"event", "funnel", "retention"})
LATER_PROJECTS = 4


def cases(seed: int, count: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(10**9) for _ in range(count)]


@pytest.mark.parametrize("number", range(PROJECTS))
def test_random_queries_in_every_state(tmp_path, number):
    project = cases(SEED, PROJECTS)[number]
    print(f"seed {SEED}, project {project}")
    case = generate.project(project)
    pair = Pair(case, tmp_path / "project")
    try:
        for state in pair.states():
            for k in range(QUERIES):
                found = pair.differences(query_of(case, k))
                assert not found, f"project {project} query {k} {state}: {found}"
    finally:
        pair.close()


@pytest.mark.parametrize("model", LATER)
@pytest.mark.parametrize("number", range(LATER_PROJECTS))
def test_random_queries_of_a_model(tmp_path, number, model):
    """Answers in every state, and lists of users in two of them."""
    project = cases(SEED + 2, LATER_PROJECTS)[number]
    print(f"seed {SEED}, project {project}, model {model}")
    case = generate.project(project)
    pair = Pair(case, tmp_path / "project")
    try:
        for state in pair.states():
            for k in range(QUERIES):
                query = query_of(case, k, model)
                found = pair.differences(query)
                if state in ("appended", "compacted"):
                    found += pair.wrong_lists(query, random.Random(k), 4)
                assert not found, f"project {project} query {k} {model} {state}: {found}"
    finally:
        pair.close()


@pytest.mark.parametrize("number", range(PROJECTS))
def test_a_cell_lists_as_many_users_as_it_counts(tmp_path, number):
    project = cases(SEED + 1, PROJECTS)[number]
    case = generate.project(project)
    pair = Pair(case, tmp_path / "project")
    try:
        for state in pair.states():
            if state in ("appended", "compacted"):
                for k in range(QUERIES):
                    found = pair.wrong_lists(query_of(case, k), random.Random(k))
                    assert not found, f"project {project} query {k} {state}: {found}"
    finally:
        pair.close()
