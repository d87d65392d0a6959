"""Formulas: what they mean, nulls, and what is not a formula."""

import math

import numpy as np
import pytest

from zuji.engine.query.formula import MAX_DEPTH, evaluate, letter, parse_formula, series_of
from zuji.engine.query.problems import Problem

NAMES = {"A": 0, "B": 1, "支付": 1}


def value(text, a=6.0, b=3.0):
    tree = parse_formula(text, NAMES)
    found = float(evaluate(tree, [np.array([a]), np.array([b])])[0])
    return None if math.isnan(found) else found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A / B", 2),
        ("A / B * 100", 200),
        ("A - B - 1", 2),
        ("A - (B - 1)", 4),
        ("1 + 2 * 3", 7),
        ("-A + B", -3),
        ("2 - -3", 5),
        ("--A", 6),
        ("A / B / 2", 1),
        ("A / 支付", 2),
        (".5 * A", 3),
        ("1e2", 100),
        ("1.", 1),
        ("A/(B-3)", None),
        ("A / 0 + 1", None),
        ("1e308 * 10 * A", None),
    ],
)
def test_values(text, expected):
    assert value(text) == expected


def test_a_null_makes_null():
    assert value("A + B", a=math.nan) is None
    assert value("0 * A", a=math.nan) is None


def test_values_are_per_cell_and_inputs_stay_as_they_were():
    a, b = np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 1], [2, math.nan]])
    found = evaluate(parse_formula("A / B", NAMES), [a, b])
    assert found.shape == (2, 2)
    np.testing.assert_array_equal(found, [[math.nan, 2], [1.5, math.nan]])
    same = evaluate(parse_formula("A", NAMES), [a, b])
    same[0, 0] = 99
    assert a[0, 0] == 1
    np.testing.assert_array_equal(evaluate(parse_formula("7", NAMES), [a, b]), np.full((2, 2), 7.0))


def test_series_of_a_formula():
    assert series_of(parse_formula("A / B * 2", NAMES)) == {0, 1}
    assert series_of(parse_formula("1 + 2", NAMES)) == set()
    assert letter(0) == "A"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("A +", "ends where"),
        ("A B", "unexpected 'B'"),
        ("A ** B", "unexpected '*'"),
        ("(A", "not closed"),
        ("A)", "unexpected ')'"),
        ("a", "did you mean"),
        ("C", "unknown series 'C'"),
        ("A % B", "unexpected character '%'"),
        ("A.x", "unexpected character '.'"),
        ("__import__('os')", "unexpected character"),
        ("__import__(A)", "unknown series '__import__'"),
        ("1 " * 600, "1,000 characters"),
        ("(" * 400 + "A" + ")" * 400, "levels deep"),
        ("-" * 400 + "A", "levels deep"),
    ],
)
def test_what_is_no_formula(text, said):
    if said == "did you mean":
        with pytest.raises(Problem, match="unknown series 'a'"):
            parse_formula(text, NAMES)
        return
    with pytest.raises(Problem) as caught:
        parse_formula(text, NAMES)
    assert said in caught.value.text


def test_a_long_sum_is_not_deep():
    text = "+".join(["A"] * 400)
    assert value(text) == 2400
    assert MAX_DEPTH < 400
