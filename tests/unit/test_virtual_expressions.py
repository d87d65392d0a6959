"""Expressions of virtual properties against their twin, and what their language refuses."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twin_expressions import EPOCH, value
from zuji.engine.query.problems import Problem
from zuji.engine.query.virtual.evaluate import evaluated
from zuji.engine.query.virtual.expression import (
    FUNCTIONS,
    INSTANT,
    LIST,
    NUMBER,
    TEXT,
    TRUTH,
    Call,
    Constant,
    Read,
    checked,
    parsed,
    reads,
)
from zuji.engine.types import Column, Kind

KINDS = {
    "event.n": Kind.INT,
    "event.amount": Kind.FLOAT,
    "event.city": Kind.STRING,
    "event.vip": Kind.BOOL,
    "event.due": Kind.DATETIME,
    "event.tags": Kind.LIST,
    "event.gone": None,
}
OF_TYPE = {
    NUMBER: ["event.n", "event.amount", "event.gone"],
    TEXT: ["event.city"],
    TRUTH: ["event.vip"],
    INSTANT: ["event.due"],
    LIST: ["event.tags"],
}
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([2**62, -(2**63), 2**63 - 1, 3037000500]),
    st.floats(-100, 100).map(lambda x: round(x, 2)),
)
TEXTS = st.sampled_from(["", "a", "杭州 West", " b ", "3.5", "x-y-z", "A-"])
INSTANTS = st.integers(-(10**12), 3 * 10**12).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
ROW = st.fixed_dictionaries(
    {
        "event.n": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9),
        "event.amount": st.none() | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
        "event.city": st.none() | TEXTS,
        "event.vip": st.none() | st.booleans(),
        "event.due": st.none() | INSTANTS,
        "event.tags": st.none() | st.lists(TEXTS, max_size=3),
    }
)
ARGS = {
    TEXT: [
        ("concat", (TEXT, TEXT)),
        ("lower", (TEXT,)),
        ("upper", (TEXT,)),
        ("trim", (TEXT,)),
        ("replace", (TEXT, TEXT, TEXT)),
        ("text", (TRUTH,)),
        ("text", (INSTANT,)),
        ("date", (INSTANT,)),
        ("if", (TRUTH, TEXT, TEXT)),
        ("coalesce", (TEXT, TEXT)),
    ],
    NUMBER: [
        *((op, (NUMBER, NUMBER)) for op in "+-*/%"),
        ("negate", (NUMBER,)),
        ("abs", (NUMBER,)),
        ("floor", (NUMBER,)),
        ("min", (NUMBER, NUMBER)),
        ("max", (NUMBER, NUMBER)),
        ("length", (TEXT,)),
        ("length", (LIST,)),
        ("number", (TEXT,)),
        *((part, (INSTANT,)) for part in ("year", "month", "day", "hour", "weekday")),
        ("days_between", (INSTANT, INSTANT)),
        ("if", (TRUTH, NUMBER, NUMBER)),
    ],
    TRUTH: [
        *((op, (NUMBER, NUMBER)) for op in ("==", "!=", "<", "<=", ">", ">=")),
        *((op, (TEXT, TEXT)) for op in ("==", "<", ">=")),
        ("and", (TRUTH, TRUTH)),
        ("or", (TRUTH, TRUTH)),
        ("not", (TRUTH,)),
        ("contains", (TEXT, TEXT)),
        ("starts_with", (TEXT, TEXT)),
        ("has", (LIST, TEXT)),
        ("is_set", (NUMBER,)),
        ("is_set", (LIST,)),
    ],
    INSTANT: [("coalesce", (INSTANT, INSTANT)), ("if", (TRUTH, INSTANT, INSTANT))],
}


@st.composite
def trees(draw, wanted, depth=3):
    """A random expression of a type."""
    if wanted == LIST or depth == 0 or draw(st.integers(0, 3)) == 0:
        constants = {NUMBER: NUMBERS, TEXT: TEXTS, TRUTH: st.booleans()}
        if wanted in constants and draw(st.booleans()):
            return Constant(draw(constants[wanted]))
        return Read(draw(st.sampled_from(OF_TYPE[wanted])))
    name, types = draw(st.sampled_from(ARGS[wanted]))
    return Call(name, tuple(draw(trees(one, depth - 1)) for one in types))


def column(p, rows):
    kind, values = KINDS[p], [row[p] for row in rows if p in row]
    if kind is None or all(one is None for one in values):
        return None
    present = np.array([one is not None for one in values], np.uint8)
    if kind in (Kind.STRING, Kind.LIST):
        lists = [([] if v is None else v) if kind == Kind.LIST else [v or ""] for v in values]
        texts = sorted({text for one in lists for text in one})
        codes = np.array([texts.index(t) for one in lists for t in one], np.uint32)
        if kind == Kind.STRING:
            return Column(kind, codes, present, texts)
        offsets = np.cumsum([0, *map(len, lists)]).astype(np.uint32)
        return Column(kind, codes, present, texts, offsets)
    if kind == Kind.DATETIME:
        values = [
            None if v is None else round((v - EPOCH) / timedelta(milliseconds=1)) for v in values
        ]
    types = {Kind.INT: np.int64, Kind.FLOAT: np.float64, Kind.BOOL: np.uint8}
    numbers = np.array([0 if v is None else v for v in values], types.get(kind, np.int64))
    return Column(kind, numbers, present)


def listed(made, rows):
    """A column as Python values."""
    if made is None:
        return [None] * rows
    found = []
    for i in range(rows):
        if made.present is not None and not made.present[i]:
            found.append(None)
        elif made.kind == Kind.STRING:
            found.append(made.dictionary[made.values[i]])
        elif made.kind == Kind.DATETIME:
            found.append(EPOCH + timedelta(milliseconds=int(made.values[i])))
        else:
            found.append(bool(made.values[i]) if made.kind == Kind.BOOL else made.values[i].item())
    return found


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [(TEXT, Kind.STRING), (NUMBER, Kind.FLOAT), (TRUTH, Kind.BOOL), (INSTANT, Kind.DATETIME)],
)
def test_columns_are_what_rows_say(wanted, kind):
    @settings(max_examples=400, deadline=None)
    @given(trees(wanted), st.lists(ROW, min_size=1, max_size=6))
    def compare(tree, rows):
        made = evaluated(tree, len(rows), lambda p: column(p, rows), kind, "Asia/Shanghai")
        expected = [value(tree, row, "Asia/Shanghai") for row in rows]
        for got, want in zip(listed(made, len(rows)), expected, strict=True):
            if want is None or got is None or kind != Kind.FLOAT:
                assert got == want, (tree, rows)
            else:
                assert got == pytest.approx(float(want), rel=1e-9, abs=1e-9), (tree, rows)

    compare()


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ('if(event.n >= 10, "many", "few")', {"event.n": 12}, "many"),
        ('if(event.n >= 10, "many", "few")', {}, "few"),
        ('substr("abcdef", 2, 3)', {}, "bcd"),
        ('substr("abcdef", -2)', {}, "ef"),
        ('split("a/b/c", "/", -1)', {}, "c"),
        ('split("a/b/c", "/", 9)', {}, None),
        ('event["n"] / 0 == 1 or True', {"event.n": 1}, True),
        ("1 < event.n < 3", {"event.n": 2}, True),
        ("round(2.5)", {}, 3.0),
        ("round(-1.25, 1)", {}, -1.3),
        ("date(event.due)", {"event.due": datetime(2026, 9, 30, 16, tzinfo=UTC)}, "2026-10-01"),
        ("text(event.amount)", {"event.amount": 3.0}, "3"),
        ("9223372036854775807 + event.n", {"event.n": 1}, None),
        ("4294967296 * event.n", {"event.n": 4294967296}, None),
    ],
)
def test_cases(text, row, expected):
    tree = parsed(text)
    full = {p: row.get(p) for p in KINDS if p != "event.gone"}
    types = {str: Kind.STRING, bool: Kind.BOOL, float: Kind.FLOAT}
    kind = types.get(type(expected), Kind.INT if "9" in text and "/" not in text else Kind.STRING)
    made = evaluated(tree, 1, lambda p: column(p, [full]), kind, "Asia/Shanghai")
    assert listed(made, 1) == [expected]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not empty"),
        ("event.a +", "cannot be read"),
        ("amount + 1", "event.amount"),
        ("evnt.a", "did you mean 'event'"),
        ("iff(event.a, 1, 2)", "unknown function"),
        ("if(event.vip, 1)", "takes 3 values"),
        ("substr('a')", "2 to 3 values"),
        ("event[0].b", "no part of the language"),
        ("[1, 2]", "no part of the language"),
        ("lambda: 1", "no part of the language"),
        ("event.a if event.vip else 2", "no part of the language"),
        ("__import__('os')", "unknown function"),
        ("(event.a)(1)", "no part of the language"),
        ("lower(text=event.a)", "no part of the language"),
        ("None", "no constant"),
        ("b'x'", "no constant"),
        ("99999999999999999999", "64 bits"),
        ("f'{event.a}'", "no part of the language"),
        ("1 in event.a", "no part of the language"),
        ("(" * 60 + "1" + ")" * 60 + "+ -" + "-" * 60 + "1", "levels deep"),
        ("+".join(["1"] * 400), "too long"),
        ("x" * 3000, "2,000 characters"),
    ],
)
def test_what_is_no_expression_is_refused(text, said):
    with pytest.raises(Problem) as caught:
        parsed(text)
    assert said in caught.value.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event.city + 1", "value 1 of '+' is of type text, expected number"),
        ("lower(event.n)", "of type number, expected text"),
        ("if(event.n, 1, 2)", "expected truth"),
        ('if(event.vip, 1, "a")', "of type text, expected number"),
        ('event.n == "a"', "of type text, expected number"),
        ("event.vip < event.vip", "a number, text or instant"),
        ("coalesce(event.tags)", "a single value"),
        ("length(event.n)", "text or list"),
        ("hour(event.n)", "expected instant"),
        ('has(event.city, "a")', "expected list"),
        ("text(event.tags)", "a single value"),
    ],
)
def test_types_that_do_not_fit_are_refused(text, said):
    with pytest.raises(Problem) as caught:
        checked(parsed(text), KINDS.get)
    assert said in caught.value.text


def test_every_function_of_the_table_is_evaluated():
    from zuji.engine.query.virtual.evaluate import _APPLY

    assert set(FUNCTIONS) - set(_APPLY) == {"if", "coalesce", "is_set"}


def test_what_is_read_is_known():
    assert list(reads(parsed('concat(event.a, user["b c"], if(event.d, "x", event.a))'))) == [
        "event.a",
        "user.b c",
        "event.d",
        "event.a",
    ]


def test_a_name_with_dots_is_a_property_as_anywhere_else():
    """``event.product_id.category``: of the item that ``event.product_id`` names."""
    assert list(reads(parsed("event.product_id.category"))) == ["event.product_id.category"]
    assert parsed("user.a.b.c") == parsed('user["a.b.c"]')
