"""The greatest of very many strings against the oracle: as if few strings were very many."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from tests.oracle import generate
from tests.oracle.queries import query_of
from tests.property.pairs import Pair
from zuji.engine.query.analyses import event_top
from zuji.engine.query.kernels.lane import Lane
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.types import Column, Kind

PROJECTS = 10
QUERIES = 8


def question(case, number):
    """An event query by one property that shows one to three groups."""
    rng = random.Random(number)
    for k in range(1000):
        query = query_of(case, number * 1000 + k)
        if query["model"] != "event" or not query.get("by"):
            continue
        query["by"] = query["by"][:1]
        query["top"] = {"n": rng.randint(1, 3), "other": rng.random() < 0.7}
        if rng.random() < 0.8:
            query["body"]["series"][0]["measure"] = rng.choice(["count", "users"])
        return query
    raise AssertionError("no event query with a breakdown")


@pytest.mark.parametrize("project", range(PROJECTS))
def test_only_strings_that_can_be_shown_are_groups(tmp_path, monkeypatch, project):
    monkeypatch.setattr(event_top, "MANY", 0)
    monkeypatch.setattr(event_top, "MEASURED", 1)
    monkeypatch.setattr(event_top, "MOST_SOUGHT", project % 3)
    case = generate.project(7_000_000 + project)
    pair = Pair(case, tmp_path / "project")
    try:
        for state in pair.states():
            for k in range(QUERIES):
                query = question(case, k)
                found = pair.differences(query)
                assert not found, f"project {project} query {k} {state}: {found}"
                if state == "grown":
                    found = pair.wrong_lists(query, random.Random(k))
                    assert not found, f"project {project} query {k} {state}: {found}"
    finally:
        pair.close()


def _prepared(rng, strings, shards):
    """Runs of one row a user; each has a dictionary of some of the strings."""
    prepared, totals = [], Counter()
    for _ in range(shards):
        parts = []
        for _ in range(int(rng.integers(1, 4))):
            n = int(rng.integers(1, 400))
            mine = sorted(rng.choice(strings, int(rng.integers(1, len(strings))), replace=False))
            codes = np.minimum(rng.geometric(0.05, n) - 1, len(mine) - 1).astype(np.uint32)
            codes = rng.permutation(len(mine)).astype(np.uint32)[codes]
            present = (rng.random(n) < 0.9).astype(np.uint8)
            totals.update(mine[c] for c, there in zip(codes, present, strict=True) if there)
            ends = np.arange(n + 1, dtype=np.uint32)
            lane = Lane(ends[:-1], ends, np.zeros(n, np.uint32), 0)
            column = Column(Kind.STRING, codes, present, Dictionary.of(mine))
            parts.append(
                SimpleNamespace(lane=lane, column=column, ref=SimpleNamespace(inside=True))
            )
        prepared.append(SimpleNamespace(scans=[parts], allowed=None))
    return prepared, totals


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_out_has_fewer_rows_than_the_least_of_the_greatest(monkeypatch, seed):
    monkeypatch.setattr(event_top, "MOST_SOUGHT", 30 * (seed % 3))
    rng = np.random.default_rng(seed)
    strings = [f"s{i:03d}" for i in range(int(rng.integers(2, 300)))]
    prepared, totals = _prepared(rng, strings, 1 + seed % 3)
    n = int(rng.integers(1, 30))
    context = SimpleNamespace(
        charge=lambda _: None, check=lambda: None, flag=None, map=lambda f, xs: [f(x) for x in xs]
    )
    floor = None if seed % 4 else 3
    made = event_top.narrowed(context, prepared, 0, event_top.EVER, n, floor)
    ranked = sorted(totals.values(), reverse=True)
    least = floor or (ranked[n - 1] if n <= len(ranked) else 1)
    assert made.least == least
    assert sorted(made.kept) == sorted(t for t, rows in totals.items() if rows >= least)
    for part in (part for done in prepared for part in done.scans[0]):
        groups = made.groups(part.column, part.lane.rows).rows()
        told = [None, *made.kept, "other"]
        for code, there, group in zip(part.column.values, part.column.present, groups, strict=True):
            text = part.column.dictionary[code] if there else None
            assert told[group] == (text if text is None or text in made.kept else "other")
