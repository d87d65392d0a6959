"""Casts to the kind that a property has: each pair of kinds, and what may not be lost."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.casting import NotCastable, cast
from zuji.engine.types import KIND_BY_LABEL, Kind

B, N, F, D, S, L = Kind.BOOL, Kind.INT, Kind.FLOAT, Kind.DATETIME, Kind.STRING, Kind.LIST
NOON = 1_790_000_000_123  # 2026-09-21T14:13:20.123Z

GOOD = [
    (1, B, N, 1),
    (0, B, F, 0.0),
    (1, B, S, "true"),
    (0, B, S, "false"),
    (1, N, B, 1),
    (0, N, B, 0),
    (-7, N, F, -7.0),
    (NOON, N, D, NOON),
    (-7, N, S, "-7"),
    (1.0, F, B, 1),
    (0.0, F, B, 0),
    (3.0, F, N, 3),
    (-(2.0**63), F, N, -(2**63)),
    (0.1, F, S, "0.1"),
    (NOON, D, S, "2026-09-21T14:13:20.123Z"),
    (-1, D, S, "1969-12-31T23:59:59.999Z"),
    ("TRUE", S, B, 1),
    ("false", S, B, 0),
    ("-12", S, N, -12),
    ("+9223372036854775807", S, N, 2**63 - 1),
    ("1e3", S, F, 1000.0),
    (".5", S, F, 0.5),
    ("2026-09-21T14:13:20.123Z", S, D, NOON),
    ("2026-09-21T22:13:20.123+08:00", S, D, NOON),
    ("1970-01-02", S, D, 86_400_000),
    ("0001-01-01T00:00:00+14:00", S, D, -62_135_596_800_000 - 14 * 3_600_000),
    ("a", S, L, ["a"]),
]
BAD = [
    (2, N, B),
    (0.5, F, B),
    ("yes", S, B),
    (NOON, D, B),
    (0.5, F, N),
    (2.0**63, F, N),
    (1e300, F, N),
    ("9223372036854775808", S, N),
    ("1.0", S, N),
    ("٣", S, N),
    (" 1", S, N),
    ("", S, N),
    (NOON, D, N),
    ("nan", S, F),
    ("inf", S, F),
    ("1e999", S, F),
    ("1,5", S, F),
    ("٣", S, F),
    (NOON, D, F),
    (1, B, D),
    (1.0, F, D),
    ("yesterday", S, D),
    (2**62, D, S),  # no calendar has this day
    (-(2**62), D, S),
    (1, B, L),
    (1, N, L),
    (0.5, F, L),
    (NOON, D, L),
    (["a"], L, S),
    (["1"], L, N),
    (["1"], L, F),
    (["true"], L, B),
    (["1970-01-01"], L, D),
]


@pytest.mark.parametrize(("value", "sent", "stored", "wanted"), GOOD)
def test_casts_that_lose_nothing(value, sent, stored, wanted):
    done = cast(value, sent, stored)
    assert done == wanted
    assert type(done) is type(wanted)


@pytest.mark.parametrize(("value", "sent", "stored"), BAD)
def test_casts_that_would_lose_something(value, sent, stored):
    with pytest.raises(NotCastable) as caught:
        cast(value, sent, stored)
    assert str(caught.value)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_own_kind_is_left_alone(kind):
    value = object()
    assert cast(value, kind, kind) is value


@given(st.text(), st.sampled_from(list(Kind)))
def test_a_text_is_cast_or_refused_never_anything_else(text, stored):
    try:
        done = cast(text, S, stored)
    except NotCastable:
        return
    if stored in (N, D):
        assert -(2**63) <= done < 2**63
    if stored == F:
        assert math.isfinite(done)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([N, D]), st.sampled_from(list(Kind)))
def test_any_number_is_cast_or_refused_never_anything_else(number, sent, stored):
    try:
        done = cast(number, sent, stored)
    except NotCastable:
        return
    if stored == S:
        assert cast(done, S, sent) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_from_their_text(number):
    assert cast(cast(number, F, S), S, F) == number


def test_the_table_of_the_page_is_what_is_done():
    """``docs/format/batch.md``: "no" where nothing is ever cast, something else where it may be."""
    page = Path(__file__).resolve().parents[2] / "docs/format/batch.md"
    lines = page.read_text(encoding="utf-8").split("## Casts", 1)[1].splitlines()
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines if line.startswith("|")]
    stored = [KIND_BY_LABEL[label] for label in rows[0][1:]]
    told = {}
    for row in rows[2:]:
        for kind, cell in zip(stored, row[1:], strict=True):
            told[KIND_BY_LABEL[row[0]], kind] = cell
    assert len(told) == 36
    possible = {(sent, kind) for _, sent, kind, _ in GOOD} | {(k, k) for k in Kind}
    assert {pair for pair, cell in told.items() if cell != "no"} == possible
