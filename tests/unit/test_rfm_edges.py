"""Edges found by quantiles: exact ranks, ties never parted, and edges that give themselves back."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.query.analyses import rfm_edges
from zuji.engine.query.analyses.rfm_edges import quantile_edges, scored

QUANTILES = st.lists(
    st.sampled_from([0.07, 0.1, 0.2, 0.25, 0.3, 0.5, 0.6, 0.7, 0.9]), min_size=1, unique=True
).map(lambda found: tuple(sorted(found)))


def plain(values, q, down):
    """The next better value after that of rank ⌈q n⌉ from the bad end."""
    ordered = sorted(values, reverse=down)
    if not ordered:
        return None
    at = ordered[math.ceil(Fraction(str(q)) * len(ordered)) - 1]
    return next((v for v in ordered if (v < at if down else v > at)), None)


@given(st.lists(st.integers(-3, 6)), QUANTILES, st.booleans())
def test_edges_as_by_sorting(values, quantiles, down):
    edges = quantile_edges(np.array(values, np.int64), quantiles, down=down)
    wanted = [plain(values, q, down) for q in quantiles]
    assert edges == (wanted[::-1] if down else wanted)


@given(st.lists(st.floats(-10, 10), min_size=1), st.booleans())
def test_users_of_one_value_have_one_score(values, down):
    column = np.array(values)
    edges = quantile_edges(column, (0.2, 0.4, 0.6, 0.8), down=down)
    scores = dict(zip(values, scored(column, edges, down=down).tolist(), strict=True))
    again = scored(column, edges, down=down).tolist()
    assert [scores[v] for v in values] == again
    better = sorted(scores, reverse=down)
    assert [scores[v] for v in better] == sorted(scores.values())


@pytest.mark.parametrize(
    ("values", "edge"),
    [
        ([1, 1, 1, 1, 2, 5], 2),  # the page's example: at least a half lies below
        ([1, 2, 3, 4], 3),
        ([1, 2, 3, 4, 5], 4),
        ([7, 7, 7], None),  # nobody is better than the rest
        ([], None),
    ],
)
def test_the_median(values, edge):
    assert quantile_edges(np.array(values, np.int64), (0.5,), down=False) == [edge]


def test_a_share_that_no_double_holds_has_its_exact_rank():
    """0.07 × 100 is 7.000000000000001 in doubles, whose ceiling is 8."""
    assert quantile_edges(np.arange(100), (0.07,), down=False) == [7]


@pytest.mark.parametrize("shape", ["far", "ties", "sorted", "waves", "two values", "one value"])
@pytest.mark.parametrize("down", [False, True])
def test_edges_of_many_users_as_by_sorting(shape, down):
    """A sample says where to look; one that misleads (values in waves) does not harm."""
    rng = np.random.default_rng(4)
    n = 2 * rfm_edges.MANY_USERS
    values = {
        "far": rng.normal(size=n) * 10.0 ** rng.integers(0, 300, n),
        "ties": np.round(rng.normal(size=n), 1),
        "sorted": np.sort(rng.random(n)),
        "waves": np.where(np.arange(n) % (n // rfm_edges.SAMPLE) == 0, 1e6, rng.random(n)),
        "two values": rng.integers(0, 2, n) * 0.5,
        "one value": np.full(n, 2.5),
    }[shape]
    quantiles = (0.07, 0.2, 0.5, 0.9)
    edges = quantile_edges(values, quantiles, down=down)
    wanted = [plain(values.tolist(), q, down) for q in quantiles]
    assert edges == (wanted[::-1] if down else wanted)
